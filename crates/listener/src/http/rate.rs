//! The least speed at which bytes have to come, or be taken.

use std::time::Duration;

use bartizan_core::ConfigError;

/// The least speed of a body: so many bytes per second, and how long the peer may be slower than that.
///
/// Every peer begins with the whole time of grace. Waiting for it uses the time up; every byte gives back as much as a byte takes at
/// the least speed, up to the whole grace again. So a peer that is fast enough may still pause, but never longer than the grace, and
/// what it was ahead is not saved for later: one that has sent a megabyte at once has no right to an hour of silence.
///
/// ```
/// use bartizan_listener::MinRate;
/// use std::time::Duration;
///
/// let rate = MinRate::try_new(240, Duration::from_secs(30))?;
/// assert_eq!(rate, MinRate::default());
/// let error = MinRate::try_new(0, Duration::from_secs(30)).unwrap_err();
/// assert_eq!(error.to_string(), "invalid bytes_per_second `0`: expected at least 1");
/// # Ok::<_, bartizan_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinRate {
    bytes_per_second: u32,
    grace: Duration,
}

impl MinRate {
    /// So many bytes per second, after so long a grace.
    ///
    /// # Errors
    ///
    /// If either is zero: no limit is said by `None`, where a rate is set.
    pub fn try_new(bytes_per_second: u32, grace: Duration) -> Result<Self, ConfigError> {
        if bytes_per_second == 0 {
            return Err(ConfigError::new("bytes_per_second", 0, "at least 1"));
        }
        if grace.is_zero() {
            return Err(ConfigError::new("grace", "0s", "a time above zero"));
        }
        Ok(Self {
            bytes_per_second,
            grace: grace.min(super::FOREVER),
        })
    }

    /// The speed, in bytes per second.
    pub const fn bytes_per_second(self) -> u32 {
        self.bytes_per_second
    }

    /// How long the peer may be slower.
    pub const fn grace(self) -> Duration {
        self.grace
    }
}

/// 240 bytes per second, Kestrel's, after 30 s, which is hyper's patience with the head of a request. The slowest modem is faster, and
/// a phone that changes its cell is back by then.
impl Default for MinRate {
    fn default() -> Self {
        Self {
            bytes_per_second: 240,
            grace: Duration::from_secs(30),
        }
    }
}

/// How much longer a peer may be waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    rate: MinRate,
    left: Duration,
}

impl Allowance {
    pub(crate) const fn new(rate: MinRate) -> Self {
        Self {
            rate,
            left: rate.grace,
        }
    }

    /// Zero: the peer is too slow.
    pub(crate) const fn left(&self) -> Duration {
        self.left
    }

    /// The peer was waited for that long, and then `bytes` came.
    pub(crate) fn account(&mut self, waited: Duration, bytes: u64) {
        let earned = Duration::from_millis(
            bytes.saturating_mul(1000) / u64::from(self.rate.bytes_per_second),
        );
        let left = self.left.saturating_add(earned).saturating_sub(waited);
        self.left = left.min(self.rate.grace);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn allowance(rate: u32, grace: Duration) -> Allowance {
        Allowance::new(MinRate::try_new(rate, grace).expect("valid"))
    }

    #[test]
    fn silence_uses_the_grace_up() {
        let mut allowance = allowance(100, 5 * SECOND);
        allowance.account(4 * SECOND, 0);
        assert_eq!(allowance.left(), SECOND);
        allowance.account(2 * SECOND, 0);
        assert_eq!(allowance.left(), Duration::ZERO);
    }

    #[test]
    fn who_is_fast_enough_is_never_out_of_time_and_saves_nothing() {
        let mut allowance = allowance(100, 5 * SECOND);
        for _ in 0..1000 {
            allowance.account(SECOND, 100);
            assert_eq!(allowance.left(), 5 * SECOND);
        }
        allowance.account(SECOND, 1 << 40);
        assert_eq!(allowance.left(), 5 * SECOND);
    }

    #[test]
    fn a_byte_at_a_time_is_too_slow() {
        let mut allowance = allowance(100, 5 * SECOND);
        let mut waits = 0;
        while !allowance.left().is_zero() {
            allowance.account(SECOND, 1);
            waits += 1;
        }
        assert_eq!(waits, 6);
        allowance.account(SECOND, 0);
        assert_eq!(allowance.left(), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn is_never_more_than_the_grace(
            steps in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..50),
            rate in 1_u32..,
        ) {
            let mut allowance = allowance(rate, 5 * SECOND);
            for (waited, bytes) in steps {
                allowance.account(Duration::from_nanos(waited), bytes);
                prop_assert!(allowance.left() <= 5 * SECOND);
            }
        }
    }
}
