//! One call, and the second attempt at it.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_core::Classify;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tower_service::Service;

use super::{delay::Delay, service::Shared, state::count};
use crate::stripes::Held;

pin_project! {
    /// The response of the attempt that succeeds first, or what the last one came to.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, F, Req, C, Seen> {
        // `None` once it ended, while the second goes on.
        #[pin]
        first: Option<F>,
        #[pin]
        second: Second<S, F, Seen>,
        // `None` for a request that may be sent only once.
        course: Option<Course<S, Req, C, Seen>>,
    }
}

impl<S, F, Req, C, Seen> ResponseFuture<S, F, Req, C, Seen> {
    pub(super) const fn new(first: F, course: Option<Course<S, Req, C, Seen>>) -> Self {
        Self {
            first: Some(first),
            second: Second::Armed,
            course,
        }
    }
}

impl<S, F, Req, C, Seen> fmt::Debug for ResponseFuture<S, F, Req, C, Seen> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("second", &self.second.name())
            .finish_non_exhaustive()
    }
}

pin_project! {
    #[project = SecondProj]
    enum Second<S, F, Seen> {
        // The first attempt has not been found pending yet.
        Armed,
        Delaying { #[pin] delay: Sleep },
        Readying { service: S },
        Calling { #[pin] response: F, seen: Option<Seen> },
        // There is none, or there is none any more.
        Off,
    }
}

impl<S, F, Seen> Second<S, F, Seen> {
    const fn name(&self) -> &'static str {
        match self {
            Self::Armed => "Armed",
            Self::Delaying { .. } => "Delaying",
            Self::Readying { .. } => "Readying",
            Self::Calling { .. } => "Calling",
            Self::Off => "Off",
        }
    }
}

impl<S, Req, C> Future for ResponseFuture<S, S::Future, Req, C, C::Seen>
where
    S: Service<Req> + Clone,
    C: Classify<Req, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // Before every timer: a response that is there is never thrown away for having been looked at late.
        if let Some(first) = this.first.as_mut().as_pin_mut() {
            if let Poll::Ready(result) = first.poll(cx) {
                this.first.set(None);
                let Some(course) = this.course else {
                    return Poll::Ready(result);
                };
                let second_runs = matches!(*this.second, Second::Calling { .. });
                if course.first_ended(&result) || !second_runs {
                    this.second.set(Second::Off);
                    return Poll::Ready(result);
                }
            }
        }
        let Some(course) = this.course else {
            return Poll::Pending;
        };
        loop {
            let next = match this.second.as_mut().project() {
                // ## Armed => (Delaying | Readying | Off)
                SecondProj::Armed => match course.delay() {
                    None => Second::Off,
                    Some(Duration::ZERO) => course.due(),
                    Some(delay) => Second::Delaying {
                        delay: tokio::time::sleep(delay),
                    },
                },
                // ## Delaying => (Readying | Off)
                SecondProj::Delaying { delay } => {
                    ready!(delay.poll(cx));
                    course.due()
                }
                // ## Readying => (Calling | Off)
                SecondProj::Readying { service } => match ready!(service.poll_ready(cx)) {
                    Ok(()) => course.call(service),
                    // The first attempt is under way, and may yet succeed.
                    Err(_) => Second::Off,
                },
                // ## Calling => (done | Off)
                SecondProj::Calling { response, seen } => {
                    let result = ready!(response.poll(cx));
                    let won = course.second_ended(seen.take(), &result);
                    this.second.set(Second::Off);
                    // After a failure of the first, this is the last there is.
                    if won || this.first.is_none() {
                        this.first.set(None);
                        return Poll::Ready(result);
                    }
                    Second::Off
                }
                SecondProj::Off => {
                    course.release_token();
                    return Poll::Pending;
                }
            };
            this.second.set(next);
        }
    }
}

