//! Who is asking for what: a leader for each key, and those who wait for its answer.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fmt,
    hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::SharedError;

/// So many locks, that calls for different keys seldom meet at one.
const SHARDS: usize = 16;

/// What a waiter is told.
pub(super) enum News<Res> {
    /// The leader's answer.
    Answer(Res),
    /// The leader's error.
    Failure(SharedError),
    /// The leader is gone. The waiter leads now.
    Lead,
    /// The leader's answer cannot be shared. The waiter asks for itself.
    Alone,
}

/// The flights of one service.
pub(super) struct Flights<K, Res> {
    hasher: RandomState,
    shards: Box<[Mutex<Shard<K, Res>>]>,
    max_per_shard: usize,
}

struct Shard<K, Res> {
    /// By the hash of the key, so that a leader finds its flight again without a copy of the key.
    flights: HashMap<u64, Flight<K, Res>, BuildHasherDefault<Hashed>>,
    /// Counts up, so that tickets are never used twice.
    next_ticket: u64,
}

/// What is hashed already is its own hash.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0 << 8 | u64::from(byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

struct Flight<K, Res> {
    key: K,
    /// In the order in which they came.
    waiters: BTreeMap<u64, oneshot::Sender<News<Res>>>,
}

/// What a call is to do.
pub(super) enum Role<K, Res> {
    Lead(Lead<K, Res>),
    Wait(Seat<K, Res>),
    /// Nothing is shared: there are too many flights, or another key has the same hash.
    Alone,
}

impl<K, Res> Flights<K, Res> {
    /// `max_keys` is not zero.
    pub(super) fn new(max_keys: usize) -> Self {
        let shards = SHARDS.min(max_keys);
        let shard = || {
            Mutex::new(Shard {
                flights: HashMap::default(),
                next_ticket: 0,
            })
        };
        Self {
            hasher: RandomState::new(),
            shards: (0..shards).map(|_| shard()).collect(),
            max_per_shard: max_keys / shards,
        }
    }

    /// The keys that are being asked for.
    pub(super) fn keys(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| lock(shard).flights.len())
            .sum()
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard<K, Res>> {
        // The map uses the low bits and the highest seven.
        let shard = usize::try_from(hash >> 32 & 0xff_ffff).unwrap_or_default() % self.shards.len();
        lock(&self.shards[shard])
    }

    /// The flight of `hash` goes to the first of its waiters that is still there, or ends.
    fn abdicate(&self, hash: u64) {
        loop {
            let (heir, _ended) = {
                let mut shard = self.shard(hash);
                let Entry::Occupied(mut flight) = shard.flights.entry(hash) else {
                    return;
                };
                match flight.get_mut().waiters.pop_first() {
                    Some((_, heir)) => (Some(heir), None),
                    None => (None, Some(flight.remove())),
                }
            };
            // Told without the lock, as it wakes a task. One who has just gone does not hear it, and the next is told.
            if heir.is_none_or(|heir| heir.send(News::Lead).is_ok()) {
                return;
            }
        }
    }
}

impl<K: Hash + Eq, Res> Flights<K, Res> {
    /// Who asks first for `key` leads, and who comes before the answer waits.
    pub(super) fn join(self: &Arc<Self>, key: K) -> Role<K, Res> {
        let hash = self.hasher.hash_one(&key);
        let mut shard = self.shard(hash);
        let shard = &mut *shard;
        let full = shard.flights.len() >= self.max_per_shard;
        match shard.flights.entry(hash) {
            Entry::Occupied(mut flight) if flight.get().key == key => {
                let ticket = shard.next_ticket;
                shard.next_ticket += 1;
                let (sender, news) = oneshot::channel();
                flight.get_mut().waiters.insert(ticket, sender);
                Role::Wait(Seat {
                    flights: Arc::clone(self),
                    hash,
                    ticket,
                    news,
                })
            }
            Entry::Vacant(flight) if !full => {
                flight.insert(Flight {
                    key,
                    waiters: BTreeMap::new(),
                });
                Role::Lead(Lead {
                    flights: Some(Arc::clone(self)),
                    hash,
                })
            }
            Entry::Occupied(_) | Entry::Vacant(_) => Role::Alone,
        }
    }
}

fn lock<K, Res>(shard: &Mutex<Shard<K, Res>>) -> MutexGuard<'_, Shard<K, Res>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Leads a flight. Dropped before it landed, it hands it to a waiter.
pub(super) struct Lead<K, Res> {
    /// `None` once it landed.
    flights: Option<Arc<Flights<K, Res>>>,
    hash: u64,
}

impl<K, Res> Lead<K, Res> {
    /// Ends the flight: who comes from here on begins another. Yields those who wait for the answer.
    pub(super) fn land(mut self) -> impl ExactSizeIterator<Item = oneshot::Sender<News<Res>>> {
        let flights = self.flights.take();
        let flight =
            flights.and_then(|flights| flights.shard(self.hash).flights.remove(&self.hash));
        flight
            .map(|flight| flight.waiters)
            .unwrap_or_default()
            .into_values()
    }
}

impl<K, Res> Drop for Lead<K, Res> {
    fn drop(&mut self) {
        if let Some(flights) = self.flights.take() {
            flights.abdicate(self.hash);
        }
    }
}

