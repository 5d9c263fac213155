//! The layer, its service, and the call's future.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use bartizan_core::{Classify, Outcome};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{AsyncFunction, Failed, Function, OnError, OtherService, Substitute, Value};
use crate::stripes::{Held, Lanes};

/// Answers calls that failed. It has no state of its own. See the [module](super).
#[derive(Clone, Debug)]
pub struct FallbackLayer<X, C = OnError> {
    substitute: X,
    classify: C,
}

impl<X> FallbackLayer<X> {
    /// Answers with what `substitute` makes of it. Errors are failures, and nothing else is.
    pub const fn new(substitute: X) -> Self {
        Self {
            substitute,
            classify: OnError,
        }
    }
}

impl<T> FallbackLayer<Value<T>> {
    /// Answers with a clone of `value`.
    pub const fn value(value: T) -> Self {
        Self::new(Value(value))
    }
}

impl<F> FallbackLayer<Function<F>> {
    /// Answers with what `function` makes of a [`Failed`] call: a response, or another error.
    pub const fn function(function: F) -> Self {
        Self::new(Function(function))
    }
}

impl<F> FallbackLayer<AsyncFunction<F>> {
    /// Answers with what the asynchronous `function` makes of a [`Failed`] call: a response, or another error.
    pub const fn async_function(function: F) -> Self {
        Self::new(AsyncFunction(function))
    }
}

impl<S> FallbackLayer<OtherService<S>> {
    /// Sends a copy of the request to `service`, whose answer or error is then the call's.
    pub const fn service(service: S) -> Self {
        Self::new(OtherService {
            template: Mutex::new(service),
        })
    }
}

impl<X, C> FallbackLayer<X, C> {
    /// Sets how results are judged. Default: [`OnError`].
    pub fn classify<D>(self, classify: D) -> FallbackLayer<X, D> {
        FallbackLayer {
            substitute: self.substitute,
            classify,
        }
    }

    #[cfg(feature = "http")]
    pub(super) fn map<Y>(self, map: impl FnOnce(X) -> Y) -> FallbackLayer<Y, C> {
        FallbackLayer {
            substitute: map(self.substitute),
            classify: self.classify,
        }
    }
}

impl<S, X: Clone, C: Clone> Layer<S> for FallbackLayer<X, C> {
    type Service = Fallback<S, X, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Fallback {
            inner,
            lanes: Lanes::new(&Arc::new(Shared {
                substitute: self.substitute.clone(),
                classify: self.classify.clone(),
            })),
        }
    }
}

/// Answers calls that failed. See the [module](super).
#[derive(Clone, Debug)]
pub struct Fallback<S, X, C = OnError> {
    inner: S,
    lanes: Lanes<Arc<Shared<X, C>>>,
}

/// Shared so that a value is cloned when it is needed, and not for each call.
#[derive(Debug)]
struct Shared<X, C> {
    substitute: X,
    classify: C,
}

inner_accessors!(Fallback<S, X, C>);

impl<S, X, C, Req> Service<Req> for Fallback<S, X, C>
where
    S: Service<Req>,
    X: Substitute<Req, S::Response, S::Error>,
    C: Classify<Req, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, X::Future, X, C, Kept<Req, C::Seen, X::Kept>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let shared = self.lanes.hold();
        let kept = Kept {
            seen: shared.classify.request(&request),
            kept: shared.substitute.keep(&request),
            request: std::marker::PhantomData,
        };
        ResponseFuture {
            state: State::Calling {
                response: self.inner.call(request),
                kept: Some(kept),
            },
            shared,
        }
    }
}

/// What a call keeps of its request.
pub struct Kept<Req, Seen, K> {
    seen: Seen,
    kept: K,
    request: std::marker::PhantomData<fn(Req)>,
}

pin_project! {
    /// The response, or what answers instead.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, G, X, C, K> {
        #[pin]
        state: State<F, G, K>,
        shared: Held<Arc<Shared<X, C>>>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, G, K> {
        Calling { #[pin] response: F, kept: Option<K> },
        Replacing { #[pin] answer: G },
    }
}

impl<F, X, C, Req, Res, Err> Future
    for ResponseFuture<F, X::Future, X, C, Kept<Req, C::Seen, X::Kept>>
where
    F: Future<Output = Result<Res, Err>>,
    X: Substitute<Req, Res, Err>,
    C: Classify<Req, Res, Err>,
{
    type Output = Result<Res, Err>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                // ## Calling => (done | Replacing)
                StateProj::Calling { response, kept } => {
                    let result = ready!(response.poll(cx));
                    let Kept { seen, kept, .. } =
                        kept.take().expect("not polled after it was ready");
                    let verdict = this.shared.classify.head(seen, result.as_ref());
                    let outcome = verdict.so_far();
                    if !is_failed(outcome, result.is_err()) {
                        return Poll::Ready(result);
                    }
                    tracing::debug!(?outcome, "fallback: answers instead");
                    State::Replacing {
                        answer: this
                            .shared
                            .substitute
                            .substitute(kept, Failed::new(outcome, result)),
                    }
                }
                // ## Replacing => done
                StateProj::Replacing { answer } => return answer.poll(cx),
            };
            this.state.set(next);
        }
    }
}

/// An error is replaced unless it was judged a success. So is a rejection by a layer below, which counts as ignored because it says
/// nothing about the peer: the caller has no answer all the same.
const fn is_failed(outcome: Outcome, is_error: bool) -> bool {
    match outcome {
        Outcome::Success => false,
        Outcome::Failure | Outcome::Throttled { .. } => true,
        _ => is_error,
    }
}

impl<F, G, X, C, K> fmt::Debug for ResponseFuture<F, G, X, C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<Req, Seen, K> fmt::Debug for Kept<Req, Seen, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}
