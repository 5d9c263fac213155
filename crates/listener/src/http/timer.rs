//! The clock and the timers that hyper has over HTTP/2, for its keep-alive pings.
//!
//! It asks both for every request. Here that costs next to nothing: the clock is read once in each poll of a connection, and a timer that is
//! set is left alone until it rings.

#![expect(
    clippy::disallowed_types,
    reason = "hyper's traits name std's `Instant`; what it is made of is tokio's"
)]

use std::{
    cell::Cell,
    pin::Pin,
    time::{Duration, Instant as StdInstant},
};

use hyper::rt;
use tokio::time::Instant;

use super::alarm::Alarm;

#[derive(Clone, Copy)]
enum Clock {
    Runs,
    /// Since it was read, if it was.
    StandsStill(Option<Instant>),
}

thread_local! {
    static CLOCK: Cell<Clock> = const { Cell::new(Clock::Runs) };
}

/// A moment, on this thread: the clock stands still for [`Timer`] until it is over.
pub(super) struct Moment(());

impl Moment {
    pub(super) fn begin() -> Self {
        CLOCK.set(Clock::StandsStill(None));
        Self(())
    }
}

impl Drop for Moment {
    fn drop(&mut self) {
        CLOCK.set(Clock::Runs);
    }
}

/// tokio's time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer;

impl rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: StdInstant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Alarm::new(deadline.into()))
    }

    fn now(&self) -> StdInstant {
        let now = match CLOCK.get() {
            Clock::Runs => Instant::now(),
            Clock::StandsStill(Some(now)) => now,
            Clock::StandsStill(None) => {
                let now = Instant::now();
                CLOCK.set(Clock::StandsStill(Some(now)));
                now
            }
        };
        now.into_std()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn rt::Sleep>>, deadline: StdInstant) {
        if let Some(alarm) = sleep.as_mut().downcast_mut_pin::<Alarm>() {
            alarm.reset(deadline.into());
        }
    }
}

impl rt::Sleep for Alarm {}

#[cfg(test)]
mod tests {
    use hyper::rt::Timer as _;
    use tokio::time;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_moment_has_one_time() {
        let moment = Moment::begin();
        let now = Timer.now();
        time::advance(SECOND).await;
        assert_eq!(Timer.now(), now);
        drop(moment);
        assert_eq!(Timer.now(), now + SECOND);
        let _moment = Moment::begin();
        assert_eq!(Timer.now(), now + SECOND, "each has its own");
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_is_reset() {
        let start = Timer.now();
        let mut alarm = Timer.sleep(SECOND);
        Timer.reset(&mut alarm, start + 5 * SECOND);
        alarm.await;
        assert_eq!(Timer.now(), start + 5 * SECOND);
    }
}
