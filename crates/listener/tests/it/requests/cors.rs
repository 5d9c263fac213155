//! Pages of other origins.

use std::time::Duration;

use axum::{Router, routing::get};
use bartizan_listener::{cors::CorsLayer, methods::AutoOptionsLayer};
use http::{Method, Response, header};
use tower::{Layer, ServiceExt};

use super::{axum, echo, request};

const GOOD: &str = "https://app.example";

fn layer() -> CorsLayer {
    CorsLayer::builder()
        .origins([GOOD])
        .origins_where(|origin| origin.ends_with(".trusted.example"))
        .methods([Method::GET, Method::PUT])
        .headers([header::AUTHORIZATION])
        .expose([header::ETAG])
        .credentials(true)
        .private_network(true)
        .max_age(Duration::from_secs(60))
        .build()
        .expect("valid")
}

async fn answer(
    layer: &CorsLayer,
    method: &str,
    fields: &[(&str, &str)],
) -> Response<bartizan_core::Body> {
    let service = layer.layer(echo());
    let response = service
        .oneshot(request(method, "http://here.example/", fields))
        .await;
    response.expect("infallible")
}

#[tokio::test]
async fn preflights() {
    for (origin, method, headers, status) in [
        (GOOD, "PUT", "", 204),
        (GOOD, "PUT", "Authorization, content-type", 204),
        ("https://a.trusted.example", "GET", "", 204),
        (GOOD, "DELETE", "", 403),
        (GOOD, "PUT", "x-other", 403),
        (GOOD, "PUT", "authorization, x-other", 403),
        ("https://evil.example", "GET", "", 403),
        ("https://app.example.evil", "GET", "", 403),
        ("http://app.example", "GET", "", 403),
        ("https://app.example:8443", "GET", "", 403),
        ("null", "GET", "", 403),
    ] {
        let mut fields = vec![
            ("origin", origin),
            ("access-control-request-method", method),
        ];
        if !headers.is_empty() {
            fields.push(("access-control-request-headers", headers));
        }
        let response = answer(&layer(), "OPTIONS", &fields).await;
        assert_eq!(response.status(), status, "{origin} {method} {headers}");
        let headers = response.headers();
        assert_eq!(headers["vary"], "origin");
        if status == 204 {
            assert_eq!(headers["access-control-allow-origin"], origin);
            assert_eq!(headers["access-control-allow-methods"], "GET, PUT");
            assert_eq!(headers["access-control-allow-headers"], "authorization");
            assert_eq!(headers["access-control-allow-credentials"], "true");
            assert_eq!(headers["access-control-max-age"], "60");
            assert!(!headers.contains_key("access-control-allow-private-network"));
            assert!(!headers.contains_key("access-control-expose-headers"));
        } else {
            assert!(!headers.contains_key("access-control-allow-origin"));
        }
    }
}

#[tokio::test]
async fn other_requests_are_marked_or_not() {
    for (fields, allowed) in [
        (&[("origin", GOOD)][..], Some(GOOD)),
        (&[("origin", "https://evil.example")], None),
        (&[], None),
    ] {
        let response = answer(&layer(), "GET", fields).await;
        assert_eq!(response.status(), 200);
        let headers = response.headers();
        assert_eq!(headers["vary"], "origin", "or a cache mixes them up");
        let marked = headers.get("access-control-allow-origin");
        assert_eq!(marked.map(|origin| origin.to_str().expect("text")), allowed);
        assert_eq!(
            headers.contains_key("access-control-expose-headers"),
            allowed.is_some()
        );
    }
}

#[tokio::test]
async fn others_are_refused_by_choice_but_never_the_site_itself() {
    let layer = CorsLayer::builder()
        .origins([GOOD])
        .refuse_others()
        .build()
        .expect("valid");
    for (origin, status) in [
        (GOOD, 200),
        ("https://evil.example", 403),
        ("null", 403),
        ("https://here.example", 200),
        ("https://here.example:8443", 403),
    ] {
        let response = answer(&layer, "POST", &[("origin", origin)]).await;
        assert_eq!(response.status(), status, "{origin}");
    }
    assert_eq!(answer(&layer, "POST", &[]).await.status(), 200);
}

