//! What a responder is asked, and how.

use bartizan_tls::revocation::{CertIdHash, Method, Revocation};
use der::Decode;
use x509_ocsp::OcspRequest;

use super::{RESPONDER, asking, is_good, wish};
use crate::revocation::pki::{Ca, Response, Web, connect, nonce_of, provider};

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
