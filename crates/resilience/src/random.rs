//! Chance: each thread's own by default, and a repeatable one for tests and simulations.

use std::sync::{Arc, Mutex, PoisonError};

/// Where jitter, sampling and random picks come from. Clones share a seeded one, so that no two of them repeat each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Random(Option<Arc<Mutex<fastrand::Rng>>>);

impl Random {
    /// The thread's own generator: no state to share, and no two threads alike.
    pub(crate) const THREAD: Self = Self(None);

    /// The same sequence for the same seed. It costs a lock.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(Some(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)))))
    }

    /// From 0 to 1, without 1.
    pub(crate) fn unit(&self) -> f64 {
        match &self.0 {
            None => fastrand::f64(),
            Some(rng) => rng.lock().unwrap_or_else(PoisonError::into_inner).f64(),
        }
    }

    /// From 0 to `end`, without `end`, which is not 0.
    pub(crate) fn below(&self, end: usize) -> usize {
        match &self.0 {
            None => fastrand::usize(..end),
            Some(rng) => rng
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .usize(..end),
        }
    }
}
