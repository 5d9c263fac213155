//! The end of a request, and what becomes of its connection.

use std::hash::Hash;

use tokio::time::Instant;

use super::{Action, Actions, ConnId, Core, Speaks, State, Why, is_expired};

impl<K, T, W, F> Core<K, T, W, F>
where
    K: Clone + Eq + Hash,
    T: Clone,
    F: Clone,
{
    /// A request is over, and its connection will be released in a moment: nobody needs another one in its place.
    pub(crate) fn returning(&mut self, id: ConnId) {
        let Some(open) = self.open(id) else { return };
        if !std::mem::replace(&mut open.is_returning, true) {
            let origin = self.slots[id.at].origin;
            self.origins[origin].returning += 1;
        }
    }

    /// It takes longer than that.
    pub(crate) fn delayed(&mut self, id: ConnId, actions: &mut Actions<K, T, W>) {
        if self.open(id).is_some() {
            self.expect_no_more(id.at);
            self.fill(self.slots[id.at].origin, actions);
        }
    }

    pub(super) fn expect_no_more(&mut self, at: usize) {
        let slot = &mut self.slots[at];
        if let State::Open(open) = &mut slot.state {
            if std::mem::take(&mut open.is_returning) {
                self.origins[slot.origin].returning -= 1;
            }
        }
    }

    /// A request is over. With `reuse`, its connection takes another one.
    pub(crate) fn release(
        &mut self,
        id: ConnId,
        reuse: bool,
        now: Instant,
        actions: &mut Actions<K, T, W>,
    ) {
        self.leases -= 1;
        let limit = self.limits.requests;
        let Some(open) = self.open(id) else { return };
        open.active -= 1;
        let was_returning = std::mem::take(&mut open.is_returning);
        let is_spent = !reuse && open.speaks == Speaks::Http1;
        let is_over = !reuse || open.is_retired || is_expired(open, limit, now);
        let origin = self.slots[id.at].origin;
        self.origins[origin].returning -= usize::from(was_returning);
        if is_spent {
            self.close(id.at, Why::Spent, actions);
        } else if is_over {
            return self.retire(id, actions);
        } else {
            self.offer(id.at, now, actions);
        }
        self.fill(origin, actions);
    }

    /// The connection takes no new request, and is closed after those that it carries.
    pub(crate) fn retire(&mut self, id: ConnId, actions: &mut Actions<K, T, W>) {
        let Some(open) = self.open(id) else { return };
        open.is_retired = true;
        let is_unused = open.active == 0;
        let origin = self.slots[id.at].origin;
        self.origins[origin].http2.retain(|&at| at != id.at);
        if is_unused {
            self.close(id.at, Why::Retired, actions);
        }
        self.fill(origin, actions);
    }

    /// A request is over, and its HTTP/1.1 connection speaks something else now.
    pub(crate) fn upgraded(&mut self, id: ConnId, actions: &mut Actions<K, T, W>) {
        self.leases -= 1;
        if self.open(id).is_none() {
            return;
        }
        self.delayed(id, actions);
        let state = std::mem::replace(&mut self.slots[id.at].state, State::Upgraded);
        if let State::Open(open) = state {
            actions.push(Action::Drop { conn: open.conn });
        }
    }
}
