//! Answers that say nothing: about another certificate, not understood, refused, or not whole.

use std::error::Error as _;

use der::Encode;
use x509_ocsp::OcspResponse;

use super::{answered, is_unknown, reason, stapled};
use crate::revocation::pki::{Ca, Response};

#[tokio::test]
async fn an_answer_about_another_certificate_or_ca_says_nothing() {
    let (ca, other) = (Ca::root("ca"), Ca::root("ca"));
    for response in [
        Response::new(&ca, 8).der(),
        // The same name, and another key.
        Response {
            key: ca.key(),
            ..Response::new(&other, 7)
        }
        .der(),
        Response::new(&other, 7).der(),
    ] {
        assert!(is_unknown(&stapled(&ca, &response).await));
        assert!(is_unknown(&answered(&ca, &response).await));
    }
    let about_8 = Response::new(&ca, 8).der();
    assert_eq!(
        reason(answered(&ca, &about_8).await),
        "the OCSP response is about another certificate"
    );
}

#[tokio::test]
async fn a_critical_extension_that_is_not_understood_says_nothing() {
    let ca = Ca::root("ca");
    let response = Response {
        critical: true,
        ..Response::new(&ca, 7)
    }
    .der();
    assert!(is_unknown(&stapled(&ca, &response).await));
}

#[tokio::test]
async fn a_responder_that_does_not_answer_says_nothing() {
    let ca = Ca::root("ca");
    for (refused, why) in [
        (OcspResponse::try_later(), "tryLater"),
        (OcspResponse::internal_error(), "internalError"),
        (OcspResponse::malformed_request(), "malformedRequest"),
        (OcspResponse::sig_required(), "sigRequired"),
        (OcspResponse::unauthorized(), "unauthorized"),
    ] {
        let response = refused.to_der().expect("a response");
        assert!(is_unknown(&stapled(&ca, &response).await));
        assert!(reason(answered(&ca, &response).await).contains(why));
    }
}

#[tokio::test]
async fn what_is_cut_short_or_too_large_says_nothing() {
    let ca = Ca::root("ca");
    let response = Response::new(&ca, 7).der();
    for length in [0, 1, response.len() / 2, response.len() - 1] {
        assert!(
            is_unknown(&stapled(&ca, &response[..length]).await),
            "{length}"
        );
        assert!(
            is_unknown(&answered(&ca, &response[..length]).await),
            "{length}"
        );
    }
    let trailing = [&response[..], &[0]].concat();
    assert!(is_unknown(&stapled(&ca, &trailing).await));
    let large = vec![0x30; (64 << 10) + 1];
    assert!(is_unknown(&stapled(&ca, &large).await));
    let refusal = answered(&ca, &large).await.expect_err("too large");
    assert!(
        refusal
            .source()
            .expect("a source")
            .to_string()
            .contains("sent more than 65536 bytes")
    );
}
