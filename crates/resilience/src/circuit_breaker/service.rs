//! The service: a gate in front of the inner one, and a permit for each call that passes.

use std::{
    fmt,
    marker::PhantomData,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_core::{Classify, OnComplete, Outcome, Propagate, Reject, Rejection};
use pin_project_lite::pin_project;
use tokio::{sync::watch, time::Instant};
use tower_service::Service;

use super::{
    AtHead,
    core::{Lane, Permit},
};
use crate::stripes::Lanes;

/// Keeps calls from a peer that fails. See the [module](super).
pub struct CircuitBreaker<S, C, M = AtHead, R = Propagate> {
    inner: S,
    lanes: Lanes<Lane<C>>,
    gate: Gate<C>,
    mode: PhantomData<M>,
    reject: R,
}

/// What `poll_ready` of a breaker in gate mode has come to.
enum Gate<C> {
    Unknown,
    Waiting(Pin<Box<dyn Future<Output = ()> + Send + Sync>>),
    Passed(Open<C>),
}

impl<S, C, M, R> CircuitBreaker<S, C, M, R> {
    pub(super) const fn new(inner: S, lanes: Lanes<Lane<C>>, reject: R) -> Self {
        Self {
            inner,
            lanes,
            gate: Gate::Unknown,
            mode: PhantomData,
            reject,
        }
    }

    fn admit(&self) -> Result<Open<C>, super::core::Refusal> {
        let pass = self.lanes.core.admit()?;
        Ok(Open(Some(Permit::new(self.lanes.hold(), pass))))
    }

    /// Waits at the gate, if there is one. A place that it gets is kept until the call.
    fn poll_gate(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.lanes.core.policy().is_gate {
            return Poll::Ready(());
        }
        loop {
            match &mut self.gate {
                // ## Unknown => (Passed | Waiting)
                Gate::Unknown => {
                    // Subscribed before it is asked, so that no change between the two is missed.
                    let turns = self.lanes.core.turns();
                    self.gate = match self.admit() {
                        Ok(open) => Gate::Passed(open),
                        Err(refusal) => Gate::Waiting(Box::pin(turn(turns, refusal.until))),
                    };
                }
                // ## Waiting => Unknown
                Gate::Waiting(turn) => {
                    ready!(turn.as_mut().poll(cx));
                    self.gate = Gate::Unknown;
                }
                Gate::Passed(_) => return Poll::Ready(()),
            }
        }
    }

    fn start<Req>(&mut self, request: Req) -> ResponseFuture<S::Future, Req, C::Seen, C, M, R>
    where
        S: Service<Req>,
        C: Classify<Req, S::Response, S::Error>,
        R: Clone,
    {
        let admitted = match mem::replace(&mut self.gate, Gate::Unknown) {
            Gate::Passed(open) => Ok(open),
            Gate::Unknown | Gate::Waiting(_) => self.admit(),
        };
        let state = match admitted {
            Ok(mut open) => {
                open.called();
                State::Called {
                    call: Some((open.classify().request(&request), open)),
                    response: self.inner.call(request),
                }
            }
            Err(refusal) => {
                self.lanes.core.count_rejection();
                State::Rejected {
                    rejection: Some(refusal.into_rejection()),
                }
            }
        };
        ResponseFuture {
            state,
            reject: self.reject.clone(),
            mode: PhantomData,
        }
    }
}

/// Until somebody may be admitted who was not before, and no longer than `until`.
async fn turn(mut turns: watch::Receiver<u64>, until: Option<Instant>) {
    let changed = turns.changed();
    // An error says that the breaker is gone, which it is not: the service that waits holds it.
    match until {
        Some(until) => drop(tokio::time::timeout_at(until, changed).await),
        None => drop(changed.await),
    }
}

inner_accessors!(CircuitBreaker<S, C, M, R>);

impl<S: Clone, C, M, R: Clone> Clone for CircuitBreaker<S, C, M, R> {
    fn clone(&self) -> Self {
        // The place that `self` has at the gate is its own.
        Self::new(self.inner.clone(), self.lanes.clone(), self.reject.clone())
    }
}

impl<S: fmt::Debug, C, M, R> fmt::Debug for CircuitBreaker<S, C, M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("inner", &self.inner)
            .field("state", &self.lanes.core.state())
            .finish_non_exhaustive()
    }
}