/// A place among those who wait. Dropped, it is given up, and so is the lead if it has just come to it.
pub(super) struct Seat<K, Res> {
    flights: Arc<Flights<K, Res>>,
    hash: u64,
    ticket: u64,
    pub(super) news: oneshot::Receiver<News<Res>>,
}

impl<K, Res> Seat<K, Res> {
    /// Takes the lead that it was told to take.
    pub(super) fn lead(&self) -> Lead<K, Res> {
        Lead {
            flights: Some(Arc::clone(&self.flights)),
            hash: self.hash,
        }
    }
}

impl<K, Res> Drop for Seat<K, Res> {
    fn drop(&mut self) {
        // From here on nothing can be sent, so what is there is all there will be.
        self.news.close();
        match self.news.try_recv() {
            Ok(News::Lead) => self.flights.abdicate(self.hash),
            Ok(News::Answer(_) | News::Failure(_) | News::Alone) => {}
            // Nothing came: the place is still there, or somebody is about to find it empty.
            Err(_) => {
                let mut shard = self.flights.shard(self.hash);
                // Tickets are used once, so this is never a place in a later flight.
                let sender = shard
                    .flights
                    .get_mut(&self.hash)
                    .and_then(|flight| flight.waiters.remove(&self.ticket));
                drop(shard);
                drop(sender);
            }
        }
    }
}

impl<K, Res> fmt::Debug for Flights<K, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights")
            .field("keys", &self.keys())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Keys = Arc<Flights<u32, &'static str>>;

    fn flights(max_keys: usize) -> Keys {
        Arc::new(Flights::new(max_keys))
    }

    fn lead(flights: &Keys, key: u32) -> Lead<u32, &'static str> {
        match flights.join(key) {
            Role::Lead(lead) => lead,
            Role::Wait(_) | Role::Alone => panic!("nobody asks for {key} yet"),
        }
    }

    fn wait(flights: &Keys, key: u32) -> Seat<u32, &'static str> {
        match flights.join(key) {
            Role::Wait(seat) => seat,
            Role::Lead(_) | Role::Alone => panic!("somebody asks for {key} already"),
        }
    }

    fn is_lead(seat: &mut Seat<u32, &'static str>) -> bool {
        matches!(seat.news.try_recv(), Ok(News::Lead))
    }

    #[test]
    fn the_first_leads_and_the_others_wait_until_it_lands() {
        let flights = flights(100);
        let leader = lead(&flights, 1);
        let other = lead(&flights, 2);
        let mut seat = wait(&flights, 1);
        assert_eq!(flights.keys(), 2);
        for waiter in leader.land() {
            let _ = waiter.send(News::Answer("one"));
        }
        assert!(matches!(seat.news.try_recv(), Ok(News::Answer("one"))));
        assert_eq!(flights.keys(), 1);
        assert_eq!(other.land().len(), 0);
        assert_eq!(flights.keys(), 0);
    }

    #[test]
    fn a_lead_that_is_dropped_goes_to_the_first_who_still_waits() {
        let flights = flights(100);
        let leader = lead(&flights, 1);
        let (first, mut second, mut third) =
            (wait(&flights, 1), wait(&flights, 1), wait(&flights, 1));
        drop(first);
        drop(leader);
        assert!(is_lead(&mut second));
        assert!(third.news.try_recv().is_err());
        // The new leader goes as well.
        drop(second.lead());
        assert!(is_lead(&mut third));
        drop(third.lead());
        assert_eq!(flights.keys(), 0);
    }

    #[test]
    fn a_lead_that_nobody_took_up_is_passed_on() {
        let flights = flights(100);
        let leader = lead(&flights, 1);
        let (first, mut second) = (wait(&flights, 1), wait(&flights, 1));
        drop(leader);
        // It was told to lead, and never looked.
        drop(first);
        assert!(is_lead(&mut second));
        drop(second.lead());
        assert_eq!(flights.keys(), 0);
    }

    #[test]
    fn places_that_are_given_up_leave_nothing_behind() {
        let flights = flights(100);
        let leader = lead(&flights, 1);
        for _ in 0..1000 {
            drop(wait(&flights, 1));
        }
        assert_eq!(leader.land().len(), 0);
        // A place of a flight that is over takes nobody's in the next.
        let leader = lead(&flights, 1);
        let stale = wait(&flights, 1);
        drop(leader.land());
        let leader = lead(&flights, 1);
        let mut fresh = wait(&flights, 1);
        drop(stale);
        drop(leader);
        assert!(is_lead(&mut fresh));
        drop(fresh.lead());
    }

    #[test]
    fn there_are_never_more_keys_than_allowed() {
        for max_keys in [1, 3, 16, 100] {
            let flights = flights(max_keys);
            let roles: Vec<_> = (0..1000).map(|key| flights.join(key)).collect();
            let leads = roles.iter().filter(|role| matches!(role, Role::Lead(_)));
            let leads = leads.count();
            assert_eq!(leads, flights.keys());
            assert!(
                leads <= max_keys && leads > max_keys / 2,
                "{leads} of {max_keys}"
            );
            drop(roles);
            assert_eq!(flights.keys(), 0);
        }
    }
}
