//! The account: counters of what was paid in, and one word of what was taken out.

use tokio::time::Instant;

use crate::{
    stripes::Stripes,
    sync::atomic::{AtomicU64, Ordering},
};

/// One retry, in the millionths that everything here is counted in. So 10 per second are 10 per microsecond, and 20 % of a call are
/// 200,000: whole numbers, which do not drift.
pub(super) const RETRY: u64 = 1_000_000;

/// How far the word may be ahead of what a thread sees of the credit, in doubt. Anything further is a difference that wrapped round,
/// which takes years of calls without one withdrawal, and then means a full bucket.
const AHEAD: u64 = 1 << 48;

/// What a bucket is filled by, and how much it holds, in millionths of a retry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) per_call: u64,
    /// Retries per second, and so millionths per microsecond.
    pub(super) per_second: u64,
    pub(super) capacity: u64,
}

/// A bucket that calls and time fill, and retries empty.
///
/// Deposits only count calls. What they are worth is worked out when somebody withdraws: the credit earned since the beginning, less
/// what was taken or ran over the brim. Cutting off at the brim late comes to the same as cutting off at once, because nothing was
/// taken in between.
#[derive(Debug)]
pub(super) struct Bucket {
    flow: Flow,
    started: Instant,
    /// Of all credit ever earned, how much was taken or ran over. It wraps, as the credit does; their difference is what is left.
    taken: AtomicU64,
    calls: Stripes<AtomicU64>,
}

impl Bucket {
    /// A full bucket. `stripes` is a power of two.
    pub(super) fn new(flow: Flow, stripes: usize, now: Instant) -> Self {
        Self {
            flow,
            started: now,
            taken: AtomicU64::new(0_u64.wrapping_sub(flow.capacity)),
            calls: Stripes::sized(stripes, || AtomicU64::new(0)),
        }
    }

    /// Counts one call, on a stripe of this number.
    pub(super) fn deposit(&self, stripe: usize) {
        // Relaxed: it guards no other memory. A withdrawal that does not see it yet is a withdrawal before it.
        self.calls.of(stripe).fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one retry, if there is one.
    pub(super) fn withdraw(&self, now: Instant) -> bool {
        // The word before the credit: who reads what another thread wrote into the word sees at least the calls that that thread saw.
        let mut taken = self.taken.load(Ordering::Acquire);
        loop {
            let credit = self.credit(now);
            let Some(left) = self.balance(taken, credit).checked_sub(RETRY) else {
                return false;
            };
            match self.taken.compare_exchange_weak(
                taken,
                credit.wrapping_sub(left),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return true,
                Err(current) => taken = current,
            }
        }
    }

    /// How many retries could be taken.
    pub(super) fn available(&self, now: Instant) -> u64 {
        let taken = self.taken.load(Ordering::Acquire);
        self.balance(taken, self.credit(now)) / RETRY
    }

    fn credit(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.started).as_micros();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let calls = self.calls.iter().fold(0_u64, |sum, stripe| {
            sum.wrapping_add(stripe.load(Ordering::Relaxed))
        });
        elapsed
            .wrapping_mul(self.flow.per_second)
            .wrapping_add(calls.wrapping_mul(self.flow.per_call))
    }

    fn balance(&self, taken: u64, credit: u64) -> u64 {
        match credit.wrapping_sub(taken) {
            // Another thread has looked at a later clock, and taken by it.
            behind if behind > u64::MAX - AHEAD => 0,
            left => left.min(self.flow.capacity),
        }
    }
}

