//! One call, from target to target.

use std::{
    borrow::Cow,
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_core::{BoxError, Reject, Rejection, RejectionKind};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tower_service::Service;

use super::{
    Policy,
    report::{Attempt, Exhausted, Report},
    shared::Shared,
};
use crate::stripes::Held;

pin_project! {
    /// The response of the first target to answer, or a [`Rejection`] if none does.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, F, Req, P, R> {
        #[pin]
        state: State<S, F>,
        course: Course<S, Req, P>,
        reject: R,
    }
}

impl<S, F, Req, P, R> ResponseFuture<S, F, Req, P, R> {
    pub(super) const fn new(state: State<S, F>, course: Course<S, Req, P>, reject: R) -> Self {
        Self {
            state,
            course,
            reject,
        }
    }
}

impl<S, F, Req, P, R> fmt::Debug for ResponseFuture<S, F, Req, P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("attempts", &self.course.attempts)
            .finish_non_exhaustive()
    }
}

pin_project! {
    #[project = StateProj]
    pub(super) enum State<S, F> {
        Calling { #[pin] response: F },
        Pausing { #[pin] pause: Sleep },
        Readying { service: S },
        // There is nobody left to ask.
        Exhausted,
    }
}

impl<S, Req, P, R> Future for ResponseFuture<S, S::Future, Req, P, R>
where
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
    P: Policy<Req, S::Response>,
    R: Reject<S::Response, S::Error>,
{
    type Output = Result<S::Response, R::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let course = this.course;
        loop {
            let next = match this.state.as_mut().project() {
                // ## Calling => (done | Pausing | Readying | Exhausted)
                StateProj::Calling { response } => {
                    let Poll::Ready(result) = response.poll(cx) else {
                        course.wait();
                        return Poll::Pending;
                    };
                    match result {
                        Ok(mut response) => match course.shared.policy.fault(&response) {
                            None => {
                                course.answer(&mut response);
                                return Poll::Ready(Ok(response));
                            }
                            Some(fault) => {
                                course.fault(fault);
                                if course.is_over() && course.shared.settings.return_last_response {
                                    let report = course.take_report();
                                    course.shared.policy.annotate(&mut response, report);
                                    return Poll::Ready(Ok(response));
                                }
                            }
                        },
                        Err(error) => course.fail(error.into()),
                    }
                    course.go_on()
                }
                // ## Pausing => Readying
                StateProj::Pausing { pause } => {
                    ready!(pause.poll(cx));
                    course.ready_next()
                }
                // ## Readying => (Calling | Pausing | Readying | Exhausted)
                StateProj::Readying { service } => match service.poll_ready(cx) {
                    Poll::Pending if course.is_probing() => course.pass_by(),
                    Poll::Pending => {
                        course.wait();
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(())) => course.call_next(service),
                    Poll::Ready(Err(error)) => {
                        course.fail(error.into());
                        course.go_on()
                    }
                },
                // ## Exhausted => done
                StateProj::Exhausted => {
                    return Poll::Ready(this.reject.reject(course.rejection()));
                }
            };
            this.state.set(next);
        }
    }
}

/// Where a call has been, and where it can still go.
pub(super) struct Course<S, Req, P> {
    shared: Held<Arc<Shared<S, P>>>,
    /// Where it began.
    start: usize,
    /// The earlier target that is tried before that, if this call is the one that tries it.
    probe: Option<usize>,
    /// The instance that was made ready where the call began, while an earlier target is tried.
    reserve: Option<S>,
    /// What to send to the next target. `None` if there is none, or the request could not be copied for it.
    next_request: Option<Req>,
    /// When the call began to wait for the target it is at.
    waiting_since: Option<Instant>,
    /// What became of the targets before that.
    attempts: Vec<Attempt>,
}

impl<S, Req, P> Course<S, Req, P> {
    pub(super) const fn new(shared: Held<Arc<Shared<S, P>>>, start: usize) -> Self {
        Self {
            shared,
            start,
            probe: None,
            reserve: None,
            next_request: None,
            waiting_since: None,
            attempts: Vec::new(),
        }
    }

    fn target(&self) -> usize {
        self.shared
            .route
            .target(self.start, self.probe, self.attempts.len())
    }

    /// Looks at the clock only where there is something to wait for, so that a target that answers at once costs no look.
    fn wait(&mut self) {
        self.waiting_since.get_or_insert_with(Instant::now);
    }

    fn waited(&mut self) -> Duration {
        self.waiting_since
            .take()
            .map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn record(&mut self, attempt: impl FnOnce(usize, &str, Duration) -> Attempt) {
        let (target, waited) = (self.target(), self.waited());
        let attempt = attempt(target, self.shared.route.name(target), waited);
        tracing::debug!(%attempt, "failover");
        self.attempts.push(attempt);
    }

    pub(super) fn fail(&mut self, error: BoxError) {
        self.record(|target, name, waited| Attempt::failed(target, name, waited, error));
    }

    fn fault(&mut self, fault: Cow<'static, str>) {
        self.record(|target, name, waited| Attempt::faulted(target, name, waited, fault));
    }

    /// Whether the call is at the earlier target that it tries first.
    fn is_probing(&self) -> bool {
        self.probe.is_some() && self.attempts.is_empty()
    }

    fn has_targets_left(&self) -> bool {
        self.attempts.len() < self.shared.route.len()
    }

    fn is_over(&self) -> bool {
        self.next_request.is_none() || !self.has_targets_left()
    }

    fn take_report(&mut self) -> Report {
        Report::new(mem::take(&mut self.attempts))
    }

    fn rejection(&mut self) -> Rejection {
        let unreplayable = self.has_targets_left();
        Rejection::new(RejectionKind::Exhausted, "failover")
            .with_source(Exhausted::new(self.take_report(), unreplayable))
    }
}

impl<S, Req, P> Course<S, Req, P>
where
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
    P: Policy<Req, S::Response>,
{
    /// Sends `request` to the target that the course is at, through a `service` of that target that is ready.
    pub(super) fn call(&mut self, service: &mut S, mut request: Req) -> State<S, S::Future> {
        let target = self.target();
        if self.attempts.len() + 1 < self.shared.route.len() {
            self.next_request = self.shared.policy.copy(&request);
        }
        match self.shared.policy.aim(target, &mut request) {
            Ok(()) => State::Calling {
                response: service.call(request),
            },
            Err(error) => {
                self.fail(error);
                self.go_on()
            }
        }
    }

    /// Tries `target` first, which is an earlier one. `reserve` was made ready where the call begins, and stays so.
    pub(super) fn probe(&mut self, target: usize, reserve: S, request: Req) -> State<S, S::Future> {
        self.probe = Some(target);
        self.reserve = Some(reserve);
        self.next_request = Some(request);
        self.ready_next()
    }

    /// The earlier target is not ready. Nobody knows for how long, and where the call begins somebody is.
    fn pass_by(&mut self) -> State<S, S::Future> {
        self.probe = None;
        self.ready_next()
    }

    /// The target that the call began with has failed before `request` was sent to it.
    pub(super) fn skip(&mut self, error: BoxError, request: Req) -> State<S, S::Future> {
        self.fail(error);
        self.next_request = Some(request);
        self.go_on()
    }

    fn call_next(&mut self, service: &mut S) -> State<S, S::Future> {
        match self.next_request.take() {
            Some(request) => self.call(service, request),
            None => State::Exhausted,
        }
    }

    fn go_on(&mut self) -> State<S, S::Future> {
        let interval = self.shared.settings.interval;
        if self.is_over() {
            State::Exhausted
        } else if interval.is_zero() {
            self.ready_next()
        } else {
            State::Pausing {
                pause: tokio::time::sleep(interval),
            }
        }
    }

    fn ready_next(&mut self) -> State<S, S::Future> {
        let target = self.target();
        let reserve = match target == self.start {
            true => self.reserve.take(),
            false => None,
        };
        State::Readying {
            service: reserve.unwrap_or_else(|| self.shared.service(target)),
        }
    }

    fn answer(&mut self, response: &mut S::Response) {
        let target = self.target();
        if self.shared.route.answered(self.start, target) {
            let name = self.shared.route.name(target);
            tracing::info!(
                from = self.start,
                to = target,
                name,
                "failover: the current target moved"
            );
        }
        if !self.attempts.is_empty() {
            self.record(Attempt::answer);
            let report = self.take_report();
            self.shared.policy.annotate(response, report);
        }
    }
}
