//! What a transport says when it cannot, and what a caller may conclude.

use std::{error::Error as _, future, io, time::Duration};

use bartizan_client::{Error, RequestExt, ResponseExt, Transport};
use bartizan_core::{Body, find};
use bartizan_testing::{BodyHandle, ControlledBody, Loopback, ProbeError, RawServer, refused_addr};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{mpsc, oneshot, oneshot::error::TryRecvError},
};

use crate::transport::{PROTOCOLS, transport};

async fn fail(uri: &str) -> Error {
    let result = Transport::new().get(uri).send().await;
    result.expect_err("no response")
}

/// Reads the head of one request, which has no body.
async fn read_request(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("more of a request"));
    }
}

/// Answers each connection's first request with `answer`, and hangs up.
async fn answering(answer: &'static str) -> RawServer {
    RawServer::start(move |mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(answer.as_bytes()).await.expect("written");
    })
    .await
}

#[tokio::test]
async fn refused() {
    for protocol in PROTOCOLS {
        let addr = refused_addr();
        let uri = format!("http://{addr}/x?secret");
        let result = transport(protocol).post(&uri).send().await;
        let error = result.expect_err("nothing listens there");
        assert!(error.is_connect() && error.is_unsent());
        assert!(!error.is_dns() && !error.is_timeout() && !error.is_builder() && !error.is_body());
        assert_eq!(error.method(), Some(&Method::POST));
        assert_eq!(
            error.uri().expect("a URI").to_string(),
            format!("http://{addr}/x")
        );
        assert_eq!(
            error.to_string(),
            format!(
                "POST http://{addr}/x: connection failed: tried {addr}; check that something listens there"
            )
        );
        let cause = find::<io::Error>(&error).expect("the system's error");
        assert_eq!(cause.kind(), io::ErrorKind::ConnectionRefused);
    }
}

#[tokio::test]
async fn unresolvable() {
    let error = fail("http://x.invalid/").await;
    assert!(error.is_dns() && error.is_connect() && error.is_unsent());
    assert!(
        find::<io::Error>(&error)
            .expect("the cause")
            .to_string()
            .contains("RFC 6761")
    );
}

#[tokio::test]
async fn what_cannot_be_sent_says_why() {
    for (uri, message) in [
        (
            "/x?secret",
            "GET /x: request URI `/x` has no host: use an absolute URL or a BaseUrlLayer",
        ),
        (
            "h:80",
            "GET h:80: request URI `h:80` has no host: use an absolute URL or a BaseUrlLayer",
        ),
        (
            "ftp://h/",
            "GET ftp://h/: request URI `ftp://h/` is not http: this transport sends nothing else",
        ),
        (
            "http://me:secret@h/",
            "GET http://h/: request URI `http://h/` had user information, which is not sent: set the `authorization` header",
        ),
        (
            "http://h:99999/",
            "GET http://h:99999/: request URI `http://h:99999/` has no usable port: give one from 1 to 65535, or none for that of the scheme",
        ),
    ] {
        let error = fail(uri).await;
        assert_eq!(error.to_string(), message);
        assert!(error.is_builder() && error.is_unsent() && !error.is_connect());
        assert!(!format!("{error:?}").contains("secret"));
    }
}

#[tokio::test]
async fn https_without_tls_is_not_sent_in_the_clear() {
    let error = fail("https://h/a?secret").await;
    // What to do about it depends on whether the feature `tls` is there.
    let message = error.to_string();
    assert!(
        message.starts_with("GET https://h/a: https needs TLS, and "),
        "{message}"
    );
    assert!(error.is_tls() && error.is_unsent() && !error.is_builder());
}

