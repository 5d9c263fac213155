//! A listener over TLS: what the handshake came to is with every request, and one deadline covers all that comes before the first.

use std::{convert::Infallible, time::Duration};

use bartizan::{
    client::{RequestExt, ResponseExt, Transport, connect::TlsLayer},
    core::Body,
    listener::{ConnectInfo, Listener, Metered, ProxyProtocol, Stream},
    tls::{
        ClientAuth, ClientTls, Identity, ListenerTls, PeerName, Provider, TlsAcceptor,
        TlsConnectorLayer, TlsInfo, TlsStream, TrustAnchors,
    },
};
use http::{Request, Response, Uri, Version};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep},
};
use tower::{Layer, ServiceExt, service_fn};

const HEADER: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n";
const CLOSING: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

struct Pki {
    issuer: Issuer<'static, KeyPair>,
    anchors: TrustAnchors,
}

impl Pki {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let root = params.self_signed(&key).expect("a root");
        Self {
            anchors: TrustAnchors::from_der([root.der().to_vec()]).expect("a root"),
            issuer: Issuer::new(params, key),
        }
    }

    fn identity(&self, name: &str) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let leaf = params.signed_by(&key, &self.issuer).expect("a leaf");
        Identity::from_der(
            &Provider::aws_lc(),
            [leaf.der().to_vec()],
            key.serialized_der(),
        )
        .expect("an identity")
    }

    fn acceptor(&self) -> TlsAcceptor {
        let settings = ListenerTls::new(Provider::aws_lc())
            .identity(self.identity("localhost"))
            .client_auth(ClientAuth::Required(self.anchors.clone()));
        TlsAcceptor::try_new(settings).expect("settings")
    }

    fn client(&self) -> ClientTls {
        ClientTls::new(Provider::aws_lc(), self.anchors.clone()).identity(self.identity("web.test"))
    }
}

/// What a handler knows of the connection.
async fn who(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let tls = request.extensions().get::<TlsInfo>().expect("it is noted");
    let info = request.extensions().get::<ConnectInfo>().expect("attached");
    assert!(info.is_tls());
    let text = format!(
        "{:?} {:?} {:?} {}",
        String::from_utf8_lossy(tls.alpn().unwrap_or_default()),
        tls.server_name(),
        tls.peer_names(),
        info.client(),
    );
    Ok(Response::new(Body::from(text)))
}

fn note(stream: &TlsStream<impl Sized>, info: &mut ConnectInfo) {
    info.set_tls(stream.tls_info().alpn());
    info.extensions_mut().insert(stream.tls_info().clone());
}

#[tokio::test]
async fn both_versions_of_http_are_agreed_on_and_know_who_asks() {
    let pki = Pki::new();
    let listener = Listener::bind("127.0.0.1:0").await.expect("a port");
    let listener = listener.tls(
        pki.acceptor(),
        |stream: &TlsStream<Metered<Stream>>, info| {
            note(stream, info);
        },
    );
    let url = format!("https://localhost:{}/", listener.local_addr().port());
    let handle = listener.handle();
    let serving = tokio::spawn(listener.serve(service_fn(who)));

    let peer = [PeerName::Dns("web.test".into())];
    for (protocols, version, alpn) in [
        (&["h2", "http/1.1"][..], Version::HTTP_2, "h2"),
        (&["http/1.1"], Version::HTTP_11, "http/1.1"),
        (&[], Version::HTTP_11, ""),
    ] {
        let tls = TlsLayer::try_new(pki.client().alpn(protocols)).expect("settings");
        let client = Transport::builder().tls(tls).build().expect("settings");
        // The second is of the same connection.
        for _ in 0..2 {
            let response = client.get(&url).send().await.expect("an answer");
            assert_eq!(response.version(), version);
            let text = response.text().await.expect("a body");
            let expected = format!("{alpn:?} {:?} {peer:?} 127.0.0.1:", Some("localhost"));
            assert!(text.starts_with(&expected), "{text}, not {expected}");
        }
    }
    handle.shutdown();
    serving.await.expect("no panic");
}

#[tokio::test]
async fn a_proxy_says_whose_connection_it_is_before_tls_begins() {
    let pki = Pki::new();
    let (addr, handle, serving) = behind_a_proxy(&pki, Duration::from_secs(10)).await;
    let connector = TlsConnectorLayer::try_new(pki.client().alpn(["http/1.1"])).expect("settings");
    // In one piece with the first bytes of TLS, or before them.
    for wait in [Duration::ZERO, Duration::from_millis(10)] {
        let dial = service_fn(move |_: Uri| async move {
            let mut io = TcpStream::connect(addr).await?;
            io.write_all(HEADER).await?;
            sleep(wait).await;
            std::io::Result::Ok(io)
        });
        let uri = Uri::from_static("https://localhost/");
        let mut io = connector.layer(dial).oneshot(uri).await.expect("TLS");
        io.write_all(CLOSING).await.expect("it is read");
        let mut answer = String::new();
        io.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.ends_with("192.0.2.7:4711"), "{answer}");
    }
    handle.shutdown();
    serving.await.expect("no panic");
}

/// Not a deadline for each: who is slow at both is let go when the first is over.
#[tokio::test(start_paused = true)]
async fn one_deadline_covers_the_header_and_the_handshake() {
    let pki = Pki::new();
    let limit = Duration::from_secs(5);
    let (addr, handle, serving) = behind_a_proxy(&pki, limit).await;
    let start = Instant::now();
    let mut io = TcpStream::connect(addr).await.expect("it listens");
    let (first, rest) = HEADER.split_at(20);
    io.write_all(first).await.expect("it is read");
    sleep(Duration::from_secs(2)).await;
    io.write_all(rest).await.expect("it is read");
    sleep(Duration::from_secs(2)).await;
    // The first bytes of a ClientHello that never ends.
    io.write_all(&[0x16, 3, 1, 2, 0, 1])
        .await
        .expect("it is read");
    let closed = io.read(&mut [0; 16]).await;
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    assert_eq!(start.elapsed().as_secs(), limit.as_secs());
    assert_eq!(handle.stats().handshakes_failed, 1);
    handle.shutdown();
    serving.await.expect("no panic");
}

async fn behind_a_proxy(
    pki: &Pki,
    limit: Duration,
) -> (
    std::net::SocketAddr,
    bartizan::listener::ShutdownHandle,
    tokio::task::JoinHandle<bartizan::listener::Drained>,
) {
    let networks = ["127.0.0.0/8".parse().expect("a network")];
    let listener = Listener::bind("127.0.0.1:0").await.expect("a port");
    let listener = listener
        .handshake_timeout(limit)
        .proxy_protocol(ProxyProtocol::trusting(networks))
        .tls(pki.acceptor(), |stream: &TlsStream<_>, info| {
            note(stream, info);
        });
    let (addr, handle) = (listener.local_addr(), listener.handle());
    (addr, handle, tokio::spawn(listener.serve(service_fn(who))))
}
