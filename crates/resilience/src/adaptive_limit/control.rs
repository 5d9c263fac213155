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
    /// The same of calls that were given up.
    abandoned: AtomicU64,
    drops: AtomicU32,
    in_flight: AtomicU32,
}

fn add(word: &AtomicU64, latency: Duration) {
    let units = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX) / UNIT;
    if word.load(Ordering::Relaxed) / CALL < MOST_CALLS {
        word.fetch_add(CALL + units.min(LONGEST), Ordering::Relaxed);
    }
}

/// How many, and the sum of their units.
fn parts(word: u64) -> (u32, u64) {
    (u32::try_from(word / CALL).unwrap_or(u32::MAX), word % CALL)
}

fn mean((count, sum): (u32, u64)) -> Option<Duration> {
    sum.checked_div(count.into())
        .map(|mean| Duration::from_nanos(mean * UNIT))
}

impl Samples {
    // Relaxed, all of them: the words guard no other memory, and a sample more or less in a window is none of importance.
    pub(super) fn success(&self, latency: Duration, in_flight: u32) {
        add(&self.successes, latency);
        self.note(in_flight);
    }

    pub(super) fn abandoned(&self, latency: Duration, in_flight: u32) {
        add(&self.abandoned, latency);
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
        let successes = parts(self.successes.load(Ordering::Relaxed)).0;
        let abandoned = parts(self.abandoned.load(Ordering::Relaxed)).0;
        (successes + abandoned).saturating_add(self.drops.load(Ordering::Relaxed))
    }

