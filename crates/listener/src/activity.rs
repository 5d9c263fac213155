//! What one connection is doing, and what it is asked to do.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{sync::Notify, time};

use crate::{
    ConnectionId, ConnectionStats,
    drain::Phase,
    http::{FrameCounts, Seen, Sight},
};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that runs under these locks can panic half way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of one connection, so that requests on different connections never write the same cache line.
///
/// `SeqCst` where it matters: whoever ends the last activity either sees that the drain has begun, and wakes the connection, or
/// the connection, woken by the drain, sees that the activity has ended. The rest is only measured.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// In flight.
    requests: AtomicUsize,
    /// Ever.
    begun: AtomicU64,
    /// Of these, those that came to their own end. Counted over HTTP/2 only, as the next two.
    finished: AtomicU64,
    /// Pieces of responses that wait to be written.
    owed: AtomicUsize,
    /// Bytes of such pieces that were.
    taken: AtomicU64,
    read: AtomicU64,
    written: AtomicU64,
    /// Bytes are waiting for the peer to read.
    writing: AtomicBool,
    http2: AtomicBool,
    /// Over HTTP/2: a request's head has come in part.
    in_head: AtomicBool,
    frames: Mutex<FrameCounts>,
    flooded: AtomicBool,
    /// A response may be on its way to the peer.
    answering: AtomicBool,
    /// The connection is no longer HTTP's.
    tunnel: AtomicBool,
    /// Whoever is told when the connection has to go.
    users: Mutex<[Option<Waker>; 3]>,
    retiring: AtomicBool,
    draining: AtomicBool,
    cut: AtomicBool,
    /// Wakes the connection's task, which is the only one to wait, once it no longer serves: before, it would cost a poll per request.
    changed: Notify,
}

/// Who uses a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum User {
    /// The connection's task, while it serves.
    Server,
    /// Who reads from a tunnel.
    Reader,
    /// Who writes to it.
    Writer,
}

impl Activity {
    pub(crate) fn ask(&self, phase: Phase) {
        self.draining.store(phase >= Phase::Draining, SeqCst);
        self.cut.store(phase >= Phase::Cut, SeqCst);
        // Before there is something to tell, nobody is woken, or taken off the list.
        if phase >= Phase::Draining {
            self.changed.notify_one();
            self.wake(User::Server);
        }
        if phase >= Phase::Cut {
            self.wake(User::Reader);
            self.wake(User::Writer);
        }
    }

    fn wake(&self, user: User) {
        // Off the list first: what wakes is not run under the lock.
        let waker = lock(&self.users)[user as usize].take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn list(&self, user: User, cx: &Context<'_>) {
        let mut users = lock(&self.users);
        match &mut users[user as usize] {
            Some(waker) => waker.clone_from(cx.waker()),
            slot => *slot = Some(cx.waker().clone()),
        }
    }

    /// Asks this connection alone to finish.
    pub(crate) fn retire(&self) {
        self.retiring.store(true, SeqCst);
    }

    #[inline]
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(SeqCst)
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(SeqCst)
    }

