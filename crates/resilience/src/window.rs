//! How often what happened in the last while, at a cost that does not grow with how often it happens.
//!
//! Time is cut into buckets, and a ring of them covers the window. Each bucket has one word per counter and per stripe, and the word
//! holds the bucket's number beside its count. So a bucket that is out of date is started anew by whoever finds it, with one
//! compare-and-swap and no lock, and whoever sums leaves it out. Threads write to stripes of their own, so that cores do not fight
//! over a line.

use std::{array, time::Duration};

use tokio::time::Instant;

use crate::{
    stripes::{self, thread_index},
    sync::atomic::{AtomicU64, Ordering},
};

/// Where a count stops, far from its bucket's number.
const FULL: u64 = u32::MAX as u64 / 2;
/// By how many buckets one thread's clock, or its era, may be behind what another wrote.
const SKEW: u32 = 1 << 20;

/// `K` counters over the last `width` of time.
///
/// The bucket that is running counts as a whole one, so what is covered is between `width` less one bucket, and `width`.
///
/// Records and sums name an *era*: a number that its user raises to begin with empty counters. What still arrives for an earlier
/// era is not seen in a later one, so nothing has to be cleared while others write. Whoever needs no eras uses 0.
#[derive(Debug)]
pub(crate) struct Window<const K: usize> {
    origin: Instant,
    bucket_nanos: u64,
    buckets: u32,
    stripes: Box<[Stripe<K>]>,
}

type Stripe<const K: usize> = Box<[Bucket<K>]>;

/// A line of its own, or several.
#[derive(Debug)]
#[repr(align(64))]
struct Bucket<const K: usize>([AtomicU64; K]);

impl<const K: usize> Window<K> {
    /// Covers `width` by so many buckets. Their users refuse no buckets, and buckets of less than a millisecond.
    pub(crate) fn new(width: Duration, buckets: u32) -> Self {
        Self::striped(width, buckets, stripes::count())
    }

    /// `stripes` is a power of two.
    fn striped(width: Duration, buckets: u32, stripes: usize) -> Self {
        debug_assert!(buckets > 0 && stripes.is_power_of_two());
        // So that the place of a number stays right when numbers wrap.
        let places = buckets.next_power_of_two();
        let stripe = |_| (0..places).map(|_| Bucket::new()).collect();
        Self {
            origin: Instant::now(),
            bucket_nanos: (nanos(width) / u64::from(buckets)).max(1),
            buckets,
            stripes: (0..stripes).map(stripe).collect(),
        }
    }

    /// Counts one more.
    pub(crate) fn record(&self, now: Instant, era: u32, counter: usize) {
        self.add(thread_index(), self.tick(now, era), counter);
    }

    /// The counts of this era within the window. What others record at this very moment may be in it or not.
    pub(crate) fn totals(&self, now: Instant, era: u32) -> [u64; K] {
        self.sum(self.tick(now, era))
    }

    /// The number of the bucket that `now` is in. Eras are so far apart that no bucket of one is within the window of another, even
    /// for clocks that differ.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "numbers wrap, and are compared as numbers that do"
    )]
    fn tick(&self, now: Instant, era: u32) -> u32 {
        let elapsed = nanos(now.saturating_duration_since(self.origin));
        let era = era.wrapping_mul(self.buckets).wrapping_mul(2);
        ((elapsed / self.bucket_nanos) as u32).wrapping_add(era)
    }

    fn add(&self, stripe: usize, tick: u32, counter: usize) {
        let stripe = &self.stripes[stripe & (self.stripes.len() - 1)];
        let word = &stripe[place(stripe, tick)].0[counter];
        // Relaxed, as below: the words guard no other memory.
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            let (number, count) = unpack(seen);
            if number == tick {
                // Should the bucket be started anew just now, then this one counts in the new one.
                if count < FULL {
                    word.fetch_add(1, Ordering::Relaxed);
                }
                return;
            }
            // Others are ahead: by the time they have, this is out of the window.
            if count > 0 && number.wrapping_sub(tick) < SKEW {
                return;
            }
            match word.compare_exchange_weak(
                seen,
                pack(tick, 1),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(other) => seen = other,
            }
        }
    }

    fn sum(&self, tick: u32) -> [u64; K] {
        let mut sums = [0; K];
        for stripe in &self.stripes {
            for age in 0..self.buckets {
                let tick = tick.wrapping_sub(age);
                let bucket = &stripe[place(stripe, tick)].0;
                for (sum, word) in sums.iter_mut().zip(bucket) {
                    let (number, count) = unpack(word.load(Ordering::Relaxed));
                    if number == tick {
                        *sum += count;
                    }
                }
            }
        }
        sums
    }
}

