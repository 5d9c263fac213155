//! HTTP as it is spoken: its versions, the listener's own headers, and trailers.

use std::convert::Infallible;

use bartizan_core::{Body, BoxError};
use bartizan_listener::Protocols;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use tower::service_fn;

use crate::{
    limits::{SHORT, answer, settings, with},
    support::{Server, bind, get, h1, h2, hello, raw, rest, text},
    wire::{self, DATA, END_HEADERS, HEADERS, Wire, frame},
};

#[tokio::test]
async fn only_what_is_to_be_spoken_is() {
    let server = Server::start(
        with(settings().protocols(Protocols::Http1)).await,
        service_fn(hello),
    );
    assert_eq!(
        text(
            h1(server.addr)
                .await
                .send_request(get("/"))
                .await
                .expect("a response")
        )
        .await,
        "hello"
    );
    let mut wire = Wire::connect(server.addr, &[]).await;
    wire.send(&wire::get(1)).await;
    let answer = rest(&mut wire.io).await;
    assert!(!answer.starts_with(&[0, 0]), "no frames: {answer:?}");
    server.shutdown().await;

    let listener = with(settings().protocols(Protocols::Http2).linger(SHORT)).await;
    let server = Server::start(listener, service_fn(hello));
    assert_eq!(
        text(
            h2(server.addr)
                .await
                .send_request(get("/"))
                .await
                .expect("a response")
        )
        .await,
        "hello"
    );
    let mut client = raw(server.addr, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let answer = rest(&mut client).await;
    assert!(!answer.starts_with(b"HTTP/1"), "{answer:?}");
    server.shutdown().await;
}

#[tokio::test]
async fn responses_say_when_and_by_whom_as_it_is_set() {
    let own = service_fn(|request: Request<Body>| async move {
        let mut response = Response::new(Body::empty());
        if request.uri().path() == "/own" {
            response
                .headers_mut()
                .insert(header::SERVER, HeaderValue::from_static("own"));
        }
        Ok::<_, Infallible>(response)
    });
    for (settings, path, server_header, date) in [
        (settings(), "/", None, true),
        (
            settings().server_header("it").date_header(false),
            "/",
            Some("it"),
            false,
        ),
        (settings().server_header("it"), "/own", Some("own"), true),
    ] {
        let server = Server::start(with(settings).await, own);
        for response in [
            h1(server.addr).await.send_request(get(path)).await,
            h2(server.addr).await.send_request(get(path)).await,
        ] {
            let headers = response.expect("a response").headers().clone();
            assert_eq!(
                headers.get(header::SERVER).map(HeaderValue::as_bytes),
                server_header.map(str::as_bytes)
            );
            assert_eq!(headers.contains_key(header::DATE), date);
        }
        server.shutdown().await;
    }
}

#[tokio::test]
async fn trailers_go_both_ways() {
    let echo = service_fn(|request: Request<Body>| async move {
        let collected = request.into_body().collect().await?;
        let trailers = collected.trailers().cloned();
        let body = Full::new(collected.to_bytes()).with_trailers(async { trailers.map(Ok) });
        Ok::<_, BoxError>(Response::new(Body::new(body)))
    });
    let server = Server::start(bind().await, echo);
    let request = "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntransfer-encoding: chunked\r\ntrailer: x\r\nconnection: close\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n";
    let answer = answer(&server, request.as_bytes()).await;
    // HTTP/1.1 sends those that a response has announced.
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

    let mut wire = Wire::connect(server.addr, &[]).await;
    wire.send(&frame(HEADERS, END_HEADERS, 1, &wire::head("POST", "/")))
        .await;
    wire.send(&frame(DATA, 0, 1, b"hello")).await;
    wire.send(&frame(HEADERS, END_HEADERS | 1, 1, &wire::field("x", "y")))
        .await;
    let head = wire.until(HEADERS).await.expect("a head");
    assert_eq!(head.flags & 1, 0);
    let data = wire.until(DATA).await.expect("a body");
    assert_eq!(data.payload, b"hello");
    let trailers = wire.until(HEADERS).await.expect("trailers");
    assert_eq!(trailers.flags & 1, 1, "they end the stream");
    drop(wire);
    server.shutdown().await;
}
