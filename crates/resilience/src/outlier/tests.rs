//! The decisions, without calls: what always holds, and what a plain reading of the rules says.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use crate::endpoint::Endpoint;

use super::{
    OutlierDetector,
    policy::{EjectionCause, FailurePercentage, Policy, SuccessRate},
    state::{Book, Change, Tally},
};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn tally(successes: u64, failures: u64) -> Tally {
    Tally {
        successes,
        failures,
    }
}

fn book(policy: Policy, endpoints: usize, now: Instant) -> Book {
    let mut book = Book::new(policy, now);
    for _ in 0..endpoints {
        book.join(now);
    }
    book
}

#[test]
fn an_ejected_endpoint_is_neither_compared_nor_ejected_again() {
    let policy = Policy {
        failure_percentage: Some(FailurePercentage::default().min_endpoints(1)),
        success_rate: None,
        max_ejected_percent: 100,
        ..Policy::DEFAULT
    };
    let start = Instant::now();
    let mut book = book(policy, 2, start);
    assert!(matches!(
        book.failed_in_a_row(0, start),
        Some(Change::Ejected { index: 0, lasts, .. }) if lasts == secs(30)
    ));
    assert_eq!(book.failed_in_a_row(0, start), None);
    // Balancers that find too few fit call it all the same.
    let changes = book.advance(start + secs(10), |_| tally(0, 100));
    assert_eq!(
        changes,
        [Change::Ejected {
            index: 1,
            cause: EjectionCause::FailurePercentage,
            lasts: secs(30)
        }]
    );
    // At the sweep at which it returns, what it did before is no ground either.
    let changes = book.advance(start + secs(30), |_| tally(0, 100));
    assert_eq!(changes, [Change::Restored { index: 0 }]);
}

#[test]
fn a_late_sweep_is_one_sweep_and_the_next_is_an_interval_later() {
    let start = Instant::now();
    let mut book = book(Policy::DEFAULT, 1, start);
    assert_eq!(book.due(), start + secs(10));
    let mut drained = 0;
    book.advance(start + secs(95), |_| {
        drained += 1;
        tally(0, 0)
    });
    assert_eq!((drained, book.due()), (1, start + secs(105)));
    book.advance(start + secs(104), |_| unreachable!("not yet"));
}

#[test]
fn what_is_due_is_the_first_of_the_sweep_and_the_returns() {
    let policy = Policy {
        base_ejection: secs(3),
        max_ejected_percent: 100,
        ..Policy::DEFAULT
    };
    let start = Instant::now();
    let mut book = book(policy, 2, start);
    book.failed_in_a_row(0, start + secs(1));
    book.failed_in_a_row(1, start);
    assert_eq!(book.due(), start + secs(3));
    assert_eq!(
        book.advance(start + secs(3), |_| unreachable!("no sweep")),
        [Change::Restored { index: 1 }]
    );
    assert_eq!(book.due(), start + secs(4));
    book.advance(start + secs(4), |_| unreachable!("no sweep"));
    assert_eq!(book.due(), start + secs(10));
}

/// Between the last failure of a run and the lock, the endpoint may have been ejected and brought back by others.
#[test]
fn a_run_of_failures_that_ended_in_an_older_generation_ejects_nobody() {
    let detector = OutlierDetector::default();
    let endpoint = Endpoint::new("a");
    let _layer = detector.layer(&endpoint);
    detector.shared.failed_in_a_row(0, 0);
    assert!(!endpoint.is_fit());
    assert!(detector.restore(&endpoint));
    for stale in [0, 1] {
        detector.shared.failed_in_a_row(0, stale);
        assert!(endpoint.is_fit());
    }
    detector.shared.failed_in_a_row(0, 2);
    assert!(!endpoint.is_fit());
    // And one that has left is nobody.
    detector.shared.failed_in_a_row(7, 0);
}

#[test]
fn sums_of_equal_rates_that_are_not_exact_eject_nobody() {
    let policy = Policy::DEFAULT;
    // One in three has no exact binary fraction.
    for endpoints in 5..200 {
        let tallies: Vec<_> = (0..endpoints).map(|i| (i, tally(200, 100))).collect();
        assert_eq!(policy.outliers(&tallies), []);
    }
}

