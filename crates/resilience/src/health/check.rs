//! How to check, and what came of it.

use std::{error::Error, sync::Arc, time::Duration};

use bartizan_core::{BoxError, ConfigError};
use tokio::sync::watch;
use tower_service::Service;

use crate::{endpoint::Endpoint, random::Random};

use super::{
    driver::{HealthDriver, Watched},
    state::{Health, Judge},
};

/// How endpoints are checked. Each has its own driver; the settings are shared by nothing but value. See the [module](super).
#[derive(Clone, Debug)]
pub struct HealthCheck {
    pub(super) settings: Settings,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    interval: Duration,
    jitter: f64,
    pub(super) timeout: Duration,
    up: u32,
    down: u32,
    initial: Health,
    random: Random,
}

impl Settings {
    const DEFAULT: Self = Self {
        interval: Duration::from_secs(10),
        jitter: 0.1,
        timeout: Duration::from_secs(5),
        up: 2,
        down: 3,
        initial: Health::Healthy,
        random: Random::THREAD,
    };

    /// How long before the first check.
    pub(super) fn first_wait(&self) -> Duration {
        scale(self.interval, self.jitter * self.random.unit())
    }

    /// How long between the end of one check and the next.
    pub(super) fn wait(&self) -> Duration {
        let factor = 1.0 + self.jitter * (2.0 * self.random.unit() - 1.0);
        scale(self.interval, factor)
    }
}

fn scale(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

/// Every 10 s; 3 failures take an endpoint down, and 2 passes bring it up.
impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            settings: Settings::DEFAULT,
        }
    }
}

impl HealthCheck {
    /// Starts with the defaults, which [`HealthCheckBuilder`] lists with their reasons.
    pub const fn builder() -> HealthCheckBuilder {
        HealthCheckBuilder {
            settings: Settings::DEFAULT,
        }
    }

    /// Checks `endpoint` by calls of `probe`, for as long as the driver is polled: spawn it. Dropping it stops the checks.
    ///
    /// A check has passed if the call answers, whatever it answers, and failed if it does not: by an error of its own or of its
    /// readiness, or by taking too long. Each check calls a new clone, so one that is spent does no harm.
    ///
    /// One check per endpoint: two would overrule each other.
    pub fn check<S>(&self, endpoint: &Endpoint, probe: S) -> (HealthDriver, HealthHandle)
    where
        S: Service<Endpoint> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
    {
        let Settings {
            up, down, initial, ..
        } = self.settings;
        let (state, changes) = watch::channel(HealthSnapshot {
            health: initial,
            checks: 0,
            against: 0,
            last_failure: None,
        });
        let watched = Watched::new(endpoint.clone(), Judge::new(up, down, initial), state);
        (
            HealthDriver::new(watched, probe, self.settings.clone()),
            HealthHandle {
                told: initial,
                changes,
            },
        )
    }
}

/// Collects the settings of a [`HealthCheck`].
#[derive(Clone, Debug)]
#[must_use = "it is `build` that makes the check"]
pub struct HealthCheckBuilder {
    settings: Settings,
}

impl HealthCheckBuilder {
    /// Sets how long to wait between the end of one check and the next. Default: 10 s, often enough to find a dead endpoint within
    /// half a minute, and seldom enough not to be load.
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.settings.interval = interval;
        self
    }

    /// Sets by which part of the interval a wait may be shorter or longer, from 0 to 1. Default: 0.1. Clients that were started
    /// together, and the endpoints of one client, are then not all at it in the same instant. The first check comes within that
    /// part of an interval.
    pub const fn jitter(mut self, jitter: f64) -> Self {
        self.settings.jitter = jitter;
        self
    }

    /// Sets how long a check may take, readiness included. Default: 5 s, as long as any other attempt may.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Sets how many checks in a row must pass for an unhealthy endpoint to be healthy. Default: 2. One may be luck.
    pub const fn up(mut self, checks: u32) -> Self {
        self.settings.up = checks;
        self
    }

    /// Sets how many checks in a row must fail for a healthy endpoint to be unhealthy. Default: 3. One may be a lost packet, and two
    /// the same.
    pub const fn down(mut self, checks: u32) -> Self {
        self.settings.down = checks;
        self
    }

    /// Sets what an endpoint is before it was checked often enough. Default: [`Health::Healthy`], so that a client can call from the
    /// start, and a check that is itself at fault is seen before it takes everything down.
    pub const fn initial(mut self, health: Health) -> Self {
        self.settings.initial = health;
        self
    }

    /// Makes the jitter repeatable, for tests: a sequence that follows from `seed`, and that all drivers draw from.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.random = Random::seeded(seed);
        self
    }

    /// The check.
    ///
    /// # Errors
    ///
    /// If the interval, the time limit or a threshold is 0, or the jitter is not from 0 to 1. The error names which.
    pub fn build(self) -> Result<HealthCheck, ConfigError> {
        let settings = self.settings;
        for (field, duration) in [
            ("interval", settings.interval),
            ("timeout", settings.timeout),
        ] {
            if duration.is_zero() {
                return Err(ConfigError::new(field, "0s", "a duration above zero"));
            }
        }
        for (field, threshold) in [("up", settings.up), ("down", settings.down)] {
            if threshold == 0 {
                return Err(ConfigError::new(field, 0, "at least 1"));
            }
        }
        if !(0.0..=1.0).contains(&settings.jitter) {
            return Err(ConfigError::new(
                "jitter",
                settings.jitter,
                "a number from 0 to 1",
            ));
        }
        Ok(HealthCheck { settings })
    }
}

/// How the checks of one endpoint stand.
#[derive(Clone, Debug)]
pub struct HealthSnapshot {
    pub(super) health: Health,
    pub(super) checks: u64,
    pub(super) against: u32,
    pub(super) last_failure: Option<Arc<dyn Error + Send + Sync>>,
}

impl HealthSnapshot {
    /// What the checks came to.
    pub const fn health(&self) -> Health {
        self.health
    }

    /// How many checks were made.
    pub const fn checks(&self) -> u64 {
        self.checks
    }

    /// How many checks in a row spoke against that, without being enough to change it.
    pub const fn against(&self) -> u32 {
        self.against
    }

    /// Why the last check that failed did, if one did.
    pub fn last_failure(&self) -> Option<&(dyn Error + 'static)> {
        self.last_failure.as_deref().map(|error| error as _)
    }
}

/// Reads the health of one endpoint, and waits for it to change. Clones wait independently.
#[derive(Clone, Debug)]
pub struct HealthHandle {
    /// The health that [`changed`](Self::changed) told last.
    told: Health,
    changes: watch::Receiver<HealthSnapshot>,
}

impl HealthHandle {
    /// The health, now, or as it was when the checks stopped.
    pub fn health(&self) -> Health {
        self.changes.borrow().health
    }

    /// How the checks stand.
    pub fn snapshot(&self) -> HealthSnapshot {
        self.changes.borrow().clone()
    }

    /// Whether the driver is gone, and with it the checks.
    pub fn is_stopped(&self) -> bool {
        self.changes.has_changed().is_err()
    }

    /// Waits until the health is another than this handle told last, at first the initial one, and tells it. `None` when the checks
    /// have stopped. What changed and changed back in between is not told. Dropping the future loses nothing.
    pub async fn changed(&mut self) -> Option<Health> {
        let told = self.told;
        let health = {
            let changed = self.changes.wait_for(|state| state.health != told).await;
            changed.ok()?.health
        };
        self.told = health;
        Some(health)
    }
}
