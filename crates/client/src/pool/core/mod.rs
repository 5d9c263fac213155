//! Who gets which connection, who waits, and when another one is made or closed: all of the pool's decisions, and no I/O.
//!
//! A [`Core`] is a plain value behind one lock. Each method takes what has happened and the time it is, and leaves [`Action`]s that
//! its shell carries out once the lock is free: only so is it certain that no waker, connector or observer ever runs under it.
//!
//! What holds after every method:
//!
//! - A connection counts from the start of its dial until its socket is gone, so no cap is ever exceeded.
//! - Where somebody waits there is no unused connection, unless the waiter has asked for one that was not idle.
//! - Where somebody waits, a dial is under way, or a connection is closing to make room for one or about to come free, or a cap stands in
//!   the way and every connection under it is in use.
//! - Waiters of one origin are served in the order they came. One that asks for a connection that was not idle comes first: it has
//!   waited before.

mod finish;
mod grow;
mod keep;
mod list;
#[cfg(test)]
mod tests;
mod words;

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

use slab::Slab;
use tokio::time::Instant;

use self::list::{Linked, Links, List};
pub(crate) use self::words::{
    Acquired, Action, Actions, Census, ConnId, Counts, Grant, Limits, Refused, Speaks, WaiterId,
    Why,
};

/// Of keys, connections, wakers and failures that it does not look into.
#[derive(Debug)]
pub(crate) struct Core<K, T, W, F> {
    limits: Limits,
    by_key: HashMap<K, usize>,
    origins: Slab<Origin<K>>,
    slots: Slab<Slot<T>>,
    waiters: Slab<Waiter<T, W, F>>,
    /// Unused connections of all origins, the least recently used first.
    idle: List,
    /// Origins that need a connection and have room for it, while the pool has none. Each once.
    starved: VecDeque<usize>,
    /// The origin that was asked for last.
    latest: usize,
    serial: u64,
    dialing: usize,
    closing: usize,
    leases: usize,
    counts: Counts,
    is_draining: bool,
}

#[derive(Debug)]
struct Origin<K> {
    key: K,
    /// `None` until a connection has said it.
    speaks: Option<Speaks>,
    /// Nobody waits any longer for the first dial to say it.
    is_impatient: bool,
    /// Unused HTTP/1.1 connections, the most recently used last.
    idle: VecDeque<usize>,
    /// HTTP/2 connections that take new streams.
    http2: Vec<usize>,
    queue: List,
    /// Connections that count, in every state.
    slots: usize,
    dialing: usize,
    closing: usize,
    /// Connections that are about to come free.
    returning: usize,
    /// Unused connections, of both protocols.
    idle_count: usize,
    /// How many streams its connections took when last heard.
    streams: Option<usize>,
    is_starved: bool,
    last_used: Instant,
}

#[derive(Debug)]
struct Slot<T> {
    serial: u64,
    origin: usize,
    state: State<T>,
    idle: Links,
    idle_since: Instant,
}

impl<T> Linked for Slot<T> {
    fn links(&mut self) -> &mut Links {
        &mut self.idle
    }
}

#[derive(Debug)]
enum State<T> {
    Dialing {
        /// Whoever had joined the queue by then may have waited for this.
        serial: u64,
        /// It was asked for by those who have no request yet.
        is_ahead: bool,
    },
    Open(Open<T>),
    Closing,
    /// No longer the pool's, though its socket counts.
    Upgraded,
}

#[derive(Debug)]
struct Open<T> {
    conn: T,
    speaks: Speaks,
    /// Requests that it carries.
    active: usize,
    /// How many it may carry at once.
    streams: usize,
    /// Whether the peer has said so.
    is_told: bool,
    /// How many it was given.
    requests: u64,
    expires: Option<Instant>,
    /// It takes no new request, and is closed after the last.
    is_retired: bool,
    /// Its request is over but for a moment.
    is_returning: bool,
}

impl<T> Open<T> {
    fn room(&self) -> usize {
        if self.is_retired {
            0
        } else {
            self.streams.saturating_sub(self.active)
        }
    }
}

#[derive(Debug)]
struct Waiter<T, W, F> {
    origin: usize,
    serial: u64,
    links: Links,
    state: Waiting<T, W, F>,
}

impl<T, W, F> Linked for Waiter<T, W, F> {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
}

#[derive(Debug)]
enum Waiting<T, W, F> {
    Queued(Option<W>),
    Granted(Grant<T>),
    Failed(F),
}