/// The rules as they read, without regard to order, cost or rounding.
fn naive(
    tallies: &[(usize, Tally)],
    deviations: f64,
    endpoints: usize,
    requests: u64,
) -> Vec<usize> {
    let rates: Vec<(usize, f64)> = tallies
        .iter()
        .filter(|(_, t)| t.successes + t.failures >= requests)
        .map(|&(i, t)| (i, t.successes as f64 / (t.successes + t.failures) as f64))
        .collect();
    if rates.len() < endpoints {
        return Vec::new();
    }
    let n = rates.len() as f64;
    let mean = rates.iter().map(|r| r.1).sum::<f64>() / n;
    let mean_of_squares = rates.iter().map(|r| r.1 * r.1).sum::<f64>() / n;
    let deviation = (mean_of_squares - mean * mean).max(0.0).sqrt();
    let is_out = |r: &&(usize, f64)| r.1 < mean - deviations * deviation - 1e-6;
    rates.iter().filter(is_out).map(|r| r.0).collect()
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Join,
    Leave(usize),
    Fail(usize),
    Restore(usize),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        Just(Step::Join),
        any::<usize>().prop_map(Step::Leave),
        any::<usize>().prop_map(Step::Fail),
        any::<usize>().prop_map(Step::Fail),
        any::<usize>().prop_map(Step::Restore),
        (0_u64..40).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn never_more_than_the_maximum(steps in steps(), percent in 1_u8..=100, endpoints in 1_usize..30) {
        let policy = Policy {
            max_ejected_percent: percent,
            failure_percentage: Some(FailurePercentage::default().min_endpoints(1)),
            ..Policy::DEFAULT
        };
        let mut now = Instant::now();
        let mut book = book(policy, endpoints, now);
        // Who is ejected by the changes alone, and since when for how long: what the detector marks.
        let mut marked: Vec<Option<Instant>> = vec![None; endpoints];
        for step in steps {
            let len = marked.len();
            let changes = match step {
                Step::Join => {
                    book.join(now);
                    marked.push(None);
                    Vec::new()
                }
                Step::Leave(i) if len > 0 => {
                    let changes = book.leave(i % len, now);
                    marked.swap_remove(i % len);
                    changes
                }
                Step::Fail(i) if len > 0 => book.failed_in_a_row(i % len, now).into_iter().collect(),
                Step::Restore(i) if len > 0 => book.restore(i % len, now).into_iter().collect(),
                Step::Wait(wait) => {
                    now += secs(wait);
                    book.advance(now, |i| if i % 2 == 0 { tally(0, 100) } else { tally(100, 0) })
                }
                Step::Leave(_) | Step::Fail(_) | Step::Restore(_) => Vec::new(),
            };
            for change in changes {
                match change {
                    Change::Ejected { index, lasts, .. } => {
                        prop_assert!(marked[index].is_none(), "ejected twice");
                        prop_assert!(secs(30) <= lasts && lasts <= secs(300));
                        marked[index] = Some(now + lasts);
                    }
                    Change::Restored { index } => {
                        prop_assert!(marked[index].take().is_some(), "back twice");
                    }
                    Change::Spared { index, .. } => prop_assert!(marked[index].is_none()),
                }
                let most = (marked.len() * usize::from(percent) / 100).max(1);
                prop_assert!(marked.iter().flatten().count() <= most);
            }
            prop_assert_eq!(marked.iter().flatten().count(), book.ejected());
            if let Step::Wait(_) = step {
                prop_assert!(marked.iter().flatten().all(|until| *until > now), "overdue");
                prop_assert!(book.due() > now);
            }
        }
    }

    #[test]
    fn outliers_are_those_of_the_naive_reading(
        counts in prop::collection::vec((0_u64..300, 0_u64..60), 0..40),
        deviations in 0.3_f64..3.0,
        endpoints in 1_usize..8,
        requests in 1_u64..200,
    ) {
        let rate = SuccessRate::default()
            .deviations(deviations)
            .min_endpoints(endpoints)
            .min_requests(requests);
        let policy = Policy { success_rate: Some(rate), ..Policy::DEFAULT };
        let tallies: Vec<_> = counts.iter().enumerate().map(|(i, &(s, f))| (i, tally(s, f))).collect();
        let outliers = policy.outliers(&tallies);
        let mut found: Vec<_> = outliers.iter().map(|(i, _)| *i).collect();
        found.sort_unstable();
        prop_assert_eq!(found, naive(&tallies, deviations, endpoints, requests));
        // The worst first.
        let rates: Vec<_> = outliers.iter().map(|(i, _)| tallies[*i].1.success_rate()).collect();
        prop_assert!(rates.is_sorted());
    }

    #[test]
    fn the_nth_ejection_is_n_times_as_long_within_the_maximum(
        base in 1_u64..100, max in 100_u64..1000, times in 1_u32..50, calm in 0_u64..200,
    ) {
        let policy = Policy {
            base_ejection: secs(base),
            max_ejection: Some(secs(max)),
            ..Policy::DEFAULT
        };
        let start = Instant::now();
        let mut book = book(policy, 1, start);
        let mut now = start;
        for n in 1..=times {
            let lasts = secs((base * u64::from(n)).min(max));
            prop_assert_eq!(
                book.failed_in_a_row(0, now),
                Some(Change::Ejected { index: 0, cause: EjectionCause::ConsecutiveFailures, lasts })
            );
            now += lasts;
            book.advance(now, |_| tally(0, 0));
        }
        let most = u32::try_from(max.div_ceil(base)).expect("small");
        let left = u64::from(times.min(most)).saturating_sub(calm / 10);
        prop_assert_eq!(u64::from(book.standing(0, now + secs(calm)).times), left);
    }
}
