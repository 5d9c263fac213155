//! What a listener offers, to whom, and for how long.

use std::time::Duration;

use bartizan_tls::{ListenerTls, Stage, TlsVersion};
use rcgen::CustomExtension;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower::Service;

use crate::support::{
    Authority, acceptor, bind, chain, client_tls, clock, connect, connector, listener_tls, meet,
    provider,
};

fn named(root: &Authority, default: Option<&str>, names: &[&str]) -> ListenerTls {
    let mut settings = ListenerTls::new(provider()).clock(clock());
    if let Some(default) = default {
        settings = settings.identity(root.server(&[default], |_| {}).identity());
    }
    for name in names {
        settings = settings.identity_for(*name, root.server(&[name], |_| {}).identity());
    }
    settings
}

#[tokio::test]
async fn the_certificate_is_chosen_by_name() {
    let root = Authority::root("root");
    let settings = named(&root, Some("default.test"), &["b.a.test", "*.a.test"]);
    let listener = acceptor(settings);
    let any = connector(bartizan_tls::dangerous::any_name(client_tls(&root)));
    for (asked, shown) in [
        ("b.a.test", "b.a.test"),
        ("B.A.Test", "b.a.test"),
        ("c.a.test", "*.a.test"),
        ("d.c.a.test", "default.test"),
        ("a.test", "default.test"),
        ("elsewhere.test", "default.test"),
        ("127.0.0.1", "default.test"),
    ] {
        let (info, _) = meet(&any, &listener, asked).await.both();
        assert_eq!(
            info.peer_names(),
            [bartizan_tls::PeerName::Dns(shown.into())],
            "{asked}"
        );
    }
}

#[tokio::test]
async fn a_name_that_is_not_known_is_refused_without_a_default() {
    let root = Authority::root("root");
    let listener = acceptor(named(&root, None, &["a.test"]));
    let client = connector(client_tls(&root));
    meet(&client, &listener, "a.test").await.both();
    let met = meet(&client, &listener, "b.test").await;
    assert_eq!(met.listener_error().peer(), Some("b.test"));
    assert!(met.client_error().alert().is_some());
    assert!(!met.client_error().is_retryable());
}

#[test]
fn names_are_checked_when_they_are_given() {
    let root = Authority::root("root");
    let identity = root.server(&["a.test", "*.b.test"], |_| {}).identity();
    let empty = ListenerTls::new(provider());
    for good in ["a.test", "A.test", "*.b.test", "c.b.test"] {
        let settings = empty.clone().identity_for(good, identity.clone());
        assert!(
            bartizan_tls::TlsAcceptor::try_new(settings).is_ok(),
            "{good}"
        );
    }
    for bad in [
        "b.test",
        "*.a.test",
        "*",
        "*.*.test",
        "a b",
        "",
        "127.0.0.1",
    ] {
        let settings = empty.clone().identity_for(bad, identity.clone());
        let error = bartizan_tls::TlsAcceptor::try_new(settings).unwrap_err();
        assert_eq!((error.field(), error.value()), ("identity_for", bad));
    }
    let error = bartizan_tls::TlsAcceptor::try_new(empty).unwrap_err();
    assert_eq!(error.field(), "identity");
}

