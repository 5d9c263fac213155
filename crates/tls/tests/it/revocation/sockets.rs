//! The engine at both ends of a real connection.

use std::sync::Arc;

use bartizan_core::find;
use bartizan_testing::ManualClock;
use bartizan_tls::{
    ClientAuth, ClientTls, Identity, ListenerTls, Stage, TrustAnchors,
    revocation::{CrlIndex, Method, Refusal, Revocation, Scope, Stapler, Verdict},
};

use super::pki::{Ca, List, Response, Web, Wish, now, provider};
use crate::support::{Met, acceptor, connector, meet};

const RESPONDER: &str = "http://ca/ocsp";

fn clock() -> ManualClock {
    ManualClock::at(now())
}

fn anchors(ca: &Ca) -> TrustAnchors {
    TrustAnchors::from_der([ca.der.clone()]).expect("a root")
}

fn client(ca: &Ca) -> ClientTls {
    ClientTls::new(provider(), anchors(ca)).clock(clock())
}

fn listener(identity: &Identity) -> ListenerTls {
    ListenerTls::new(provider())
        .identity(identity.clone())
        .clock(clock())
}

fn index(ca: &Ca) -> CrlIndex {
    let index = CrlIndex::new(&provider()).with_clock(clock());
    index.add_issuers([&ca.der]).expect("a certificate");
    index
}

fn good(met: &Met) -> Method {
    match met
        .client
        .as_ref()
        .expect("the client is content")
        .revocation()
    {
        Verdict::Good(evidence) => evidence[0].method,
        other => panic!("good: {other:?}"),
    }
}

#[track_caller]
fn refused(met: &Met) -> &Refusal {
    let error = met.client_error();
    assert_eq!(error.stage(), Stage::Revocation);
    find(error).expect("the engine's refusal")
}

#[tokio::test]
async fn a_client_that_is_listed_does_not_get_in() {
    let ca = Ca::root("ca");
    let index = index(&ca);
    index.add(ca.list(&[7])).remove(0).expect("a list");
    let engine = Revocation::of_clients(&provider())
        .crls(index)
        .build()
        .expect("an engine");
    let server = ca.identity(1, &Wish::default());
    let listener = listener(&server)
        .client_auth(ClientAuth::Required(anchors(&ca)))
        .revocation(engine);
    let listener = acceptor(listener);
    for (serial, is_listed) in [(7, true), (8, false)] {
        let client = connector(client(&ca).identity(ca.identity(serial, &Wish::default())));
        let met = meet(&client, &listener, "a.test").await;
        assert_eq!(met.client.is_err(), is_listed, "{serial}");
        if is_listed {
            let refusal = find::<Refusal>(met.listener_error()).expect("the engine's refusal");
            assert!(refusal.is_revoked() && refusal.to_string().contains("certificate 07"));
        } else {
            let info = met.listener.expect("the listener is content");
            assert!(matches!(info.revocation(), Verdict::Good(_)));
        }
    }
}

#[tokio::test]
async fn an_intermediate_that_is_listed_is_refused_unless_only_the_leaf_is_asked_about() {
    let root = Ca::root("root");
    let ca = root.intermediate("ca", 5, &Wish::default());
    let index = index(&root);
    index.add_issuers([&ca.der]).expect("a certificate");
    for list in [root.list(&[5]), ca.list(&[])] {
        index.add(list).remove(0).expect("a list");
    }
    // With the number that the root revoked: it is the other issuer's.
    let listener = acceptor(listener(&ca.identity(5, &Wish::default())));
    for (scope, is_good) in [(Scope::Chain, false), (Scope::Leaf, true)] {
        let engine = Revocation::of_servers(&provider()).crls(index.clone());
        let engine = engine.scope(scope).build().expect("an engine");
        let client = connector(client(&root).revocation(engine));
        let met = meet(&client, &listener, "a.test").await;
        if is_good {
            assert_eq!(good(&met), Method::Crl);
        } else {
            let told = refused(&met).to_string();
            assert!(refused(&met).is_revoked());
            let which = "the intermediate certificate 05 of `CN=root`";
            assert!(told.starts_with(which), "{told}");
        }
    }
}

#[tokio::test]
async fn what_is_revoked_after_a_full_handshake_is_not_resumed() {
    let ca = Ca::root("ca");
    let index = index(&ca);
    index.add(ca.list(&[])).remove(0).expect("a list");
    let engine = Revocation::of_servers(&provider())
        .crls(index.clone())
        .build()
        .expect("an engine");
    let client = connector(client(&ca).revocation(engine));
    let listener = acceptor(listener(&ca.identity(7, &Wish::default())));
    for resumed in [false, true] {
        let met = meet(&client, &listener, "a.test").await;
        assert_eq!(good(&met), Method::Crl);
        assert_eq!(met.both().0.is_resumed(), resumed);
    }
    index
        .add(ca.list_of(&List::new(2, &[7])))
        .remove(0)
        .expect("a list");
    let met = meet(&client, &listener, "a.test").await;
    assert!(refused(&met).is_revoked());
}

#[tokio::test]
async fn a_responder_is_asked_before_the_application_gets_the_connection() {
    let ca = Arc::new(Ca::root("ca"));
    let wish = Wish {
        responder: Some(RESPONDER),
        ..Wish::default()
    };
    for (answer, is_good) in [
        (Response::new(&ca, 7).der(), true),
        (Response::revoked(&ca, 7).der(), false),
    ] {
        let web = Web::of(answer);
        let engine = Revocation::of_servers(&provider())
            .methods([Method::Ocsp])
            .fetcher(web.clone());
        let client = connector(client(&ca).revocation(engine.build().expect("an engine")));
        let listener = acceptor(listener(&ca.identity(7, &wish)));
        let met = meet(&client, &listener, "a.test").await;
        assert_eq!(web.asked(), [RESPONDER]);
        match is_good {
            true => assert_eq!(good(&met), Method::Ocsp),
            false => assert!(refused(&met).is_revoked()),
        }
    }
}

#[tokio::test]
async fn a_staple_that_is_kept_at_hand_satisfies_who_insists_on_it() {
    let ca = Ca::root("ca");
    let wish = Wish {
        responder: Some(RESPONDER),
        must_staple: true,
        ..Wish::default()
    };
    let identity = ca.identity(7, &wish);
    let engine = || {
        let builder = Revocation::of_servers(&provider()).methods([Method::Staple]);
        builder.build().expect("an engine")
    };
    let listener = acceptor(listener(&identity));
    let web = Web::of(Response::new(&ca, 7).der());
    let mut stapler = Stapler::builder(&provider(), &identity)
        .fetcher(web)
        .clock(clock())
        .build()
        .expect("a stapler");
    stapler
        .prime(std::time::Duration::from_secs(60))
        .await
        .expect("a staple");
    let insisting = connector(client(&ca).revocation(engine()));
    for resumed in [false, true] {
        let met = meet(&insisting, &listener, "a.test").await;
        assert_eq!(good(&met), Method::Staple);
        assert_eq!(met.both().0.is_resumed(), resumed);
    }
    // One that does not count is as good as none, and one that says "revoked" is worse.
    for (staple, is_revoked) in [
        (Response::new(&ca, 8).der(), false),
        (b"nonsense".to_vec(), false),
        (Response::revoked(&ca, 7).der(), true),
    ] {
        identity.set_staple(Some(staple));
        let client = connector(client(&ca).revocation(engine()));
        let met = meet(&client, &listener, "a.test").await;
        assert_eq!(refused(&met).is_revoked(), is_revoked);
        assert_eq!(refused(&met).is_must_staple(), !is_revoked);
    }
}
