//! The servers serve, and fail the test when it deserves it.

use std::{io::ErrorKind, net::SocketAddr, sync::Arc};

use bartizan_core::{Body, BoxError};
use bartizan_testing::{ControlledBody, Loopback, RawServer, refused_addr};
use http::{Request, Response, Uri, Version};
use http_body_util::BodyExt;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{mpsc, oneshot},
};

use crate::panic_of;

fn get(uri: &Uri) -> Request<Body> {
    Request::get(uri)
        .header("host", "localhost")
        .body(Body::empty())
        .expect("a request")
}

async fn connect(addr: SocketAddr) -> TokioIo<TcpStream> {
    let stream = TcpStream::connect(addr).await;
    TokioIo::new(stream.expect("a server that listens"))
}

async fn h1(server: &Loopback) -> http1::SendRequest<Body> {
    let stream = connect(server.addr()).await;
    let (sender, connection) = http1::handshake(stream).await.expect("a connection");
    tokio::spawn(connection.with_upgrades());
    sender
}

async fn h2(server: &Loopback) -> http2::SendRequest<Body> {
    let stream = connect(server.addr()).await;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), stream)
        .await
        .expect("a connection");
    tokio::spawn(connection);
    sender
}

async fn text(response: Response<hyper::body::Incoming>) -> Result<String, BoxError> {
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec())?)
}

async fn echo() -> Loopback {
    Loopback::start(|request| async move {
        let version = request.version();
        let mut response = Response::new(request.into_body());
        *response.version_mut() = version;
        response
    })
    .await
}

#[tokio::test]
async fn speaks_http1_and_counts() {
    let server = echo().await;
    let mut client = h1(&server).await;
    for n in 1..=2 {
        let mut request = get(&server.uri("/"));
        *request.body_mut() = Body::from("hello");
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.version(), Version::HTTP_11);
        assert_eq!(text(response).await.unwrap(), "hello");
        assert_eq!((server.requests(), server.connections()), (n, 1));
    }
    assert_eq!(server.open_connections(), 1);
    drop(client);
    server.closed().await;
    assert_eq!(server.open_connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn speaks_http2_and_serves_streams_at_once() {
    let (started, mut both_started) = mpsc::channel(2);
    let gate = Arc::new(tokio::sync::Barrier::new(3));
    let server = Loopback::start({
        let gate = gate.clone();
        move |request| {
            let (gate, started) = (gate.clone(), started.clone());
            async move {
                started.send(()).await.unwrap();
                gate.wait().await;
                Response::new(Body::from(request.uri().path().to_owned()))
            }
        }
    })
    .await;
    let client = h2(&server).await;
    let calls = ["/a", "/b"].map(|path| {
        let mut client = client.clone();
        let uri = server.uri(path);
        tokio::spawn(async move { text(client.send_request(get(&uri)).await?).await })
    });
    for _ in 0..2 {
        both_started.recv().await.unwrap();
    }
    gate.wait().await;
    let [a, b] = calls;
    assert_eq!(a.await.unwrap().unwrap(), "/a");
    assert_eq!(b.await.unwrap().unwrap(), "/b");
    assert_eq!((server.requests(), server.connections()), (2, 1));
}

#[tokio::test]
async fn a_panic_in_a_handler_fails_the_test() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let server = Loopback::start(|_| async { panic!("the handler's own words") }).await;
        let request = get(&server.uri("/"));
        let failed = if version == Version::HTTP_2 {
            h2(&server).await.send_request(request).await
        } else {
            h1(&server).await.send_request(request).await
        };
        assert!(failed.is_err());
        let message = panic_of(|| drop(server));
        assert!(message.starts_with("Loopback at 127.0.0.1:"), "{message}");
        assert!(message.ends_with("the handler's own words"), "{message}");
    }
}

#[tokio::test]
async fn a_panic_elsewhere_is_not_made_worse() {
    let server = Loopback::start(|_| async { panic!("in the handler") }).await;
    let sent = h1(&server).await.send_request(get(&server.uri("/"))).await;
    assert!(sent.is_err());
    let message = panic_of(move || {
        let _server = server;
        panic!("in the test");
    });
    assert_eq!(message, "in the test");
}

#[tokio::test]
async fn a_broken_protocol_fails_the_test_unless_it_is_allowed() {
    for allowed in [false, true] {
        let server = echo().await;
        if allowed {
            server.allow_protocol_errors();
        }
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        stream.write_all(b"GET / HTTP/x\r\n\r\n").await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        server.closed().await;
        if allowed {
            drop(server);
        } else {
            let message = panic_of(|| drop(server));
            assert!(message.contains("the peer broke the protocol"), "{message}");
        }
    }
}

#[tokio::test]
async fn a_broken_http2_frame_is_a_broken_protocol() {
    let server = echo().await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    // RFC 9113 section 6.5: SETTINGS on a stream other than 0 is a connection error.
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\x01")
        .await
        .unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    drop(stream);
    server.closed().await;
    let message = panic_of(|| drop(server));
    assert!(message.contains("the peer broke the protocol"), "{message}");
}