impl<const K: usize> Bucket<K> {
    fn new() -> Self {
        Self(array::from_fn(|_| AtomicU64::new(0)))
    }
}

/// Where in the ring the bucket of that number is.
const fn place<const K: usize>(stripe: &[Bucket<K>], tick: u32) -> usize {
    tick as usize & (stripe.len() - 1)
}

const fn pack(number: u32, count: u64) -> u64 {
    (number as u64) << 32 | count
}

#[expect(clippy::cast_possible_truncation, reason = "the halves of the word")]
const fn unpack(word: u64) -> (u32, u64) {
    ((word >> 32) as u32, word as u32 as u64)
}

/// In 64 bits, which a division takes quickly, and which last for five hundred years.
pub(crate) fn nanos(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::from(duration.subsec_nanos()))
}

#[cfg(all(test, not(bartizan_loom)))]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn counts_age_out_by_the_bucket() {
        let window = Window::<2>::new(MS(100), 10);
        let start = window.origin;
        window.record(start, 0, 0);
        window.record(start + MS(55), 0, 1);
        assert_eq!(window.totals(start + MS(99), 0), [1, 1]);
        assert_eq!(window.totals(start + MS(100), 0), [0, 1]);
        assert_eq!(window.totals(start + MS(150), 0), [0, 0]);
    }

    #[test]
    fn a_long_silence_leaves_nothing() {
        let window = Window::<1>::new(MS(100), 10);
        let start = window.origin;
        for i in 0..10 {
            window.record(start + MS(i * 10), 0, 0);
        }
        // Whole turns of the ring later, at the same places.
        assert_eq!(window.totals(start + MS(300), 0), [0]);
        window.record(start + MS(300), 0, 0);
        assert_eq!(window.totals(start + MS(300), 0), [1]);
    }

    #[test]
    fn an_era_begins_empty_and_sees_nothing_of_those_before() {
        let window = Window::<1>::new(MS(100), 10);
        let start = window.origin;
        window.record(start, 0, 0);
        assert_eq!(window.totals(start, 1), [0]);
        window.record(start, 1, 0);
        // Late, and by a clock that is ahead.
        for late in 0..50 {
            window.record(start + MS(late), 0, 0);
        }
        assert_eq!(window.totals(start, 1), [1]);
        assert_eq!(window.totals(start + MS(50), 1), [1]);
    }

    #[test]
    fn a_count_never_runs_into_the_number_of_its_bucket() {
        let window = Window::<1>::striped(MS(100), 1, 1);
        let tick = 7;
        window.stripes[0][0].0[0].store(pack(tick, FULL - 1), Ordering::Relaxed);
        for _ in 0..3 {
            window.add(0, tick, 0);
        }
        assert_eq!(window.sum(tick), [FULL]);
    }

    #[test]
    fn numbers_wrap_and_the_window_goes_on() {
        let window = Window::<1>::striped(MS(100), 10, 1);
        for i in 0..20_u32 {
            window.add(0, (u32::MAX - 9).wrapping_add(i), 0);
            assert_eq!(
                window.sum((u32::MAX - 9).wrapping_add(i)),
                [u64::from(i + 1).min(10)]
            );
        }
    }

    #[test]
    fn a_word_that_was_not_written_for_ages_is_not_taken_for_one_from_the_future() {
        let window = Window::<1>::striped(MS(100), 10, 1);
        for tick in [1 << 30, 1 << 31, 3 << 30] {
            window.add(0, tick, 0);
            assert_eq!(window.sum(tick), [1], "after {tick} buckets");
        }
    }

    /// Hole: a breaker whose cost grows with traffic.
    #[test]
    fn its_size_is_fixed_whatever_the_traffic() {
        let window = Window::<1>::new(MS(100), 10);
        let start = window.origin;
        let ((), allocated) = bartizan_testing::allocations(|| {
            for i in 0..100_000 {
                window.record(start + Duration::from_micros(i), 0, 0);
            }
        });
        assert_eq!(allocated, 0);
        assert_eq!(window.totals(start + MS(99), 0), [100_000]);
    }

    #[test]
    fn threads_lose_no_count() {
        let window = Window::<1>::striped(MS(100), 4, 2);
        std::thread::scope(|scope| {
            for stripe in 0..4 {
                let window = &window;
                scope.spawn(move || {
                    for tick in 0..4 {
                        for _ in 0..1000 {
                            window.add(stripe, tick, 0);
                        }
                    }
                });
            }
        });
        // A thread that is buckets behind loses nothing: its bucket is still in the ring.
        assert_eq!(window.sum(3), [16_000]);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_list_of_everything(
            buckets in 1_u32..12,
            events in prop::collection::vec((0_u64..40, 0_usize..2, prop::bool::weighted(0.05)), 1..200),
        ) {
            let bucket = MS(10);
            let window = Window::<2>::new(bucket * buckets, buckets);
            let mut naive = VecDeque::new();
            let (mut at, mut era) = (0, 0);
            for (pause, counter, new_era) in events {
                at += pause;
                if new_era {
                    era += 1;
                    naive.clear();
                }
                let now = window.origin + MS(at);
                window.record(now, era, counter);
                naive.push_back((at / 10, counter));
                naive.retain(|&(tick, _)| tick + u64::from(buckets) > at / 10);
                let count = |of| naive.iter().filter(|&&(_, counter)| counter == of).count() as u64;
                prop_assert_eq!(window.totals(now, era), [count(0), count(1)]);
            }
        }
    }
}

