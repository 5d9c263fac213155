//! One endpoint as a balancer sees it: what is under way to it, and how long it takes.

use std::{sync::Arc, time::Duration};

use bartizan_core::{OnComplete, Outcome};
use tokio::time::Instant;

use super::Measure;
use crate::{
    endpoint::Endpoint,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

/// Shared by all balancers over the same list of endpoints, and by the calls under way. On lines of its own, which calls to other
/// endpoints do not write.
// Relaxed throughout: none of the words guards other memory.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Node {
    endpoint: Endpoint,
    weight: u32,
    born: Instant,
    /// `None` if it was there from the beginning, and needs no slow start.
    joined: Option<Instant>,
    removed: AtomicBool,
    in_flight: AtomicU32,
    latency: Latency,
}

impl Node {
    pub(super) fn new(endpoint: Endpoint, born: Instant, joined: Option<Instant>) -> Self {
        Self {
            weight: endpoint.get_weight(),
            endpoint,
            born,
            joined,
            removed: AtomicBool::new(false),
            in_flight: AtomicU32::new(0),
            latency: Latency::default(),
        }
    }

    /// Another node in the place of this one: the same peer, as far as latency goes.
    pub(super) fn successor(&self, endpoint: Endpoint) -> Self {
        Self {
            latency: self.latency.copy(),
            ..Self::new(endpoint, self.born, self.joined)
        }
    }

    pub(super) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) const fn weight(&self) -> u32 {
        self.weight
    }

    pub(super) const fn joined(&self) -> Option<Instant> {
        self.joined
    }

    pub(super) fn remove(&self) {
        self.removed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Relaxed)
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// In seconds, as of `now`. `None` if no call to it has ended yet.
    pub(super) fn latency(&self, now: Instant, weighing: Weighing) -> Option<f32> {
        let estimate = self.latency.load()?;
        Some(estimate.at(tick(self.born, now), weighing.decay))
    }

    /// A call that was never made failed: the endpoint is not to be picked for it.
    pub(super) fn penalise(&self, now: Instant, weighing: Weighing) {
        self.sample(now, weighing.penalty, weighing);
    }

    fn sample(&self, now: Instant, seconds: f32, weighing: Weighing) {
        self.latency
            .observe(seconds, tick(self.born, now), weighing.decay);
    }
}

/// What the estimate is made with, in units that need no more arithmetic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weighing {
    /// In ticks.
    decay: f32,
    /// In seconds, as what follows.
    pub(super) unmeasured: f32,
    penalty: f32,
}

impl From<Measure> for Weighing {
    fn from(measure: Measure) -> Self {
        Self {
            decay: measure.decay.as_secs_f32() * TICKS_PER_SECOND,
            unmeasured: measure.unmeasured.as_secs_f32(),
            penalty: measure.penalty.as_secs_f32(),
        }
    }
}

const TICKS_PER_SECOND: f32 = 1000.0;

/// Milliseconds since the balancer was made. They wrap after 49 days, and only differences are used.
fn tick(born: Instant, now: Instant) -> u32 {
    let age = now.saturating_duration_since(born);
    #[expect(clippy::cast_possible_truncation, reason = "it wraps")]
    let seconds = age.as_secs() as u32;
    seconds.wrapping_mul(1000).wrapping_add(age.subsec_millis())
}

/// A peak-sensitive average: rises at once, and falls by halves.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Estimate {
    seconds: f32,
    tick: u32,
}

impl Estimate {
    const fn pack(self) -> u64 {
        ((self.seconds.to_bits() as u64) << 32) | self.tick as u64
    }

    #[expect(clippy::cast_possible_truncation, reason = "two halves")]
    const fn unpack(word: u64) -> Self {
        Self {
            seconds: f32::from_bits((word >> 32) as u32),
            tick: word as u32,
        }
    }

