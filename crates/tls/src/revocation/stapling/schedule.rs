//! When to fetch, and when to take a staple away: a state machine that is told the time.

use std::time::{Duration, SystemTime};

const MIN_BACKOFF: Duration = Duration::from_secs(60);
const MAX_BACKOFF: Duration = Duration::from_secs(60 * 60);

/// A client's clock may be so far ahead, and a staple on its way is not to be out of date when it arrives.
const MARGIN: Duration = Duration::from_secs(300);

/// The clock may be set, and the machine may sleep: it is looked at so often at least.
const MAX_WAIT: Duration = Duration::from_secs(60 * 60);

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The staple is to be taken away.
    Drop,
    Fetch,
    /// Nothing, for so long.
    Wait(Duration),
}

#[derive(Debug)]
pub(super) struct Schedule {
    /// Until when there is a staple.
    until: Option<SystemTime>,
    fetch_at: SystemTime,
    failures: u32,
}

impl Schedule {
    /// Without a staple: one is to be fetched at once.
    pub(super) const fn new() -> Self {
        Self {
            until: None,
            fetch_at: SystemTime::UNIX_EPOCH,
            failures: 0,
        }
    }

    /// Until when the staple that there is may be shown.
    pub(super) const fn until(&self) -> Option<SystemTime> {
        self.until
    }

    pub(super) fn due(&self, now: SystemTime) -> Due {
        if self.until.is_some_and(|until| until <= now) {
            return Due::Drop;
        }
        let Ok(until_fetch) = self.fetch_at.duration_since(now) else {
            return Due::Fetch;
        };
        if until_fetch.is_zero() {
            return Due::Fetch;
        }
        let until_drop = self.until.and_then(|until| until.duration_since(now).ok());
        Due::Wait(
            until_fetch
                .min(until_drop.unwrap_or(MAX_WAIT))
                .min(MAX_WAIT),
        )
    }

    /// There is a staple that counts from `this_update` to `next_update`. `jitter` is from -1 to 1. `false`, and nothing has changed, if
    /// that is to be taken away already.
    ///
    /// One whose half is over is no progress: the responder has no other yet. It is asked again when it would be had it failed.
    pub(super) fn stapled(
        &mut self,
        this_update: SystemTime,
        next_update: SystemTime,
        now: SystemTime,
        jitter: f64,
    ) -> bool {
        let validity = next_update.duration_since(this_update).unwrap_or_default();
        let until = next_update - MARGIN.min(validity / 10);
        if until <= now {
            return false;
        }
        self.until = Some(until);
        let half = this_update + validity.mul_f64(0.5 + 0.05 * jitter.clamp(-1.0, 1.0));
        if half > now {
            self.fetch_at = half;
            self.failures = 0;
        }
        true
    }

    /// A fetch begins. Until it is known to have succeeded, it has failed: whoever waits for it may go away.
    pub(super) fn fetching(&mut self, now: SystemTime) {
        let backoff = MIN_BACKOFF.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        self.fetch_at = now + backoff.min(MAX_BACKOFF);
    }

    pub(super) const fn dropped(&mut self) {
        self.until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }

    #[test]
    fn the_first_is_fetched_at_once() {
        assert_eq!(Schedule::new().due(now()), Due::Fetch);
    }

    #[test]
    fn the_next_is_fetched_at_half_of_the_validity_give_or_take_a_tenth() {
        for (jitter, minutes) in [(0.0, 50), (-1.0, 45), (1.0, 55), (7.0, 55)] {
            let mut schedule = Schedule::new();
            assert!(schedule.stapled(now(), now() + 100 * MINUTE, now(), jitter));
            assert_eq!(schedule.due(now()), Due::Wait(minutes * MINUTE), "{jitter}");
            assert_eq!(schedule.due(now() + minutes * MINUTE), Due::Fetch);
        }
    }

    #[test]
    fn failures_are_further_and_further_apart_up_to_an_hour() {
        let mut schedule = Schedule::new();
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            schedule.fetching(now());
            assert_eq!(schedule.due(now()), Due::Wait(minutes * MINUTE));
        }
        for _ in 0..100 {
            schedule.fetching(now());
        }
        assert_eq!(schedule.due(now()), Due::Wait(HOUR));
        assert!(schedule.stapled(now(), now() + HOUR, now(), 0.0));
        schedule.fetching(now());
        assert_eq!(schedule.due(now()), Due::Wait(MINUTE));
    }

    #[test]
    fn a_responder_that_repeats_itself_is_not_asked_all_the_time() {
        let mut schedule = Schedule::new();
        let (this, next) = (now() - 8 * HOUR, now() + 2 * HOUR);
        for minutes in [1, 2, 4] {
            schedule.fetching(now());
            assert!(schedule.stapled(this, next, now(), 0.0));
            assert_eq!(schedule.due(now()), Due::Wait(minutes * MINUTE));
        }
    }

    #[test]
    fn a_staple_is_taken_away_before_it_is_out_of_date() {
        for (validity, margin) in [(10 * HOUR, 5 * MINUTE), (20 * MINUTE, 2 * MINUTE)] {
            let mut schedule = Schedule::new();
            let next = now() + validity;
            assert!(schedule.stapled(now(), next, now(), 0.0));
            schedule.fetching(next - margin - MINUTE / 2);
            assert_eq!(
                schedule.due(next - margin - MINUTE / 2),
                Due::Wait(MINUTE / 2)
            );
            assert_eq!(schedule.due(next - margin), Due::Drop);
            schedule.dropped();
            assert!(matches!(schedule.due(next - margin), Due::Wait(_)));
        }
    }

    #[test]
    fn a_staple_that_was_kept_past_its_half_is_shown_and_replaced_at_once() {
        let mut schedule = Schedule::new();
        assert!(schedule.stapled(now() - 8 * HOUR, now() + 2 * HOUR, now(), 0.0));
        assert_eq!(schedule.due(now()), Due::Fetch);
        assert!(schedule.until().is_some());
        // One that is as good as out of date changes nothing.
        let before = schedule.until();
        assert!(!schedule.stapled(now() - 10 * HOUR, now() + MINUTE, now(), 0.0));
        assert_eq!(schedule.until(), before);
    }

    #[test]
    fn the_clock_is_looked_at_every_hour() {
        let mut schedule = Schedule::new();
        assert!(schedule.stapled(now(), now() + 100 * HOUR, now(), 0.0));
        assert_eq!(schedule.due(now()), Due::Wait(HOUR));
        // It was set.
        assert_eq!(schedule.due(now() + 60 * HOUR), Due::Fetch);
        assert_eq!(schedule.due(now() + 200 * HOUR), Due::Drop);
    }
}
