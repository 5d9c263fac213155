//! Fallbacks that HTTP callers can tell from answers.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_core::{HttpClassify, Outcome};
use http::Response;
use pin_project_lite::pin_project;

use super::{Failed, FallbackLayer, Substitute};

impl<X, C> FallbackLayer<X, C> {
    /// For HTTP: judges by [`HttpClassify`], so that 5xx and 429 are replaced too, and puts [`Replaced`] in the extensions of the
    /// responses that answer instead.
    pub fn http(self) -> FallbackLayer<Marked<X>, HttpClassify> {
        self.map(Marked).classify(HttpClassify::new())
    }
}

/// In the extensions of a response that answers instead of a call which failed. Not in those of the response that failed, if that is
/// passed on after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced {
    outcome: Outcome,
}

impl Replaced {
    /// How the call was judged that it answers for.
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }
}

/// Marks the response that failed while it is with the substitute, which may return it.
#[derive(Clone)]
struct Original;

/// A [`Substitute`] whose responses carry [`Replaced`]: what [`FallbackLayer::http`] makes.
#[derive(Clone, Debug)]
pub struct Marked<X>(X);

impl<X, Req, B, Err> Substitute<Req, Response<B>, Err> for Marked<X>
where
    X: Substitute<Req, Response<B>, Err>,
{
    type Kept = X::Kept;
    type Future = MarkedFuture<X::Future>;

    fn keep(&self, request: &Req) -> Self::Kept {
        self.0.keep(request)
    }

    fn substitute(&self, kept: Self::Kept, mut failed: Failed<Response<B>, Err>) -> Self::Future {
        if let Some(response) = failed.response_mut() {
            response.extensions_mut().insert(Original);
        }
        MarkedFuture {
            mark: Replaced {
                outcome: failed.outcome(),
            },
            answer: self.0.substitute(kept, failed),
        }
    }
}

pin_project! {
    /// The response of a [`Marked`] substitute.
    #[must_use = "futures do nothing unless polled"]
    pub struct MarkedFuture<F> {
        mark: Replaced,
        #[pin]
        answer: F,
    }
}

impl<F, B, Err> Future for MarkedFuture<F>
where
    F: Future<Output = Result<Response<B>, Err>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut result = ready!(this.answer.poll(cx));
        if let Ok(response) = &mut result {
            // Passed on after all, it answers for nothing but itself.
            if response.extensions_mut().remove::<Original>().is_none() {
                response.extensions_mut().insert(*this.mark);
            }
        }
        Poll::Ready(result)
    }
}

impl<F> fmt::Debug for MarkedFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MarkedFuture")
            .field("mark", &self.mark)
            .finish_non_exhaustive()
    }
}
