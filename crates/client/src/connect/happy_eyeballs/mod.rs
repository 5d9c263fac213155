//! Several addresses, one connection (RFC 8305).

mod race;
mod schedule;

use std::time::Duration;

use bartizan_core::ConfigError;

pub use self::race::Attempts;
pub(crate) use self::race::race;

/// How the addresses of a host are tried: Happy Eyeballs version 2 (RFC 8305).
///
/// They are tried one after the other, families taking turns, each a little after the one before, which goes on meanwhile. A failure
/// starts the next at once. The first connection wins, and the others are dropped. Which family begins: that of the first address, if the
/// resolver gives all of them at once; IPv6, if it gives the families one by one.
///
/// Of one host, 64 addresses are tried at most.
///
/// ```
/// use bartizan_client::connect::{HappyEyeballs, SocketConnector};
/// use std::time::Duration;
///
/// // Where every address is near, 100 ms tell enough.
/// let near = HappyEyeballs::new().try_attempt_delay(Duration::from_millis(100))?;
/// let connector = SocketConnector::new().happy_eyeballs(near);
///
/// let error = HappyEyeballs::new().try_attempt_delay(Duration::ZERO).unwrap_err();
/// assert_eq!(error.to_string(), "invalid attempt_delay `0ns`: expected from 10 ms to 2 s");
/// # Ok::<_, bartizan_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HappyEyeballs {
    attempt_delay: Duration,
    resolution_delay: Duration,
}

impl HappyEyeballs {
    /// With the delays that the RFC recommends.
    pub const fn new() -> Self {
        Self {
            attempt_delay: Duration::from_millis(250),
            resolution_delay: Duration::from_millis(50),
        }
    }

    /// Sets how long after an attempt the next one starts. Default: 250 ms (section 8): longer than most connections take, shorter than
    /// people notice.
    ///
    /// # Errors
    ///
    /// If it is not from 10 ms to 2 s, outside of which section 8 says it must not be.
    pub fn try_attempt_delay(mut self, delay: Duration) -> Result<Self, ConfigError> {
        if !(Duration::from_millis(10)..=Duration::from_secs(2)).contains(&delay) {
            return Err(ConfigError::new(
                "attempt_delay",
                format_args!("{delay:?}"),
                "from 10 ms to 2 s",
            ));
        }
        self.attempt_delay = delay;
        Ok(self)
    }

    /// Sets how long IPv4 addresses wait for IPv6 ones that are still being looked up. Default: 50 ms (section 8). At most 2 s are used.
    #[must_use]
    pub fn resolution_delay(mut self, delay: Duration) -> Self {
        // Added to the time it is now, which must not overflow; and no more than any other delay here.
        self.resolution_delay = delay.min(Duration::from_secs(2));
        self
    }
}

impl Default for HappyEyeballs {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_that_the_rfc_forbids_are_refused() {
        for (delay, is_allowed) in [(9, false), (10, true), (2000, true), (2001, false)] {
            let delay = Duration::from_millis(delay);
            let result = HappyEyeballs::new().try_attempt_delay(delay);
            assert_eq!(result.is_ok(), is_allowed, "{delay:?}");
        }
    }
}
