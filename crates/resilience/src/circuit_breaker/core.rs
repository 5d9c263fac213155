//! What all services of one breaker share.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bartizan_core::{OnComplete, Outcome, Rejection, RejectionKind};
use tokio::{sync::watch, time::Instant};

use super::{
    Snapshot,
    policy::Policy,
    run::Run,
    state::{Admission, Circuit, Probe, State},
};
use crate::{
    stripes::Held,
    sync::atomic::{AtomicU64, Ordering},
    window::{Window, nanos},
};

// The counters of the window.
const SUCCEEDED: usize = 0;
const FAILED: usize = 1;
const THROTTLED: usize = 2;
const SLOW: usize = 3;
const CANCELLED: usize = 4;

#[derive(Debug)]
pub(super) struct Core {
    policy: Policy,
    origin: Instant,
    /// Generation and state of `circuit`, so that a call through a closed circuit takes no lock.
    word: AtomicU64,
    /// Until when it is open, in nanoseconds from `origin`, so that a call to an open one takes none either.
    open_until: AtomicU64,
    window: Window<5>,
    run: Run,
    rejected: AtomicU64,
    circuit: Mutex<Guarded>,
    state: watch::Sender<State>,
    /// Changes whenever a call may be admitted that was not before.
    turn: watch::Sender<u64>,
}

#[derive(Debug)]
struct Guarded {
    circuit: Circuit,
    /// The last open time, from which the next one grows.
    open_time: Duration,
}

/// A call that is refused, and until when it certainly is.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) until: Option<Instant>,
}

impl Refusal {
    pub(super) fn into_rejection(self) -> Rejection {
        let rejection = Rejection::new(RejectionKind::Open, "circuit_breaker");
        match self.until {
            Some(until) => {
                rejection.with_retry_after(until.saturating_duration_since(Instant::now()))
            }
            None => rejection,
        }
    }
}

