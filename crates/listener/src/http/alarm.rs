//! A timer that is polled often and seldom rings.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::{
    task::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

use super::Seen;

pin_project! {
    /// Once it is set, it costs next to nothing to poll it again.
    #[derive(Debug)]
    pub(super) struct Alarm {
        #[pin]
        sleep: Sleep,
        seen: Seen,
    }
}

impl Alarm {
    pub(super) fn new(at: Instant) -> Self {
        Self {
            sleep: sleep_until(at),
            seen: Seen::default(),
        }
    }

    pub(super) fn reset(self: Pin<&mut Self>, at: Instant) {
        let this = self.project();
        this.sleep.reset(at);
        // Once it has rung, it wakes nobody before it is polled again.
        *this.seen = Seen::default();
    }
}

impl Future for Alarm {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.seen.is_same(cx) && !this.sleep.is_elapsed() {
            return Poll::Pending;
        }
        // A task that has used up its budget for one turn would only be asked to come again, and leave the timer unset.
        Pin::new(&mut unconstrained(this.sleep)).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, task::Waker, time::Duration};

    use tokio::task::coop::{consume_budget, has_budget_remaining};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_rings_for_who_polled_it_last_and_again_when_it_is_reset() {
        let start = Instant::now();
        let mut alarm = pin!(Alarm::new(start + SECOND));
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..2 {
            assert!(alarm.as_mut().poll(&mut cx).is_pending());
        }
        alarm.as_mut().await;
        assert_eq!(start.elapsed(), SECOND);
        alarm.as_mut().reset(start + 5 * SECOND);
        alarm.as_mut().await;
        assert_eq!(start.elapsed(), 5 * SECOND);
        // Earlier than it was set to, and before it was polled.
        alarm.as_mut().reset(start + 9 * SECOND);
        assert!(alarm.as_mut().poll(&mut cx).is_pending());
        alarm.as_mut().reset(start + 6 * SECOND);
        alarm.as_mut().await;
        assert_eq!(start.elapsed(), 6 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn it_rings_for_who_had_spent_its_budget_when_it_was_set() {
        let start = Instant::now();
        let mut alarm = pin!(Alarm::new(start + SECOND));
        let ring = poll_fn(|cx| {
            while has_budget_remaining() {
                let _ = pin!(consume_budget()).poll(cx);
            }
            alarm.as_mut().poll(cx)
        });
        let ring = tokio::time::timeout(60 * SECOND, ring).await;
        ring.expect("it rings");
        assert_eq!(start.elapsed(), SECOND);
    }
}