#[test]
fn settings_that_cannot_be_used_together_are_refused() {
    let root = Authority::root("root");
    let good = listener_tls(&root.server(&["a.test"], |_| {}));
    for (field, settings) in [
        (
            "versions",
            good.clone().versions(TlsVersion::V1_3, TlsVersion::V1_2),
        ),
        (
            "versions and suites",
            good.clone()
                .versions(TlsVersion::V1_3, TlsVersion::V1_3)
                .suites(["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]),
        ),
        (
            "suites",
            good.clone().suites(["TLS_RSA_WITH_3DES_EDE_CBC_SHA"]),
        ),
        ("alpn", good.clone().alpn([""])),
        (
            "handshake_timeout",
            good.clone().handshake_timeout(Duration::ZERO),
        ),
        ("max_handshakes", good.clone().max_handshakes(0)),
        ("max_handshakes", good.clone().max_handshakes(usize::MAX)),
    ] {
        let error = bartizan_tls::TlsAcceptor::try_new(settings).unwrap_err();
        assert_eq!(error.field(), field, "{error}");
    }
    // A limit that means none.
    let endless = good.handshake_timeout(Duration::MAX);
    assert!(bartizan_tls::TlsAcceptor::try_new(endless).is_ok());
}

#[tokio::test]
async fn the_key_is_chosen_by_what_the_client_can_verify() {
    let root = Authority::root("root");
    let ecdsa = root.server(&["a.test"], |_| {}).identity();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let ed25519 = root.server_with_key(&["a.test"], &key);
    let settings = ListenerTls::new(provider())
        .clock(clock())
        .identity(ed25519.clone())
        .identity(ecdsa.clone());
    let listener = acceptor(settings);

    let (info, _) = meet(&connector(client_tls(&root)), &listener, "a.test")
        .await
        .both();
    assert_eq!(info.peer_certificate(), Some(&*ed25519.chain()[0]));

    let mut narrow = rustls::crypto::aws_lc_rs::default_provider();
    narrow.signature_verification_algorithms.mapping = ECDSA_ONLY;
    let narrow = bartizan_tls::Provider::unstable_from_rustls(narrow);
    let client = connector(bartizan_tls::ClientTls::new(narrow, root.anchors()).clock(clock()));
    let (info, _) = meet(&client, &listener, "a.test").await.both();
    assert_eq!(info.peer_certificate(), Some(&*ecdsa.chain()[0]));

    // With none that it can verify, it hears why: `handshake_failure`.
    let settings = ListenerTls::new(provider()).clock(clock());
    let met = meet(&client, &acceptor(settings.identity(ed25519)), "a.test").await;
    assert_eq!(met.client_error().alert(), Some(40));
}

const ECDSA_ONLY: &[(
    rustls::SignatureScheme,
    &[&dyn rustls::pki_types::SignatureVerificationAlgorithm],
)] = &[(
    rustls::SignatureScheme::ECDSA_NISTP256_SHA256,
    &[webpki::aws_lc_rs::ECDSA_P256_SHA256],
)];

#[cfg(feature = "ring")]
#[tokio::test]
async fn providers_meet() {
    use bartizan_tls::{ClientTls, Identity, Provider};
    let root = Authority::root("root");
    let leaf = root.server(&["a.test"], |_| {});
    let ring = Provider::ring();
    let identity = Identity::from_der(&ring, leaf.chain.clone(), leaf.key.serialized_der());
    let ring_listener = acceptor(
        ListenerTls::new(ring.clone())
            .identity(identity.unwrap())
            .clock(clock()),
    );
    let ring_client = connector(ClientTls::new(ring, root.anchors()).clock(clock()));
    let aws_lc_client = connector(client_tls(&root));
    for (client, listener) in [
        (&ring_client, &acceptor(listener_tls(&leaf))),
        (&aws_lc_client, &ring_listener),
    ] {
        for resumed in [false, true] {
            let (info, _) = meet(client, listener, "a.test").await.both();
            assert_eq!((info.group(), info.is_resumed()), (Some("X25519"), resumed));
        }
    }
}

#[tokio::test]
async fn application_protocols_are_agreed_on() {
    let root = Authority::root("root");
    let leaf = root.server(&["a.test"], |_| {});
    let none: [&str; 0] = [];
    for (client, listener, agreed) in [
        (&["h2", "http/1.1"][..], &["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1"], &["h2", "http/1.1"], Some("http/1.1")),
        (&none, &["h2"], None),
        (&["h2"], &none, None),
    ] {
        let client = connector(client_tls(&root).alpn(client));
        let listener = acceptor(listener_tls(&leaf).alpn(listener));
        let (at_client, at_listener) = meet(&client, &listener, "a.test").await.both();
        assert_eq!(at_client.alpn(), agreed.map(str::as_bytes));
        assert_eq!(at_listener.alpn(), agreed.map(str::as_bytes));
    }

    let client = connector(client_tls(&root).alpn(["http/1.1"]));
    let listener = acceptor(listener_tls(&leaf).alpn(["h2"]));
    let met = meet(&client, &listener, "a.test").await;
    assert_eq!(met.client_error().alert(), Some(120));
    assert!(met.listener_error().to_string().contains("ALPN"));
}

#[tokio::test]
async fn versions_and_suites_are_agreed_on() {
    let root = Authority::root("root");
    let leaf = root.server(&["a.test"], |_| {});
    let suite = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256";
    let client = connector(client_tls(&root).suites([suite, "TLS_AES_256_GCM_SHA384"]));
    for (listener, version, chosen) in [
        (
            listener_tls(&leaf),
            TlsVersion::V1_3,
            "TLS_AES_256_GCM_SHA384",
        ),
        (
            listener_tls(&leaf).versions(TlsVersion::V1_2, TlsVersion::V1_2),
            TlsVersion::V1_2,
            suite,
        ),
    ] {
        let (info, _) = meet(&client, &acceptor(listener), "a.test").await.both();
        assert_eq!((info.version(), info.suite()), (version, chosen));
    }

    let old = connector(client_tls(&root).versions(TlsVersion::V1_2, TlsVersion::V1_2));
    let new = acceptor(listener_tls(&leaf).versions(TlsVersion::V1_3, TlsVersion::V1_3));
    let met = meet(&old, &new, "a.test").await;
    assert_eq!(met.client_error().alert(), Some(70));
    assert_eq!(met.listener_error().stage(), Stage::Handshake);
    assert!(!met.listener_error().is_retryable());
}

#[tokio::test]
async fn a_certificate_that_demands_a_staple_is_not_served_without_one() {
    let root = Authority::root("root");
    // SEQUENCE { INTEGER 5 }, RFC 7633.
    let demand =
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 24], vec![0x30, 3, 2, 1, 5]);
    let leaf = root.server(&["a.test"], |p| p.custom_extensions.push(demand));
    let identity = leaf.identity();
    let listener = acceptor(
        ListenerTls::new(provider())
            .identity(identity.clone())
            .clock(clock()),
    );
    let client = connector(client_tls(&root));
    let met = meet(&client, &listener, "a.test").await;
    assert!(met.client_error().alert().is_some());

    // Nobody reads it here: whether it is good is another matter.
    identity.set_staple(Some(vec![0x30, 0]));
    meet(&client, &listener, "a.test").await.both();
    identity.set_staple(None);
    let met = meet(&client, &listener, "a.test").await;
    assert!(met.listener.is_err());
}

