//! Holds a connection to its times.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::{Bounds, FOREVER, Verdict, alarm::Alarm, vigil::Vigil};
use crate::activity::Activity;

pin_project! {
    /// Asks for a verdict when something has happened, and when it is time.
    ///
    /// An early alarm is left standing where a later one would do: a busy connection sets its timer once in a while, and not for
    /// every request.
    pub(crate) struct Watch<'a> {
        bounds: &'a Bounds,
        vigil: Vigil,
        #[pin]
        alarm: Alarm,
        // When it rings, if it is set.
        at: Option<Instant>,
        // What was looked at last is waited for. Not so after a verdict, which leaves other alarms unset.
        waits: bool,
    }
}

impl<'a> Watch<'a> {
    pub(crate) fn new(bounds: &'a Bounds) -> Self {
        let now = Instant::now();
        Self {
            bounds,
            vigil: Vigil::new(now),
            alarm: Alarm::new(now + FOREVER),
            at: None,
            waits: false,
        }
    }

    /// The next verdict but to wait. The task is woken for it.
    pub(crate) fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        activity: &Activity,
    ) -> Poll<Verdict> {
        let mut this = self.project();
        let sight = activity.sight();
        let mut rang = this.at.is_some() && this.alarm.as_mut().poll(cx).is_ready();
        if *this.waits && !rang && !this.vigil.is_news(this.bounds, &sight) {
            return Poll::Pending;
        }
        *this.waits = true;
        loop {
            if rang {
                *this.at = None;
            }
            let next = match this.vigil.look(this.bounds, Instant::now(), &sight) {
                Verdict::Wait(next) => next,
                verdict => {
                    *this.waits = false;
                    return Poll::Ready(verdict);
                }
            };
            let Some(next) = next.filter(|next| this.at.is_none_or(|at| *next < at)) else {
                return Poll::Pending;
            };
            this.alarm.as_mut().reset(next);
            *this.at = Some(next);
            rang = this.alarm.as_mut().poll(cx).is_ready();
            if !rang {
                return Poll::Pending;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{task::Waker, time::Duration};

    use super::*;
    use crate::http::{MinRate, Why};

    const SECOND: Duration = Duration::from_secs(1);

    fn bounds() -> Bounds {
        Bounds {
            head: Some(3 * SECOND),
            idle: Some(10 * SECOND),
            ..Bounds::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_watch_rings_in_time() {
        let activity = Activity::default();
        let start = Instant::now();
        let bounds = bounds();
        let mut watch = std::pin::pin!(Watch::new(&bounds));
        let ring = std::future::poll_fn(|cx| watch.as_mut().poll(cx, &activity));
        assert_eq!(ring.await, Verdict::Close(Why::SlowHead));
        assert_eq!(start.elapsed(), 3 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn who_polls_last_is_the_one_that_is_woken() {
        let (activity, bounds) = (Activity::default(), bounds());
        let mut watch = std::pin::pin!(Watch::new(&bounds));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(watch.as_mut().poll(&mut cx, &activity).is_pending());
        // With the waker of a moment ago, this would wait for ever.
        let ring = std::future::poll_fn(|cx| watch.as_mut().poll(cx, &activity));
        assert_eq!(ring.await, Verdict::Close(Why::SlowHead));
    }

    #[tokio::test(start_paused = true)]
    async fn an_early_alarm_is_set_again() {
        let activity = Activity::default();
        let start = Instant::now();
        let bounds = bounds();
        let mut watch = std::pin::pin!(Watch::new(&bounds));
        std::future::poll_fn(|cx| {
            assert!(watch.as_mut().poll(cx, &activity).is_pending());
            activity.request_began();
            assert!(watch.as_mut().poll(cx, &activity).is_pending());
            activity.request_ended(true);
            assert!(watch.as_mut().poll(cx, &activity).is_pending());
            Poll::Ready(())
        })
        .await;
        let ring = std::future::poll_fn(|cx| watch.as_mut().poll(cx, &activity));
        assert_eq!(ring.await, Verdict::Retire(Why::Idle));
        assert_eq!(start.elapsed(), 10 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_too_old_has_to_keep_up_all_the_same() {
        let activity = Activity::default();
        let bounds = Bounds {
            age: Some(2 * SECOND),
            reading: Some(MinRate::try_new(100, 5 * SECOND).expect("valid")),
            ..Bounds::default()
        };
        activity.request_began();
        activity.set_writing(true);
        let start = Instant::now();
        let mut watch = std::pin::pin!(Watch::new(&bounds));
        let mut rings = Vec::new();
        for _ in 0..2 {
            let ring = std::future::poll_fn(|cx| watch.as_mut().poll(cx, &activity));
            let ring = tokio::time::timeout(60 * SECOND, ring).await;
            rings.push((ring, start.elapsed().as_secs()));
        }
        assert_eq!(
            rings,
            [
                (Ok(Verdict::Retire(Why::Age)), 2),
                (Ok(Verdict::Close(Why::SlowReader)), 5)
            ]
        );
    }
}
