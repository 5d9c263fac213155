//! What makes an endpoint an outlier, and for how long it is ejected.

use std::time::Duration;

use bartizan_core::ConfigError;

use super::state::Tally;

/// Why an endpoint was ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EjectionCause {
    /// So many calls failed in a row.
    ConsecutiveFailures,
    /// Its success rate was too far below that of the others.
    SuccessRate,
    /// Too many of its calls failed, whatever the others did.
    FailurePercentage,
}

impl EjectionCause {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive failures",
            Self::SuccessRate => "success rate",
            Self::FailurePercentage => "failure percentage",
        }
    }
}

/// Ejects by comparison: an endpoint whose success rate is further below the mean than so many standard deviations.
///
/// The mean and the deviation are taken over the endpoints that had enough calls since the last sweep, each counting the same.
/// Being relative, it finds the one replica that is worse than the rest at 2 % errors, and finds nobody when all are equally bad.
///
/// With n endpoints to compare, none can be further off than √(n − 1) deviations. So fewer than five never eject at 1.9.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SuccessRate {
    deviations: f64,
    min_endpoints: usize,
    min_requests: u64,
}

/// 1.9 deviations, among at least 5 endpoints with at least 100 calls each: Envoy's numbers.
impl Default for SuccessRate {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl SuccessRate {
    const DEFAULT: Self = Self {
        deviations: 1.9,
        min_endpoints: 5,
        min_requests: 100,
    };

    /// Sets how many standard deviations below the mean is too far. Default: 1.9, which in a normal distribution one in 35 is by
    /// chance; the maximum of ejections bounds what that can cost.
    #[must_use]
    pub const fn deviations(mut self, deviations: f64) -> Self {
        self.deviations = deviations;
        self
    }

    /// Sets how many endpoints there must be to compare. Default: 5, the fewest where one can be off by 1.9 deviations.
    #[must_use]
    pub const fn min_endpoints(mut self, endpoints: usize) -> Self {
        self.min_endpoints = endpoints;
        self
    }

    /// Sets how many calls an endpoint must have had since the last sweep. Default: 100, so that one failure is no more than 1 %.
    #[must_use]
    pub const fn min_requests(mut self, requests: u64) -> Self {
        self.min_requests = requests;
        self
    }

    fn check(&self) -> Result<(), ConfigError> {
        if !self.deviations.is_finite() || self.deviations <= 0.0 {
            return Err(ConfigError::new(
                "success_rate.deviations",
                self.deviations,
                "a finite number above 0",
            ));
        }
        check_volume("success_rate", self.min_endpoints, self.min_requests)
    }
}

/// Ejects by itself: an endpoint of whose calls since the last sweep this share or more failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailurePercentage {
    percent: u8,
    min_endpoints: usize,
    min_requests: u64,
}

/// 85 %, among at least 5 endpoints with at least 50 calls each: Envoy's numbers.
impl Default for FailurePercentage {
    fn default() -> Self {
        Self {
            percent: 85,
            min_endpoints: 5,
            min_requests: 50,
        }
    }
}

impl FailurePercentage {
    /// Sets the share of failures that is too many, from 1 to 100 percent. Default: 85, where it is of little use
    /// to anyone.
    #[must_use]
    pub const fn percent(mut self, percent: u8) -> Self {
        self.percent = percent;
        self
    }

    /// Sets how many endpoints with enough calls there must be. Default: 5. With fewer, ejecting one moves much load to the others.
    #[must_use]
    pub const fn min_endpoints(mut self, endpoints: usize) -> Self {
        self.min_endpoints = endpoints;
        self
    }

    /// Sets how many calls an endpoint must have had since the last sweep. Default: 50.
    #[must_use]
    pub const fn min_requests(mut self, requests: u64) -> Self {
        self.min_requests = requests;
        self
    }

    fn check(&self) -> Result<(), ConfigError> {
        check_percent("failure_percentage.percent", self.percent)?;
        check_volume("failure_percentage", self.min_endpoints, self.min_requests)
    }
}

fn check_percent(field: &str, percent: u8) -> Result<(), ConfigError> {
    match percent {
        1..=100 => Ok(()),
        _ => Err(ConfigError::new(
            field,
            percent,
            "a percentage from 1 to 100",
        )),
    }
}

fn check_volume(field: &str, endpoints: usize, requests: u64) -> Result<(), ConfigError> {
    for (name, value) in [
        (
            "min_endpoints",
            u64::try_from(endpoints).unwrap_or(u64::MAX),
        ),
        ("min_requests", requests),
    ] {
        if value == 0 {
            return Err(ConfigError::new(
                format!("{field}.{name}"),
                value,
                "at least 1",
            ));
        }
    }
    Ok(())
}

fn check_duration(field: &str, duration: Duration) -> Result<(), ConfigError> {
    match duration {
        Duration::ZERO => Err(ConfigError::new(field, "0s", "a duration above zero")),
        _ => Ok(()),
    }
}