    /// The window, which begins anew, and the mean of its successes alone.
    pub(super) fn take(&self, length: Duration, tolerated: f64) -> (Window, Option<Duration>) {
        let successes = parts(self.successes.swap(0, Ordering::Relaxed));
        let abandoned = parts(self.abandoned.swap(0, Ordering::Relaxed));
        let drops = self.drops.swap(0, Ordering::Relaxed);
        let in_flight = self.in_flight.swap(0, Ordering::Relaxed);
        let measured = (successes.0 + abandoned.0, successes.1 + abandoned.1);
        let calls = measured.0.saturating_add(drops);
        let window = Window {
            length,
            latency: mean(measured),
            in_flight,
            calls,
            drops,
            is_overloaded: f64::from(drops) > f64::from(calls) * tolerated,
        };
        (window, mean(successes))
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
    /// When the window began.
    begun: Instant,
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
            begun: now,
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
            Phase::Draining | Phase::Probing => (self.limit / 2.0).max(self.settings.min.into()),
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is between two `u32`s, and a fraction of a call is none"
        )]
        let limit = limit as u32;
        limit
    }

    /// The next window begins. Says how long the last one was.
    pub(super) fn begin(&mut self, now: Instant) -> Duration {
        now.saturating_duration_since(std::mem::replace(&mut self.begun, now))
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

#[cfg(all(test, not(bartizan_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::adaptive_limit::{Aimd, Gradient2, Vegas};

    const SECOND: Duration = Duration::from_secs(1);

    fn settings(initial: u32) -> Settings {
        Settings {
            initial,
            min: 2,
            max: 100,
            shortest_window: SECOND / 10,
            longest_window: SECOND,
            min_calls: 10,
            tolerated_drops: 0.01,
            probe_interval: 10 * SECOND,
            random: Random::seeded(7),
        }
    }

    fn window(latency_ms: u64, in_flight: u32) -> Window {
        Window {
            length: SECOND,
            latency: Some(Duration::from_millis(latency_ms)),
            in_flight,
            calls: 100,
            drops: 0,
            is_overloaded: false,
        }
    }

    fn overloaded(in_flight: u32) -> Window {
        Window {
            length: SECOND,
            latency: None,
            in_flight,
            calls: 100,
            drops: 100,
            is_overloaded: true,
        }
    }

    /// Writes down what it is told.
    #[derive(Debug, Default)]
    struct Spy {
        probed: std::sync::Arc<std::sync::Mutex<Vec<Duration>>>,
    }

    impl Algorithm for Spy {
        fn next(&mut self, limit: f64, _: &Window) -> f64 {
            limit
        }

        fn wants_probes(&self) -> bool {
            true
        }

        fn probed(&mut self, latency: Duration) {
            self.probed.lock().expect("not poisoned").push(latency);
        }
    }

    #[test]
    fn a_probe_halves_the_limit_for_two_windows_and_the_second_counts() {
        let spy = Spy::default();
        let probed = spy.probed.clone();
        let start = Instant::now();
        let mut control = Control::new(Box::new(spy), settings(20), start);
        let mut limits = Vec::new();
        for second in 0..=14 {
            let latency = 100 + second;
            limits.push(control.next(&window(latency, 20), start + Duration::from_secs(second)));
        }
        let begun = limits
            .iter()
            .position(|&limit| limit == 10)
            .expect("a probe");
        assert!((8..=13).contains(&begun), "{limits:?}");
        assert_eq!(limits[begun..begun + 2], [10, 10]);
        assert!(
            limits[begun + 2..].iter().all(|&limit| limit == 20)
                && limits[..begun].iter().all(|&limit| limit == 20)
        );
        let counted = Duration::from_millis(100 + begun as u64 + 2);
        assert_eq!(*probed.lock().unwrap(), [counted]);
    }

    #[test]
    fn without_load_a_window_is_a_probe_by_itself() {
        let spy = Spy::default();
        let probed = spy.probed.clone();
        let start = Instant::now();
        let mut control = Control::new(Box::new(spy), settings(20), start);
        assert_eq!(control.next(&window(50, 3), start + 20 * SECOND), 20);
        assert_eq!(*probed.lock().unwrap(), [Duration::from_millis(50)]);
    }

    #[test]
    fn the_limit_keeps_its_bounds_whatever_the_algorithm_says() {
        #[derive(Debug)]
        struct Says(f64);
        impl Algorithm for Says {
            fn next(&mut self, _: f64, _: &Window) -> f64 {
                self.0
            }
        }
        for (says, limit) in [(1e9, 100), (-5.0, 2), (f64::NAN, 20), (f64::INFINITY, 20)] {
            let mut control = Control::new(Box::new(Says(says)), settings(20), Instant::now());
            assert_eq!(
                control.next(&window(1, 20), Instant::now()),
                limit,
                "{says}"
            );
        }
    }

    fn algorithms() -> [Box<dyn Algorithm>; 3] {
        [
            Box::new(Aimd::new()),
            Box::new(Vegas::new()),
            Box::new(Gradient2::new()),
        ]
    }

    #[test]
    fn all_grow_under_load_shrink_under_overload_and_rest_without_either() {
        for algorithm in algorithms() {
            let name = format!("{algorithm:?}");
            let now = Instant::now();
            let mut control = Control::new(algorithm, settings(20), now);
            for _ in 0..10 {
                control.next(&window(50, 9), now);
            }
            assert_eq!(control.current(), 20, "{name}");
            for _ in 0..30 {
                let limit = control.current();
                control.next(&window(50, limit), now);
            }
            let grown = control.current();
            assert!(grown > 30, "{name}: {grown}");
            for _ in 0..5 {
                control.next(&overloaded(3), now);
            }
            let shrunk = control.current();
            assert!(shrunk < grown, "{name}: {shrunk}");
            for _ in 0..200 {
                control.next(&overloaded(3), now);
            }
            assert!(control.current() <= 8, "{name}: {}", control.current());
        }
    }

    #[test]
    fn latency_alone_shrinks_the_limit() {
        let now = Instant::now();
        for (algorithm, latency) in algorithms().into_iter().zip([6000, 500, 500]) {
            let name = format!("{algorithm:?}");
            let mut control = Control::new(algorithm, settings(50), now);
            for _ in 0..10 {
                control.next(&window(50, 50), now);
            }
            let grown = control.current();
            for _ in 0..10 {
                control.next(&window(latency, grown), now);
            }
            assert!(control.current() < grown, "{name}: {}", control.current());
        }
    }

    proptest! {
        #[test]
        fn a_window_is_the_mean_and_the_greatest(
            calls in prop::collection::vec((0_u64..300_000_000_000, 1_u32..1000, any::<bool>()), 0..100)
        ) {
            let samples = Samples::default();
            let (mut sum, mut count, mut drops, mut most) = (0, 0, 0, 0);
            let (mut abandoned, mut is_abandoned) = (0, false);
            for &(nanos, in_flight, is_drop) in &calls {
                most = most.max(in_flight);
                if is_drop {
                    samples.dropped(in_flight);
                    drops += 1;
                } else {
                    is_abandoned = !is_abandoned;
                    if is_abandoned {
                        samples.abandoned(Duration::from_nanos(nanos), in_flight);
                        abandoned += 1;
                    } else {
                        samples.success(Duration::from_nanos(nanos), in_flight);
                    }
                    sum += nanos.min(LONGEST * UNIT);
                    count += 1;
                }
            }
            prop_assert_eq!(samples.count(), count + drops);
            let (window, of_successes) = samples.take(SECOND, 0.1);
            prop_assert_eq!(window.length, SECOND);
            prop_assert_eq!(of_successes.is_some(), count > abandoned);
            prop_assert_eq!((window.calls, window.drops, window.in_flight), (count + drops, drops, most));
            prop_assert_eq!(window.is_overloaded, drops * 10 > count + drops);
            match window.latency {
                None => prop_assert_eq!(count, 0),
                Some(latency) => {
                    let mean = sum / u64::from(count);
                    let off = mean.abs_diff(u64::try_from(latency.as_nanos()).unwrap());
                    prop_assert!(off <= 2 * UNIT, "{} {:?}", mean, latency);
                }
            }
            prop_assert_eq!(samples.count(), 0);
        }
    }

    #[test]
    fn a_window_of_many_calls_does_not_overflow() {
        let samples = Samples::default();
        for _ in 0..100_000 {
            samples.success(Duration::MAX, 1);
        }
        let (window, _) = samples.take(SECOND, 0.0);
        assert_eq!(u64::from(window.calls), MOST_CALLS);
        assert_eq!(window.latency, Some(Duration::from_nanos(LONGEST * UNIT)));
    }
}
