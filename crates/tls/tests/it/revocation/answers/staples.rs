//! Staples: what they are worth in a handshake and on the connections after it, and those that have to come.

use bartizan_tls::revocation::{Engine as _, Evidence, Method, OnUnavailable, Revocation, Verdict};
use x509_cert::ext::pkix::CrlReason;
use x509_ocsp::CertStatus;

use super::{asking, is_good, is_revoked, is_unknown, stapled, staples, wish};
use crate::revocation::pki::{
    Ca, DAY, HOUR, Response, Web, Wish, at, connect, connect_with, now, provider, revoked,
};

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
