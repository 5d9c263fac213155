//! Over HTTP requests and responses.

use ::http::{Request, Response};
use bartizan_core::{Body, HttpClassify, Rejection, RejectionKind, StatusSet, find};
use bartizan_resilience::fallback::Replaced;
use bartizan_testing::ControlledBody;
use tower::limit::ConcurrencyLimit;

use super::*;

#[tokio::test]
async fn another_service_gets_the_request_and_its_word_is_the_last() {
    let (first, first_handle) = Probe::new(|_: &Request<Body>| Response::new(Body::empty()));
    first_handle.by_default(|_| Step::fail(ProbeError::new("down")));
    let (second, second_handle) =
        Probe::new(|_: &Request<Body>| Response::new(Body::from("second")));
    // Of a place that has to be waited for, and is.
    let second = ConcurrencyLimit::new(second, 1);
    let service = FallbackLayer::service(second).http().layer(first);
    let request = || Request::put("/lamp").body(Body::from("on")).expect("valid");

    let response = service
        .clone()
        .oneshot(request())
        .await
        .expect("a response");
    assert_eq!(
        response.body().whole().map(|body| &body[..]),
        Some(&b"second"[..])
    );
    assert!(response.extensions().get::<Replaced>().is_some());
    let sent = second_handle.take_requests();
    assert_eq!(sent[0].uri(), "/lamp");
    assert_eq!(
        sent[0].body().whole().map(|body| &body[..]),
        Some(&b"on"[..])
    );

    second_handle.push(Step::fail(ProbeError::new("down as well")));
    let error = service
        .clone()
        .oneshot(request())
        .await
        .expect_err("both fail");
    assert_eq!(find(&*error), Some(&ProbeError::new("down as well")));

    second_handle.fail_ready(ProbeError::new("closed"));
    let error = service.oneshot(request()).await.expect_err("both fail");
    assert_eq!(find(&*error), Some(&ProbeError::new("closed")));
}

#[tokio::test]
async fn a_request_that_cannot_be_copied_has_no_second_service() {
    let (first, first_handle) = Probe::new(|_: &Request<Body>| Response::new(Body::empty()));
    let unavailable = Response::builder().status(503).body(Body::empty());
    first_handle.push(Step::respond(unavailable.expect("valid")));
    let (second, second_handle) = Probe::new(|_: &Request<Body>| Response::new(Body::empty()));
    let service = FallbackLayer::service(second).http().layer(first);
    let (stream, _handle) = ControlledBody::new();
    let response = service.oneshot(Request::new(Body::new(stream))).await;
    let response = response.expect("what the first answered");
    assert_eq!(response.status(), 503);
    // It answers for itself.
    assert!(response.extensions().is_empty());
    assert_eq!(second_handle.counts().calls, 0);
}

#[tokio::test]
async fn over_http_statuses_and_rejections_are_replaced_and_marked() {
    let (probe, handle) = Probe::new(|_: &Request<Body>| Response::new(Body::empty()));
    let status = |status: u16| {
        Step::respond(
            Response::builder()
                .status(status)
                .body(Body::empty())
                .expect("valid"),
        )
    };
    let stale = |_: Failed<Response<Body>, BoxError>| Ok(Response::new(Body::from("stale")));
    let service = FallbackLayer::function(stale).http().layer(probe);
    let open = || Step::fail(Rejection::new(RejectionKind::Open, "circuit breaker"));
    for (step, replaced) in [
        (status(200), None),
        (status(404), None),
        (status(500), Some(Outcome::Failure)),
        (status(429), Some(Outcome::Throttled { retry_after: None })),
        (open(), Some(Outcome::Ignored)),
        (Step::fail("reset"), Some(Outcome::Failure)),
    ] {
        handle.push(step);
        let response = service.clone().oneshot(Request::new(Body::empty())).await;
        let response = response.expect("always an answer");
        let mark = response
            .extensions()
            .get::<Replaced>()
            .map(Replaced::outcome);
        assert_eq!(mark, replaced);
        assert_eq!(
            response.body().whole().is_some_and(|body| body == "stale"),
            replaced.is_some()
        );
    }
    // Fewer statuses, still marked.
    let classify = HttpClassify::new().failures(StatusSet::range(503, 503));
    let (probe, handle) = Probe::new(|_: &Request<Body>| Response::new(Body::empty()));
    handle.push(status(500));
    let service = FallbackLayer::function(stale)
        .http()
        .classify(classify)
        .layer(probe);
    let response = service
        .oneshot(Request::new(Body::empty()))
        .await
        .expect("an answer");
    assert_eq!(response.status(), 500);
}
