//! The states of a circuit, and the ways between them. Pure: it is told the time, and what happened.

use std::time::Duration;

use tokio::time::Instant;

/// What a circuit breaker does with calls. *Closed* admits and *open* rejects, as in the electrical one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// All calls go through, and are counted.
    Closed,
    /// No call goes through, until the open time is over.
    Open,
    /// Some calls go through, to see whether the peer has recovered.
    HalfOpen,
    /// All calls go through, whatever comes of them: somebody has forced it.
    ForcedClosed,
    /// No call goes through, for as long as somebody wants it so.
    Isolated,
}

impl State {
    pub(super) const ALL: [Self; 5] = [
        Self::Closed,
        Self::Open,
        Self::HalfOpen,
        Self::ForcedClosed,
        Self::Isolated,
    ];
}

/// How the half-open state goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probing {
    /// How many calls may be under way at a time.
    pub(super) probes: u32,
    /// How many have to succeed.
    pub(super) successes: u32,
    /// After how long the probes that have not ended are given up, and others let through.
    pub(super) longest_wait: Duration,
}

#[derive(Debug)]
pub(super) struct Circuit {
    phase: Phase,
    generation: u32,
    /// How often it opened since it was last closed.
    opened: u32,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed,
    Open {
        until: Instant,
    },
    HalfOpen {
        until: Instant,
        under_way: u32,
        succeeded: u32,
    },
    ForcedClosed,
    Isolated,
}

/// Whether a call may go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Admitted,
    /// Admitted on trial. It has to be told to [`Circuit::probe_ended`] how it ends.
    Probe,
    /// Not before that moment, if it is known; something else may change it before.
    Refused(Option<Instant>),
}

/// How a probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    Succeeded,
    Failed,
    /// It says nothing: it was dropped, or refused by a layer below. Its place is given to another.
    Void,
}

impl Circuit {
    pub(super) const fn new() -> Self {
        Self {
            phase: Phase::Closed,
            generation: 0,
            opened: 0,
        }
    }

    pub(super) const fn state(&self) -> State {
        match self.phase {
            Phase::Closed => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen { .. } => State::HalfOpen,
            Phase::ForcedClosed => State::ForcedClosed,
            Phase::Isolated => State::Isolated,
        }
    }

    /// Counts the states that there have been. What belongs to an earlier one says nothing of this.
    pub(super) const fn generation(&self) -> u32 {
        self.generation
    }

    pub(super) const fn opened(&self) -> u32 {
        self.opened
    }