#[tokio::test]
async fn any_origin_and_any_header() {
    let layer = CorsLayer::builder()
        .any_origin()
        .any_header()
        .build()
        .expect("valid");
    let response = answer(&layer, "GET", &[("origin", "https://a.example")]).await;
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    assert!(
        !response.headers().contains_key("vary"),
        "it is the same for all"
    );

    let fields = [
        ("origin", "https://a.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "x-one,authorization"),
    ];
    let response = answer(&layer, "OPTIONS", &fields).await;
    assert_eq!(
        response.headers()["access-control-allow-headers"],
        "x-one, authorization"
    );
    assert_eq!(response.headers()["vary"], "access-control-request-headers");
}

#[tokio::test]
async fn a_private_network_only_if_asked() {
    let fields = [
        ("origin", GOOD),
        ("access-control-request-method", "GET"),
        ("access-control-request-private-network", "true"),
    ];
    let response = answer(&layer(), "OPTIONS", &fields).await;
    assert_eq!(
        response.headers()["access-control-allow-private-network"],
        "true"
    );
}

#[test]
fn rules_are_checked() {
    for origin in [
        "app.example",
        "https://app.example/",
        "https://App.example",
        "https://app.example:443",
        "http://app.example:80",
        "https://*.example",
        "null",
        "*",
        "",
    ] {
        let built = CorsLayer::builder().origins([origin]).build();
        assert!(built.is_err(), "{origin}");
    }
    assert!(
        CorsLayer::builder()
            .origins(["http://[::1]:8080"])
            .build()
            .is_ok()
    );
    assert!(
        CorsLayer::builder()
            .any_origin()
            .credentials(true)
            .build()
            .is_err()
    );
    assert!(
        CorsLayer::builder()
            .any_origin()
            .origins([GOOD])
            .build()
            .is_err()
    );
}

#[tokio::test]
async fn per_route_in_axum_beside_automatic_options() {
    let public = Router::new()
        .route("/public", get(|| async {}))
        .route_layer(CorsLayer::builder().any_origin().build().expect("valid"));
    let router: Router = Router::new()
        .route("/private", get(|| async {}))
        .merge(public);
    let service = AutoOptionsLayer::new().layer(router);
    let preflight = [("origin", GOOD), ("access-control-request-method", "GET")];
    for (path, fields, is_marked) in [
        ("/public", &preflight[..], true),
        ("/private", &preflight, false),
        ("/public", &[], false),
    ] {
        let response = service
            .clone()
            .oneshot(axum(request("OPTIONS", path, fields)))
            .await;
        let response = response.expect("infallible");
        assert_eq!(response.status(), 204, "{path}");
        let headers = response.headers();
        assert_eq!(
            headers.contains_key("access-control-allow-origin"),
            is_marked,
            "{path}"
        );
        // axum adds it outside of the route's layers, to preflights as well.
        assert!(
            headers["allow"].to_str().expect("text").contains("GET"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_inner_rules_win() {
    let inner = CorsLayer::builder()
        .origins([GOOD])
        .credentials(true)
        .build()
        .expect("valid");
    let outer = CorsLayer::builder().any_origin().build().expect("valid");
    let service = outer.layer(inner.layer(echo()));
    let response = service
        .oneshot(request("GET", "/", &[("origin", GOOD)]))
        .await;
    let response = response.expect("infallible");
    assert_eq!(response.headers()["access-control-allow-origin"], GOOD);
    assert_eq!(
        response.headers()["access-control-allow-credentials"],
        "true"
    );
    assert_eq!(response.headers()["vary"], "origin");
}