    #[inline]
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(SeqCst)
    }

    /// Counts a request. Only the connection's task begins them, so that none is lost between load and store.
    pub(crate) fn request_began(&self) {
        self.requests.fetch_add(1, SeqCst);
        self.answering.store(true, Relaxed);
        self.wake_if_finishing();
        self.begun.store(self.begun() + 1, Relaxed);
    }

    /// How many requests there were.
    #[inline]
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Relaxed)
    }

    pub(crate) fn request_ended(&self, finished: bool) {
        // Over HTTP/1.1 nobody asks.
        if finished && self.is_http2() {
            self.finished.fetch_add(1, Relaxed);
        }
        self.requests.fetch_sub(1, SeqCst);
        self.wake_if_finishing();
    }

    #[inline]
    pub(crate) fn set_writing(&self, writing: bool) {
        // Only the transport changes it, and seldom.
        if self.writing.load(Relaxed) != writing {
            self.writing.store(writing, SeqCst);
            self.wake_if_finishing();
        }
    }

    /// A piece of a response is hyper's now.
    #[inline]
    pub(crate) fn owe(&self) {
        if self.is_http2() {
            self.owed.fetch_add(1, Relaxed);
        }
    }

    #[inline]
    pub(crate) fn settle_piece(&self) {
        if self.is_http2() {
            self.owed.fetch_sub(1, Relaxed);
        }
    }

    #[inline]
    pub(crate) fn add_taken(&self, bytes: usize) {
        if self.is_http2() {
            self.taken.fetch_add(bytes as u64, Relaxed);
        }
    }

    // Only the transport counts these, so that nothing is lost between load and store.
    #[inline]
    pub(crate) fn add_read(&self, bytes: usize) {
        let read = self.read.load(Relaxed);
        self.read.store(read.wrapping_add(bytes as u64), Relaxed);
    }

    #[inline]
    pub(crate) fn add_written(&self, bytes: usize) {
        let written = self.written.load(Relaxed);
        self.written
            .store(written.wrapping_add(bytes as u64), Relaxed);
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    pub(crate) fn finished(&self) -> u64 {
        self.finished.load(Relaxed)
    }

    /// It is known before the first request.
    fn is_http2(&self) -> bool {
        self.http2.load(Relaxed)
    }

    pub(crate) fn set_http2(&self) {
        self.http2.store(true, Relaxed);
    }

    pub(crate) fn set_frames(&self, counts: FrameCounts, in_head: bool) {
        *lock(&self.frames) = counts;
        self.in_head.store(in_head, Relaxed);
    }

    pub(crate) fn set_flooded(&self) {
        self.flooded.store(true, Relaxed);
    }

    pub(crate) fn is_flooded(&self) -> bool {
        self.flooded.load(Relaxed)
    }

    pub(crate) fn set_tunnel(&self) {
        self.tunnel.store(true, SeqCst);
    }

    #[inline]
    pub(crate) fn is_tunnel(&self) -> bool {
        self.tunnel.load(SeqCst)
    }

    /// Whether a tunnel has to end. If not, the task is woken when it has to.
    pub(crate) fn poll_tunnel_cut(&self, user: User, cx: &Context<'_>) -> bool {
        self.list(user, cx);
        // After the waker is there, or the cut may miss it.
        self.is_cut()
    }

    #[inline]
    pub(crate) fn sight(&self) -> Sight {
        let http2 = self.is_http2();
        Sight {
            requests: self.requests(),
            begun: self.begun(),
            read: self.read.load(Relaxed),
            // Over HTTP/2, acknowledgements are written, too, and would pass for a response.
            taken: if http2 {
                self.taken.load(Relaxed)
            } else {
                self.written.load(Relaxed)
            },
            owed: self.owed.load(Relaxed) > 0 || self.writing.load(Relaxed),
            in_head: http2.then(|| self.in_head.load(Relaxed)),
        }
    }

    pub(crate) fn stats(&self, id: ConnectionId) -> ConnectionStats {
        ConnectionStats {
            id,
            is_http2: self.is_http2(),
            requests: self.begun(),
            in_flight: self.requests(),
            bytes_read: self.read.load(Relaxed),
            bytes_written: self.written.load(Relaxed),
            frames: *lock(&self.frames),
        }
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

    /// Whether the connection that is served is asked to finish. If not, the task is woken when it is.
    #[inline]
    pub(crate) fn poll_draining(&self, seen: &mut Seen, cx: &Context<'_>) -> Poll<()> {
        if !seen.is_same(cx) {
            self.list(User::Server, cx);
        }
        // After the waker is there, or the drain may miss it.
        match self.is_draining() {
            true => Poll::Ready(()),
            false => Poll::Pending,
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

    fn wake_if_finishing(&self) {
        if self.is_draining() || self.retiring.load(SeqCst) {
            self.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, sync::Arc};

    use super::*;

    const FAREWELL: Duration = Duration::from_secs(1);

    fn is_pending(future: impl Future<Output = ()> + Unpin) -> bool {
        let mut future = future;
        let mut cx = Context::from_waker(Waker::noop());
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
        activity.request_ended(true);
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
    async fn who_retires_is_dismissed_like_who_drains() {
        let activity = Activity::default();
        activity.request_began();
        activity.retire();
        let mut dismissed = pin!(activity.dismissed(FAREWELL));
        assert!(is_pending(dismissed.as_mut()));
        let woken = tokio::spawn(time::sleep(FAREWELL * 10));
        activity.request_ended(true);
        let start = time::Instant::now();
        dismissed.await;
        assert_eq!(start.elapsed().as_secs(), 1);
        woken.abort();
    }

    #[test]
    fn what_was_answered_has_reached_the_peer_when_nothing_is_left_to_answer() {
        let activity = Activity::default();
        assert!(!activity.is_answering());
        activity.request_began();
        activity.settle();
        assert!(activity.is_answering(), "a request is in flight");
        activity.set_writing(true);
        activity.request_ended(true);
        activity.settle();
        assert!(activity.is_answering(), "its response is not written");
        activity.set_writing(false);
        activity.settle();
        assert!(!activity.is_answering());
    }

    #[test]
    fn a_cut_wakes_both_users_of_a_tunnel() {
        let activity = Activity::default();
        let (reader, writer) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
        for (user, woken) in [(User::Reader, &reader), (User::Writer, &writer)] {
            let waker = Arc::clone(woken).into();
            assert!(!activity.poll_tunnel_cut(user, &Context::from_waker(&waker)));
        }
        activity.ask(Phase::Draining);
        assert!(!reader.0.load(SeqCst));
        activity.ask(Phase::Cut);
        assert!(reader.0.load(SeqCst) && writer.0.load(SeqCst));
        let waker = reader.into();
        assert!(activity.poll_tunnel_cut(User::Reader, &Context::from_waker(&waker)));
    }

    #[test]
    fn a_drain_wakes_who_serves_whatever_was_asked_before() {
        let activity = Activity::default();
        let woken = Arc::new(Woken::default());
        let waker = Arc::clone(&woken).into();
        let cx = Context::from_waker(&waker);
        let mut seen = Seen::default();
        for phase in [Phase::Serving, Phase::Leaving] {
            assert!(activity.poll_draining(&mut seen, &cx).is_pending());
            activity.ask(phase);
        }
        assert!(activity.poll_draining(&mut seen, &cx).is_pending());
        assert!(!woken.0.load(SeqCst), "there was nothing to tell");
        activity.ask(Phase::Draining);
        assert!(woken.0.load(SeqCst));
        assert!(activity.poll_draining(&mut seen, &cx).is_ready());
    }

    #[test]
    fn a_drain_wakes_the_task_that_polled_last() {
        let activity = Activity::default();
        let mut seen = Seen::default();
        let woken: [_; 2] = std::array::from_fn(|_| Arc::new(Woken::default()));
        for woken in &woken {
            let waker = Arc::clone(woken).into();
            let polled = activity.poll_draining(&mut seen, &Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        activity.ask(Phase::Draining);
        assert!(woken[1].0.load(SeqCst));
    }

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, SeqCst);
        }
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