#[tokio::test]
async fn plain_http_at_a_tls_port_says_so() {
    let root = Authority::root("root");
    let mut listener = acceptor(listener_tls(&root.server(&["a.test"], |_| {})));
    let (socket, addr) = bind().await;
    let mut client = TcpStream::connect(addr).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let (io, _) = socket.accept().await.unwrap();
    let error = listener.call(io).await.unwrap_err();
    assert!(
        error.to_string().contains("plain HTTP"),
        "{}",
        chain(&error)
    );
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn tls_at_a_plain_port_says_so() {
    let root = Authority::root("root");
    let (socket, addr) = bind().await;
    let client = connector(client_tls(&root));
    let (connected, ()) = tokio::join!(connect(&client, addr, "a.test"), async {
        let (mut io, _) = socket.accept().await.unwrap();
        io.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        io.shutdown().await.unwrap();
        io.read_to_end(&mut Vec::new()).await.ok();
    });
    let error = connected.unwrap_err();
    assert!(
        error.to_string().contains("plain HTTP"),
        "{}",
        chain(&*error)
    );
}

#[tokio::test]
async fn a_connection_that_breaks_is_worth_another_try() {
    let root = Authority::root("root");
    let (socket, addr) = bind().await;
    let client = connector(client_tls(&root));
    let (connected, ()) = tokio::join!(connect(&client, addr, "a.test"), async {
        let (mut io, _) = socket.accept().await.unwrap();
        io.read_exact(&mut [0; 64]).await.unwrap();
    });
    let error = connected.unwrap_err();
    let error = bartizan_core::find::<bartizan_tls::Error>(&*error).unwrap();
    assert!(
        error.is_retryable() && !error.is_timeout(),
        "{}",
        chain(error)
    );
    assert_eq!(error.stage(), Stage::Handshake);
}

#[tokio::test]
async fn data_flows_both_ways() {
    let root = Authority::root("root");
    let mut listener = acceptor(listener_tls(&root.server(&["a.test"], |_| {})));
    let client = connector(client_tls(&root));
    let (socket, addr) = bind().await;
    let sent = (0..300_000_u32)
        .map(|n| n.to_le_bytes()[0])
        .collect::<Vec<_>>();
    let (received, ()) = tokio::join!(
        async {
            let stream = connect(&client, addr, "a.test").await.unwrap();
            assert!(tokio::io::AsyncWrite::is_write_vectored(&stream));
            let (mut read, mut write) = tokio::io::split(stream);
            let mut received = Vec::new();
            let (read, ()) = tokio::join!(read.read_to_end(&mut received), async {
                write.write_all(&sent).await.unwrap();
                write.shutdown().await.unwrap();
            });
            read.unwrap();
            received
        },
        async {
            let (io, _) = socket.accept().await.unwrap();
            let stream = listener.call(io).await.unwrap();
            let (mut read, mut write) = tokio::io::split(stream);
            tokio::io::copy(&mut read, &mut write).await.unwrap();
            write.shutdown().await.unwrap();
        }
    );
    assert!(received == sent);
}
