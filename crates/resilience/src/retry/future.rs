//! One call, from attempt to attempt.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tower_service::Service;

use super::{
    Attempts, GaveUp, Judgement, Policy, Resend,
    service::{Common, Shared},
};
use crate::stripes::Held;

type Sent<P, Req> = <P as Resend<Req>>::Sent;
type Kept<P, Req> = <P as Resend<Req>>::Kept;
type Response<S, P, Req> = <S as Service<Sent<P, Req>>>::Response;
type Error<S, P, Req> = <S as Service<Sent<P, Req>>>::Error;
type Seen<S, P, Req> = <P as Policy<Req, Response<S, P, Req>, Error<S, P, Req>>>::Seen;
type Drain<S, P, Req> = <P as Policy<Req, Response<S, P, Req>, Error<S, P, Req>>>::Drain;

pin_project! {
    /// The response, or the error, of the last attempt.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, P, Req>
    where
        // Bounds, against the rule: five types in it follow from these three, and naming them would take eight parameters.
        P: Resend<Req>,
        P: Policy<Req, Response<S, P, Req>, Error<S, P, Req>>,
        S: Service<Sent<P, Req>>,
    {
        #[pin]
        state: State<S, <S as Service<Sent<P, Req>>>::Future, Drain<S, P, Req>>,
        course: Course<S, P, Sent<P, Req>, Kept<P, Req>, Seen<S, P, Req>>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, D> {
        Calling { #[pin] response: F },
        Pausing { #[pin] drain: Option<D>, #[pin] pause: Option<Sleep> },
        Readying { service: S },
    }
}

impl<S, P, Req> ResponseFuture<S, P, Req>
where
    P: Resend<Req>,
    P: Policy<Req, Response<S, P, Req>, Error<S, P, Req>>,
    S: Service<Sent<P, Req>>,
{
    /// Makes the first attempt, through a `service` that is ready.
    pub(super) fn new(shared: Held<Arc<Shared<S, P>>>, service: &mut S, request: Req) -> Self {
        let common = &shared.common;
        let (request, kept) = common.policy.keep(request);
        let seen = common.policy.request(&request);
        if let Some(budget) = &common.budget {
            budget.deposit();
        }
        Self {
            state: State::Calling {
                response: service.call(request),
            },
            course: Course {
                shared,
                kept,
                seen: Some(seen),
                attempt: 1,
                pause: Duration::ZERO,
                next: None,
            },
        }
    }
}

impl<S, P, Req> Future for ResponseFuture<S, P, Req>
where
    P: Resend<Req>,
    P: Policy<Req, Response<S, P, Req>, Error<S, P, Req>>,
    S: Service<Sent<P, Req>> + Clone,
{
    type Output = Result<Response<S, P, Req>, Error<S, P, Req>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let course = this.course;
        loop {
            let next = match this.state.as_mut().project() {
                // ## Calling => (done | Pausing)
                StateProj::Calling { response } => {
                    let mut result = ready!(response.poll(cx));
                    let Some(pause) = course.after::<Req, _, _>(&mut result) else {
                        return Poll::Ready(result);
                    };
                    State::Pausing {
                        drain: result
                            .ok()
                            .and_then(|response| course.shared.common.policy.drain(response)),
                        // A timer of no time still costs a turn of the clock.
                        pause: (!pause.is_zero()).then(|| tokio::time::sleep(pause)),
                    }
                }
                // ## Pausing => Readying
                StateProj::Pausing {
                    mut drain,
                    mut pause,
                } => {
                    if let Some(draining) = drain.as_mut().as_pin_mut() {
                        if draining.poll(cx).is_ready() {
                            drain.set(None);
                        }
                    }
                    if let Some(pause) = pause.as_mut().as_pin_mut() {
                        ready!(pause.poll(cx));
                    }
                    // What is not drained by now is dropped: nobody waits for a body that nobody reads.
                    State::Readying {
                        service: course.shared.service(),
                    }
                }
                // ## Readying => (Calling | done)
                StateProj::Readying { service } => {
                    // Final, as an error of `poll_ready` always is: the next clone would fail the same way.
                    ready!(service.poll_ready(cx))?;
                    let request =
                        course.next_request::<Req, Response<S, P, Req>, Error<S, P, Req>>();
                    State::Calling {
                        response: service.call(request),
                    }
                }
            };
            this.state.set(next);
        }
    }
}

impl<S, P, Req> fmt::Debug for ResponseFuture<S, P, Req>
where
    P: Resend<Req>,
    P: Policy<Req, Response<S, P, Req>, Error<S, P, Req>>,
    S: Service<Sent<P, Req>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("attempt", &self.course.attempt)
            .finish_non_exhaustive()
    }
}

