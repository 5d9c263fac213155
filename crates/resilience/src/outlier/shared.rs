//! What a detector, its layers and their calls share: the table of endpoints behind one lock, and what is read without it.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::{sync::watch, time::Instant};

use crate::endpoint::{Endpoint, Unfit};

use super::{
    detector::OutlierStatus,
    policy::Policy,
    record::Core,
    state::{Book, Change},
};

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
    pub(super) fn new(policy: Policy, now: Instant) -> Self {
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

    pub(super) fn join(self: &Arc<Self>, endpoint: &Endpoint) -> Arc<Member> {
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
        if self.ejected() > 0 {
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

    pub(super) fn snapshot(&self) -> Vec<OutlierStatus> {
        let now = Instant::now();
        self.sweep(now);
        let table = self.table();
        let status = |(index, seat): (usize, &Seat)| {
            OutlierStatus::new(seat.endpoint.clone(), table.book.standing(index, now), now)
        };
        table.seats.iter().enumerate().map(status).collect()
    }

    pub(super) fn ejected(&self) -> usize {
        self.ejected.load(Ordering::Relaxed)
    }

    pub(super) fn restore(&self, endpoint: &Endpoint) -> bool {
        let table = self.table();
        let index = table
            .seats
            .iter()
            .position(|seat| seat.endpoint.is(endpoint));
        index.is_some_and(|index| self.restore_range(table, index..index + 1))
    }

    pub(super) fn restore_all(&self) -> bool {
        let table = self.table();
        let all = 0..table.seats.len();
        self.restore_range(table, all)
    }

    fn restore_range(&self, mut table: MutexGuard<'_, Table>, indices: Range<usize>) -> bool {
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
