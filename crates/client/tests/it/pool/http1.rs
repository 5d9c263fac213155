//! What goes over an HTTP/1.1 connection, and when it can be used again.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bartizan_client::{
    ConnectionInfo, Protocol, ResponseExt,
    connect::{Alpn, Connected, Connection, Destination},
    pool::Pool,
};
use bartizan_core::Body;
use bartizan_testing::{ControlledBody, Loopback};
use futures_util::future;
use http::{Method, Request, Response, StatusCode, Uri, Version, header};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex},
    sync::mpsc,
};
use tower::{Service, ServiceExt};

use super::{Pipes, Wire, get, over_tcp, serve, until};

/// A peer that answers each request with the bytes of its head.
async fn mirror(mut stream: DuplexStream) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let length = head.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.expect("written");
        stream.write_all(&head).await.expect("written");
    }
}

async fn mirrored(pool: &Pool, request: Request<Body>) -> String {
    let response = pool.clone().oneshot(request).await.expect("a response");
    response.text().await.expect("text")
}

#[tokio::test]
async fn requests_have_the_form_that_their_peer_reads() {
    let direct = Pool::new(Pipes::new(mirror));
    let proxied = Connected::new().with_proxied(true);
    let proxied = Pool::new(Pipes::new(mirror).with_connected(proxied));
    for (uri, path, host) in [
        ("http://h/a?b", "/a?b", "h"),
        ("http://h:80", "/", "h"),
        ("http://h:8080/", "/", "h:8080"),
        ("http://h?q", "/?q", "h"),
        ("http://[::1]:9/x", "/x", "[::1]:9"),
    ] {
        let head = mirrored(&direct, get(uri)).await;
        assert_eq!(head, format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        let head = mirrored(&proxied, get(uri)).await;
        assert!(
            head.starts_with("GET http://h") || head.starts_with("GET http://["),
            "{head}"
        );
    }
    let own = Request::get("http://h/").header("host", "virtual");
    let head = mirrored(&direct, own.body(Body::empty()).expect("a request")).await;
    assert_eq!(head, "GET / HTTP/1.1\r\nhost: virtual\r\n\r\n");
}

#[tokio::test]
async fn a_proxy_that_reads_requests_is_sent_its_credentials_and_nobody_else_is() {
    let credentials = http::HeaderValue::from_static("Basic eDp5");
    for (is_proxied, expected) in [(true, true), (false, false)] {
        let connected = Connected::new()
            .with_proxied(is_proxied)
            .with_proxy_authorization(Some(credentials.clone()));
        let pool = Pool::new(Pipes::new(mirror).with_connected(connected));
        let head = mirrored(&pool, get("http://h/")).await;
        let is_sent = head.contains("proxy-authorization: Basic eDp5\r\n");
        assert_eq!(is_sent, expected, "{head}");
    }
}

#[tokio::test]
async fn what_the_handshake_agrees_on_is_spoken() {
    for (alpn, protocol, version) in [
        (None, Protocol::Auto, Version::HTTP_11),
        (Some(Alpn::Http1), Protocol::Auto, Version::HTTP_11),
        (Some(Alpn::Http2), Protocol::Auto, Version::HTTP_2),
        (None, Protocol::Http2, Version::HTTP_2),
    ] {
        let server = |stream| serve(stream, |_| async { Response::new(Body::empty()) });
        let pipes = Pipes::new(server).with_connected(Connected::new().with_alpn(alpn));
        let pool = Pool::builder()
            .protocol(protocol)
            .build(pipes.clone())
            .expect("valid");
        let calls = (0..5).map(|_| pool.clone().oneshot(get("https://h/")));
        for response in future::join_all(calls).await {
            let response = response.expect("a response");
            let info = response.extensions().get::<ConnectionInfo>().expect("one");
            assert_eq!(info.version(), version, "{alpn:?} {protocol:?}");
        }
        let expected = if version == Version::HTTP_2 { 1 } else { 5 };
        assert_eq!(pipes.count(), expected, "the first one says what is spoken");
    }
}

#[tokio::test]
async fn what_is_known_of_a_connection_is_known_of_its_responses() {
    #[derive(Clone, Debug, PartialEq)]
    struct Certificate(u8);
    let mut connected = Connected::new();
    connected.extensions_mut().insert(Certificate(7));
    let pool = Pool::new(Pipes::new(mirror).with_connected(connected));
    for carried in 0..2 {
        let response = pool.clone().oneshot(get("http://h/")).await;
        let response = response.expect("a response");
        assert_eq!(response.extensions().get(), Some(&Certificate(7)));
        let info = response.extensions().get::<ConnectionInfo>().expect("one");
        assert_eq!((info.carried(), info.local_addr()), (carried, None));
        response.discard().await.expect("the end");
    }
}

#[tokio::test]
async fn a_poisoned_connection_is_not_used_again() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        // While it carries the request, and after.
        for is_late in [false, true] {
            let server = |stream| serve(stream, |_| async { Response::new(Body::from("ok")) });
            let pipes = Pipes::new(server);
            let pool = Pool::builder().protocol(protocol).build(pipes.clone());
            let pool = pool.expect("valid");
            for connections in 1..=3 {
                let response = pool.clone().oneshot(get("http://h/")).await;
                let response = response.expect("a response");
                let info = response.extensions().get::<ConnectionInfo>().cloned();
                let info = info.expect("one");
                if !is_late {
                    info.poison();
                }
                response.discard().await.expect("the end");
                until(&pool, |stats| stats.in_flight == 0).await;
                info.poison();
                assert_eq!(pipes.count(), connections, "{protocol:?} {is_late}");
            }
        }
    }
}