#[cfg(all(test, not(bartizan_loom)))]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    /// The same, one step at a time: it fills at every step, and cuts off at the brim at once.
    struct Naive {
        flow: Flow,
        level: u128,
    }

    impl Naive {
        fn fill(&mut self, by: u128) {
            self.level = (self.level + by).min(u128::from(self.flow.capacity));
        }

        fn withdraw(&mut self) -> bool {
            let left = self.level.checked_sub(u128::from(RETRY));
            self.level = left.unwrap_or(self.level);
            left.is_some()
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Calls(usize),
        Pass(u64),
        Withdraw(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..200_usize).prop_map(Step::Calls),
            (0..3_000_000_u64).prop_map(Step::Pass),
            (1..20_usize).prop_map(Step::Withdraw),
        ]
    }

    proptest! {
        #[test]
        fn it_is_what_filling_step_by_step_comes_to(
            per_call in 0..=RETRY,
            per_second in 0..50_u64,
            capacity in 1..150_u64,
            steps in prop::collection::vec(step(), 1..60),
        ) {
            let flow = Flow { per_call, per_second, capacity: capacity * RETRY };
            let mut now = Instant::now();
            let bucket = Bucket::new(flow, 4, now);
            let mut naive = Naive { flow, level: u128::from(flow.capacity) };
            for step in steps {
                match step {
                    Step::Calls(n) => for i in 0..n {
                        bucket.deposit(i);
                        naive.fill(per_call.into());
                    },
                    Step::Pass(micros) => {
                        now += Duration::from_micros(micros);
                        naive.fill(u128::from(micros) * u128::from(per_second));
                    }
                    Step::Withdraw(n) => for _ in 0..n {
                        prop_assert_eq!(bucket.withdraw(now), naive.withdraw());
                    },
                }
                prop_assert_eq!(u128::from(bucket.available(now)), naive.level / u128::from(RETRY));
            }
        }
    }

    #[test]
    fn counts_that_wrap_round_leave_it_right() {
        let flow = Flow {
            per_call: RETRY / 2,
            per_second: 0,
            capacity: 3 * RETRY,
        };
        let now = Instant::now();
        let bucket = Bucket::new(flow, 1, now);
        // A step before the credit wraps, with an empty bucket.
        let calls = u64::MAX / flow.per_call;
        bucket.calls.of(0).store(calls, Ordering::Relaxed);
        bucket.taken.store(calls * flow.per_call, Ordering::Relaxed);
        assert_eq!(bucket.available(now), 0);
        for _ in 0..4 {
            bucket.deposit(0);
        }
        assert!(bucket.credit(now) < 4 * RETRY, "it wrapped");
        assert_eq!(bucket.available(now), 2);
        assert!(bucket.withdraw(now) && bucket.withdraw(now) && !bucket.withdraw(now));
    }

    #[test]
    fn a_clock_behind_that_of_others_finds_no_credit() {
        let flow = Flow {
            per_call: 0,
            per_second: 1,
            capacity: RETRY,
        };
        let start = Instant::now();
        let bucket = Bucket::new(flow, 1, start);
        assert!(bucket.withdraw(start));
        assert!(bucket.withdraw(start + Duration::from_secs(5)));
        assert!(!bucket.withdraw(start + Duration::from_secs(4)));
        assert!(bucket.withdraw(start + Duration::from_secs(6)));
    }
}

#[cfg(all(test, bartizan_loom))]
mod loom_tests {
    use loom::{sync::Arc, thread};

    use super::*;

    fn bucket(capacity: u64) -> (Arc<Bucket>, Instant) {
        let flow = Flow {
            per_call: RETRY / 2,
            per_second: 0,
            capacity: capacity * RETRY,
        };
        let now = Instant::now();
        (Arc::new(Bucket::new(flow, 2, now)), now)
    }

    #[test]
    fn loom_what_is_there_once_is_taken_once() {
        loom::model(|| {
            let (bucket, now) = bucket(1);
            let other = {
                let bucket = Arc::clone(&bucket);
                thread::spawn(move || bucket.withdraw(now))
            };
            let here = bucket.withdraw(now);
            let there = other.join().expect("no panic");
            assert!(here ^ there);
            assert!(!bucket.withdraw(now));
        });
    }

    #[test]
    fn loom_no_deposit_is_lost_and_none_is_spent_twice() {
        loom::model(|| {
            let (bucket, now) = bucket(1);
            assert!(bucket.withdraw(now));
            let threads: Vec<_> = (0..2)
                .map(|stripe| {
                    let bucket = Arc::clone(&bucket);
                    thread::spawn(move || {
                        bucket.deposit(stripe);
                        bucket.withdraw(now)
                    })
                })
                .collect();
            let taken = threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .filter(|taken| *taken)
                .count();
            // Two halves make one. Whoever came second saw both, unless neither did.
            let left = usize::from(bucket.withdraw(now));
            assert_eq!(taken + left, 1);
        });
    }
}
