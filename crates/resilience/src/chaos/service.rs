//! The service, and what becomes of one call.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bartizan_core::{Propagate, Reject, Rejection, RejectionKind};
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower_service::Service;

use super::{
    Everything, Target,
    layer::{ChaosHandle, Ending, Plan, Shared},
};

/// Does to calls what networks do. See the [module](super).
#[derive(Clone, Debug)]
pub struct Chaos<S, T = Everything, R = Propagate> {
    inner: S,
    target: T,
    shared: Arc<Shared>,
    reject: R,
}

impl<S, T, R> Chaos<S, T, R> {
    pub(super) const fn new(inner: S, target: T, shared: Arc<Shared>, reject: R) -> Self {
        Self {
            inner,
            target,
            shared,
            reject,
        }
    }

    /// The switch, and the counts.
    pub fn handle(&self) -> ChaosHandle {
        ChaosHandle::new(Arc::clone(&self.shared))
    }
}

inner_accessors!(Chaos<S, T, R>);

impl<S, T, R, Req> Service<Req> for Chaos<S, T, R>
where
    S: Service<Req>,
    T: Target<Req>,
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
        let plan = if self.shared.is_enabled() && self.target.matches(&request) {
            self.shared.plan()
        } else {
            Plan::NOTHING
        };
        let response = match plan.end {
            Ending::Natural | Ending::Cut => Some(self.inner.call(request)),
            // The inner service stays ready, for the next call.
            Ending::Error | Ending::Hang => None,
        };
        ResponseFuture {
            plan,
            delay: None,
            response,
            reject: self.reject.clone(),
        }
    }
}

pin_project! {
    /// The response, or what happened to it.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, R> {
        plan: Plan,
        // Boxed, so that calls to which nothing happens do not carry the room for it.
        delay: Option<Pin<Box<Sleep>>>,
        #[pin]
        response: Option<F>,
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
        if let Some(delay) = this.plan.delay.take() {
            *this.delay = Some(Box::pin(tokio::time::sleep(delay)));
        }
        if let Some(delay) = this.delay {
            ready!(delay.as_mut().poll(cx));
            *this.delay = None;
        }
        if let Some(response) = this.response.as_mut().as_pin_mut() {
            let result = ready!(response.poll(cx));
            if this.plan.end == Ending::Natural {
                return Poll::Ready(result.map_err(|error| this.reject.pass(error)));
            }
            this.response.set(None);
        }
        match this.plan.end {
            Ending::Hang => Poll::Pending,
            end @ (Ending::Error | Ending::Cut | Ending::Natural) => {
                let injected = Injected {
                    was_sent: end == Ending::Cut,
                };
                let rejection = Rejection::new(RejectionKind::Exhausted, "chaos");
                Poll::Ready(this.reject.reject(rejection.with_source(injected)))
            }
        }
    }
}

/// Nothing went wrong but what [`ChaosLayer`](super::ChaosLayer) made go wrong. The source of the [`Rejection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injected {
    was_sent: bool,
}

impl Injected {
    /// Whether the inner service got the request, and only its answer was lost.
    pub const fn was_sent(&self) -> bool {
        self.was_sent
    }
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.was_sent {
            "the answer was lost on purpose"
        } else {
            "the call was failed on purpose"
        })
    }
}

impl Error for Injected {}