impl<K, T, W, F> Core<K, T, W, F>
where
    K: Clone + Eq + Hash,
    T: Clone,
    F: Clone,
{
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            by_key: HashMap::new(),
            origins: Slab::new(),
            slots: Slab::new(),
            waiters: Slab::new(),
            idle: List::new(),
            starved: VecDeque::new(),
            latest: 0,
            serial: 0,
            dialing: 0,
            closing: 0,
            leases: 0,
            counts: Counts::default(),
            is_draining: false,
        }
    }

    /// A connection of the origin that was asked for last, if `is_it` and if there is one at once.
    ///
    /// Most requests go where the one before went, and to find that out is cheaper than to find an origin by its key.
    #[inline]
    pub(crate) fn again(
        &mut self,
        is_it: impl FnOnce(&K) -> bool,
        now: Instant,
        actions: &mut Actions<K, T, W>,
    ) -> Option<Grant<T>> {
        if self.is_draining {
            return None;
        }
        let latest = self.latest;
        // That one may be forgotten, and another in its place: the key says.
        let origin = self.origins.get_mut(latest)?;
        if !is_it(&origin.key) {
            return None;
        }
        origin.last_used = now;
        let at = self.pick(latest, now, actions)?;
        Some(self.grant(at))
    }

    /// A connection, or a place in the queue for one.
    ///
    /// `speaks` is what the origin is known to speak from the start, if anything. `fresh` asks for a connection that was not idle,
    /// ahead of all others.
    pub(crate) fn acquire(
        &mut self,
        key: &K,
        speaks: Option<Speaks>,
        fresh: bool,
        now: Instant,
        actions: &mut Actions<K, T, W>,
    ) -> Result<Acquired<T>, Refused> {
        if self.is_draining {
            return Err(Refused::Draining);
        }
        let origin = self.origin(key, speaks, now);
        if !fresh {
            if let Some(at) = self.pick(origin, now, actions) {
                return Ok(Acquired::Now(self.grant(at)));
            }
        }
        if self.origins[origin].queue.len() >= self.limits.waiting {
            self.counts.refused += 1;
            return Err(Refused::QueueFull);
        }
        self.counts.waited += 1;
        // Equal to the one before, and perhaps more patient: dials are made as those want who wait for them.
        self.origins[origin].key = key.clone();
        let serial = self.next_serial();
        let at = self.waiters.insert(Waiter {
            origin,
            serial,
            links: Links::default(),
            state: Waiting::Queued(None),
        });
        let queue = &mut self.origins[origin].queue;
        if fresh {
            queue.push_front(&mut self.waiters, at);
        } else {
            queue.push_back(&mut self.waiters, at);
        }
        self.fill(origin, actions);
        Ok(Acquired::Later(WaiterId(at)))
    }

    /// What became of a waiter, if anything did. Once, and the waiter is no more.
    pub(crate) fn take(&mut self, waiter: &WaiterId) -> Option<Result<Grant<T>, F>> {
        if matches!(self.waiters[waiter.0].state, Waiting::Queued(_)) {
            return None;
        }
        match self.waiters.remove(waiter.0).state {
            Waiting::Granted(grant) => Some(Ok(grant)),
            Waiting::Failed(failure) => Some(Err(failure)),
            Waiting::Queued(_) => None,
        }
    }

    /// Whom to wake when something becomes of a waiter. Answers the waker before, to be dropped without the lock.
    pub(crate) fn wake_by(&mut self, waiter: &WaiterId, waker: W) -> Option<W> {
        match &mut self.waiters[waiter.0].state {
            Waiting::Queued(slot) => slot.replace(waker),
            Waiting::Granted(_) | Waiting::Failed(_) => Some(waker),
        }
    }

    /// The waiter gives up. What it was granted in the meantime goes to the next.
    #[expect(clippy::needless_pass_by_value, reason = "it is spent")]
    pub(crate) fn cancel(
        &mut self,
        waiter: WaiterId,
        now: Instant,
        actions: &mut Actions<K, T, W>,
    ) {
        let Waiter { origin, links, .. } = &self.waiters[waiter.0];
        // The origin of one that is not in its queue may be forgotten.
        if links.is_linked() {
            let queue = &mut self.origins[*origin].queue;
            queue.remove(&mut self.waiters, waiter.0);
        }
        match self.waiters.remove(waiter.0).state {
            Waiting::Granted(grant) => {
                self.release(grant.id, true, now, actions);
                actions.push(Action::Drop { conn: grant.conn });
            }
            Waiting::Queued(Some(waker)) => {
                // Waking it is the way to drop it without the lock. It is the waker of a task that runs now, or is gone.
                actions.push(Action::Wake(waker));
            }
            Waiting::Queued(None) | Waiting::Failed(_) => {}
        }
    }

    /// How many streams an HTTP/2 connection takes at once, as its peer has said.
    pub(crate) fn set_streams(
        &mut self,
        id: ConnId,
        streams: usize,
        now: Instant,
        actions: &mut Actions<K, T, W>,
    ) {
        let streams = streams.min(self.limits.streams);
        let Some(open) = self.open(id) else { return };
        if open.speaks != Speaks::Http2 {
            return;
        }
        open.streams = streams;
        open.is_told = true;
        let (is_retired, is_idle) = (open.is_retired, open.active == 0);
        let origin = self.slots[id.at].origin;
        self.origins[origin].streams = Some(streams);
        if is_retired {
            return;
        }
        if is_idle {
            self.unlink_idle(id.at);
        }
        self.offer(id.at, now, actions);
        self.fill(origin, actions);
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn origin(&mut self, key: &K, speaks: Option<Speaks>, now: Instant) -> usize {
        if let Some(&at) = self.by_key.get(key) {
            self.origins[at].last_used = now;
            self.latest = at;
            return at;
        }
        let at = self.origins.insert(Origin {
            key: key.clone(),
            speaks,
            is_impatient: false,
            idle: VecDeque::new(),
            http2: Vec::new(),
            queue: List::new(),
            slots: 0,
            dialing: 0,
            closing: 0,
            returning: 0,
            idle_count: 0,
            streams: None,
            is_starved: false,
            last_used: now,
        });
        self.by_key.insert(key.clone(), at);
        self.latest = at;
        at
    }

    /// The connection, if its socket is there and nobody closes it.
    fn open(&mut self, id: ConnId) -> Option<&mut Open<T>> {
        match self.slots.get_mut(id.at) {
            Some(Slot {
                serial,
                state: State::Open(open),
                ..
            }) if *serial == id.serial => Some(open),
            _ => None,
        }
    }

    /// A connection that takes a request at once: the HTTP/2 one with the fewest streams, or the HTTP/1.1 one used last.
    fn pick(
        &mut self,
        origin: usize,
        now: Instant,
        actions: &mut Actions<K, T, W>,
    ) -> Option<usize> {
        while let Some(at) = self.least_loaded(origin) {
            if !self.is_over(at, now) {
                return Some(at);
            }
            let id = self.id(at);
            self.retire(id, actions);
        }
        while let Some(&at) = self.origins[origin].idle.back() {
            match self.why_over(at, now) {
                None => return Some(at),
                Some(why) => self.close(at, why, actions),
            }
        }
        None
    }

    fn least_loaded(&self, origin: usize) -> Option<usize> {
        let open = |&at: &usize| match &self.slots[at].state {
            State::Open(open) if open.room() > 0 => Some((open.active, at)),
            _ => None,
        };
        let http2 = self.origins[origin].http2.iter();
        http2.filter_map(open).min().map(|(_, at)| at)
    }

    fn is_over(&self, at: usize, now: Instant) -> bool {
        self.why_over(at, now).is_some()
    }

    /// Why a connection is not used again, if so.
    fn why_over(&self, at: usize, now: Instant) -> Option<Why> {
        let slot = &self.slots[at];
        let State::Open(open) = &slot.state else {
            return None;
        };
        if is_expired(open, self.limits.requests, now) {
            return Some(Why::Retired);
        }
        let idle_until = slot.idle_since.checked_add(self.limits.idle_timeout);
        let is_idle = slot.idle.is_linked() && idle_until.is_some_and(|until| until <= now);
        is_idle.then_some(Why::Idle)
    }

    fn id(&self, at: usize) -> ConnId {
        ConnId {
            at,
            serial: self.slots[at].serial,
        }
    }

    /// Gives `at` one more request. It has room.
    fn grant(&mut self, at: usize) -> Grant<T> {
        self.unlink_idle(at);
        self.leases += 1;
        let id = self.id(at);
        let State::Open(open) = &mut self.slots[at].state else {
            unreachable!("only an open connection has room");
        };
        open.active += 1;
        open.requests += 1;
        if open.requests > 1 {
            self.counts.reused += 1;
        }
        Grant {
            id,
            conn: open.conn.clone(),
            carried: open.requests - 1,
        }
    }

    /// Gives an open connection to those who wait, and keeps it if nobody does.
    fn offer(&mut self, at: usize, now: Instant, actions: &mut Actions<K, T, W>) {
        let origin = self.slots[at].origin;
        if self.owes_room(at) {
            return self.close(at, Why::Room, actions);
        }
        loop {
            let State::Open(open) = &self.slots[at].state else {
                return;
            };
            if open.room() == 0 {
                break;
            }
            let Some(head) = self.origins[origin].queue.first() else {
                break;
            };
            self.origins[origin].queue.remove(&mut self.waiters, head);
            let grant = self.grant(at);
            self.tell(head, Waiting::Granted(grant), actions);
        }
        if matches!(&self.slots[at].state, State::Open(open) if open.active == 0) {
            self.keep(at, now, actions);
        }
    }

    /// Tells a waiter that is no longer in the queue.
    fn tell(&mut self, waiter: usize, what: Waiting<T, W, F>, actions: &mut Actions<K, T, W>) {
        let state = std::mem::replace(&mut self.waiters[waiter].state, what);
        if let Waiting::Queued(Some(waker)) = state {
            actions.push(Action::Wake(waker));
        }
    }
}

fn is_expired<T>(open: &Open<T>, limit: u64, now: Instant) -> bool {
    open.requests >= limit || open.expires.is_some_and(|at| at <= now)
}
