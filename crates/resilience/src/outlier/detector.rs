//! The detector: what all layers of a set of endpoints share.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_core::ConfigError;
use tokio::{sync::watch, time::Instant};

use crate::endpoint::{Endpoint, Unfit};

use super::{
    driver::{OutlierDriver, OutlierWatch},
    layer::{AtHead, OnError, OutlierLayer},
    policy::{EjectionCause, FailurePercentage, Policy, SuccessRate},
    record::Core,
    state::{Book, Change},
};

/// Compares the endpoints of one set, and ejects those that do badly. Clones are the same detector. See the [module](super).
#[derive(Clone, Debug)]
pub struct OutlierDetector {
    pub(super) shared: Arc<Shared>,
}

/// 5 failures in a row, or 1.9 deviations below the others.
impl Default for OutlierDetector {
    fn default() -> Self {
        Self::with(Policy::DEFAULT)
    }
}

impl OutlierDetector {
    /// Starts with the defaults, which [`OutlierDetectorBuilder`] lists with their reasons.
    pub const fn builder() -> OutlierDetectorBuilder {
        OutlierDetectorBuilder {
            policy: Policy::DEFAULT,
        }
    }

    fn with(policy: Policy) -> Self {
        Self {
            shared: Arc::new(Shared::new(policy, Instant::now())),
        }
    }

    /// A layer for the services of one endpoint, which it adds to the set. Every error fails, unless
    /// [`classify`](OutlierLayer::classify) says otherwise.
    ///
    /// The endpoint leaves the set, and is no longer ejected, when the last layer and service that was made for it is gone. A
    /// second layer for the same endpoint adds to the same counts.
    pub fn layer(&self, endpoint: &Endpoint) -> OutlierLayer<OnError, AtHead> {
        OutlierLayer::new(self.shared.join(endpoint), OnError)
    }

    /// The same for HTTP: judged by status, and at the end of the body, as [`HttpClassify`](bartizan_core::HttpClassify) does.
    #[cfg(feature = "http")]
    pub fn http_layer(
        &self,
        endpoint: &Endpoint,
    ) -> OutlierLayer<bartizan_core::HttpClassify, super::AtEnd> {
        OutlierLayer::new(
            self.shared.join(endpoint),
            bartizan_core::HttpClassify::new(),
        )
    }

    /// A future that sweeps in time, for you to spawn. It ends when the detector, all its layers and their services are gone.
    ///
    /// Without it calls do the sweeps, and whoever picks endpoints has to keep polling some of their services. Dropping it stops
    /// nothing else.
    pub fn driver(&self) -> OutlierDriver {
        OutlierDriver::new(&self.shared)
    }

    /// How each endpoint stands, in no order. It takes the detector's lock and allocates: for status pages, not for each call.
    /// Whether one endpoint may be used is an atomic load: [`Endpoint::is_fit`].
    pub fn snapshot(&self) -> Vec<OutlierStatus> {
        let now = Instant::now();
        self.shared.sweep(now);
        let table = self.shared.table();
        table
            .seats
            .iter()
            .enumerate()
            .map(|(index, seat)| {
                let standing = table.book.standing(index, now);
                OutlierStatus {
                    endpoint: seat.endpoint.clone(),
                    times: standing.times,
                    ejected: standing
                        .ejected
                        .map(|(cause, until)| (cause, until.saturating_duration_since(now))),
                }
            })
            .collect()
    }

    /// How many endpoints are ejected. One atomic load.
    pub fn ejected(&self) -> usize {
        self.shared.ejected.load(Ordering::Relaxed)
    }

    /// Tells of every ejection and every return.
    pub fn watch(&self) -> OutlierWatch {
        OutlierWatch::new(self.clone())
    }

    /// Brings an endpoint back before its time, for whoever knows that it was mended. Says whether it was ejected. Its next ejection
    /// still lasts longer than this one.
    pub fn restore(&self, endpoint: &Endpoint) -> bool {
        let table = self.shared.table();
        match table
            .seats
            .iter()
            .position(|seat| seat.endpoint.is(endpoint))
        {
            Some(index) => self.shared.restore(table, index..index + 1),
            None => false,
        }
    }

    /// Brings all endpoints back. Says whether any was ejected.
    pub fn restore_all(&self) -> bool {
        let table = self.shared.table();
        let all = 0..table.seats.len();
        self.shared.restore(table, all)
    }
}

/// How an endpoint stands: one entry of a [`snapshot`](OutlierDetector::snapshot).
#[derive(Clone, Debug)]
pub struct OutlierStatus {
    endpoint: Endpoint,
    times: u32,
    ejected: Option<(EjectionCause, Duration)>,
}

impl OutlierStatus {
    /// The endpoint.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether it is ejected.
    pub const fn is_ejected(&self) -> bool {
        self.ejected.is_some()
    }

    /// Why it is ejected, if it is.
    pub fn cause(&self) -> Option<EjectionCause> {
        self.ejected.map(|(cause, _)| cause)
    }

    /// How much longer it is ejected, if it is.
    pub fn remaining(&self) -> Option<Duration> {
        self.ejected.map(|(_, remaining)| remaining)
    }

