//! How many calls in which time, and the arithmetic that holds them to it.

use std::time::Duration;

use bartizan_core::ConfigError;

/// The shortest time between two calls of a steady stream, in nanoseconds: times are rounded up to whole ones, which this keeps
/// below a hundredth.
const SHORTEST_INTERVAL: u64 = 100;
/// The longest time in which a quota fills up, in nanoseconds: some 146 years, so that no sum overflows.
const LONGEST_FILL: u64 = u64::MAX / 4;

/// How many calls are let through in which time.
///
/// The calls of one period may come at once, unless [`try_burst`](Self::try_burst) allows fewer, or more; from then on one is let
/// through whenever the time for one has passed. It is not a window that begins anew all at once: no two bursts meet at its border.
///
/// ```
/// use bartizan_resilience::rate_limit::Quota;
/// use std::time::Duration;
///
/// let quota = Quota::try_new(60, Duration::from_secs(60))?.try_burst(5)?;
/// assert_eq!(quota.interval(), Duration::from_secs(1));
///
/// let error = Quota::try_new(0, Duration::from_secs(1)).unwrap_err();
/// assert_eq!(error.to_string(), "invalid limit `0`: expected at least 1");
/// # Ok::<(), bartizan_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    limit: u32,
    per: Duration,
    burst: u32,
    /// Of one call, in nanoseconds.
    interval: u64,
}

impl Quota {
    /// `limit` calls in each period of `per`, all of which may come at once.
    ///
    /// # Errors
    ///
    /// If `limit` is 0, if that is more than ten million per second, or less than one in some 146 years divided by `limit`.
    pub fn try_new(limit: u32, per: Duration) -> Result<Self, ConfigError> {
        if limit == 0 {
            return Err(ConfigError::new("limit", limit, "at least 1"));
        }
        // Rounded up, so that the rate is never more than was asked for.
        let interval = per.as_nanos().div_ceil(limit.into());
        let interval = u64::try_from(interval)
            .ok()
            .filter(|&interval| interval <= LONGEST_FILL)
            .filter(|_| per.as_nanos() >= u128::from(SHORTEST_INTERVAL) * u128::from(limit))
            .ok_or_else(|| {
                ConfigError::new(
                    "per",
                    format_args!("{per:?}"),
                    format!("at least 100 ns, and at most 146 years, for each of {limit} calls"),
                )
            })?;
        Self {
            limit,
            per,
            burst: limit,
            interval,
        }
        .try_burst(limit)
    }

    /// `limit` calls per second.
    ///
    /// # Errors
    ///
    /// If `limit` is 0, or more than ten million.
    pub fn try_per_second(limit: u32) -> Result<Self, ConfigError> {
        Self::try_new(limit, Duration::from_secs(1))
    }

    /// Sets how many calls may come at once after a quiet time. Default: those of one period.
    ///
    /// # Errors
    ///
    /// If it is 0, or so many that it would take more than 146 years to let them through one by one.
    pub fn try_burst(mut self, burst: u32) -> Result<Self, ConfigError> {
        if burst == 0 {
            return Err(ConfigError::new("burst", burst, "at least 1"));
        }
        let fill = self.interval.checked_mul(burst.into());
        if fill.is_none_or(|fill| fill > LONGEST_FILL) {
            return Err(ConfigError::new(
                "burst",
                burst,
                "so many calls that one by one they take at most 146 years",
            ));
        }
        self.burst = burst;
        Ok(self)
    }

    /// How many calls in each period.
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// The period.
    pub const fn per(&self) -> Duration {
        self.per
    }

    /// How many calls may come at once.
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// The time between two calls of a steady stream: the period divided by the limit, rounded up to nanoseconds.
    pub const fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// Decides on one call by the generic cell rate algorithm (ITU-T I.371), whose whole state is one number: the *theoretical
    /// arrival time*, until which the quota is used up if calls come at its rate. Answers the decision, and the new state if it
    /// changes.
    ///
    /// For those who write a [`Store`](super::Store). Times are nanoseconds of any clock, the same for all who share the state,
    /// which begins as 0. `longest_wait` is zero where nobody waits.
    ///
    /// ```
    /// use bartizan_resilience::rate_limit::Quota;
    /// use std::time::Duration;
    ///
    /// let quota = Quota::try_per_second(10)?.try_burst(1)?;
    /// let now = 1_000_000_000;
    /// let (decision, state) = quota.decide(0, now, Duration::ZERO);
    /// assert!(decision.is_admitted());
    ///
    /// let (decision, unchanged) = quota.decide(state.unwrap(), now, Duration::ZERO);
    /// assert_eq!(decision.retry_after(), Some(Duration::from_millis(100)));
    /// assert_eq!(unchanged, None);
    /// # Ok::<(), bartizan_core::ConfigError>(())
    /// ```
    pub fn decide(
        &self,
        arrival: u64,
        now: u64,
        longest_wait: Duration,
    ) -> (Decision, Option<u64>) {
        self.decide_nanos(arrival, now, nanos(longest_wait))
    }

