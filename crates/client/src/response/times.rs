//! When a call was made, and when it was answered.

use std::time::{Duration, SystemTime};

use bartizan_core::{Clock, SystemClock};
use tokio::time::Instant;

use crate::request::CallClock;

/// When a call was made, and when it was answered: what [`ResponseExt::times`](crate::ResponseExt::times) returns.
///
/// Of the whole call, retries and redirects included, as its caller saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    requested_at: SystemTime,
    responded_at: SystemTime,
    elapsed: Duration,
}

impl Times {
    /// When [`send`](crate::RequestBuilder::send) was polled first, by the clock of the call.
    pub const fn requested_at(&self) -> SystemTime {
        self.requested_at
    }

    /// When the head of the response was there, by the clock of the call.
    pub const fn responded_at(&self) -> SystemTime {
        self.responded_at
    }

    /// How long that took, by a clock that never jumps. The other two may tell less than nothing when somebody sets the time.
    pub const fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

/// A call that is under way.
pub(crate) struct Stopwatch {
    clock: Option<CallClock>,
    requested_at: SystemTime,
    started: Instant,
}

impl Stopwatch {
    pub(crate) fn start(clock: Option<CallClock>) -> Self {
        Self {
            requested_at: now(clock.as_ref()),
            started: Instant::now(),
            clock,
        }
    }

    pub(crate) fn stop(self) -> Times {
        Times {
            requested_at: self.requested_at,
            responded_at: now(self.clock.as_ref()),
            elapsed: self.started.elapsed(),
        }
    }
}

/// The wall time of a call.
pub(crate) fn now(clock: Option<&CallClock>) -> SystemTime {
    match clock {
        Some(CallClock(clock)) => clock.now(),
        None => SystemClock.now(),
    }
}
