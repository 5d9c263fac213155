//! The layer, its builder and its service.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bartizan_core::ConfigError;
use tower_layer::Layer;
use tower_service::Service;

use super::{Policy, Resend, RetryHandle, future::ResponseFuture, report::Counters};
use crate::{backoff::Backoff, budget::Budget, stripes::Lanes};

/// What all services of one layer share.
#[derive(Debug)]
pub(super) struct Common<P> {
    pub(super) policy: P,
    pub(super) settings: Settings,
    pub(super) budget: Option<Budget>,
    pub(super) counters: Arc<Counters>,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) attempts: u32,
    pub(super) backoff: Backoff,
    pub(super) max_retry_after: Duration,
}

/// What all clones of one service share.
#[derive(Debug)]
pub(super) struct Shared<S, P> {
    pub(super) common: Arc<Common<P>>,
    /// Never called, only cloned. Behind a lock because a service need not be `Sync`; taken when an attempt failed.
    spare: Mutex<S>,
}

impl<S: Clone, P> Shared<S, P> {
    pub(super) fn service(&self) -> S {
        self.spare
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Makes further attempts when one fails. See the [module](super).
///
/// All services that one layer makes share its budget and its counters.
#[derive(Debug)]
pub struct RetryLayer<P> {
    common: Arc<Common<P>>,
}

impl<P> RetryLayer<P> {
    /// Starts with 3 attempts, [`Backoff::exponential`] from 50 ms to 5 s with full jitter, and a [`Budget`] of its own.
    pub fn with_policy(policy: P) -> RetryLayerBuilder<P> {
        RetryLayerBuilder {
            policy,
            settings: Settings {
                attempts: 3,
                backoff: Backoff::exponential(Duration::from_millis(50), Duration::from_secs(5)),
                max_retry_after: Duration::from_secs(30),
            },
            budget: Some(Budget::new()),
            error: None,
        }
    }

    /// Reads what became of the calls of all services of this layer.
    pub fn handle(&self) -> RetryHandle {
        RetryHandle::new(Arc::clone(&self.common.counters))
    }

    /// The budget, unless there is none.
    pub fn budget(&self) -> Option<&Budget> {
        self.common.budget.as_ref()
    }
}

impl<P> Clone for RetryLayer<P> {
    fn clone(&self) -> Self {
        Self {
            common: Arc::clone(&self.common),
        }
    }
}

impl<S: Clone, P> Layer<S> for RetryLayer<P> {
    type Service = Retry<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry {
            lanes: Lanes::new(&Arc::new(Shared {
                common: Arc::clone(&self.common),
                spare: Mutex::new(inner.clone()),
            })),
            inner,
        }
    }
}

/// Collects the settings of a [`RetryLayer`].
#[derive(Debug)]
#[must_use = "it is `build` that makes the layer"]
pub struct RetryLayerBuilder<P> {
    pub(super) policy: P,
    settings: Settings,
    budget: Option<Budget>,
    /// The first thing that was wrong, for `build` to tell.
    pub(super) error: Option<ConfigError>,
}

impl<P> RetryLayerBuilder<P> {
    /// Sets how many attempts a call may make, the first included. Default: 3: a second for what was bad luck, and a third for the
    /// bad luck of that. Where three fail, a fourth does as well.
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.settings.attempts = attempts;
        self
    }

    /// Sets how long to wait before each further attempt. Default: [`Backoff::exponential`] from 50 ms to 5 s with full jitter:
    /// about as long as a connection takes to be made anew, and, at the far end, a restart.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// Sets the longest `Retry-After` that is waited for. A peer that asks for more gets no retry at all, as one that comes early is
    /// one it did not want. Default: 30 s, as hardly a caller is there after that.
    pub const fn max_retry_after(mut self, longest: Duration) -> Self {
        self.settings.max_retry_after = longest;
        self
    }

    /// Sets the budget. Clones of one share it, over as many layers as they are given to. Default: [`Budget::new`], for all services
    /// of this layer.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Retries without a budget. When everything fails, the load is as many times as high as there are attempts.
    pub fn no_budget(mut self) -> Self {
        self.budget = None;
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// If there is no attempt, or a setting of the policy was wrong.
    pub fn build(self) -> Result<RetryLayer<P>, ConfigError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.settings.attempts == 0 {
            return Err(ConfigError::new(
                "attempts",
                0,
                "at least 1, which is the first",
            ));
        }
        Ok(RetryLayer {
            common: Arc::new(Common {
                policy: self.policy,
                settings: self.settings,
                budget: self.budget,
                counters: Arc::default(),
            }),
        })
    }

    #[cfg(feature = "http")]
    pub(super) fn map_policy<T>(self, map: impl FnOnce(P) -> T) -> RetryLayerBuilder<T> {
        RetryLayerBuilder {
            policy: map(self.policy),
            settings: self.settings,
            budget: self.budget,
            error: self.error,
        }
    }
}

/// Makes further attempts when one fails. See the [module](super).
#[derive(Debug)]
pub struct Retry<S, P> {
    inner: S,
    lanes: Lanes<Arc<Shared<S, P>>>,
}

inner_accessors!(Retry<S, P>);

impl<S, P> Retry<S, P> {
    /// Reads what became of the calls of all services of the layer that made this one.
    pub fn handle(&self) -> RetryHandle {
        RetryHandle::new(Arc::clone(&self.lanes.common.counters))
    }
}

impl<S: Clone, P> Clone for Retry<S, P> {
    fn clone(&self) -> Self {
        Self {
            // A clone of what is ready is not: that is the inner service's to see to.
            inner: self.inner.clone(),
            lanes: self.lanes.clone(),
        }
    }
}

impl<S, P, Req> Service<Req> for Retry<S, P>
where
    P: Resend<Req>,
    P: Policy<
            Req,
            <S as Service<<P as Resend<Req>>::Sent>>::Response,
            <S as Service<<P as Resend<Req>>::Sent>>::Error,
        >,
    S: Service<<P as Resend<Req>>::Sent> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, P, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        ResponseFuture::new(self.lanes.hold(), &mut self.inner, request)
    }
}
