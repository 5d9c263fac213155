//! One place where a service can be reached, as balancers, detectors and health checks know it.
//!
//! Who finds an endpoint unfit says so here; who picks endpoints reads it here, at the cost of one atomic load. So ejection and health
//! checks know nothing of balancers, and a balancer knows nothing of either.
//!
//! ```
//! use bartizan_resilience::endpoint::{Endpoint, Unfit};
//!
//! let endpoint = Endpoint::new("10.0.0.1:80").weight(3).zone("eu-1");
//! let seen_by_the_balancer = endpoint.clone();
//! endpoint.set_unfit(Unfit::Ejected, true);
//! assert!(!seen_by_the_balancer.is_fit());
//!
//! // Each reason is lifted by whoever gave it.
//! endpoint.set_unfit(Unfit::Unhealthy, false);
//! assert!(!endpoint.is_fit());
//! endpoint.set_unfit(Unfit::Ejected, false);
//! assert!(endpoint.is_fit());
//! ```

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

/// A name, a weight, a zone, and whether it is fit to be picked. Clones are the same endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint(Arc<Inner>);

#[derive(Clone, Debug)]
struct Facts {
    name: String,
    weight: u32,
    zone: Option<String>,
}

#[derive(Debug)]
struct Inner {
    facts: Facts,
    /// One bit per [`Unfit`].
    unfit: AtomicU8,
}

/// Why an endpoint should not be picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unfit {
    /// Its results are bad: outlier ejection.
    Ejected,
    /// It does not answer its health check.
    Unhealthy,
    /// Somebody took it out by hand.
    Disabled,
}

impl Unfit {
    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Endpoint {
    /// An endpoint of weight 1 and no zone. The name tells it from the others: usually its address.
    pub fn new(name: impl Into<String>) -> Self {
        Self::of(Facts {
            name: name.into(),
            weight: 1,
            zone: None,
        })
    }

    fn of(facts: Facts) -> Self {
        Self(Arc::new(Inner {
            facts,
            unfit: AtomicU8::new(0),
        }))
    }

    /// Another endpoint, with this weight: its share of the load, relative to the others'. 0 gets none.
    #[must_use]
    pub fn weight(&self, weight: u32) -> Self {
        Self::of(Facts {
            weight,
            ..self.0.facts.clone()
        })
    }

    /// Another endpoint, in this zone.
    #[must_use]
    pub fn zone(&self, zone: impl Into<String>) -> Self {
        Self::of(Facts {
            zone: Some(zone.into()),
            ..self.0.facts.clone()
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.facts.name
    }

    /// Its share of the load, relative to the others'.
    pub fn get_weight(&self) -> u32 {
        self.0.facts.weight
    }

    /// Its zone, if it has one.
    pub fn get_zone(&self) -> Option<&str> {
        self.0.facts.zone.as_deref()
    }

    /// Whether the other is a clone of this one, and not just of the same name.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether nobody found it unfit.
    // Relaxed, as below: the byte guards no other memory.
    pub fn is_fit(&self) -> bool {
        self.0.unfit.load(Ordering::Relaxed) == 0
    }

    /// Whether it is unfit for that reason.
    pub fn is_unfit(&self, reason: Unfit) -> bool {
        self.0.unfit.load(Ordering::Relaxed) & reason.bit() != 0
    }

    /// Gives or lifts one reason. Says whether that changed it.
    pub fn set_unfit(&self, reason: Unfit, unfit: bool) -> bool {
        let before = if unfit {
            self.0.unfit.fetch_or(reason.bit(), Ordering::Relaxed)
        } else {
            self.0.unfit.fetch_and(!reason.bit(), Ordering::Relaxed)
        };
        (before & reason.bit() != 0) != unfit
    }
}
