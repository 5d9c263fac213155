//! The service: it holds back, or it passes on and counts what comes of it.

use std::{
    error::Error,
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bartizan_core::{Classify, Outcome, Propagate, Reject, Rejection, RejectionKind};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use super::layer::Shared;
use crate::stripes::{Held, Lanes};

/// Holds calls back from a peer that accepts too few of them. See the [module](super).
pub struct Throttle<S, C, R = Propagate> {
    inner: S,
    lanes: Lanes<Arc<Shared<C>>>,
    reject: R,
}

impl<S, C, R> Throttle<S, C, R> {
    pub(super) const fn new(inner: S, lanes: Lanes<Arc<Shared<C>>>, reject: R) -> Self {
        Self {
            inner,
            lanes,
            reject,
        }
    }
}

reject_methods!(Throttle<S, C> { inner, lanes });
inner_accessors!(Throttle<S, C, R>);

impl<S: Clone, C, R: Clone> Clone for Throttle<S, C, R> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            lanes: self.lanes.clone(),
            reject: self.reject.clone(),
        }
    }
}

impl<S: fmt::Debug, C, R> fmt::Debug for Throttle<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle")
            .field("inner", &self.inner)
            .field("state", &self.lanes.state)
            .finish_non_exhaustive()
    }
}

impl<S, C, R, Req> Service<Req> for Throttle<S, C, R>
where
    S: Service<Req>,
    C: Classify<Req, S::Response, S::Error>,
    R: Reject<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = R::Error;
    type Future = ResponseFuture<S::Future, Req, C::Seen, C, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner
            .poll_ready(cx)
            .map_err(|error| self.reject.pass(error))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let now = Instant::now();
        let answer = match self.lanes.state.holds_back(now) {
            Some(chance) => Answer::HeldBack {
                held_back: HeldBack { chance },
            },
            None => {
                let shared = self.lanes.hold();
                Answer::Calling {
                    count: Count {
                        seen: Some(shared.classify.request(&request)),
                        called: now,
                        shared,
                    },
                    response: self.inner.call(request),
                }
            }
        };
        ResponseFuture {
            answer,
            reject: self.reject.clone(),
            request: PhantomData,
        }
    }
}

/// Counts one call, once: by its outcome, or as cancelled if it is dropped before it has one.
struct Count<T, C> {
    /// Until the head is there.
    seen: Option<T>,
    called: Instant,
    shared: Held<Arc<Shared<C>>>,
}

impl<T, C> Count<T, C> {
    fn finish<Req, Res, Err>(&mut self, result: Result<&Res, &Err>)
    where
        C: Classify<Req, Res, Err, Seen = T>,
    {
        if let Some(seen) = self.seen.take() {
            let outcome = self.shared.classify.head(seen, result).so_far();
            self.shared.state.record(self.called, outcome);
        }
    }
}

impl<T, C> Drop for Count<T, C> {
    fn drop(&mut self) {
        if self.seen.is_some() {
            self.shared.state.record(self.called, Outcome::Cancelled);
        }
    }
}

pin_project! {
    /// The response, or a [`Rejection`] if the call was held back.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, Req, T, C, R> {
        #[pin]
        answer: Answer<F, T, C>,
        reject: R,
        request: PhantomData<fn(Req)>,
    }
}

pin_project! {
    #[project = AnswerProj]
    enum Answer<F, T, C> {
        Calling {
            #[pin]
            response: F,
            count: Count<T, C>,
        },
        HeldBack { held_back: HeldBack },
    }
}

impl<F, Req, T, C, R> fmt::Debug for ResponseFuture<F, Req, T, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_held_back = matches!(self.answer, Answer::HeldBack { .. });
        f.debug_struct("ResponseFuture")
            .field("is_held_back", &is_held_back)
            .finish_non_exhaustive()
    }
}

impl<F, Req, C, R, Res, Err> Future for ResponseFuture<F, Req, C::Seen, C, R>
where
    F: Future<Output = Result<Res, Err>>,
    C: Classify<Req, Res, Err>,
    R: Reject<Res, Err>,
{
    type Output = Result<Res, R::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.answer.project() {
            AnswerProj::Calling { response, count } => {
                let result = ready!(response.poll(cx));
                count.finish::<Req, _, _>(result.as_ref());
                Poll::Ready(result.map_err(|error| this.reject.pass(error)))
            }
            AnswerProj::HeldBack { held_back } => {
                tracing::debug!(%held_back, "throttle");
                let rejection =
                    Rejection::new(RejectionKind::Shed, "throttle").with_source(*held_back);
                Poll::Ready(this.reject.reject(rejection))
            }
        }
    }
}

/// The peer accepts too few calls. The source of the [`Rejection`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldBack {
    chance: f64,
}

impl HeldBack {
    /// The probability with which it was to happen.
    pub const fn chance(&self) -> f64 {
        self.chance
    }
}

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.chance * 100.0;
        write!(
            f,
            "the peer accepts too few calls, so {percent:.0} % of them are held back"
        )
    }
}

impl Error for HeldBack {}
