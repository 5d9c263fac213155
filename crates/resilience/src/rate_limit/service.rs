//! The service and its future.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_core::{BoxError, Propagate, Reject, Rejection, RejectionKind};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tower_service::Service;

use super::{
    annotate::{Annotate, Plain},
    limit::{Limit, Shared, Take, Turn},
    quota::Decision,
};
use crate::bulkhead::Call;

/// Limits how many calls are made in a time. See the [module](super).
#[derive(Clone, Debug)]
pub struct RateLimit<S, L = Shared, A = Plain, R = Propagate> {
    inner: S,
    limit: L,
    annotate: A,
    reject: R,
}

impl<S, L, A, R> RateLimit<S, L, A, R> {
    pub(super) const fn new(inner: S, limit: L, annotate: A, reject: R) -> Self {
        Self {
            inner,
            limit,
            annotate,
            reject,
        }
    }
}

inner_accessors!(RateLimit<S, L, A, R>);

impl<S: Clone, L, A, R> RateLimit<S, L, A, R> {
    /// A service for a call that waits. What this one reserved when it became ready is for somebody else meanwhile.
    fn unready(&mut self) -> S {
        let unready = self.inner.clone();
        self.inner = unready.clone();
        unready
    }
}

impl<S, L, A, R, Req> Service<Req> for RateLimit<S, L, A, R>
where
    S: Service<Req> + Clone,
    L: Limit<Req>,
    A: Annotate<S::Response> + Clone,
    R: Reject<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = R::Error;
    type Future = ResponseFuture<S, S::Future, Req, L::Deciding, L::Turn, A, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner
            .poll_ready(cx)
            .map_err(|error| self.reject.pass(error))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let now = Instant::now();
        let (state, decision) = match self.limit.take(&request, now) {
            Take::Unlimited => (State::calling(self.inner.call(request)), None),
            Take::Now(decision, _) if !decision.is_admitted() => {
                (State::Refused { store_error: None }, Some(decision))
            }
            Take::Now(decision, turn) if decision.wait().is_zero() => {
                turn.came();
                (State::calling(self.inner.call(request)), Some(decision))
            }
            Take::Now(decision, turn) => {
                let state = State::Waiting {
                    sleep: tokio::time::sleep(decision.wait()),
                    turn: Some(turn),
                    service: self.unready(),
                    request,
                };
                (state, Some(decision))
            }
            Take::Later(deciding) => {
                let state = State::Deciding {
                    deciding,
                    service: self.unready(),
                    request,
                };
                (state, None)
            }
        };
        ResponseFuture {
            state,
            decision,
            annotate: self.annotate.clone(),
            reject: self.reject.clone(),
        }
    }
}

pin_project! {
    #[project = StateProj]
    #[project_replace = StateOwned]
    enum State<S, F, Req, D, T> {
        Calling { #[pin] call: Call<S, F, Req> },
        Waiting { #[pin] sleep: Sleep, turn: Option<T>, service: S, request: Req },
        Deciding { #[pin] deciding: D, service: S, request: Req },
        Refused { store_error: Option<BoxError> },
        Gone,
    }
}

impl<S, F, Req, D, T> State<S, F, Req, D, T> {
    const fn calling(response: F) -> Self {
        Self::Calling {
            call: Call::Calling { response },
        }
    }
}

pin_project! {
    /// The response, or a [`Rejection`] if the call is over the quota.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, F, Req, D, T, A, R> {
        #[pin]
        state: State<S, F, Req, D, T>,
        // `None` if the call is not limited, or it is not decided yet.
        decision: Option<Decision>,
        annotate: A,
        reject: R,
    }
}

impl<S, F, Req, D, T, A, R> fmt::Debug for ResponseFuture<S, F, Req, D, T, A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("decision", &self.decision)
            .finish_non_exhaustive()
    }
}

impl<S, Req, D, T, A, R> Future for ResponseFuture<S, S::Future, Req, D, T, A, R>
where
    S: Service<Req> + Clone,
    D: Future<Output = Result<Option<Decision>, BoxError>>,
    T: Turn,
    A: Annotate<S::Response>,
    R: Reject<S::Response, S::Error>,
{
    type Output = Result<S::Response, R::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let wait = match this.state.as_mut().project() {
                // ## Calling => done
                StateProj::Calling { call } => {
                    let mut result = ready!(call.poll(cx));
                    if let (Ok(response), Some(decision)) = (&mut result, &this.decision) {
                        this.annotate.annotate(decision, response);
                    }
                    return Poll::Ready(result.map_err(|error| this.reject.pass(error)));
                }
                // ## Refused => done
                StateProj::Refused { store_error } => {
                    let rejection = refusal(this.decision.as_ref(), store_error.take());
                    let mut result = this.reject.reject(rejection);
                    if let (Ok(response), Some(decision)) = (&mut result, &this.decision) {
                        this.annotate.annotate(decision, response);
                    }
                    return Poll::Ready(result);
                }
                // ## Waiting => Calling
                StateProj::Waiting { sleep, .. } => {
                    ready!(sleep.poll(cx));
                    None
                }
                // ## Deciding => (Calling | Waiting | Refused)
                StateProj::Deciding { deciding, .. } => match ready!(deciding.poll(cx)) {
                    Ok(decision) => {
                        *this.decision = decision;
                        if decision.is_some_and(|decision| !decision.is_admitted()) {
                            this.state.set(State::Refused { store_error: None });
                            continue;
                        }
                        decision
                            .map(|decision| decision.wait())
                            .filter(|wait| !wait.is_zero())
                    }
                    Err(error) => {
                        this.state.set(State::Refused {
                            store_error: Some(error),
                        });
                        continue;
                    }
                },
                StateProj::Gone => unreachable!("every state is followed by another"),
            };
            let (service, request) = match this.state.as_mut().project_replace(State::Gone) {
                StateOwned::Waiting {
                    turn,
                    service,
                    request,
                    ..
                } => {
                    if let Some(turn) = turn {
                        turn.came();
                    }
                    (service, request)
                }
                StateOwned::Deciding {
                    service, request, ..
                } => (service, request),
                _ => unreachable!("the others have gone on"),
            };
            this.state.set(match wait {
                None => State::Calling {
                    call: Call::Readying {
                        service,
                        request: Some(request),
                    },
                },
                Some(wait) => State::Waiting {
                    sleep: tokio::time::sleep(wait),
                    turn: None,
                    service,
                    request,
                },
            });
        }
    }
}

fn refusal(decision: Option<&Decision>, store_error: Option<BoxError>) -> Rejection {
    let mut rejection = Rejection::new(RejectionKind::Limited, "rate limit");
    if let Some(delay) = decision.and_then(Decision::retry_after) {
        rejection = rejection.with_retry_after(delay);
    }
    if let Some(error) = store_error {
        rejection = rejection.with_source(error);
    }
    tracing::debug!("{rejection}");
    rejection
}
