//! Where calls write down how they ended: an atomic per thread for the rates, and one word per endpoint for the failures in a row.

use std::{fmt, sync::Arc};

use crate::{
    stripes::Stripes,
    sync::atomic::{AtomicU64, Ordering},
};

use super::{shared::Shared, state::Tally};

// Relaxed throughout: none of the words guards other memory.

/// One endpoint, as its calls see it. The detector decides about it elsewhere, under its lock.
pub(super) struct Core {
    pub(super) shared: Arc<Shared>,
    pub(super) id: u64,
    pub(super) streak: Streak,
    stripes: Stripes<Counts>,
}

/// The calls that ended since they were last taken.
#[derive(Debug, Default)]
struct Counts {
    successes: AtomicU64,
    failures: AtomicU64,
}

// Not all of it: the detector has it in its table, and it has the detector.
impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("streak", &self.streak)
            .finish_non_exhaustive()
    }
}

impl Core {
    pub(super) fn new(shared: Arc<Shared>, id: u64) -> Self {
        Self {
            shared,
            id,
            streak: Streak::new(),
            stripes: Stripes::new(Counts::default),
        }
    }

    /// Takes what was counted since it was last taken.
    pub(super) fn drain(&self) -> Tally {
        let mut tally = Tally::default();
        for stripe in self.stripes.iter() {
            tally.successes += stripe.successes.swap(0, Ordering::Relaxed);
            tally.failures += stripe.failures.swap(0, Ordering::Relaxed);
        }
        tally
    }

    /// A call of that generation succeeded.
    pub(super) fn succeeded(&self, generation: u32) {
        if !self.streak.succeeded(generation) {
            return;
        }
        let before = self.stripes.own().successes.fetch_add(1, Ordering::Relaxed);
        // The clock costs more than all the rest, and a sweep can wait for a few calls.
        if before % LOOK_EVERY == 0 {
            self.shared.look();
        }
    }

    /// A call of that generation failed.
    pub(super) fn failed(&self, generation: u32) {
        // First, so that the failure counts in the interval in which it came.
        self.shared.look();
        let limit = self.shared.policy.consecutive_failures;
        let run = self.streak.failed(generation, limit);
        if run == Run::Stale {
            return;
        }
        self.stripes.own().failures.fetch_add(1, Ordering::Relaxed);
        if run == Run::Full {
            self.shared.failed_in_a_row(self.id, generation);
        }
    }
}

/// How many successes of one thread's stripe go by between two looks at the clock.
const LOOK_EVERY: u64 = 32;

/// The generation, which each ejection and each return begins anew, and the failures in a row since. Both in one word, so that a
/// result of an older generation can never be counted in a newer one.
#[derive(Debug)]
pub(super) struct Streak(AtomicU64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    /// The call began before the endpoint was last ejected or brought back.
    Stale,
    Counted,
    /// So many that it is too many. Said to one failure in as many.
    Full,
}

const fn pack(generation: u32, run: u32) -> u64 {
    (generation as u64) << 32 | run as u64
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "each half is taken by itself"
)]
const fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

impl Streak {
    fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(super) fn generation(&self) -> u32 {
        unpack(self.0.load(Ordering::Relaxed)).0
    }

    /// Begins the next generation. Called under the detector's lock.
    pub(super) fn turn(&self) {
        self.update(|now, _| Some(pack(now.wrapping_add(1), 0)));
    }

    /// Ends the run. Says whether the generation is still that one.
    fn succeeded(&self, generation: u32) -> bool {
        // The usual case writes nothing, so that cores do not fight over the line.
        let before =
            self.update(|now, run| (now == generation && run != 0).then_some(pack(generation, 0)));
        before.0 == generation
    }

    fn failed(&self, generation: u32, limit: Option<u32>) -> Run {
        let (before, run) = self.update(|now, run| {
            let limit = limit.filter(|_| now == generation)?;
            Some(pack(generation, if run + 1 < limit { run + 1 } else { 0 }))
        });
        match limit {
            _ if before != generation => Run::Stale,
            Some(limit) if run + 1 >= limit => Run::Full,
            _ => Run::Counted,
        }
    }

    /// Replaces the word by what `next` makes of it, if that is anything, and answers what it was.
    fn update(&self, next: impl Fn(u32, u32) -> Option<u64>) -> (u32, u32) {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let (generation, run) = unpack(word);
            let Some(new) = next(generation, run) else {
                return (generation, run);
            };
            match self
                .0
                .compare_exchange_weak(word, new, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return (generation, run),
                Err(other) => word = other,
            }
        }
    }
}

/// What a call needs of its endpoint, and what lanes lend.
pub(super) type Lane<C> = crate::stripes::Lane<Core, C>;

#[cfg(all(test, not(bartizan_loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_failure_in_so_many_is_one_too_many() {
        let streak = Streak::new();
        let runs: Vec<_> = (0..6).map(|_| streak.failed(0, Some(3))).collect();
        let (counted, full) = (Run::Counted, Run::Full);
        assert_eq!(runs, [counted, counted, full, counted, counted, full]);
        assert_eq!(streak.failed(0, None), Run::Counted);
        assert_eq!(streak.failed(0, Some(1)), Run::Full);
    }

    #[test]
    fn a_success_ends_the_run_and_a_turn_the_generation() {
        let streak = Streak::new();
        streak.failed(0, Some(2));
        assert!(streak.succeeded(0));
        assert_eq!(streak.failed(0, Some(2)), Run::Counted);
        streak.turn();
        assert_eq!(streak.generation(), 1);
        assert_eq!(streak.failed(0, Some(2)), Run::Stale);
        assert!(!streak.succeeded(0));
        assert_eq!(streak.failed(1, Some(2)), Run::Counted);
        assert_eq!(streak.failed(1, Some(2)), Run::Full);
    }
}

#[cfg(all(test, bartizan_loom))]
mod loom_tests {
    use loom::thread;

    use super::*;

    #[test]
    fn loom_of_failures_at_once_exactly_one_is_the_last() {
        loom::model(|| {
            let streak = Arc::new(Streak::new());
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let streak = Arc::clone(&streak);
                    thread::spawn(move || {
                        u32::from(streak.failed(0, Some(3)) == Run::Full)
                            + u32::from(streak.failed(0, Some(3)) == Run::Full)
                    })
                })
                .collect();
            let full: u32 = threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .sum();
            assert_eq!(full, 1);
            assert_eq!(unpack(streak.0.load(Ordering::Relaxed)), (0, 1));
        });
    }

    #[test]
    fn loom_a_result_of_an_older_generation_never_counts_in_a_newer() {
        loom::model(|| {
            let streak = Arc::new(Streak::new());
            let threads = [true, false].map(|fails| {
                let streak = Arc::clone(&streak);
                thread::spawn(move || {
                    let generation = streak.generation();
                    if fails {
                        streak.failed(generation, Some(9));
                    } else {
                        streak.succeeded(generation);
                    }
                    generation
                })
            });
            streak.turn();
            // One of the new generation, which no success of the old may undo.
            streak.failed(1, Some(9));
            let [failed_in, succeeded_in] = threads.map(|thread| thread.join().expect("no panic"));
            let (generation, run) = unpack(streak.0.load(Ordering::Relaxed));
            assert_eq!(generation, 1);
            if succeeded_in == 0 {
                assert_eq!(run, 1 + failed_in);
            }
        });
    }
}
