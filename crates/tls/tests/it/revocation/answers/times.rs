//! From when an answer counts, and until when.

use x509_cert::ext::pkix::CrlReason;

use super::{answered, is_good, is_revoked, is_unknown, reason, stapled};
use crate::revocation::pki::{Ca, DAY, HOUR, Response, revoked};

#[tokio::test]
async fn times_are_believed_within_300_seconds() {
    let ca = Ca::root("ca");
    let response = |from, until| {
        Response {
            from,
            until,
            produced: from,
            ..Response::new(&ca, 7)
        }
        .der()
    };
    for (from, until, good) in [
        (300, Some(DAY), true),
        (301, Some(DAY), false),
        (-DAY, Some(-299), true),
        (-DAY, Some(-300), false),
        (-HOUR, Some(-HOUR - 1), false),
    ] {
        let response = response(from, until);
        assert_eq!(
            is_good(&stapled(&ca, &response).await),
            good,
            "{from} {until:?}"
        );
        assert_eq!(
            is_good(&answered(&ca, &response).await),
            good,
            "{from} {until:?}"
        );
    }
}

#[tokio::test]
async fn what_is_out_of_date_or_from_the_future_says_so() {
    let ca = Ca::root("ca");
    for (from, until, why) in [
        (-DAY, -HOUR, "the OCSP response is out of date"),
        (
            HOUR,
            DAY,
            "the OCSP response is from the future; check this machine's clock",
        ),
        (
            -HOUR,
            -2 * HOUR,
            "the OCSP response's times contradict each other",
        ),
    ] {
        let response = Response {
            from,
            produced: from,
            until: Some(until),
            ..Response::new(&ca, 7)
        };
        assert_eq!(reason(answered(&ca, &response.der()).await), why);
    }
}

#[tokio::test]
async fn an_answer_without_an_end_is_no_staple_and_counts_for_an_hour() {
    let ca = Ca::root("ca");
    let response = |from| {
        Response {
            from,
            until: None,
            produced: from,
            ..Response::new(&ca, 7)
        }
        .der()
    };
    assert!(is_unknown(&stapled(&ca, &response(-1)).await));
    for (from, good) in [
        (-1, true),
        (-HOUR - 299, true),
        (-HOUR - 300, false),
        (-DAY, false),
    ] {
        assert_eq!(
            is_good(&answered(&ca, &response(from)).await),
            good,
            "{from}"
        );
    }
}

#[tokio::test]
async fn a_revocation_counts_out_of_date_unless_it_is_a_hold() {
    let ca = Ca::root("ca");
    for (reason, revoked_for_good) in [
        (CrlReason::KeyCompromise, true),
        (CrlReason::CertificateHold, false),
    ] {
        let response = Response {
            status: revoked(reason),
            from: -9 * DAY,
            produced: -9 * DAY,
            until: Some(-DAY),
            ..Response::new(&ca, 7)
        };
        let verdict = stapled(&ca, &response.der()).await;
        assert_eq!(is_revoked(&verdict), revoked_for_good, "{reason:?}");
        assert_eq!(is_unknown(&verdict), !revoked_for_good, "{reason:?}");
    }
    let hold = Response {
        status: revoked(CrlReason::CertificateHold),
        ..Response::new(&ca, 7)
    };
    assert!(is_revoked(&stapled(&ca, &hold.der()).await));
}
