//! The layer and its settings.

use std::{marker::PhantomData, sync::Arc, time::Duration};

#[cfg(feature = "http")]
use bartizan_core::HttpClassify;
use bartizan_core::{ConfigError, Propagate};
use tower_layer::Layer;

use super::{
    AtHead, CircuitBreaker, CircuitBreakerHandle, OnError,
    core::{Core, Lane},
    policy::{Policy, Share},
};
use crate::{backoff::Backoff, stripes::Lanes};

/// Keeps calls from a peer that fails. See the [module](super).
#[derive(Debug)]
pub struct CircuitBreakerLayer<C = OnError, M = AtHead, R = Propagate> {
    lanes: Lanes<Lane<C>>,
    mode: PhantomData<M>,
    reject: R,
}

impl CircuitBreakerLayer {
    /// A breaker for any protocol, with all its defaults: errors are failures, and every response is a success.
    pub fn new() -> Self {
        Self::of(Policy::new(), OnError)
    }

    /// Starts with the defaults.
    pub const fn builder() -> CircuitBreakerBuilder {
        CircuitBreakerBuilder {
            policy: Policy::new(),
            classify: OnError,
            mode: PhantomData,
        }
    }

    /// A breaker as Ballerina's HTTP client has it: it opens when *more* than `failure_threshold` of the calls fail, out of at least 10
    /// in 60 s of 10 s buckets, for `reset_time`, and lets one call through to try.
    ///
    /// Two of its defects are left out: counts from before it opened do not count after it has closed, and a second call during the
    /// trial is refused and does not open it.
    #[cfg(feature = "http")]
    pub fn ballerina(
        failure_threshold: f64,
        reset_time: Duration,
    ) -> CircuitBreakerBuilder<HttpClassify, super::AtEnd> {
        let mut builder = Self::http();
        builder.policy.failure_ratio = Some(Share {
            ratio: failure_threshold,
            min_calls: 10,
            is_strict: true,
        });
        builder.policy.consecutive = None;
        builder.policy.bucket = Duration::from_secs(10);
        builder.policy.open = Backoff::constant(reset_time);
        builder
    }

    /// Starts with the defaults for HTTP: [`HttpClassify`] judges, and the end of the body has the last word.
    #[cfg(feature = "http")]
    pub fn http() -> CircuitBreakerBuilder<HttpClassify, super::AtEnd> {
        CircuitBreakerBuilder {
            policy: Policy::new(),
            classify: HttpClassify::new(),
            mode: PhantomData,
        }
    }
}

impl Default for CircuitBreakerLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<C, M> CircuitBreakerLayer<C, M> {
    fn of(policy: Policy, classify: C) -> Self {
        Self {
            lanes: Lanes::new(&Lane {
                core: Arc::new(Core::new(policy)),
                classify: Arc::new(classify),
            }),
            mode: PhantomData,
            reject: Propagate,
        }
    }
}

impl<C, M, R> CircuitBreakerLayer<C, M, R> {
    /// Reads the breaker, and overrules it.
    pub fn handle(&self) -> CircuitBreakerHandle {
        CircuitBreakerHandle::new(Arc::clone(&self.lanes.core))
    }
}

reject_methods!(
    CircuitBreakerLayer<C, M> { lanes, mode },
    "[`Rejection::into_response`](bartizan_core::Rejection::into_response) makes a 503 with `Retry-After`."
);

impl<C, M, R: Clone> Clone for CircuitBreakerLayer<C, M, R> {
    fn clone(&self) -> Self {
        Self {
            lanes: self.lanes.clone(),
            mode: PhantomData,
            reject: self.reject.clone(),
        }
    }
}

impl<S, C, M, R: Clone> Layer<S> for CircuitBreakerLayer<C, M, R> {
    type Service = CircuitBreaker<S, C, M, R>;

    fn layer(&self, inner: S) -> Self::Service {
        CircuitBreaker::new(inner, self.lanes.clone(), self.reject.clone())
    }
}

/// Collects the settings of a [`CircuitBreakerLayer`].
///
/// Any of the reasons to open is enough, and `None` turns one off.
#[derive(Clone, Debug)]
#[must_use = "it is `build` that makes the layer"]
pub struct CircuitBreakerBuilder<C = OnError, M = AtHead> {
    policy: Policy,
    classify: C,
    mode: PhantomData<M>,
}

