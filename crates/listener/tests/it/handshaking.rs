use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    net::SocketAddr,
    time::Duration,
};

use bartizan_core::{Body, BoxError};
use bartizan_listener::{
    Accept, Accepted, ConnectInfo, HandshakeError, HandshakeLayer, Listener, Metered, PeerLimit,
    ProxyProtocol, memory,
};
use http::{Request, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    net::TcpStream,
};
use tower::{Layer, service_fn};

use crate::support::{Server, bind, hello, raw, rest, within};

const CLOSING: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

fn local_proxy() -> ProxyProtocol {
    ProxyProtocol::trusting(["127.0.0.1/32".parse().expect("a network")])
}

async fn client_and_destination(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let info = request.extensions().get::<ConnectInfo>().expect("attached");
    let text = format!("{} {}", info.client(), info.destination());
    Ok(Response::new(Body::from(text)))
}

async fn send(addr: SocketAddr, pieces: &[&[u8]]) -> String {
    let mut io = TcpStream::connect(addr).await.expect("it listens");
    for piece in pieces {
        // It may be closed already.
        let _ = io.write_all(piece).await;
    }
    String::from_utf8(rest(&mut io).await).expect("text")
}

#[tokio::test]
async fn a_proxy_says_who_it_is_in_both_versions() {
    let listener = bind().await.proxy_protocol(local_proxy());
    let server = Server::start(listener, service_fn(client_and_destination));
    let v1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n";
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\x12\x67\0\x50";
    for header in [&v1[..], &v2[..]] {
        let answer = send(server.addr, &[header, CLOSING]).await;
        assert!(
            answer.ends_with("192.0.2.7:4711 198.51.100.1:80"),
            "{answer}"
        );
    }
    // Its own health check: nobody else's connection.
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    let answer = send(server.addr, &[local, CLOSING]).await;
    assert!(
        answer.ends_with(&format!(" {}", server.addr)) && answer.contains("127.0.0.1:"),
        "{answer}"
    );
    server.shutdown().await;
}

#[tokio::test]
async fn without_its_header_a_proxy_is_not_served() {
    let listener = bind().await.proxy_protocol(local_proxy());
    let server = Server::start(listener, service_fn(hello));
    assert_eq!(send(server.addr, &[CLOSING]).await, "");
    assert_eq!(server.handle.stats().handshakes_failed, 1);
    server.shutdown().await;
}

#[tokio::test]
async fn from_others_a_header_is_refused_and_none_is_fine() {
    let nobody = ProxyProtocol::trusting(["192.0.2.0/24".parse().expect("a network")]);
    let server = Server::start(bind().await.proxy_protocol(nobody), service_fn(hello));
    let header = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n";
    assert_eq!(send(server.addr, &[header, CLOSING]).await, "");
    assert!(send(server.addr, &[CLOSING]).await.ends_with("hello"));
    assert_eq!(server.handle.stats().handshakes_failed, 1);
    server.shutdown().await;
}

#[tokio::test]
async fn clients_behind_a_proxy_are_limited_one_by_one() {
    let limit = PeerLimit::new(0).try_prefixes(32, 64).expect("valid");
    let listener = bind().await.proxy_protocol(local_proxy()).handshake(limit);
    let server = Server::start(listener, service_fn(hello));
    let header = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n";
    assert_eq!(send(server.addr, &[header, CLOSING]).await, "");
    let stats = server.handle.stats();
    assert_eq!((stats.refused, stats.handshakes_failed), (1, 0));
    server.shutdown().await;
}

#[tokio::test]
async fn silent_peers_hold_up_nobody() {
    let listener = bind().await.proxy_protocol(local_proxy());
    let server = Server::start(listener, service_fn(hello));
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(raw(server.addr, b"PROX").await);
    }
    let header = b"PROXY UNKNOWN\r\n";
    assert!(
        send(server.addr, &[header, CLOSING])
            .await
            .ends_with("hello")
    );
    assert_eq!(server.handle.stats().handshakes_under_way, 50);
    drop(silent);
    server.shutdown().await;
}

/// Over what takes no real time.
fn paused<H>(
    listen: impl FnOnce(Listener<bartizan_listener::Memory>) -> H,
) -> (H, bartizan_listener::Connector) {
    let (listener, connector) = Listener::in_memory();
    (listen(listener), connector)
}

