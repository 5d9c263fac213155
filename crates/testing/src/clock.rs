//! Wall time that the test sets.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bartizan_core::Clock;

use crate::panics;

/// A [`Clock`] that stands still until it is told otherwise. Its clones show the same time.
///
/// ```
/// use bartizan_core::Clock;
/// use bartizan_testing::ManualClock;
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let given_away = clock.clone();
/// let before = given_away.now();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(given_away.now(), before + Duration::from_secs(60));
/// ```
///
/// It starts at the date that RFC 9110 section 5.6.7 writes out, so that a test can compare with a text:
///
/// ```
/// use bartizan_core::Clock;
/// use bartizan_testing::ManualClock;
/// use std::time::{Duration, SystemTime};
///
/// // Sun, 06 Nov 1994 08:49:37 GMT
/// let start = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
/// assert_eq!(ManualClock::new().now(), start);
/// assert_eq!(ManualClock::at(SystemTime::UNIX_EPOCH).now(), SystemTime::UNIX_EPOCH);
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<SystemTime>>);

impl ManualClock {
    /// A clock at Sun, 06 Nov 1994 08:49:37 GMT.
    pub fn new() -> Self {
        Self::at(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777))
    }

    /// A clock at `now`.
    pub fn at(now: SystemTime) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }

    /// Sets the time, backwards too: wall clocks do that.
    pub fn set(&self, now: SystemTime) {
        *panics::lock(&self.0) = now;
    }

    /// Moves the time on.
    ///
    /// # Panics
    ///
    /// If that is later than a [`SystemTime`] can be.
    pub fn advance(&self, by: Duration) {
        *panics::lock(&self.0) += by;
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        *panics::lock(&self.0)
    }
}
