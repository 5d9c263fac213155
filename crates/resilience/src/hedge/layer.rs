//! The layer and its settings.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bartizan_core::ConfigError;
use tokio::time::Instant;
use tower_layer::Layer;

use super::{
    Hedge, HedgeHandle, OnError,
    budget::Budget,
    delay::{Delay, Live},
    service::Shared,
    state::State,
};

/// Makes a second attempt at calls that take long. See the [module](super).
///
/// All services of one layer share the percentile, the budget and the counts, and [`handle`](Self::handle) reads them.
#[derive(Clone, Debug)]
pub struct HedgeLayer<P, C = OnError> {
    policy: P,
    classify: C,
    state: Arc<State>,
}

impl<P> HedgeLayer<P> {
    /// Starts with the 95th percentile and a budget of 5 %. `policy` says which requests may be sent twice, by the copy that it makes
    /// of them. Any answer is a success, and any error a failure.
    ///
    /// For HTTP there is [`HedgeLayer::http`].
    pub const fn builder(policy: P) -> HedgeBuilder<P> {
        HedgeBuilder::new(policy, OnError)
    }
}

impl<P, C> HedgeLayer<P, C> {
    /// Reads what the hedges of this layer do.
    pub fn handle(&self) -> HedgeHandle {
        HedgeHandle::new(Arc::clone(&self.state))
    }
}

impl<S: Clone, P: Clone, C: Clone> Layer<S> for HedgeLayer<P, C> {
    type Service = Hedge<S, P, C>;

    fn layer(&self, inner: S) -> Self::Service {
        let shared = Shared {
            template: Mutex::new(inner.clone()),
            classify: self.classify.clone(),
            state: Arc::clone(&self.state),
        };
        Hedge::new(inner, self.policy.clone(), shared)
    }
}

/// Collects the settings of a [`HedgeLayer`].
#[derive(Clone, Debug)]
#[must_use = "it is `build` that makes the layer"]
pub struct HedgeBuilder<P, C = OnError> {
    policy: P,
    classify: C,
    after: After,
    min_samples: u32,
    half_life: Duration,
    ratio: f64,
    burst: u32,
}

#[derive(Clone, Copy, Debug)]
enum After {
    Fixed(Duration),
    Percentile(f64),
}

impl<P, C> HedgeBuilder<P, C> {
    pub(super) const fn new(policy: P, classify: C) -> Self {
        Self {
            policy,
            classify,
            after: After::Percentile(95.0),
            min_samples: 100,
            half_life: Duration::from_secs(30),
            ratio: 0.05,
            burst: 10,
        }
    }

    /// Makes the second attempt after this delay, always the same. Zero makes both at once. tokio's timers tick once a millisecond.
    pub const fn after(mut self, delay: Duration) -> Self {
        self.after = After::Fixed(delay);
        self
    }

    /// Makes the second attempt when the first has taken longer than this percentage of the calls before it did. Default: 95, so that
    /// one call in twenty makes one, which is what the budget allows.
    ///
    /// It is computed once a second.
    pub const fn after_percentile(mut self, percentile: f64) -> Self {
        self.after = After::Percentile(percentile);
        self
    }

    /// Sets how many calls must have been seen, lately, before there are second attempts by percentile. Default: 100, because the 95th
    /// percentile of fewer rests on a handful of calls.
    pub const fn min_samples(mut self, samples: u32) -> Self {
        self.min_samples = samples;
        self
    }

    /// Sets after how long a call counts half in the percentile. Default: 30 s, so that a peer that became slow is what is normal a
    /// minute later, and its calls are no longer sent twice.
    pub const fn half_life(mut self, half_life: Duration) -> Self {
        self.half_life = half_life;
        self
    }

    /// Sets how many second attempts there may be: `ratio` for each call that might have one, and as many as `burst` saved up. Default:
    /// 0.05, and 10 saved up, which it begins with. So the load never grows by more than a twentieth when everything is slow.
    pub const fn budget(mut self, ratio: f64, burst: u32) -> Self {
        self.ratio = ratio;
        self.burst = burst;
        self
    }

    /// Sets how results are judged. What is a [`Success`](bartizan_core::Outcome::Success) at the head of the response wins.
    pub fn classify<D>(self, classify: D) -> HedgeBuilder<P, D> {
        HedgeBuilder {
            policy: self.policy,
            classify,
            after: self.after,
            min_samples: self.min_samples,
            half_life: self.half_life,
            ratio: self.ratio,
            burst: self.burst,
        }
    }

    /// Sets which requests may be sent twice.
    pub fn policy<Q>(self, policy: Q) -> HedgeBuilder<Q, C> {
        HedgeBuilder {
            policy,
            classify: self.classify,
            after: self.after,
            min_samples: self.min_samples,
            half_life: self.half_life,
            ratio: self.ratio,
            burst: self.burst,
        }
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// If the percentile is not between 0 and 100, the half-life or the number of samples is zero, the ratio is not above 0 and at most
    /// 1, or the burst is zero.
    pub fn build(self) -> Result<HedgeLayer<P, C>, ConfigError> {
        if !(self.ratio > 0.0 && self.ratio <= 1.0) {
            return Err(ConfigError::new(
                "budget ratio",
                self.ratio,
                "a number above 0, and at most 1",
            ));
        }
        if self.burst == 0 {
            return Err(ConfigError::new("budget burst", 0, "at least 1"));
        }
        let delay = match self.after {
            After::Fixed(delay) => Delay::Fixed(delay),
            After::Percentile(percentile) => self.live(percentile)?,
        };
        Ok(HedgeLayer {
            policy: self.policy,
            classify: self.classify,
            state: Arc::new(State::new(delay, Budget::new(self.ratio, self.burst))),
        })
    }

    fn live(&self, percentile: f64) -> Result<Delay, ConfigError> {
        if !(percentile > 0.0 && percentile < 100.0) {
            return Err(ConfigError::new(
                "percentile",
                percentile,
                "a number between 0 and 100, neither of them included",
            ));
        }
        if self.min_samples == 0 {
            return Err(ConfigError::new("min_samples", 0, "at least 1"));
        }
        if self.half_life.is_zero() {
            return Err(ConfigError::new("half_life", "0s", "more than zero"));
        }
        let live = Live::new(
            percentile / 100.0,
            self.min_samples,
            self.half_life,
            Instant::now(),
        );
        Ok(Delay::Live(Box::new(live)))
    }
}
