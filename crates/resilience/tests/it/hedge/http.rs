//! Over HTTP requests.

use ::http::{Request, Response};
use bartizan_core::{Body, Rejection, RejectionKind};
use bartizan_resilience::hedge::{Idempotent, Policy};
use bartizan_testing::ControlledBody;

use super::*;

contract! {
    mod laws {
        layer: |probe| HedgeLayer::http().build().expect("valid").layer(probe),
        request: || Request::new(Body::empty()),
        response: || Response::new(Body::empty()),
    }
}

#[tokio::test(start_paused = true)]
async fn over_http_only_idempotent_requests_that_can_be_copied() {
    let (probe, handle) = Probe::new(|_: &Request<Body>| Response::new(Body::empty()));
    handle.by_default(|_| Step::respond(Response::new(Body::empty())).after(MS(150)));
    let layer = HedgeLayer::http()
        .after(MS(100))
        .budget(1.0, 10)
        .build()
        .expect("valid");
    let service = layer.layer(probe);
    let (stream, _handle) = ControlledBody::new();
    for (request, attempts) in [
        (Request::get("/").body(Body::empty()), 2),
        (Request::put("/").body(Body::from("whole")), 2),
        (Request::put("/").body(Body::new(stream)), 1),
        (Request::post("/").body(Body::empty()), 1),
        (
            Request::post("/")
                .header("idempotency-key", "7")
                .body(Body::empty()),
            1,
        ),
    ] {
        let before = handle.counts().calls;
        let request = request.expect("a request");
        service.clone().oneshot(request).await.expect("a response");
        assert_eq!(handle.counts().calls - before, attempts);
    }
}

#[tokio::test(start_paused = true)]
async fn over_http_a_503_and_a_rejection_wait_for_the_other() {
    let (probe, handle) = Probe::new(|_: &Request<Body>| Response::new(Body::empty()));
    let unavailable = || {
        Response::builder()
            .status(503)
            .body(Body::empty())
            .expect("valid")
    };
    let layer = HedgeLayer::http().after(MS(100)).build().expect("valid");
    let service = layer.layer(probe);
    for second in [
        Step::respond(unavailable()),
        Step::fail(Rejection::new(RejectionKind::Open, "circuit breaker")),
    ] {
        handle.push(Step::respond(Response::new(Body::from("first"))).after(MS(200)));
        handle.push(second);
        let response = service.clone().oneshot(Request::new(Body::empty())).await;
        assert_eq!(response.expect("a response").status(), 200);
    }
    assert_eq!(layer.handle().sent(), 2);
}

#[test]
fn safe_only_leaves_out_what_changes_something() {
    let copied = |policy: Idempotent, method: &str| {
        let request = Request::builder()
            .method(method)
            .uri("/")
            .body(Body::empty());
        policy.copy(&request.expect("valid")).is_some()
    };
    for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
        assert!(copied(Idempotent::new(), method) && copied(Idempotent::new().safe_only(), method));
    }
    for method in ["PUT", "DELETE"] {
        assert!(
            copied(Idempotent::new(), method) && !copied(Idempotent::new().safe_only(), method)
        );
    }
    for method in ["POST", "PATCH", "CONNECT", "PURGE"] {
        assert!(!copied(Idempotent::new(), method));
    }
}