impl Core {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            window: Window::new(policy.window, policy.buckets()),
            origin: Instant::now(),
            word: AtomicU64::new(pack(0, State::Closed)),
            open_until: AtomicU64::new(0),
            run: Run::new(),
            rejected: AtomicU64::new(0),
            circuit: Mutex::new(Guarded {
                circuit: Circuit::new(),
                open_time: Duration::ZERO,
            }),
            state: watch::Sender::new(State::Closed),
            turn: watch::Sender::new(0),
            policy,
        }
    }

    pub(super) const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The state as it was last set. An open time that is over is noticed by the next call.
    pub(super) fn state(&self) -> State {
        unpack(self.word.load(Ordering::Acquire)).1
    }

    pub(super) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub(super) fn turns(&self) -> watch::Receiver<u64> {
        self.turn.subscribe()
    }

    /// The generation that the call belongs to, and whether it is a probe.
    pub(super) fn admit(&self) -> Result<(u32, bool), Refusal> {
        let (generation, state) = unpack(self.word.load(Ordering::Acquire));
        match state {
            State::Closed | State::ForcedClosed => return Ok((generation, false)),
            State::Open => {
                let until = Duration::from_nanos(self.open_until.load(Ordering::Relaxed));
                let until = self.origin + until;
                if Instant::now() < until {
                    return Err(Refusal { until: Some(until) });
                }
            }
            State::HalfOpen | State::Isolated => {}
        }
        let mut guarded = self.lock();
        let before = guarded.circuit.generation();
        let admission = guarded.circuit.admit(Instant::now(), self.policy.probing);
        if guarded.circuit.generation() != before {
            self.publish(&guarded);
        }
        let generation = guarded.circuit.generation();
        match admission {
            Admission::Admitted => Ok((generation, false)),
            Admission::Probe => Ok((generation, true)),
            Admission::Refused(until) => Err(Refusal { until }),
        }
    }

    pub(super) fn count_rejection(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    fn record(&self, generation: u32, is_slow: bool, outcome: Outcome) {
        let (current, state) = unpack(self.word.load(Ordering::Acquire));
        // What began before the circuit last changed says nothing of it now, and who has forced it wants nothing counted.
        if current != generation || state != State::Closed {
            return;
        }
        let now = Instant::now();
        let count = |counter| self.window.record(now, generation, counter);
        if is_slow {
            count(SLOW);
        }
        let run = match outcome {
            Outcome::Success => {
                count(SUCCEEDED);
                self.run.succeeded(generation);
                if !is_slow {
                    return;
                }
                0
            }
            Outcome::Failure => {
                count(FAILED);
                self.run.failed(generation)
            }
            Outcome::Throttled { .. } => {
                count(THROTTLED);
                0
            }
            Outcome::Cancelled => return count(CANCELLED),
            // Of outcomes that are not known yet, nothing is known to be bad.
            _ => return,
        };
        if self.has_reason(now, generation, run) {
            self.change(|core, guarded| {
                let open_time = core.open_time(guarded);
                guarded.circuit.trip(now, generation, open_time)
            });
        }
    }

    /// Whether the last `run` failures, or what is in the window, are reason enough to open.
    fn has_reason(&self, now: Instant, generation: u32, run: u32) -> bool {
        let policy = &self.policy;
        if policy.consecutive.is_some_and(|most| run >= most) {
            return true;
        }
        if policy.failure_ratio.is_none() && policy.failures.is_none() && policy.slow.is_none() {
            return false;
        }
        let totals = self.window.totals(now, generation);
        let failed = totals[FAILED] + totals[THROTTLED];
        let calls = totals[SUCCEEDED] + failed;
        let too_many = |part, share: &super::policy::Share| share.is_reached(part, calls);
        policy.failures.is_some_and(|most| totals[FAILED] >= most)
            || (policy.failure_ratio.as_ref()).is_some_and(|share| too_many(failed, share))
            || (policy.slow.as_ref()).is_some_and(|(_, share)| too_many(totals[SLOW], share))
    }

    fn probe_ended(&self, generation: u32, probe: Probe) {
        let now = Instant::now();
        self.change(|core, guarded| {
            let open_time = match probe {
                Probe::Failed => core.open_time(guarded),
                Probe::Succeeded | Probe::Void => Duration::ZERO,
            };
            let probing = core.policy.probing;
            guarded
                .circuit
                .probe_ended(now, generation, probe, probing, open_time)
        });
    }

    pub(super) fn force(&self, force: impl FnOnce(&mut Circuit)) {
        self.change(|_, guarded| {
            force(&mut guarded.circuit);
            true
        });
    }

    /// The next open time, which grows each time it opens without having closed.
    fn open_time(&self, guarded: &mut Guarded) -> Duration {
        let opened = guarded.circuit.opened();
        guarded.open_time = self.policy.open.delay(opened, guarded.open_time);
        guarded.open_time
    }

    fn change(&self, change: impl FnOnce(&Self, &mut Guarded) -> bool) {
        let mut guarded = self.lock();
        if change(self, &mut guarded) {
            self.publish(&guarded);
        }
    }

    /// Tells everybody, in the order in which it happened: hence under the lock. Nobody's code runs here; wakers only schedule.
    fn publish(&self, Guarded { circuit, .. }: &Guarded) {
        let (generation, state) = (circuit.generation(), circuit.state());
        if let Some(until) = circuit.open_until() {
            let until = nanos(until.saturating_duration_since(self.origin));
            self.open_until.store(until, Ordering::Relaxed);
        }
        let word = pack(generation, state);
        // Release: who sees the word sees until when it is open.
        if self.word.swap(word, Ordering::AcqRel) != word {
            self.run.begin(generation);
        }
        let has_changed = |seen: &mut State| std::mem::replace(seen, state) != state;
        if self.state.send_if_modified(has_changed) {
            tracing::info!(
                ?state,
                generation,
                opened = circuit.opened(),
                "circuit breaker"
            );
        }
        self.turn.send_modify(|turn| *turn = turn.wrapping_add(1));
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let guarded = self.lock();
        let now = Instant::now();
        let generation = guarded.circuit.generation();
        let totals = self.window.totals(now, generation);
        Snapshot {
            state: guarded.circuit.state(),
            generation,
            opened: guarded.circuit.opened(),
            remaining: (guarded.circuit.open_until())
                .map(|until| until.saturating_duration_since(now)),
            succeeded: totals[SUCCEEDED],
            failed: totals[FAILED],
            throttled: totals[THROTTLED],
            slow: totals[SLOW],
            cancelled: totals[CANCELLED],
            rejected: self.rejected.load(Ordering::Relaxed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Guarded> {
        // Nothing in the locked blocks leaves a circuit half changed.
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pack(generation: u32, state: State) -> u64 {
    u64::from(generation) << 8 | state as u64
}

#[expect(clippy::cast_possible_truncation, reason = "the parts of the word")]
const fn unpack(word: u64) -> (u32, State) {
    ((word >> 8) as u32, State::ALL[(word & 0xff) as usize])
}

/// What a call needs of its breaker, and what lanes lend.
pub(super) type Lane<C> = crate::stripes::Lane<Core, C>;

/// A call that was let through, and tells the breaker how it ended. The last type parameter of the body of a response that is judged
/// at its end.
#[derive(Debug)]
pub struct Permit<C> {
    lane: Held<Lane<C>>,
    generation: u32,
    is_probe: bool,
    /// When the call began to be waited for, if that matters.
    waiting_since: Option<Instant>,
    is_slow: bool,
    /// Whether it came to a call: a place that was only kept says nothing when it is given back.
    is_called: bool,
}

impl<C> Permit<C> {
    pub(super) const fn new(lane: Held<Lane<C>>, (generation, is_probe): (u32, bool)) -> Self {
        Self {
            lane,
            generation,
            is_probe,
            waiting_since: None,
            is_slow: false,
            is_called: false,
        }
    }

    pub(super) const fn called(&mut self) {
        self.is_called = true;
    }

    pub(super) fn classify(&self) -> &C {
        &self.lane.classify
    }

    /// Looks at the clock only where there is something to wait for, so that a response that is there at once costs no look.
    pub(super) fn wait(&mut self) {
        if self.lane.core.policy.is_timed() {
            self.waiting_since.get_or_insert_with(Instant::now);
        }
    }

    fn has_waited(&self, limit: Option<Duration>) -> bool {
        let (Some(since), Some(limit)) = (self.waiting_since, limit) else {
            return false;
        };
        since.elapsed() >= limit
    }

    /// The response is there, or an error in its place.
    pub(super) fn answered(&mut self) {
        let limit = (self.lane.core.policy.slow.as_ref()).map(|(limit, _)| *limit);
        self.is_slow = self.has_waited(limit);
    }
}

impl<C> OnComplete for Permit<C> {
    fn on_complete(self, outcome: Outcome) {
        let core = &self.lane.core;
        // Whoever drops a call that has taken long has given up on it, as a time limit above does.
        let is_overdue = || self.has_waited(core.policy.fail_cancelled_after);
        let outcome = match outcome {
            Outcome::Cancelled if is_overdue() => Outcome::Failure,
            outcome => outcome,
        };
        if !self.is_called {
            if self.is_probe {
                core.probe_ended(self.generation, Probe::Void);
            }
            return;
        }
        if !self.is_probe {
            return core.record(self.generation, self.is_slow, outcome);
        }
        let probe = match outcome {
            Outcome::Success if !self.is_slow => Probe::Succeeded,
            Outcome::Success | Outcome::Failure | Outcome::Throttled { .. } => Probe::Failed,
            _ => Probe::Void,
        };
        core.probe_ended(self.generation, probe);
    }
}