    /// By how many ejections it is marked: each adds one, and each interval of service takes one away.
    pub const fn ejections(&self) -> u32 {
        self.times
    }
}

/// Collects the settings of an [`OutlierDetector`].
#[derive(Clone, Copy, Debug)]
#[must_use = "it is `build` that makes the detector"]
pub struct OutlierDetectorBuilder {
    policy: Policy,
}

impl OutlierDetectorBuilder {
    /// Sets how many failures in a row eject at once. `None` turns it off. Default: 5, which chance alone hardly ever makes.
    pub fn consecutive_failures(mut self, failures: impl Into<Option<u32>>) -> Self {
        self.policy.consecutive_failures = failures.into();
        self
    }

    /// Sets how far below the others is too far. `None` turns it off. Default: [`SuccessRate::default`].
    pub fn success_rate(mut self, policy: impl Into<Option<SuccessRate>>) -> Self {
        self.policy.success_rate = policy.into();
        self
    }

    /// Sets which share of failures is too much. Default: `None`. What makes most calls fail makes five in a row fail as well.
    pub fn failure_percentage(mut self, policy: impl Into<Option<FailurePercentage>>) -> Self {
        self.policy.failure_percentage = policy.into();
        self
    }

    /// Sets how far the sweeps are apart which compare endpoints. Default: 10 s. A shorter one needs more calls to have enough to
    /// compare; a longer one lets an outlier go on longer.
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.policy.interval = interval;
        self
    }

    /// Sets how long the first ejection lasts; the nth lasts n times as long. Default: 30 s, about what a restart takes.
    pub const fn base_ejection(mut self, base: Duration) -> Self {
        self.policy.base_ejection = base;
        self
    }

    /// Sets the longest ejection. Default: 300 s, or the base if that is longer. An endpoint that was mended is found out by
    /// nothing but being tried.
    pub const fn max_ejection(mut self, max: Duration) -> Self {
        self.policy.max_ejection = Some(max);
        self
    }

    /// Sets which share of the endpoints may be ejected at a time, from 1 to 100 percent; one always may. Default: 10. Where more
    /// than a few fail, the cause is likely to be common, and those that are left could not take the load.
    pub const fn max_ejected_percent(mut self, percent: u8) -> Self {
        self.policy.max_ejected_percent = percent;
        self
    }

    /// Counts a call as a failure that was dropped when its response was due for so long. Default: never, because a caller may go
    /// for reasons of its own, and the clock has to be looked at for every call.
    ///
    /// For a detector that stands below a timeout or a hedge. Give it somewhat less than the timeout.
    pub const fn fail_cancelled_after(mut self, limit: Duration) -> Self {
        self.policy.cancelled_after = Some(limit);
        self
    }

    /// The detector, of no endpoints as yet.
    ///
    /// # Errors
    ///
    /// If a count or a duration is 0, a percentage is not from 1 to 100, the deviations are not a number above 0, or the longest
    /// ejection is shorter than the base. The error names which.
    pub fn build(self) -> Result<OutlierDetector, ConfigError> {
        self.policy.check()?;
        Ok(OutlierDetector::with(self.policy))
    }
}

/// What a detector, its layers and the calls under way have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) policy: Policy,
    /// What `due` counts from.
    origin: Instant,
    /// When there is something to do again, in nanoseconds. Written under the lock of the table, and read without it.
    due: AtomicU64,
    /// Written under the lock of the table, and read without it.
    ejected: AtomicUsize,
    table: Mutex<Table>,
    pub(super) changes: watch::Sender<()>,
}

#[derive(Debug)]
pub(super) struct Table {
    book: Book,
    /// By the indices of the book.
    seats: Vec<Seat>,
    next_id: u64,
}

#[derive(Debug)]
struct Seat {
    endpoint: Endpoint,
    core: Arc<Core>,
    member: Weak<Member>,
}

/// An endpoint is in the set for as long as one of these is there.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) core: Arc<Core>,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.core.shared.leave(self.core.id);
    }
}

/// A change that took effect, to be told when the lock is free.
struct Event {
    change: Change,
    endpoint: Endpoint,
}

