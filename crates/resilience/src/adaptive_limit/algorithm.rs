//! How a limit follows from what was measured.

use std::{fmt, time::Duration};

use bartizan_core::ConfigError;

/// What the calls that ended in one window of time came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Window {
    /// How long it was.
    pub length: Duration,
    /// The mean time that successful calls took, and those that were given up late. `None` if there was none.
    pub latency: Option<Duration>,
    /// How many calls were under way at most.
    pub in_flight: u32,
    /// How many calls ended, drops included.
    pub calls: u32,
    /// How many of them failed, or were asked to come less often.
    pub drops: u32,
    /// Whether there were more drops than are tolerated.
    pub is_overloaded: bool,
}

/// Computes the next limit from the present one. The layer keeps the result between the lowest and the highest limit, and does not
/// ask for more, or less, while the limit is not what limits: with less than half of it under way, and no overload, the result is
/// thrown away.
pub trait Algorithm: fmt::Debug + Send + 'static {
    /// The next limit. Called once per window, under a lock that no call waits for.
    fn next(&mut self, limit: f64, window: &Window) -> f64;

    /// Whether it compares with the latency of an idle peer, which then is measured now and then: see [`probed`](Self::probed).
    fn wants_probes(&self) -> bool {
        false
    }

    /// The latency with the limit halved for a while, so that queues at the peer could drain.
    fn probed(&mut self, _latency: Duration) {}
}

/// Additive increase, multiplicative decrease, as TCP does it: one more after each good window, a tenth less after each bad one.
///
/// It knows two kinds of bad windows: too many drops, and a mean latency above a threshold. So it needs a threshold that fits the
/// peer, and swings about the limit that it looks for. Source: `AIMDLimit` of Netflix's concurrency-limits.
#[derive(Clone, Copy, Debug)]
pub struct Aimd {
    backoff: f64,
    latency: Duration,
}

impl Aimd {
    /// Backs off by a tenth, on drops and above 5 s. Both are Netflix's.
    pub const fn new() -> Self {
        Self {
            backoff: 0.9,
            latency: Duration::from_secs(5),
        }
    }

    /// Sets what is left of the limit after a bad window. Default: 0.9.
    ///
    /// # Errors
    ///
    /// If it is not from 0.5 up to, but not including, 1.
    pub fn try_backoff(mut self, factor: f64) -> Result<Self, ConfigError> {
        if !(0.5..1.0).contains(&factor) {
            return Err(ConfigError::new(
                "backoff",
                factor,
                "a factor from 0.5 to less than 1",
            ));
        }
        self.backoff = factor;
        Ok(self)
    }

    /// Sets above which mean latency a window is bad. Default: 5 s.
    #[must_use]
    pub const fn latency(mut self, threshold: Duration) -> Self {
        self.latency = threshold;
        self
    }
}

impl Default for Aimd {
    fn default() -> Self {
        Self::new()
    }
}

impl Algorithm for Aimd {
    fn next(&mut self, limit: f64, window: &Window) -> f64 {
        if window.is_overloaded || window.latency > Some(self.latency) {
            (limit * self.backoff).min(limit - 1.0)
        } else {
            limit + 1.0
        }
    }
}

/// Keeps a few calls queued at the peer, and no more, as TCP Vegas does.
///
/// How many are queued follows from the latency and the least latency there was: `limit × (1 − least / latency)`. The fewer there
/// are, the faster the limit grows. The least latency is measured anew now and then, or a peer that became slower would be taken for
/// one with a queue. Source: `VegasLimit` of Netflix's concurrency-limits, after Brakmo and Peterson, "TCP Vegas" (1995).
#[derive(Clone, Copy, Debug, Default)]
pub struct Vegas {
    least: Option<f64>,
}

impl Vegas {
    /// Between 3 and 6 calls queued, times the decimal logarithm of the limit. These are Netflix's.
    pub const fn new() -> Self {
        Self { least: None }
    }
}

impl Algorithm for Vegas {
    fn next(&mut self, limit: f64, window: &Window) -> f64 {
        let step = limit.log10().max(1.0);
        if window.is_overloaded {
            return limit - step;
        }
        let Some(latency) = seconds(window.latency) else {
            return limit;
        };
        let least = *self
            .least
            .insert(self.least.map_or(latency, |least| least.min(latency)));
        let queued = (limit * (1.0 - least / latency)).ceil();
        if queued <= step {
            limit + 6.0 * step
        } else if queued < 3.0 * step {
            limit + step
        } else if queued > 6.0 * step {
            limit - step
        } else {
            limit
        }
    }