/// The next request after one is over does not cost a connection that nobody uses, though it came a moment too soon.
#[tokio::test]
async fn a_connection_that_comes_free_at_once_is_waited_for() {
    let pipes = Pipes::new(mirror);
    let pool = Pool::new(pipes.clone());
    let uri = Uri::from_static("http://h/");
    let mut origin = pool.origin(Destination::of(&uri).expect("an origin"));
    let ready = ServiceExt::<Request<Body>>::ready(&mut origin).await;
    ready.expect("a connection");
    let next = pool.clone().call(get("http://h/"));
    drop(origin);
    let response = next.await.expect("a response");
    response.discard().await.expect("the end");
    until(&pool, |stats| stats.connecting == 0).await;
    let stats = pool.stats();
    assert_eq!((pipes.count(), stats.dialed, stats.idle), (1, 1, 1));
}

/// Its response is over, but nobody knows when it will be.
#[tokio::test(start_paused = true)]
async fn a_connection_whose_upload_goes_on_holds_nobody_up() {
    let server = |stream| {
        serve(stream, |request: Request<Body>| async move {
            tokio::spawn(http_body_util::BodyExt::collect(request.into_body()));
            Response::new(Body::from("enough"))
        })
    };
    let pipes = Pipes::new(server);
    let pool = Pool::new(pipes.clone());
    let (body, upload) = ControlledBody::new();
    upload.data("and then nothing");
    let request = Request::put("http://h/").body(Body::new(body));
    let response = pool.clone().oneshot(request.expect("a request")).await;
    let response = response.expect("a response");
    let began = tokio::time::Instant::now();
    response.discard().await.expect("the end");
    let response = pool.clone().oneshot(get("http://h/")).await;
    assert_eq!(response.expect("a response").status(), 200);
    assert_eq!((began.elapsed(), pipes.count()), (Duration::ZERO, 2));
    drop(upload);
}

/// A server whose one body ends when the test says so.
async fn streaming() -> (
    Loopback,
    mpsc::UnboundedReceiver<bartizan_testing::BodyHandle>,
) {
    let (bodies, handles) = mpsc::unbounded_channel();
    let server = Loopback::start(move |_: Request<Body>| {
        let (body, handle) = ControlledBody::new();
        handle.data("begun");
        bodies.send(handle).expect("the test waits");
        future::ready(Response::new(Body::new(body)))
    })
    .await;
    (server, handles)
}

