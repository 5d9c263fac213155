//! A listener that answers challenges.

use bartizan_testing::contract;
use bartizan_tls::{
    ListenerTls,
    acme::{Challenges, Http01Layer},
};
use tower::Layer;

use crate::support::{
    Authority, acceptor, client_tls, clock, connector, listener_tls, meet, provider,
};

contract! {
    mod http01 {
        layer: |probe| Http01Layer::new(Challenges::default()).layer(probe),
        request: || http::Request::new(bartizan_core::Body::default()),
        response: || http::Response::new(bartizan_core::Body::default()),
    }
}

#[tokio::test]
async fn without_an_open_challenge_nobody_gets_anything_by_asking() {
    let root = Authority::root("root");
    let listener =
        acceptor(listener_tls(&root.server(&["a.test"], |_| {})).acme(Challenges::default()));
    let met = meet(
        &connector(client_tls(&root).alpn(["acme-tls/1"])),
        &listener,
        "a.test",
    )
    .await;
    assert!(met.client_error().alert().is_some());
    assert!(!met.listener_error().is_acme_challenge());
    // Who offers something else as well is no CA.
    let met = meet(
        &connector(client_tls(&root).alpn(["acme-tls/1", "h2"])),
        &listener,
        "a.test",
    )
    .await;
    assert_eq!(met.both().1.alpn(), Some(&b"h2"[..]));
}

#[tokio::test]
async fn a_listener_that_answers_challenges_may_wait_for_its_first_certificate() {
    let root = Authority::root("root");
    let settings = ListenerTls::new(provider()).clock(clock());
    assert!(bartizan_tls::TlsAcceptor::try_new(settings.clone()).is_err());
    let listener = acceptor(settings.acme(Challenges::default()));
    let connector = connector(client_tls(&root));
    let met = meet(&connector, &listener, "a.test").await;
    assert!(met.client_error().alert().is_some());

    let identity = root.server(&["a.test"], |_| {}).identity();
    listener
        .handle()
        .update(|settings| settings.no_identities().identity(identity.clone()))
        .unwrap();
    meet(&connector, &listener, "a.test").await.both();
}
