//! Sessions, and what must not outlive them.

use std::time::Duration;

use bartizan_tls::{
    ClientAuth, ListenerTls, Provider, Stage, TicketKeys, TlsAcceptor, TlsConnectorLayer,
    TlsVersion, Verification,
};

use crate::support::{
    Authority, acceptor, chain, client_tls, clock, connector, day, listener_tls, meet, now,
};

const VERSIONS: [TlsVersion; 2] = [TlsVersion::V1_2, TlsVersion::V1_3];

async fn resumed(client: &TlsConnectorLayer, listener: &TlsAcceptor) -> bool {
    let (at_client, at_listener) = meet(client, listener, "a.test").await.both();
    assert_eq!(at_client.is_resumed(), at_listener.is_resumed());
    assert_eq!(at_client.peer_names().len(), 1, "also of a resumed session");
    at_client.is_resumed()
}

#[tokio::test]
async fn sessions_are_resumed() {
    let root = Authority::root("root");
    for version in VERSIONS {
        let client = connector(client_tls(&root).versions(version, version));
        let listener = acceptor(listener_tls(&root.server(&["a.test"], |_| {})));
        assert!(!resumed(&client, &listener).await, "{version}");
        assert!(resumed(&client, &listener).await, "{version}");
    }
}

#[tokio::test]
async fn sessions_are_resumed_without_tickets_of_the_provider() {
    let root = Authority::root("root");
    let provider = Provider::unstable_from_rustls(rustls_provider());
    let identity = root.server(&["a.test"], |_| {}).identity();
    let listener = acceptor(ListenerTls::new(provider).identity(identity).clock(clock()));
    let client = connector(client_tls(&root));
    assert!(!resumed(&client, &listener).await);
    assert!(resumed(&client, &listener).await);
}

fn rustls_provider() -> rustls::crypto::CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

/// Two processes, each with keys of its own making that are the same.
#[tokio::test]
async fn processes_with_the_same_keys_resume_each_others_sessions() {
    let root = Authority::root("root");
    let leaf = root.server(&["a.test"], |_| {});
    let keys = |key: u8| TicketKeys::try_new([[key; 32]]).unwrap();
    let known = ClientAuth::Required(root.anchors());
    for version in VERSIONS {
        for auth in [ClientAuth::None, known.clone()] {
            let process = |key| {
                let settings = listener_tls(&leaf).client_auth(auth.clone());
                acceptor(settings.ticket_keys(keys(key)))
            };
            let (one, two, stranger) = (process(1), process(1), process(2));
            let identity = root.client(&["c.test"], |_| {}).identity();
            let settings = client_tls(&root).versions(version, version);
            let client = connector(settings.identity(identity));
            assert!(!resumed(&client, &one).await, "{version}");
            assert!(resumed(&client, &two).await, "{version}");
            assert!(resumed(&client, &one).await, "{version}");
            assert!(!resumed(&client, &stranger).await, "{version}");

            // A reload that leaves the policy alone leaves them. One that does not ends them, and a ticket of before is none.
            assert!(!resumed(&client, &one).await, "{version}");
            two.handle()
                .update(|settings| settings.max_handshakes(9))
                .unwrap();
            assert!(resumed(&client, &two).await, "{version}");
            let anchors = root.anchors().and(Authority::root("other").anchors());
            let other = ClientAuth::Required(anchors);
            two.handle()
                .update(|settings| settings.client_auth(other.clone()))
                .unwrap();
            assert!(!resumed(&client, &two).await, "{version}");
        }
    }
}

#[tokio::test]
async fn any_provider_makes_tickets_by_keys_that_are_given() {
    let root = Authority::root("root");
    let identity = root.server(&["a.test"], |_| {}).identity();
    let process = |provider| {
        let keys = TicketKeys::try_new([[1; 32]]).unwrap();
        let settings = ListenerTls::new(provider).identity(identity.clone());
        acceptor(settings.clock(clock()).ticket_keys(keys))
    };
    let client = connector(client_tls(&root));
    let made = process(Provider::unstable_from_rustls(rustls_provider()));
    assert!(!resumed(&client, &made).await);
    assert!(resumed(&client, &process(Provider::aws_lc())).await);
    // Of another make, with the same suites.
    #[cfg(feature = "ring")]
    assert!(resumed(&client, &process(Provider::ring())).await);
}

#[tokio::test]
async fn either_end_can_turn_it_off() {
    let root = Authority::root("root");
    let leaf = root.server(&["a.test"], |_| {});
    for version in VERSIONS {
        let on = client_tls(&root).versions(version, version);
        for (client, listener) in [
            (on.clone().resumption(false), listener_tls(&leaf)),
            (on, listener_tls(&leaf).resumption(false)),
        ] {
            let (client, listener) = (connector(client), acceptor(listener));
            assert!(!resumed(&client, &listener).await, "{version}");
            assert!(!resumed(&client, &listener).await, "{version}");
        }
    }
}

