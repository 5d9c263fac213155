//! Paths, methods, ids, compression.

use std::convert::Infallible;

use axum::{Router, routing::get};
use bartizan_core::Body;
use bartizan_listener::{
    catch_panic::CatchPanicLayer,
    methods::{AutoOptionsLayer, MethodsLayer},
    path::{CanonicalPathLayer, EncodedSlash},
    request_id::{RequestId, RequestIdLayer},
};
use http::{Method, Request, Response};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use super::{axum, echo, request, text};

#[tokio::test]
async fn paths() {
    for (uri, status, expected) in [
        ("/a/../b?x=../y", 200, "/b?x=../y"),
        ("http://h.example//a", 200, "http://h.example/a"),
        ("http://h.example", 200, "http://h.example/"),
        ("/a%2Fb", 400, ""),
        ("/%00", 400, ""),
    ] {
        let service = CanonicalPathLayer::new().layer(echo());
        let response = service
            .oneshot(request("GET", uri, &[]))
            .await
            .expect("infallible");
        assert_eq!(response.status(), status, "{uri}");
        if status == 200 {
            assert_eq!(text(response).await, expected);
        }
    }
    let layer = CanonicalPathLayer::new()
        .encoded_slash(EncodedSlash::Keep)
        .redirect(true);
    for (uri, status, location) in [
        ("/a%2Fb", 200, None),
        ("/a%2fb", 308, Some("/a%2Fb")),
        ("//evil.example/%2e%2e", 308, Some("/")),
        ("///evil.example", 308, Some("/evil.example")),
        ("/a/./b?c=d", 308, Some("/a/b?c=d")),
    ] {
        let response = layer.layer(echo()).oneshot(request("PUT", uri, &[])).await;
        let response = response.expect("infallible");
        assert_eq!(response.status(), status, "{uri}");
        let found = response.headers().get("location");
        assert_eq!(found.map(|found| found.to_str().expect("text")), location);
    }
    // Neither has a path.
    for (method, uri) in [("OPTIONS", "*"), ("CONNECT", "h.example:443")] {
        let service = CanonicalPathLayer::new().layer(echo());
        let response = service
            .oneshot(request(method, uri, &[]))
            .await
            .expect("infallible");
        assert_eq!(text(response).await, uri);
    }
}

#[tokio::test]
async fn methods() {
    let layer = MethodsLayer::new([Method::GET, Method::POST, Method::GET]);
    for (method, status) in [
        ("GET", 200),
        ("HEAD", 200),
        ("POST", 200),
        ("OPTIONS", 204),
        ("PUT", 405),
        ("X", 405),
    ] {
        let response = layer.layer(echo()).oneshot(request(method, "/", &[])).await;
        let response = response.expect("infallible");
        assert_eq!(response.status(), status, "{method}");
        if status != 200 {
            assert_eq!(response.headers()["allow"], "GET, HEAD, POST, OPTIONS");
        }
    }
    let own = MethodsLayer::new([Method::OPTIONS]).layer(echo());
    let response = own
        .oneshot(request("OPTIONS", "/", &[]))
        .await
        .expect("infallible");
    assert_eq!(
        response.status(),
        200,
        "it is let through where it is listed"
    );
}

#[tokio::test]
async fn automatic_options() {
    for (method, status, allow, expected, expected_allow) in [
        (
            "OPTIONS",
            405,
            Some("GET, PUT"),
            204,
            Some("GET,PUT,OPTIONS"),
        ),
        ("OPTIONS", 405, Some("OPTIONS"), 204, Some("OPTIONS")),
        ("OPTIONS", 405, Some(""), 204, Some("OPTIONS")),
        ("OPTIONS", 405, None, 405, None),
        ("OPTIONS", 200, None, 200, None),
        ("OPTIONS", 404, None, 404, None),
        ("DELETE", 405, Some("GET"), 405, Some("GET,OPTIONS")),
    ] {
        let service = service_fn(move |_: Request<Body>| async move {
            let mut response = Response::builder()
                .status(status)
                .header("content-length", "2");
            if let Some(allow) = allow {
                response = response.header("allow", allow);
            }
            Ok::<_, Infallible>(response.body(Body::from("no")).expect("valid"))
        });
        let service = AutoOptionsLayer::new().layer(service);
        let response = service
            .oneshot(request(method, "/", &[]))
            .await
            .expect("infallible");
        assert_eq!(response.status(), expected, "{method} {allow:?}");
        let found = response.headers().get("allow");
        assert_eq!(
            found.map(|found| found.to_str().expect("text")),
            expected_allow
        );
        let has_content = expected != 204;
        assert_eq!(
            response.headers().contains_key("content-length"),
            has_content
        );
        assert_eq!(text(response).await.is_empty(), !has_content);
    }
}

