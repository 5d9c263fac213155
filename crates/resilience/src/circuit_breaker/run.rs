//! How many calls failed in a row.

use crate::sync::atomic::{AtomicU64, Ordering};

/// A run of failures and the generation it belongs to, in one word: so a result of an earlier generation, however late it comes, is
/// never part of a later run.
#[derive(Debug)]
pub(super) struct Run(AtomicU64);

impl Run {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// A call of `generation` failed. The length of the run with it, or 0 if that generation is over.
    // Relaxed throughout: the word guards no other memory.
    pub(super) fn failed(&self, generation: u32) -> u32 {
        let longer = |word| {
            let (of, length) = unpack(word);
            (of == generation).then(|| pack(of, length.saturating_add(1)))
        };
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, longer)
            .map_or(0, |word| unpack(word).1.saturating_add(1))
    }

    /// A call of `generation` succeeded. Writes only if there was a run to end.
    pub(super) fn succeeded(&self, generation: u32) {
        let ended = |word| {
            let (of, length) = unpack(word);
            (of == generation && length > 0).then(|| pack(of, 0))
        };
        // Failing to end a run means that there was none.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, ended);
    }

    /// Another generation begins, without a run.
    pub(super) fn begin(&self, generation: u32) {
        // A swap, so that it has its place among the other updates, which are all read-modify-writes.
        self.0.swap(pack(generation, 0), Ordering::Relaxed);
    }
}

const fn pack(generation: u32, length: u32) -> u64 {
    (generation as u64) << 32 | length as u64
}

#[expect(clippy::cast_possible_truncation, reason = "the halves of the word")]
const fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

#[cfg(all(test, not(bartizan_loom)))]
mod tests {
    use super::*;

    #[test]
    fn counts_failures_in_a_row() {
        let run = Run::new();
        assert_eq!([run.failed(0), run.failed(0)], [1, 2]);
        run.succeeded(0);
        assert_eq!(run.failed(0), 1);
    }

    #[test]
    fn what_belongs_to_another_generation_changes_nothing() {
        let run = Run::new();
        run.begin(7);
        assert_eq!(run.failed(6), 0);
        assert_eq!(run.failed(7), 1);
        run.succeeded(6);
        assert_eq!(run.failed(7), 2);
    }
}

#[cfg(all(test, bartizan_loom))]
mod loom_tests {
    use loom::{sync::Arc, thread};

    use super::*;

    #[test]
    fn loom_no_failure_in_a_row_is_lost() {
        loom::model(|| {
            let run = Arc::new(Run::new());
            let other = Arc::clone(&run);
            let failing = thread::spawn(move || other.failed(0));
            let lengths = [run.failed(0), failing.join().expect("no panic")];
            assert_eq!(lengths.iter().max(), Some(&2));
        });
    }

    #[test]
    fn loom_a_late_failure_is_not_part_of_the_next_generation() {
        loom::model(|| {
            let run = Arc::new(Run::new());
            let late = Arc::clone(&run);
            let failing = thread::spawn(move || late.failed(0));
            run.begin(1);
            failing.join().expect("no panic");
            assert_eq!(run.failed(1), 1);
        });
    }
}
