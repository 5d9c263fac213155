//! What responders say, stapled or asked.

use std::error::Error as _;

use bartizan_tls::revocation::{
    CertIdHash, Engine as _, Evidence, Method, OnUnavailable, Refusal, Revocation, Verdict,
};
use der::{Decode, Encode};
use rcgen::{ExtendedKeyUsagePurpose, PublicKeyData};
use x509_cert::ext::pkix::CrlReason;
use x509_ocsp::{CertStatus, OcspRequest, OcspResponse};

use super::pki::{
    Ca, DAY, HOUR, Response, Web, Wish, at, connect, connect_with, nonce_of, now, provider, revoked,
};

const RESPONDER: &str = "http://ca/ocsp";

fn wish() -> Wish {
    Wish {
        responder: Some(RESPONDER),
        ..Wish::default()
    }
}

/// Believes staples, and nothing else.
fn staples() -> Revocation {
    let builder = Revocation::of_servers(&provider()).methods([Method::Staple]);
    builder.build().expect("an engine")
}

fn asking(web: &Web) -> Revocation {
    let builder = Revocation::of_clients(&provider()).methods([Method::Ocsp]);
    builder.fetcher(web.clone()).build().expect("an engine")
}

/// What a staple is worth.
async fn stapled(ca: &Ca, staple: &[u8]) -> Result<Verdict, Refusal> {
    connect_with(&staples(), &ca.chain(7, &wish()), staple, now()).await
}

/// What the same response is worth as an answer.
async fn answered(ca: &Ca, response: &[u8]) -> Result<Verdict, Refusal> {
    connect(&asking(&Web::of(response.to_vec())), &ca.chain(7, &wish())).await
}

fn is_good(verdict: &Result<Verdict, Refusal>) -> bool {
    matches!(verdict, Ok(Verdict::Good(_)))
}

fn is_unknown(verdict: &Result<Verdict, Refusal>) -> bool {
    verdict.as_ref().is_err_and(Refusal::is_unavailable)
}

fn is_revoked(verdict: &Result<Verdict, Refusal>) -> bool {
    verdict.as_ref().is_err_and(Refusal::is_revoked)
}

