//! The detector: what all layers of a set of endpoints share.

use std::{sync::Arc, time::Duration};

use bartizan_core::ConfigError;
use tokio::time::Instant;

use crate::endpoint::Endpoint;

use super::{
    driver::{OutlierDriver, OutlierWatch},
    layer::OutlierLayer,
    policy::{EjectionCause, FailurePercentage, Policy, SuccessRate},
    shared::Shared,
    state::Standing,
};
use crate::classify::{AtHead, OnError};

/// Compares the endpoints of one set, and ejects those that do badly. Clones are the same detector. See the [module](super).
#[derive(Clone, Debug)]
pub struct OutlierDetector {
    pub(super) shared: Arc<Shared>,
}

/// 5 failures in a row, or 1.9 deviations below the others.
impl Default for OutlierDetector {
    fn default() -> Self {
        Self::with(Policy::DEFAULT)
    }
}

impl OutlierDetector {
    /// Starts with the defaults, which [`OutlierDetectorBuilder`] lists with their reasons.
    pub const fn builder() -> OutlierDetectorBuilder {
        OutlierDetectorBuilder {
            policy: Policy::DEFAULT,
        }
    }

    fn with(policy: Policy) -> Self {
        Self {
            shared: Arc::new(Shared::new(policy, Instant::now())),
        }
    }

    /// A layer for the services of one endpoint, which it adds to the set. Every error fails, unless
    /// [`classify`](OutlierLayer::classify) says otherwise.
    ///
    /// The endpoint leaves the set, and is no longer ejected, when the last layer and service that was made for it is gone. A
    /// second layer for the same endpoint adds to the same counts. The same is the one itself, or a clone: one of that name is
    /// another, and so is what [`Endpoint::weight`] and [`Endpoint::zone`] make. An endpoint is for one detector.
    pub fn layer(&self, endpoint: &Endpoint) -> OutlierLayer<OnError, AtHead> {
        OutlierLayer::new(self.shared.join(endpoint), OnError)
    }

    /// The same for HTTP: judged by status, and at the end of the body, as [`HttpClassify`](bartizan_core::HttpClassify) does. The
    /// bodies of the responses become [`CompletionBody`](bartizan_core::CompletionBody)s around the inner ones.
    #[cfg(feature = "http")]
    pub fn http_layer(
        &self,
        endpoint: &Endpoint,
    ) -> OutlierLayer<bartizan_core::HttpClassify, super::AtEnd> {
        OutlierLayer::new(
            self.shared.join(endpoint),
            bartizan_core::HttpClassify::new(),
        )
    }

    /// A future that sweeps in time, for you to spawn. It ends when the detector, all its layers and their services are gone.
    ///
    /// Without it calls do the sweeps, and whoever picks endpoints has to keep polling some of their services. Dropping it stops
    /// nothing else.
    pub fn driver(&self) -> OutlierDriver {
        OutlierDriver::new(&self.shared)
    }

    /// How each endpoint stands, in no order. It takes the detector's lock and allocates: for status pages, not for each call.
    /// Whether one endpoint may be used is an atomic load: [`Endpoint::is_fit`].
    pub fn snapshot(&self) -> Vec<OutlierStatus> {
        self.shared.snapshot()
    }

    /// How many endpoints are ejected. One atomic load.
    pub fn ejected(&self) -> usize {
        self.shared.ejected()
    }

    /// Tells of every ejection and every return.
    pub fn watch(&self) -> OutlierWatch {
        OutlierWatch::new(self.clone())
    }

    /// Brings an endpoint back before its time, for whoever knows that it was mended. Says whether it was ejected. Its next ejection
    /// still lasts longer than this one.
    pub fn restore(&self, endpoint: &Endpoint) -> bool {
        self.shared.restore(endpoint)
    }

    /// Brings all endpoints back. Says whether any was ejected.
    pub fn restore_all(&self) -> bool {
        self.shared.restore_all()
    }
}