    /// Until when it is open, if it is.
    pub(super) const fn open_until(&self) -> Option<Instant> {
        match self.phase {
            Phase::Open { until } => Some(until),
            _ => None,
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation = self.generation.wrapping_add(1);
    }

    pub(super) fn admit(&mut self, now: Instant, probing: Probing) -> Admission {
        let begin = Phase::HalfOpen {
            until: later(now, probing.longest_wait),
            under_way: 1,
            succeeded: 0,
        };
        match &mut self.phase {
            Phase::Closed | Phase::ForcedClosed => Admission::Admitted,
            Phase::Isolated => Admission::Refused(None),
            // ## Open => (Open | HalfOpen)
            Phase::Open { until } if now < *until => Admission::Refused(Some(*until)),
            Phase::Open { .. } => {
                self.enter(begin);
                Admission::Probe
            }
            // ## HalfOpen => HalfOpen
            Phase::HalfOpen { under_way, .. } if *under_way < probing.probes => {
                *under_way += 1;
                Admission::Probe
            }
            Phase::HalfOpen { until, .. } if now < *until => Admission::Refused(Some(*until)),
            // The probes have had their time. Whatever becomes of them, others take their places, so that it never stays so for ever.
            Phase::HalfOpen { .. } => {
                self.enter(begin);
                Admission::Probe
            }
        }
    }

    // ## Closed => Open
    /// Opens for `open_time`, if it is still closed as it was in `generation`. Says whether it did.
    pub(super) fn trip(&mut self, now: Instant, generation: u32, open_time: Duration) -> bool {
        let is_current = matches!(self.phase, Phase::Closed) && self.generation == generation;
        if is_current {
            self.open(now, open_time);
        }
        is_current
    }

    fn open(&mut self, now: Instant, open_time: Duration) {
        self.opened = self.opened.saturating_add(1);
        self.enter(Phase::Open {
            until: later(now, open_time),
        });
    }

    // ## HalfOpen => (HalfOpen | Closed | Open)
    /// A probe of `generation` ended; if it failed, the circuit opens for `open_time`. Says whether that changed anything.
    pub(super) fn probe_ended(
        &mut self,
        now: Instant,
        generation: u32,
        probe: Probe,
        probing: Probing,
        open_time: Duration,
    ) -> bool {
        if self.generation != generation {
            return false;
        }
        let Phase::HalfOpen {
            under_way,
            succeeded,
            ..
        } = &mut self.phase
        else {
            return false;
        };
        *under_way = under_way.saturating_sub(1);
        match probe {
            Probe::Void => {}
            Probe::Failed => self.open(now, open_time),
            Probe::Succeeded => {
                *succeeded += 1;
                if *succeeded >= probing.successes {
                    self.close();
                }
            }
        }
        true
    }

    // ## any => Closed
    pub(super) fn close(&mut self) {
        self.opened = 0;
        self.enter(Phase::Closed);
    }

    // ## any => Open
    pub(super) fn force_open(&mut self, now: Instant, open_time: Duration) {
        self.open(now, open_time);
    }

    // ## any => ForcedClosed
    pub(super) fn force_closed(&mut self) {
        self.enter(Phase::ForcedClosed);
    }

    // ## any => Isolated
    pub(super) fn isolate(&mut self) {
        self.enter(Phase::Isolated);
    }
}

/// However long `delay` is, there is such a moment.
fn later(now: Instant, delay: Duration) -> Instant {
    const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    now + delay.min(FOREVER)
}

#[cfg(all(test, not(bartizan_loom)))]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PROBING: Probing = Probing {
        probes: 2,
        successes: 3,
        longest_wait: Duration::from_secs(30),
    };

    fn open(now: Instant) -> Circuit {
        let mut circuit = Circuit::new();
        assert!(circuit.trip(now, 0, SECOND));
        circuit
    }

    fn half_open(now: Instant) -> Circuit {
        let mut circuit = open(now);
        assert_eq!(circuit.admit(now + SECOND, PROBING), Admission::Probe);
        circuit
    }

    #[test]
    fn open_refuses_until_its_time_is_over() {
        let now = Instant::now();
        let mut circuit = open(now);
        let early = circuit.admit(now + SECOND - Duration::from_nanos(1), PROBING);
        assert_eq!(early, Admission::Refused(Some(now + SECOND)));
        assert_eq!(circuit.admit(now + SECOND, PROBING), Admission::Probe);
        assert_eq!(circuit.state(), State::HalfOpen);
    }

    #[test]
    fn half_open_admits_as_many_as_it_has_places_for() {
        let now = Instant::now();
        let mut circuit = half_open(now);
        let now = now + SECOND;
        assert_eq!(circuit.admit(now, PROBING), Admission::Probe);
        assert!(matches!(
            circuit.admit(now, PROBING),
            Admission::Refused(Some(_))
        ));
        assert!(circuit.probe_ended(now, 2, Probe::Void, PROBING, SECOND));
        assert_eq!(
            circuit.admit(now, PROBING),
            Admission::Probe,
            "a void probe gives its place back"
        );
    }

    #[test]
    fn it_closes_after_enough_successes_and_not_before() {
        let now = Instant::now();
        let mut circuit = half_open(now);
        for _ in 0..2 {
            circuit.probe_ended(now, 2, Probe::Succeeded, PROBING, SECOND);
            assert_eq!(circuit.state(), State::HalfOpen);
            assert_eq!(circuit.admit(now, PROBING), Admission::Probe);
        }
        circuit.probe_ended(now, 2, Probe::Succeeded, PROBING, SECOND);
        assert_eq!((circuit.state(), circuit.opened()), (State::Closed, 0));
    }

    #[test]
    fn one_failed_probe_opens_it_again() {
        let now = Instant::now();
        let mut circuit = half_open(now);
        circuit.probe_ended(now, 2, Probe::Succeeded, PROBING, SECOND);
        circuit.admit(now, PROBING);
        circuit.probe_ended(now, 2, Probe::Failed, PROBING, SECOND * 2);
        assert_eq!((circuit.state(), circuit.opened()), (State::Open, 2));
        assert_eq!(circuit.open_until(), Some(now + SECOND * 2));
    }

    #[test]
    fn half_open_never_wedges() {
        let now = Instant::now();
        let mut circuit = half_open(now);
        circuit.admit(now + SECOND, PROBING);
        // Neither probe ever ends.
        let later = now + SECOND + PROBING.longest_wait;
        assert_eq!(circuit.admit(later, PROBING), Admission::Probe);
        // If one does, after all, it is of another generation.
        assert!(!circuit.probe_ended(later, 2, Probe::Failed, PROBING, SECOND));
        assert_eq!(circuit.state(), State::HalfOpen);
    }

    #[test]
    fn results_from_before_are_ignored() {
        let now = Instant::now();
        let mut circuit = half_open(now);
        assert!(!circuit.trip(now, 0, SECOND), "of the closed state before");
        assert!(!circuit.probe_ended(now, 0, Probe::Succeeded, PROBING, SECOND));
        assert!(!circuit.probe_ended(now, 1, Probe::Failed, PROBING, SECOND));
        assert_eq!(circuit.state(), State::HalfOpen);
    }

    #[test]
    fn what_is_forced_stays_until_it_is_lifted() {
        let now = Instant::now();
        let mut circuit = Circuit::new();
        circuit.isolate();
        assert_eq!(
            circuit.admit(now + SECOND * 1000, PROBING),
            Admission::Refused(None)
        );
        circuit.force_closed();
        assert_eq!(circuit.admit(now, PROBING), Admission::Admitted);
        assert!(!circuit.trip(now, circuit.generation(), SECOND));
        circuit.force_open(now, SECOND);
        assert_eq!(circuit.admit(now + SECOND, PROBING), Admission::Probe);
        circuit.close();
        assert_eq!(circuit.state(), State::Closed);
    }
}
