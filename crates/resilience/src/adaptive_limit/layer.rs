//! The layer, its builder, its handle, and what all services share.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bartizan_core::{ConfigError, Outcome, Propagate};
use tokio::time::Instant;
use tower_layer::Layer;

use super::{
    algorithm::{Algorithm, Gradient2},
    control::{Control, Samples, Settings},
    service::AdaptiveLimit,
};
use crate::{
    bulkhead::{Gate, Places},
    classify::OnError,
    random::Random,
    stripes::{Held, Lanes},
    sync::atomic::{AtomicU64, Ordering},
};

/// Limits how many calls are under way to what the peer bears. All services that it makes, and their clones, share the limit. See the
/// [module](super).
#[derive(Clone, Debug)]
pub struct AdaptiveLimitLayer<C = OnError, R = Propagate> {
    lanes: Lanes<Arc<Shared>>,
    classify: C,
    reject: R,
}

impl AdaptiveLimitLayer {
    /// Sets each thing by itself.
    pub fn builder() -> AdaptiveLimitBuilder {
        AdaptiveLimitBuilder::default()
    }
}

/// [`Gradient2`], from 20 calls, between 1 and 1000, and no queue.
impl Default for AdaptiveLimitLayer {
    fn default() -> Self {
        AdaptiveLimitBuilder::default().checked()
    }
}

impl<C, R> AdaptiveLimitLayer<C, R> {
    /// Reads the limit.
    pub fn handle(&self) -> AdaptiveLimitHandle {
        AdaptiveLimitHandle(Arc::clone(&self.lanes))
    }

    /// Sets what is a success, whose time counts, and what a drop, which asks for a lower limit. Default: [`OnError`].
    ///
    /// Failures and throttled calls are drops. A call that is ignored counts nowhere. Only the head of a response is looked at.
    pub fn classify<D>(self, classify: D) -> AdaptiveLimitLayer<D, R> {
        AdaptiveLimitLayer {
            lanes: self.lanes,
            classify,
            reject: self.reject,
        }
    }
}

reject_methods!(
    AdaptiveLimitLayer<C> { lanes, classify },
    "[`Rejection::into_response`](bartizan_core::Rejection::into_response) makes a 503 with problem details."
);

impl<S, C: Clone, R: Clone> Layer<S> for AdaptiveLimitLayer<C, R> {
    type Service = AdaptiveLimit<S, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        AdaptiveLimit::new(
            inner,
            self.lanes.clone(),
            self.classify.clone(),
            self.reject.clone(),
        )
    }
}

/// Sets up an [`AdaptiveLimitLayer`].
#[derive(Debug)]
#[must_use = "it does nothing until it is built"]
pub struct AdaptiveLimitBuilder {
    algorithm: Box<dyn Algorithm>,
    settings: Settings,
    queue: u32,
    longest_wait: Duration,
}

impl Default for AdaptiveLimitBuilder {
    fn default() -> Self {
        Self {
            algorithm: Box::new(Gradient2::new()),
            settings: Settings {
                initial: 20,
                min: 1,
                max: 1000,
                shortest_window: Duration::from_millis(100),
                longest_window: Duration::from_secs(1),
                min_calls: 10,
                tolerated_drops: 0.01,
                probe_interval: Duration::from_secs(60),
                random: Random::THREAD,
            },
            queue: 0,
            longest_wait: Duration::MAX,
        }
    }
}

impl AdaptiveLimitBuilder {
    /// Sets how the limit is computed. Default: [`Gradient2`], which needs no setting that depends on the peer.
    pub fn algorithm(mut self, algorithm: impl Algorithm) -> Self {
        self.algorithm = Box::new(algorithm);
        self
    }

    /// Sets the limit to begin with. Default: 20, which is Netflix's: most peers bear it, and it is soon left behind.
    pub const fn initial(mut self, limit: u32) -> Self {
        self.settings.initial = limit;
        self
    }

    /// Sets the lowest limit. Default: 1, so that a call is left to find out that the peer is well again.
    pub const fn min(mut self, limit: u32) -> Self {
        self.settings.min = limit;
        self
    }