/// Where a call stands, and what it needs to go on.
struct Course<S, P, Q, K, N> {
    shared: Held<Arc<Shared<S, P>>>,
    kept: K,
    /// `None` once the attempt was judged.
    seen: Option<N>,
    /// The number of the attempt that is under way, or was the last.
    attempt: u32,
    /// The last one of its own, which decorrelated jitter goes on from.
    pause: Duration,
    /// What the next attempt sends. Made before the attempt's result is let go, as there may be nothing to send.
    next: Option<Q>,
}

impl<S, P, Q, K, N> Course<S, P, Q, K, N> {
    /// How long to wait for another attempt. `None` if `result` is what the caller gets.
    #[inline]
    fn after<Req, Res, Err>(&mut self, result: &mut Result<Res, Err>) -> Option<Duration>
    where
        P: Policy<Req, Res, Err, Seen = N> + Resend<Req, Sent = Q, Kept = K>,
    {
        let seen = self.seen.take()?;
        let judgement = self
            .shared
            .common
            .policy
            .judge(&self.kept, seen, result.as_ref());
        let planned = match judgement {
            Judgement::Done if self.attempt == 1 => return None,
            Judgement::Done => Err(None),
            Judgement::GiveUp(why) => Err(Some(why)),
            Judgement::Retry { after } => self.plan(after).map_err(Some),
        };
        match planned {
            Ok(pause) => {
                self.shared.common.counters.retry();
                tracing::debug!(attempt = self.attempt, ?pause, "retry: once more");
                Some(pause)
            }
            Err(gave_up) => {
                if let Some(why) = gave_up {
                    self.shared.common.counters.give_up(why);
                    tracing::debug!(attempts = self.attempt, %why, "retry: gave up");
                }
                if let Ok(response) = result {
                    let attempts = Attempts::new(self.attempt, gave_up);
                    self.shared.common.policy.annotate(response, attempts);
                }
                None
            }
        }
    }

    /// Makes all there has to be for another attempt, the withdrawal last, because it is not given back.
    #[cold]
    fn plan<Req>(&mut self, after: Option<Duration>) -> Result<Duration, GaveUp>
    where
        P: Resend<Req, Sent = Q, Kept = K>,
    {
        let Common {
            policy,
            settings,
            budget,
            ..
        } = &*self.shared.common;
        let max = policy.max_attempts(&self.kept).unwrap_or(settings.attempts);
        if self.attempt >= max {
            return Err(GaveUp::Attempts);
        }
        let own = settings.backoff.delay(self.attempt - 1, self.pause);
        let pause = match after {
            Some(after) if after > settings.max_retry_after => return Err(GaveUp::RetryAfter),
            Some(after) => after.max(own),
            None => own,
        };
        if let Some(deadline) = policy.deadline(&self.kept) {
            if deadline.saturating_duration_since(Instant::now()) <= pause {
                return Err(GaveUp::Deadline);
            }
        }
        let next = policy.again(&mut self.kept).ok_or(GaveUp::Unrepeatable)?;
        if budget.as_ref().is_some_and(|budget| !budget.withdraw()) {
            return Err(GaveUp::Budget);
        }
        self.next = Some(next);
        self.pause = own;
        Ok(pause)
    }

    fn next_request<Req, Res, Err>(&mut self) -> Q
    where
        P: Policy<Req, Res, Err, Seen = N> + Resend<Req, Sent = Q, Kept = K>,
    {
        self.attempt += 1;
        let mut request = self
            .next
            .take()
            .expect("a retry is planned with its request");
        let policy = &self.shared.common.policy;
        policy.prepare(&mut request, self.attempt);
        self.seen = Some(policy.request(&request));
        request
    }
}
