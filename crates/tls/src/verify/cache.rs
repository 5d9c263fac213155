//! What was verified lately, by what the peer presented.

use std::{
    collections::HashMap,
    fmt, mem,
    sync::{Mutex, PoisonError},
};

use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};

/// Entries of the younger of two generations. A path takes some 4 KiB, so that both together stay below 4 MiB.
const GENERATION: usize = 512;

/// Two generations: when the younger is full it becomes the older, and that one is dropped. A lookup moves its entry to the younger,
/// so that what is used stays, and nothing has to be sorted.
pub(super) struct Cache<T>(Mutex<Generations<T>>);

struct Generations<T> {
    young: HashMap<Key, T>,
    old: HashMap<Key, T>,
}

/// The SHA-256 of what was presented. Only what verified gets in, but a client may choose it, so nothing weaker will do.
pub(super) type Key = [u8; 32];

impl<T> Cache<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Generations {
            young: HashMap::new(),
            old: HashMap::new(),
        }))
    }

    pub(super) fn key(leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> Key {
        let mut hash = Sha256::new();
        // Every certificate is a DER value, which tells its own length: no two lists make the same bytes.
        hash.update(leaf);
        for certificate in intermediates {
            hash.update(certificate);
        }
        hash.finalize().into()
    }
}

impl<T: Clone> Cache<T> {
    pub(super) fn get(&self, key: &Key) -> Option<T> {
        let mut this = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = this.young.get(key) {
            return Some(found.clone());
        }
        let found = this.old.remove(key)?;
        this.insert(*key, found.clone());
        Some(found)
    }

    pub(super) fn put(&self, key: Key, value: &T) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, value.clone());
    }
}

impl<T> Generations<T> {
    fn insert(&mut self, key: Key, value: T) {
        if self.young.len() >= GENERATION {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

impl<T> fmt::Debug for Cache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> Key {
        let mut key = Key::default();
        key[..8].copy_from_slice(&n.to_be_bytes());
        key
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let cache = Cache::new();
        for n in 0..10 * GENERATION {
            cache.put(key(n), &n);
            assert_eq!(cache.get(&key(0)), Some(0), "after {n}");
        }
        let kept = (0..10 * GENERATION)
            .filter(|n| {
                let this = cache.0.lock().unwrap();
                this.young.contains_key(&key(*n)) || this.old.contains_key(&key(*n))
            })
            .count();
        assert!(kept <= 2 * GENERATION, "{kept}");
    }
}
