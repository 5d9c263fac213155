//! Who may answer: the issuer, and whom it appointed.

use der::Encode;
use rcgen::{ExtendedKeyUsagePurpose, PublicKeyData};
use x509_cert::ext::pkix::CrlReason;
use x509_ocsp::OcspResponse;

use super::{answered, is_good, is_unknown, reason, stapled};
use crate::revocation::pki::{Ca, HOUR, Response, Wish, revoked};

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
