//! The counts, and the probability that follows from them.

use std::time::Duration;

use bartizan_core::Outcome;
use tokio::time::Instant;

use crate::{
    random::Random,
    sync::atomic::{AtomicU64, Ordering},
    window::{Window, nanos},
};

/// So many buckets that what leaves the window leaves it smoothly, and so few that they are quickly summed.
const BUCKETS: u32 = 24;
/// How often per window the probability is worked out.
const REFRESHES: u32 = 1200;

const ACCEPTED: usize = 0;
const REFUSED: usize = 1;

#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) multiplier: f64,
    pub(super) window: Duration,
    pub(super) min_calls: u64,
    pub(super) max_chance: f64,
}

impl Settings {
    /// With which probability a call is held back, after so many.
    #[expect(
        clippy::cast_precision_loss,
        reason = "nobody can tell 2⁵³ calls from one more"
    )]
    fn chance(&self, calls: u64, accepted: u64) -> f64 {
        if calls < self.min_calls {
            return 0.0;
        }
        let excess = calls as f64 - self.multiplier * accepted as f64;
        (excess / (calls as f64 + 1.0)).clamp(0.0, self.max_chance)
    }
}

/// Shared by everything one layer made.
#[derive(Debug)]
pub(super) struct State {
    settings: Settings,
    counts: Window<2>,
    start: Instant,
    refresh_nanos: u64,
    /// The probability in 2⁻³², below the number of the refresh at which it was worked out. Relaxed: the word guards no other memory,
    /// and of two threads that work it out at once either is right.
    chance: AtomicU64,
    random: Random,
}

impl State {
    pub(super) fn new(settings: Settings, random: Random) -> Self {
        Self {
            settings,
            counts: Window::new(settings.window, BUCKETS),
            start: Instant::now(),
            refresh_nanos: nanos(settings.window / REFRESHES),
            chance: AtomicU64::new(0),
            random,
        }
    }

    /// Whether the call that is made now is to be held back; with which probability, if so. What is held back is counted.
    pub(super) fn holds_back(&self, now: Instant) -> Option<f64> {
        let chance = self.chance(now);
        let is_held_back = chance > 0.0 && self.random.unit() < chance;
        if is_held_back {
            self.counts.record(now, 0, REFUSED);
        }
        is_held_back.then_some(chance)
    }

    /// Counts a call that was made at `called`.
    pub(super) fn record(&self, called: Instant, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Success => ACCEPTED,
            Outcome::Ignored => return,
            // Of a kind not known yet it is not known that the peer accepted it.
            _ => REFUSED,
        };
        self.counts.record(called, 0, counter);
    }

    /// Made, and accepted.
    pub(super) fn counts(&self, now: Instant) -> (u64, u64) {
        let [accepted, refused] = self.counts.totals(now, 0);
        (accepted + refused, accepted)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a fraction that is not negative, and a number that may wrap"
    )]
    pub(super) fn chance(&self, now: Instant) -> f64 {
        let elapsed = nanos(now.saturating_duration_since(self.start));
        let refresh = (elapsed / self.refresh_nanos) as u32;
        let word = self.chance.load(Ordering::Relaxed);
        let bits = if (word >> 32) as u32 == refresh {
            word as u32
        } else {
            let (calls, accepted) = self.counts(now);
            let chance = self.settings.chance(calls, accepted);
            let bits = (chance * f64::from(u32::MAX)).round() as u32;
            let word = u64::from(refresh) << 32 | u64::from(bits);
            self.chance.store(word, Ordering::Relaxed);
            bits
        };
        f64::from(bits) / f64::from(u32::MAX)
    }
}

#[cfg(all(test, not(bartizan_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTINGS: Settings = Settings {
        multiplier: 2.0,
        window: Duration::from_secs(120),
        min_calls: 20,
        max_chance: 0.9,
    };

    #[test]
    fn the_formula_is_that_of_the_book() {
        for (calls, accepted, expected) in [
            (0, 0, 0.0),
            (100, 100, 0.0),
            (100, 50, 0.0),
            (99, 25, 0.49),
            (999, 250, 0.499),
            (99, 0, 0.9),
            (19, 0, 0.0),
            (20, 0, 0.9),
        ] {
            let chance = SETTINGS.chance(calls, accepted);
            assert!(
                (chance - expected).abs() < 1e-9,
                "{calls} {accepted} {chance}"
            );
        }
    }

    proptest! {
        #[test]
        fn it_is_a_probability_and_falls_with_what_is_accepted(
            (calls, accepted) in (0_u64..1 << 40).prop_flat_map(|calls| (Just(calls), 0..=calls)),
            multiplier in 1.0..10.0,
        ) {
            let settings = Settings { multiplier, max_chance: 1.0, ..SETTINGS };
            let chance = settings.chance(calls, accepted);
            prop_assert!((0.0..=1.0).contains(&chance));
            prop_assert!(settings.chance(calls, accepted / 2) >= chance);
            prop_assert_eq!(settings.chance(calls, calls), 0.0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_worked_out_anew_as_time_passes() {
        let state = State::new(SETTINGS, Random::seeded(7));
        let called = Instant::now();
        for _ in 0..100 {
            state.record(called, Outcome::Failure);
        }
        tokio::time::advance(Duration::from_millis(99)).await;
        assert_eq!(state.chance(Instant::now()), 0.0);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!((state.chance(Instant::now()) - 0.9).abs() < 1e-9);
        tokio::time::advance(SETTINGS.window).await;
        assert_eq!(state.chance(Instant::now()), 0.0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_counts_and_as_what() {
        for (outcome, expected) in [
            (Outcome::Success, (1, 1)),
            (Outcome::Failure, (1, 0)),
            (Outcome::Throttled { retry_after: None }, (1, 0)),
            (Outcome::Cancelled, (1, 0)),
            (Outcome::Ignored, (0, 0)),
        ] {
            let state = State::new(SETTINGS, Random::THREAD);
            state.record(Instant::now(), outcome);
            assert_eq!(state.counts(Instant::now()), expected, "{outcome:?}");
        }
    }
}
