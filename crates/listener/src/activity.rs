//! What one connection is doing, and what it is asked to do.

use std::{
    sync::atomic::{
        AtomicBool, AtomicUsize,
        Ordering::{Relaxed, SeqCst},
    },
    time::Duration,
};

use tokio::{sync::Notify, time};

use crate::drain::Phase;

/// Flags of one connection, so that requests on different connections never write the same cache line.
///
/// `SeqCst` where it matters: whoever ends the last activity either sees that the drain has begun, and wakes the connection, or
/// the connection, woken by the drain, sees that the activity has ended.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    requests: AtomicUsize,
    /// Bytes are waiting for the peer to read.
    writing: AtomicBool,
    /// The peer has said enough to tell which protocol it speaks.
    heard: AtomicBool,
    /// A response may be on its way to the peer.
    answering: AtomicBool,
    draining: AtomicBool,
    cut: AtomicBool,
    /// Wakes the connection's task, which is the only one to wait. Left alone while serving: it would cost a poll per request.
    changed: Notify,
}

impl Activity {
    pub(crate) fn ask(&self, phase: Phase) {
        self.draining.store(phase >= Phase::Draining, SeqCst);
        self.cut.store(phase >= Phase::Cut, SeqCst);
        self.changed.notify_one();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(SeqCst)
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(SeqCst)
    }

    pub(crate) fn request_began(&self) {
        self.requests.fetch_add(1, SeqCst);
        self.heard.store(true, Relaxed);
        self.answering.store(true, Relaxed);
        self.wake_if_draining();
    }

    pub(crate) fn request_ended(&self) {
        self.requests.fetch_sub(1, SeqCst);
        self.wake_if_draining();
    }

    pub(crate) fn set_writing(&self, writing: bool) {
        if self.writing.swap(writing, SeqCst) != writing {
            self.wake_if_draining();
        }
    }

    pub(crate) fn set_heard(&self) {
        self.heard.store(true, Relaxed);
    }

    pub(crate) fn is_heard(&self) -> bool {
        self.heard.load(Relaxed)
    }

    /// Takes it that what was answered so far has reached the peer, if there is nothing more to answer now.
    pub(crate) fn settle(&self) {
        if self.is_quiet() {
            self.answering.store(false, Relaxed);
        }
    }

    pub(crate) fn is_answering(&self) -> bool {
        self.answering.load(Relaxed)
    }

    /// Waits until the connection is asked to break off.
    pub(crate) async fn cut(&self) {
        while !self.is_cut() {
            self.changed.notified().await;
        }
    }

    /// Waits until the connection is asked to finish.
    pub(crate) async fn draining(&self) {
        while !self.is_draining() {
            self.changed.notified().await;
        }
    }

    /// Waits until the connection has to go: it is cut, or has had nothing to do for `farewell`.
    pub(crate) async fn dismissed(&self, farewell: Duration) {
        while !self.is_cut() {
            let changed = self.changed.notified();
            if !self.is_quiet() {
                changed.await;
            } else if time::timeout(farewell, changed).await.is_err() {
                return;
            }
        }
    }

    fn is_quiet(&self) -> bool {
        self.requests() == 0 && !self.writing.load(SeqCst)
    }

    fn wake_if_draining(&self) {
        if self.is_draining() {
            self.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, task::Context};

    use super::*;

    const FAREWELL: Duration = Duration::from_secs(1);

    fn is_pending(future: impl Future<Output = ()> + Unpin) -> bool {
        let mut future = future;
        let mut cx = Context::from_waker(std::task::Waker::noop());
        std::pin::Pin::new(&mut future).poll(&mut cx).is_pending()
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_dismissed_after_the_farewell() {
        let activity = Activity::default();
        activity.ask(Phase::Draining);
        let start = time::Instant::now();
        activity.dismissed(FAREWELL).await;
        assert_eq!(start.elapsed().as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_one_has_its_farewell_when_it_is_no_longer_busy() {
        let activity = Activity::default();
        activity.request_began();
        activity.ask(Phase::Draining);
        let mut dismissed = pin!(activity.dismissed(FAREWELL));
        assert!(is_pending(dismissed.as_mut()));
        time::advance(FAREWELL * 10).await;
        assert!(is_pending(dismissed.as_mut()));

        activity.set_writing(true);
        activity.request_ended();
        assert!(is_pending(dismissed.as_mut()));
        time::advance(FAREWELL * 10).await;
        assert!(
            is_pending(dismissed.as_mut()),
            "its response is not written"
        );

        activity.set_writing(false);
        let start = time::Instant::now();
        dismissed.await;
        assert_eq!(start.elapsed().as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_dismisses_a_busy_connection() {
        let activity = Activity::default();
        activity.request_began();
        activity.ask(Phase::Draining);
        let mut dismissed = pin!(activity.dismissed(FAREWELL));
        assert!(is_pending(dismissed.as_mut()));
        activity.ask(Phase::Cut);
        assert!(!is_pending(dismissed.as_mut()));
    }
}