/// All that a detector goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    pub(super) consecutive_failures: Option<u32>,
    pub(super) success_rate: Option<SuccessRate>,
    pub(super) failure_percentage: Option<FailurePercentage>,
    pub(super) interval: Duration,
    pub(super) base_ejection: Duration,
    /// As it was set; [`Policy::longest`] is what holds.
    pub(super) max_ejection: Option<Duration>,
    pub(super) max_ejected_percent: u8,
    pub(super) cancelled_after: Option<Duration>,
}

impl Policy {
    pub(super) const DEFAULT: Self = Self {
        consecutive_failures: Some(5),
        success_rate: Some(SuccessRate::DEFAULT),
        failure_percentage: None,
        interval: Duration::from_secs(10),
        base_ejection: Duration::from_secs(30),
        max_ejection: None,
        max_ejected_percent: 10,
        cancelled_after: None,
    };
    const DEFAULT_LONGEST: Duration = Duration::from_secs(300);

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.consecutive_failures == Some(0) {
            return Err(ConfigError::new(
                "consecutive_failures",
                0,
                "at least 1, or `None`",
            ));
        }
        self.success_rate
            .as_ref()
            .map_or(Ok(()), SuccessRate::check)?;
        self.failure_percentage
            .as_ref()
            .map_or(Ok(()), FailurePercentage::check)?;
        check_duration("interval", self.interval)?;
        check_duration("base_ejection", self.base_ejection)?;
        match self.max_ejection {
            Some(max) if max < self.base_ejection => Err(ConfigError::new(
                "max_ejection",
                format_args!("{max:?}"),
                format!("no less than the base of {:?}", self.base_ejection),
            )),
            _ => check_percent("max_ejected_percent", self.max_ejected_percent),
        }
    }

    fn longest(&self) -> Duration {
        self.max_ejection
            .unwrap_or(Self::DEFAULT_LONGEST)
            .max(self.base_ejection)
    }

    /// The count after another ejection. It stops where the time does, so that an endpoint which was bad for a day is forgiven as
    /// soon as one which was bad for an hour.
    pub(super) fn count_up(&self, times: u32) -> u32 {
        let enough = self
            .longest()
            .as_nanos()
            .div_ceil(self.base_ejection.as_nanos().max(1));
        times
            .saturating_add(1)
            .min(u32::try_from(enough).unwrap_or(u32::MAX))
    }

    /// How long the ejection of that count lasts.
    pub(super) fn ejection(&self, times: u32) -> Duration {
        self.base_ejection.saturating_mul(times).min(self.longest())
    }

    /// How many of so many may be ejected at a time.
    pub(super) fn most_ejected(&self, endpoints: usize) -> usize {
        (endpoints.saturating_mul(usize::from(self.max_ejected_percent)) / 100).max(1)
    }

    /// Who of these is an outlier: by their index, the worst first.
    pub(super) fn outliers(&self, tallies: &[(usize, Tally)]) -> Vec<(usize, EjectionCause)> {
        let mut outliers = Vec::new();
        if let Some(policy) = &self.success_rate {
            let rates = rates(tallies, policy.min_endpoints, policy.min_requests);
            let threshold = threshold(&rates, policy.deviations);
            outliers.extend(
                rates
                    .iter()
                    .filter(|(_, rate)| *rate < threshold)
                    .map(|&(i, _)| (i, EjectionCause::SuccessRate)),
            );
        }
        if let Some(policy) = &self.failure_percentage {
            let least = f64::from(100 - policy.percent) / 100.0;
            outliers.extend(
                rates(tallies, policy.min_endpoints, policy.min_requests)
                    .iter()
                    .filter(|(_, rate)| *rate <= least + ROUNDING)
                    .map(|&(i, _)| (i, EjectionCause::FailurePercentage)),
            );
        }
        outliers
    }
}

/// More than the error of the sums, and less than one failure in a billion calls.
const ROUNDING: f64 = 1e-9;

/// The success rates of those with enough calls, the worst first; none if those are too few.
fn rates(tallies: &[(usize, Tally)], endpoints: usize, requests: u64) -> Vec<(usize, f64)> {
    let mut rates: Vec<_> = tallies
        .iter()
        .filter(|(_, tally)| tally.total() >= requests)
        .map(|(i, tally)| (*i, tally.success_rate()))
        .collect();
    if rates.len() < endpoints {
        rates.clear();
    }
    rates.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    rates
}

#[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 endpoints")]
fn threshold(rates: &[(usize, f64)], deviations: f64) -> f64 {
    let n = rates.len().max(1) as f64;
    let mean = rates.iter().map(|(_, rate)| rate).sum::<f64>() / n;
    let variance = rates
        .iter()
        .map(|(_, rate)| (rate - mean).powi(2))
        .sum::<f64>()
        / n;
    // Where all are the same, none is below the mean, whatever the sum lost.
    mean - deviations * variance.sqrt() - ROUNDING
}
