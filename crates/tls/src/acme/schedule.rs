//! When to order a certificate: a state machine that is told the time.

use std::time::{Duration, SystemTime};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(60 * 60 * 24);

/// Let's Encrypt takes five failed validations of a name in an hour, and no more.
const MIN_BACKOFF: Duration = Duration::from_secs(5 * 60);
const MAX_BACKOFF: Duration = Duration::from_secs(6 * 60 * 60);

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Order,
    /// The CA is to be asked when it wants the certificate to be renewed.
    Ask,
    /// Nothing, for so long.
    Wait(Duration),
}

#[derive(Debug)]
pub(super) struct Schedule {
    renew_at: SystemTime,
    /// Not before, whatever else: what failed is not tried at once again, and no CA makes us order all the time.
    floor: SystemTime,
    ask_at: Option<SystemTime>,
    /// The window that the CA suggested last, and the moment in it that was picked.
    window: Option<(SystemTime, SystemTime)>,
    failures: u32,
}

impl Schedule {
    /// Without a certificate: one is to be ordered at once.
    pub(super) const fn new() -> Self {
        Self {
            renew_at: SystemTime::UNIX_EPOCH,
            floor: SystemTime::UNIX_EPOCH,
            ask_at: None,
            window: None,
            failures: 0,
        }
    }

    pub(super) fn due(&self, now: SystemTime) -> Due {
        let order_at = self.order_at();
        if order_at <= now {
            return Due::Order;
        }
        if self.ask_at.is_some_and(|at| at <= now) {
            return Due::Ask;
        }
        let next = self.ask_at.map_or(order_at, |at| at.min(order_at));
        // The clock may be set, and the machine may sleep: it is looked at every hour at least.
        Due::Wait(next.duration_since(now).unwrap_or_default().min(HOUR))
    }

    /// When the next certificate is ordered.
    pub(super) fn order_at(&self) -> SystemTime {
        self.renew_at.max(self.floor)
    }

    /// A certificate that is valid from `not_before` to `not_after` was installed. `jitter` is from -1 to 1. `is_new` if it was ordered
    /// just now, rather than kept.
    pub(super) fn installed(
        &mut self,
        (not_before, not_after): (SystemTime, SystemTime),
        now: SystemTime,
        jitter: f64,
        is_new: bool,
    ) {
        let validity = not_after.duration_since(not_before).unwrap_or_default();
        let share = 2.0 / 3.0 + 0.03 * jitter.clamp(-1.0, 1.0);
        self.renew_at = not_before + validity.mul_f64(share);
        self.ask_at = Some(now);
        self.window = None;
        // One that is old when it is new is no progress: the next is ordered when it would be had this one failed.
        if self.renew_at > now {
            self.failures = 0;
            self.floor = if is_new { now + HOUR } else { now };
        }
    }

    /// The CA suggests this window for the renewal (RFC 9773), and to be asked again in `again`.
    pub(super) fn suggested(
        &mut self,
        (start, end): (SystemTime, SystemTime),
        again: Duration,
        now: SystemTime,
        jitter: f64,
    ) {
        self.ask_at = Some(now + again.clamp(MINUTE, DAY));
        // Picked once for each window, or asking often would mean early.
        if self.window == Some((start, end)) {
            return;
        }
        self.window = Some((start, end));
        let length = end.duration_since(start).unwrap_or_default();
        self.renew_at = start + length.mul_f64((jitter.clamp(-1.0, 1.0) + 1.0) / 2.0);
    }

    /// The CA had no suggestion.
    pub(super) fn not_suggested(&mut self, now: SystemTime) {
        self.ask_at = Some(now + DAY);
    }

    /// An order begins. Until it is known to have succeeded, it has failed: whoever waits for it may go away.
    pub(super) fn ordering(&mut self, now: SystemTime) {
        let backoff = MIN_BACKOFF.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        self.floor = now + backoff.min(MAX_BACKOFF);
    }

    /// The CA wants to be left alone for so long.
    pub(super) fn hold_off(&mut self, now: SystemTime, wait: Duration) {
        self.floor = self.floor.max(now + wait.min(DAY));
    }

    /// Whether the CA has a say in it.
    pub(super) const fn is_suggested(&self) -> bool {
        self.window.is_some()
    }

    /// Whether the last order failed.
    pub(super) const fn has_failed(&self) -> bool {
        self.failures > 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }

    fn ninety_days() -> (SystemTime, SystemTime) {
        (now(), now() + 90 * DAY)
    }

    #[test]
    fn the_first_is_ordered_at_once() {
        assert_eq!(Schedule::new().due(now()), Due::Order);
    }