#[tokio::test]
async fn a_dropped_body_that_ends_soon_keeps_its_connection() {
    let (server, mut bodies) = streaming().await;
    let pool = over_tcp(Pool::builder());
    for _ in 0..3 {
        let response = pool.clone().oneshot(get(server.uri("/"))).await;
        let handle = bodies.recv().await.expect("a body");
        drop(response.expect("a head"));
        handle.data("more");
        handle.end();
        until(&pool, |stats| stats.idle == 1).await;
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_dropped_body_that_does_not_end_closes_its_connection() {
    let (server, mut bodies) = streaming().await;
    let limits = Pool::builder().drain_limits(1_000, Duration::from_millis(20));
    let pool = over_tcp(limits);
    let response = pool.clone().oneshot(get(server.uri("/"))).await;
    let _handle = bodies.recv().await.expect("a body");
    drop(response.expect("a head"));
    until(&pool, |stats| stats.connections() == 0).await;
    server.closed().await;
}

#[tokio::test]
async fn a_dropped_body_that_is_long_closes_its_connection() {
    let (server, mut bodies) = streaming().await;
    let limits = Pool::builder().drain_limits(1_000, Duration::from_secs(60));
    let pool = over_tcp(limits);
    let response = pool.clone().oneshot(get(server.uri("/"))).await;
    let handle = bodies.recv().await.expect("a body");
    drop(response.expect("a head"));
    handle.data(vec![0; 2_000]);
    until(&pool, |stats| stats.connections() == 0).await;
}

#[tokio::test]
async fn a_stuck_upload_leaks_no_permit() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let server = |stream| {
            serve(stream, |request: Request<Body>| async move {
                // Answers without waiting for the upload, and takes it for as long as it comes.
                tokio::spawn(http_body_util::BodyExt::collect(request.into_body()));
                Response::new(Body::from("enough"))
            })
        };
        let pool = Pool::builder()
            .protocol(protocol)
            .max_connections_per_origin(1)
            .drain_limits(1_000, Duration::from_millis(20))
            .build(Pipes::new(server))
            .expect("valid");
        for _ in 0..3 {
            let (body, upload) = ControlledBody::new();
            upload.data("and then nothing");
            let request = Request::put("http://h/")
                .body(Body::new(body))
                .expect("a request");
            let response = pool.clone().oneshot(request).await.expect("a response");
            assert_eq!(response.text().await.expect("text"), "enough");
            until(&pool, |stats| stats.in_flight == 0).await;
            drop(upload);
        }
        let request = Request::put("http://h/").body(Body::from("whole"));
        let response = pool.clone().oneshot(request.expect("a request")).await;
        response
            .expect("a response")
            .discard()
            .await
            .expect("the end");
        until(&pool, |stats| stats.in_flight == 0).await;
    }
}

#[tokio::test]
async fn an_upload_that_moves_is_not_stuck() {
    let server = |stream| {
        serve(stream, |request: Request<Body>| async move {
            tokio::spawn(http_body_util::BodyExt::collect(request.into_body()));
            Response::new(Body::from("go on"))
        })
    };
    let pool = Pool::builder()
        .drain_limits(1_000, Duration::from_millis(50))
        .build(Pipes::new(server))
        .expect("valid");
    let (body, upload) = ControlledBody::new();
    upload.data("one");
    let request = Request::put("http://h/")
        .body(Body::new(body))
        .expect("a request");
    let response = pool.clone().oneshot(request).await.expect("a response");
    response.discard().await.expect("the end");
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        upload.data("more");
    }
    upload.end();
    until(&pool, |stats| stats.idle == 1).await;
}

