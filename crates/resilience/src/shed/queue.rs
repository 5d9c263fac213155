//! Who waits, and whose turn it is.

use std::{collections::BTreeMap, task::Waker, time::Duration};

use tokio::time::Instant;

use super::codel::Codel;

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) codel: Codel,
    next_ticket: u64,
    /// By ticket, so that the first is the oldest.
    pub(super) waiting: BTreeMap<u64, Waiter>,
    /// What has been decided of those who do not know yet.
    pub(super) settled: BTreeMap<u64, Settled>,
    pub(super) shed: u64,
}

#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) since: Instant,
    pub(super) waker: Waker,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Settled {
    Granted,
    Shed { waited: Duration },
}

impl Queue {
    pub(super) const fn new(codel: Codel) -> Self {
        Self {
            codel,
            next_ticket: 0,
            waiting: BTreeMap::new(),
            settled: BTreeMap::new(),
            shed: 0,
        }
    }

    pub(super) fn enter(&mut self, now: Instant, waker: Waker) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.insert(ticket, Waiter { since: now, waker });
        ticket
    }

    /// Grants a place to whose turn it is, after it has shed whoever waited for too long. Says whether there was somebody.
    pub(super) fn grant(&mut self, now: Instant, wakers: &mut Vec<Waker>) -> bool {
        if let Some(oldest) = self.waiting.first_entry() {
            let delay = now.saturating_duration_since(oldest.get().since);
            self.codel.observe(now, delay);
        }
        // All but the last: a place is free, and better used than not.
        while self.waiting.len() > 1 {
            let Some(oldest) = self.waiting.first_entry() else {
                break;
            };
            let waited = now.saturating_duration_since(oldest.get().since);
            if !self.codel.is_overdue(now, waited) {
                break;
            }
            let (ticket, waiter) = oldest.remove_entry();
            self.settle_shed(ticket, waited);
            wakers.push(waiter.waker);
        }
        // Who came last has the most time left; in turn, each would be served when it is nearly out of it.
        let next = if self.codel.is_overloaded(now) {
            self.waiting.pop_last()
        } else {
            self.waiting.pop_first()
        };
        let Some((ticket, waiter)) = next else {
            return false;
        };
        self.settled.insert(ticket, Settled::Granted);
        wakers.push(waiter.waker);
        true
    }

    /// Sheds the oldest, if the queue is a standing one. The waker is for when the lock is gone.
    pub(super) fn evict(&mut self, now: Instant) -> Option<Waker> {
        let oldest = self.waiting.first_entry()?;
        let waited = now.saturating_duration_since(oldest.get().since);
        self.codel.observe(now, waited);
        if !self.codel.is_overloaded(now) {
            return None;
        }
        let (ticket, waiter) = oldest.remove_entry();
        self.settle_shed(ticket, waited);
        Some(waiter.waker)
    }

    fn settle_shed(&mut self, ticket: u64, waited: Duration) {
        self.shed += 1;
        self.settled.insert(ticket, Settled::Shed { waited });
    }
}
