//! The settings of a balancer.

use std::collections::HashSet;

use bartizan_core::ConfigError;

use super::{
    Balance, Endpoints, OnError, PeakEwma, ToHead,
    picker::Prepare,
    set::{Rules, Shared},
};
use crate::endpoint::Endpoint;

/// Collects the endpoints and settings of a [`Balance`].
#[derive(Debug)]
#[must_use = "it is `build` that makes the service"]
pub struct BalanceBuilder<S, P = PeakEwma, J = OnError> {
    members: Members<S>,
    picker: P,
    judge: J,
    rules: Rules,
}

/// What goes into the list of endpoints, checked when all is there.
#[derive(Debug)]
pub(super) struct Members<T> {
    pub(super) given: Vec<(Endpoint, T)>,
    pub(super) list: Option<Endpoints<T>>,
}

impl<T> Members<T> {
    pub(super) const fn new() -> Self {
        Self {
            given: Vec::new(),
            list: None,
        }
    }

    /// The list. One that came ready-made may be empty: it is there to change.
    pub(super) fn check(self) -> Result<Endpoints<T>, ConfigError> {
        let mut names = HashSet::new();
        for (i, (endpoint, _)) in self.given.iter().enumerate() {
            if !names.insert(endpoint.name()) {
                let (field, name) = (format!("endpoints[{i}]"), endpoint.name());
                return Err(ConfigError::new(field, name, "a name of its own for each"));
            }
        }
        match self.list {
            Some(list) => {
                for (endpoint, target) in self.given {
                    list.insert(endpoint, target);
                }
                Ok(list)
            }
            None if self.given.is_empty() => {
                Err(ConfigError::new("endpoints", "[]", "at least one endpoint"))
            }
            None if self.given.iter().all(|(e, _)| e.get_weight() == 0) => Err(ConfigError::new(
                "endpoints",
                "weights of 0",
                "an endpoint with a weight",
            )),
            None => Ok(self.given.into_iter().collect()),
        }
    }
}

/// What both builders say of the rules.
macro_rules! rule_methods {
    () => {
        /// Sets below which share of fit endpoints fitness counts no more, and all are used: then it is rather the check that is
        /// wrong, or the few fit ones would be overrun. From 0, which never panics and refuses calls when none is fit, to 1.
        /// Default: 0.5, where the fit ones would have to bear twice their load.
        pub const fn panic_threshold(mut self, share: f64) -> Self {
            self.rules.panic_threshold = share;
            self
        }

        /// Prefers the endpoints of this zone, as long as one of them is ready and not fewer of them are fit than the panic
        /// threshold says. Default: none.
        pub fn zone(mut self, zone: impl Into<String>) -> Self {
            self.rules.zone = Some(zone.into());
            self
        }

        /// Sets how long an endpoint that joins takes to get its full share. It begins with a tenth, so that it can fill its caches
        /// and pools first. The endpoints that are there from the beginning take theirs at once. Default: off, because most need
        /// it not.
        pub const fn slow_start(mut self, duration: std::time::Duration) -> Self {
            self.rules.slow_start = duration;
            self
        }

        /// Makes every pick by chance repeatable, for tests and simulations, at the cost of a lock.
        pub fn seed(mut self, seed: u64) -> Self {
            self.rules.random = crate::random::Random::seeded(seed);
            self
        }
    };
}

#[cfg(feature = "http")]
pub(super) use rule_methods;

pub(super) fn check_rules(rules: &Rules) -> Result<(), ConfigError> {
    if (0.0..=1.0).contains(&rules.panic_threshold) {
        Ok(())
    } else {
        Err(ConfigError::new(
            "panic_threshold",
            rules.panic_threshold,
            "a share from 0 to 1",
        ))
    }
}

impl<S> BalanceBuilder<S> {
    pub(super) fn new() -> Self {
        Self {
            members: Members::new(),
            picker: PeakEwma::new(),
            judge: OnError,
            rules: Rules::DEFAULT,
        }
    }
}

impl<S, P, J> BalanceBuilder<S, P, J> {
    /// Adds an endpoint.
    pub fn endpoint(mut self, endpoint: Endpoint, service: S) -> Self {
        self.members.given.push((endpoint, service));
        self
    }

    /// Follows a list that changes, to which endpoints given one by one are added. It may be empty.
    pub fn endpoints(mut self, endpoints: Endpoints<S>) -> Self {
        self.members.list = Some(endpoints);
        self
    }

    /// Sets who picks. Default: [`PeakEwma`], because it sees slow and failing endpoints by itself.
    pub fn picker<P2: Prepare>(self, picker: P2) -> BalanceBuilder<S, P2, J> {
        BalanceBuilder {
            members: self.members,
            picker,
            judge: self.judge,
            rules: self.rules,
        }
    }

    /// Sets what is a failure. Default: every error, and no response. Only pickers that measure care.
    pub fn classify<C>(self, classify: C) -> BalanceBuilder<S, P, ToHead<C>> {
        BalanceBuilder {
            members: self.members,
            picker: self.picker,
            judge: ToHead::new(classify),
            rules: self.rules,
        }
    }

    rule_methods!();

    /// The service.
    ///
    /// # Errors
    ///
    /// If there is no endpoint, none has a weight, two share a name, or the panic threshold is no share.
    pub fn build(self) -> Result<Balance<S, P, J>, ConfigError>
    where
        S: Clone + Send + Sync + 'static,
        P: Prepare + Send + Sync + 'static,
    {
        check_rules(&self.rules)?;
        let endpoints = self.members.check()?;
        let shared = Shared::follow(&endpoints, S::clone, self.picker, self.rules);
        Ok(Balance::new(shared, self.judge))
    }
}

#[cfg(feature = "http")]
impl<S, P, C> BalanceBuilder<S, P, ToHead<C>> {
    /// Counts a call as under way, and measures it, until its response body has ended, and not only until the head is there. For
    /// large or streamed bodies. The service's response body becomes a [`CompletionBody`](bartizan_core::CompletionBody).
    pub fn until_body_end(self) -> BalanceBuilder<S, P, super::ToBodyEnd<C>> {
        BalanceBuilder {
            members: self.members,
            picker: self.picker,
            judge: super::ToBodyEnd::of(self.judge),
            rules: self.rules,
        }
    }
}
