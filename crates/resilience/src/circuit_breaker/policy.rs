//! When a circuit opens, for how long, and what it takes to close it again.

use std::time::Duration;

use bartizan_core::ConfigError;

use super::state::Probing;
use crate::backoff::{Backoff, Jitter};

/// A share of the calls in the window, and how many there have to be for a share to mean anything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) ratio: f64,
    pub(super) min_calls: u64,
    /// Whether the share has to be more than the ratio, and not just as much.
    pub(super) is_strict: bool,
}

impl Share {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share needs no more precision"
    )]
    pub(super) fn is_reached(&self, part: u64, whole: u64) -> bool {
        let (share, ratio) = (part as f64, self.ratio * whole as f64);
        whole >= self.min_calls && (share > ratio || (share >= ratio && !self.is_strict))
    }

    fn check(&self, field: &str) -> Result<(), ConfigError> {
        let lowest_is_allowed = self.is_strict || self.ratio > 0.0;
        if !((0.0..=1.0).contains(&self.ratio) && lowest_is_allowed) {
            return Err(ConfigError::new(
                field,
                self.ratio,
                "a ratio above 0 and up to 1",
            ));
        }
        if self.min_calls == 0 {
            return Err(ConfigError::new(
                format!("{field} min_calls"),
                0,
                "at least 1",
            ));
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) failure_ratio: Option<Share>,
    pub(super) failures: Option<u64>,
    pub(super) consecutive: Option<u32>,
    pub(super) slow: Option<(Duration, Share)>,
    pub(super) window: Duration,
    pub(super) bucket: Duration,
    pub(super) open: Backoff,
    pub(super) probing: Probing,
    pub(super) fail_cancelled_after: Option<Duration>,
    pub(super) is_gate: bool,
}

impl Policy {
    pub(super) const fn new() -> Self {
        Self {
            failure_ratio: Some(Share {
                ratio: 0.5,
                min_calls: 20,
                is_strict: false,
            }),
            failures: None,
            consecutive: Some(7),
            slow: None,
            window: Duration::from_secs(60),
            bucket: Duration::from_secs(6),
            open: Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60))
                .jitter(Jitter::Equal),
            probing: Probing {
                probes: 1,
                successes: 1,
                longest_wait: Duration::from_secs(30),
            },
            fail_cancelled_after: Some(Duration::from_secs(5)),
            is_gate: false,
        }
    }

    /// Whether the time of a call matters.
    pub(super) const fn is_timed(&self) -> bool {
        self.slow.is_some() || self.fail_cancelled_after.is_some()
    }

    /// How many buckets cover the window.
    pub(super) fn buckets(&self) -> u32 {
        let buckets = self
            .window
            .as_nanos()
            .div_ceil(self.bucket.as_nanos().max(1));
        u32::try_from(buckets).unwrap_or(u32::MAX)
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let positive = |field: &str, value: u64| match value {
            0 => Err(ConfigError::new(field, value, "at least 1")),
            _ => Ok(()),
        };
        if let Some(share) = &self.failure_ratio {
            share.check("failure_ratio")?;
        }
        if let Some((limit, share)) = &self.slow {
            share.check("slow_ratio")?;
            if limit.is_zero() {
                return Err(ConfigError::new(
                    "slow_ratio limit",
                    "0ns",
                    "more than zero",
                ));
            }
        }
        positive("failures", self.failures.unwrap_or(1))?;
        positive("consecutive_failures", self.consecutive.unwrap_or(1).into())?;
        positive("probes", self.probing.probes.into())?;
        positive("successes", self.probing.successes.into())?;
        let rules = (self.failure_ratio.is_some(), self.failures.is_some());
        if rules == (false, false) && self.consecutive.is_none() && self.slow.is_none() {
            return Err(ConfigError::new(
                "rules",
                "[]",
                "at least one reason to open",
            ));
        }
        let window = format!("{:?}", self.window);
        if self.bucket < Duration::from_millis(1) {
            let bucket = format!("{:?}", self.bucket);
            return Err(ConfigError::new("bucket", bucket, "at least a millisecond"));
        }
        if self.window < self.bucket {
            let expected = format!(
                "a time that is not shorter than its bucket of {:?}",
                self.bucket
            );
            return Err(ConfigError::new("window", window, expected));
        }
        if self.buckets() > 1000 {
            return Err(ConfigError::new("window", window, "at most 1000 buckets"));
        }
        if self.probing.longest_wait.is_zero() {
            return Err(ConfigError::new(
                "longest_probe_wait",
                "0ns",
                "more than zero",
            ));
        }
        Ok(())
    }
}
