//! What the service and its futures both need: the settings, and what all clones of one failover have in common.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bartizan_core::ConfigError;

use super::route::Route;

/// How a failover goes about it, whatever its targets are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) interval: Duration,
    pub(super) return_last_response: bool,
    pub(super) fail_back: Option<Duration>,
}

impl Settings {
    pub(super) const DEFAULT: Self = Self {
        interval: Duration::ZERO,
        return_last_response: false,
        fail_back: None,
    };

    /// What both builders check.
    pub(super) fn check(&self, targets: usize) -> Result<(), ConfigError> {
        if targets == 0 {
            return Err(ConfigError::new("targets", "[]", "at least one target"));
        }
        match self.fail_back {
            Some(Duration::ZERO) => Err(ConfigError::new(
                "fail_back",
                "0ns",
                "an interval longer than zero",
            )),
            _ => Ok(()),
        }
    }
}

/// What all clones of one failover share.
#[derive(Debug)]
pub(super) struct Shared<S, P> {
    pub(super) route: Arc<Route>,
    pub(super) policy: Arc<P>,
    pub(super) settings: Settings,
    /// Never called, only cloned. Behind a lock because a service need not be `Sync`; taken when a target fails, or changes.
    targets: Box<[Mutex<S>]>,
}

impl<S, P> Shared<S, P> {
    /// `targets` are as many as `route` has.
    pub(super) fn new(
        route: Arc<Route>,
        policy: Arc<P>,
        settings: Settings,
        targets: Vec<S>,
    ) -> Self {
        debug_assert_eq!(route.len(), targets.len());
        Self {
            route,
            policy,
            settings,
            targets: targets.into_iter().map(Mutex::new).collect(),
        }
    }
}

impl<S: Clone, P> Shared<S, P> {
    pub(super) fn service(&self, target: usize) -> S {
        self.targets[target]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