    #[test]
    fn the_next_is_ordered_at_two_thirds_give_or_take_some_days() {
        for (jitter, hours) in [(0.0, 1440), (-1.0, 1376), (1.0, 1504), (9.0, 1504)] {
            let mut schedule = Schedule::new();
            schedule.ordering(now());
            schedule.installed(ninety_days(), now(), jitter, true);
            schedule.not_suggested(now());
            let due = schedule.order_at().duration_since(now()).unwrap();
            assert!(due.abs_diff(HOUR * hours) < HOUR, "{jitter}: {due:?}");
            assert_eq!(schedule.due(now()), Due::Wait(HOUR));
            assert_eq!(schedule.due(schedule.order_at()), Due::Order);
        }
    }

    #[test]
    fn failures_are_further_and_further_apart_up_to_six_hours() {
        let mut schedule = Schedule::new();
        for minutes in [5, 10, 20, 40, 80, 160, 320, 360, 360] {
            schedule.ordering(now());
            assert_eq!(schedule.order_at(), now() + MINUTE * minutes);
        }
        assert!(schedule.has_failed());
        schedule.installed(ninety_days(), now(), 0.0, true);
        assert!(!schedule.has_failed());
    }

    #[test]
    fn a_certificate_that_is_old_when_it_is_new_does_not_make_us_order_all_the_time() {
        let mut schedule = Schedule::new();
        let old = (now() - 80 * DAY, now() + 10 * DAY);
        for minutes in [5, 10, 20] {
            schedule.ordering(now());
            schedule.installed(old, now(), 0.0, true);
            schedule.not_suggested(now());
            assert_eq!(schedule.order_at(), now() + MINUTE * minutes);
        }
        // One that was kept is installed, and the next ordered at once.
        let mut schedule = Schedule::new();
        schedule.installed(old, now(), 0.0, false);
        assert_eq!(schedule.due(now()), Due::Order);
    }

    #[test]
    fn the_window_of_the_ca_counts_and_a_moment_in_it_is_picked_once() {
        let mut schedule = Schedule::new();
        schedule.ordering(now());
        schedule.installed(ninety_days(), now(), 0.0, true);
        assert_eq!(schedule.due(now()), Due::Ask);
        let window = (now() + 10 * DAY, now() + 12 * DAY);
        schedule.suggested(window, 6 * HOUR, now(), 0.0);
        assert_eq!(schedule.order_at(), now() + 11 * DAY);
        assert_eq!(schedule.due(now() + 6 * HOUR), Due::Ask);
        schedule.suggested(window, 6 * HOUR, now() + 6 * HOUR, -1.0);
        assert_eq!(schedule.order_at(), now() + 11 * DAY);
        // It has changed its mind: the certificate is to be revoked. But a CA that always says so is not obeyed all the time.
        schedule.suggested((now() - 2 * DAY, now() - DAY), Duration::ZERO, now(), 0.0);
        assert_eq!(schedule.order_at(), now() + HOUR);
        assert_eq!(schedule.due(now() + MINUTE), Due::Ask);
    }

    #[test]
    fn a_ca_that_wants_to_be_left_alone_is_up_to_a_day() {
        let mut schedule = Schedule::new();
        schedule.ordering(now());
        schedule.hold_off(now(), MINUTE);
        assert_eq!(schedule.order_at(), now() + 5 * MINUTE);
        schedule.hold_off(now(), 2 * HOUR);
        assert_eq!(schedule.order_at(), now() + 2 * HOUR);
        schedule.hold_off(now(), 1000 * DAY);
        assert_eq!(schedule.order_at(), now() + DAY);
    }

    proptest! {
        /// Whatever CA and clock say, two orders are five minutes apart, and a wait is never zero.
        #[test]
        fn it_never_spins(steps in prop::collection::vec((0_u8..5, 0_u64..200 * 86_400, -1.0..1.0), 1..60)) {
            let mut schedule = Schedule::new();
            let mut now = now();
            let mut last_order = None;
            for (kind, secs, jitter) in steps {
                let some = Duration::from_secs(secs);
                match kind {
                    0 => schedule.installed((now - some, now + 10 * DAY), now, jitter, true),
                    1 => schedule.suggested((now - some, now + some), some, now, jitter),
                    2 => schedule.not_suggested(now),
                    3 => schedule.hold_off(now, some),
                    _ => now += some,
                }
                match schedule.due(now) {
                    Due::Order => {
                        if let Some(last) = last_order {
                            prop_assert!(now.duration_since(last).unwrap() >= MIN_BACKOFF);
                        }
                        last_order = Some(now);
                        schedule.ordering(now);
                    }
                    Due::Ask => schedule.not_suggested(now),
                    Due::Wait(wait) => prop_assert!(!wait.is_zero() && wait <= HOUR),
                }
            }
        }
    }
}
