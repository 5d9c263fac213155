//! What is known of which name, and until when.

use std::{
    collections::HashMap, error, fmt, net::IpAddr, num::NonZeroUsize, sync::Arc, time::Duration,
};

use bartizan_core::BoxError;
use tokio::{sync::watch, time::Instant};

use crate::dns::Name;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) ttl: Duration,
    pub(crate) negative_ttl: Duration,
    pub(crate) stale_on_error: Duration,
    pub(crate) capacity: NonZeroUsize,
    pub(crate) rotates: bool,
}

/// The shortest time for which an answer holds: a TTL of 0 would let every call through at once.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest: a wrong answer has to be forgotten some time, whatever it says of itself.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// How far a lookup is.
#[derive(Clone, Debug)]
pub(crate) enum Progress {
    Begun,
    /// The addresses of one family.
    Partial(Vec<IpAddr>),
    Done(Outcome),
}

pub(crate) type Outcome = Result<Vec<IpAddr>, SharedError>;

/// What to do about a name.
#[derive(Debug)]
pub(crate) enum Found {
    Known(Outcome),
    /// They hold still, but not for long: begin a lookup in the background.
    KnownButOld(Vec<IpAddr>),
    /// Somebody is looking it up already.
    Join(watch::Receiver<Progress>),
    /// Begin a lookup.
    Nothing,
}

#[derive(Debug)]
struct Entry {
    known: Option<Known>,
    lookup: Option<watch::Receiver<Progress>>,
}

#[derive(Debug)]
enum Known {
    Addresses {
        list: Vec<IpAddr>,
        refresh_from: Instant,
        until: Instant,
        stale_until: Instant,
        turn: usize,
    },
    Failure {
        error: SharedError,
        until: Instant,
    },
}

impl Entry {
    /// When it is of no more use.
    fn end(&self, now: Instant) -> Instant {
        match &self.known {
            Some(Known::Addresses { stale_until, .. }) => *stale_until,
            Some(Known::Failure { until, .. }) => *until,
            None => now,
        }
    }
}

/// The names that are known. Never more than the capacity.
#[derive(Debug)]
pub(crate) struct State {
    settings: Settings,
    entries: HashMap<Name, Entry>,
}

impl State {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            entries: HashMap::new(),
        }
    }

    pub(crate) fn find(&mut self, name: &Name, now: Instant) -> Found {
        let rotates = self.settings.rotates;
        let Some(entry) = self.entries.get_mut(name) else {
            return Found::Nothing;
        };
        // A lookup whose task is gone, panicked or shut down, has no sender any more.
        entry.lookup.take_if(|lookup| lookup.has_changed().is_err());
        match &mut entry.known {
            Some(Known::Addresses {
                list,
                refresh_from,
                until,
                turn,
                ..
            }) if now < *until => {
                let addresses = if rotates {
                    *turn = turn.wrapping_add(1);
                    rotated(list, *turn)
                } else {
                    list.clone()
                };
                return if now >= *refresh_from && entry.lookup.is_none() {
                    Found::KnownButOld(addresses)
                } else {
                    Found::Known(Ok(addresses))
                };
            }
            Some(Known::Failure { error, until }) if now < *until => {
                return Found::Known(Err(error.clone()));
            }
            _ => {}
        }
        match &entry.lookup {
            Some(lookup) => Found::Join(lookup.clone()),
            None => Found::Nothing,
        }
    }

    /// A lookup begins, which others can join.
    pub(crate) fn begin(&mut self, name: &Name, lookup: watch::Receiver<Progress>, now: Instant) {
        let entry = self.entry(name, now);
        entry.lookup = Some(lookup);
    }

    /// A lookup ended. Returns what those who wait for it get.
    pub(crate) fn end(
        &mut self,
        name: &Name,
        result: Result<(Vec<IpAddr>, Option<Duration>), SharedError>,
        now: Instant,
    ) -> Outcome {
        let Settings {
            ttl,
            negative_ttl,
            stale_on_error,
            ..
        } = self.settings;
        let entry = self.entry(name, now);
        entry.lookup = None;
        match result {
            Ok((list, own_ttl)) => {
                let ttl = own_ttl.unwrap_or(ttl).clamp(SHORTEST, LONGEST);
                entry.known = Some(Known::Addresses {
                    list: list.clone(),
                    refresh_from: now + ttl - ttl / 5,
                    until: now + ttl,
                    stale_until: now + ttl + stale_on_error,
                    turn: 0,
                });
                Ok(list)
            }
            Err(error) => match &mut entry.known {
                // Old addresses are better than none. Asked again no sooner than after a failure.
                Some(Known::Addresses {
                    list,
                    refresh_from,
                    until,
                    stale_until,
                    ..
                }) if now < *until || now < *stale_until => {
                    *until = (*until).max((now + negative_ttl).min(*stale_until));
                    *refresh_from = (now + negative_ttl).min(*until);
                    Ok(list.clone())
                }
                known => {
                    *known = Some(Known::Failure {
                        error: error.clone(),
                        until: now + negative_ttl,
                    });
                    Err(error)
                }
            },
        }
    }

    pub(crate) fn clear(&mut self) {
        for entry in self.entries.values_mut() {
            entry.known = None;
        }
        self.entries.retain(|_, entry| entry.lookup.is_some());
    }

    /// The entry of `name`, for which another makes room if it has to.
    fn entry(&mut self, name: &Name, now: Instant) -> &mut Entry {
        let is_full = self.entries.len() >= self.settings.capacity.get();
        if is_full && !self.entries.contains_key(name) {
            self.entries
                .retain(|_, entry| entry.lookup.is_some() || entry.end(now) > now);
            if self.entries.len() >= self.settings.capacity.get() {
                let soonest = self.entries.iter().min_by_key(|(_, entry)| entry.end(now));
                if let Some(name) = soonest.map(|(name, _)| name.clone()) {
                    self.entries.remove(&name);
                }
            }
        }
        self.entries.entry(name.clone()).or_insert(Entry {
            known: None,
            lookup: None,
        })
    }
}

