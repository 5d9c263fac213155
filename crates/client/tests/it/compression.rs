//! Bodies that are smaller on the wire.

use bartizan_client::{
    Error, RequestExt, ResponseExt,
    compression::{
        Coding, CompressionLayer, CompressionService, Decompressed, Decompression,
        DecompressionLayer, DecompressionService,
    },
};
use bartizan_core::{Body, BoxError};
use bartizan_testing::{ControlledBody, Loopback, contract};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use std::{convert::Infallible, sync::Arc};
use tower::{Service, ServiceBuilder, service_fn};

/// What a [`CompressionLayer`] sends for a stream of `data`, whether it gets smaller or not.
async fn encode(coding: Coding, data: impl Into<Bytes> + Send + 'static) -> Bytes {
    let data = Body::from_stream(futures_util::stream::iter([Ok::<_, Infallible>(data)]));
    let inner = service_fn(|request: Request<Body>| async {
        Ok::<_, BoxError>(Response::new(
            request.into_body().collect().await?.to_bytes(),
        ))
    });
    let client = CompressionLayer::new(coding).min_size(0);
    let client = ServiceBuilder::new().layer(client).service(inner);
    let response = client.post("http://h/").body(data).send().await;
    response.expect("an encoding").into_body()
}

/// A client of a server that answers everything with this.
fn answering(
    codings: &'static str,
    body: Bytes,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone
{
    service_fn(move |_: Request<Body>| {
        let response = Response::builder()
            .header("content-encoding", codings)
            .header("content-length", body.len())
            .body(body.clone().into());
        async { Ok(response.expect("a response")) }
    })
}

#[tokio::test]
async fn every_coding_is_undone() {
    let text = "a text that says a text that says a text ".repeat(100);
    for coding in Coding::ALL {
        let encoded = encode(coding, text.clone()).await;
        assert!(encoded.len() < text.len() / 10, "{coding:?}");
        let length = encoded.len() as u64;
        let client = DecompressionService::new(answering(coding.name(), encoded));
        let response = client.get("http://h/").send().await.expect("a response");
        assert!(!response.headers().contains_key("content-encoding"));
        assert!(!response.headers().contains_key("content-length"));
        let was: &Decompressed = response.extensions().get().expect("what it was");
        assert_eq!(
            (was.codings(), was.wire_length()),
            (&[coding][..], Some(length))
        );
        assert_eq!(response.text().await.expect("a text"), text);
    }
}

/// Seen in tower-http: `gzip, gzip` is handed on undecoded.
#[tokio::test]
async fn stacked_codings_are_undone() {
    let once = encode(Coding::Gzip, "twice").await;
    let twice = encode(Coding::Gzip, once).await;
    for name in ["gzip, gzip", "GZIP,x-gzip"] {
        let client = DecompressionService::new(answering(name, twice.clone()));
        let response = client.get("http://h/").send().await.expect("a response");
        assert_eq!(response.text().await.expect("a text"), "twice");
    }
}

/// Seen in reqwest: 298 KiB of gzip inflate to 300 MiB.
#[tokio::test]
async fn a_bomb_is_stopped() {
    for coding in Coding::ALL {
        let bomb = encode(coding, vec![0; 64 * 1024 * 1024]).await;
        assert!(bomb.len() < 100 * 1024, "{coding:?}: {}", bomb.len());
        let wire = bomb.len() as u64;
        let client = DecompressionService::new(answering(coding.name(), bomb));
        let response = client.get("http://h/").send().await.expect("a response");
        let mut body = response.into_body();
        let mut decoded = 0;
        let error: Error = loop {
            match body.frame().await.expect("an error before the end") {
                Ok(frame) => decoded += frame.into_data().expect("data").len() as u64,
                Err(error) => break error,
            }
        };
        assert!(error.is_too_large() && error.is_body(), "{error}");
        // 1 MiB is free, and what was decoded at once.
        assert!(
            decoded <= (200 * wire).max(1024 * 1024) + 64 * 1024,
            "{coding:?}: {decoded}"
        );
        assert!(body.is_end_stream() && body.frame().await.is_none());
    }
}

#[tokio::test]
async fn the_size_of_what_is_decoded_is_limited() {
    let encoded = encode(Coding::Gzip, "0123456789").await;
    for (limit, is_ok) in [(10, true), (9, false)] {
        let layer = DecompressionLayer::builder().max_decoded(limit);
        let layer = layer.build().expect("a limit");
        let service = answering("gzip", encoded.clone());
        let client = ServiceBuilder::new().layer(layer).service(service);
        let response = client.get("http://h/").send().await.expect("a response");
        let text = response.text().await;
        assert_eq!(text.is_ok(), is_ok);
        if let Err(error) = text {
            assert!(error.is_too_large(), "{error}");
        }
    }
}

#[tokio::test]
async fn what_is_not_what_it_says_is_an_error() {
    let client = DecompressionService::new(answering("gzip", "no gzip at all".into()));
    let response = client.get("http://h/").send().await.expect("a response");
    let error = response.text().await.expect_err("no gzip");
    assert!(error.is_decode() && !error.is_body());
    assert_eq!(
        error.to_string(),
        "GET http://h/: the response body is not the `gzip` that it says it is"
    );
    assert!(std::error::Error::source(&error).is_some());

    let cut = encode(Coding::Brotli, "a text").await.slice(..5);
    let client = DecompressionService::new(answering("br", cut));
    let response = client.get("http://h/").send().await.expect("a response");
    let error = response.text().await.expect_err("half of it");
    assert_eq!(
        error.to_string(),
        "GET http://h/: the response body ends within its content coding `br`"
    );

    let client = DecompressionService::new(answering("br,br,br,br,br", "x".into()));
    let error = client.get("http://h/").send().await.expect_err("too often");
    assert!(error.is_decode());
}

#[tokio::test]
async fn what_is_not_known_passes() {
    for coding in ["compress", "gzip, rot13"] {
        let client = DecompressionService::new(answering(coding, "raw".into()));
        let response = client.get("http://h/").send().await.expect("a response");
        assert_eq!(response.headers()["content-encoding"], coding);
        assert_eq!(response.text().await.expect("a text"), "raw");
    }
}

#[tokio::test]
async fn who_asks_for_codings_or_a_range_gets_them() {
    let echo = service_fn(|request: Request<Body>| async move {
        let mut response = Response::new(Body::from("raw"));
        response
            .headers_mut()
            .insert("content-encoding", HeaderValue::from_static("gzip"));
        let accepted = request.headers().get("accept-encoding").cloned();
        if let Some(accepted) = accepted {
            response.headers_mut().insert("x-accepted", accepted);
        }
        Ok::<_, Infallible>(response)
    });
    let client = DecompressionService::new(echo);
    for (name, value) in [("accept-encoding", "gzip"), ("range", "bytes=0-1")] {
        let response = client.get("http://h/").header(name, value).send().await;
        let response = response.expect("a response");
        let accepted = response.headers().get("x-accepted").cloned();
        assert_eq!(accepted.is_some(), name == "accept-encoding");
        assert_eq!(response.text().await.expect("a text"), "raw");
    }
    let off = client.get("http://h/").extension(Decompression::Off);
    let response = off.send().await.expect("a response");
    assert!(!response.headers().contains_key("x-accepted"));
    assert_eq!(response.text().await.expect("a text"), "raw");

    let always = client.get("http://h/").header("accept-encoding", "gzip");
    let response = always.extension(Decompression::Always).send().await;
    let response = response.expect("a response");
    assert_eq!(response.headers()["x-accepted"], "gzip");
    assert!(response.text().await.expect_err("no gzip").is_decode());
}

#[tokio::test]
async fn what_has_no_body_or_a_part_of_one_passes() {
    let client = DecompressionService::new(answering("gzip", "raw".into()));
    let head = client.head("http://h/").send().await.expect("a response");
    assert_eq!(head.headers()["content-length"], "3");

    let part = service_fn(|_: Request<Body>| async {
        let response = Response::builder().status(StatusCode::PARTIAL_CONTENT);
        let response = response.header("content-encoding", "gzip");
        Ok::<_, Infallible>(response.body(Body::from("raw")).expect("a response"))
    });
    let client = DecompressionService::new(part);
    let response = client.get("http://h/").extension(Decompression::Always);
    let response = response.send().await.expect("a response");
    assert_eq!(response.text().await.expect("a text"), "raw");

    let client = DecompressionService::new(answering("gzip", Bytes::new()));
    let response = client.get("http://h/").send().await.expect("a response");
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert_eq!(response.text().await.expect("a text"), "");
}

#[tokio::test]
async fn trailers_arrive_after_what_is_decoded() {
    let encoded = encode(Coding::Zstd, "data").await;
    let (body, handle) = ControlledBody::new();
    let body = std::sync::Mutex::new(Some(body));
    let server = service_fn(move |_: Request<Body>| {
        let body = body.lock().expect("no panic").take().expect("one call");
        let response = Response::builder()
            .header("content-encoding", "zstd")
            .body(body);
        async { Ok::<_, Infallible>(response.expect("a response")) }
    });
    let mut client = DecompressionService::new(server);
    let request = Request::get("http://h/").body(Body::empty());
    let response = client.call(request.expect("a request")).await;
    for byte in &encoded {
        handle.data(Bytes::copy_from_slice(&[*byte]));
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("1"));
    handle.trailers(trailers.clone());
    let read = response.expect("a response").into_body().collect().await;
    let read = read.expect("a body");
    assert_eq!(read.trailers(), Some(&trailers));
    assert_eq!(read.to_bytes(), "data");
}

#[tokio::test]
async fn the_stream_of_a_request_is_seen_as_it_is_sent() {
    let (body, handle) = ControlledBody::new();
    let server = Loopback::start(|request: Request<Body>| async move {
        assert_eq!(request.headers()["content-encoding"], "gzip");
        let encoded = request.into_body();
        // Back as it came.
        let response = Response::builder()
            .header("content-encoding", "gzip")
            .body(encoded);
        response.expect("a response")
    })
    .await;
    let client = ServiceBuilder::new()
        .layer(DecompressionLayer::new())
        .layer(CompressionLayer::new(Coding::Gzip))
        .service(bartizan_client::Transport::new());
    handle.data("first");
    let request = client.post(server.uri("/")).body(Body::new(body));
    let response = request.send().await.expect("a response");
    let mut echoed = response.into_body();
    let mut seen = Vec::new();
    while seen != b"first" {
        let frame = echoed.frame().await.expect("more").expect("data");
        seen.extend_from_slice(&frame.into_data().expect("data"));
    }
    handle.data(" second");
    handle.end();
    let rest = echoed.collect().await.expect("the rest").to_bytes();
    assert_eq!(rest, " second");
}

#[tokio::test]
async fn only_what_gets_smaller_is_compressed() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let server = service_fn(move |request: Request<Body>| {
        let encoding = request.headers().get("content-encoding").cloned();
        log.lock().expect("no panic").push(encoding);
        async { Ok::<_, Infallible>(Response::new(())) }
    });
    let client = CompressionLayer::new(Coding::Brotli);
    let client = ServiceBuilder::new().layer(client).service(server);
    let long = "again ".repeat(1_000);
    let mut random = fastrand::Rng::with_seed(1);
    let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
        .take(2_000)
        .collect();
    let post = || client.post("http://h/");
    for (request, expected) in [
        (post().text(long.clone()), Some("br")),
        (post().text("short"), None),
        (post(), None),
        (
            post().header("content-encoding", "x").text(long.clone()),
            Some("x"),
        ),
        (
            post()
                .header("content-type", "image/png")
                .text(long.clone()),
            None,
        ),
        (
            post().header("content-type", "image/svg+xml").text(long),
            Some("br"),
        ),
        (post().body(noise), None),
    ] {
        request.send().await.expect("an answer");
        let encoding = seen.lock().expect("no panic").pop().expect("a call");
        assert_eq!(
            encoding.as_ref().map(HeaderValue::as_bytes),
            expected.map(str::as_bytes)
        );
    }
}

contract! {
    mod decompression {
        layer: DecompressionService::new,
        request: || Request::get("http://h/").body(Body::empty()).expect("a request"),
        response: || Response::new(Body::empty()),
    }

    mod compression {
        layer: |probe| {
            let layer = CompressionLayer::new(Coding::Gzip);
            let service: CompressionService<_> = tower::Layer::layer(&layer, probe);
            service
        },
        request: || Request::get("http://h/").body(Body::empty()).expect("a request"),
        response: || Response::new(Body::empty()),
    }
}
