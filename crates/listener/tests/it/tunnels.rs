//! Connections and streams that were upgraded, and the drain.

use bartizan_core::{Body, BoxError};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower::service_fn;

use crate::support::{Server, bind, raw, rest, within};

const UPGRADE: &[u8] =
    b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";

/// Answers by an upgrade, or to CONNECT, and then sends back what comes, until the peer has no more.
async fn echo(request: Request<Body>) -> Result<Response<Body>, http::Error> {
    let is_connect = request.method() == Method::CONNECT;
    tokio::spawn(async {
        let mut io = TokioIo::new(hyper::upgrade::on(request).await?);
        let mut said = [0; 64];
        loop {
            let read = io.read(&mut said).await?;
            if read == 0 {
                io.shutdown().await?;
                return Ok::<_, BoxError>(());
            }
            io.write_all(&said[..read]).await?;
        }
    });
    let response = if is_connect {
        Response::builder()
    } else {
        Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "echo")
    };
    response.body(Body::empty())
}

/// A connection over which `echo` echoes.
async fn upgraded(server: &Server) -> TcpStream {
    let mut client = raw(server.addr, UPGRADE).await;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(client.read_u8()).await.expect("a response"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    client
}

async fn ping(io: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin)) {
    io.write_all(b"ping").await.expect("it reads");
    let mut pong = [0; 4];
    within(io.read_exact(&mut pong)).await.expect("it answers");
    assert_eq!(&pong, b"ping");
}

#[tokio::test]
async fn an_upgraded_connection_is_waited_for() {
    let server = Server::start(bind().await, service_fn(echo));
    let mut client = upgraded(&server).await;
    ping(&mut client).await;
    assert_eq!(server.handle.in_flight(), 1);
    server.handle.shutdown();
    server.handle.draining().await;
    ping(&mut client).await;
    assert!(!server.serving.is_finished());
    client.shutdown().await.expect("a live socket");
    assert_eq!(server.ended().await, (1, 0));
}

#[tokio::test]
async fn an_upgraded_connection_is_cut_at_the_deadline() {
    let listener = bind()
        .await
        .drain_timeout(std::time::Duration::from_millis(50));
    let server = Server::start(listener, service_fn(echo));
    let mut client = upgraded(&server).await;
    ping(&mut client).await;
    assert_eq!(server.shutdown().await, (0, 1));
    assert_eq!(rest(&mut client).await, b"");
}

/// Who holds it need not even look at it.
#[tokio::test]
async fn an_upgraded_connection_that_nobody_uses_does_not_hold_the_cut() {
    let (give, mut given) = tokio::sync::mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<Body>| {
        let give = give.clone();
        tokio::spawn(async move { give.send(hyper::upgrade::on(request).await) });
        async {
            Response::builder()
                .status(StatusCode::SWITCHING_PROTOCOLS)
                .header(header::CONNECTION, "upgrade")
                .header(header::UPGRADE, "echo")
                .body(Body::empty())
        }
    });
    let server = Server::start(bind().await, service);
    let _client = upgraded(&server).await;
    let held = within(given.recv())
        .await
        .expect("upgraded")
        .expect("no error");
    server.handle.cut();
    assert_eq!(server.ended().await, (0, 1));
    let mut held = TokioIo::new(held);
    held.write_all(b"late").await.expect_err("it is cut");
    held.read_u8().await.expect_err("it is cut");
}

#[tokio::test]
async fn an_upgrade_that_was_over_before_the_drain_is_not_counted() {
    let server = Server::start(bind().await, service_fn(echo));
    let mut client = upgraded(&server).await;
    ping(&mut client).await;
    client.shutdown().await.expect("a live socket");
    assert_eq!(rest(&mut client).await, b"");
    within(async {
        while server.handle.in_flight() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(server.shutdown().await, (0, 0));
}

async fn connected(
    server: &Server,
) -> (
    http2::SendRequest<Empty<Bytes>>,
    TokioIo<hyper::upgrade::Upgraded>,
) {
    let io = TcpStream::connect(server.addr).await.expect("it listens");
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io))
        .await
        .expect("a handshake");
    tokio::spawn(connection);
    let mut connect = Request::connect("localhost:80")
        .body(Empty::new())
        .expect("valid");
    let protocol = hyper::ext::Protocol::from_static("echo");
    *connect.uri_mut() = "http://localhost/".parse().expect("valid");
    connect.extensions_mut().insert(protocol);
    // The client may not before it has read the server's settings (RFC 8441 section 3).
    within(sender.ready()).await.expect("it is open");
    let response = within(async {
        loop {
            match sender.send_request(connect.clone()).await {
                Ok(response) => return response,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    assert_eq!(response.status(), 200);
    let io = hyper::upgrade::on(response).await.expect("a tunnel");
    (sender, TokioIo::new(io))
}

#[tokio::test]
async fn a_stream_that_is_a_tunnel_is_waited_for() {
    let server = Server::start(bind().await, service_fn(echo));
    let (_sender, mut tunnel) = connected(&server).await;
    ping(&mut tunnel).await;
    assert_eq!(server.handle.in_flight(), 1);
    server.handle.shutdown();
    // Longer than a connection without requests is left.
    tokio::time::timeout(std::time::Duration::from_millis(1500), server.handle.wait())
        .await
        .expect_err("the tunnel is open");
    ping(&mut tunnel).await;
    tunnel.shutdown().await.expect("it is open");
    assert_eq!(server.ended().await, (1, 0));
}

#[tokio::test]
async fn a_stream_that_is_a_tunnel_is_cut() {
    let server = Server::start(bind().await, service_fn(echo));
    let (_sender, mut tunnel) = connected(&server).await;
    ping(&mut tunnel).await;
    server.handle.cut();
    assert_eq!(server.ended().await, (0, 1));
    let mut rest = Vec::new();
    // An end, or an error.
    let _ = within(tunnel.read_to_end(&mut rest)).await;
    assert!(rest.is_empty());
}
