//! What errors say, and what is found in them.

use std::{future::Future, pin::Pin, time::SystemTime};

use bartizan_core::find;
use bartizan_tls::{
    Chain, Identity, Stage, Target, TrustAnchors,
    revocation::{Engine, Refusal, Verdict},
};

use crate::support::{
    Authority, acceptor, bind, chain, client_tls, connect, connect_over, connector, listener_tls,
    meet, provider,
};

#[tokio::test]
async fn a_target_without_a_usable_name_is_refused_before_anything_is_connected() {
    use tower::{Layer, ServiceExt, service_fn};
    let root = Authority::root("root");
    let service = connector(client_tls(&root)).layer(service_fn(
        |_: http::Uri| -> std::future::Ready<std::io::Result<tokio::net::TcpStream>> {
            panic!("it is connected")
        },
    ));
    for uri in ["https://a_b..test/", "https://-/"] {
        let error = service
            .clone()
            .oneshot(uri.parse().unwrap())
            .await
            .unwrap_err();
        let error = find::<bartizan_tls::Error>(&*error).unwrap();
        assert_eq!(error.stage(), Stage::Name, "{uri}");
        assert!(!error.is_retryable());
    }
}

/// A target that wants a protocol of its own.
#[derive(Clone)]
struct Speaks(Vec<u8>);

impl Target for Speaks {
    fn server_name(&self) -> &'static str {
        "a.test"
    }

    fn is_tls(&self) -> bool {
        true
    }

    fn alpn(&self) -> Option<Vec<Vec<u8>>> {
        Some(vec![self.0.clone()])
    }
}

#[tokio::test]
async fn a_target_may_offer_protocols_of_its_own_if_they_have_names() {
    use tower::{Layer, Service, ServiceExt, service_fn};
    let root = Authority::root("root");
    let mut listener = acceptor(listener_tls(&root.server(&["a.test"], |_| {})));
    let (socket, addr) = bind().await;
    let service = connector(client_tls(&root)).layer(service_fn(move |_: Speaks| {
        tokio::net::TcpStream::connect(addr)
    }));
    let (stream, accepted) = tokio::join!(
        service.clone().oneshot(Speaks(b"http/1.1".to_vec())),
        async {
            let (io, _) = socket.accept().await.unwrap();
            listener.call(io).await
        }
    );
    assert_eq!(stream.unwrap().alpn(), Some(&b"http/1.1"[..]));
    assert_eq!(accepted.unwrap().tls_info().alpn(), Some(&b"http/1.1"[..]));

    for name in [Vec::new(), vec![b'x'; 256]] {
        let error = service.clone().oneshot(Speaks(name)).await.unwrap_err();
        let error = find::<bartizan_tls::Error>(&*error).unwrap();
        assert_eq!(error.stage(), Stage::Name);
    }
}

#[tokio::test]
async fn errors_of_the_connector_below_come_through() {
    let root = Authority::root("root");
    let addr = bartizan_testing::refused_addr();
    let error = connect(&connector(client_tls(&root)), addr, "a.test")
        .await
        .unwrap_err();
    let refused = find::<std::io::Error>(&*error).unwrap();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(find::<bartizan_tls::Error>(&*error).is_none());
}

#[tokio::test]
async fn without_tls_the_connection_is_what_it_was() {
    use tower::{Layer, ServiceExt, service_fn};
    let root = Authority::root("root");
    let (socket, addr) = bind().await;
    let stream = connector(client_tls(&root))
        .layer(service_fn(move |_: http::Uri| {
            tokio::net::TcpStream::connect(addr)
        }))
        .oneshot("http://a.test/".parse::<http::Uri>().unwrap())
        .await
        .unwrap();
    assert!(stream.tls_info().is_none());
    assert!(stream.alpn().is_none());
    assert_eq!(
        stream.get_ref().peer_addr().unwrap(),
        socket.local_addr().unwrap()
    );
}