#[tokio::test]
async fn peers_may_leave_at_any_time() {
    let server = echo().await;
    // Before it sends anything, within the head, and within the body.
    for sent in [
        "",
        "GET / HT",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        drop(stream);
    }
    let mut client = h2(&server).await;
    let call = client.send_request(get(&server.uri("/")));
    drop(call);
    drop(client);
    while server.connections() < 5 {
        tokio::task::yield_now().await;
    }
    server.closed().await;
}

#[tokio::test]
async fn a_handler_whose_call_was_dropped_is_dropped_too() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let (guards, mut running) = mpsc::unbounded_channel();
        let server = Loopback::start(move |_| {
            let (guard, dropped) = oneshot::channel::<()>();
            guards.send(dropped).unwrap();
            async move {
                let _guard = guard;
                std::future::pending().await
            }
        })
        .await;
        let request = get(&server.uri("/"));
        let call = if version == Version::HTTP_2 {
            let mut client = h2(&server).await;
            tokio::spawn(async move { client.send_request(request).await })
        } else {
            let mut client = h1(&server).await;
            tokio::spawn(async move { client.send_request(request).await })
        };
        let dropped = running.recv().await.unwrap();
        call.abort();
        dropped.await.unwrap_err();
    }
}

#[tokio::test]
async fn a_body_that_fails_is_the_handlers_choice() {
    let (bodies, mut sent) = mpsc::unbounded_channel();
    let server = Loopback::start(move |_| {
        let (body, handle) = ControlledBody::new();
        bodies.send(handle).unwrap();
        async { Response::new(Body::new(body)) }
    })
    .await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let request = get(&server.uri("/"));
        let response = if version == Version::HTTP_2 {
            h2(&server).await.send_request(request).await
        } else {
            h1(&server).await.send_request(request).await
        };
        let handle = sent.recv().await.unwrap();
        handle.data("half");
        handle.fail("on purpose");
        assert!(text(response.unwrap()).await.is_err());
    }
    server.closed().await;
}

#[tokio::test]
async fn dropping_the_server_ends_its_tasks() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let (guards, mut running) = mpsc::unbounded_channel();
        let server = Loopback::start(move |_| {
            let (guard, dropped) = oneshot::channel::<()>();
            guards.send(dropped).unwrap();
            async move {
                let _guard = guard;
                std::future::pending().await
            }
        })
        .await;
        let addr = server.addr();
        let request = get(&server.uri("/"));
        let (mut one, mut two) = (h1(&server).await, h2(&server).await);
        let call = tokio::spawn(async move {
            if version == Version::HTTP_2 {
                two.send_request(request).await
            } else {
                one.send_request(request).await
            }
        });
        let dropped = running.recv().await.unwrap();
        drop(server);
        dropped.await.unwrap_err();
        assert!(call.await.unwrap().is_err());
        let refused = TcpStream::connect(addr).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
}

#[tokio::test]
async fn a_connection_can_be_upgraded() {
    let server = Loopback::start(|mut request| async move {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgrade.await.unwrap());
            stream.write_all(b"not HTTP").await.unwrap();
        });
        Response::builder()
            .status(101)
            .header("connection", "upgrade")
            .header("upgrade", "test")
            .body(Body::empty())
            .unwrap()
    })
    .await;
    let mut client = h1(&server).await;
    let mut request = get(&server.uri("/"));
    request
        .headers_mut()
        .insert("connection", "upgrade".parse().unwrap());
    request
        .headers_mut()
        .insert("upgrade", "test".parse().unwrap());
    let response = client.send_request(request).await.unwrap();
    let mut stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "not HTTP");
}

#[tokio::test]
async fn a_raw_server_says_anything() {
    let server = RawServer::start(|mut stream| async move {
        stream.write_all(b"ICY 200 OK\r\n\r\n").await.unwrap();
    })
    .await;
    let stream = TcpStream::connect(server.addr()).await.unwrap();
    let (mut client, connection) = http1::handshake::<_, Body>(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    assert!(client.send_request(get(&server.uri("/"))).await.is_err());
    server.closed().await;
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_panic_in_a_raw_handler_fails_the_test() {
    let server = RawServer::start(|_| async { panic!("raw words") }).await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let _ = stream.read(&mut [0; 1]).await;
    server.closed().await;
    let message = panic_of(|| drop(server));
    assert!(message.starts_with("RawServer at 127.0.0.1:"), "{message}");
    assert!(message.ends_with("raw words"), "{message}");
}

#[tokio::test]
async fn refused_addresses_are_refused_and_never_the_same() {
    let (one, two) = (refused_addr(), refused_addr());
    assert_ne!(one, two);
    for addr in [one, two] {
        let error = TcpStream::connect(addr).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
}