    /// Sets the highest limit. Default: 1000, as a [bulkhead](crate::bulkhead) has.
    pub const fn max(mut self, limit: u32) -> Self {
        self.settings.max = limit;
        self
    }

    /// Sets how many calls may wait for a place, and how long each. Default: none.
    ///
    /// First come, first served. [`Duration::MAX`] waits without end.
    pub const fn queue(mut self, length: u32, longest_wait: Duration) -> Self {
        self.queue = length;
        self.longest_wait = longest_wait;
        self
    }

    /// Sets how long a window lasts: twice the mean latency, but no less and no more than this. Default: 100 ms to 1 s.
    ///
    /// The limit changes once per window. Shorter ones follow the peer faster, and its noise too.
    pub const fn windows(mut self, shortest: Duration, longest: Duration) -> Self {
        self.settings.shortest_window = shortest;
        self.settings.longest_window = longest;
        self
    }

    /// Sets how many calls a window needs; it goes on until it has them. Default: 10, which is Netflix's.
    pub const fn min_calls(mut self, calls: u32) -> Self {
        self.settings.min_calls = calls;
        self
    }

    /// Sets which share of the calls of a window may be drops before it counts as overloaded. Default: 0.01, because some calls
    /// fail at every peer, and say nothing of its load.
    pub const fn tolerated_drops(mut self, share: f64) -> Self {
        self.settings.tolerated_drops = share;
        self
    }

    /// Sets how often the latency of an idle peer is measured anew, by half the limit for two windows, if the algorithm wants it.
    /// Default: 60 s, a quarter more or less. [`Duration::MAX`] never does.
    pub const fn probe_interval(mut self, interval: Duration) -> Self {
        self.settings.probe_interval = interval;
        self
    }

    /// Makes the times of the probes repeatable, for tests.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.random = Random::seeded(seed);
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// If the limits are not `1 ≤ min ≤ initial ≤ max`, the shortest window is zero or longer than the longest, a window needs no
    /// calls, the probe interval is zero, or the share of drops is not from 0 to 1.
    pub fn build(self) -> Result<AdaptiveLimitLayer, ConfigError> {
        let settings = &self.settings;
        let Settings {
            initial, min, max, ..
        } = *settings;
        if min == 0 {
            return Err(ConfigError::new("min", min, "at least 1"));
        }
        if max < min {
            return Err(ConfigError::new("max", max, format!("at least min, {min}")));
        }
        if !(min..=max).contains(&initial) {
            return Err(ConfigError::new(
                "initial",
                initial,
                format!("a limit from {min} to {max}"),
            ));
        }
        let windows = (settings.shortest_window, settings.longest_window);
        if windows.0.is_zero() || windows.0 > windows.1 {
            return Err(ConfigError::new(
                "windows",
                format_args!("{:?} to {:?}", windows.0, windows.1),
                "more than zero, the shortest not above the longest",
            ));
        }
        if settings.min_calls == 0 {
            return Err(ConfigError::new("min_calls", 0, "at least 1"));
        }
        if settings.probe_interval.is_zero() {
            return Err(ConfigError::new("probe_interval", "0s", "more than zero"));
        }
        if !(0.0..=1.0).contains(&settings.tolerated_drops) {
            return Err(ConfigError::new(
                "tolerated_drops",
                settings.tolerated_drops,
                "a share from 0 to 1",
            ));
        }
        Ok(self.checked())
    }

    fn checked(self) -> AdaptiveLimitLayer {
        let origin = Instant::now();
        let settings = self.settings;
        AdaptiveLimitLayer {
            lanes: Lanes::new(&Arc::new(Shared {
                places: Places::new(settings.initial, self.queue, self.longest_wait),
                samples: Samples::default(),
                origin,
                window_end: AtomicU64::new(nanos(settings.shortest_window)),
                min_calls: settings.min_calls,
                latency: AtomicU64::new(0),
                control: Mutex::new(Control::new(self.algorithm, settings, origin)),
            })),
            classify: OnError,
            reject: Propagate,
        }
    }
}

