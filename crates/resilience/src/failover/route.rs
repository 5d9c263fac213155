//! The order of the targets, and which of them is current.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// Shared by everything one layer made. Holds at least one target.
#[derive(Debug)]
pub(super) struct Route {
    names: Box<[String]>,
    current: AtomicUsize,
    fail_back: Option<FailBack>,
}

/// When a target before the current one is tried again.
#[derive(Debug)]
struct FailBack {
    interval: Duration,
    /// What `due` is counted from.
    epoch: Instant,
    /// In nanoseconds.
    due: AtomicU64,
    /// How often one was tried, so that the next is the next one's turn.
    turns: AtomicUsize,
}

impl FailBack {
    fn new(interval: Duration) -> Self {
        Self {
            interval,
            epoch: Instant::now(),
            due: AtomicU64::new(0),
            turns: AtomicUsize::new(0),
        }
    }

    fn nanos(duration: Duration) -> u64 {
        u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The `due` of now, and the one after it.
    fn now_and_next(&self) -> (u64, u64) {
        let now = Self::nanos(self.epoch.elapsed());
        (now, now.saturating_add(Self::nanos(self.interval)))
    }
}

impl Route {
    pub(super) fn new(names: Vec<String>, fail_back: Option<Duration>) -> Self {
        debug_assert!(!names.is_empty(), "builders refuse an empty list");
        Self {
            names: names.into(),
            current: AtomicUsize::new(0),
            fail_back: fail_back.map(FailBack::new),
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

    /// The target of the `n`th attempt of a call that began at `start`, or tried `probe` before it.
    pub(super) fn target(&self, start: usize, probe: Option<usize>, n: usize) -> usize {
        let len = self.len();
        match (probe, n) {
            (None, _) => (start + n) % len,
            (Some(probe), 0) => probe,
            // Each is asked once: where its turn would come again, the one after it is asked.
            (Some(probe), _) => {
                let turn = (probe + len - start) % len;
                let skipped = usize::from(n > turn);
                (start + n - 1 + skipped) % len
            }
        }
    }

    /// A call that began at `start` was answered by `target`. Says whether that moved the current target.
    pub(super) fn answered(&self, start: usize, target: usize) -> bool {
        // The usual case writes nothing, so that cores do not fight over the line.
        if start == target {
            return false;
        }
        if let Some(fail_back) = &self.fail_back {
            // Before the move, so that nobody finds the new target with the old time.
            let (_, next) = fail_back.now_and_next();
            fail_back.due.store(next, Ordering::Relaxed);
        }
        self.current
            .compare_exchange(start, target, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// Whether a call that begins at `start` may try an earlier target first.
    pub(super) fn is_probe_due(&self, start: usize) -> bool {
        match &self.fail_back {
            // Where there is no earlier one, the clock is not looked at.
            Some(fail_back) if start > 0 => {
                let (now, _) = fail_back.now_and_next();
                fail_back.due.load(Ordering::Relaxed) <= now
            }
            _ => false,
        }
    }

    /// The earlier target that a call which begins at `start` is to try first. Of calls at the same time, one gets it.
    pub(super) fn claim_probe(&self, start: usize) -> Option<usize> {
        let fail_back = self.fail_back.as_ref().filter(|_| start > 0)?;
        let (now, next) = fail_back.now_and_next();
        let due = fail_back.due.load(Ordering::Relaxed);
        let is_claimed = due <= now
            && fail_back
                .due
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        is_claimed.then(|| fail_back.turns.fetch_add(1, Ordering::Relaxed) % start)
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
        Route::new(vec!["a".into(), "b".into(), "c".into()], None)
    }

    #[test]
    fn goes_round() {
        let route = route();
        assert_eq!([0, 1, 2].map(|n| route.target(2, None, n)), [2, 0, 1]);
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

    #[test]
    fn with_a_probe_each_is_still_asked_once() {
        for len in 1..6 {
            let names = (0..len).map(|n| n.to_string()).collect();
            let route = Route::new(names, None);
            for start in 0..len {
                for probe in 0..start {
                    let asked: Vec<_> = (0..len)
                        .map(|n| route.target(start, Some(probe), n))
                        .collect();
                    assert_eq!(asked[..2], [probe, start]);
                    let mut sorted = asked.clone();
                    sorted.sort_unstable();
                    assert_eq!(sorted, (0..len).collect::<Vec<_>>(), "{asked:?}");
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_per_interval_tries_the_earlier_ones_in_turn() {
        const INTERVAL: Duration = Duration::from_secs(30);

        let names = vec!["a".into(), "b".into(), "c".into()];
        let route = Route::new(names, Some(INTERVAL));
        assert!(!route.is_probe_due(0) && route.claim_probe(0).is_none());
        assert!(route.answered(0, 2));
        assert!(!route.is_probe_due(2) && route.claim_probe(2).is_none());
        for earlier in [0, 1, 0] {
            tokio::time::advance(INTERVAL).await;
            assert!(route.is_probe_due(2));
            assert_eq!(route.claim_probe(2), Some(earlier));
            assert!(!route.is_probe_due(2) && route.claim_probe(2).is_none());
        }
    }
}