    fn wants_probes(&self) -> bool {
        true
    }

    fn probed(&mut self, latency: Duration) {
        self.least = seconds(Some(latency));
    }
}

/// Compares the latency of now with that of the last minutes: where they part, a queue grows.
///
/// Means of all calls are compared, not the fastest ones, so it suits requests of different weight. The limit shrinks by the ratio of
/// the two, at most by half, and grows by a few calls per window while there is no difference; a fifth of each change is made at a
/// time. A window with too many drops counts as the greatest difference. A long overload would lift the long mean until it seems
/// normal; so it is measured anew now and then. Source: `Gradient2Limit` of Netflix's concurrency-limits, which neither looks at drops
/// nor measures anew.
#[derive(Clone, Copy, Debug)]
pub struct Gradient2 {
    queue: f64,
    tolerance: f64,
    smoothing: f64,
    long: LongMean,
}

/// Of how many seconds the long mean is: Netflix's 600 windows, each of a second.
const LONG: f64 = 600.0;
/// How many windows make its first value.
const WARM_UP: f64 = 10.0;

#[derive(Clone, Copy, Debug, Default)]
struct LongMean {
    mean: f64,
    windows: f64,
}

impl LongMean {
    /// A plain mean of the first windows, and an exponential one from then on.
    fn add(&mut self, latency: f64, length: Duration) -> f64 {
        if self.windows < WARM_UP {
            self.windows += 1.0;
            self.mean += (latency - self.mean) / self.windows;
        } else {
            let weight = (length.as_secs_f64() * 2.0 / LONG).min(1.0);
            self.mean += (latency - self.mean) * weight;
        }
        self.mean
    }
}

impl Gradient2 {
    /// Four calls of growth per window, latencies up to one and a half times the long mean taken for normal, and a fifth of each
    /// change made at a time. These are Netflix's.
    pub const fn new() -> Self {
        Self {
            queue: 4.0,
            tolerance: 1.5,
            smoothing: 0.2,
            long: LongMean {
                mean: 0.0,
                windows: 0.0,
            },
        }
    }

    /// Sets by how many calls the limit may grow per window, before smoothing; so many may be queued at the peer. Default: 4.
    #[must_use]
    pub fn queue(mut self, calls: u32) -> Self {
        self.queue = calls.into();
        self
    }

    /// Sets how many times the long mean is still normal. Default: 1.5.
    ///
    /// # Errors
    ///
    /// If it is not from 1 up to, but not including, 2: with half the limit the latency has to become normal.
    pub fn try_tolerance(mut self, factor: f64) -> Result<Self, ConfigError> {
        if !(1.0..2.0).contains(&factor) {
            return Err(ConfigError::new(
                "tolerance",
                factor,
                "a factor from 1 to less than 2",
            ));
        }
        self.tolerance = factor;
        Ok(self)
    }
}

impl Default for Gradient2 {
    fn default() -> Self {
        Self::new()
    }
}

impl Algorithm for Gradient2 {
    fn next(&mut self, limit: f64, window: &Window) -> f64 {
        let gradient = match seconds(window.latency) {
            None if !window.is_overloaded => return limit,
            None => 0.5,
            Some(latency) => {
                let long = self.long.add(latency, window.length);
                // After a long overload the mean would take its time to come down.
                if long > 2.0 * latency {
                    self.long.mean *= 0.9;
                }
                if window.is_overloaded {
                    0.5
                } else {
                    (self.tolerance * long / latency).clamp(0.5, 1.0)
                }
            }
        };
        limit + (limit * gradient + self.queue - limit) * self.smoothing
    }

    fn wants_probes(&self) -> bool {
        true
    }

    fn probed(&mut self, latency: Duration) {
        if let Some(latency) = seconds(Some(latency)) {
            // Even if there was a queue with half the limit, this is less of it: the tolerance is below the two that was divided by.
            self.long.mean = latency;
        }
    }
}

/// `None` if it is too short to divide by.
fn seconds(latency: Option<Duration>) -> Option<f64> {
    latency
        .map(|latency| latency.as_secs_f64())
        .filter(|&seconds| seconds > 0.0)
}