    /// How much of it is left at `tick`, from 1 to 0.
    fn remainder(self, tick: u32, decay: f32) -> f32 {
        match tick.wrapping_sub(self.tick) {
            0 => 1.0,
            // Another core was faster: no time has passed.
            elapsed if elapsed > u32::MAX / 2 => 1.0,
            elapsed => (-(elapsed as f32) / decay).exp(),
        }
    }

    fn at(self, tick: u32, decay: f32) -> f32 {
        self.seconds * self.remainder(tick, decay)
    }

    /// `None` if the sample changes nothing. Within one tick only peaks do: what many small samples would weigh together, the
    /// first of the next tick weighs alone, and a busy endpoint's word is written once a tick.
    fn observed(self, seconds: f32, tick: u32, decay: f32) -> Option<Self> {
        let remainder = self.remainder(tick, decay);
        if seconds > self.seconds * remainder {
            Some(Self { seconds, tick })
        } else if remainder < 1.0 {
            Some(Self {
                seconds: self.seconds * remainder + seconds * (1.0 - remainder),
                tick,
            })
        } else {
            None
        }
    }
}

/// An [`Estimate`] in one word. 0 is none, which no estimate is: it is never 0 seconds.
#[derive(Debug, Default)]
struct Latency(AtomicU64);

/// So that a sample of nothing is one all the same.
const SHORTEST: f32 = 1e-9;

impl Latency {
    fn load(&self) -> Option<Estimate> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            word => Some(Estimate::unpack(word)),
        }
    }

    fn copy(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }

    fn observe(&self, seconds: f32, tick: u32, decay: f32) {
        let seconds = seconds.max(SHORTEST);
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let next = match word {
                0 => Some(Estimate { seconds, tick }),
                word => Estimate::unpack(word).observed(seconds, tick, decay),
            };
            let Some(next) = next else { return };
            match self.0.compare_exchange_weak(
                word,
                next.pack(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(current) => word = current,
            }
        }
    }
}

/// One call under way. It reports to the endpoint when the call ends, however it does.
#[derive(Debug)]
pub struct Ticket {
    /// `None` for a response that no endpoint gave.
    call: Option<Call>,
}

#[derive(Debug)]
struct Call {
    node: Arc<Node>,
    measured: Option<(Instant, Weighing)>,
}

impl Ticket {
    pub(super) fn new(node: Arc<Node>, weighing: Option<Weighing>) -> Self {
        node.in_flight.fetch_add(1, Ordering::Relaxed);
        Self {
            call: Some(Call {
                node,
                measured: weighing.map(|weighing| (Instant::now(), weighing)),
            }),
        }
    }

    #[cfg(feature = "http")]
    pub(super) const fn none() -> Self {
        Self { call: None }
    }
}

impl OnComplete for Ticket {
    fn on_complete(self, outcome: Outcome) {
        let Some(Call { node, measured }) = self.call else {
            return;
        };
        node.in_flight.fetch_sub(1, Ordering::Relaxed);
        let Some((started, weighing)) = measured else {
            return;
        };
        let now = Instant::now();
        let seconds = now.saturating_duration_since(started).as_secs_f32();
        match outcome {
            Outcome::Success => node.sample(now, seconds, weighing),
            // It asks for less, and gets less.
            Outcome::Failure | Outcome::Throttled { .. } => {
                node.sample(now, seconds.max(weighing.penalty), weighing);
            }
            // It took at least so long. If that is no news, it says nothing.
            Outcome::Cancelled
                if node
                    .latency(now, weighing)
                    .is_none_or(|known| seconds > known) =>
            {
                node.sample(now, seconds, weighing);
            }
            _ => {}
        }
    }
}

/// A share of a second as a duration, for people.
pub(super) fn duration(seconds: f32) -> Duration {
    Duration::try_from_secs_f32(seconds).unwrap_or(Duration::MAX)
}

#[cfg(all(test, not(bartizan_loom)))]
mod tests {
    use super::*;

    const DECAY: f32 = 10_000.0;

    fn estimate(seconds: f32, tick: u32) -> Estimate {
        Estimate { seconds, tick }
    }