/// The innermost error of a refusal.
fn reason(verdict: Result<Verdict, Refusal>) -> String {
    let refusal = verdict.expect_err("it does not count");
    let mut error: &dyn std::error::Error = &refusal;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[tokio::test]
async fn a_staple_says_good_revoked_or_unknown() {
    let ca = Ca::root("ca");
    let verdict = stapled(&ca, &Response::new(&ca, 7).der())
        .await
        .expect("good");
    let Verdict::Good(evidence) = verdict else {
        panic!("good: {verdict:?}");
    };
    assert!(matches!(
        evidence[0],
        Evidence { position: 0, method: Method::Staple, next_update: Some(until), .. } if until == at(6 * DAY)
    ));
    let refusal = stapled(&ca, &Response::revoked(&ca, 7).der()).await;
    assert!(is_revoked(&refusal));
    assert_eq!(
        refusal.expect_err("revoked").to_string(),
        "the peer's certificate 07 of `CN=ca` was revoked on 2023-11-12T22:13:20Z: its key is compromised, says the staple"
    );
    let unknown = Response {
        status: CertStatus::unknown(),
        ..Response::new(&ca, 7)
    };
    assert!(is_unknown(&stapled(&ca, &unknown.der()).await));
}

#[tokio::test]
async fn a_revocation_fails_the_handshake_itself() {
    let ca = Ca::root("ca");
    let staple = Response::revoked(&ca, 7).der();
    let refusal = staples().in_handshake(&ca.chain(7, &wish()), &staple, now());
    assert!(refusal.is_err_and(|refusal| refusal.is_revoked()));
}

#[tokio::test]
async fn a_responder_is_asked_by_post_and_its_answer_is_kept() {
    let ca = Ca::root("ca");
    let web = Web::of(Response::new(&ca, 7).der());
    let (engine, chain) = (asking(&web), ca.chain(7, &wish()));
    for _ in 0..3 {
        assert!(is_good(&connect(&engine, &chain).await));
    }
    assert_eq!(web.asked(), [RESPONDER]);
    let request = &web.requests()[0];
    assert_eq!(request.max_size, 64 << 10);
    let http = request.to_http::<bytes::Bytes>();
    assert_eq!(http.method(), http::Method::POST);
    assert_eq!(http.headers()["content-type"], "application/ocsp-request");
    let asked = OcspRequest::from_der(http.body()).expect("a request");
    assert_eq!(asked.tbs_request.request_list.len(), 1);
    assert!(asked.nonce().is_none());
}

#[tokio::test]
async fn names_are_hashed_by_sha1_or_sha256_and_both_are_understood() {
    let ca = Ca::root("ca");
    for (hash, length) in [(CertIdHash::Sha1, 20), (CertIdHash::Sha256, 32)] {
        for sha256 in [false, true] {
            let web = Web::of(
                Response {
                    sha256,
                    ..Response::new(&ca, 7)
                }
                .der(),
            );
            let builder = Revocation::of_clients(&provider()).methods([Method::Ocsp]);
            let engine = builder
                .cert_id_hash(hash)
                .fetcher(web.clone())
                .build()
                .expect("an engine");
            assert!(is_good(&connect(&engine, &ca.chain(7, &wish())).await));
            let body = web.requests()[0].body.clone().expect("a body");
            let asked = OcspRequest::from_der(&body).expect("a request");
            let id = &asked.tbs_request.request_list[0].req_cert;
            assert_eq!(id.issuer_name_hash.as_bytes().len(), length);
            let theirs = Response {
                sha256: length == 32,
                ..Response::new(&ca, 7)
            }
            .basic();
            assert_eq!(*id, theirs.tbs_response_data.responses[0].cert_id);
        }
    }
}

#[tokio::test]
async fn serial_numbers_of_all_lengths_are_asked_about() {
    let ca = Ca::root("ca");
    for serial in [1, 0x7f, 0x80, 0xff, 0x0100, 0x8000_0000_0000_0000, u64::MAX] {
        let web = Web::of(Response::new(&ca, serial).der());
        let verdict = connect(&asking(&web), &ca.chain(serial, &wish())).await;
        assert!(is_good(&verdict), "{serial:x}: {verdict:?}");
        let body = web.requests()[0].body.clone().expect("a body");
        let asked = OcspRequest::from_der(&body).expect("a request");
        assert_eq!(
            asked.tbs_request.request_list[0].req_cert.serial_number,
            serial.into()
        );
    }
}

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
async fn a_signature_that_does_not_hold_says_nothing() {
    let ca = Ca::root("ca");
    let mut basic = Response::new(&ca, 7).basic();
    // Another date than the one that was signed.
    basic.tbs_response_data.produced_at = Response {
        produced: -HOUR + 1,
        ..Response::new(&ca, 7)
    }
    .basic()
    .tbs_response_data
    .produced_at;
    let response = OcspResponse::successful(basic)
        .expect("a response")
        .to_der()
        .expect("a response");
    assert!(is_unknown(&stapled(&ca, &response).await));
    assert_eq!(
        reason(answered(&ca, &response).await),
        "the signature is not by that key"
    );
    // Not even a revocation.
    let mut basic = Response::new(&ca, 7).basic();
    basic.tbs_response_data.responses[0].cert_status = revoked(CrlReason::KeyCompromise);
    let response = OcspResponse::successful(basic)
        .expect("a response")
        .to_der()
        .expect("a response");
    assert!(is_unknown(&stapled(&ca, &response).await));
}

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

#[tokio::test]
async fn a_delegate_of_the_issuer_may_answer() {
    let ca = Ca::root("ca");
    let (certificate, key) = ca.delegate(&[ExtendedKeyUsagePurpose::OcspSigning], (-1, 1));
    for by_name in [false, true] {
        let response = Response {
            by_name,
            key: &key,
            certificates: vec![certificate.clone()],
            ..Response::new(&ca, 7)
        };
        assert!(is_good(&stapled(&ca, &response.der()).await), "{by_name}");
    }
    assert!(is_good(
        &stapled(
            &ca,
            &Response {
                by_name: true,
                ..Response::new(&ca, 7)
            }
            .der()
        )
        .await
    ));
}

#[tokio::test]
async fn nobody_else_may_answer() {
    let (ca, other) = (Ca::root("ca"), Ca::root("ca"));
    let signing = [ExtendedKeyUsagePurpose::OcspSigning];
    let intermediate = ca.intermediate("between", 3, &Wish::default());
    for (what, (certificate, key), sent) in [
        ("without the usage", ca.delegate(&[], (-1, 1)), true),
        (
            "for something else",
            ca.delegate(&[ExtendedKeyUsagePurpose::ServerAuth], (-1, 1)),
            true,
        ),
        ("expired", ca.delegate(&signing, (-2, -1)), true),
        ("not yet valid", ca.delegate(&signing, (1, 2)), true),
        ("of a stranger", other.delegate(&signing, (-1, 1)), true),
        (
            "appointed by somebody appointed",
            intermediate.delegate(&signing, (-1, 1)),
            true,
        ),
        (
            "who does not say who it is",
            ca.delegate(&signing, (-1, 1)),
            false,
        ),
    ] {
        let mut certificates = vec![certificate, intermediate.der.clone()];
        if !sent {
            certificates.clear();
        }
        let response = Response {
            key: &key,
            certificates,
            ..Response::revoked(&ca, 7)
        };
        assert!(is_unknown(&stapled(&ca, &response.der()).await), "{what}");
    }
    // The key of the certificate in question is no better.
    assert_ne!(ca.key().der_bytes(), other.key().der_bytes());
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
async fn a_nonce_has_to_be_ours_if_there_is_one() {
    let ca = std::sync::Arc::new(Ca::root("ca"));
    let engine = |web: &Web| {
        let builder = Revocation::of_clients(&provider())
            .methods([Method::Ocsp])
            .nonce(true);
        builder.fetcher(web.clone()).build().expect("an engine")
    };
    for (what, good) in [("ours", true), ("none", true), ("another", false)] {
        let signer = std::sync::Arc::clone(&ca);
        let web = Web::new(move |request| {
            let asked = nonce_of(request.body.as_ref().expect("a body")).expect("a nonce");
            assert_eq!(asked.len(), 32);
            let nonce = match what {
                "ours" => Some(asked),
                "none" => None,
                _ => Some(vec![0; 32]),
            };
            Ok(Response {
                nonce,
                ..Response::new(&signer, 7)
            }
            .der())
        });
        let verdict = connect(&engine(&web), &ca.chain(7, &wish())).await;
        assert_eq!(is_good(&verdict), good, "{what}: {verdict:?}");
    }
    // Two questions are two nonces.
    let web = Web::down();
    for _ in 0..2 {
        let _ = connect(&engine(&web), &ca.chain(7, &wish())).await;
    }
    let nonces: Vec<_> = web
        .requests()
        .iter()
        .map(|request| nonce_of(request.body.as_ref().expect("a body")))
        .collect();
    assert_ne!(nonces[0], nonces[1]);
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

#[tokio::test]
async fn a_promised_staple_has_to_come_and_to_count() {
    let ca = Ca::root("ca");
    let promise = Wish {
        must_staple: true,
        ..wish()
    };
    let chain = ca.chain(7, &promise);
    // Even if nothing is asked of those who cannot be known about, and a responder says that all is well.
    let lenient = || {
        Revocation::of_servers(&provider())
            .methods([Method::Ocsp])
            .on_unavailable(OnUnavailable::Allow)
            .fetcher(Web::of(Response::new(&ca, 7).der()))
    };
    let engine = lenient().build().expect("an engine");
    for (what, staple) in [
        ("none", vec![]),
        (
            "out of date",
            Response {
                until: Some(-HOUR),
                ..Response::new(&ca, 7)
            }
            .der(),
        ),
        (
            "unknown",
            Response {
                status: CertStatus::unknown(),
                ..Response::new(&ca, 7)
            }
            .der(),
        ),
        ("about another", Response::new(&ca, 8).der()),
        ("nonsense", b"nonsense".to_vec()),
    ] {
        let refusal = engine.in_handshake(&chain, &staple, now()).expect_err(what);
        assert!(
            refusal.is_must_staple() && !refusal.is_revoked(),
            "{what}: {refusal}"
        );
    }
    assert!(is_revoked(
        &connect_with(&engine, &chain, &Response::revoked(&ca, 7).der(), now()).await
    ));
    let staple = Response::new(&ca, 7).der();
    assert!(is_good(
        &connect_with(&engine, &chain, &staple, now()).await
    ));
    // Those who do not promise need not.
    assert!(
        engine
            .in_handshake(&ca.chain(7, &wish()), &[], now())
            .is_ok()
    );
    let forgiving = lenient().must_staple(false).build().expect("an engine");
    assert!(forgiving.in_handshake(&chain, &[], now()).is_ok());
    // Clients cannot.
    let of_clients = asking(&Web::of(staple));
    assert!(is_good(&connect(&of_clients, &chain).await));
}

#[tokio::test]
async fn the_staple_of_the_first_handshake_counts_when_it_is_resumed() {
    let ca = Ca::root("ca");
    let (engine, chain) = (staples(), ca.chain(7, &wish()));
    assert!(is_unknown(&engine.after_handshake(&chain, now()).await));
    let staple = Response::new(&ca, 7).der();
    assert!(is_good(
        &connect_with(&engine, &chain, &staple, now()).await
    ));
    assert!(is_good(&engine.after_handshake(&chain, at(6 * DAY)).await));
    assert!(is_unknown(
        &engine.after_handshake(&chain, at(7 * DAY)).await
    ));
}

#[tokio::test]
async fn an_old_staple_played_back_does_not_undo_a_newer_one() {
    let ca = Ca::root("ca");
    let (engine, chain) = (staples(), ca.chain(7, &wish()));
    let hold = Response {
        status: revoked(CrlReason::CertificateHold),
        ..Response::new(&ca, 7)
    };
    assert!(is_revoked(
        &connect_with(&engine, &chain, &hold.der(), now()).await
    ));
    let before = Response {
        from: -DAY,
        produced: -DAY,
        ..Response::new(&ca, 7)
    };
    assert!(is_revoked(
        &connect_with(&engine, &chain, &before.der(), now()).await
    ));
    let after = Response {
        from: -1,
        produced: -1,
        ..Response::new(&ca, 7)
    };
    assert!(is_good(
        &connect_with(&engine, &chain, &after.der(), now()).await
    ));
}
