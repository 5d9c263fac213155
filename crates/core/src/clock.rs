//! Wall time, behind a trait so that a test can set it.

use std::{fmt, sync::Arc, time::SystemTime};

/// Tells the time of day.
///
/// Only for what is written down as a date: `Retry-After`, cookies, freshness, certificates. Durations are measured with
/// `tokio::time::Instant`, which never jumps and can be paused.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use bartizan_core::Clock;
///
/// // A function is a clock too.
/// let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(43_200);
/// let clock = move || noon;
/// assert_eq!(Clock::now(&clock), noon);
/// ```
pub trait Clock: Send + Sync {
    /// The time of day, now.
    fn now(&self) -> SystemTime;
}

/// The machine's own clock, and the default wherever a [`Clock`] is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads it"
    )]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

impl<F> Clock for F
where
    F: Fn() -> SystemTime + Send + Sync,
{
    fn now(&self) -> SystemTime {
        self()
    }
}

/// A [`Clock`] of any type, cheap to clone.
#[derive(Clone)]
pub(crate) struct SharedClock(Arc<dyn Clock>);

impl SharedClock {
    pub(crate) fn new(clock: impl Clock + 'static) -> Self {
        Self(Arc::new(clock))
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.0.now()
    }
}

impl fmt::Debug for SharedClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedClock").finish_non_exhaustive()
    }
}
