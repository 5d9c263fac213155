//! The order of the targets, and which of them is current.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Shared by everything one layer made. Holds at least one target.
#[derive(Debug)]
pub(super) struct Route {
    names: Box<[String]>,
    current: AtomicUsize,
}

impl Route {
    pub(super) fn new(names: Vec<String>) -> Self {
        debug_assert!(!names.is_empty(), "builders refuse an empty list");
        Self {
            names: names.into(),
            current: AtomicUsize::new(0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn name(&self, target: usize) -> &str {
        &self.names[target]
    }

    // Relaxed here and below: the word guards no other memory.
    pub(super) fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }

    /// The target of the `n`th attempt of a call that began at `start`.
    pub(super) fn target(&self, start: usize, n: usize) -> usize {
        (start + n) % self.len()
    }

    /// A call that began at `start` was answered by `target`. Says whether that moved the current target.
    pub(super) fn answered(&self, start: usize, target: usize) -> bool {
        // The usual case writes nothing, so that cores do not fight over the line.
        start != target
            && self
                .current
                .compare_exchange(start, target, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// Reads the current target of a failover, from anywhere, at the cost of one atomic load.
#[derive(Clone, Debug)]
pub struct FailoverHandle {
    route: Arc<Route>,
}

impl FailoverHandle {
    pub(super) const fn new(route: Arc<Route>) -> Self {
        Self { route }
    }

    /// The index of the target where the next call starts, in the order in which the targets were given.
    pub fn current(&self) -> usize {
        self.route.current()
    }

    /// The name of that target: for HTTP, its URL.
    pub fn name(&self) -> &str {
        self.route.name(self.current())
    }

    /// The names of all targets, in their order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.route.names.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route() -> Route {
        Route::new(vec!["a".into(), "b".into(), "c".into()])
    }

    #[test]
    fn goes_round() {
        let route = route();
        assert_eq!([0, 1, 2].map(|n| route.target(2, n)), [2, 0, 1]);
    }

    #[test]
    fn sticks_to_what_answered() {
        let route = route();
        assert!(route.answered(0, 2));
        assert_eq!(route.current(), 2);
        assert!(!route.answered(2, 2));
        assert!(route.answered(2, 0));
        assert_eq!(route.current(), 0);
    }

    #[test]
    fn a_late_call_does_not_undo_what_others_learned() {
        let route = route();
        // Both began at 0. One found 1 answering; the other was slower, and ended at 2.
        assert!(route.answered(0, 1));
        assert!(!route.answered(0, 2));
        assert_eq!(route.current(), 1);
    }
}
