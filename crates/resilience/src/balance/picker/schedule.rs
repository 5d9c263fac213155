//! The order in which weighted endpoints take turns.

use std::sync::Arc;

use crate::endpoint::Endpoint;

/// One period of nginx's smooth weighted round robin, worked out in advance, so that taking a turn is one addition. A random slot of
/// it is a random endpoint by weight.
#[derive(Clone, Debug, Default)]
pub(super) struct Schedule(Arc<[usize]>);

/// Weights whose sum is larger are rounded to fit.
const MOST_SLOTS: u64 = 1 << 16;

impl Schedule {
    pub(super) fn weighted(endpoints: &[Endpoint]) -> Self {
        let weights: Vec<u64> = endpoints
            .iter()
            .map(|endpoint| endpoint.get_weight().into())
            .collect();
        Self(smooth(&fit(&weights)).into())
    }

    /// The endpoints in their order, whatever their weights; those of weight 0 left out.
    pub(super) fn unweighted(endpoints: &[Endpoint]) -> Self {
        let slots = endpoints
            .iter()
            .enumerate()
            .filter(|(_, endpoint)| endpoint.get_weight() > 0)
            .map(|(i, _)| i);
        Self(slots.collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The endpoint whose turn that is.
    pub(super) fn at(&self, slot: usize) -> usize {
        self.0[slot]
    }
}

/// The same shares in the smallest numbers, or nearly the same in numbers that are small enough.
fn fit(weights: &[u64]) -> Vec<u64> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let total: u64 = weights.iter().map(|weight| weight / divisor).sum();
    let reduced = weights.iter().map(|&weight| weight / divisor);
    if total <= MOST_SLOTS {
        return reduced.collect();
    }
    reduced
        .map(|weight| match weight {
            0 => 0,
            // Below 2^32 each, so the product fits.
            weight => ((weight * MOST_SLOTS + total / 2) / total).max(1),
        })
        .collect()
}

const fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Each turn everyone gains their weight, and the one who has most pays all of it back.
fn smooth(weights: &[u64]) -> Vec<usize> {
    let total: u64 = weights.iter().sum();
    if weights.iter().all(|&weight| weight <= 1) {
        return (0..weights.len()).filter(|&i| weights[i] > 0).collect();
    }
    let mut gained = vec![0_i64; weights.len()];
    (0..total)
        .map(|_| {
            let mut richest = 0;
            for i in 0..weights.len() {
                gained[i] += weights[i] as i64;
                if gained[i] > gained[richest] {
                    richest = i;
                }
            }
            gained[richest] -= total as i64;
            richest
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_is_as_smooth_as_nginx() {
        // The example in nginx's commit 52327e0627f4.
        assert_eq!(smooth(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(smooth(&[1, 1, 1]), [0, 1, 2]);
        assert_eq!(smooth(&[1, 0, 1]), [0, 2]);
        assert_eq!(smooth(&[0, 0]), [0; 0]);
    }

    #[test]
    fn common_divisors_are_taken_out() {
        assert_eq!(fit(&[100, 200, 0]), [1, 2, 0]);
        assert_eq!(fit(&[0, 0]), [0, 0]);
        assert_eq!(fit(&[]), [0; 0]);
        assert_eq!(fit(&[u32::MAX.into(); 3]), [1, 1, 1]);
    }

    #[test]
    fn large_weights_are_rounded_and_nobody_is_left_out() {
        let fitted = fit(&[u32::MAX.into(), 1, 0, 1_000_000_007]);
        assert_eq!((fitted[1], fitted[2]), (1, 0));
        let total: u64 = fitted.iter().sum();
        assert!(total <= MOST_SLOTS + 4, "{total}");
        let share = fitted[3] as f64 / total as f64;
        let wanted = 1_000_000_007.0 / (f64::from(u32::MAX) + 1_000_000_008.0);
        assert!((share / wanted - 1.0).abs() < 0.001, "{share} {wanted}");
    }

    proptest! {
        #[test]
        fn each_has_its_share_in_every_period_and_nobody_waits_long(weights in proptest::collection::vec(0_u64..20, 1..12)) {
            let fitted = fit(&weights);
            let slots = smooth(&fitted);
            let total: u64 = fitted.iter().sum();
            prop_assert_eq!(slots.len() as u64, total);
            for (i, &weight) in fitted.iter().enumerate() {
                prop_assert_eq!(slots.iter().filter(|&&slot| slot == i).count() as u64, weight);
            }
            // At every point, what each has had is within its number of peers of what is due to it.
            let mut had = vec![0.0_f64; fitted.len()];
            for (n, &slot) in slots.iter().enumerate() {
                had[slot] += 1.0;
                for (i, &weight) in fitted.iter().enumerate() {
                    let due = (n + 1) as f64 * weight as f64 / total as f64;
                    prop_assert!((had[i] - due).abs() <= fitted.len() as f64);
                }
            }
        }
    }
}