#[tokio::test]
async fn an_upgraded_connection_is_the_callers_and_still_counts() {
    let server = Loopback::start(|mut request: Request<Body>| async move {
        tokio::spawn(async move {
            let upgraded = hyper::upgrade::on(&mut request).await.expect("upgraded");
            let mut stream = TokioIo::new(upgraded);
            let byte = stream.read_u8().await.expect("a byte");
            stream.write_u8(byte + 1).await.expect("written");
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let upgrade = header::HeaderValue::from_static("count");
        response.headers_mut().insert(header::UPGRADE, upgrade);
        response
    })
    .await;
    let pool = over_tcp(Pool::builder());
    let request = Request::get(server.uri("/"))
        .header("connection", "upgrade")
        .header("upgrade", "count")
        .body(Body::empty());
    let response = pool.clone().oneshot(request.expect("a request")).await;
    let response = response.expect("a response");
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let upgraded = hyper::upgrade::on(response).await.expect("upgraded");
    let mut stream = TokioIo::new(upgraded);
    stream.write_u8(1).await.expect("written");
    assert_eq!(stream.read_u8().await.expect("a byte"), 2);
    let stats = pool.stats();
    assert_eq!((stats.in_use, stats.in_flight), (1, 0));
    drop(stream);
    assert_eq!(pool.stats().connections(), 0);
}

#[tokio::test]
async fn connect_opens_a_tunnel() {
    let pool = Pool::new(Pipes::new(|mut stream: DuplexStream| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a head"));
        }
        let head = String::from_utf8(head).expect("text");
        assert!(head.starts_with("CONNECT h:8443 HTTP/1.1\r\n"), "{head}");
        let answer = b"HTTP/1.1 200 Connected\r\n\r\n";
        stream.write_all(answer).await.expect("written");
        let byte = stream.read_u8().await.expect("a byte");
        stream.write_u8(byte + 1).await.expect("written");
    }));
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri("http://h:8443/")
        .body(Body::empty());
    let response = pool.clone().oneshot(request.expect("a request")).await;
    let upgraded = hyper::upgrade::on(response.expect("a response")).await;
    let mut stream = TokioIo::new(upgraded.expect("a tunnel"));
    stream.write_u8(1).await.expect("written");
    assert_eq!(stream.read_u8().await.expect("a byte"), 2);
}

/// The connection of a response that a second runtime reads is driven by the first: nothing hangs when that ends.
#[test]
fn a_runtime_that_ends_takes_its_connections_with_it() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
    };
    let (servers, first, second) = (runtime(), runtime(), runtime());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("bound");
    listener.set_nonblocking(true).expect("a socket");
    std::thread::spawn(move || {
        servers.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    while super::stale::read_request(&mut stream).await {
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                        stream.write_all(answer).await.expect("written");
                    }
                });
            }
        });
    });
    let pool = over_tcp(Pool::builder());
    let call = || pool.clone().oneshot(get(format!("http://{addr}/")));
    drop(first.block_on(call()).expect("a response"));
    drop(first);
    drop(second.block_on(call()).expect("a response"));
    assert_eq!(pool.stats().dialed, 2);
}

/// Counts the writes of several pieces.
struct Pieces {
    wire: Wire,
    writes: Arc<AtomicUsize>,
}

impl Connection for Pieces {
    fn connected(&self) -> Connected {
        self.wire.connected()
    }
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_read(cx, buf)
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, buf)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, SeqCst);
        Pin::new(&mut self.wire).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_small_request_is_written_in_one_piece() {
    let writes = Arc::new(AtomicUsize::new(0));
    let of_connector = Arc::clone(&writes);
    let connector = tower::service_fn(move |_: Destination| {
        let (ours, theirs) = duplex(1 << 20);
        tokio::spawn(serve(theirs, |request: Request<Body>| async move {
            Response::new(request.into_body())
        }));
        let wire = Wire(ours, Connected::new());
        let writes = Arc::clone(&of_connector);
        std::future::ready(Ok::<_, io::Error>(Pieces { wire, writes }))
    });
    let pool = Pool::builder().build(connector).expect("valid settings");
    for (body, at_once) in [("", true), ("small", true), (&"large".repeat(1000), false)] {
        let request = Request::post("http://a/").body(Body::from(body.to_owned()));
        let call = pool.clone().oneshot(request.expect("a request"));
        let echoed = call.await.expect("a response").text().await.expect("whole");
        assert_eq!(echoed, body);
        assert_eq!(writes.swap(0, SeqCst) == 0, at_once, "{}", body.len());
    }
}
