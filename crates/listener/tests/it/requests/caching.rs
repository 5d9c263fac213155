//! 304, 412, and what caches are told.

use std::convert::Infallible;

use axum::{Router, http::HeaderMap, routing::get};
use bartizan_core::{Body, BoxError};
use bartizan_listener::caching::{CacheControl, CacheControlLayer, ConditionalLayer};
use bartizan_testing::ControlledBody;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use tower::{Layer, ServiceExt, service_fn};

use super::{axum, request, text};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

async fn document(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let response = Response::builder()
        .status(if request.uri().path() == "/gone" {
            410
        } else {
            200
        })
        .header("etag", "\"v1\"")
        .header("last-modified", DATE)
        .header("content-type", "text/plain")
        .header("content-length", "4")
        .header("vary", "accept")
        .header("set-cookie", "a=b");
    Ok(response.body(Body::from("text")).expect("valid"))
}

#[tokio::test]
async fn what_the_service_validates() {
    let service = ConditionalLayer::new().layer(service_fn(document));
    for (method, uri, fields, status) in [
        ("GET", "/", &[][..], 200),
        ("GET", "/", &[("if-none-match", "\"v1\"")], 304),
        ("HEAD", "/", &[("if-none-match", "W/\"v1\"")], 304),
        ("GET", "/", &[("if-none-match", "\"v2\"")], 200),
        ("GET", "/", &[("if-modified-since", DATE)], 304),
        (
            "GET",
            "/",
            &[("if-none-match", "\"v2\""), ("if-modified-since", DATE)],
            200,
        ),
        ("GET", "/", &[("if-match", "\"v2\"")], 412),
        ("POST", "/", &[("if-none-match", "\"v1\"")], 200),
        ("GET", "/gone", &[("if-none-match", "\"v1\"")], 410),
    ] {
        let response = service.oneshot(request(method, uri, fields)).await;
        let response = response.expect("infallible");
        assert_eq!(response.status(), status, "{method} {uri} {fields:?}");
        if status == 304 {
            assert!(response.body().is_end_stream());
            for (name, is_kept) in [
                ("etag", true),
                ("last-modified", true),
                ("vary", true),
                ("set-cookie", true),
                ("content-type", false),
                ("content-length", false),
            ] {
                assert_eq!(response.headers().contains_key(name), is_kept, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn validators_of_its_own() {
    let service = |limit: usize| {
        let fixed = service_fn(|request: Request<Body>| async move {
            Ok::<_, Infallible>(Response::new(Body::from(request.uri().path().to_owned())))
        });
        ConditionalLayer::new().hash_up_to(limit).layer(fixed)
    };
    let first = service(100)
        .oneshot(request("GET", "/text", &[]))
        .await
        .expect("infallible");
    let tag = first.headers()["etag"].to_str().expect("text").to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    assert_eq!(first.body().size_hint().exact(), Some(5));
    assert_eq!(text(first).await, "/text");

    let again = request("GET", "/text", &[("if-none-match", &tag)]);
    let again = service(100).oneshot(again).await.expect("infallible");
    assert_eq!(again.status(), 304);
    assert_eq!(again.headers()["etag"], tag.as_str());
    let other = request("GET", "/other", &[("if-none-match", &tag)]);
    let other = service(100).oneshot(other).await.expect("infallible");
    assert_eq!(other.status(), 200);

    for (limit, method) in [(4, "GET"), (0, "GET"), (100, "HEAD"), (100, "POST")] {
        let response = service(limit).oneshot(request(method, "/text", &[])).await;
        let response = response.expect("infallible");
        assert!(!response.headers().contains_key("etag"), "{method} {limit}");
        assert_eq!(text(response).await, "/text");
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_not_read() {
    let (body, handle) = ControlledBody::new();
    let mut body = Some(Body::new(body));
    let service =
        ConditionalLayer::new()
            .hash_up_to(100)
            .layer(service_fn(move |_: Request<Body>| {
                let body = body.take().expect("called once");
                async move { Ok::<_, Infallible>(Response::new(body)) }
            }));
    let response = service
        .oneshot(request("GET", "/", &[]))
        .await
        .expect("infallible");
    assert!(!response.headers().contains_key("etag"));
    handle.data("streamed");
    handle.end();
    assert_eq!(text(response).await, "streamed");
}

/// Says that it has five bytes, and then does what it likes.
struct Liar(Vec<Result<&'static str, &'static str>>);

impl http_body::Body for Liar {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        let next = self.0.pop();
        std::task::Poll::Ready(next.map(|frame| match frame {
            Ok(data) => Ok(http_body::Frame::data(Bytes::from(data))),
            Err(error) => Err(error.into()),
        }))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(5)
    }
}

#[tokio::test]
async fn a_body_that_fails_or_lies_is_a_500() {
    for frames in [
        vec![Err("broken"), Ok("he")],
        vec![Ok("and more"), Ok("hello")],
    ] {
        let mut body = Some(Body::new(Liar(frames)));
        let service = service_fn(move |_: Request<Body>| {
            let body = body.take().expect("called once");
            async move { Ok::<_, Infallible>(Response::new(body)) }
        });
        let service = ConditionalLayer::new().hash_up_to(5).layer(service);
        let response = service
            .oneshot(request("GET", "/", &[]))
            .await
            .expect("infallible");
        assert_eq!(response.status(), 500);
    }
}

#[tokio::test]
async fn what_caches_are_told() {
    let layer = CacheControlLayer::new(CacheControl::new().private().no_cache());
    for (status, own, expected) in [
        (200, None, Some("private, no-cache")),
        (304, None, Some("private, no-cache")),
        (200, Some("public"), Some("public")),
        (404, None, None),
        (500, None, None),
        (302, None, None),
    ] {
        let service = service_fn(move |_: Request<Body>| async move {
            let mut response = Response::builder().status(status);
            if let Some(own) = own {
                response = response.header("cache-control", own);
            }
            Ok::<_, Infallible>(response.body(Body::empty()).expect("valid"))
        });
        let response = layer.layer(service).oneshot(request("GET", "/", &[])).await;
        let response = response.expect("infallible");
        let told = response.headers().get("cache-control");
        assert_eq!(
            told.map(|told| told.to_str().expect("text")),
            expected,
            "{status}"
        );
    }
    assert_eq!(CacheControl::new().to_header(), None);
}

#[tokio::test]
async fn in_axum() {
    async fn handler(headers: HeaderMap) -> (StatusCode, &'static str) {
        assert!(!headers.is_empty());
        (StatusCode::OK, "text")
    }
    let router: Router = Router::new()
        .route("/", get(handler))
        .layer(CacheControlLayer::new(CacheControl::no_store()))
        .layer(ConditionalLayer::new().hash_up_to(1000));
    let mut tag = "\"none\"".to_owned();
    for status in [200, 304] {
        let request = axum(request("GET", "/", &[("if-none-match", &tag)]));
        let response = router.clone().oneshot(request).await.expect("infallible");
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["cache-control"], "no-store");
        tag = response.headers()["etag"]
            .to_str()
            .expect("text")
            .to_owned();
    }
}
