//! The layer, its settings, and the switch.

use std::{
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bartizan_core::{ConfigError, Propagate};
use tower_layer::Layer;

use super::service::Chaos;
use crate::random::Random;

/// Which requests something may happen to. Every `Fn(&Req) -> bool` is one.
pub trait Target<Req> {
    /// Whether something may happen to it.
    fn matches(&self, request: &Req) -> bool;
}

impl<F, Req> Target<Req> for F
where
    F: Fn(&Req) -> bool,
{
    fn matches(&self, request: &Req) -> bool {
        self(request)
    }
}

/// Every request. The default [`Target`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Everything;

impl<Req> Target<Req> for Everything {
    fn matches(&self, _: &Req) -> bool {
        true
    }
}

/// Does to calls what networks do. Off until its handle turns it on. See the [module](super).
///
/// All services of one layer share the switch, the counts, and the sequence of chances.
#[derive(Clone, Debug)]
pub struct ChaosLayer<T = Everything, R = Propagate> {
    target: T,
    shared: Arc<Shared>,
    reject: R,
}

/// What all services of one layer share.
#[derive(Debug)]
pub(super) struct Shared {
    enabled: AtomicBool,
    settings: Settings,
    delayed: AtomicU64,
    failed: AtomicU64,
    cut: AtomicU64,
    hung: AtomicU64,
}

#[derive(Clone, Debug)]
struct Settings {
    latency_rate: f64,
    latency: RangeInclusive<Duration>,
    error_rate: f64,
    cut_rate: f64,
    hang_rate: f64,
    random: Random,
}

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) delay: Option<Duration>,
    pub(super) end: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// As the peer would have it.
    Natural,
    /// The call is not made.
    Error,
    /// The call is made, and its answer is lost.
    Cut,
    /// The call is not made, and there is no answer.
    Hang,
}

impl Plan {
    pub(super) const NOTHING: Self = Self {
        delay: None,
        end: Ending::Natural,
    };
}

impl Settings {
    /// Three chances for every call, whatever they are used for, so that the same seed does the same things when a rate is changed.
    fn draw(&self) -> Plan {
        let [whether, how_long, end] = [(); 3].map(|()| self.random.unit());
        let delay = (whether < self.latency_rate).then(|| {
            let (least, most) = (*self.latency.start(), *self.latency.end());
            least + (most - least).mul_f64(how_long)
        });
        let errors = self.error_rate;
        let cuts = errors + self.cut_rate;
        let hangs = cuts + self.hang_rate;
        let end = match end {
            end if end < errors => Ending::Error,
            end if end < cuts => Ending::Cut,
            end if end < hangs => Ending::Hang,
            _ => Ending::Natural,
        };
        Plan { delay, end }
    }
}

impl Shared {
    // Relaxed here and below: the switch guards no other memory.
    #[inline]
    pub(super) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    // Out of line, so that the calls of a layer that is off are short.
    #[cold]
    pub(super) fn plan(&self) -> Plan {
        let plan = self.settings.draw();
        if plan.delay.is_some() {
            self.delayed.fetch_add(1, Ordering::Relaxed);
        }
        let counter = match plan.end {
            Ending::Natural => None,
            Ending::Error => Some(&self.failed),
            Ending::Cut => Some(&self.cut),
            Ending::Hang => Some(&self.hung),
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        if plan != Plan::NOTHING {
            tracing::debug!(?plan, "chaos");
        }
        plan
    }
}

impl ChaosLayer {
    /// Starts with nothing that could happen.
    pub const fn builder() -> ChaosBuilder {
        ChaosBuilder {
            target: Everything,
            settings: Settings {
                latency_rate: 0.0,
                latency: Duration::ZERO..=Duration::ZERO,
                error_rate: 0.0,
                cut_rate: 0.0,
                hang_rate: 0.0,
                random: Random::THREAD,
            },
            enabled: false,
        }
    }
}

impl<T, R> ChaosLayer<T, R> {
    /// The switch, and the counts.
    pub fn handle(&self) -> ChaosHandle {
        ChaosHandle::new(Arc::clone(&self.shared))
    }
}

reject_methods!(
    ChaosLayer<T> { target, shared },
    "`|_: Rejection| StatusCode::SERVICE_UNAVAILABLE.into_response()` makes it, in axum, the 503 of a peer."
);

impl<S, T: Clone, R: Clone> Layer<S> for ChaosLayer<T, R> {
    type Service = Chaos<S, T, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Chaos::new(
            inner,
            self.target.clone(),
            Arc::clone(&self.shared),
            self.reject.clone(),
        )
    }
}