    #[test]
    fn a_peak_is_taken_at_once_and_forgotten_slowly() {
        let peak = estimate(0.1, 5).observed(2.0, 5, DECAY).expect("news");
        assert_eq!(peak, estimate(2.0, 5));
        // One decay later e^-1 is left of it.
        let later = peak.observed(0.1, 10_005, DECAY).expect("news");
        let expected = 2.0 * (-1.0_f32).exp() + 0.1 * (1.0 - (-1.0_f32).exp());
        assert!((later.seconds - expected).abs() < 1e-5, "{later:?}");
        assert!((peak.at(10_005, DECAY) - 2.0 * (-1.0_f32).exp()).abs() < 1e-5);
    }

    #[test]
    fn within_a_tick_only_peaks_are_written() {
        assert_eq!(estimate(0.1, 7).observed(0.05, 7, DECAY), None);
        assert_eq!(estimate(0.1, 7).observed(0.1, 7, DECAY), None);
        assert_eq!(
            estimate(0.1, 7).observed(0.2, 7, DECAY),
            Some(estimate(0.2, 7))
        );
    }

    #[test]
    fn time_that_seems_to_go_backwards_is_no_time() {
        assert_eq!(estimate(0.1, 7).at(6, DECAY), 0.1);
        assert_eq!(estimate(0.1, 7).observed(0.05, 6, DECAY), None);
        // The wrap is not such a time.
        assert!(estimate(0.1, u32::MAX).at(9_999, DECAY) < 0.05);
    }

    #[test]
    fn a_decay_of_nothing_forgets_everything_and_is_no_nan() {
        assert_eq!(estimate(0.1, 7).at(7, 0.0), 0.1);
        assert_eq!(estimate(0.1, 7).at(8, 0.0), 0.0);
        assert_eq!(
            estimate(0.1, 7).observed(0.05, 8, 0.0),
            Some(estimate(0.05, 8))
        );
    }

    #[test]
    fn packs_and_unpacks() {
        for seconds in [SHORTEST, 0.03, 5.0, 1e9] {
            for tick in [0, 1, u32::MAX] {
                let estimate = estimate(seconds, tick);
                assert_eq!(Estimate::unpack(estimate.pack()), estimate);
                assert_ne!(estimate.pack(), 0, "which means none");
            }
        }
        let latency = Latency::default();
        assert_eq!(latency.load(), None);
        latency.observe(0.0, 0, DECAY);
        assert_eq!(latency.load(), Some(estimate(SHORTEST, 0)));
    }

    proptest::proptest! {
        #[test]
        fn it_follows_the_naive_model(samples in proptest::collection::vec((1_u32..500, 0.001_f32..3.0), 1..100)) {
            let latency = Latency::default();
            let (mut tick, mut naive) = (0_u32, None::<f64>);
            for (elapsed, seconds) in samples {
                tick += elapsed;
                latency.observe(seconds, tick, DECAY);
                let seconds = f64::from(seconds);
                let left = (-f64::from(elapsed) / f64::from(DECAY)).exp();
                naive = Some(match naive {
                    Some(old) if seconds <= old * left => old * left + seconds * (1.0 - left),
                    _ => seconds,
                });
                let ours = f64::from(latency.load().expect("measured").seconds);
                let model = naive.expect("measured");
                proptest::prop_assert!((ours - model).abs() < model * 1e-3, "{ours} {model}");
            }
        }
    }
}

#[cfg(all(test, bartizan_loom))]
mod loom_tests {
    use loom::{sync::Arc, thread};

    use super::*;

    #[test]
    fn loom_no_peak_is_lost() {
        loom::model(|| {
            let latency = Arc::new(Latency::default());
            let threads = [0.5, 2.0].map(|seconds| {
                let latency = Arc::clone(&latency);
                thread::spawn(move || latency.observe(seconds, 3, 10_000.0))
            });
            for thread in threads {
                thread.join().expect("it ends");
            }
            let estimate = latency.load().expect("measured");
            assert_eq!(estimate.seconds, 2.0);
        });
    }
}
