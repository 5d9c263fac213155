//! Reading a breaker, and overruling it.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use super::{State, core::Core};

/// Reads a circuit breaker, and overrules it, from anywhere. Nothing here waits, but for [`StateWatch::changed`].
#[derive(Clone, Debug)]
pub struct CircuitBreakerHandle {
    core: Arc<Core>,
}

impl CircuitBreakerHandle {
    pub(super) const fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// What it does with calls. Open it stays, even when its time is over, until a call comes and is let through as a probe.
    pub fn state(&self) -> State {
        self.core.state()
    }

    /// The state, and the counts behind it.
    pub fn snapshot(&self) -> Snapshot {
        self.core.snapshot()
    }

    /// Waits for changes of the state.
    pub fn watch(&self) -> StateWatch {
        StateWatch(self.core.watch())
    }

    /// Opens it for that long, whatever it was. After that, probes decide, as always.
    pub fn force_open(&self, open_time: Duration) {
        self.core
            .force(|circuit| circuit.force_open(Instant::now(), open_time));
    }

    /// Lets everything through and counts nothing, until [`automatic`](Self::automatic).
    pub fn force_closed(&self) {
        self.core.force(super::state::Circuit::force_closed);
    }

    /// Lets nothing through, until [`automatic`](Self::automatic).
    pub fn isolate(&self) {
        self.core.force(super::state::Circuit::isolate);
    }

    /// Closes it, with nothing counted yet, and leaves it to itself.
    pub fn automatic(&self) {
        self.core.force(super::state::Circuit::close);
    }
}

/// Tells each change of the state of a breaker. Of changes between two looks, the last.
#[derive(Clone, Debug)]
pub struct StateWatch(watch::Receiver<State>);

impl StateWatch {
    /// The state now.
    pub fn state(&self) -> State {
        *self.0.borrow()
    }

    /// Waits until the state is another than when it was last told here, and tells it. `None` when the breaker is gone, with all its
    /// layers, services and handles. Dropping the future loses nothing.
    pub async fn changed(&mut self) -> Option<State> {
        self.0.changed().await.ok()?;
        Some(*self.0.borrow_and_update())
    }
}

/// What a circuit breaker has counted. Counts are of its window, and of the time since its state last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// What it does with calls.
    pub state: State,
    /// How many states there have been before.
    pub generation: u32,
    /// How often it opened since it was last closed.
    pub opened: u32,
    /// For how long it will refuse all calls, if it is open.
    pub remaining: Option<Duration>,
    /// Calls that succeeded.
    pub succeeded: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Calls to which the peer answered that it wants fewer.
    pub throttled: u64,
    /// Calls that took too long, whatever came of them. Only if slow calls are a reason to open.
    pub slow: u64,
    /// Calls that were dropped before they were answered, and early enough to say nothing of the peer.
    pub cancelled: u64,
    /// Calls that were refused, ever.
    pub rejected: u64,
}