/// Collects what a [`ChaosLayer`] may do. Rates are from 0 to 1, and each is 0 unless it is set.
#[derive(Clone, Debug)]
#[must_use = "it is `build` that makes the layer"]
pub struct ChaosBuilder<T = Everything> {
    target: T,
    settings: Settings,
    enabled: bool,
}

impl<T> ChaosBuilder<T> {
    /// Makes that share of the calls wait before they go on, always as long, or evenly spread over a range:
    ///
    /// ```
    /// use bartizan_resilience::chaos::ChaosLayer;
    /// use std::time::Duration;
    ///
    /// let (least, most) = (Duration::from_millis(20), Duration::from_millis(200));
    /// assert!(ChaosLayer::builder().latency(0.5, least).build().is_ok());
    /// assert!(ChaosLayer::builder().latency(0.5, least..=most).build().is_ok());
    /// assert!(ChaosLayer::builder().latency(0.5, most..=least).build().is_err());
    /// ```
    pub fn latency(mut self, rate: f64, latency: impl Into<Latency>) -> Self {
        self.settings.latency_rate = rate;
        self.settings.latency = latency.into().0;
        self
    }

    /// Fails that share of the calls before they reach the inner service.
    pub const fn errors(mut self, rate: f64) -> Self {
        self.settings.error_rate = rate;
        self
    }

    /// Loses the answers of that share of the calls: the peer does its work, and the caller gets an error. What tells whether retries
    /// are sound.
    pub const fn cuts(mut self, rate: f64) -> Self {
        self.settings.cut_rate = rate;
        self
    }

    /// Never answers that share of the calls. What tells whether there is a timeout.
    pub const fn hangs(mut self, rate: f64) -> Self {
        self.settings.hang_rate = rate;
        self
    }

    /// Spares all requests but those that `target` matches. Default: [`Everything`].
    pub fn only<U>(self, target: U) -> ChaosBuilder<U> {
        ChaosBuilder {
            target,
            settings: self.settings,
            enabled: self.enabled,
        }
    }

    /// Makes chance repeatable, for tests: the same things happen to the first call, the second, and so on, for the same seed. It
    /// costs a lock per call, while enabled.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.random = Random::seeded(seed);
        self
    }

    /// Begins enabled. Default: off, so that a layer left in by mistake does nothing.
    pub const fn enabled(mut self) -> Self {
        self.enabled = true;
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// If a rate is not from 0 to 1, the rates of errors, cuts and hangs, of which a call meets at most one, are more than 1 together,
    /// or a range of latencies ends before it begins.
    pub fn build(self) -> Result<ChaosLayer<T>, ConfigError> {
        let settings = &self.settings;
        for (field, rate) in [
            ("latency rate", settings.latency_rate),
            ("error rate", settings.error_rate),
            ("cut rate", settings.cut_rate),
            ("hang rate", settings.hang_rate),
        ] {
            if !(0.0..=1.0).contains(&rate) {
                return Err(ConfigError::new(field, rate, "a number from 0 to 1"));
            }
        }
        let sum = settings.error_rate + settings.cut_rate + settings.hang_rate;
        // A hair more is what adding 0.1 ten times comes to.
        if sum > 1.0 + 1e-9 {
            return Err(ConfigError::new(
                "sum of the rates of errors, cuts and hangs",
                sum,
                "at most 1, because a call meets at most one of them",
            ));
        }
        if settings.latency.is_empty() {
            return Err(ConfigError::new(
                "latency",
                format_args!("{:?}", settings.latency),
                "a range that does not end before it begins",
            ));
        }
        Ok(ChaosLayer {
            target: self.target,
            shared: Arc::new(Shared {
                enabled: AtomicBool::new(self.enabled),
                settings: self.settings,
                delayed: AtomicU64::new(0),
                failed: AtomicU64::new(0),
                cut: AtomicU64::new(0),
                hung: AtomicU64::new(0),
            }),
            reject: Propagate,
        })
    }
}

