//! How many second attempts there may be.

use crate::{
    stripes::Stripes,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

/// One second attempt, in the fixed-point shares that calls pay in.
const ONE: u64 = 1 << 20;

/// Tokens that calls earn by shares and second attempts cost.
#[derive(Debug)]
pub(super) struct Budget {
    /// What one call pays in. Rounded down: there are never more second attempts than the ratio allows.
    share: u64,
    /// What calls have paid in. Whenever one of them completes a token, that goes to the common purse, so that the line which all
    /// cores write is written once per token and not once per call.
    paid: Stripes<AtomicU64>,
    purse: Purse,
}

impl Budget {
    /// `ratio` is from 0 to 1.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is from 0 to `ONE`"
    )]
    pub(super) fn new(ratio: f64, burst: u32) -> Self {
        Self {
            share: (ratio * ONE as f64) as u64,
            paid: Stripes::new(|| AtomicU64::new(0)),
            purse: Purse::full(burst),
        }
    }

    /// A call pays its share.
    #[inline]
    pub(super) fn deposit(&self) {
        let before = self.paid.own().fetch_add(self.share, Ordering::Relaxed);
        if (before + self.share) / ONE != before / ONE {
            self.purse.give();
        }
    }

    /// Takes the token of one second attempt, if there is one.
    pub(super) fn take(&self) -> bool {
        self.purse.take()
    }

    /// Gives back the token of a second attempt that was never sent.
    pub(super) fn give_back(&self) {
        self.purse.give();
    }

    pub(super) fn tokens(&self) -> u32 {
        self.purse.tokens()
    }
}

/// Whole tokens, from none to as many as may be saved up.
#[derive(Debug)]
struct Purse {
    tokens: AtomicU32,
    max: u32,
}

impl Purse {
    fn full(max: u32) -> Self {
        Self {
            tokens: AtomicU32::new(max),
            max,
        }
    }

    // Relaxed here and below: the word guards no other memory.
    fn give(&self) {
        let give = |tokens| (tokens < self.max).then(|| tokens + 1);
        let _ = self
            .tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, give);
    }

    fn take(&self) -> bool {
        let take = |tokens: u32| tokens.checked_sub(1);
        self.tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }

    fn tokens(&self) -> u32 {
        self.tokens.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, not(bartizan_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The naive model: what was saved up at first, and the ratio of the calls, exactly.
        #[test]
        fn never_more_than_the_burst_and_the_ratio(
            ratio in 0.001..=1.0_f64,
            burst in 0..20_u32,
            wants in prop::collection::vec(any::<bool>(), 1..2000),
        ) {
            let budget = Budget::new(ratio, burst);
            let mut taken = 0_u32;
            for (calls, want) in wants.into_iter().enumerate() {
                budget.deposit();
                if want && budget.take() {
                    taken += 1;
                }
                prop_assert!(f64::from(taken) <= f64::from(burst) + ratio * (calls + 1) as f64);
                prop_assert!(budget.tokens() <= burst);
            }
        }
    }

    #[test]
    fn one_in_twenty() {
        let budget = Budget::new(0.05, 10);
        while budget.take() {}
        let mut taken = 0;
        for _ in 0..20_000 {
            budget.deposit();
            taken += u32::from(budget.take());
        }
        assert!((999..=1000).contains(&taken), "{taken}");
    }

    #[test]
    fn no_more_is_saved_up_than_the_burst() {
        let budget = Budget::new(1.0, 3);
        for _ in 0..100 {
            budget.deposit();
        }
        budget.give_back();
        assert_eq!(budget.tokens(), 3);
        assert_eq!((0..5).filter(|_| budget.take()).count(), 3);
    }
}

#[cfg(all(test, bartizan_loom))]
mod loom_tests {
    use loom::{sync::Arc, thread};

    use super::*;

    #[test]
    fn loom_one_token_is_taken_once() {
        loom::model(|| {
            let purse = Arc::new(Purse::full(1));
            let other = Arc::clone(&purse);
            let taken = thread::spawn(move || other.take());
            let here = purse.take();
            let there = taken.join().expect("it does not panic");
            assert!(here != there);
            assert_eq!(purse.tokens(), 0);
        });
    }

    #[test]
    fn loom_tokens_given_at_once_stay_within_the_maximum_and_none_is_lost() {
        loom::model(|| {
            let purse = Arc::new(Purse::full(2));
            assert!(purse.take());
            let other = Arc::clone(&purse);
            let giver = thread::spawn(move || other.give());
            let taken = purse.take();
            purse.give();
            giver.join().expect("it does not panic");
            assert!(taken);
            assert_eq!(purse.tokens(), 2);
        });
    }
}
