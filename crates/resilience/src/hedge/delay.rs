//! How long to wait for the first attempt before the second is made.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::histogram::{Counts, Histogram};
use crate::stripes::Stripes;

/// How often a live percentile is computed.
const REFRESH: Duration = Duration::from_secs(1);

/// No percentile yet.
const UNKNOWN: u64 = u64::MAX;

#[derive(Debug)]
pub(super) enum Delay {
    Fixed(Duration),
    Live(Box<Live>),
}

/// A percentile of what the first attempts took lately.
pub(super) struct Live {
    quantile: f64,
    min_samples: f64,
    half_life: Duration,
    started: Instant,
    /// When to compute it again, in nanoseconds since `started`. Who moves it on computes it.
    due: AtomicU64,
    /// In nanoseconds.
    current: AtomicU64,
    fresh: Stripes<Counts>,
    /// What was fresh once, and when it was last faded.
    faded: Mutex<(Histogram, Instant)>,
}

impl Live {
    pub(super) fn new(
        quantile: f64,
        min_samples: u32,
        half_life: Duration,
        started: Instant,
    ) -> Self {
        Self {
            quantile,
            min_samples: f64::from(min_samples),
            half_life,
            started,
            due: AtomicU64::new(nanos(REFRESH)),
            current: AtomicU64::new(UNKNOWN),
            fresh: Stripes::new(Counts::new),
            faded: Mutex::new((Histogram::new(), started)),
        }
    }

    pub(super) fn record(&self, latency: Duration) {
        self.fresh.own().record(latency);
    }

    pub(super) fn last(&self) -> Option<Duration> {
        match self.current.load(Ordering::Relaxed) {
            UNKNOWN => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// The percentile, at most about a second old. `None` while there is too little to tell it by.
    // Relaxed: the lock orders what is computed, and a call that reads the word of a moment ago waits for what was right then.
    pub(super) fn at(&self, now: Instant) -> Option<Duration> {
        let elapsed = nanos(now.saturating_duration_since(self.started));
        let due = self.due.load(Ordering::Relaxed);
        if elapsed >= due {
            let next = elapsed.saturating_add(nanos(REFRESH));
            let moved = self
                .due
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed);
            if moved.is_ok() {
                self.compute(now);
            }
        }
        self.last()
    }

    fn compute(&self, now: Instant) {
        let mut faded = self.faded.lock().unwrap_or_else(PoisonError::into_inner);
        let (histogram, at) = &mut *faded;
        let age = now.saturating_duration_since(*at);
        *at = now;
        histogram.fade((-age.as_secs_f64() / self.half_life.as_secs_f64()).exp2());
        for counts in self.fresh.iter() {
            histogram.absorb(counts);
        }
        let quantile = histogram.quantile(self.quantile, self.min_samples);
        self.current
            .store(quantile.map_or(UNKNOWN, nanos), Ordering::Relaxed);
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("quantile", &self.quantile)
            .field("current", &self.last())
            .finish_non_exhaustive()
    }
}

/// Up to 584 years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(UNKNOWN - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn live(start: Instant) -> Live {
        Live::new(0.95, 100, 30 * SECOND, start)
    }

    fn record(live: &Live, times: usize, latency: Duration) {
        for _ in 0..times {
            live.record(latency);
        }
    }

    #[test]
    fn unknown_until_there_is_enough_and_computed_once_a_second() {
        let start = Instant::now();
        let live = live(start);
        record(&live, 99, SECOND / 10);
        assert_eq!(live.at(start + SECOND), None, "99 are too few");
        record(&live, 10, SECOND / 10);
        assert_eq!(live.at(start + SECOND * 3 / 2), None, "not yet due");
        let p95 = live.at(start + 2 * SECOND).expect("known by now");
        assert!(p95 >= SECOND / 11 && p95 <= SECOND / 8, "{p95:?}");
        assert_eq!(live.last(), Some(p95));
    }

    #[test]
    fn it_follows_the_latest_and_forgets_over_idle_hours() {
        let start = Instant::now();
        let live = live(start);
        record(&live, 1000, SECOND / 100);
        let before = live.at(start + SECOND).expect("known");
        record(&live, 1000, SECOND);
        let after = live.at(start + 2 * SECOND).expect("known");
        assert!(after > before * 10, "{before:?}, then {after:?}");
        assert_eq!(live.at(start + 3600 * SECOND), None);
    }
}