#[tokio::test(start_paused = true)]
async fn one_deadline_over_all_handshakes() {
    let slow = service_fn(|accepted: Accepted<Metered<DuplexStream>>| async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok::<_, BoxError>(accepted)
    });
    let (listener, connector) = paused(|listener| {
        listener
            .handshake(slow)
            .handshake(slow)
            .handshake_timeout(Duration::from_secs(5))
    });
    let handle = listener.handle();
    let serving = tokio::spawn(listener.serve(service_fn(hello)));
    let start = tokio::time::Instant::now();
    let mut io = connector.connect().await.expect("it listens");
    let mut answer = String::new();
    io.read_to_string(&mut answer).await.expect("the end");
    assert_eq!((start.elapsed().as_secs(), answer.as_str()), (5, ""));
    assert_eq!(handle.stats().handshakes_failed, 1);
    handle.shutdown();
    serving.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_place_is_on_the_clock() {
    let never = service_fn(|accepted: Accepted<Metered<DuplexStream>>| async {
        pending::<()>().await;
        Ok::<_, BoxError>(accepted)
    });
    let (listener, connector) = paused(|listener| {
        listener
            .handshake(never)
            .max_handshakes(1)
            .handshake_timeout(Duration::from_secs(5))
    });
    let handle = listener.handle();
    let serving = tokio::spawn(listener.serve(service_fn(hello)));
    let start = tokio::time::Instant::now();
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(connector.connect().await.expect("it listens"));
    }
    for mut client in clients {
        client
            .read_to_end(&mut Vec::new())
            .await
            .expect("it is closed");
    }
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(handle.stats().handshakes_failed, 3);
    handle.shutdown();
    serving.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_a_handshake() {
    let never = service_fn(|accepted: Accepted<Metered<DuplexStream>>| async {
        pending::<()>().await;
        Ok::<_, BoxError>(accepted)
    });
    let (listener, connector) = paused(|listener| {
        listener
            .handshake(never)
            .handshake_timeout(Duration::from_secs(3600))
    });
    let handle = listener.handle();
    let serving = tokio::spawn(listener.serve(service_fn(hello)));
    let mut client = connector.connect().await.expect("it listens");
    while handle.stats().handshakes_under_way == 0 {
        tokio::task::yield_now().await;
    }
    let start = tokio::time::Instant::now();
    handle.shutdown();
    let drained = serving.await.expect("no panic");
    assert_eq!((drained.drained, drained.cut), (0, 0));
    assert_eq!(start.elapsed().as_secs(), 1);
    let read = client.read_to_end(&mut Vec::new()).await;
    assert_eq!(read.expect("it is closed"), 0);
    assert_eq!(handle.stats().connections, 0);
}

/// What it reads is in the transport after it; what it knows is with every request.
#[tokio::test]
async fn tls_leaves_what_it_knows_to_the_requests() {
    #[derive(Clone)]
    struct Certificate(&'static str);

    // Stands for an acceptor: `Service<IO>`.
    let acceptor = service_fn(|mut io: Metered<DuplexStream>| async move {
        let mut hello = [0; 5];
        io.read_exact(&mut hello).await?;
        Ok::<_, std::io::Error>((Certificate("ada"), io))
            .map(|(certificate, io)| Tls(io, certificate.0))
    });
    let (listener, connector) = Listener::in_memory();
    let listener = listener.tls(acceptor, |tls: &Tls<_>, info| {
        info.set_tls(Some(b"h2"));
        info.extensions_mut().insert(Certificate(tls.1));
    });
    let handle = listener.handle();
    let serving = tokio::spawn(
        listener.serve(service_fn(|request: Request<Body>| async move {
            let extensions = request.extensions();
            let info = extensions.get::<ConnectInfo>().expect("attached");
            assert!(info.is_tls());
            assert_eq!(info.alpn(), Some(&b"h2"[..]));
            let certificate = extensions.get::<Certificate>().expect("attached");
            Ok::<_, Infallible>(Response::new(Body::from(certificate.0)))
        })),
    );
    let mut io = connector.connect().await.expect("it listens");
    io.write_all(b"HELLO").await.expect("it reads");
    io.write_all(CLOSING).await.expect("it reads");
    let mut answer = String::new();
    within(io.read_to_string(&mut answer)).await.expect("text");
    assert!(answer.ends_with("ada"), "{answer}");
    drop(io);
    handle.shutdown();
    within(serving).await.expect("no panic");
}

/// A transport that is another type than what it is made of.
struct Tls<IO>(IO, &'static str);

impl<IO: tokio::io::AsyncRead + Unpin> tokio::io::AsyncRead for Tls<IO> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<IO: tokio::io::AsyncWrite + Unpin> tokio::io::AsyncWrite for Tls<IO> {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_performs_them_side_by_side_over_any_stream() {
    let (incoming, connector) = memory();
    let word = service_fn(|mut accepted: Accepted<DuplexStream>| async move {
        accepted.io.read_u8().await?;
        Ok::<_, std::io::Error>(accepted)
    });
    let mut incoming = HandshakeLayer::new(word)
        .timeout(Duration::from_secs(5))
        .max(2)
        .layer(incoming);
    let _silent = connector.connect().await.expect("it listens");
    let mut quick = connector.connect().await.expect("it listens");
    quick.write_u8(1).await.expect("it reads");
    let start = tokio::time::Instant::now();
    let accepted = poll_fn(|cx| incoming.poll_accept(cx)).await;
    accepted.expect("the silent one holds up nobody");
    assert_eq!(start.elapsed().as_secs(), 0);
    let error = poll_fn(|cx| incoming.poll_accept(cx)).await;
    let error = error.expect_err("it said nothing");
    assert!(error.as_handshake().is_some_and(HandshakeError::is_timeout));
    assert_eq!(start.elapsed().as_secs(), 5);
}
