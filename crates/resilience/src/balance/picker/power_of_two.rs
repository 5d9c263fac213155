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
    if slots < 2 {
        return candidates.draw(schedule, None);
    }
    let slot = candidates.random_below(slots);
    let a = match schedule.at(slot) {
        a if candidates.is_usable(a) => a,
        _ => candidates.draw(schedule, None)?,
    };
    // Another slot, each as likely as the others.
    let other = candidates.random_below(slots - 1);
    let b = match schedule.at(other + usize::from(other >= slot)) {
        b if b != a && candidates.is_usable(b) => b,
        _ => match candidates.draw(schedule, Some(a)) {
            Some(b) => b,
            None => return Some(a),
        },
    };
    Some(if cost(b) < cost(a) { b } else { a })
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

    /// Sets what is assumed of an endpoint while its first call is under way. One that was never tried costs nothing, so that it is.
    /// Default: 30 ms.
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
            let load = candidates.load(i);
            match candidates.measured(i) {
                Some(seconds) => seconds * (load + 1.0),
                // Nobody has tried it, and somebody has to: what is assumed of it may be more than all others take.
                None if load == 0.0 => 0.0,
                None => self.measure.unmeasured.as_secs_f32() * (load + 1.0),
            }
        })
    }
}
