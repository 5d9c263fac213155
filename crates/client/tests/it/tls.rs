//! https, over bartizan-tls: with origins, through proxies, and with proxies.

use bartizan_client::{
    ConnectionInfo, Phase, Protocol, RecordTimings, RequestExt, ResponseExt, Timeouts, Timings,
    Transport,
    connect::{ConnectOptions, Destination, TlsLayer},
};
use bartizan_core::{Body, find};
use bartizan_testing::{RawServer, contract};
use bartizan_tls::{
    ClientTls, Identity, ListenerTls, Provider, TlsAcceptor, TlsInfo, TlsStream, TrustAnchors,
};
use http::{Response, Uri, Version};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::{convert::Infallible, future, time::Duration};
use tokio::net::TcpStream;
use tower::Service;

contract! {
    /// What needs no TLS passes.
    mod over_plain_connections {
        layer: |probe| tower::Layer::layer(&layer(trusting(&authority())), probe),
        request: || Destination::of(&Uri::from_static("http://h/")).expect("a destination"),
        response: || tokio::io::duplex(64).0,
    }
}

pub(crate) fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("a root")
}

/// What accepts TLS as `localhost` and as 127.0.0.1.
fn acceptor(authority: &CertifiedIssuer<'static, KeyPair>) -> TlsAcceptor {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).expect("names");
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    let provider = Provider::aws_lc();
    let (chain, key) = (certificate.pem(), key.serialize_pem());
    let identity = Identity::from_pem(&provider, chain.as_bytes(), key.as_bytes());
    let settings = ListenerTls::new(provider).identity(identity.expect("an identity"));
    TlsAcceptor::try_new(settings).expect("settings")
}

pub(crate) fn trusting(authority: &CertifiedIssuer<'static, KeyPair>) -> ClientTls {
    let trust = TrustAnchors::from_pem(authority.pem().as_bytes()).expect("a root");
    ClientTls::new(Provider::aws_lc(), trust)
}

pub(crate) fn layer(settings: ClientTls) -> TlsLayer {
    TlsLayer::try_new(settings).expect("settings")
}

/// Answers every request with the version that it came by, whatever ALPN agrees on.
async fn origin(acceptor: TlsAcceptor) -> RawServer {
    RawServer::start(move |stream| {
        let mut acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = Service::<TcpStream>::call(&mut acceptor, stream).await {
                serve(stream).await;
            }
        }
    })
    .await
}

async fn serve(stream: TlsStream<TcpStream>) {
    let answer = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
        let version = format!("{:?}", request.version());
        Ok::<_, Infallible>(Response::new(Body::from(version)))
    });
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

fn https(server: &RawServer) -> String {
    format!("https://localhost:{}/", server.addr().port())
}

#[tokio::test]
async fn the_handshake_decides_what_is_spoken_unless_it_is_set() {
    let authority = authority();
    let server = origin(acceptor(&authority)).await;
    for (protocol, version) in [
        (Protocol::Auto, Version::HTTP_2),
        (Protocol::Http1, Version::HTTP_11),
        (Protocol::Http2, Version::HTTP_2),
    ] {
        let transport = Transport::builder()
            .tls(layer(trusting(&authority)))
            .protocol(protocol)
            .build()
            .expect("a transport");
        for is_first in [true, false] {
            let request = transport.get(https(&server)).extension(RecordTimings);
            let response = request.send().await.expect("a response");
            let timings: &Timings = response.extensions().get().expect("as asked for");
            for part in [timings.resolve(), timings.connect(), timings.tls()] {
                assert_eq!(part.is_some(), is_first, "{timings:?}");
                assert!(part.unwrap_or_default() <= timings.queue(), "{timings:?}");
            }
            assert_eq!(timings.proxy(), None);
            assert_eq!(response.version(), version, "{protocol:?}");
            let tls: &TlsInfo = response.extensions().get().expect("what TLS came to");
            assert_eq!(tls.server_name(), Some("localhost"));
            let text = response.text().await.expect("a text");
            assert_eq!(text, format!("{version:?}"));
        }
    }
    assert_eq!(server.connections(), 3, "each is used twice");
}

#[tokio::test]
async fn who_is_not_trusted_gets_no_request() {
    let server = origin(acceptor(&authority())).await;
    let somebody_else = authority();
    let transport = Transport::builder().tls(layer(trusting(&somebody_else)));
    let transport = transport.build().expect("a transport");
    let error = transport.get(https(&server)).send().await;
    let error = error.expect_err("a stranger");
    assert!(error.is_tls() && error.is_connect() && error.is_unsent() && !error.is_timeout());
    assert_eq!(error.phase(), Phase::Tls);
    let cause: &bartizan_tls::Error = find(&error).expect("the cause");
    assert!(cause.is_certificate());
}

