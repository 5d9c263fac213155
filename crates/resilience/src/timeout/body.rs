//! A body with time limits.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_core::{BoxError, Rejection, RejectionKind};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use crate::deadline::Deadline;

/// When a body has to have ended, and how long that was when its head came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    pub(super) at: Instant,
    pub(super) limit: Duration,
}

impl Until {
    pub(super) fn after(now: Instant, limit: Duration) -> Self {
        Self {
            at: Deadline::since(now, limit).at(),
            limit,
        }
    }
}

pin_project! {
    /// A body that fails if it sends nothing for too long, or is not over in time. It forwards everything else: data, trailers, size
    /// hints and the end.
    ///
    /// What [`BodyTimeoutLayer`](super::BodyTimeoutLayer) puts round response bodies; it serves for request bodies as well. It holds its
    /// timer itself, so it allocates nothing, and has to be pinned to be read: `Body::new` or `Box::pin` does.
    #[derive(Debug)]
    pub struct TimeoutBody<B> {
        // `None` once a limit was up.
        #[pin]
        inner: Option<B>,
        // Armed by the first poll that finds nothing; set anew by the first such poll after each frame.
        #[pin]
        timer: Option<Sleep>,
        is_waiting: bool,
        idle: Option<Duration>,
        until: Option<Until>,
    }
}

impl<B> TimeoutBody<B> {
    /// A body that may send nothing for as long as `idle`, and no longer.
    pub const fn new(inner: B, idle: Duration) -> Self {
        Self::limited(inner, Some(idle), None)
    }

    pub(super) const fn limited(inner: B, idle: Option<Duration>, until: Option<Until>) -> Self {
        Self {
            inner: Some(inner),
            timer: None,
            is_waiting: false,
            idle,
            until,
        }
    }

    /// Limits how long it may take until its end, counted from now. Default: no limit.
    #[must_use]
    pub fn whole(mut self, limit: Duration) -> Self {
        self.until = Some(Until::after(Instant::now(), limit));
        self
    }
}

/// When a wait that begins now ends. `None` if nothing limits it.
fn end_of_wait(idle: Option<Duration>, until: Option<Until>) -> Option<Instant> {
    let idle = idle.map(|idle| Until::after(Instant::now(), idle).at);
    let until = until.map(|until| until.at);
    idle.into_iter().chain(until).min()
}

impl<B> Body for TimeoutBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let mut this = self.project();
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        // Before the timer: a frame that is there is never thrown away for having been asked for late.
        let elapsed = match inner.as_mut().poll_frame(cx) {
            Poll::Ready(frame) => {
                *this.is_waiting = false;
                let goes_on = match &frame {
                    Some(Ok(frame)) => frame.is_data() && !inner.is_end_stream(),
                    Some(Err(_)) | None => false,
                };
                match *this.until {
                    // A body that always has a frame never comes to wait for the timer.
                    Some(until) if goes_on && until.at <= Instant::now() => {
                        BodyElapsed::whole(until.limit)
                    }
                    _ => return Poll::Ready(frame.map(|frame| frame.map_err(Into::into))),
                }
            }
            Poll::Pending => {
                if !*this.is_waiting {
                    let Some(at) = end_of_wait(*this.idle, *this.until) else {
                        return Poll::Pending;
                    };
                    match this.timer.as_mut().as_pin_mut() {
                        // To a later time, as it nearly always is, this is one atomic exchange.
                        Some(timer) => timer.reset(at),
                        None => this.timer.set(Some(tokio::time::sleep_until(at))),
                    }
                    *this.is_waiting = true;
                }
                if let Some(timer) = this.timer.as_mut().as_pin_mut() {
                    ready!(timer.poll(cx));
                }
                match (*this.until, *this.idle) {
                    (Some(until), _) if until.at <= Instant::now() => {
                        BodyElapsed::whole(until.limit)
                    }
                    (_, idle) => BodyElapsed::idle(idle.unwrap_or_default()),
                }
            }
        };
        // Now, and not when the reader gets round to it: it may hold a connection.
        this.inner.set(None);
        this.timer.set(None);
        tracing::debug!(error = %elapsed, "timeout");
        let rejection = Rejection::new(RejectionKind::TimedOut, "timeout").with_source(elapsed);
        Poll::Ready(Some(Err(rejection.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

/// A body did not come in time. The source of the [`Rejection`] with which it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyElapsed {
    limit: Duration,
    is_idle: bool,
}

impl BodyElapsed {
    const fn idle(limit: Duration) -> Self {
        Self {
            limit,
            is_idle: true,
        }
    }

    const fn whole(limit: Duration) -> Self {
        Self {
            limit,
            is_idle: false,
        }
    }

    /// The limit that was up.
    pub const fn limit(&self) -> Duration {
        self.limit
    }

    /// Whether the body sent nothing for too long, and did not just take too long.
    pub const fn is_idle(&self) -> bool {
        self.is_idle
    }
}

impl fmt::Display for BodyElapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.limit;
        if self.is_idle {
            write!(f, "the body sent nothing for {limit:?}")
        } else {
            write!(f, "the body was not over after {limit:?}")
        }
    }
}

impl Error for BodyElapsed {}