/// `Service` for a mode: they differ in where the permit goes with a response.
macro_rules! service {
    ($mode:ty, [$($body:ident)?], $inner:ty => $response:ty, where [$($bound:tt)*], $finish:expr, $own:expr) => {
        impl<S, C, R, Req $(, $body)?> Service<Req> for CircuitBreaker<S, C, $mode, R>
        where
            S: Service<Req, Response = $inner>,
            C: Classify<Req, $inner, S::Error>,
            R: Reject<$inner, S::Error> + Clone,
            $($bound)*
        {
            type Response = $response;
            type Error = R::Error;
            type Future = ResponseFuture<S::Future, Req, C::Seen, C, $mode, R>;

            fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), R::Error>> {
                ready!(self.poll_gate(cx));
                self.inner.poll_ready(cx).map_err(|error| self.reject.pass(error))
            }

            fn call(&mut self, request: Req) -> Self::Future {
                self.start(request)
            }
        }

        impl<F, Req, T, C, R, Err $(, $body)?> Future for ResponseFuture<F, Req, T, C, $mode, R>
        where
            F: Future<Output = Result<$inner, Err>>,
            C: Classify<Req, $inner, Err, Seen = T>,
            R: Reject<$inner, Err>,
            $($bound)*
        {
            type Output = Result<$response, R::Error>;

            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                let this = self.project();
                let (response, call) = match this.state.project() {
                    StateProj::Called { response, call } => (response, call),
                    StateProj::Rejected { rejection } => {
                        let rejection = rejection.take().expect("polled after completion");
                        return Poll::Ready(this.reject.reject(rejection).map($own));
                    }
                };
                let Poll::Ready(result) = response.poll(cx) else {
                    if let Some((_, open)) = call {
                        open.wait();
                    }
                    return Poll::Pending;
                };
                let (seen, open) = call.take().expect("polled after completion");
                let mut permit = open.into_permit();
                permit.answered();
                let verdict = permit.classify().head(seen, result.as_ref());
                Poll::Ready(match result {
                    Ok(response) => Ok($finish(permit, verdict, response)),
                    Err(error) => {
                        permit.on_complete(verdict.so_far());
                        Err(this.reject.pass(error))
                    }
                })
            }
        }
    };
}

mod head {
    use bartizan_core::{ClassifyEnd, Verdict};

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "as the other mode takes it")]
    fn finish<C, T: ClassifyEnd, Res>(
        permit: Permit<C>,
        verdict: Verdict<T>,
        response: Res,
    ) -> Res {
        permit.on_complete(verdict.so_far());
        response
    }

    service!(AtHead, [Res], Res => Res, where [], finish, std::convert::identity);
}

#[cfg(feature = "http")]
mod end {
    use bartizan_core::{Completion, CompletionBody};
    use http::Response;

    use super::*;
    use crate::circuit_breaker::AtEnd;

    service!(
        AtEnd,
        [B],
        Response<B> => Response<CompletionBody<B, C::Rest, Permit<C>>>,
        where [B: http_body::Body],
        |permit, verdict, response| Completion::new(permit).follow(verdict, response),
        |response: Response<B>| response.map(CompletionBody::reported)
    );
}

pin_project! {
    /// The response, or a [`Rejection`]. With `AtEnd`, the body of the response tells how it ended.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, Req, T, C, M, R> {
        #[pin]
        state: State<F, T, C>,
        reject: R,
        mode: PhantomData<fn(Req) -> M>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, T, C> {
        Called {
            #[pin]
            response: F,
            // `None` when it was reported, or handed on to the body.
            call: Option<(T, Open<C>)>,
        },
        Rejected {
            rejection: Option<Rejection>,
        },
    }
}

impl<F, Req, T, C, M, R> fmt::Debug for ResponseFuture<F, Req, T, C, M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// Reports a call that is dropped before its head as cancelled, so that no place is lost and none goes unseen.
struct Open<C>(Option<Permit<C>>);

impl<C> Open<C> {
    const MISSING: &'static str = "the permit is taken by value, or by drop";

    fn classify(&self) -> &C {
        self.0.as_ref().expect(Self::MISSING).classify()
    }

    fn called(&mut self) {
        self.0.as_mut().expect(Self::MISSING).called();
    }

    fn wait(&mut self) {
        self.0.as_mut().expect(Self::MISSING).wait();
    }

    fn into_permit(mut self) -> Permit<C> {
        self.0.take().expect(Self::MISSING)
    }
}

impl<C> Drop for Open<C> {
    fn drop(&mut self) {
        if let Some(permit) = self.0.take() {
            permit.on_complete(Outcome::Cancelled);
        }
    }
}
