//! What a picker sees of the endpoints.

use std::{cell::Cell, fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::schedule::Schedule;
use crate::{
    balance::node::{Node, Weighing, duration},
    endpoint::Endpoint,
    random::Random,
};

/// The endpoints among which a [`Picker`](super::Picker) picks, by index.
pub struct Candidates<'a> {
    pub(in crate::balance) nodes: &'a [Arc<Node>],
    /// Those that were not ready when this call asked them.
    pub(in crate::balance) tried: &'a [Arc<Node>],
    /// The one that is just starting, and left out this time.
    pub(in crate::balance) skip: Option<usize>,
    /// Below which share of fit endpoints fitness counts no more.
    pub(in crate::balance) panic_threshold: f64,
    /// Worked out when an unfit one is met, and not before.
    pub(in crate::balance) panics: Cell<Option<bool>>,
    pub(in crate::balance) weighing: Option<Weighing>,
    pub(in crate::balance) now: Cell<Option<Instant>>,
    pub(in crate::balance) random: &'a Random,
}

/// How often chance is tried before the rest are looked through.
const DRAWS: usize = 8;

impl Candidates<'_> {
    /// How many there are. Not all of them need be usable.
    pub const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The endpoint of that index.
    ///
    /// # Panics
    ///
    /// As the others that take an index do, if it is not below [`len`](Self::len).
    pub fn endpoint(&self, index: usize) -> &Endpoint {
        self.nodes[index].endpoint()
    }

    /// Whether it can be picked: still in the list, with a weight, not found busy by this call, and fit — or so few are fit that
    /// fitness does not count.
    pub fn is_usable(&self, index: usize) -> bool {
        let node = &self.nodes[index];
        !node.is_removed()
            && node.weight() > 0
            && self.skip != Some(index)
            && !self.tried.iter().any(|tried| Arc::ptr_eq(tried, node))
            && (node.endpoint().is_fit() || self.panics())
    }

    /// How many calls to it are under way, those of other balancers over the same list included.
    pub fn in_flight(&self, index: usize) -> u32 {
        self.nodes[index].in_flight()
    }

    /// What a call to it takes, by [`Prepare::measure`](super::Prepare::measure). Zero if that is `None`.
    pub fn latency(&self, index: usize) -> Duration {
        let unmeasured = || self.weighing.map_or(0.0, |weighing| weighing.unmeasured);
        duration(self.measured(index).unwrap_or_else(unmeasured))
    }

    /// A random number below `end`, which is not 0: repeatable where the balancer was given a seed.
    pub fn random_below(&self, end: usize) -> usize {
        self.random.below(end)
    }

    /// `None` if no call to it has ended yet, or nothing is measured.
    pub(super) fn measured(&self, index: usize) -> Option<f32> {
        let weighing = self.weighing?;
        // One look at the clock for all that this call compares.
        let now = self.now.get().unwrap_or_else(|| {
            let now = Instant::now();
            self.now.set(Some(now));
            now
        });
        self.nodes[index].latency(now, weighing)
    }

    /// What is under way to it, relative to its weight.
    pub(super) fn load(&self, index: usize) -> f32 {
        let node = &self.nodes[index];
        match node.weight() {
            1 => node.in_flight() as f32,
            weight => node.in_flight() as f32 / weight as f32,
        }
    }

    /// A random usable one, by weight; another one than `not`.
    pub(super) fn draw(&self, schedule: &Schedule, not: Option<usize>) -> Option<usize> {
        let slots = schedule.len();
        if slots == 0 {
            return None;
        }
        let usable = |&i: &usize| Some(i) != not && self.is_usable(i);
        (0..DRAWS)
            .map(|_| schedule.at(self.random.below(slots)))
            .find(usable)
            .or_else(|| {
                // Few are left, or luck is.
                let start = self.random.below(slots);
                (0..slots)
                    .map(|n| schedule.at((start + n) % slots))
                    .find(usable)
            })
    }

    pub(in crate::balance) fn any(&self) -> Option<usize> {
        (0..self.len()).find(|&i| self.is_usable(i))
    }

    /// Whether too few are fit for fitness to count.
    fn panics(&self) -> bool {
        self.panics.get().unwrap_or_else(|| {
            let panics = too_few_are_fit(self.nodes, self.panic_threshold);
            self.panics.set(Some(panics));
            panics
        })
    }
}

/// Whether the share of fit ones, among those that take part at all, is below `threshold`.
pub(in crate::balance) fn too_few_are_fit(nodes: &[Arc<Node>], threshold: f64) -> bool {
    let (fit, all) = nodes
        .iter()
        .filter(|node| !node.is_removed() && node.weight() > 0)
        .fold((0_u32, 0_u32), |(fit, all), node| {
            (fit + u32::from(node.endpoint().is_fit()), all + 1)
        });
    f64::from(fit) < threshold * f64::from(all)
}

impl fmt::Debug for Candidates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.nodes.iter().map(|node| node.endpoint().name()))
            .finish()
    }
}