#[tokio::test]
async fn https_is_refused_without_tls_before_anything_is_connected() {
    let server = RawServer::start(|_| async {}).await;
    let error = Transport::new().get(https(&server)).send().await;
    let error = error.expect_err("no TLS");
    assert!(error.is_tls() && error.is_unsent());
    assert!(
        error
            .to_string()
            .ends_with("give the transport some by `TransportBuilder::tls`")
    );
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_peer_that_says_nothing_costs_the_time_for_the_handshake() {
    let silent = RawServer::start(|stream| async move {
        let _keeps_it_open = stream;
        future::pending::<()>().await;
    })
    .await;
    let transport = Transport::builder().tls(layer(trusting(&authority())));
    let transport = transport.build().expect("a transport");
    let mut timeouts = Timeouts::new();
    timeouts.tls = Some(Duration::from_millis(50));
    let error = transport
        .get(https(&silent))
        .timeouts(timeouts)
        .send()
        .await;
    let error = error.expect_err("no handshake");
    assert!(error.is_timeout() && error.is_tls() && error.is_unsent());
    assert!(
        error
            .to_string()
            .contains("no TLS within 50ms: tried localhost:"),
        "{error}"
    );
}

#[tokio::test]
async fn profiles_never_share_a_connection() {
    let authority = authority();
    let server = origin(acceptor(&authority)).await;
    let tls = layer(trusting(&authority))
        .profile("no-sni", trusting(&authority).sni(false))
        .expect("settings");
    let transport = Transport::builder().tls(tls).build().expect("a transport");
    let ask = |profile: Option<&'static str>| {
        let mut options = ConnectOptions::new();
        if let Some(profile) = profile {
            options = options.tls_profile(profile);
        }
        transport
            .get(https(&server))
            .connect_options(options)
            .send()
    };
    let usual = ask(None).await.expect("a response");
    let named = ask(Some("no-sni")).await.expect("a response");
    let id = |response: &Response<_>| {
        let info: &ConnectionInfo = response.extensions().get().expect("a connection");
        info.id()
    };
    assert_ne!(id(&usual), id(&named));
    let name = |response: &Response<bartizan_client::ResponseBody>| {
        let tls: &TlsInfo = response.extensions().get().expect("what TLS came to");
        tls.server_name().map(ToOwned::to_owned)
    };
    assert_eq!(name(&usual).as_deref(), Some("localhost"));
    let error = ask(Some("unheard-of")).await.expect_err("no such profile");
    assert!(error.is_tls() && error.to_string().contains("no TLS profile `unheard-of`"));
    assert_eq!(server.connections(), 2);
}

#[cfg(feature = "proxy")]
mod through_proxies {
    use super::*;
    use bartizan_client::proxy::{Proxies, Proxy};
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};

    /// Grants every `CONNECT`, and is a tunnel from then on.
    async fn tunnel(mut client: impl AsyncRead + AsyncWrite + Unpin) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.expect("a head"));
        }
        let head = String::from_utf8(head).expect("a head");
        let target = head.strip_prefix("CONNECT ").expect("a CONNECT");
        let (_, port) = target
            .split_once(' ')
            .expect("a target")
            .0
            .rsplit_once(':')
            .expect("a port");
        let port: u16 = port.parse().expect("a port");
        let mut origin = TcpStream::connect(("127.0.0.1", port))
            .await
            .expect("an origin");
        client
            .write_all(b"HTTP/1.1 200 OK\r\n\r\n")
            .await
            .expect("a client");
        let _ = copy_bidirectional(&mut client, &mut origin).await;
    }

    async fn ask(tls: TlsLayer, server: &RawServer, proxy: String) {
        let proxy: Proxy = proxy.parse().expect("a proxy");
        let transport = Transport::builder()
            .tls(tls)
            .proxies(Proxies::new().all(proxy))
            .build()
            .expect("a transport");
        let response = transport
            .get(https(server))
            .extension(RecordTimings)
            .send()
            .await
            .expect("a response");
        assert_eq!(response.version(), Version::HTTP_2);
        let timings: &Timings = response.extensions().get().expect("as asked for");
        let parts = [timings.connect(), timings.proxy(), timings.tls()];
        let parts: Duration = parts.into_iter().map(|part| part.expect("made")).sum();
        assert!(parts <= timings.queue(), "{timings:?}");
        let tls: &TlsInfo = response.extensions().get().expect("what TLS came to");
        assert_eq!(tls.server_name(), Some("localhost"));
    }

    #[tokio::test]
    async fn tls_is_with_the_origin_through_a_tunnel() {
        let authority = authority();
        let server = origin(acceptor(&authority)).await;
        let proxy = RawServer::start(tunnel).await;
        let uri = format!("http://localhost:{}", proxy.addr().port());
        ask(layer(trusting(&authority)), &server, uri).await;
        assert_eq!(proxy.connections(), 1);
    }

    #[tokio::test]
    async fn tls_is_with_the_proxy_too() {
        let authority = authority();
        let server = origin(acceptor(&authority)).await;
        let acceptor = acceptor(&authority);
        let proxy = RawServer::start(move |stream| {
            let mut acceptor = acceptor.clone();
            async move {
                let stream = Service::<TcpStream>::call(&mut acceptor, stream).await;
                let stream = stream.expect("TLS with the proxy");
                assert_eq!(stream.tls_info().alpn(), Some(&b"http/1.1"[..]));
                tunnel(stream).await;
            }
        })
        .await;
        let uri = format!("https://localhost:{}", proxy.addr().port());
        ask(layer(trusting(&authority)), &server, uri).await;
        assert_eq!(proxy.connections(), 1);
    }
}
