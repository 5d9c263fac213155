//! The layer that limits response bodies.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use super::body::{TimeoutBody, Until};
use crate::deadline::Deadline;

/// Limits how long response bodies may send nothing, and how long they may take. It has no state to share. See the [module](super).
#[derive(Clone, Copy, Debug)]
pub struct BodyTimeoutLayer {
    limits: Limits,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    idle: Option<Duration>,
    whole: Option<Duration>,
    until_deadline: bool,
}

impl BodyTimeoutLayer {
    /// An idle limit of 30 s: as long as a whole call may take to its head, which a peer that works never needs between two frames.
    pub const fn new() -> Self {
        Self {
            limits: Limits {
                idle: Some(Duration::from_secs(30)),
                whole: None,
                until_deadline: false,
            },
        }
    }

    /// Sets how long a body may send nothing while its reader waits. Default: 30 s.
    #[must_use]
    pub const fn idle(mut self, limit: Duration) -> Self {
        self.limits.idle = Some(limit);
        self
    }

    /// Lets a body send nothing for as long as it likes: for event streams without heartbeats.
    #[must_use]
    pub const fn without_idle(mut self) -> Self {
        self.limits.idle = None;
        self
    }

    /// Sets how long a body may take from the head of the response to its end, slow reader included. Default: no limit, because how
    /// long is right depends on how much it is.
    #[must_use]
    pub const fn whole(mut self, limit: Duration) -> Self {
        self.limits.whole = Some(limit);
        self
    }

    /// Ends bodies at the [`Deadline`] of their request, if it has one. Default: the deadline is for the head of the response.
    #[must_use]
    pub const fn until_deadline(mut self) -> Self {
        self.limits.until_deadline = true;
        self
    }
}

impl Default for BodyTimeoutLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for BodyTimeoutLayer {
    type Service = BodyTimeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BodyTimeout {
            inner,
            limits: self.limits,
        }
    }
}

/// Limits how long response bodies may send nothing, and how long they may take. See the [module](super).
#[derive(Clone, Copy, Debug)]
pub struct BodyTimeout<S> {
    inner: S,
    limits: Limits,
}

inner_accessors!(BodyTimeout<S>);

impl<S, B, RB> Service<Request<B>> for BodyTimeout<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
{
    type Response = Response<TimeoutBody<RB>>;
    type Error = S::Error;
    type Future = BodyResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let deadline = if self.limits.until_deadline {
            request.extensions().get::<Deadline>().copied()
        } else {
            None
        };
        BodyResponseFuture {
            response: self.inner.call(request),
            limits: self.limits,
            deadline,
        }
    }
}

pin_project! {
    /// The response, its body limited.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct BodyResponseFuture<F> {
        #[pin]
        response: F,
        limits: Limits,
        deadline: Option<Deadline>,
    }
}

impl<F, B, E> Future for BodyResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<TimeoutBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.response.poll(cx))?;
        let until = this.limits.until(*this.deadline);
        let idle = this.limits.idle;
        Poll::Ready(Ok(
            response.map(|body| TimeoutBody::limited(body, idle, until))
        ))
    }
}

impl Limits {
    /// When a body has to be over whose head is there now. Looks at the clock only if that is limited.
    fn until(self, deadline: Option<Deadline>) -> Option<Until> {
        if self.whole.is_none() && deadline.is_none() {
            return None;
        }
        let now = Instant::now();
        let whole = self.whole.map(|limit| Until::after(now, limit));
        let deadline = deadline.map(|deadline| Until {
            at: deadline.at(),
            limit: deadline.at().saturating_duration_since(now),
        });
        whole
            .into_iter()
            .chain(deadline)
            .min_by_key(|until| until.at)
    }
}
