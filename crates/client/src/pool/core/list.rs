//! A linked list of the entries of a slab: O(1) at both ends and in the middle, and no memory of its own.

use slab::Slab;

const NONE: usize = usize::MAX;

/// An entry's place in its list. An entry is in one list at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    before: usize,
    after: usize,
    is_linked: bool,
}

impl Links {
    pub(super) const fn is_linked(self) -> bool {
        self.is_linked
    }
}

impl Default for Links {
    fn default() -> Self {
        Self {
            before: NONE,
            after: NONE,
            is_linked: false,
        }
    }
}

pub(super) trait Linked {
    fn links(&mut self) -> &mut Links;
}

#[derive(Debug)]
pub(super) struct List {
    first: usize,
    last: usize,
    len: usize,
}

impl List {
    pub(super) const fn new() -> Self {
        Self {
            first: NONE,
            last: NONE,
            len: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn first(&self) -> Option<usize> {
        (self.first != NONE).then_some(self.first)
    }

    /// The entry after `at`.
    pub(super) fn after<E: Linked>(entries: &mut Slab<E>, at: usize) -> Option<usize> {
        let after = entries[at].links().after;
        (after != NONE).then_some(after)
    }

    pub(super) fn push_back<E: Linked>(&mut self, entries: &mut Slab<E>, at: usize) {
        *entries[at].links() = Links {
            before: self.last,
            after: NONE,
            is_linked: true,
        };
        match self.last {
            NONE => self.first = at,
            last => entries[last].links().after = at,
        }
        self.last = at;
        self.len += 1;
    }

    pub(super) fn push_front<E: Linked>(&mut self, entries: &mut Slab<E>, at: usize) {
        *entries[at].links() = Links {
            before: NONE,
            after: self.first,
            is_linked: true,
        };
        match self.first {
            NONE => self.last = at,
            first => entries[first].links().before = at,
        }
        self.first = at;
        self.len += 1;
    }

    /// Takes `at` out, if it is in.
    pub(super) fn remove<E: Linked>(&mut self, entries: &mut Slab<E>, at: usize) -> bool {
        let links = std::mem::take(entries[at].links());
        if !links.is_linked {
            return false;
        }
        match links.before {
            NONE => self.first = links.after,
            before => entries[before].links().after = links.after,
        }
        match links.after {
            NONE => self.last = links.before,
            after => entries[after].links().before = links.before,
        }
        self.len -= 1;
        true
    }
}