/// What all services of one layer share.
pub(super) struct Shared {
    places: Places,
    samples: Samples,
    origin: Instant,
    /// When the window may end, since the origin. [`CLOSING`] while one call ends it.
    window_end: AtomicU64,
    min_calls: u32,
    /// The mean of the calls that succeeded in the last window that had any, or 0.
    latency: AtomicU64,
    /// Locked by the call that ends a window, and by no other.
    control: Mutex<Control>,
}

const CLOSING: u64 = u64::MAX;

/// What is to be known of a call that holds a place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Started {
    at: Instant,
    in_flight: u32,
}

impl Gate for Held<Arc<Shared>> {
    type Stamp = Started;

    fn places(&self) -> &Places {
        &self.places
    }

    fn stamp(&self, in_flight: u32) -> Started {
        Started {
            at: Instant::now(),
            in_flight,
        }
    }

    /// The caller would not wait any longer, which says something if it had waited longer than others do.
    fn abandoned(&self, call: &Started) {
        let usual = self.latency.load(Ordering::Relaxed);
        let now = Instant::now();
        let latency = now.saturating_duration_since(call.at);
        if usual > 0 && nanos(latency) > usual {
            self.samples.abandoned(latency, call.in_flight);
            self.close(now);
        }
    }
}

impl Shared {
    /// A call has ended.
    pub(super) fn ended(&self, call: &Started, outcome: Outcome) {
        let now = Instant::now();
        match outcome {
            Outcome::Success => self
                .samples
                .success(now.saturating_duration_since(call.at), call.in_flight),
            Outcome::Failure | Outcome::Throttled { .. } => self.samples.dropped(call.in_flight),
            _ => return,
        }
        self.close(now);
    }

    /// Ends the window, if it is time, and nobody else is at it.
    fn close(&self, now: Instant) {
        let end = self.window_end.load(Ordering::Relaxed);
        let since = nanos(now.saturating_duration_since(self.origin));
        if since < end || self.samples.count() < self.min_calls {
            return;
        }
        let claimed =
            self.window_end
                .compare_exchange(end, CLOSING, Ordering::Acquire, Ordering::Relaxed);
        if claimed.is_err() {
            return;
        }
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let length = control.begin(now);
        let (window, latency) = self.samples.take(length, control.tolerated_drops());
        let limit = control.next(&window, now);
        let length = control.window(&window);
        drop(control);

        let before = self.places.limit();
        if limit != before {
            tracing::debug!(limit, before, ?window, "the adaptive limit has changed");
            self.places.set_limit(limit);
        }
        if let Some(latency) = latency {
            self.latency.store(nanos(latency), Ordering::Relaxed);
        }
        self.window_end.store(
            since.saturating_add(nanos(length)).min(CLOSING - 1),
            Ordering::Release,
        );
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(CLOSING - 1)
}

/// An adaptive limit at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdaptiveLimitSnapshot {
    /// How many calls may be under way. Half of what it would be, while the latency is measured anew.
    pub limit: u32,
    /// How many are.
    pub in_flight: u32,
    /// How many wait for a place.
    pub waiting: u32,
    /// The mean latency of successful calls in the last window that had any.
    pub latency: Option<Duration>,
}

/// Reads an adaptive limit, from anywhere, at the cost of a few atomic loads.
#[derive(Clone, Debug)]
pub struct AdaptiveLimitHandle(Arc<Shared>);

impl AdaptiveLimitHandle {
    /// The limit, and what there is below it.
    pub fn snapshot(&self) -> AdaptiveLimitSnapshot {
        let Shared {
            places, latency, ..
        } = &*self.0;
        let latency = latency.load(Ordering::Relaxed);
        AdaptiveLimitSnapshot {
            limit: places.limit(),
            in_flight: places.taken(),
            waiting: places.waiting(),
            latency: (latency > 0).then(|| Duration::from_nanos(latency)),
        }
    }
}
