//! What all services of one layer share, and how it is read.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{budget::Budget, delay::Delay};

#[derive(Debug)]
pub(super) struct State {
    pub(super) delay: Delay,
    pub(super) budget: Budget,
    // Written once per second attempt, which the budget keeps rare.
    pub(super) sent: AtomicU64,
    pub(super) won: AtomicU64,
    pub(super) denied: AtomicU64,
}

impl State {
    pub(super) const fn new(delay: Delay, budget: Budget) -> Self {
        Self {
            delay,
            budget,
            sent: AtomicU64::new(0),
            won: AtomicU64::new(0),
            denied: AtomicU64::new(0),
        }
    }
}

/// One more of them. Relaxed: nobody concludes anything else from it.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Reads what a hedge does, from anywhere, at the cost of an atomic load.
#[derive(Clone, Debug)]
pub struct HedgeHandle {
    state: Arc<State>,
}

impl HedgeHandle {
    pub(super) const fn new(state: Arc<State>) -> Self {
        Self { state }
    }

    /// How long a call waits now before its second attempt. `None` while too few calls were seen to tell their percentile.
    pub fn delay(&self) -> Option<Duration> {
        match &self.state.delay {
            Delay::Fixed(delay) => Some(*delay),
            Delay::Live(live) => live.last(),
        }
    }

    /// Second attempts that were sent.
    pub fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::Relaxed)
    }

    /// Second attempts that answered before the first.
    pub fn won(&self) -> u64 {
        self.state.won.load(Ordering::Relaxed)
    }

    /// Second attempts that were due, and not sent because the budget was spent.
    pub fn denied(&self) -> u64 {
        self.state.denied.load(Ordering::Relaxed)
    }

    /// Second attempts that the budget would allow at this moment.
    pub fn tokens(&self) -> u32 {
        self.state.budget.tokens()
    }
}
