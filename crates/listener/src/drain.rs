//! The way from serving to ended, and the count of what happened on it.
//!
//! No sockets and no timers: who calls what, and when, is decided in `serve` and `connection`.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    ConnectInfo, ConnectionId, ConnectionStats, Observer,
    activity::Activity,
    monitor::{Monitor, RequestEnd, Stats, Tally},
};

/// What became of the requests that were in flight when the drain began, or came in after.
///
/// A request whose client went away before its response was written, or was too slow for it, is in neither count, and neither is one
/// whose service panicked. One that was answered by an upgrade goes on until what it was upgraded to ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Requests that came to their own end: the response was written, or the service or its body failed.
    ///
    /// Written means handed to the operating system, but for the last kilobytes, which may still be in hyper's buffer.
    pub drained: u64,
    /// Requests that were broken off, at the deadline, by [`ShutdownHandle::cut`](crate::ShutdownHandle::cut), or because
    /// [`Serving`](crate::Serving) was dropped.
    pub cut: u64,
}

/// Only ever advances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(crate) enum Phase {
    Serving,
    /// All is served as before, but whoever asks is told to send requests elsewhere.
    Leaving,
    Draining,
    Cut,
    Ended,
}

/// What a listener, its connections and its handles share.
#[derive(Debug)]
pub(crate) struct Drain {
    state: Mutex<State>,
    /// Changed only under the lock of `state`, so that no connection is admitted between a change and its announcement.
    phase: watch::Sender<Phase>,
    drained: AtomicU64,
    cut: AtomicU64,
    pub(crate) monitor: Arc<Monitor>,
}

#[derive(Debug)]
struct State {
    accepting: bool,
    /// How long it is leaving before it drains.
    delay: Duration,
    connections: HashMap<ConnectionId, Arc<Activity>>,
}

impl Drain {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                accepting: true,
                delay: Duration::ZERO,
                connections: HashMap::new(),
            }),
            phase: watch::Sender::new(Phase::Serving),
            drained: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            monitor: Arc::default(),
        })
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Waits until the phase is `phase` or a later one.
    pub(crate) async fn reached(&self, phase: Phase) {
        let mut phases = self.phase.subscribe();
        let reached = phases.wait_for(|now| *now >= phase).await;
        reached.expect("the sender is in `self`");
    }

    pub(crate) fn set_delay(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    /// Asks whoever routes requests to send no more of them. Without a delay, it is the drain that begins.
    pub(crate) fn leave(&self) {
        let state = self.lock();
        let to = match state.delay {
            Duration::ZERO => Phase::Draining,
            _ => Phase::Leaving,
        };
        self.advance(&state, to);
    }

    /// How long it is to be leaving.
    pub(crate) fn delay(&self) -> Duration {
        self.lock().delay
    }

    /// Asks every connection to finish what it has, and the accept loop to stop.
    pub(crate) fn begin(&self) {
        self.advance(&self.lock(), Phase::Draining);
    }

    /// Asks every connection to break off.
    pub(crate) fn cut(&self) {
        self.advance(&self.lock(), Phase::Cut);
    }

    /// Says that no more connections will be admitted: the last one to leave ends the drain.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.accepting = false;
        self.end_if_empty(&state);
    }

    /// Takes in a connection. It leaves when what this returns is dropped.
    pub(crate) fn admit(self: &Arc<Self>, tally: Arc<Tally>) -> Connection {
        let id = tally.info().id();
        let activity = Arc::new(Activity::default());
        let mut state = self.lock();
        activity.ask(self.phase());
        state.connections.insert(id, Arc::clone(&activity));
        Connection {
            id,
            activity,
            tally,
            drain: Arc::clone(self),
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        let state = self.lock();
        state
            .connections
            .values()
            .map(|activity| activity.requests())
            .sum()
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            in_flight: self.in_flight(),
            drained: self.counts(),
            ..self.monitor.stats()
        }
    }

    pub(crate) fn connections(&self) -> Vec<ConnectionStats> {
        let connections: Vec<_> = {
            let state = self.lock();
            let pairs = state.connections.iter();
            pairs
                .map(|(id, activity)| (*id, Arc::clone(activity)))
                .collect()
        };
        connections
            .into_iter()
            .map(|(id, activity)| activity.stats(id))
            .collect()
    }

    /// The counts so far; final once the phase is [`Phase::Ended`].
    pub(crate) fn counts(&self) -> Drained {
        Drained {
            drained: self.drained.load(Relaxed),
            cut: self.cut.load(Relaxed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn advance(&self, state: &State, to: Phase) {
        let advanced = self.phase.send_if_modified(|phase| {
            let later = *phase < to;
            if later {
                *phase = to;
            }
            later
        });
        // Before that, nothing is asked of connections.
        if advanced && to >= Phase::Draining {
            for activity in state.connections.values() {
                activity.ask(to);
            }
        }
    }

    fn end_if_empty(&self, state: &State) {
        if !state.accepting && state.connections.is_empty() {
            self.advance(state, Phase::Ended);
        }
    }
}

/// The listener's hold on its [`Drain`]. Dropped without having served, or while it serves, it cuts everything.
#[derive(Debug)]
pub(crate) struct Owner(pub(crate) Arc<Drain>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.cut();
        self.0.close();
    }
}

/// A connection's place in the drain, which it leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    id: ConnectionId,
    activity: Arc<Activity>,
    tally: Arc<Tally>,
    drain: Arc<Drain>,
}

