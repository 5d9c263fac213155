//! How long targets, header sections and bodies may be.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use axum::{Router, body::Bytes, routing};
use http::{HeaderValue, Method};
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::service_fn;

use super::{answer, read, settings, with};
use crate::support::{Server, bind, get, h1, h2, hello, raw, rest, within};

#[tokio::test]
async fn a_target_that_is_too_long_is_a_414() {
    let server = Server::start(bind().await, service_fn(hello));
    let longest = format!("/{}", "x".repeat(4095));
    let mut one = h1(server.addr).await;
    let mut two = h2(server.addr).await;
    for (path, status) in [(&longest[..], 200), (&format!("{longest}x"), 414)] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = answer(&server, request.as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert_eq!(answer.contains("application/problem+json"), status == 414);
    }
    // A client sends the authority with it over HTTP/2: 16 bytes.
    for (path, status) in [(&longest[15..], 414), (&longest[16..], 200)] {
        let path = format!("/{}", &path[1..]);
        let response = two.send_request(get(&path)).await.expect("a response");
        assert_eq!(response.status(), status);
    }
    assert_eq!(
        one.send_request(get("/"))
            .await
            .expect("a response")
            .status(),
        200
    );
    // hyper's own answer, before all of it is read.
    let answer = answer(&server, format!("GET /{}", "x".repeat(70_000)).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    drop((one, two));
    server.shutdown().await;
}

#[tokio::test]
async fn a_header_section_that_is_too_large_is_a_431() {
    let server = Server::start(bind().await, service_fn(hello));
    let request =
        |fields: &str| format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{fields}\r\n");
    let rest = "hosta".len() + "connectionclose".len() + 2 * 4;
    let fits = "x".repeat(8192 - rest - "x".len() - 4);
    for (fields, status, is_ours) in [
        (format!("x: {fits}\r\n"), 200, false),
        (format!("x: {fits}x\r\n"), 431, true),
        (format!("x: {}\r\n", "x".repeat(30_000)), 431, false),
        ("x: y\r\n".repeat(98), 200, false),
        ("x: y\r\n".repeat(99), 431, false),
    ] {
        let answer = answer(&server, request(&fields).as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert_eq!(answer.contains("application/problem+json"), is_ours);
    }
    let mut two = h2(server.addr).await;
    for (length, status) in [(8000, 200), (8300, 431), (15_900, 431)] {
        let mut request = get("/");
        request.headers_mut().insert(
            "x",
            HeaderValue::from_bytes(&vec![b'x'; length]).expect("valid"),
        );
        let response = two.send_request(request).await.expect("a response");
        assert_eq!(response.status(), status, "{length}");
    }
    let mut request = get("/");
    for _ in 0..100 {
        request
            .headers_mut()
            .append("x", HeaderValue::from_static("y"));
    }
    let response = two.send_request(request).await.expect("a response");
    assert_eq!(response.status(), 431);
    drop(two);
    server.shutdown().await;
}

#[tokio::test]
async fn a_body_that_says_it_is_too_long_is_refused_before_it_is_sent() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let service = service_fn(move |request| {
        counter.fetch_add(1, SeqCst);
        read(request)
    });
    let server = Server::start(with(settings().max_body_bytes(5)).await, service);
    let request = |length| {
        format!(
            "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let answer = answer(&server, request(6).as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 413 "),
        "nobody is to continue: {answer}"
    );
    assert!(answer.contains("\r\nconnection: close\r\n"));
    let mut two = h2(server.addr).await;
    for (body, status) in [("12345", 200), ("123456", 413)] {
        let mut post = get("/").map(|_| Full::from(body));
        *post.method_mut() = Method::POST;
        let response = two.send_request(post).await.expect("a response");
        assert_eq!(response.status(), status);
    }
    assert_eq!(calls.load(SeqCst), 1);
    // What is allowed is asked for.
    let mut client = raw(server.addr, request(5).as_bytes()).await;
    let mut asked = [0; 25];
    within(client.read_exact(&mut asked))
        .await
        .expect("an answer");
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"12345").await.expect("it reads");
    let mut begin = [0; 15];
    within(client.read_exact(&mut begin))
        .await
        .expect("an answer");
    assert_eq!(&begin, b"HTTP/1.1 200 OK");
    drop((client, two));
    server.shutdown().await;
}

#[tokio::test]
async fn a_body_that_turns_out_too_long_is_a_413() {
    let post = |length: usize| {
        let body = format!("{length:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(length));
        format!(
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n{body}"
        )
    };
    let server = Server::start(with(settings().max_body_bytes(5)).await, service_fn(read));
    for (length, status) in [(5, 200), (6, 413)] {
        let answer = answer(&server, post(length).as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
    server.shutdown().await;

    // axum knows the error, too.
    let router = Router::new().route(
        "/",
        routing::post(|body: Bytes| async move { body.len().to_string() }),
    );
    let listener = with(settings().max_body_bytes(5)).await;
    let (addr, handle) = (listener.local_addr(), listener.handle());
    let serving = tokio::spawn(listener.serve(router));
    for (length, status) in [(5, 200), (6, 413)] {
        let mut client = raw(addr, post(length).as_bytes()).await;
        let answer = rest(&mut client).await;
        assert!(answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()));
    }
    handle.shutdown();
    within(serving).await.expect("no panic");
}
