//! More connections, and fewer: dials, closes, and room under the caps.

use std::hash::Hash;

use tokio::time::Instant;

use super::{
    Action, Actions, ConnId, Core, List, Open, Slot, Speaks, State, Waiting, Why, list::Links,
};

impl<K, T, W, F> Core<K, T, W, F>
where
    K: Clone + Eq + Hash,
    T: Clone,
    F: Clone,
{
    /// A dial has come to a connection.
    pub(crate) fn dialed(
        &mut self,
        id: ConnId,
        conn: T,
        speaks: Speaks,
        expires: Option<Instant>,
        now: Instant,
        actions: &mut Actions<K, T, W>,
    ) {
        let slot = &mut self.slots[id.at];
        debug_assert_eq!(slot.serial, id.serial, "a dial ends once");
        let at = slot.origin;
        slot.state = State::Open(Open {
            conn,
            speaks,
            active: 0,
            // An HTTP/2 peer says how many with its first frame. Until then one, which it must take.
            streams: 1,
            is_told: speaks == Speaks::Http1,
            requests: 0,
            expires,
            is_retired: false,
            is_returning: false,
        });
        self.dialing -= 1;
        let origin = &mut self.origins[at];
        origin.dialing -= 1;
        origin.speaks = Some(speaks);
        if self.is_draining {
            return self.close(id.at, Why::Asked, actions);
        }
        if speaks == Speaks::Http2 {
            // Several were dialed before it was known that one would do.
            if origin.http2.len() >= self.limits.http2_per_origin {
                return self.close(id.at, Why::Room, actions);
            }
            origin.http2.push(id.at);
        }
        self.offer(id.at, now, actions);
        self.fill(at, actions);
    }

    /// A dial has come to nothing.
    ///
    /// Of several who waited when it began, all are told, unless the origin has other connections: they would only try the same
    /// again, one after the other. With other connections, the first of them is told.
    pub(crate) fn dial_failed(&mut self, id: ConnId, failure: &F, actions: &mut Actions<K, T, W>) {
        debug_assert_eq!(self.slots[id.at].serial, id.serial, "a dial ends once");
        let slot = self.slots.remove(id.at);
        let State::Dialing { serial, .. } = slot.state else {
            unreachable!("a dial ends once");
        };
        self.dialing -= 1;
        let origin = &mut self.origins[slot.origin];
        origin.dialing -= 1;
        origin.slots -= 1;
        let others = origin.slots - origin.dialing - origin.closing;
        let mut most = if others > 0 { 1 } else { usize::MAX };
        let mut next = origin.queue.first();
        while let Some(waiter) = next {
            next = List::after(&mut self.waiters, waiter);
            if self.waiters[waiter].serial > serial || most == 0 {
                continue;
            }
            most -= 1;
            let queue = &mut self.origins[slot.origin].queue;
            queue.remove(&mut self.waiters, waiter);
            self.tell(waiter, Waiting::Failed(failure.clone()), actions);
        }
        self.feed(actions);
        self.fill(slot.origin, actions);
    }

    /// The socket of a connection is gone, by whoever's doing.
    pub(crate) fn closed(&mut self, id: ConnId, actions: &mut Actions<K, T, W>) {
        match self.slots.get(id.at) {
            Some(slot) if slot.serial == id.serial => {}
            _ => return,
        }
        self.forget(id.at);
        let slot = self.slots.remove(id.at);
        let origin = &mut self.origins[slot.origin];
        origin.slots -= 1;
        match slot.state {
            State::Closing => {
                origin.closing -= 1;
                self.closing -= 1;
            }
            State::Dialing { .. } => {
                origin.dialing -= 1;
                self.dialing -= 1;
            }
            State::Open(open) => actions.push(Action::Drop { conn: open.conn }),
            State::Upgraded => {}
        }
        // In this order: the place belongs to whoever has stood in line for it.
        self.feed(actions);
        self.fill(slot.origin, actions);
    }

    /// A dial is about to begin. Answers whether it is needed no longer, and then it is as if it had never been: whoever waited for it
    /// has a connection that came free, or has gone away.
    pub(crate) fn is_spare(&mut self, id: ConnId, actions: &mut Actions<K, T, W>) -> bool {
        let slot = &self.slots[id.at];
        debug_assert_eq!(slot.serial, id.serial, "a dial begins before it ends");
        let at = slot.origin;
        let is_ahead = !matches!(
            slot.state,
            State::Dialing {
                is_ahead: false,
                ..
            }
        );
        if is_ahead || self.coming(at) <= self.needed(at) {
            return false;
        }
        self.slots.remove(id.at);
        let origin = &mut self.origins[at];
        origin.dialing -= 1;
        origin.slots -= 1;
        self.dialing -= 1;
        self.counts.dialed -= 1;
        self.feed(actions);
        true
    }

    /// The first dial of an origin takes long to say what it speaks: the others dial as well.
    pub(crate) fn hurry(&mut self, id: ConnId, actions: &mut Actions<K, T, W>) {
        let Some(slot) = self.slots.get(id.at).filter(|s| s.serial == id.serial) else {
            return;
        };
        let at = slot.origin;
        self.origins[at].is_impatient = true;
        self.fill(at, actions);
    }

    /// Dials until an origin has `wanted` connections, as far as the caps allow. Answers how many.
    pub(crate) fn prewarm(
        &mut self,
        key: &K,
        speaks: Option<Speaks>,
        wanted: usize,
        now: Instant,
        actions: &mut Actions<K, T, W>,
    ) -> usize {
        if self.is_draining {
            return 0;
        }
        let at = self.origin(key, speaks, now);
        let mut dialed = 0;
        loop {
            let origin = &self.origins[at];
            let wanted = match origin.speaks {
                Some(Speaks::Http2) => wanted.min(self.limits.http2_per_origin),
                _ => wanted,
            };
            if origin.slots - origin.closing >= wanted
                || origin.slots >= self.limits.per_origin
                || self.slots.len() >= self.limits.total
            {
                return dialed;
            }
            self.dial(at, true, actions);
            dialed += 1;
        }
    }

    /// Dials for those who wait, as far as the caps allow.
    pub(super) fn fill(&mut self, at: usize, actions: &mut Actions<K, T, W>) {
        if self.is_draining || self.origins[at].queue.is_empty() {
            return;
        }
        loop {
            let origin = &self.origins[at];
            let lacking = self.needed(at).saturating_sub(self.coming(at));
            if lacking == 0 {
                return;
            }
            if origin.speaks == Some(Speaks::Http2)
                && origin.http2.len() + origin.dialing >= self.limits.http2_per_origin
            {
                return;
            }
            if origin.slots >= self.limits.per_origin {
                // There is an unused one only where a waiter has asked for one that was not.
                let oldest = origin.idle.front().copied();
                match oldest {
                    Some(oldest) if origin.closing < lacking => {
                        self.close(oldest, Why::Room, actions);
                    }
                    _ => return,
                }
            } else if self.slots.len() >= self.limits.total {
                return self.starve(at, lacking, actions);
            } else {
                self.dial(at, false, actions);
            }
        }
    }

    /// How many dials those who wait need.
    fn needed(&self, at: usize) -> usize {
        let origin = &self.origins[at];
        let waiting = origin.queue.len();
        match origin.speaks {
            Some(Speaks::Http1) => waiting,
            Some(Speaks::Http2) => {
                waiting.div_ceil(origin.streams.unwrap_or(self.limits.streams).max(1))
            }
            None if origin.is_impatient => waiting,
            None => waiting.min(1),
        }
    }

    /// Connections that those who wait will have without another dial.
    fn coming(&self, at: usize) -> usize {
        let origin = &self.origins[at];
        origin.dialing + origin.returning + self.untold(at)
    }

    /// Connections whose peers have yet to say how many streams they take.
    pub(super) fn untold(&self, at: usize) -> usize {
        let is_untold =
            |&&at: &&usize| matches!(&self.slots[at].state, State::Open(open) if !open.is_told);
        self.origins[at].http2.iter().filter(is_untold).count()
    }

    fn dial(&mut self, at: usize, is_ahead: bool, actions: &mut Actions<K, T, W>) {
        let serial = self.next_serial();
        let origin = &mut self.origins[at];
        origin.dialing += 1;
        origin.slots += 1;
        self.dialing += 1;
        self.counts.dialed += 1;
        let slot = self.slots.insert(Slot {
            serial,
            origin: at,
            state: State::Dialing { serial, is_ahead },
            idle: Links::default(),
            idle_since: origin.last_used,
        });
        actions.push(Action::Dial {
            id: self.id(slot),
            key: self.origins[at].key.clone(),
        });
    }

    /// Puts an origin in line for the pool's next free place, and closes what nobody uses.
    fn starve(&mut self, at: usize, lacking: usize, actions: &mut Actions<K, T, W>) {
        if !self.origins[at].is_starved {
            self.origins[at].is_starved = true;
            self.starved.push_back(at);
        }
        self.make_room(lacking.max(self.in_line()), actions);
    }

    /// Closes unused connections until so many places are free soon.
    fn make_room(&mut self, places: usize, actions: &mut Actions<K, T, W>) {
        while self.closing < places {
            let Some(oldest) = self.idle.first() else {
                return;
            };
            self.close(oldest, Why::Room, actions);
        }
    }

    /// Gives free places of the pool to those in line for them.
    fn feed(&mut self, actions: &mut Actions<K, T, W>) {
        while self.slots.len() < self.limits.total {
            let Some(at) = self.starved.pop_front() else {
                return;
            };
            self.origins[at].is_starved = false;
            self.fill(at, actions);
        }
        self.make_room(self.in_line(), actions);
    }

    /// How many origins are in line for a place, and have somebody who waits for it.
    fn in_line(&self) -> usize {
        let waits = |&&origin: &&usize| !self.origins[origin].queue.is_empty();
        self.starved.iter().filter(waits).count()
    }

    /// Whether more origins are in line for a place than there are places about to be free.
    pub(super) fn lacks_room(&self) -> bool {
        !self.starved.is_empty()
            && self.slots.len() >= self.limits.total
            && self.closing < self.in_line()
    }

    /// Whether an unused connection has to make room for an origin whose first waiter came before any of its own.
    pub(super) fn owes_room(&self, at: usize) -> bool {
        if !self.lacks_room()
            || !matches!(&self.slots[at].state, State::Open(open) if open.active == 0)
        {
            return false;
        }
        let came = |origin: usize| {
            let head = self.origins[origin].queue.first();
            head.map(|waiter| self.waiters[waiter].serial)
        };
        let Some(theirs) = self.starved.iter().find_map(|&origin| came(origin)) else {
            return false;
        };
        came(self.slots[at].origin).is_none_or(|ours| theirs < ours)
    }

    /// Takes a connection out of every list of those that can be used.
    fn forget(&mut self, at: usize) {
        self.unlink_idle(at);
        self.expect_no_more(at);
        let origin = &mut self.origins[self.slots[at].origin];
        origin.http2.retain(|&other| other != at);
    }

    /// Closes a connection, whatever it carries. Its place is free when the socket is gone.
    pub(super) fn close(&mut self, at: usize, why: Why, actions: &mut Actions<K, T, W>) {
        if !matches!(self.slots[at].state, State::Open(_)) {
            return;
        }
        self.forget(at);
        let slot = &mut self.slots[at];
        if let State::Open(open) = std::mem::replace(&mut slot.state, State::Closing) {
            self.closing += 1;
            self.origins[slot.origin].closing += 1;
            actions.push(Action::Close {
                conn: open.conn,
                why,
            });
        }
    }
}