impl<C, M> CircuitBreakerBuilder<C, M> {
    /// Opens when this share of the calls in the window failed or was throttled, out of at least so many calls. Default: 0.5 of 20: a
    /// peer that fails every other call is worse than none, and fewer calls are too few to tell.
    pub fn failure_ratio(mut self, ratio: impl Into<Option<(f64, u32)>>) -> Self {
        // Whether it is strict is a matter of the preset.
        let is_strict = self
            .policy
            .failure_ratio
            .is_some_and(|share| share.is_strict);
        self.policy.failure_ratio = ratio.into().map(|(ratio, min_calls)| Share {
            ratio,
            min_calls: min_calls.into(),
            is_strict,
        });
        self
    }

    /// Opens when so many calls in the window failed, however many did not. Default: off.
    pub fn failures(mut self, failures: impl Into<Option<u32>>) -> Self {
        self.policy.failures = failures.into().map(u64::from);
        self
    }

    /// Opens when so many calls in a row failed. Default: 7, for a peer that is down: nobody waits for the twentieth call.
    ///
    /// What was throttled neither adds to a run nor ends it.
    pub fn consecutive_failures(mut self, failures: impl Into<Option<u32>>) -> Self {
        self.policy.consecutive = failures.into();
        self
    }

    /// Opens when this share of the calls in the window took longer than `limit` to be answered, out of at least so many calls. Default:
    /// off, because only the user knows what is slow. A probe that is slow has failed.
    pub fn slow_ratio(mut self, limit: Duration, ratio: f64, min_calls: u32) -> Self {
        let share = Share {
            ratio,
            min_calls: min_calls.into(),
            is_strict: false,
        };
        self.policy.slow = Some((limit, share));
        self
    }

    /// Sets the window and how it is cut: what is older than `window` is forgotten, one `bucket` at a time. Default: 60 s, 6 s.
    pub const fn window(mut self, window: Duration, bucket: Duration) -> Self {
        self.policy.window = window;
        self.policy.bucket = bucket;
        self
    }

    /// Sets for how long it stays open; each time it opens anew without having closed is the next of these delays. Default: exponential
    /// from 1 s to 60 s with equal jitter: soon enough for a restart, and callers that saw the peer fail together do not all try together.
    pub fn open_time(mut self, open: Backoff) -> Self {
        self.policy.open = open;
        self
    }

    /// Sets how many calls are let through at a time when it is half open, and how many have to succeed for it to close. Default: 1
    /// and 1. The first that fails opens it.
    pub const fn probes(mut self, probes: u32, successes: u32) -> Self {
        self.policy.probing.probes = probes;
        self.policy.probing.successes = successes;
        self
    }

    /// Sets how long probes may take before others are let through in their place, so that probes that never end do not keep it
    /// half open for ever. Default: 30 s.
    pub const fn longest_probe_wait(mut self, wait: Duration) -> Self {
        self.policy.probing.longest_wait = wait;
        self
    }

    /// Counts a call as failed that its caller drops after it waited that long: a time limit *above* the breaker gave up on it. Calls
    /// dropped earlier count as cancelled, and say nothing. Default: 5 s, the default of an attempt's time limit.
    pub fn fail_cancelled_after(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.policy.fail_cancelled_after = limit.into();
        self
    }

    /// Makes `poll_ready` wait while no call would be let through, instead of refusing calls: for use below a balancer, which then picks
    /// another endpoint. A service that is ready keeps its place until it is called or dropped.
    pub const fn gate(mut self) -> Self {
        self.policy.is_gate = true;
        self
    }

    /// Sets what judges calls. Default: [`OnError`], or [`HttpClassify`](bartizan_core::HttpClassify) for HTTP.
    pub fn classify<C2>(self, classify: C2) -> CircuitBreakerBuilder<C2, M> {
        CircuitBreakerBuilder {
            policy: self.policy,
            classify,
            mode: self.mode,
        }
    }

    /// The layer, closed.
    ///
    /// # Errors
    ///
    /// If a ratio is not within 0 and 1, a count is zero, the window is shorter than its bucket or has more than 1000, or there is no
    /// reason to open at all.
    pub fn build(self) -> Result<CircuitBreakerLayer<C, M>, ConfigError> {
        self.policy.check()?;
        Ok(CircuitBreakerLayer::of(self.policy, self.classify))
    }
}