/// What one call knows, and what it owes.
pub(super) struct Course<S, Req, C, Seen> {
    shared: Held<Arc<Shared<S, C>>>,
    /// The request for the second attempt.
    request: Option<Req>,
    /// What the classification keeps of the first.
    seen: Option<Seen>,
    /// When the first attempt was found pending. Looked up only if its latency matters.
    since: Option<Instant>,
    /// The delay is over, so that what the first attempt takes is above the percentile, however it ends.
    is_late: bool,
    is_recorded: bool,
    /// Whether it holds a token for a second attempt that is not sent yet.
    token: bool,
}

impl<S, Req, C, Seen> Course<S, Req, C, Seen> {
    pub(super) const fn new(shared: Held<Arc<Shared<S, C>>>, request: Req, seen: Seen) -> Self {
        Self {
            shared,
            request: Some(request),
            seen: Some(seen),
            since: None,
            is_late: false,
            is_recorded: false,
            token: false,
        }
    }

    /// How long to wait for the first attempt, which was found pending just now.
    fn delay(&mut self) -> Option<Duration> {
        match &self.shared.state.delay {
            Delay::Fixed(delay) => Some(*delay),
            Delay::Live(live) => {
                let now = Instant::now();
                self.since = Some(now);
                live.at(now)
            }
        }
    }

    /// The first attempt takes too long.
    fn due<F>(&mut self) -> Second<S, F, Seen>
    where
        S: Clone,
    {
        self.is_late = true;
        let state = &self.shared.state;
        if !state.budget.take() {
            count(&state.denied);
            tracing::debug!("hedge: a second attempt is due, and the budget is spent");
            return Second::Off;
        }
        self.token = true;
        Second::Readying {
            service: self.shared.service(),
        }
    }

    fn call(&mut self, service: &mut S) -> Second<S, S::Future, C::Seen>
    where
        S: Service<Req>,
        C: Classify<Req, S::Response, S::Error, Seen = Seen>,
    {
        let Some(request) = self.request.take() else {
            return Second::Off;
        };
        // It is spent: from here on the peer has the second attempt.
        self.token = false;
        count(&self.shared.state.sent);
        tracing::debug!("hedge: sends a second attempt");
        Second::Calling {
            seen: Some(self.shared.classify.request(&request)),
            response: service.call(request),
        }
    }

    /// Whether it succeeded.
    fn first_ended<Res, Err>(&mut self, result: &Result<Res, Err>) -> bool
    where
        C: Classify<Req, Res, Err, Seen = Seen>,
    {
        let seen = self.seen.take();
        let success = self.succeeded(seen, result);
        if success || self.is_late {
            self.record();
        }
        // A failure that came fast says nothing of how long answers take.
        self.is_recorded = true;
        success
    }

    /// Whether it succeeded.
    fn second_ended<Res, Err>(&mut self, seen: Option<Seen>, result: &Result<Res, Err>) -> bool
    where
        C: Classify<Req, Res, Err, Seen = Seen>,
    {
        let success = self.succeeded(seen, result);
        if success {
            count(&self.shared.state.won);
            self.record();
        }
        success
    }

    fn succeeded<Res, Err>(&self, seen: Option<Seen>, result: &Result<Res, Err>) -> bool
    where
        C: Classify<Req, Res, Err, Seen = Seen>,
    {
        // Each attempt ends once.
        seen.is_some_and(|seen| {
            let verdict = self.shared.classify.head(seen, result.as_ref());
            verdict.so_far().is_success()
        })
    }

    /// Records what the first attempt took, or has taken so far.
    fn record(&mut self) {
        if std::mem::replace(&mut self.is_recorded, true) {
            return;
        }
        if let Delay::Live(live) = &self.shared.state.delay {
            // An answer that was there at the first look costs no look at the clock.
            live.record(self.since.map_or(Duration::ZERO, |since| since.elapsed()));
        }
    }

    fn release_token(&mut self) {
        if std::mem::take(&mut self.token) {
            self.shared.state.budget.give_back();
        }
    }
}

impl<S, Req, C, Seen> Drop for Course<S, Req, C, Seen> {
    fn drop(&mut self) {
        self.release_token();
        // How long a late attempt would have taken nobody knows; but it is above the percentile, and that is all the percentile asks.
        if self.is_late {
            self.record();
        }
    }
}
