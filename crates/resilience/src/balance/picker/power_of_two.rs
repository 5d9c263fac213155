//! The better of two: pickers that compare two random endpoints by load.
//!
//! To take the best of all would send every caller to the same one, at the same time. The better of two random ones is nearly as
//! good, and herds nobody (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing").

use std::time::Duration;

use super::{Candidates, Measure, Picker, Prepare, schedule::Schedule};
use crate::endpoint::Endpoint;

/// The cheaper of two random ones; the first of them if they cost the same, so that weights hold where nothing is under way.
fn better_of_two(
    candidates: &Candidates<'_>,
    schedule: &Schedule,
    cost: impl Fn(usize) -> f32,
) -> Option<usize> {
    let slots = schedule.len();
    if slots >= 2 {
        let first = candidates.random_below(slots);
        // Another slot, each as likely as the others.
        let second = candidates.random_below(slots - 1);
        let second = second + usize::from(second >= first);
        let (a, b) = (schedule.at(first), schedule.at(second));
        if a != b && candidates.is_usable(a) && candidates.is_usable(b) {
            return Some(if cost(b) < cost(a) { b } else { a });
        }
    }
    let a = candidates.draw(schedule, None)?;
    Some(match candidates.draw(schedule, Some(a)) {
        Some(b) if cost(b) < cost(a) => b,
        _ => a,
    })
}

/// Of two random endpoints the one with fewer calls under way, relative to their weights.
///
/// An endpoint that fails fast has few calls under way, and draws more. Put breakers below it, or outlier ejection beside it; or use
/// [`PeakEwma`], which sees failures itself.
#[derive(Clone, Debug, Default)]
pub struct LeastRequest(Schedule);

impl LeastRequest {
    /// There is nothing to set.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Prepare for LeastRequest {
    fn prepare(&self, endpoints: &[Endpoint]) -> Self {
        Self(Schedule::weighted(endpoints))
    }
}

impl<Req> Picker<Req> for LeastRequest {
    fn pick(&self, candidates: &Candidates<'_>, _: Option<&Req>) -> Option<usize> {
        better_of_two(candidates, &self.0, |i| candidates.load(i))
    }
}

/// Of two random endpoints the one that promises the earlier answer: its latency, times the calls that are under way. The default.
///
/// The latency is a moving average that takes a peak at once and forgets it slowly, so that an endpoint that gets slow is left at
/// the first slow answer and comes back by degrees. A failure counts as a slow answer. A call that the caller gave up counts as one
/// that took at least as long. A call that `Classify` says to ignore counts not at all, unless it is an error: then a layer in
/// between, such as an open breaker, keeps calls from the endpoint, and it counts as a failure.
///
/// After Finagle's peak EWMA. See [`Measure::default`] for the numbers and their reasons.
#[derive(Clone, Debug, Default)]
pub struct PeakEwma {
    schedule: Schedule,
    measure: Measure,
}

impl PeakEwma {
    /// Decay 10 s, unmeasured 30 ms, penalty 5 s.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long until 63 % of what was measured is forgotten. Default: 10 s.
    #[must_use]
    pub const fn decay(mut self, decay: Duration) -> Self {
        self.measure.decay = decay;
        self
    }

    /// Sets what is assumed of an endpoint until its first call has ended. Default: 30 ms.
    #[must_use]
    pub const fn unmeasured(mut self, latency: Duration) -> Self {
        self.measure.unmeasured = latency;
        self
    }

    /// Sets what a failure counts as, if it did not take longer. Default: 5 s. Zero does not see failures.
    #[must_use]
    pub const fn penalty(mut self, latency: Duration) -> Self {
        self.measure.penalty = latency;
        self
    }
}

impl Prepare for PeakEwma {
    fn prepare(&self, endpoints: &[Endpoint]) -> Self {
        Self {
            schedule: Schedule::weighted(endpoints),
            measure: self.measure,
        }
    }

    fn measure(&self) -> Option<Measure> {
        Some(self.measure)
    }
}

impl<Req> Picker<Req> for PeakEwma {
    fn pick(&self, candidates: &Candidates<'_>, _: Option<&Req>) -> Option<usize> {
        better_of_two(candidates, &self.schedule, |i| {
            candidates.seconds(i) * (candidates.load(i) + 1.0)
        })
    }
}