impl Shared {
    fn new(policy: Policy, now: Instant) -> Self {
        let shared = Self {
            policy,
            origin: now,
            due: AtomicU64::new(0),
            ejected: AtomicUsize::new(0),
            table: Mutex::new(Table {
                book: Book::new(policy, now),
                seats: Vec::new(),
                next_id: 0,
            }),
            changes: watch::Sender::default(),
        };
        shared.publish(&shared.table());
        shared
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(self: &Arc<Self>, endpoint: &Endpoint) -> Arc<Member> {
        let now = Instant::now();
        let mut table = self.table();
        let known = table
            .seats
            .iter()
            .position(|seat| seat.endpoint.is(endpoint));
        let mut events = Vec::new();
        if let Some(index) = known {
            if let Some(member) = table.seats[index].member.upgrade() {
                return member;
            }
            // Its last member is about to take it from the table, and finds that done.
            events = self.remove(&mut table, index, now);
        }
        let id = table.next_id;
        table.next_id += 1;
        let core = Arc::new(Core::new(Arc::clone(self), id));
        let member = Arc::new(Member {
            core: Arc::clone(&core),
        });
        table.book.join(now);
        table.seats.push(Seat {
            endpoint: endpoint.clone(),
            core,
            member: Arc::downgrade(&member),
        });
        self.finish(table, &events);
        member
    }

    fn leave(&self, id: u64) {
        let mut table = self.table();
        if let Some(index) = table.index(id) {
            let events = self.remove(&mut table, index, Instant::now());
            self.finish(table, &events);
        }
    }

    fn remove(&self, table: &mut Table, index: usize, now: Instant) -> Vec<Event> {
        // Nobody is left to bring it back.
        let last = table.book.restore(index, now);
        let mut events = table.apply(last);
        let changes = table.book.leave(index, now);
        table.seats.swap_remove(index);
        events.extend(table.apply(changes));
        events
    }

    /// Sweeps if it is time, unless somebody else is at it. Costs a look at the clock.
    pub(super) fn look(&self) {
        let now = Instant::now();
        if self.nanos(now) < self.due.load(Ordering::Relaxed) {
            return;
        }
        match self.table.try_lock() {
            Ok(table) => self.advance(table, now),
            Err(TryLockError::Poisoned(table)) => self.advance(table.into_inner(), now),
            Err(TryLockError::WouldBlock) => {}
        }
    }

    /// The same where the clock is only worth a look while somebody waits to come back.
    pub(super) fn look_if_ejected(&self) {
        if self.ejected.load(Ordering::Relaxed) > 0 {
            self.look();
        }
    }

    /// Sweeps if it is time, and answers when the next time is.
    pub(super) fn sweep(&self, now: Instant) -> Instant {
        if self.nanos(now) >= self.due.load(Ordering::Relaxed) {
            self.advance(self.table(), now);
        }
        self.table().book.due()
    }

    fn advance(&self, mut table: MutexGuard<'_, Table>, now: Instant) {
        let Table { book, seats, .. } = &mut *table;
        let changes = book.advance(now, |index| seats[index].core.drain());
        let events = table.apply(changes);
        self.finish(table, &events);
    }

    /// The endpoint of that id failed too often in a row, in that generation.
    pub(super) fn failed_in_a_row(&self, id: u64, generation: u32) {
        let mut table = self.table();
        let Some(index) = table.index(id) else { return };
        // A sweep may have come first, or even a return.
        if table.seats[index].core.streak.generation() != generation {
            return;
        }
        let change = table.book.failed_in_a_row(index, Instant::now());
        let events = table.apply(change);
        self.finish(table, &events);
    }

    fn restore(&self, mut table: MutexGuard<'_, Table>, indices: std::ops::Range<usize>) -> bool {
        let now = Instant::now();
        let book = &mut table.book;
        let changes: Vec<_> = indices
            .filter_map(|index| book.restore(index, now))
            .collect();
        let events = table.apply(changes);
        self.finish(table, &events);
        !events.is_empty()
    }

    /// Lets go of the table, and tells what changed in it.
    fn finish(&self, table: MutexGuard<'_, Table>, events: &[Event]) {
        self.publish(&table);
        drop(table);
        let mut is_news = false;
        for Event { change, endpoint } in events {
            let endpoint = endpoint.name();
            match change {
                Change::Ejected { cause, lasts, .. } => {
                    tracing::warn!(endpoint, cause = cause.as_str(), ?lasts, "outlier: ejected");
                    is_news = true;
                }
                Change::Restored { .. } => {
                    tracing::info!(endpoint, "outlier: back");
                    is_news = true;
                }
                Change::Spared { cause, .. } => tracing::debug!(
                    endpoint,
                    cause = cause.as_str(),
                    "outlier: not ejected, as no more may be"
                ),
            }
        }
        if is_news {
            self.changes.send_replace(());
        }
    }

    fn publish(&self, table: &Table) {
        self.due
            .store(self.nanos(table.book.due()), Ordering::Relaxed);
        self.ejected.store(table.book.ejected(), Ordering::Relaxed);
    }

    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.origin).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}

impl Table {
    fn index(&self, id: u64) -> Option<usize> {
        self.seats.iter().position(|seat| seat.core.id == id)
    }

    /// Makes changes of the book true of the endpoints. Under the lock, so that never more are marked than may be.
    fn apply(&self, changes: impl IntoIterator<Item = Change>) -> Vec<Event> {
        let apply = |change: Change| {
            let (index, ejected) = match change {
                Change::Ejected { index, .. } => (index, Some(true)),
                Change::Restored { index } => (index, Some(false)),
                Change::Spared { index, .. } => (index, None),
            };
            let Seat { endpoint, core, .. } = &self.seats[index];
            if let Some(ejected) = ejected {
                // Calls that are under way know nothing of what comes now, so they do not count in it.
                core.streak.turn();
                core.drain();
                endpoint.set_unfit(Unfit::Ejected, ejected);
            }
            Event {
                change,
                endpoint: endpoint.clone(),
            }
        };
        changes.into_iter().map(apply).collect()
    }
}
