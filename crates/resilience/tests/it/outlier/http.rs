//! Over HTTP responses.
use ::http::{Request, Response};
use bartizan_core::{Body, HttpClassify, StatusSet};
use bartizan_testing::ControlledBody;
use http_body_util::BodyExt;

use super::*;

contract! {
    mod laws {
        layer: |probe| OutlierDetector::default().http_layer(&Endpoint::new("a")).layer(probe),
        request: || Request::new(Body::empty()),
        response: || Response::new(Body::from("whole")),
    }
}

fn answer(status: u16) -> Response<Body> {
    Response::builder()
        .status(status)
        .body(Body::empty())
        .expect("a status")
}

#[tokio::test(start_paused = true)]
async fn every_5xx_is_a_failure_and_429_is_not() {
    for (status, is_fit) in [
        (500, false),
        (503, false),
        (599, false),
        (429, true),
        (404, true),
        (200, true),
    ] {
        let detector = OutlierDetector::default();
        let endpoint = Endpoint::new("a");
        let (probe, _handle) = Probe::new(move |_: &()| answer(status));
        let service = detector.http_layer(&endpoint).layer(probe);
        for _ in 0..5 {
            let response = service.clone().oneshot(()).await.expect("an answer");
            assert_eq!(response.status(), status);
        }
        assert_eq!(endpoint.is_fit(), is_fit, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_a_failure_and_one_that_is_left_is_not() {
    for (end, is_fit) in [("broken", false), ("whole", true), ("left", true)] {
        let detector = OutlierDetector::default();
        let endpoint = Endpoint::new("a");
        let layer = detector
            .http_layer(&endpoint)
            .classify(HttpClassify::new().failures(StatusSet::EMPTY));
        let service = layer.layer(tower::service_fn(move |(): ()| {
            let (body, handle) = ControlledBody::new();
            handle.data("half");
            match end {
                "broken" => handle.fail(ProbeError::default()),
                _ => handle.end(),
            }
            ready(Ok::<_, BoxError>(Response::new(body)))
        }));
        for _ in 0..5 {
            assert!(endpoint.is_fit());
            let response = service.clone().oneshot(()).await.expect("a head");
            let read = match end {
                "left" => Ok(()),
                _ => response.into_body().collect().await.map(drop),
            };
            assert_eq!(read.is_ok(), end != "broken");
        }
        assert_eq!(endpoint.is_fit(), is_fit, "{end}");
    }
}

/// Answers 200 without allocating.
#[derive(Clone)]
struct Bare;

impl Service<bool> for Bare {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: bool) -> Self::Future {
        ready(Ok(Response::new(Body::empty())))
    }
}

#[test]
fn a_call_costs_no_allocation() {
    let detector = OutlierDetector::default();
    let service = detector.http_layer(&Endpoint::new("a")).layer(Bare);
    let mut one = service.clone();
    let ((), count) = allocations(|| {
        for _ in 0..500 {
            call(&mut one, true);
            call(&mut service.clone(), true);
        }
    });
    assert_eq!(count, 0);
}
