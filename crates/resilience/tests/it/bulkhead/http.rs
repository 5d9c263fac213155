//! Until the end of the body of a response.

use std::convert::Infallible;

use ::http::{HeaderMap, Request, Response};
use bartizan_core::{Body, Rejection};
use bartizan_testing::ControlledBody;
use http_body_util::BodyExt;

use super::*;

contract! {
    mod laws {
        layer: |probe| BulkheadLayer::default().until_body_end().layer(probe),
        request: || Request::new(Body::empty()),
        response: || Response::new(Body::from("whole")),
    }
}

#[tokio::test(start_paused = true)]
async fn until_body_end_the_place_is_taken_until_the_body_has_ended_failed_or_gone() {
    let layer = BulkheadLayer::try_new(1).expect("valid").until_body_end();
    let handle = layer.handle();
    let taken = || handle.snapshot().in_flight;
    for end in ["complete", "failed", "dropped", "trailers"] {
        let (body, sender) = ControlledBody::new();
        let body = Arc::new(std::sync::Mutex::new(Some(body)));
        let mut service = layer.layer(service_fn(move |_: Request<Body>| {
            let body = body.lock().expect("not poisoned").take().expect("one call");
            async move { Ok::<_, BoxError>(Response::new(body)) }
        }));
        let response = service.ready().await.expect("ready");
        let response = response.call(Request::new(Body::empty())).await;
        let mut body = response.expect("a response").into_body();
        assert_eq!(taken(), 1, "{end}");
        sender.data("one");
        assert!(body.frame().await.expect("a frame").is_ok());
        assert_eq!(taken(), 1, "{end}");
        match end {
            "complete" => {
                sender.end();
                assert!(body.frame().await.is_none());
            }
            "failed" => {
                sender.fail(ProbeError::new("broken"));
                assert!(body.frame().await.expect("a frame").is_err());
            }
            "trailers" => {
                sender.trailers(HeaderMap::new());
                assert!(body.frame().await.expect("a frame").is_ok());
            }
            _ => {
                drop(body);
                assert_eq!(taken(), 0, "{end}");
                continue;
            }
        }
        assert_eq!(taken(), 0, "{end}");
        drop(body);
        assert_eq!(taken(), 0, "{end}");
    }

    // Nobody asks an empty body for its end.
    let response = layer.layer(Bare).oneshot(()).await;
    assert_eq!(taken(), 0);
    drop(response);
}

#[tokio::test(start_paused = true)]
async fn a_held_body_forwards_what_is_known_of_it() {
    use http_body::Body as _;
    let service = BulkheadLayer::default()
        .until_body_end()
        .layer(service_fn(|_: ()| async {
            Ok::<_, BoxError>(Response::new(Body::from("hello")))
        }));
    let body = service.oneshot(()).await.expect("a response").into_body();
    assert_eq!(body.size_hint().exact(), Some(5));
    assert!(!body.is_end_stream());
    assert_eq!(body.collect().await.expect("whole").to_bytes(), "hello");
}

#[tokio::test(start_paused = true)]
async fn where_errors_cannot_be_it_answers() {
    let layer = BulkheadLayer::try_new(1)
        .expect("valid")
        .until_body_end()
        .reject_with(Rejection::into_response);
    let stuck =
        service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, Infallible>>());
    let service = layer.layer(stuck);
    let mut held = Box::pin(service.clone().oneshot(Request::new(Body::empty())));
    assert!(held.as_mut().now_or_never().is_none());
    let Ok(response) = service.oneshot(Request::new(Body::empty())).await;
    assert_eq!(response.status(), 503);
    let body = response.into_body().collect().await.expect("whole");
    assert!(body.to_bytes().starts_with(b"{\"title\""));
}

#[tokio::test]
async fn a_call_that_finds_a_place_allocates_nothing() {
    let until = BulkheadLayer::default().until_body_end();
    assert_eq!(of_calls(&until.layer(Bare), || ()), 0);
}