#[cfg(all(test, bartizan_loom))]
mod loom_tests {
    use loom::{sync::Arc, thread};

    use super::*;

    /// Two threads find the same bucket out of date. Both of their counts are in the new one, and none of the old.
    #[test]
    fn loom_a_bucket_is_started_anew_once() {
        loom::model(|| {
            let window = Arc::new(Window::<1>::striped(Duration::from_secs(2), 2, 1));
            window.add(0, 0, 0);
            let other = {
                let window = Arc::clone(&window);
                thread::spawn(move || window.add(0, 2, 0))
            };
            window.add(0, 2, 0);
            other.join().expect("it ends");
            assert_eq!(window.sum(2), [2]);
        });
    }

    /// A thread that is behind takes nothing away from one that is ahead, and a sum sees what is in its window only.
    #[test]
    fn loom_a_thread_that_is_behind_does_no_harm() {
        loom::model(|| {
            let window = Arc::new(Window::<1>::striped(Duration::from_secs(2), 2, 1));
            let behind = {
                let window = Arc::clone(&window);
                thread::spawn(move || window.add(0, 1, 0))
            };
            window.add(0, 3, 0);
            let seen = window.sum(3);
            behind.join().expect("it ends");
            // Its own, and the other's if that came in between the two halves of an addition.
            assert!(seen == [1] || seen == [2], "{seen:?}");
            assert!(window.sum(3)[0] >= 1);
            assert_eq!(window.sum(5), [0]);
        });
    }
}
