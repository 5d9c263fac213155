//! The layer, its builder and its handle.

use std::time::Duration;

use bartizan_core::{ConfigError, Propagate};
use tokio::time::Instant;
use tower_layer::Layer;

use super::{codel::Codel, places::Door, service::Shed};

/// More than any process has calls, and little enough to count in a word that keeps a bit for itself.
const MOST_PLACES: usize = 1 << 30;

/// Limits how many calls run at once, and sheds those that wait for too long. All its services share the places. See the
/// [module](super).
#[derive(Clone, Debug)]
pub struct ShedLayer<R = Propagate> {
    places: Door,
    reject: R,
}

impl ShedLayer {
    /// As many calls at once as `concurrency`, and the defaults of the [`builder`](Self::builder).
    ///
    /// # Errors
    ///
    /// If `concurrency` is zero, or above 2³⁰.
    pub fn try_new(concurrency: usize) -> Result<Self, ConfigError> {
        Self::builder(concurrency).build()
    }

    /// Starts with as many calls at once as `concurrency`, 5 ms and 100 ms, and a queue of 1000.
    ///
    /// There is no default for `concurrency`: it is as many calls as the service can work on before each of them gets slower, and only
    /// a measurement tells. For a service that computes, it is near the number of cores.
    pub const fn builder(concurrency: usize) -> ShedLayerBuilder {
        ShedLayerBuilder {
            concurrency,
            queue: 1000,
            target: Duration::from_millis(5),
            interval: Duration::from_millis(100),
        }
    }
}

impl<R> ShedLayer<R> {
    /// Reads the places and the queue, which all services of this layer share.
    pub fn handle(&self) -> ShedHandle {
        ShedHandle {
            places: self.places.clone(),
        }
    }
}

reject_methods!(
    ShedLayer { places },
    "[`Rejection::into_response`](bartizan_core::Rejection::into_response) makes a 503 with problem details."
);

impl<S, R: Clone> Layer<S> for ShedLayer<R> {
    type Service = Shed<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Shed::new(inner, self.places.clone(), self.reject.clone())
    }
}

/// Collects the settings of a [`ShedLayer`].
#[derive(Clone, Copy, Debug)]
#[must_use = "it is `build` that makes the layer"]
pub struct ShedLayerBuilder {
    concurrency: usize,
    queue: usize,
    target: Duration,
    interval: Duration,
}

impl ShedLayerBuilder {
    /// Sets how many calls may wait. Default: 1000, which only bounds the memory: it is time that limits a queue well, because nobody
    /// knows how fast it moves. Zero lets nobody wait.
    pub const fn queue(mut self, calls: usize) -> Self {
        self.queue = calls;
        self
    }

    /// Sets how long a call may wait when the service is overloaded. Default: 5 ms, the value of RFC 8289 and of "Fail at Scale", which
    /// found that it need not be tuned.
    pub const fn target(mut self, wait: Duration) -> Self {
        self.target = wait;
        self
    }

    /// Sets how long a call may wait when it is not, and for how long the wait has to be above the target until it is. Default: 100 ms,
    /// from the same sources: longer than a burst, and shorter than a caller's patience.
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// The layer, with all its places free.
    ///
    /// # Errors
    ///
    /// If the concurrency is zero or above 2³⁰, the target is zero, or the interval is not longer than the target.
    pub fn build(self) -> Result<ShedLayer, ConfigError> {
        if !(1..=MOST_PLACES).contains(&self.concurrency) {
            return Err(ConfigError::new(
                "concurrency",
                self.concurrency,
                "a number from 1 to 2^30",
            ));
        }
        if self.target.is_zero() {
            return Err(ConfigError::new("target", "0ns", "a time longer than zero"));
        }
        if self.interval <= self.target {
            return Err(ConfigError::new(
                "interval",
                format_args!("{:?}", self.interval),
                format!("a time longer than the target, {:?}", self.target),
            ));
        }
        let codel = Codel::new(self.target, self.interval);
        Ok(ShedLayer {
            places: Door::new(self.concurrency, self.queue, codel),
            reject: Propagate,
        })
    }
}

/// Reads the places and the queue of a [`ShedLayer`], from anywhere. What concerns the queue costs a short lock.
#[derive(Clone, Debug)]
pub struct ShedHandle {
    places: Door,
}

impl ShedHandle {
    /// How many places are taken: by calls, and by instances that are ready to make one.
    pub fn in_use(&self) -> usize {
        self.places.in_use()
    }

    /// How many calls wait.
    pub fn waiting(&self) -> usize {
        self.places.waiting()
    }

    /// Whether calls have waited for too long throughout an interval, and not more than an interval ago.
    pub fn is_overloaded(&self) -> bool {
        self.places.is_overloaded(Instant::now())
    }

    /// How many calls were shed, ever.
    pub fn shed(&self) -> u64 {
        self.places.shed()
    }
}