impl Connection {
    pub(crate) const fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    pub(crate) fn info(&self) -> &ConnectInfo {
        self.tally.info()
    }

    pub(crate) fn observer(&self) -> Option<&dyn Observer> {
        self.tally.observer.as_deref()
    }

    /// What is known of it after its handshakes.
    pub(crate) fn settle(&self, info: ConnectInfo) {
        self.tally.settle(info);
    }

    /// Counts a request. Only the connection's task may.
    pub(crate) fn request_began(&self) {
        self.tally.request_started();
        self.activity.request_began();
    }

    /// Counts the end of a request: of itself, or because somebody dropped it.
    pub(crate) fn request_ended(&self, finished: bool) {
        let end = match finished {
            true => RequestEnd::Finished,
            false if self.activity.is_cut() => RequestEnd::Cut,
            false => RequestEnd::Lost,
        };
        match end {
            RequestEnd::Finished if self.activity.is_draining() => {
                self.drain.drained.fetch_add(1, Relaxed);
            }
            RequestEnd::Cut => {
                self.drain.cut.fetch_add(1, Relaxed);
            }
            RequestEnd::Finished | RequestEnd::Lost => {}
        }
        self.activity.request_ended(finished);
        self.tally.request_ended(end);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut state = self.drain.lock();
        state.connections.remove(&self.id);
        self.drain.end_if_empty(&state);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        Address, HttpSettings,
        in_flight::InFlight,
        place::{Place, Protocol},
    };

    pub(crate) fn admit(drain: &Arc<Drain>) -> Arc<Place> {
        let info = ConnectInfo::new(Address::Memory, Address::Memory);
        Arc::new(Place {
            protocol: Protocol::new(HttpSettings::default()),
            connection: drain.admit(drain.monitor.open(info, None)),
        })
    }

    fn finish(request: InFlight) {
        request.complete();
        drop(request);
    }

    #[test]
    fn only_what_ends_during_the_drain_is_counted() {
        let drain = Drain::new();
        let connection = admit(&drain);
        let (early, late) = (InFlight::new(&connection), InFlight::new(&connection));
        assert_eq!(drain.in_flight(), 2);
        finish(early);
        drain.begin();
        finish(late);
        finish(InFlight::new(&connection));
        assert_eq!(drain.in_flight(), 0);
        assert_eq!(drain.counts(), Drained { drained: 2, cut: 0 });
    }

    #[test]
    fn a_dropped_request_is_cut_only_after_the_cut() {
        let drain = Drain::new();
        let connection = admit(&drain);
        let (gone, cut, finished) = (
            InFlight::new(&connection),
            InFlight::new(&connection),
            InFlight::new(&connection),
        );
        drain.begin();
        drop(gone);
        drain.cut();
        drop(cut);
        finish(finished);
        assert_eq!(drain.counts(), Drained { drained: 1, cut: 1 });
    }

    #[test]
    fn ends_when_closed_and_the_last_request_has_left() {
        let drain = Drain::new();
        let connection = admit(&drain);
        let request = InFlight::new(&connection);
        drain.begin();
        drain.close();
        drop(connection);
        assert_eq!(drain.phase(), Phase::Draining);
        finish(request);
        assert_eq!(drain.phase(), Phase::Ended);
        assert_eq!(drain.counts(), Drained { drained: 1, cut: 0 });
    }

    #[test]
    fn does_not_end_while_it_accepts() {
        let drain = Drain::new();
        drop(admit(&drain));
        drain.begin();
        assert_eq!(drain.phase(), Phase::Draining);
        drain.close();
        assert_eq!(drain.phase(), Phase::Ended);
    }

    #[test]
    fn who_comes_late_is_told_at_once() {
        let drain = Drain::new();
        drain.begin();
        assert!(admit(&drain).activity().is_draining());
        drain.cut();
        assert!(admit(&drain).activity().is_cut());
    }

    #[test]
    fn with_a_delay_nobody_is_asked_to_finish_at_once() {
        let drain = Drain::new();
        drain.set_delay(Duration::from_secs(5));
        let connection = admit(&drain);
        drain.leave();
        drain.leave();
        assert_eq!(drain.phase(), Phase::Leaving);
        assert!(!connection.activity().is_draining());
        finish(InFlight::new(&connection));
        assert_eq!(drain.counts(), Drained::default());
        drain.cut();
        assert!(connection.activity().is_cut());
    }

    #[test]
    fn never_goes_back() {
        let drain = Drain::new();
        drop(Owner(Arc::clone(&drain)));
        assert_eq!(drain.phase(), Phase::Ended);
        drain.begin();
        drain.cut();
        assert_eq!(drain.phase(), Phase::Ended);
    }

    #[test]
    fn dropping_the_owner_cuts_what_is_left() {
        let drain = Drain::new();
        let connection = admit(&drain);
        let request = InFlight::new(&connection);
        drop(Owner(Arc::clone(&drain)));
        assert_eq!(drain.phase(), Phase::Cut);
        drop((connection, request));
        assert_eq!(drain.phase(), Phase::Ended);
        assert_eq!(drain.counts(), Drained { drained: 0, cut: 1 });
    }
}