#[test]
fn what_cannot_be_loaded_says_why() {
    let provider = provider();
    let root = Authority::root("root");
    let leaf = root.server(&["a.test"], |_| {});
    let key = leaf.key.serialize_pem();
    for (chain_pem, key, says) in [
        ("", key.as_str(), "no CERTIFICATE section"),
        (leaf.pem.as_str(), "", "no key"),
        (leaf.pem.as_str(), leaf.pem.as_str(), "no key"),
        (root.pem.as_str(), key.as_str(), "put the leaf first"),
    ] {
        let error =
            Identity::from_pem(&provider, chain_pem.as_bytes(), key.as_bytes()).unwrap_err();
        assert_eq!(error.stage(), Stage::Load);
        assert!(chain(&error).contains(says), "{}", chain(&error));
    }
    let error = Identity::from_pem_files(&provider, "/nowhere/chain", "/nowhere/key").unwrap_err();
    assert!(error.to_string().contains("/nowhere/chain"));
    assert!(find::<std::io::Error>(&error).is_some());
    let error = TrustAnchors::from_der([vec![0x30, 0]]).unwrap_err();
    assert!(error.to_string().contains("certificate 1"));
    let none: [Vec<u8>; 0] = [];
    assert!(TrustAnchors::from_der(none).is_err());
}

/// Refuses at one of the two stages, or waits for ever at the second.
#[derive(Clone, Copy)]
enum Refuses {
    InHandshake,
    AfterHandshake,
    Never,
}

impl Engine for Refuses {
    fn in_handshake(&self, chain: &Chain, _: &[u8], _: SystemTime) -> Result<(), Refusal> {
        assert_eq!(chain.links().len(), 1);
        match self {
            Self::InHandshake => Err(Refusal::revoked("number 1 is revoked")),
            _ => Ok(()),
        }
    }

    fn after_handshake<'a>(
        &'a self,
        _: &'a Chain,
        _: SystemTime,
    ) -> Pin<Box<dyn Future<Output = Result<Verdict, Refusal>> + Send + 'a>> {
        Box::pin(async move {
            match self {
                Self::Never => std::future::pending().await,
                _ => Err(Refusal::unavailable("nobody answers").with_source("no route")),
            }
        })
    }
}

#[tokio::test]
async fn what_the_engine_says_arrives_whole() {
    let root = Authority::root("root");
    let listener = acceptor(listener_tls(&root.server(&["a.test"], |_| {})));

    let client = connector(client_tls(&root).revocation(Refuses::InHandshake));
    let met = meet(&client, &listener, "a.test").await;
    let error = met.client_error();
    assert!(error.is_revoked() && error.is_certificate() && !error.is_retryable());
    assert_eq!(error.stage(), Stage::Revocation);
    assert!(find::<Refusal>(error).unwrap().is_revoked());

    let client = connector(client_tls(&root).revocation(Refuses::AfterHandshake));
    let met = meet(&client, &listener, "a.test").await;
    let error = met.client_error();
    assert!(!error.is_revoked() && error.is_retryable());
    assert!(
        chain(error).ends_with("nobody answers | no route"),
        "{}",
        chain(error)
    );
}

#[tokio::test(start_paused = true)]
async fn the_engine_has_what_is_left_of_the_time() {
    use tower::Service;
    let root = Authority::root("root");
    let mut listener = acceptor(listener_tls(&root.server(&["a.test"], |_| {})));
    let client = connector(client_tls(&root).revocation(Refuses::Never));
    let (near, far) = tokio::io::duplex(1 << 16);
    let start = tokio::time::Instant::now();
    let (client, _listener) = tokio::join!(connect_over(client, near), listener.call(far));
    let error = client.unwrap_err();
    let error = find::<bartizan_tls::Error>(&*error).unwrap();
    assert_eq!(error.stage(), Stage::Revocation);
    assert_eq!(start.elapsed().as_secs(), 10);
    assert!(error.is_timeout() && error.is_retryable());
}

#[cfg(feature = "platform-roots")]
#[test]
fn the_platform_has_roots_or_says_that_it_has_none() {
    match TrustAnchors::platform() {
        Ok(roots) => assert!(!roots.is_empty()),
        Err(error) => assert!(error.to_string().contains("ca-certificates"), "{error}"),
    }
}
