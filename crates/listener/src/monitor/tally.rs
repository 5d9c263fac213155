//! The counts of connections, and of the listener they belong to.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use super::{Observer, RequestEnd, Stats, Traffic};
use crate::{ConnectInfo, ConnectionId};

/// The counts of one listener.
#[derive(Debug, Default)]
pub(crate) struct Monitor {
    connections: Mutex<Connections>,
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) accept_failures: AtomicU64,
    pub(crate) handshakes_failed: AtomicU64,
    handshakes_under_way: AtomicUsize,
}

#[derive(Debug, Default)]
struct Connections {
    open: HashMap<ConnectionId, Arc<Tally>>,
    /// Of those that are closed.
    traffic: Traffic,
    requests: u64,
}

impl Monitor {
    /// A connection has been accepted.
    pub(crate) fn open(
        self: &Arc<Self>,
        info: ConnectInfo,
        observer: Option<Arc<dyn Observer>>,
    ) -> Arc<Tally> {
        self.accepted.fetch_add(1, Relaxed);
        if let Some(observer) = &observer {
            observer.accepted(&info);
        }
        let id = info.id();
        let tally = Arc::new(Tally {
            monitor: Arc::clone(self),
            observer,
            accepted: info,
            settled: OnceLock::new(),
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        });
        self.lock().open.insert(id, Arc::clone(&tally));
        tally
    }

    /// Counts a handshake, until what it gives is dropped.
    pub(crate) fn handshake(self: &Arc<Self>) -> UnderWay {
        self.handshakes_under_way.fetch_add(1, Relaxed);
        UnderWay(Arc::clone(self))
    }

    pub(crate) fn stats(&self) -> Stats {
        let connections = self.lock();
        let mut traffic = connections.traffic;
        let mut requests = connections.requests;
        for tally in connections.open.values() {
            let of_this = tally.traffic();
            traffic.read += of_this.read;
            traffic.written += of_this.written;
            requests += tally.requests.load(Relaxed);
        }
        Stats {
            accepted: self.accepted.load(Relaxed),
            refused: self.refused.load(Relaxed),
            accept_failures: self.accept_failures.load(Relaxed),
            handshakes_failed: self.handshakes_failed.load(Relaxed),
            handshakes_under_way: self.handshakes_under_way.load(Relaxed),
            connections: connections.open.len(),
            requests,
            traffic,
            ..Stats::default()
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        // Nothing that runs under the lock can leave it half changed.
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handshake that is under way.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Monitor>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.handshakes_under_way.fetch_sub(1, Relaxed);
    }
}

/// The counts of one connection.
///
/// Each counter is written by whoever serves the connection, and by nobody else: no two cores share its cache line, and nothing is lost
/// between load and store.
pub(crate) struct Tally {
    monitor: Arc<Monitor>,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    accepted: ConnectInfo,
    /// What is known after the handshakes.
    settled: OnceLock<ConnectInfo>,
    read: AtomicU64,
    written: AtomicU64,
    requests: AtomicU64,
}

impl Tally {
    pub(crate) fn info(&self) -> &ConnectInfo {
        self.settled.get().unwrap_or(&self.accepted)
    }

    pub(crate) fn settle(&self, info: ConnectInfo) {
        let settled = self.settled.set(info);
        debug_assert!(settled.is_ok(), "handshakes are done once");
    }

    pub(crate) fn read(&self, bytes: usize) {
        add(&self.read, bytes as u64);
    }

    pub(crate) fn written(&self, bytes: usize) {
        add(&self.written, bytes as u64);
    }

    pub(crate) fn request_started(&self) {
        add(&self.requests, 1);
        if let Some(observer) = &self.observer {
            observer.request_started(self.info());
        }
    }

    pub(crate) fn request_ended(&self, end: RequestEnd) {
        if let Some(observer) = &self.observer {
            observer.request_ended(self.info(), end);
        }
    }

    /// The connection is closed.
    pub(crate) fn close(&self) {
        let traffic = self.traffic();
        let mut connections = self.monitor.lock();
        connections.open.remove(&self.accepted.id());
        connections.traffic.read += traffic.read;
        connections.traffic.written += traffic.written;
        connections.requests += self.requests.load(Relaxed);
        drop(connections);
        if let Some(observer) = &self.observer {
            observer.closed(self.info(), traffic);
        }
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            read: self.read.load(Relaxed),
            written: self.written.load(Relaxed),
        }
    }
}

/// Adds to a counter that nobody else writes.
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(more), Relaxed);
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tally")
            .field("info", self.info())
            .field("traffic", &self.traffic())
            .finish_non_exhaustive()
    }
}
