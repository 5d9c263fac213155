//! The layer, its builder and its handle.

use std::{fmt, sync::Arc, time::Duration};

use bartizan_core::{ConfigError, HttpClassify, Propagate};
use tokio::time::Instant;
use tower_layer::Layer;

use super::{
    service::Throttle,
    state::{Settings, State},
};
use crate::{random::Random, stripes::Lanes};

/// What all services of one layer share.
#[derive(Debug)]
pub(super) struct Shared<C> {
    pub(super) classify: C,
    pub(super) state: Arc<State>,
}

/// Holds calls back from a peer that accepts too few of them. All its services share the counts. See the [module](super).
pub struct ThrottleLayer<C = HttpClassify, R = Propagate> {
    lanes: Lanes<Arc<Shared<C>>>,
    reject: R,
}

impl ThrottleLayer {
    /// Starts with [`HttpClassify`], K = 2 over two minutes, from 20 calls on, and at most 90 %.
    pub fn builder() -> ThrottleLayerBuilder {
        ThrottleLayerBuilder {
            classify: HttpClassify::new(),
            settings: DEFAULT,
            random: Random::THREAD,
        }
    }
}

const DEFAULT: Settings = Settings {
    multiplier: 2.0,
    window: Duration::from_secs(120),
    min_calls: 20,
    max_chance: 0.9,
};

impl Default for ThrottleLayer {
    fn default() -> Self {
        ThrottleLayerBuilder::layer(HttpClassify::new(), DEFAULT, Random::THREAD)
    }
}

impl<C, R> ThrottleLayer<C, R> {
    /// Reads the counts, which all services of this layer share.
    pub fn handle(&self) -> ThrottleHandle {
        ThrottleHandle {
            state: Arc::clone(&self.lanes.state),
        }
    }
}

reject_methods!(
    ThrottleLayer<C> { lanes },
    "[`Rejection::into_response`](bartizan_core::Rejection::into_response) makes a 503 with problem details."
);

impl<C, R: Clone> Clone for ThrottleLayer<C, R> {
    fn clone(&self) -> Self {
        Self {
            lanes: self.lanes.clone(),
            reject: self.reject.clone(),
        }
    }
}

impl<C, R: fmt::Debug> fmt::Debug for ThrottleLayer<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottleLayer")
            .field("state", &self.lanes.state)
            .field("reject", &self.reject)
            .finish_non_exhaustive()
    }
}

impl<S, C, R: Clone> Layer<S> for ThrottleLayer<C, R> {
    type Service = Throttle<S, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Throttle::new(inner, self.lanes.clone(), self.reject.clone())
    }
}

/// Collects the settings of a [`ThrottleLayer`].
#[derive(Clone, Debug)]
#[must_use = "it is `build` that makes the layer"]
pub struct ThrottleLayerBuilder<C = HttpClassify> {
    classify: C,
    settings: Settings,
    random: Random,
}

impl<C> ThrottleLayerBuilder<C> {
    /// Sets what tells an accepted call. Default: [`HttpClassify`], for which every 5xx and every 429 is a refusal.
    pub fn classify<D>(self, classify: D) -> ThrottleLayerBuilder<D> {
        ThrottleLayerBuilder {
            classify,
            settings: self.settings,
            random: self.random,
        }
    }

    /// Sets K: how many calls there may be for each that is accepted. Default: 2, from the book: a lower one spares the peer more, a
    /// higher one finds out sooner that it has recovered.
    pub const fn multiplier(mut self, k: f64) -> Self {
        self.settings.multiplier = k;
        self
    }

    /// Sets over how much time calls are counted. Default: 2 minutes, from the book.
    pub const fn window(mut self, window: Duration) -> Self {
        self.settings.window = window;
        self
    }

    /// Sets how many calls there have to be in the window before any is held back. Default: 20, the same as for a circuit breaker's
    /// ratio: of fewer a ratio says little.
    pub const fn min_calls(mut self, calls: u64) -> Self {
        self.settings.min_calls = calls;
        self
    }

    /// Sets which share of the calls is held back at most. Default: 0.9, so that even a client with one call per second asks a peer that
    /// was down every ten seconds.
    pub const fn max_chance(mut self, share: f64) -> Self {
        self.settings.max_chance = share;
        self
    }

    /// Makes chance repeatable, for tests.
    pub fn seed(mut self, seed: u64) -> Self {
        self.random = Random::seeded(seed);
        self
    }

    /// The layer, with nothing counted.
    ///
    /// # Errors
    ///
    /// If K is below 1 or not finite, the window is shorter than a second, or the share is not from 0 to 1.
    pub fn build(self) -> Result<ThrottleLayer<C>, ConfigError> {
        let Settings {
            multiplier,
            window,
            max_chance,
            ..
        } = self.settings;
        if !(1.0..f64::INFINITY).contains(&multiplier) {
            let expected = "a finite number of at least 1";
            return Err(ConfigError::new("multiplier", multiplier, expected));
        }
        if window < Duration::from_secs(1) {
            let window = format_args!("{window:?}").to_string();
            return Err(ConfigError::new("window", window, "at least one second"));
        }
        if !(0.0..=1.0).contains(&max_chance) {
            let expected = "a share from 0 to 1";
            return Err(ConfigError::new("max_chance", max_chance, expected));
        }
        Ok(Self::layer(self.classify, self.settings, self.random))
    }

    fn layer(classify: C, settings: Settings, random: Random) -> ThrottleLayer<C> {
        ThrottleLayer {
            lanes: Lanes::new(&Arc::new(Shared {
                classify,
                state: Arc::new(State::new(settings, random)),
            })),
            reject: Propagate,
        }
    }
}

/// Reads the counts of a [`ThrottleLayer`], from anywhere, without a lock.
#[derive(Clone, Debug)]
pub struct ThrottleHandle {
    state: Arc<State>,
}

impl ThrottleHandle {
    /// How many calls there were in the window, those held back among them. Calls that are under way are not.
    pub fn calls(&self) -> u64 {
        self.state.counts(Instant::now()).0
    }

    /// How many of them the peer accepted.
    pub fn accepted(&self) -> u64 {
        self.state.counts(Instant::now()).1
    }

    /// With which probability a call is held back now.
    pub fn chance(&self) -> f64 {
        self.state.chance(Instant::now())
    }
}
