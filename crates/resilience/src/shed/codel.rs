//! When a queue is a standing one.

use std::time::Duration;

use tokio::time::Instant;

/// Tells a queue that a burst left behind from one that never goes away, by how long the oldest call in it has waited.
///
/// The condition is that of `CoDel` (RFC 8289 section 3): a delay that is at or above the target for a whole interval. What follows from
/// it is that of "Fail at Scale" (Maurer, ACM Queue 13(8), 2015): while it lasts, nobody waits longer than the target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codel {
    target: Duration,
    interval: Duration,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Calm {
        /// Since when the delay has not been below the target.
        late_since: Option<Instant>,
    },
    Overloaded {
        /// When the delay was last not below the target.
        last_late: Instant,
    },
}

impl Codel {
    pub(super) const fn new(target: Duration, interval: Duration) -> Self {
        Self {
            target,
            interval,
            state: State::Calm { late_since: None },
        }
    }

    /// The oldest call has waited for `delay`, or had when it left.
    pub(super) fn observe(&mut self, now: Instant, delay: Duration) {
        let is_late = delay >= self.target;
        self.state = match self.state {
            // ## Calm => (Calm | Overloaded)
            State::Calm { late_since } if is_late => {
                let since = late_since.unwrap_or(now);
                if now.saturating_duration_since(since) >= self.interval {
                    State::Overloaded { last_late: now }
                } else {
                    State::Calm {
                        late_since: Some(since),
                    }
                }
            }
            State::Calm { .. } => State::Calm { late_since: None },
            // ## Overloaded => (Overloaded | Calm)
            State::Overloaded { .. } if is_late => State::Overloaded { last_late: now },
            State::Overloaded { .. } if !self.is_overloaded(now) => {
                State::Calm { late_since: None }
            }
            overloaded @ State::Overloaded { .. } => overloaded,
        };
    }

    /// Whether the queue has been a standing one within the last interval.
    pub(super) fn is_overloaded(&self, now: Instant) -> bool {
        match self.state {
            State::Calm { .. } => false,
            State::Overloaded { last_late } => {
                now.saturating_duration_since(last_late) < self.interval
            }
        }
    }

    /// The longest that a call may wait which comes now.
    pub(super) fn longest_wait(&self, now: Instant) -> Duration {
        if self.is_overloaded(now) {
            self.target
        } else {
            self.interval
        }
    }

    /// Whether a call that has waited for `delay` has waited for too long.
    pub(super) fn is_overdue(&self, now: Instant, delay: Duration) -> bool {
        delay >= self.longest_wait(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn codel() -> (Codel, Instant) {
        (Codel::new(MS(5), MS(100)), Instant::now())
    }

    #[test]
    fn a_burst_is_no_overload() {
        let (mut codel, start) = codel();
        for ms in 0..99 {
            codel.observe(start + MS(ms), MS(50));
            assert!(!codel.is_overloaded(start + MS(ms)), "{ms}");
        }
        // It went away in time.
        codel.observe(start + MS(99), MS(4));
        codel.observe(start + MS(101), MS(50));
        assert!(!codel.is_overloaded(start + MS(101)));
        assert_eq!(codel.longest_wait(start + MS(101)), MS(100));
    }

    #[test]
    fn a_queue_that_stands_for_an_interval_is() {
        let (mut codel, start) = codel();
        codel.observe(start, MS(5));
        codel.observe(start + MS(100), MS(5));
        assert!(codel.is_overloaded(start + MS(100)));
        assert_eq!(codel.longest_wait(start + MS(100)), MS(5));
        assert!(codel.is_overdue(start + MS(100), MS(5)));
        assert!(!codel.is_overdue(start + MS(100), MS(4)));
    }

    #[test]
    fn it_is_over_an_interval_after_the_last_that_was_late() {
        let (mut codel, start) = codel();
        for ms in [0, 100, 150] {
            codel.observe(start + MS(ms), MS(9));
        }
        codel.observe(start + MS(249), MS(0));
        assert!(codel.is_overloaded(start + MS(249)));
        // Whether somebody looks or not.
        assert!(!codel.is_overloaded(start + MS(250)));
        codel.observe(start + MS(250), MS(0));
        codel.observe(start + MS(251), MS(9));
        assert!(!codel.is_overloaded(start + MS(251)), "it begins anew");
    }

    #[test]
    fn a_clock_that_is_read_late_does_no_harm() {
        let (mut codel, start) = codel();
        codel.observe(start + MS(10), MS(9));
        codel.observe(start, MS(9));
        assert!(!codel.is_overloaded(start));
    }
}
