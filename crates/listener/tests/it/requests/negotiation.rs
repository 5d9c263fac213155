//! 415 and 406.

use axum::{Router, routing::post};
use bartizan_core::Body;
use bartizan_listener::negotiation::{ConsumesLayer, Negotiated, ProducesLayer};
use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};

use super::{axum, echo, request, text};

#[tokio::test]
async fn what_is_consumed() {
    let layer =
        ConsumesLayer::try_new(["application/json", "text/*;charset=utf-8"]).expect("valid");
    for (fields, body, status) in [
        (&[("content-type", "application/json")][..], "{}", 200),
        (
            &[("content-type", "Application/JSON; charset=utf-8")],
            "{}",
            200,
        ),
        (&[("content-type", "text/csv; charset=\"utf-8\"")], "a", 200),
        (&[("content-type", "text/csv")], "a", 415),
        (&[("content-type", "text/csv; charset=latin1")], "a", 415),
        (&[("content-type", "application/xml")], "<a/>", 415),
        (&[("content-type", "application/*")], "{}", 415),
        (&[("content-type", "json")], "{}", 415),
        (
            &[
                ("content-type", "application/json"),
                ("content-type", "text/csv"),
            ],
            "{}",
            415,
        ),
        (&[], "{}", 415),
        (&[("content-type", "image/png")], "", 200),
        (&[], "", 200),
    ] {
        let request = request("POST", "/", fields).map(|_| Body::from(body));
        let response = layer
            .layer(echo())
            .oneshot(request)
            .await
            .expect("infallible");
        assert_eq!(response.status(), status, "{fields:?} {body:?}");
        if status == 415 {
            let listed = "application/json, text/*;charset=utf-8";
            assert_eq!(response.headers()["accept"], listed);
            assert_eq!(response.headers()["accept-post"], listed);
            assert_eq!(
                response.headers()["content-type"],
                "application/problem+json"
            );
        }
    }
    let patch = request("PATCH", "/", &[]).map(|_| Body::from("{}"));
    let response = layer
        .layer(echo())
        .oneshot(patch)
        .await
        .expect("infallible");
    assert!(response.headers().contains_key("accept-patch"));
    assert!(!response.headers().contains_key("accept-post"));
}

#[tokio::test]
async fn what_is_produced() {
    let layer = ProducesLayer::try_new(["application/json", "text/html"]).expect("valid");
    let chosen = service_fn(|request: Request<Body>| async move {
        let chosen = request
            .extensions()
            .get::<Negotiated>()
            .expect("it is chosen");
        let chosen = chosen.media_type().to_string();
        let response = Response::builder()
            .header("vary", "origin")
            .body(Body::from(chosen));
        Ok::<_, std::convert::Infallible>(response.expect("valid"))
    });
    for (accept, expected) in [
        (None, Some("application/json")),
        (Some("text/html, */*;q=0.1"), Some("text/html")),
        (Some("text/*"), Some("text/html")),
        (Some("image/png"), None),
    ] {
        let fields: Vec<_> = accept
            .map(|accept| ("accept", accept))
            .into_iter()
            .collect();
        let response = layer
            .layer(chosen)
            .oneshot(request("GET", "/", &fields))
            .await;
        let response = response.expect("infallible");
        let varies: Vec<_> = response.headers().get_all("vary").iter().cloned().collect();
        assert_eq!(varies.last().expect("it varies"), "accept");
        match expected {
            Some(expected) => {
                assert_eq!(varies.len(), 2);
                assert_eq!(text(response).await, expected);
            }
            None => {
                assert_eq!(response.status(), 406);
                assert!(text(response).await.contains("application/json, text/html"));
            }
        }
    }
}

#[test]
fn lists_are_checked() {
    let error = ConsumesLayer::try_new(["application/json", "json"]).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("invalid consumes[1] `json`: expected"),
        "{error}"
    );
    assert!(ConsumesLayer::try_new([""; 0]).is_err());
    assert!(ProducesLayer::try_new(["text/*"]).is_err());
    assert!(ProducesLayer::try_new([""; 0]).is_err());
}

#[tokio::test]
async fn per_route_in_axum() {
    let router: Router = Router::new()
        .route("/json", post(|| async {}))
        .route_layer(ConsumesLayer::try_new(["application/json"]).expect("valid"))
        .route("/any", post(|| async {}))
        .layer(ProducesLayer::try_new(["text/html"]).expect("valid"));
    for (path, accept, status) in [
        ("/json", "*/*", 415),
        ("/any", "*/*", 200),
        ("/any", "text/csv", 406),
    ] {
        let request = request("POST", path, &[("accept", accept)]).map(|_| Body::from("x"));
        let response = router
            .clone()
            .oneshot(axum(request))
            .await
            .expect("infallible");
        assert_eq!(response.status(), status, "{path} {accept}");
    }
}