#[test]
fn settings_that_cannot_be_say_which() {
    for (builder, field) in [
        (
            Transport::builder().connect_timeout(Duration::ZERO),
            "connect_timeout",
        ),
        (
            Transport::builder().idle_timeout(Duration::ZERO),
            "idle_timeout",
        ),
    ] {
        assert_eq!(builder.build().expect_err("zero").field(), field);
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closed_costs_no_request() {
    let server = RawServer::start(|mut stream: TcpStream| async move {
        read_request(&mut stream).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        stream.write_all(answer).await.expect("written");
        stream.shutdown().await.expect("closed for writing");
        // Until the client has seen that, and closed its own end.
        let rest = stream.read(&mut [0; 1]).await;
        assert_eq!(rest.expect("the end"), 0);
    })
    .await;
    let client = Transport::new();
    for connections in 1..=3 {
        let response = client
            .post(server.uri("/"))
            .send()
            .await
            .expect("a response");
        assert_eq!(response.text().await.expect("a text"), "ok");
        server.closed().await;
        assert_eq!(server.connections(), connections);
    }
}

#[tokio::test]
async fn a_request_that_was_written_is_not_called_unsent() {
    let server = answering("").await;
    let error = fail(&server.uri("/").to_string()).await;
    assert!(!error.is_unsent() && !error.is_connect() && !error.is_timeout());
    assert!(error.source().is_some());
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_response_that_is_no_http_is_an_error() {
    let server = answering("SSH-2.0-OpenSSH\r\n\r\n").await;
    let error = fail(&server.uri("/").to_string()).await;
    assert!(!error.is_unsent() && error.source().is_some());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let server = answering(answer).await;
        let response = Transport::new().get(server.uri("/a?b")).send().await;
        let error = response.expect("a head").bytes().await.expect_err("half");
        assert!(error.is_body() && !error.is_too_large() && !error.is_unsent());
        assert!(error.source().is_some());
        let message = format!("GET {}: the response body broke off", server.uri("/a"));
        assert_eq!(error.to_string(), message);
    }
}

#[tokio::test]
async fn a_body_that_fails_at_the_server_is_an_error_over_both_protocols() {
    for protocol in PROTOCOLS {
        let (started, mut bodies) = mpsc::unbounded_channel::<BodyHandle>();
        let server = Loopback::start(move |_: Request<Body>| {
            let (body, handle) = ControlledBody::new();
            handle.data("half");
            started.send(handle).expect("the test waits");
            future::ready(Response::new(Body::new(body)))
        })
        .await;
        let response = transport(protocol).get(server.uri("/")).send().await;
        let response = response.expect("a head");
        let body = bodies.recv().await.expect("a body");
        body.fail("the disk is gone");
        let error = response.discard().await.expect_err("half");
        assert!(error.is_body(), "{protocol:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_request_body_that_fails_is_told_from_a_connection_that_does() {
    let server = Loopback::start(|request: Request<Body>| async {
        let end = request.into_body().collect().await;
        end.expect_err("the upload breaks off");
        Response::new(Body::empty())
    })
    .await;
    let (body, upload) = ControlledBody::new();
    upload.data("half");
    upload.fail(ProbeError::new("the disk is gone"));
    let request = Transport::new().put(server.uri("/")).body(Body::new(body));
    let error = request.send().await.expect_err("half a request");
    assert!(find::<ProbeError>(&error).is_some(), "{error:?}");
    assert!(
        error.to_string().contains("broke off on this side"),
        "{error}"
    );
    assert!(!error.is_unsent() && !error.is_body());
}

#[tokio::test]
async fn a_length_over_the_limit_fails_before_the_body_comes() {
    // The server sends no body and stays: whoever waited for it would wait for ever.
    let server = RawServer::start(|mut stream: TcpStream| async move {
        read_request(&mut stream).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 16777217\r\n\r\n";
        stream.write_all(answer).await.expect("written");
        future::pending::<()>().await;
    })
    .await;
    let response = Transport::new().get(server.uri("/")).send().await;
    let error = response
        .expect("a head")
        .bytes()
        .await
        .expect_err("too long");
    assert!(error.is_too_large() && error.is_body());
    assert!(error.to_string().contains("16777216 bytes"), "{error}");
}

#[tokio::test]
async fn dropping_the_future_ends_the_request_at_the_server() {
    for protocol in PROTOCOLS {
        let (arrived, mut arrivals) = mpsc::unbounded_channel();
        let server = Loopback::start(move |_: Request<Body>| {
            let (alive, gone) = oneshot::channel::<()>();
            arrived.send(gone).expect("the test waits");
            async move {
                let _alive = alive;
                future::pending().await
            }
        })
        .await;
        let client = transport(protocol);
        let call = tokio::spawn(client.get(server.uri("/")).send());
        let mut gone = arrivals.recv().await.expect("a request");
        assert_eq!(gone.try_recv(), Err(TryRecvError::Empty));
        call.abort();
        gone.await.expect_err("dropped with the handler");
        drop(client);
    }
}