/// axum writes `Allow` outside of what `Router::layer` wraps: only round the router is there an answer to be made of it.
#[tokio::test]
async fn options_of_a_router_are_answered_round_it_and_not_in_it() {
    let routes = || -> Router {
        Router::new()
            .route("/a", get(|| async { "here" }).put(|| async {}))
            .route("/own", get(|| async {}).options(|| async { "mine" }))
    };
    let within = routes().layer(AutoOptionsLayer::new());
    let round = AutoOptionsLayer::new().layer(routes());
    let built = ServiceBuilder::new()
        .layer(AutoOptionsLayer::new())
        .service(routes());
    // A router once more, where more layers or `nest` need one.
    let nested: Router = Router::new().fallback_service(round.clone());

    for (method, path, status, allow) in [
        ("OPTIONS", "/a", 204, Some("GET,HEAD,PUT,OPTIONS")),
        ("DELETE", "/a", 405, Some("GET,HEAD,PUT,OPTIONS")),
        ("OPTIONS", "/own", 200, None),
        ("OPTIONS", "/nowhere", 404, None),
        ("GET", "/a", 200, None),
    ] {
        let ask = || axum(request(method, path, &[]));
        for response in [
            round.clone().oneshot(ask()).await,
            built.clone().oneshot(ask()).await,
            nested.clone().oneshot(ask()).await,
        ] {
            let response = response.expect("infallible");
            assert_eq!(response.status(), status, "{method} {path}");
            let found = response.headers().get("allow");
            assert_eq!(
                found.map(|found| found.to_str().expect("text")),
                allow,
                "{method} {path}"
            );
        }
    }
    let response = within.oneshot(axum(request("OPTIONS", "/a", &[]))).await;
    let response = response.expect("infallible");
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "GET,HEAD,PUT");
}

#[tokio::test]
async fn ids_are_kept_only_if_they_look_like_one() {
    let id = service_fn(|request: Request<Body>| async move {
        let id = request
            .extensions()
            .get::<RequestId>()
            .expect("it has one")
            .clone();
        assert_eq!(request.headers().get_all("x-request-id").iter().count(), 1);
        assert_eq!(&request.headers()["x-request-id"], id.header_value());
        Ok::<_, Infallible>(Response::new(Body::from(id.to_string())))
    });
    for (layer, sent, is_kept) in [
        (RequestIdLayer::new(), &["abc"][..], false),
        (RequestIdLayer::new().accept(true), &["abc"], true),
        (
            RequestIdLayer::new().accept(true),
            &["abc\" admin=\""],
            false,
        ),
        (RequestIdLayer::new().accept(true), &["abc", "def"], false),
        (RequestIdLayer::new().accept(true), &[""], false),
        (RequestIdLayer::new().accept(true), &[], false),
    ] {
        let fields: Vec<_> = sent.iter().map(|&id| ("x-request-id", id)).collect();
        let response = layer.layer(id).oneshot(request("GET", "/", &fields)).await;
        let response = response.expect("infallible");
        let told = response.headers()["x-request-id"]
            .to_str()
            .expect("text")
            .to_owned();
        assert_eq!(text(response).await, told);
        assert_eq!(sent.first() == Some(&told.as_str()), is_kept, "{sent:?}");
    }
    assert!(RequestIdLayer::try_named("no such name").is_err());
}

#[tokio::test]
async fn all_of_them_round_one_router() {
    let router: Router = Router::new()
        .route("/a", get(|| async { "here" }))
        .layer(CatchPanicLayer::new())
        .layer(RequestIdLayer::new());
    let service = CanonicalPathLayer::new().layer(AutoOptionsLayer::new().layer(router));
    let response = service.oneshot(axum(request("GET", "//a/./", &[]))).await;
    // The slash at the end stays, and axum has no such route.
    let response = response.expect("infallible");
    assert_eq!(response.status(), 404);
    assert!(response.headers().contains_key("x-request-id"));
}

#[cfg(feature = "compression")]
mod compression {
    use axum::{Router, routing::post};
    use bartizan_core::Body;
    use bartizan_listener::compression;
    use tower::ServiceExt;

    use super::super::{axum, request, text};

    /// One mebibyte of zeros, gzipped.
    fn bomb() -> Vec<u8> {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder
            .write_all(&vec![0; 1 << 20])
            .expect("a vector takes all");
        encoder.finish().expect("a vector takes all")
    }

    #[tokio::test]
    async fn a_bomb_goes_off_at_the_limit() {
        assert!(bomb().len() < 2048);
        for (limit, status) in [(1 << 20, 200), ((1 << 20) - 1, 413), (2048, 413)] {
            let (decompress, limited) = compression::requests(limit);
            let router: Router = Router::new()
                .route(
                    "/",
                    post(|body: axum::body::Bytes| async move { body.len().to_string() }),
                )
                .layer(limited)
                .layer(decompress);
            let request = request("POST", "/", &[("content-encoding", "gzip")]);
            let response = router
                .oneshot(axum(request.map(|_| Body::from(bomb()))))
                .await;
            let response = response.expect("infallible");
            assert_eq!(response.status(), status, "{limit}");
            if status == 200 {
                assert_eq!(text(response).await, "1048576");
            }
        }
    }

    #[tokio::test]
    async fn several_encodings_upon_each_other_are_refused() {
        let (decompress, limited) = compression::requests(1 << 20);
        let router: Router = Router::new()
            .route("/", post(|| async {}))
            .layer(limited)
            .layer(decompress);
        let request = request("POST", "/", &[("content-encoding", "gzip, gzip")]);
        let response = router.oneshot(axum(request)).await.expect("infallible");
        assert_eq!(response.status(), 415);
    }
}
