//! How long to wait before the next try.
//!
//! What retries, circuit breakers and health checks share. The delays are pure arithmetic on what came before; sleeping is up to who
//! asks.
//!
//! ```
//! use bartizan_resilience::backoff::{Backoff, Jitter};
//! use std::time::Duration;
//!
//! let backoff = Backoff::exponential(Duration::from_millis(50), Duration::from_millis(150)).jitter(Jitter::None);
//! let delays: Vec<_> = backoff.delays().take(4).map(|delay| delay.as_millis()).collect();
//! assert_eq!(delays, [50, 100, 150, 150]);
//! ```
//!
//! Jitter spreads the callers that failed together, and is on unless it is turned off:
//!
//! ```
//! use bartizan_resilience::backoff::Backoff;
//! use std::time::Duration;
//!
//! let backoff = Backoff::exponential(Duration::from_millis(50), Duration::from_secs(5));
//! for (n, delay) in backoff.delays().take(8).enumerate() {
//!     assert!(delay <= Duration::from_millis(50) * 2_u32.pow(n as u32));
//! }
//! ```

use std::time::Duration;

use bartizan_core::ConfigError;

use crate::random::Random;

/// How a delay is made random.
///
/// The names and formulas are those of "Exponential Backoff And Jitter" (Brooker, AWS Architecture Blog, 2015).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Jitter {
    /// Not at all. Callers that failed together try again together.
    None,
    /// From zero to the whole delay, evenly. It spreads best.
    #[default]
    Full,
    /// Half of the delay, and up to the other half. It never comes back at once.
    Equal,
    /// From the base to three times the last delay, within the cap. The factor has no effect.
    Decorrelated,
}

/// A sequence of delays: how it begins, how it grows, where it ends, and how it is spread.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    factor: f64,
    max: Duration,
    jitter: Jitter,
    random: Random,
}

impl Backoff {
    /// The same delay every time, without jitter.
    pub const fn constant(delay: Duration) -> Self {
        Self {
            base: delay,
            factor: 1.0,
            max: delay,
            jitter: Jitter::None,
            random: Random::THREAD,
        }
    }

    /// Begins with `base` and doubles up to `max`, with [`Jitter::Full`].
    pub const fn exponential(base: Duration, max: Duration) -> Self {
        Self {
            base,
            factor: 2.0,
            max,
            jitter: Jitter::Full,
            random: Random::THREAD,
        }
    }

    /// Sets by how much each delay is longer than the one before. Default: 2, or 1 for a constant one.
    ///
    /// # Errors
    ///
    /// If it is below 1 or not finite.
    pub fn try_factor(mut self, factor: f64) -> Result<Self, ConfigError> {
        if !(1.0..f64::INFINITY).contains(&factor) {
            return Err(ConfigError::new(
                "factor",
                factor,
                "a finite number of at least 1",
            ));
        }
        self.factor = factor;
        Ok(self)
    }

    /// Sets how delays are made random.
    #[must_use]
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// Makes the jitter repeatable, for tests: a sequence that follows from `seed`, and that all clones draw from.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.random = Random::seeded(seed);
        self
    }

    /// The delays of one series of tries. They never end.
    pub fn delays(&self) -> Delays {
        Delays {
            backoff: self.clone(),
            tries: 0,
            last: self.base,
        }
    }

    /// The delay of the `n`th wait, counted from 0, which follows one of `last` (ignored at the first).
    pub(crate) fn delay(&self, n: u32, last: Duration) -> Duration {
        let exponent = i32::try_from(n).unwrap_or(i32::MAX);
        let unjittered = scale(self.base, self.factor.powi(exponent)).min(self.max);
        let unit = self.random.unit();
        match self.jitter {
            Jitter::None => unjittered,
            Jitter::Full => scale(unjittered, unit),
            Jitter::Equal => unjittered / 2 + scale(unjittered / 2, unit),
            Jitter::Decorrelated => {
                let last = if n == 0 { self.base } else { last };
                let range = last.saturating_mul(3).saturating_sub(self.base);
                self.base.saturating_add(scale(range, unit)).min(self.max)
            }
        }
    }
}

/// The delays of one series of tries, by [`Backoff::delays`].
#[derive(Clone, Debug)]
pub struct Delays {
    backoff: Backoff,
    tries: u32,
    last: Duration,
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.last = self.backoff.delay(self.tries, self.last);
        self.tries = self.tries.saturating_add(1);
        Some(self.last)
    }
}

/// `duration` times `factor`, or the longest there is.
fn scale(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn of(jitter: Jitter) -> Backoff {
        Backoff::exponential(MS(100), MS(1000))
            .jitter(jitter)
            .seed(7)
    }

    #[test]
    fn grows_to_the_cap_and_stays_there() {
        let delays: Vec<_> = of(Jitter::None).delays().take(6).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1000, 1000].map(MS));
        // Far out, nothing overflows.
        assert_eq!(of(Jitter::None).delay(u32::MAX, MS(0)), MS(1000));
    }

    #[test]
    fn jitter_stays_within_its_bounds_and_uses_them() {
        for (jitter, low, high) in [
            (Jitter::Full, 0, 1000),
            (Jitter::Equal, 500, 1000),
            (Jitter::Decorrelated, 100, 1000),
        ] {
            let backoff = of(jitter);
            let delays: Vec<_> = backoff.delays().skip(4).take(1000).collect();
            assert!(
                delays
                    .iter()
                    .all(|&delay| MS(low) <= delay && delay <= MS(high)),
                "{jitter:?}"
            );
            let (min, max) = (delays.iter().min(), delays.iter().max());
            let spread = *max.expect("some") - *min.expect("some");
            assert!(
                spread > MS((high - low) * 9 / 10),
                "{jitter:?} spreads over {spread:?}"
            );
        }
    }

    #[test]
    fn no_two_series_repeat_each_other() {
        let backoff = of(Jitter::Full);
        let series = || backoff.delays().take(4).collect::<Vec<_>>();
        assert_ne!(series(), series());
        let unseeded = Backoff::exponential(MS(100), MS(1000));
        let series = || unseeded.delays().take(4).collect::<Vec<_>>();
        assert_ne!(series(), series());
    }

    #[test]
    fn a_factor_below_one_or_not_finite_is_refused() {
        for factor in [0.5, -1.0, f64::NAN, f64::INFINITY] {
            let error = Backoff::constant(MS(1))
                .try_factor(factor)
                .expect_err("refused");
            assert_eq!(error.field(), "factor");
        }
    }
}
