//! Who is ejected, until when, and how often that was: pure, so that it can be tried out without a clock or a call.

use std::time::Duration;

use tokio::time::Instant;

use super::policy::{EjectionCause, Policy};

/// What an endpoint did since the last sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) successes: u64,
    pub(super) failures: u64,
}

impl Tally {
    pub(super) const fn total(self) -> u64 {
        self.successes.saturating_add(self.failures)
    }

    /// From 0 to 1. Only for a tally that is not empty.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate is an approximation anyway"
    )]
    pub(super) fn success_rate(self) -> f64 {
        self.successes as f64 / self.total() as f64
    }
}

/// What became of one endpoint, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Ejected {
        index: usize,
        cause: EjectionCause,
        lasts: Duration,
    },
    Restored {
        index: usize,
    },
    /// It would have been ejected if not as many were already as may be.
    Spared {
        index: usize,
        cause: EjectionCause,
    },
}

/// The endpoints of one detector, by index. Never more of them are ejected than may be.
#[derive(Debug)]
pub(super) struct Book {
    policy: Policy,
    entries: Vec<Entry>,
    next_sweep: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// How often it was ejected, less one for each interval it served since.
    times: u32,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Serving {
        /// `times` is as of then.
        since: Instant,
    },
    Ejected {
        cause: EjectionCause,
        until: Instant,
    },
}

/// One endpoint, as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) times: u32,
    pub(super) ejected: Option<(EjectionCause, Instant)>,
}

impl Book {
    pub(super) fn new(policy: Policy, now: Instant) -> Self {
        Self {
            policy,
            entries: Vec::new(),
            next_sweep: later(now, policy.interval),
        }
    }

    /// Adds an endpoint, which serves. Its index is the highest.
    pub(super) fn join(&mut self, now: Instant) {
        self.entries.push(Entry {
            times: 0,
            state: State::Serving { since: now },
        });
    }

    /// Removes an endpoint; the last one takes its index. With fewer endpoints fewer may be ejected, so others may come back.
    pub(super) fn leave(&mut self, index: usize, now: Instant) -> Vec<Change> {
        self.entries.swap_remove(index);
        let mut changes = Vec::new();
        while self.ejected() > self.policy.most_ejected(self.entries.len()) {
            let Some(index) = self.next_to_return() else {
                break;
            };
            changes.extend(self.restore(index, now));
        }
        changes
    }

    /// An endpoint failed as often in a row as is too often.
    pub(super) fn failed_in_a_row(&mut self, index: usize, now: Instant) -> Option<Change> {
        self.eject(index, EjectionCause::ConsecutiveFailures, now)
    }

    /// Brings back whose time is up, and, if a sweep is due, ejects the outliers among those that served. `drain` takes what an
    /// endpoint did since the last sweep.
    pub(super) fn advance(
        &mut self,
        now: Instant,
        mut drain: impl FnMut(usize) -> Tally,
    ) -> Vec<Change> {
        // Before anyone comes back: what an ejected endpoint did is no ground to eject it again.
        let mut tallies = Vec::new();
        let is_sweep = now >= self.next_sweep;
        if is_sweep {
            self.next_sweep = later(now, self.policy.interval);
            for (index, entry) in self.entries.iter().enumerate() {
                let tally = drain(index);
                if let State::Serving { .. } = entry.state {
                    tallies.push((index, tally));
                }
            }
        }
        let mut changes = Vec::new();
        for (index, entry) in self.entries.iter_mut().enumerate() {
            match entry.state {
                // ## Ejected => Serving
                State::Ejected { until, .. } if until <= now => {
                    entry.state = State::Serving { since: until };
                    changes.push(Change::Restored { index });
                }
                State::Ejected { .. } | State::Serving { .. } => {}
            }
        }
        for (index, cause) in self.policy.outliers(&tallies) {
            changes.extend(self.eject(index, cause, now));
        }
        changes
    }

    /// Brings an endpoint back before its time.
    pub(super) fn restore(&mut self, index: usize, now: Instant) -> Option<Change> {
        match self.entries[index].state {
            State::Serving { .. } => None,
            // ## Ejected => Serving
            State::Ejected { .. } => {
                self.entries[index].state = State::Serving { since: now };
                Some(Change::Restored { index })
            }
        }
    }

    fn eject(&mut self, index: usize, cause: EjectionCause, now: Instant) -> Option<Change> {
        let most = self.policy.most_ejected(self.entries.len());
        let is_room = self.ejected() < most;
        let times = self.policy.count_up(self.times(index, now));
        let entry = &mut self.entries[index];
        match entry.state {
            State::Ejected { .. } => None,
            State::Serving { .. } if !is_room => Some(Change::Spared { index, cause }),
            // ## Serving => Ejected
            State::Serving { .. } => {
                let lasts = self.policy.ejection(times);
                *entry = Entry {
                    times,
                    state: State::Ejected {
                        cause,
                        until: later(now, lasts),
                    },
                };
                Some(Change::Ejected {
                    index,
                    cause,
                    lasts,
                })
            }
        }
    }

    /// The count of ejections as of `now`.
    fn times(&self, index: usize, now: Instant) -> u32 {
        let entry = &self.entries[index];
        match entry.state {
            State::Ejected { .. } => entry.times,
            State::Serving { since } => {
                let served = now.saturating_duration_since(since).as_nanos();
                let forgiven = served / self.policy.interval.as_nanos().max(1);
                entry
                    .times
                    .saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
            }
        }
    }

    pub(super) fn standing(&self, index: usize, now: Instant) -> Standing {
        Standing {
            times: self.times(index, now),
            ejected: match self.entries[index].state {
                State::Serving { .. } => None,
                State::Ejected { cause, until } => Some((cause, until)),
            },
        }
    }

    pub(super) fn ejected(&self) -> usize {
        self.returns().count()
    }

    /// When [`advance`](Self::advance) has something to do again.
    pub(super) fn due(&self) -> Instant {
        let first = self.returns().map(|(until, _)| until).min();
        first.map_or(self.next_sweep, |until| until.min(self.next_sweep))
    }

    fn next_to_return(&self) -> Option<usize> {
        self.returns().min().map(|(_, index)| index)
    }

    /// When each ejected endpoint comes back.
    fn returns(&self) -> impl Iterator<Item = (Instant, usize)> + '_ {
        self.entries
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| match entry.state {
                State::Serving { .. } => None,
                State::Ejected { until, .. } => Some((until, index)),
            })
    }
}

/// `now` and so much later, or as late as makes no difference.
fn later(now: Instant, delay: Duration) -> Instant {
    const THIRTY_YEARS: Duration = Duration::from_secs(30 * 365 * 86_400);
    now + delay.min(THIRTY_YEARS)
}
