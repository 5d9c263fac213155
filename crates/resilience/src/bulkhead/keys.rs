//! Something per key, for a bounded number of keys: what bulkheads and rate limits per key share.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How many shards there are at most: so many threads seldom meet.
const MOST_SHARDS: usize = 16;
/// A shard for fewer keys than this is not worth its lock.
const LEAST_PER_SHARD: usize = 64;
/// How many keys one new key pays for looking at. A sweep is due when the keys that are there are paid for.
const CREDIT: usize = 4;

/// A map in shards, each behind a lock of its own, which forgets keys that are idle.
///
/// Only idle keys are forgotten, so no other key ever pushes out one that is in use. Sweeps are paid for by new keys: whatever keys
/// come, each costs a few looks at most. The hash is keyed by a random number: nobody outside can aim at a shard.
pub(crate) struct Keys<K, V> {
    shards: Box<[Mutex<Shard<K, V>>]>,
    hasher: RandomState,
    /// The most keys in one shard.
    room: usize,
}

struct Shard<K, V> {
    entries: HashMap<Hashed<K>, V, BuildHasherDefault<Known>>,
    credit: usize,
}

impl<K, V> Keys<K, V> {
    /// Room for `most` keys, which is not 0.
    pub(crate) fn new(most: usize) -> Self {
        let shards = (most / LEAST_PER_SHARD).clamp(1, MOST_SHARDS);
        Self {
            shards: (0..shards)
                .map(|_| {
                    Mutex::new(Shard {
                        entries: HashMap::default(),
                        credit: 0,
                    })
                })
                .collect(),
            hasher: RandomState::new(),
            room: most / shards,
        }
    }

    fn lock(shard: &Mutex<Shard<K, V>>) -> MutexGuard<'_, Shard<K, V>> {
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many keys are remembered, idle ones included.
    pub(crate) fn len(&self) -> usize {
        let count = |shard| Self::lock(shard).entries.len();
        self.shards.iter().map(count).sum()
    }

    fn shard(&self, key: &K) -> (u64, &Mutex<Shard<K, V>>)
    where
        K: Hash,
    {
        let hash = self.hasher.hash_one(key);
        // The map uses the other bits.
        let shard = usize::try_from(hash >> 24).unwrap_or(usize::MAX) % self.shards.len();
        (hash, &self.shards[shard])
    }
}

impl<K: Hash + Eq, V> Keys<K, V> {
    /// Runs `use_it` with what belongs to `key`, made by `make` if it is new. `None` if there is no room for a new key.
    ///
    /// The closures run under the shard's lock: they are ours, short, and never block.
    pub(crate) fn with<T>(
        &self,
        key: K,
        make: impl FnOnce() -> V,
        is_idle: impl Fn(&V) -> bool,
        use_it: impl FnOnce(&mut V) -> T,
    ) -> Option<T> {
        let (hash, shard) = self.shard(&key);
        let mut shard = Self::lock(shard);
        let key = Hashed { hash, key };
        if let Some(value) = shard.entries.get_mut(&key) {
            return Some(use_it(value));
        }
        shard.credit += CREDIT;
        if shard.credit >= shard.entries.len() {
            shard.credit = 0;
            shard.entries.retain(|_, value| !is_idle(value));
        }
        if shard.entries.len() >= self.room {
            return None;
        }
        Some(use_it(shard.entries.entry(key).or_insert_with(make)))
    }

    /// Runs `use_it` with what belongs to `key`, if it is remembered.
    pub(crate) fn get<T>(&self, key: K, use_it: impl FnOnce(&mut V) -> T) -> Option<T> {
        let (hash, shard) = self.shard(&key);
        let mut shard = Self::lock(shard);
        shard.entries.get_mut(&Hashed { hash, key }).map(use_it)
    }
}

impl<K, V> fmt::Debug for Keys<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// A key and its hash, so that it is hashed once for the shard and the map.
struct Hashed<K> {
    hash: u64,
    key: K,
}

impl<K: PartialEq> PartialEq for Hashed<K> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<K: Eq> Eq for Hashed<K> {}

impl<K> Hash for Hashed<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Passes on the hash that is known.
#[derive(Default)]
struct Known(u64);

impl Hasher for Known {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        debug_assert!(false, "only hashes come here");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds one to what belongs to `key`. A key is idle as long as that is below 2.
    fn count(keys: &Keys<u32, u32>, key: u32) -> Option<u32> {
        keys.with(
            key,
            || 0,
            |count| *count < 2,
            |count| {
                *count += 1;
                *count
            },
        )
    }

    #[test]
    fn each_key_has_its_own() {
        let keys = Keys::new(10);
        assert_eq!(
            [7, 7, 8, 7].map(|key| count(&keys, key)),
            [1, 2, 1, 3].map(Some)
        );
        assert_eq!(keys.get(7, |count| *count), Some(3));
        assert_eq!(keys.get(9, |count| *count), None);
    }

    #[test]
    fn busy_keys_stay_idle_keys_go_and_there_are_never_more_than_allowed() {
        for most in [1, 2, 63, 64, 1000, 5000] {
            let keys = Keys::new(most);
            let busy: Vec<_> = (0..u32::try_from(most / 4).unwrap()).collect();
            for &key in &busy {
                count(&keys, key);
                count(&keys, key);
            }
            for key in 1_000_000..1_100_000 {
                count(&keys, key);
                assert!(keys.room * keys.shards.len() <= most);
            }
            assert!(keys.len() <= most);
            for &key in &busy {
                assert_eq!(keys.get(key, |count| *count), Some(2), "{key} of {most}");
            }
        }
    }

    #[test]
    fn when_all_are_busy_a_new_one_finds_no_room() {
        let keys = Keys::new(3);
        for key in [1, 1, 2, 2, 3, 3] {
            assert!(count(&keys, key).is_some());
        }
        assert_eq!(count(&keys, 4), None);
        keys.get(2, |count| *count = 0);
        assert_eq!(count(&keys, 4), Some(1));
        assert_eq!(keys.get(2, |count| *count), None);
    }
}