    /// Without conversions and divisions: those are for who asks the decision.
    pub(super) fn decide_nanos(
        &self,
        arrival: u64,
        now: u64,
        longest_wait: u64,
    ) -> (Decision, Option<u64>) {
        let base = arrival.max(now);
        let next = base.saturating_add(self.interval);
        let latest = now.saturating_add(self.interval * u64::from(self.burst));
        // By so much the call is too early.
        let wait = next.saturating_sub(latest);
        if wait > longest_wait {
            let decision = Decision {
                wait: wait - longest_wait,
                is_refused: true,
                spare: 0,
                interval: self.interval,
                full_after: base - now,
            };
            return (decision, None);
        }
        let decision = Decision {
            wait,
            is_refused: false,
            spare: latest.saturating_sub(next),
            interval: self.interval,
            full_after: next - now,
        };
        (decision, Some(next))
    }

    /// How much is left, without taking any.
    pub(super) fn peek(&self, arrival: u64, now: u64) -> (u32, Duration) {
        let base = arrival.max(now);
        let latest = now.saturating_add(self.interval * u64::from(self.burst));
        let remaining = latest.saturating_sub(base) / self.interval;
        (
            u32::try_from(remaining).unwrap_or(u32::MAX),
            Duration::from_nanos(base - now),
        )
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What a rate limit says of one call.
#[derive(Clone, Copy, Debug)]
pub struct Decision {
    /// In nanoseconds, as the others. Of a call that is refused: until it would not be.
    wait: u64,
    is_refused: bool,
    /// How many intervals fit into it is how many calls more could come.
    spare: u64,
    interval: u64,
    full_after: u64,
}

impl Decision {
    /// The call is let through after `wait`, `remaining` more could come right after it, and if none does the quota is full again
    /// after `full_after`.
    pub fn admit(wait: Duration, remaining: u32, full_after: Duration) -> Self {
        Self {
            wait: nanos(wait),
            is_refused: false,
            spare: remaining.into(),
            interval: 1,
            full_after: nanos(full_after),
        }
    }

    /// The call is refused until `retry_after` has passed, and if none comes the quota is full again after `full_after`.
    pub fn refuse(retry_after: Duration, full_after: Duration) -> Self {
        Self {
            wait: nanos(retry_after),
            is_refused: true,
            spare: 0,
            interval: 1,
            full_after: nanos(full_after),
        }
    }

    /// Whether the call is let through, now or after its [`wait`](Self::wait).
    pub const fn is_admitted(&self) -> bool {
        !self.is_refused
    }

    /// How long the call has to wait for its turn. Zero if it is refused.
    pub const fn wait(&self) -> Duration {
        Duration::from_nanos(if self.is_refused { 0 } else { self.wait })
    }

    /// How many calls more could come at once.
    pub fn remaining(&self) -> u32 {
        u32::try_from(self.spare / self.interval).unwrap_or(u32::MAX)
    }

    /// After how long the quota is full again, if no call comes.
    pub const fn full_after(&self) -> Duration {
        Duration::from_nanos(self.full_after)
    }

    /// After how long a refused call would be let through, or be let wait.
    pub const fn retry_after(&self) -> Option<Duration> {
        if self.is_refused {
            Some(Duration::from_nanos(self.wait))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_cannot_be_is_refused() {
        for (limit, per, field) in [
            (0, Duration::from_secs(1), "limit"),
            (1, Duration::ZERO, "per"),
            (1, Duration::MAX, "per"),
            (10_000_001, Duration::from_secs(1), "per"),
        ] {
            let error = Quota::try_new(limit, per).expect_err("refused");
            assert_eq!(error.field(), field, "{limit} per {per:?}");
        }
        assert!(Quota::try_per_second(10_000_000).is_ok());
        let slow = Quota::try_new(1, Duration::from_nanos(LONGEST_FILL)).expect("slow");
        assert_eq!(slow.try_burst(2).expect_err("too slow").field(), "burst");
        assert_eq!(slow.try_burst(0).expect_err("none").field(), "burst");
    }

    #[test]
    fn no_time_overflows() {
        let quota = Quota::try_new(1, Duration::from_nanos(LONGEST_FILL)).expect("slow");
        let (decision, next) = quota.decide(u64::MAX, u64::MAX, Duration::MAX);
        assert!(decision.is_admitted());
        assert_eq!(next, Some(u64::MAX));
        let (decision, next) = quota.decide(u64::MAX, 0, Duration::ZERO);
        assert!(!decision.is_admitted() && next.is_none());
    }

    /// A bucket that leaks, in whole nanoseconds: the algorithm as everybody explains it.
    struct Bucket {
        /// How full it is: each call adds `interval`, and each nanosecond takes one away.
        level: u64,
        at: u64,
    }

    impl Bucket {
        fn call(&mut self, quota: &Quota, now: u64, longest_wait: u64) -> Result<(u64, u32), u64> {
            self.level = self.level.saturating_sub(now - self.at);
            self.at = now;
            let size = quota.interval * u64::from(quota.burst);
            let over = (self.level + quota.interval).saturating_sub(size);
            if over > longest_wait {
                return Err(over - longest_wait);
            }
            self.level += quota.interval;
            let mut remaining = 0;
            while self.level + quota.interval * u64::from(remaining + 1) <= size {
                remaining += 1;
            }
            Ok((over, remaining))
        }
    }

    proptest! {
        #[test]
        fn it_decides_as_a_leaky_bucket_does(
            limit in 1_u32..50,
            per in 1_u64..2_000_000,
            burst in 1_u32..20,
            longest_wait in prop_oneof![Just(0), 0_u64..3_000_000],
            steps in prop::collection::vec(prop_oneof![Just(0), 0_u64..2_000_000], 1..200),
        ) {
            let per = Duration::from_nanos(per * 100 * u64::from(limit) / 50 + 5000);
            let quota = Quota::try_new(limit, per).expect("valid").try_burst(burst).expect("valid");
            let (mut state, mut now) = (0, 7);
            let mut bucket = Bucket { level: 0, at: now };
            for step in steps {
                now += step;
                let (decision, next) = quota.decide(state, now, Duration::from_nanos(longest_wait));
                prop_assert_eq!(next.is_some(), decision.is_admitted());
                match bucket.call(&quota, now, longest_wait) {
                    Ok((wait, remaining)) => {
                        prop_assert!(decision.is_admitted());
                        prop_assert_eq!(decision.wait(), Duration::from_nanos(wait));
                        prop_assert_eq!(decision.remaining(), remaining);
                        prop_assert_eq!(decision.full_after(), Duration::from_nanos(bucket.level));
                    }
                    Err(retry) => {
                        prop_assert_eq!(decision.retry_after(), Some(Duration::from_nanos(retry)));
                        // The delay is exact: a nanosecond less is too early.
                        let wait = Duration::from_nanos(longest_wait);
                        prop_assert!(!quota.decide(state, now + retry - 1, wait).0.is_admitted());
                        prop_assert!(quota.decide(state, now + retry, wait).0.is_admitted());
                    }
                }
                state = next.unwrap_or(state);
            }
        }

        #[test]
        fn no_span_of_time_gets_more_than_its_burst_and_its_share(
            limit in 1_u32..50,
            burst in 1_u32..20,
            steps in prop::collection::vec(0_u64..5_000_000, 1..300),
        ) {
            let quota = Quota::try_new(limit, Duration::from_millis(20)).expect("valid")
                .try_burst(burst).expect("valid");
            let (mut state, mut now) = (0, 0);
            let mut admitted: Vec<u64> = Vec::new();
            for step in steps {
                now += step;
                let (decision, next) = quota.decide(state, now, Duration::ZERO);
                if decision.is_admitted() {
                    admitted.push(now);
                }
                state = next.unwrap_or(state);
            }
            for (i, first) in admitted.iter().enumerate() {
                for (j, last) in admitted.iter().enumerate().skip(i) {
                    let most = u64::from(burst) + (last - first) / quota.interval;
                    prop_assert!((j - i + 1) as u64 <= most);
                }
            }
        }
    }
}
