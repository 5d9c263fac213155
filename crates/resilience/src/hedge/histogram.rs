//! How long calls take, as far as a percentile needs to know it.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Eight buckets to each doubling, so that a bucket is at most an eighth of its values wide.
const PER_OCTAVE_BITS: u32 = 3;
const PER_OCTAVE: usize = 1 << PER_OCTAVE_BITS;
/// Up to 2^36 µs, 19 hours. What takes longer counts as that.
pub(super) const BUCKETS: usize = PER_OCTAVE * 34;

/// Buckets of one microsecond below 16 µs, and of an eighth of their octave above.
fn bucket(latency: Duration) -> usize {
    let micros = usize::try_from(latency.as_micros()).unwrap_or(usize::MAX);
    if micros < PER_OCTAVE {
        return micros;
    }
    let octave = micros.ilog2() - PER_OCTAVE_BITS;
    (octave as usize * PER_OCTAVE + (micros >> octave)).min(BUCKETS - 1)
}

/// Where a bucket begins, and how wide it is, in microseconds.
fn bounds(bucket: usize) -> (f64, f64) {
    match (bucket / PER_OCTAVE).checked_sub(1) {
        None => (bucket as f64, 1.0),
        Some(octave) => {
            let width = (1_u64 << octave) as f64;
            ((bucket % PER_OCTAVE + PER_OCTAVE) as f64 * width, width)
        }
    }
}

/// The calls that ended since they were last taken.
#[derive(Debug)]
pub(super) struct Counts([AtomicU64; BUCKETS]);

impl Counts {
    pub(super) fn new() -> Self {
        Self(array::from_fn(|_| AtomicU64::new(0)))
    }

    // Relaxed here and below: the counts guard no other memory, and one that is taken late is taken the next time.
    pub(super) fn record(&self, latency: Duration) {
        self.0[bucket(latency)].fetch_add(1, Ordering::Relaxed);
    }

    fn take(&self, bucket: usize) -> u64 {
        // Most are zero, and a load leaves the line with the core that writes it.
        match self.0[bucket].load(Ordering::Relaxed) {
            0 => 0,
            _ => self.0[bucket].swap(0, Ordering::Relaxed),
        }
    }
}

/// Latencies whose weight fades as they age.
#[derive(Debug)]
pub(super) struct Histogram {
    weights: [f64; BUCKETS],
}

impl Histogram {
    pub(super) const fn new() -> Self {
        Self {
            weights: [0.0; BUCKETS],
        }
    }

    /// Lets everything so far fade to `factor` of its weight.
    pub(super) fn fade(&mut self, factor: f64) {
        for weight in &mut self.weights {
            *weight *= factor;
        }
    }

    pub(super) fn absorb(&mut self, counts: &Counts) {
        for (bucket, weight) in self.weights.iter_mut().enumerate() {
            *weight += counts.take(bucket) as f64;
        }
    }

    /// The latency that a share of `quantile` of the calls stays below. `None` if there is less than `enough` to tell it by.
    pub(super) fn quantile(&self, quantile: f64, enough: f64) -> Option<Duration> {
        let total: f64 = self.weights.iter().sum();
        if total < enough || total <= 0.0 {
            return None;
        }
        let rank = quantile * total;
        let mut below = 0.0;
        let mut last = 0.0;
        for (bucket, &weight) in self.weights.iter().enumerate() {
            if weight <= 0.0 {
                continue;
            }
            let (start, width) = bounds(bucket);
            if below + weight >= rank {
                // Within a bucket the calls are taken to be spread evenly.
                last = start + width * ((rank - below) / weight);
                break;
            }
            below += weight;
            last = start + width;
        }
        Some(Duration::from_secs_f64(last / 1e6))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(micros: &[u64]) -> Histogram {
        let counts = Counts::new();
        for &micros in micros {
            counts.record(Duration::from_micros(micros));
        }
        let mut histogram = Histogram::new();
        histogram.absorb(&counts);
        histogram
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for i in 0..BUCKETS - 1 {
            let (start, width) = bounds(i);
            assert_eq!(start + width, bounds(i + 1).0, "bucket {i}");
        }
        assert_eq!(bucket(Duration::ZERO), 0);
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    proptest! {
        #[test]
        fn every_latency_is_within_its_bucket(micros in 0..1_u64 << 36) {
            let (start, width) = bounds(bucket(Duration::from_micros(micros)));
            prop_assert!(start <= micros as f64 && (micros as f64) < start + width);
        }

        #[test]
        fn a_quantile_is_within_an_eighth_of_the_sorted_one(
            mut micros in prop::collection::vec(1..10_000_000_u64, 1..300),
            quantile in 0.01..1.0_f64,
        ) {
            let found = of(&micros).quantile(quantile, 1.0).expect("there is one");
            micros.sort_unstable();
            let mut rank = 0;
            while (rank + 1) as f64 + 1e-9 < quantile * micros.len() as f64 {
                rank += 1;
            }
            let naive = micros[rank] as f64;
            let found = found.as_secs_f64() * 1e6;
            // A bucket to either side: it is an eighth wide, or one microsecond.
            prop_assert!(
                found >= naive * 0.874 - 1.1 && found <= naive * 1.126 + 1.1,
                "{found} is not near {naive}"
            );
        }
    }

    #[test]
    fn what_is_old_fades() {
        let mut histogram = of(&[100_000; 1000]);
        histogram.fade(0.5_f64.powi(10));
        let recent = Counts::new();
        for _ in 0..100 {
            recent.record(Duration::from_millis(1));
        }
        histogram.absorb(&recent);
        let p95 = histogram.quantile(0.95, 1.0).expect("there is one");
        assert!(p95 < Duration::from_millis(2), "{p95:?}");
        assert!(histogram.quantile(0.95, 102.0).is_none(), "too few to tell");
    }

    #[test]
    fn counts_are_taken_once() {
        let counts = Counts::new();
        counts.record(Duration::from_millis(1));
        let mut histogram = Histogram::new();
        histogram.absorb(&counts);
        histogram.absorb(&counts);
        assert!(histogram.quantile(0.5, 1.0).is_some());
        assert!(histogram.quantile(0.5, 1.5).is_none());
    }
}
