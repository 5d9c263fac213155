//! Unused connections: which are kept, and for how long.

use std::{hash::Hash, time::Duration};

use tokio::time::Instant;

use super::{Actions, Census, Core, Speaks, State, Waiting, Why};

/// How long an origin without connections is remembered at most: what it speaks is soon learnt anew, and there may be many.
const MEMORY: Duration = Duration::from_secs(600);

impl<K, T, W, F> Core<K, T, W, F>
where
    K: Clone + Eq + Hash,
    T: Clone,
    F: Clone,
{
    /// Keeps a connection that carries nothing, unless there are enough of them.
    pub(super) fn keep(&mut self, at: usize, now: Instant, actions: &mut Actions<K, T, W>) {
        if self.lacks_room() {
            return self.close(at, Why::Room, actions);
        }
        let slot = &mut self.slots[at];
        let origin = &mut self.origins[slot.origin];
        if origin.idle_count >= self.limits.idle_per_origin {
            return self.close(at, Why::Room, actions);
        }
        slot.idle_since = now;
        origin.last_used = now;
        origin.idle_count += 1;
        if matches!(&slot.state, State::Open(open) if open.speaks == Speaks::Http1) {
            origin.idle.push_back(at);
        }
        self.idle.push_back(&mut self.slots, at);
        while self.idle.len() > self.limits.idle_total {
            let Some(oldest) = self.idle.first() else {
                return;
            };
            self.close(oldest, Why::Room, actions);
        }
    }

    /// Takes a connection out of the unused ones, if it is one.
    pub(super) fn unlink_idle(&mut self, at: usize) {
        if !self.idle.remove(&mut self.slots, at) {
            return;
        }
        let origin = &mut self.origins[self.slots[at].origin];
        origin.idle_count -= 1;
        // The most recently used is taken nearly always, and the least recently used nearly always else.
        if origin.idle.back() == Some(&at) {
            origin.idle.pop_back();
        } else if let Some(place) = origin.idle.iter().position(|&other| other == at) {
            origin.idle.remove(place);
        }
    }

    /// Closes what is over, and forgets origins that nobody asks for. Answers whether anything is left to sweep.
    pub(crate) fn sweep(&mut self, now: Instant, actions: &mut Actions<K, T, W>) -> bool {
        let over: Vec<_> = self
            .slots
            .iter()
            .filter_map(|(at, _)| self.why_over(at, now).map(|why| (at, why)))
            .collect();
        for (at, why) in over {
            match &self.slots[at].state {
                State::Open(open) if open.active == 0 => {
                    self.close(at, why, actions);
                    self.fill(self.slots[at].origin, actions);
                }
                // An HTTP/1.1 connection is asked again when its request is over.
                State::Open(open) if open.speaks == Speaks::Http2 => {
                    let id = self.id(at);
                    self.retire(id, actions);
                }
                _ => {}
            }
        }
        let timeout = self.limits.idle_timeout.min(MEMORY);
        let by_key = &mut self.by_key;
        self.origins.retain(|_, origin| {
            let is_needed = origin.slots > 0
                || !origin.queue.is_empty()
                || origin.is_starved
                || now.saturating_duration_since(origin.last_used) < timeout;
            if !is_needed {
                by_key.remove(&origin.key);
            }
            is_needed
        });
        !(self.origins.is_empty() && self.slots.is_empty())
    }

    /// Closes every unused connection. Answers how many.
    pub(crate) fn close_idle(&mut self, actions: &mut Actions<K, T, W>) -> usize {
        let mut closed = 0;
        while let Some(oldest) = self.idle.first() {
            self.close(oldest, Why::Asked, actions);
            self.fill(self.slots[oldest].origin, actions);
            closed += 1;
        }
        closed
    }

    /// Takes no more requests: who waits is told, and every connection is closed after the requests that it carries.
    pub(crate) fn drain(&mut self, failure: &F, actions: &mut Actions<K, T, W>) {
        self.is_draining = true;
        self.close_idle(actions);
        let open: Vec<_> = self.slots.iter().map(|(at, _)| self.id(at)).collect();
        for id in open {
            self.retire(id, actions);
        }
        let waiting: Vec<_> = self
            .waiters
            .iter()
            .filter(|(_, waiter)| matches!(waiter.state, Waiting::Queued(_)))
            .map(|(at, waiter)| (at, waiter.origin))
            .collect();
        for (waiter, origin) in waiting {
            let queue = &mut self.origins[origin].queue;
            queue.remove(&mut self.waiters, waiter);
            self.tell(waiter, Waiting::Failed(failure.clone()), actions);
        }
    }

    /// Closes every connection, whatever it carries.
    pub(crate) fn cut(&mut self, actions: &mut Actions<K, T, W>) {
        let all: Vec<_> = self.slots.iter().map(|(at, _)| at).collect();
        for at in all {
            if matches!(self.slots[at].state, State::Open(_)) {
                self.close(at, Why::Cut, actions);
            }
        }
    }

    pub(crate) fn census(&self) -> Census {
        Census {
            origins: self.origins.len(),
            dialing: self.dialing,
            idle: self.idle.len(),
            in_use: self.slots.len() - self.dialing - self.closing - self.idle.len(),
            closing: self.closing,
            leases: self.leases,
            waiting: self.origins.iter().map(|(_, o)| o.queue.len()).sum(),
            counts: self.counts,
        }
    }

    pub(crate) const fn is_draining(&self) -> bool {
        self.is_draining
    }

    /// Whether no request is under way and no connection is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.leases == 0 && self.slots.is_empty()
    }
}