/// How an endpoint stands: one entry of a [`snapshot`](OutlierDetector::snapshot).
#[derive(Clone, Debug)]
pub struct OutlierStatus {
    endpoint: Endpoint,
    times: u32,
    ejected: Option<(EjectionCause, Duration)>,
}

impl OutlierStatus {
    pub(super) fn new(endpoint: Endpoint, standing: Standing, now: Instant) -> Self {
        let Standing { times, ejected } = standing;
        Self {
            endpoint,
            times,
            ejected: ejected.map(|(cause, until)| (cause, until.saturating_duration_since(now))),
        }
    }

    /// The endpoint.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether it is ejected.
    pub const fn is_ejected(&self) -> bool {
        self.ejected.is_some()
    }

    /// Why it is ejected, if it is.
    pub fn cause(&self) -> Option<EjectionCause> {
        self.ejected.map(|(cause, _)| cause)
    }

    /// How much longer it is ejected, if it is.
    pub fn remaining(&self) -> Option<Duration> {
        self.ejected.map(|(_, remaining)| remaining)
    }

    /// By how many ejections it is marked: each adds one, and each interval of service takes one away.
    pub const fn ejections(&self) -> u32 {
        self.times
    }
}

/// Collects the settings of an [`OutlierDetector`].
#[derive(Clone, Copy, Debug)]
#[must_use = "it is `build` that makes the detector"]
pub struct OutlierDetectorBuilder {
    policy: Policy,
}

impl OutlierDetectorBuilder {
    /// Sets how many failures in a row eject at once. `None` turns it off. Default: 5, which chance alone hardly ever makes.
    pub fn consecutive_failures(mut self, failures: impl Into<Option<u32>>) -> Self {
        self.policy.consecutive_failures = failures.into();
        self
    }

    /// Sets how far below the others is too far. `None` turns it off. Default: [`SuccessRate::default`].
    pub fn success_rate(mut self, policy: impl Into<Option<SuccessRate>>) -> Self {
        self.policy.success_rate = policy.into();
        self
    }

    /// Sets which share of failures is too much. Default: `None`. What makes most calls fail makes five in a row fail as well.
    pub fn failure_percentage(mut self, policy: impl Into<Option<FailurePercentage>>) -> Self {
        self.policy.failure_percentage = policy.into();
        self
    }

    /// Sets how far the sweeps are apart which compare endpoints. Default: 10 s. A shorter one needs more calls to have enough to
    /// compare; a longer one lets an outlier go on longer.
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.policy.interval = interval;
        self
    }

    /// Sets how long the first ejection lasts; the nth lasts n times as long. Default: 30 s, about what a restart takes.
    pub const fn base_ejection(mut self, base: Duration) -> Self {
        self.policy.base_ejection = base;
        self
    }

    /// Sets the longest ejection. Default: 300 s, or the base if that is longer. An endpoint that was mended is found out by
    /// nothing but being tried.
    pub const fn max_ejection(mut self, max: Duration) -> Self {
        self.policy.max_ejection = Some(max);
        self
    }

    /// Sets which share of the endpoints may be ejected at a time, from 1 to 100 percent; one always may. Default: 10. Where more
    /// than a few fail, the cause is likely to be common, and those that are left could not take the load.
    pub const fn max_ejected_percent(mut self, percent: u8) -> Self {
        self.policy.max_ejected_percent = percent;
        self
    }

    /// Counts a call as a failure that was dropped after it had waited so long for its response. Default: never, because a caller
    /// may go for reasons of its own, and the clock has to be looked at for every call.
    ///
    /// For a detector that stands below a timeout. Give it somewhat less than the timeout.
    pub const fn fail_cancelled_after(mut self, limit: Duration) -> Self {
        self.policy.cancelled_after = Some(limit);
        self
    }

    /// The detector, of no endpoints as yet.
    ///
    /// # Errors
    ///
    /// If a count or a duration is 0, a percentage is not from 1 to 100, the deviations are not a number above 0, or the longest
    /// ejection is shorter than the base. The error names which.
    pub fn build(self) -> Result<OutlierDetector, ConfigError> {
        self.policy.check()?;
        Ok(OutlierDetector::with(self.policy))
    }
}
