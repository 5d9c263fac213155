//! What is told of a call that was tried more than once.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// How many attempts a call made, and why it made no more.
///
/// In the extensions of a response that was not simply the first attempt's success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts {
    count: u32,
    gave_up: Option<GaveUp>,
}

impl Attempts {
    pub(super) const fn new(count: u32, gave_up: Option<GaveUp>) -> Self {
        Self { count, gave_up }
    }

    /// How many there were, the first included.
    pub const fn count(self) -> u32 {
        self.count
    }

    /// Why there was no further one, if the last was worth it. `None` for a call that came to a good end.
    pub const fn gave_up(self) -> Option<GaveUp> {
        self.gave_up
    }
}

/// Why a call was not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GaveUp {
    /// It had all the attempts there are.
    Attempts,
    /// The [`Budget`](crate::budget::Budget) is spent.
    Budget,
    /// The next attempt would begin when nobody waits for it any more.
    Deadline,
    /// The peer asks for a longer wait than is allowed.
    RetryAfter,
    /// The peer may have acted on it, and it must not act twice.
    NotIdempotent,
    /// There is no second copy of the request: its body is not finished, or was too long to be kept.
    Unrepeatable,
}

impl GaveUp {
    const COUNT: usize = 6;

    const fn index(self) -> usize {
        match self {
            Self::Attempts => 0,
            Self::Budget => 1,
            Self::Deadline => 2,
            Self::RetryAfter => 3,
            Self::NotIdempotent => 4,
            Self::Unrepeatable => 5,
        }
    }
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attempts => "it had all its attempts",
            Self::Budget => "the retry budget is spent",
            Self::Deadline => "its deadline would pass first",
            Self::RetryAfter => "the peer asks for a longer wait than is allowed",
            Self::NotIdempotent => "it may have been acted on, and is not idempotent",
            Self::Unrepeatable => "its body can be sent only once",
        })
    }
}

/// Counted when a call is tried again or given up, so never on the way of a good one.
#[derive(Debug, Default)]
pub(super) struct Counters {
    retries: AtomicU64,
    gave_up: [AtomicU64; GaveUp::COUNT],
}

impl Counters {
    pub(super) fn retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn give_up(&self, why: GaveUp) {
        self.gave_up[why.index()].fetch_add(1, Ordering::Relaxed);
    }
}

/// Reads the counters of a retry, from anywhere, at the cost of an atomic load each.
#[derive(Clone, Debug)]
pub struct RetryHandle {
    counters: Arc<Counters>,
}

impl RetryHandle {
    pub(super) const fn new(counters: Arc<Counters>) -> Self {
        Self { counters }
    }

    /// How many retries were begun: attempts beyond the first of each call.
    pub fn retries(&self) -> u64 {
        self.counters.retries.load(Ordering::Relaxed)
    }

    /// How many calls were not tried again for that reason.
    pub fn gave_up(&self, why: GaveUp) -> u64 {
        self.counters.gave_up[why.index()].load(Ordering::Relaxed)
    }
}
