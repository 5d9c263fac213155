//! Gives up on a response that does not come.
//!
//! The limit is for the head of the response. A body that follows is the business of whoever reads it: a large download is not a
//! slow answer.
//!
//! # Placement
//!
//! Below whatever makes several attempts — failover, retries — so that it limits each one. Below a circuit breaker too, which
//! would otherwise never see a timeout. Above a transport, or a concurrency limit whose queue should count.
//!
//! # Readiness and cancellation
//!
//! Readiness is the inner service's, and waiting for it is not limited. The clock starts when the response is first polled and is
//! not there yet: a response that is there costs no timer and no look at the clock. When the limit is up, or the caller drops the
//! future, the inner call is dropped, and what that means is up to the inner service; over HTTP/1.1 it closes the connection.
//!
//! A response that comes in the same instant as the limit wins: it is polled first.
//!
//! # Errors
//!
//! A [`Rejection`] of kind [`TimedOut`](RejectionKind::TimedOut), with [`Elapsed`] as its source. The call may have reached the
//! peer, so it is not safe to repeat unless the request is idempotent.
//!
//! # Differences from `tower::timeout`
//!
//! The error is the inner service's, not `BoxError`; the timer is armed when it is needed and not at every call; and
//! [`reject_with`](TimeoutLayer::reject_with) makes it fit where errors cannot be, under an axum `Router`.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::{BoxError, Rejection, find};
//! use bartizan_resilience::timeout::TimeoutLayer;
//! use std::time::Duration;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let stuck = tower::service_fn(|(): ()| std::future::pending::<Result<(), BoxError>>());
//! let service = ServiceBuilder::new().layer(TimeoutLayer::new(Duration::from_secs(5))).service(stuck);
//!
//! let error = service.oneshot(()).await.unwrap_err();
//! assert!(find::<Rejection>(&*error).is_some_and(Rejection::is_timed_out));
//! assert_eq!(error.source().unwrap().to_string(), "the limit is 5s");
//! # }
//! ```
//!
//! A response instead of an error:
//!
//! ```
//! use bartizan_core::{Body, Rejection};
//! use bartizan_resilience::timeout::TimeoutLayer;
//! use http::{Request, Response};
//! use std::{convert::Infallible, time::Duration};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let stuck = tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, Infallible>>());
//! let service = ServiceBuilder::new()
//!     .layer(TimeoutLayer::default().reject_with(Rejection::into_response))
//!     .service(stuck);
//!
//! let response = service.oneshot(Request::new(Body::empty())).await.unwrap();
//! assert_eq!(response.status(), 504);
//! # }
//! ```

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_core::{Propagate, Reject, Rejection, RejectionKind};
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower_layer::Layer;
use tower_service::Service;

/// Limits how long the response to each call may take. It has no state to share. See the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct TimeoutLayer<R = Propagate> {
    limit: Duration,
    reject: R,
}

impl TimeoutLayer {
    /// Waits for `limit` and no longer. Zero lets through only what is ready at once.
    pub const fn new(limit: Duration) -> Self {
        Self {
            limit,
            reject: Propagate,
        }
    }
}

reject_methods!(
    TimeoutLayer { limit },
    "[`Rejection::into_response`] makes a 504 with problem details."
);

/// 5 s: long enough for a request that does real work, and short enough that a caller which gives up after 30 s still sees a second
/// and a third attempt.
impl Default for TimeoutLayer {
    fn default() -> Self {
        Self::new(Duration::from_secs(5))
    }
}

impl<S, R: Clone> Layer<S> for TimeoutLayer<R> {
    type Service = Timeout<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Timeout {
            inner,
            limit: self.limit,
            reject: self.reject.clone(),
        }
    }
}

/// Limits how long the response to each call may take. See the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct Timeout<S, R = Propagate> {
    inner: S,
    limit: Duration,
    reject: R,
}

impl<S> Timeout<S> {
    /// Wraps `inner`: the same as [`TimeoutLayer::new`], for one service.
    pub const fn new(inner: S, limit: Duration) -> Self {
        Self {
            inner,
            limit,
            reject: Propagate,
        }
    }
}

inner_accessors!(Timeout<S, R>);

impl<S, R, Req> Service<Req> for Timeout<S, R>
where
    S: Service<Req>,
    R: Reject<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = R::Error;
    type Future = ResponseFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner
            .poll_ready(cx)
            .map_err(|error| self.reject.pass(error))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        ResponseFuture {
            response: self.inner.call(request),
            timer: None,
            limit: self.limit,
            reject: self.reject.clone(),
        }
    }
}

pin_project! {
    /// The response, or a [`Rejection`] if it takes too long.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, R> {
        #[pin]
        response: F,
        // Armed by the first poll that finds no response.
        #[pin]
        timer: Option<Sleep>,
        limit: Duration,
        reject: R,
    }
}

impl<F, R, Res, Err> Future for ResponseFuture<F, R>
where
    F: Future<Output = Result<Res, Err>>,
    R: Reject<Res, Err>,
{
    type Output = Result<Res, R::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // Before the timer: a response that is there is never thrown away for having been looked at late.
        if let Poll::Ready(result) = this.response.poll(cx) {
            return Poll::Ready(result.map_err(|error| this.reject.pass(error)));
        }
        if this.timer.is_none() {
            this.timer.set(Some(tokio::time::sleep(*this.limit)));
        }
        if let Some(timer) = this.timer.as_pin_mut() {
            ready!(timer.poll(cx));
        }
        let elapsed = Elapsed { limit: *this.limit };
        Poll::Ready(
            this.reject
                .reject(Rejection::new(RejectionKind::TimedOut, "timeout").with_source(elapsed)),
        )
    }
}

/// There was no response within the limit. The source of the [`Rejection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed {
    limit: Duration,
}

impl Elapsed {
    /// The limit that was up.
    pub const fn limit(&self) -> Duration {
        self.limit
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the limit is {:?}", self.limit)
    }
}

impl Error for Elapsed {}