/// How long a call is made to wait: a `Duration`, or a range of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latency(RangeInclusive<Duration>);

impl From<Duration> for Latency {
    fn from(latency: Duration) -> Self {
        Self(latency..=latency)
    }
}

impl From<RangeInclusive<Duration>> for Latency {
    fn from(latency: RangeInclusive<Duration>) -> Self {
        Self(latency)
    }
}

/// Turns chaos on and off, from anywhere, and counts what it did.
#[derive(Clone, Debug)]
pub struct ChaosHandle {
    shared: Arc<Shared>,
}

impl ChaosHandle {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// From now on things happen.
    pub fn enable(&self) {
        self.set_enabled(true);
    }

    /// From now on nothing happens to new calls. Those that wait go on waiting.
    pub fn disable(&self) {
        self.set_enabled(false);
    }

    /// Turns it on or off.
    pub fn set_enabled(&self, enabled: bool) {
        self.shared.enabled.store(enabled, Ordering::Relaxed);
        tracing::info!(enabled, "chaos: switched");
    }

    /// Whether things happen.
    pub fn is_enabled(&self) -> bool {
        self.shared.is_enabled()
    }

    /// What happened so far.
    pub fn counts(&self) -> ChaosCounts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ChaosCounts {
            delayed: load(&self.shared.delayed),
            failed: load(&self.shared.failed),
            cut: load(&self.shared.cut),
            hung: load(&self.shared.hung),
        }
    }
}

/// What chaos did so far. A call that was delayed, and failed after that, is in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChaosCounts {
    /// Calls that were made to wait.
    pub delayed: u64,
    /// Calls that failed before they reached the inner service.
    pub failed: u64,
    /// Calls whose answers were lost.
    pub cut: u64,
    /// Calls that are never answered.
    pub hung: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_happen_at_their_rates() {
        let (least, most) = (Duration::from_millis(10), Duration::from_millis(30));
        let layer = ChaosLayer::builder()
            .latency(0.5, least..=most)
            .errors(0.2)
            .cuts(0.1)
            .hangs(0.3)
            .seed(7)
            .build()
            .expect("rates");
        let plans: Vec<_> = (0..10_000).map(|_| layer.shared.plan()).collect();
        let counts = layer.handle().counts();
        for (count, rate) in [
            (counts.delayed, 0.5),
            (counts.failed, 0.2),
            (counts.cut, 0.1),
            (counts.hung, 0.3),
        ] {
            assert!((count as f64 / 10_000.0 - rate).abs() < 0.02, "{counts:?}");
        }
        let delays = || plans.iter().filter_map(|plan| plan.delay);
        assert!(delays().all(|delay| (least..=most).contains(&delay)));
        let (min, max) = (delays().min().expect("some"), delays().max().expect("some"));
        assert!(max - min > Duration::from_millis(19), "{min:?} to {max:?}");
    }

    #[test]
    fn another_rate_of_one_thing_leaves_the_others_where_they_were() {
        let delays = |errors: f64| -> Vec<_> {
            let layer = ChaosLayer::builder()
                .latency(0.5, Duration::ZERO..=Duration::from_secs(1))
                .errors(errors)
                .seed(7)
                .build()
                .expect("rates");
            (0..100).map(|_| layer.shared.plan().delay).collect()
        };
        assert_eq!(delays(0.0), delays(0.9));
    }
}
