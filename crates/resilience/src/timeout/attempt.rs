//! The limit for one attempt: from the call to the head of its response.

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

/// Limits how long the response to each call may take. It has no state to share. See the [module](super).
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

/// Limits how long the response to each call may take. See the [module](super).
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
