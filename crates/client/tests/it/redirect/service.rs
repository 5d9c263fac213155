//! The layer among others: over services and sockets, and by the laws of every layer.

use std::{convert::Infallible, sync::Arc};

use bartizan_client::{
    Ending, Error, RedirectLayer, RedirectService, Redirects, RequestExt, ResponseExt, Transport,
};
use bartizan_core::{Body, BoxError};
use bartizan_testing::{ControlledBody, Loopback, Step, contract};
use http::{Request, Response};
use tower::{ServiceBuilder, ServiceExt, service_fn};

use super::{redirecting, to};

#[tokio::test]
async fn a_failed_hop_names_its_own_uri() {
    let (client, handle) = redirecting(Redirects::default(), &[(302, "http://b.example/b?secret")]);
    handle.push(Step::fail(bartizan_testing::ProbeError::new("cut")));
    let error = client
        .get("http://a.example/")
        .send()
        .await
        .expect_err("failed");
    assert_eq!(
        error.to_string(),
        "GET http://b.example/b: the service failed"
    );
    assert!(!error.is_redirect());
}

#[tokio::test]
async fn it_stacks_over_an_axum_like_service_that_takes_relative_uris() {
    let router = service_fn(|request: Request<Body>| async move {
        Ok::<_, Infallible>(match request.uri().path() {
            "/old" => to(303, "./new?1"),
            _ => Response::new(Body::from(request.uri().to_string())),
        })
    });
    let client = ServiceBuilder::new()
        .layer(RedirectLayer::new())
        .service(router);
    let response = client
        .post("/old")
        .body("form")
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.text().await.expect("a text"), "/new?1");
}

/// The body of a response on the way is read to its end, so one connection serves the whole call.
#[tokio::test]
async fn one_connection_serves_a_redirect_within_a_host() {
    let server = Loopback::start(|request: Request<Body>| async move {
        match request.uri().path() {
            "/old" => to(302, "/new"),
            _ => Response::new(Body::from("here")),
        }
    })
    .await;
    let client = ServiceBuilder::new()
        .layer(RedirectLayer::new())
        .service(Transport::new());
    for _ in 0..3 {
        let response = client
            .get(server.uri("/old"))
            .send()
            .await
            .expect("a response");
        assert_eq!(response.text().await.expect("a text"), "here");
    }
    assert_eq!(server.requests(), 6);
    assert_eq!(server.connections(), 1);
}

/// A body on the way that never ends costs 100 ms, and no more.
#[tokio::test(start_paused = true)]
async fn a_body_on_the_way_that_stalls_is_given_up() {
    let (client, handle) = redirecting(Redirects::default(), &[]);
    let (body, frames) = ControlledBody::new();
    handle.push(Step::respond(to(302, "/b").map(|_| Body::new(body))));
    let begun = tokio::time::Instant::now();
    let response = client
        .get("http://a.example/")
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status(), 200);
    assert_eq!(begun.elapsed(), std::time::Duration::from_millis(100));
    drop(frames);
}

#[tokio::test]
async fn its_errors_are_those_of_any_service() {
    let failing =
        service_fn(|_: Request<Body>| async { Err::<Response<Body>, BoxError>("no".into()) });
    let client = ServiceBuilder::new()
        .layer(RedirectLayer::new())
        .service(failing);
    let request = Request::get("http://a.example/?secret")
        .body(Body::empty())
        .expect("a request");
    let error: Error = client.oneshot(request).await.expect_err("failed");
    assert_eq!(
        error.to_string(),
        "GET http://a.example/: the service failed"
    );
    let _: Arc<dyn std::error::Error> = Arc::new(error);
}

contract! {
    mod redirect_layer {
        layer: |probe| RedirectService::new(probe, Redirects::default()),
        request: || Request::get("http://a.example/").body(Body::from("whole")).expect("a request"),
        response: || Response::new(Body::from("hello")),
    }

    /// Each call is two inner calls.
    mod redirect_layer_that_follows {
        layer: |probe| RedirectService::new(probe, Redirects::limited(1).at_loop(Ending::LastResponse)),
        request: || Request::get("http://a.example/").body(Body::empty()).expect("a request"),
        response: || to(302, "/b"),
    }
}
