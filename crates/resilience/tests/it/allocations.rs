//! Over a service that answers at once, a layer costs no allocation.

use std::{
    future::{Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bartizan_core::{Body, BoxError};
#[cfg(feature = "http")]
use bartizan_resilience::failover::FailoverLayer;
use bartizan_resilience::{
    failover::{Failover, OnError},
    timeout::TimeoutLayer,
};
use bartizan_testing::allocations;
use http::Response;
#[cfg(feature = "http")]
use http::{HeaderValue, Request};
use tower::{Layer, Service};

/// Answers at once, and never allocates.
#[derive(Clone)]
struct Bare;

impl<R> Service<R> for Bare {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: R) -> Self::Future {
        ready(Ok(Response::new(Body::empty())))
    }
}

/// The allocations of a thousand calls, on one instance and on clones.
fn of_calls<R, S>(service: &S, request: impl Fn() -> R) -> u64
where
    S: Service<R, Response = Response<Body>, Error = BoxError> + Clone,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut one = service.clone();
    let mut call = |service: &mut S| {
        assert!(service.poll_ready(&mut cx).is_ready());
        let answered = pin!(service.call(request())).poll(&mut cx);
        assert!(matches!(answered, Poll::Ready(Ok(_))));
    };
    let ((), count) = allocations(|| {
        for _ in 0..500 {
            call(&mut one);
            call(&mut service.clone());
        }
    });
    count
}

#[tokio::test]
async fn timeout() {
    assert_eq!(
        of_calls(
            &TimeoutLayer::new(Duration::from_secs(5)).layer(Bare),
            || ()
        ),
        0
    );
}

#[tokio::test]
async fn failover() {
    let service = Failover::builder(OnError)
        .target("a", Bare)
        .target("b", Bare)
        .build();
    assert_eq!(of_calls(&service.expect("two targets"), || 7), 0);
}

#[cfg(feature = "http")]
#[tokio::test]
async fn http_failover_over_timeout() {
    let failover = FailoverLayer::builder()
        .targets(["http://a", "http://b:1"])
        .build();
    let service = failover
        .expect("two targets")
        .layer(TimeoutLayer::new(Duration::from_secs(5)).layer(Bare));
    // The first clone of an authority makes its bytes shareable, once for all calls.
    of_calls(&service, || Request::new(Body::empty()));
    assert_eq!(of_calls(&service, || Request::new(Body::from("whole"))), 0);

    // What the docs say of a head that is not empty: the tables of headers (2) and of extensions (2), each extension (1), and the path
    // (1) and those header values (2) that become shareable. A static value is so already. Less what making the request allocates.
    let request = || {
        Request::get("/users/7?fields=name")
            .header("accept", "application/json")
            .header("user-agent", "bartizan")
            .header("authorization", HeaderValue::from_static("Bearer abc"))
            .extension(7_u32)
            .body(Body::from("whole"))
            .expect("valid")
    };
    let making = of_calls(&Bare, request);
    assert_eq!(of_calls(&service, request) - making, 8 * 1000);
}
