//! Windows of samples, and the limit that follows from each: pure, but for the words that the samples are counted in.

use std::time::Duration;

use tokio::time::Instant;

use super::algorithm::{Algorithm, Window};
use crate::{
    random::Random,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

/// One call, in the upper bits of the word of successes.
const CALL: u64 = 1 << 48;
/// The rest of it is the sum of their times, in units of so many nanoseconds.
const UNIT: u64 = 64;
/// Room for threads that count at the same time.
const MOST_CALLS: u64 = 60_000;
/// The longest time that is counted: 65,535 of them fit. About four and a half minutes.
const LONGEST: u64 = (1 << 32) - 1;

/// Counts the calls that end. A call costs it one or two atomic operations.
#[derive(Debug, Default)]
pub(super) struct Samples {
    /// How many calls succeeded, and how long they took together: one word, so that the mean is never of different calls.
    successes: AtomicU64,
    drops: AtomicU32,
    in_flight: AtomicU32,
}

impl Samples {
    // Relaxed, all of them: the words guard no other memory, and a sample more or less in a window is none of importance.
    pub(super) fn success(&self, latency: Duration, in_flight: u32) {
        let units = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX) / UNIT;
        if self.successes.load(Ordering::Relaxed) / CALL < MOST_CALLS {
            self.successes
                .fetch_add(CALL + units.min(LONGEST), Ordering::Relaxed);
        }
        self.note(in_flight);
    }

    pub(super) fn dropped(&self, in_flight: u32) {
        self.drops.fetch_add(1, Ordering::Relaxed);
        self.note(in_flight);
    }

    fn note(&self, in_flight: u32) {
        // Mostly it only reads.
        if self.in_flight.load(Ordering::Relaxed) < in_flight {
            self.in_flight.fetch_max(in_flight, Ordering::Relaxed);
        }
    }

    pub(super) fn count(&self) -> u32 {
        let successes = self.successes.load(Ordering::Relaxed) / CALL;
        u32::try_from(successes)
            .unwrap_or(u32::MAX)
            .saturating_add(self.drops.load(Ordering::Relaxed))
    }

    /// The window, which begins anew.
    pub(super) fn take(&self, tolerated: f64) -> Window {
        let successes = self.successes.swap(0, Ordering::Relaxed);
        let drops = self.drops.swap(0, Ordering::Relaxed);
        let in_flight = self.in_flight.swap(0, Ordering::Relaxed);
        let (count, sum) = (successes / CALL, successes % CALL);
        let calls = u32::try_from(count)
            .unwrap_or(u32::MAX)
            .saturating_add(drops);
        Window {
            latency: sum
                .checked_div(count)
                .map(|mean| Duration::from_nanos(mean * UNIT)),
            in_flight,
            calls,
            drops,
            is_overloaded: f64::from(drops) > f64::from(calls) * tolerated,
        }
    }
}

/// What a [`Control`] goes by.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) initial: u32,
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) shortest_window: Duration,
    pub(super) longest_window: Duration,
    pub(super) min_calls: u32,
    pub(super) tolerated_drops: f64,
    pub(super) probe_interval: Duration,
    pub(super) random: Random,
}

/// Turns windows into limits.
#[derive(Debug)]
pub(super) struct Control {
    algorithm: Box<dyn Algorithm>,
    settings: Settings,
    limit: f64,
    phase: Phase,
}

/// Where it stands with the latency of an idle peer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// It is known, until then. `None` if that is never.
    Steady { until: Option<Instant> },
    /// The limit is halved, and calls that began before are still under way.
    Draining,
    /// The limit is halved, and what is measured now counts.
    Probing,
}

impl Control {
    pub(super) fn new(algorithm: Box<dyn Algorithm>, settings: Settings, now: Instant) -> Self {
        let mut control = Self {
            algorithm,
            limit: settings.initial.into(),
            settings,
            phase: Phase::Probing,
        };
        control.phase = control.steady(now);
        control
    }

    /// Until the next probe. A quarter more or less, so that many clients of one peer do not probe together.
    fn steady(&self, now: Instant) -> Phase {
        let interval = self.settings.probe_interval;
        let until = (self.algorithm.wants_probes() && interval < Duration::MAX)
            .then(|| interval.mul_f64(0.75 + self.settings.random.unit() / 2.0))
            .and_then(|interval| now.checked_add(interval));
        Phase::Steady { until }
    }

    /// The limit after `window`, which ended `now`.
    pub(super) fn next(&mut self, window: &Window, now: Instant) -> u32 {
        let is_used = f64::from(window.in_flight) * 2.0 >= self.limit;
        match self.phase {
            // ## Steady => (Steady | Draining)
            Phase::Steady { until } => {
                // Asked even if the answer does not count, so that it learns the latency.
                let next = self.algorithm.next(self.limit, window);
                // What is not a number changes nothing.
                if (is_used || window.is_overloaded) && next.is_finite() {
                    self.limit = next.clamp(self.settings.min.into(), self.settings.max.into());
                }
                if until.is_some_and(|until| until <= now) {
                    if is_used {
                        self.phase = Phase::Draining;
                    } else {
                        self.measured(window);
                        self.phase = self.steady(now);
                    }
                }
            }
            // ## Draining => Probing
            Phase::Draining => self.phase = Phase::Probing,
            // ## Probing => Steady
            Phase::Probing => {
                self.measured(window);
                self.phase = self.steady(now);
            }
        }
        self.current()
    }

    fn measured(&mut self, window: &Window) {
        if let Some(latency) = window.latency.filter(|_| !window.is_overloaded) {
            self.algorithm.probed(latency);
        }
    }

    fn current(&self) -> u32 {
        let limit = match self.phase {
            Phase::Steady { .. } => self.limit,
            Phase::Draining | Phase::Probing => {
                (self.limit / 2.0).max(self.settings.min.into())
            }
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is between two `u32`s, and a fraction of a call is none"
        )]
        let limit = limit as u32;
        limit
    }

    /// How long the next window lasts at least: two calls long, so that what it measures is of the new limit.
    pub(super) fn window(&self, last: &Window) -> Duration {
        last.latency
            .unwrap_or_default()
            .saturating_mul(2)
            .clamp(self.settings.shortest_window, self.settings.longest_window)
    }

    pub(super) const fn tolerated_drops(&self) -> f64 {
        self.settings.tolerated_drops
    }
}
