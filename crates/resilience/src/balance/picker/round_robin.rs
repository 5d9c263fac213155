//! Turns and chance: pickers that know nothing of load.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{Candidates, Picker, Prepare, schedule::Schedule};
use crate::endpoint::Endpoint;

/// How many turns a call may skip before it takes any endpoint that is left.
const SKIPS: usize = 64;

#[derive(Clone, Debug, Default)]
struct Turns {
    schedule: Schedule,
    next: Arc<AtomicUsize>,
}

impl Turns {
    fn over(&self, schedule: Schedule) -> Self {
        Self {
            schedule,
            next: Arc::clone(&self.next),
        }
    }

    /// A turn that is skipped is gone: to give it to the neighbour would double the neighbour's load.
    fn take(&self, candidates: &Candidates<'_>) -> Option<usize> {
        let slots = self.schedule.len();
        if slots == 0 {
            return None;
        }
        (0..SKIPS.max(slots.min(1024)))
            .map(|_| {
                self.schedule
                    .at(self.next.fetch_add(1, Ordering::Relaxed) % slots)
            })
            .find(|&i| candidates.is_usable(i))
            .or_else(|| candidates.draw(&self.schedule, None))
    }
}

/// Each endpoint in turn, in the order of the list, whatever its weight; one of weight 0 gets none.
///
/// It knows nothing of load: for endpoints that are all alike, and calls that are too.
#[derive(Clone, Debug, Default)]
pub struct RoundRobin(Turns);

impl RoundRobin {
    /// Begins with the first.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Prepare for RoundRobin {
    fn prepare(&self, endpoints: &[Endpoint]) -> Self {
        Self(self.0.over(Schedule::unweighted(endpoints)))
    }
}

impl<Req> Picker<Req> for RoundRobin {
    fn pick(&self, candidates: &Candidates<'_>, _: Option<&Req>) -> Option<usize> {
        self.0.take(candidates)
    }
}

/// Each endpoint in turn, as often as its weight says, and evenly spread: `a a b a c a a` for weights of 5, 1 and 1.
///
/// This is nginx's smooth weighted round robin. Its period is worked out when the list changes; weights that add up to more than 65,536,
/// once their common divisor is taken out, are rounded to fit.
#[derive(Clone, Debug, Default)]
pub struct WeightedRoundRobin(Turns);

impl WeightedRoundRobin {
    /// Begins with the heaviest.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Prepare for WeightedRoundRobin {
    fn prepare(&self, endpoints: &[Endpoint]) -> Self {
        Self(self.0.over(Schedule::weighted(endpoints)))
    }
}

impl<Req> Picker<Req> for WeightedRoundRobin {
    fn pick(&self, candidates: &Candidates<'_>, _: Option<&Req>) -> Option<usize> {
        self.0.take(candidates)
    }
}

/// Any endpoint, as likely as its weight says. It shares no state at all.
#[derive(Clone, Debug, Default)]
pub struct RandomPick(Schedule);

impl RandomPick {
    /// There is nothing to set.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Prepare for RandomPick {
    fn prepare(&self, endpoints: &[Endpoint]) -> Self {
        Self(Schedule::weighted(endpoints))
    }
}

impl<Req> Picker<Req> for RandomPick {
    fn pick(&self, candidates: &Candidates<'_>, _: Option<&Req>) -> Option<usize> {
        candidates.draw(&self.0, None)
    }
}