/// The same addresses, each family starting `turn` further on. Which family comes where stays.
fn rotated(list: &[IpAddr], turn: usize) -> Vec<IpAddr> {
    let family = |is_six| {
        let family: Vec<_> = list
            .iter()
            .copied()
            .filter(|address| address.is_ipv6() == is_six)
            .collect();
        let skipped = turn.checked_rem(family.len()).unwrap_or_default();
        let n = family.len();
        family.into_iter().cycle().skip(skipped).take(n)
    };
    let (mut six, mut four) = (family(true), family(false));
    list.iter()
        .filter_map(|address| match address {
            IpAddr::V6(_) => six.next(),
            IpAddr::V4(_) => four.next(),
        })
        .collect()
}

/// One error for all who waited, and for all who ask again soon.
#[derive(Clone, Debug)]
pub(crate) struct SharedError(Arc<dyn error::Error + Send + Sync>);

impl From<BoxError> for SharedError {
    fn from(error: BoxError) -> Self {
        Self(error.into())
    }
}

// An `Arc` of an error is none itself, so this is one more in the chain.
impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lookup failed")
    }
}

impl error::Error for SharedError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn state(change: impl FnOnce(&mut Settings)) -> State {
        let mut settings = Settings {
            ttl: S(30),
            negative_ttl: S(2),
            stale_on_error: Duration::ZERO,
            capacity: NonZeroUsize::new(2).expect("not zero"),
            rotates: false,
        };
        change(&mut settings);
        State::new(settings)
    }

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn ips(numbers: &[u8]) -> Vec<IpAddr> {
        numbers
            .iter()
            .map(|&n| IpAddr::from([10, 0, 0, n]))
            .collect()
    }

    fn failure() -> SharedError {
        BoxError::from("SERVFAIL").into()
    }

    fn summary(found: &Found) -> &'static str {
        match found {
            Found::Known(Ok(_)) => "known",
            Found::Known(Err(_)) => "failed",
            Found::KnownButOld(_) => "old",
            Found::Join(_) => "join",
            Found::Nothing => "nothing",
        }
    }

    /// What is found at each second.
    fn timeline(
        state: &mut State,
        name: &Name,
        from: Instant,
        seconds: &[u64],
    ) -> Vec<&'static str> {
        seconds
            .iter()
            .map(|&n| summary(&state.find(name, from + S(n))))
            .collect()
    }

    #[test]
    fn addresses_hold_and_grow_old_and_are_gone() {
        let (a, now) = (name("a"), Instant::now());
        let mut state = state(|_| ());
        state.end(&a, Ok((ips(&[1]), None)), now).expect("stored");
        assert_eq!(
            timeline(&mut state, &a, now, &[0, 23, 24, 29, 30]),
            ["known", "known", "old", "old", "nothing"]
        );
    }

    #[test]
    fn the_ttl_of_an_answer_is_kept_within_reason() {
        let (a, now) = (name("a"), Instant::now());
        let mut state = state(|_| ());
        for (ttl, last) in [(0, 0), (5, 4), (1_000_000, 3_599)] {
            let answer = Ok((ips(&[1]), Some(S(ttl))));
            state.end(&a, answer, now).expect("stored");
            let found = timeline(&mut state, &a, now, &[last, last + 1]);
            assert!(
                found[0] != "nothing" && found[1] == "nothing",
                "{ttl}: {found:?}"
            );
        }
    }

    #[test]
    fn failures_hold_for_a_little_while() {
        let (a, now) = (name("a"), Instant::now());
        let mut state = state(|_| ());
        state.end(&a, Err(failure()), now).expect_err("a failure");
        assert_eq!(
            timeline(&mut state, &a, now, &[0, 1, 2]),
            ["failed", "failed", "nothing"]
        );
    }

    #[test]
    fn a_refresh_that_fails_takes_nothing_away() {
        let (a, now) = (name("a"), Instant::now());
        let mut state = state(|_| ());
        state.end(&a, Ok((ips(&[1]), None)), now).expect("stored");
        let kept = state.end(&a, Err(failure()), now + S(25));
        assert_eq!(kept.expect("old ones"), ips(&[1]));
        assert_eq!(
            timeline(&mut state, &a, now, &[26, 27, 29, 30]),
            ["known", "old", "old", "nothing"]
        );
    }

    #[test]
    fn stale_addresses_serve_while_lookups_fail() {
        let (a, now) = (name("a"), Instant::now());
        let mut state = state(|settings| settings.stale_on_error = S(60));
        state.end(&a, Ok((ips(&[1]), None)), now).expect("stored");
        assert_eq!(timeline(&mut state, &a, now, &[31]), ["nothing"]);
        let stale = state.end(&a, Err(failure()), now + S(31));
        assert_eq!(stale.expect("stale ones"), ips(&[1]));
        assert_eq!(
            timeline(&mut state, &a, now, &[32, 33]),
            ["known", "nothing"]
        );
        state
            .end(&a, Err(failure()), now + S(91))
            .expect_err("too old");
    }

    #[tokio::test]
    async fn a_lookup_is_joined_until_its_task_is_gone() {
        let (a, now) = (name("a"), Instant::now());
        let mut state = state(|_| ());
        let (sender, receiver) = watch::channel(Progress::Begun);
        state.begin(&a, receiver, now);
        assert_eq!(timeline(&mut state, &a, now, &[0, 99]), ["join", "join"]);
        drop(sender);
        assert_eq!(timeline(&mut state, &a, now, &[0]), ["nothing"]);
    }

    #[test]
    fn never_more_than_the_capacity() {
        let now = Instant::now();
        let mut state = state(|_| ());
        for (n, ttl) in [("a", 10), ("b", 5), ("c", 20), ("d", 20)] {
            let answer = Ok((ips(&[1]), Some(S(ttl))));
            state.end(&name(n), answer, now).expect("stored");
            assert!(state.entries.len() <= 2);
        }
        // Those that would have gone first went first.
        let found = ["a", "b", "c", "d"].map(|n| summary(&state.find(&name(n), now)));
        assert_eq!(found, ["nothing", "nothing", "known", "known"]);
        state.clear();
        assert_eq!(summary(&state.find(&name("d"), now)), "nothing");
    }

    #[test]
    fn families_rotate_each_for_itself() {
        let list: Vec<IpAddr> = ["::1", "10.0.0.1", "::2", "10.0.0.2", "10.0.0.3"]
            .map(|text| text.parse().expect("an address"))
            .to_vec();
        let shown = |turn| {
            let list = rotated(&list, turn);
            list.iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(shown(0), "::1 10.0.0.1 ::2 10.0.0.2 10.0.0.3");
        assert_eq!(shown(1), "::2 10.0.0.2 ::1 10.0.0.3 10.0.0.1");
        assert_eq!(shown(2), "::1 10.0.0.3 ::2 10.0.0.1 10.0.0.2");
        assert!(rotated(&[], 7).is_empty());

        let (a, now) = (name("a"), Instant::now());
        let mut state = state(|settings| settings.rotates = true);
        state
            .end(&a, Ok((ips(&[1, 2]), None)), now)
            .expect("stored");
        let mut first = || match state.find(&a, now) {
            Found::Known(Ok(list)) => list[0],
            other => panic!("{other:?}"),
        };
        assert_ne!(first(), first());
    }
}