/// A ticket from before was issued without a certificate. rustls accepts it, and verifies nobody.
#[tokio::test]
async fn a_ticket_does_not_resume_across_policies() {
    let root = Authority::root("root");
    for version in VERSIONS {
        let client = connector(client_tls(&root).versions(version, version));
        let listener = acceptor(listener_tls(&root.server(&["a.test"], |_| {})));
        assert!(!resumed(&client, &listener).await);
        assert!(resumed(&client, &listener).await);

        let required = ClientAuth::Required(root.anchors());
        listener
            .handle()
            .update(|settings| settings.client_auth(required.clone()))
            .unwrap();
        let met = meet(&client, &listener, "a.test").await;
        assert!(
            met.listener_error().is_certificate(),
            "{version}: {:?}",
            met.listener
        );
    }
}

#[tokio::test]
async fn a_ticket_does_not_resume_across_trusted_roots() {
    let (old, new) = (Authority::root("old"), Authority::root("new"));
    let identity = old.client(&["c.test"], |_| {}).identity();
    for version in VERSIONS {
        let settings = client_tls(&old).identity(identity.clone());
        let client = connector(settings.versions(version, version));
        let listener = acceptor(
            listener_tls(&old.server(&["a.test"], |_| {}))
                .client_auth(ClientAuth::Required(old.anchors())),
        );
        assert!(!resumed(&client, &listener).await);
        assert!(resumed(&client, &listener).await);

        let required = ClientAuth::Required(new.anchors());
        listener
            .handle()
            .update(|settings| settings.client_auth(required.clone()))
            .unwrap();
        let met = meet(&client, &listener, "a.test").await;
        assert_eq!(met.listener_error().stage(), Stage::Verify, "{version}");
    }
}

#[tokio::test]
async fn a_client_resumes_no_session_of_a_server_it_no_longer_trusts() {
    let (old, new) = (Authority::root("old"), Authority::root("new"));
    let client = connector(client_tls(&old));
    let listener = acceptor(listener_tls(&old.server(&["a.test"], |_| {})));
    assert!(!resumed(&client, &listener).await);
    assert!(resumed(&client, &listener).await);

    client
        .handle()
        .update(|settings| settings.trust(new.anchors()))
        .unwrap();
    let met = meet(&client, &listener, "a.test").await;
    assert_eq!(met.client_error().stage(), Stage::Verify);
}

/// Neither verifier of rustls runs when a session is resumed.
#[tokio::test]
async fn a_certificate_that_expires_ends_its_sessions() {
    let root = Authority::root("root");
    for version in VERSIONS {
        let clock = clock();
        // Both end long before the session would: else a full handshake would find it out.
        let soon = day(0) + time::Duration::hours(2);
        let too_late = now() + Duration::from_secs(2 * 3600 + 60);
        // A server's, as its client sees it.
        let server = root.server(&["a.test"], |p| p.not_after = soon);
        let client = connector(
            client_tls(&root)
                .clock(clock.clone())
                .versions(version, version),
        );
        let listener = acceptor(listener_tls(&server).clock(clock.clone()));
        assert!(!resumed(&client, &listener).await);
        clock.advance(Duration::from_secs(3600));
        assert!(resumed(&client, &listener).await);
        clock.set(too_late);
        let met = meet(&client, &listener, "a.test").await;
        let error = met.client_error();
        assert!(error.is_certificate(), "{version}: {error:?}");
        assert!(chain(error).contains("has expired"), "{}", chain(error));

        // A client's, as its listener sees it.
        clock.set(now());
        let identity = root.client(&["c.test"], |p| p.not_after = soon).identity();
        let client = connector(
            client_tls(&root)
                .clock(clock.clone())
                .identity(identity)
                .versions(version, version),
        );
        let listener = acceptor(
            listener_tls(&root.server(&["a.test"], |_| {}))
                .clock(clock.clone())
                .client_auth(ClientAuth::Required(root.anchors())),
        );
        assert!(!resumed(&client, &listener).await);
        assert!(resumed(&client, &listener).await);
        clock.set(too_late);
        let met = meet(&client, &listener, "a.test").await;
        let error = met.listener_error();
        assert!(chain(error).contains("has expired"), "{}", chain(error));
    }
}

#[tokio::test]
async fn a_resumed_session_keeps_what_was_verified() {
    let root = Authority::root("root");
    let identity = root.client(&["c.test"], |_| {}).identity();
    let client = connector(client_tls(&root).identity(identity));
    let listener = acceptor(
        listener_tls(&root.server(&["a.test"], |_| {}))
            .client_auth(ClientAuth::Required(root.anchors())),
    );
    let (_, first) = meet(&client, &listener, "a.test").await.both();
    let (_, second) = meet(&client, &listener, "a.test").await.both();
    assert!(!first.is_resumed() && second.is_resumed());
    assert_eq!(second.verification(), Verification::Full);
    assert_eq!(first.peer_fingerprint(), second.peer_fingerprint());
    assert!(first.peer_chain().eq(second.peer_chain()));
}
