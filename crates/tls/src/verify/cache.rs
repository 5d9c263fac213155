//! What was verified lately, by what the peer presented.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    mem,
    sync::{Mutex, PoisonError},
};

use rustls_pki_types::CertificateDer;

/// Entries of the younger of two generations. A path takes some 6 KiB, with what was presented for it: both together hold some 6 MiB.
const GENERATION: usize = 512;

/// What is presented may hold more than the path: certificates that lead nowhere, as many as fit into a message. Who sends so much is
/// verified each time, and cannot fill the memory.
const MAX_PRESENTED: usize = 16 << 10;

/// Two generations: when the younger is full it becomes the older, and that one is dropped. A lookup moves its entry to the younger,
/// so that what is used stays, and nothing has to be sorted.
pub(super) struct Cache<T> {
    generations: Mutex<Generations<T>>,
    /// Seeded, so that nobody makes certificates that collide. What is found is compared all the same.
    random: RandomState,
}

struct Generations<T> {
    young: HashMap<u64, Entry<T>>,
    old: HashMap<u64, Entry<T>>,
}

struct Entry<T> {
    presented: Box<[CertificateDer<'static>]>,
    value: T,
}

impl<T> Cache<T> {
    pub(super) fn new() -> Self {
        Self {
            generations: Mutex::new(Generations {
                young: HashMap::new(),
                old: HashMap::new(),
            }),
            random: RandomState::new(),
        }
    }

    fn hash(&self, leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> u64 {
        let mut hash = self.random.build_hasher();
        hash.write(leaf);
        for certificate in intermediates {
            hash.write(certificate);
        }
        hash.finish()
    }
}

impl<T: Clone> Cache<T> {
    pub(super) fn get(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Option<T> {
        let hash = self.hash(leaf, intermediates);
        let mut this = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_young = this.young.contains_key(&hash);
        if !is_young {
            let entry = this.old.remove(&hash)?;
            this.insert(hash, entry);
        }
        let entry = this.young.get(&hash)?;
        entry
            .is_for(leaf, intermediates)
            .then(|| entry.value.clone())
    }

    pub(super) fn put(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        value: &T,
    ) {
        let presented = std::iter::once(leaf).chain(intermediates);
        if presented.clone().map(|der| der.len()).sum::<usize>() > MAX_PRESENTED {
            return;
        }
        let hash = self.hash(leaf, intermediates);
        let entry = Entry {
            presented: presented.map(|der| der.clone().into_owned()).collect(),
            value: value.clone(),
        };
        self.generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(hash, entry);
    }
}

impl<T> Entry<T> {
    fn is_for(&self, leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> bool {
        self.presented.split_first() == Some((leaf, intermediates))
    }
}

impl<T> Generations<T> {
    fn insert(&mut self, hash: u64, entry: Entry<T>) {
        if self.young.len() >= GENERATION {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(hash, entry);
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

    fn certificate(n: usize) -> CertificateDer<'static> {
        CertificateDer::from(n.to_be_bytes().to_vec())
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let cache = Cache::new();
        for n in 0..10 * GENERATION {
            cache.put(&certificate(n), &[], &n);
            assert_eq!(cache.get(&certificate(0), &[]), Some(0), "after {n}");
        }
        let this = cache.generations.lock().unwrap();
        let kept = this.young.len() + this.old.len();
        assert!(kept <= 2 * GENERATION, "{kept}");
    }

    #[test]
    fn what_is_found_is_for_what_was_presented() {
        let cache = Cache::new();
        let [one, two, three] = [1, 2, 3].map(certificate);
        let large = CertificateDer::from(vec![0; MAX_PRESENTED]);
        cache.put(&one, std::slice::from_ref(&large), &1);
        assert_eq!(cache.get(&one, &[large]), None);
        let behind = [two.clone()];
        cache.put(&one, &behind, &1);
        assert_eq!(cache.get(&one, &behind), Some(1));
        let longer = [two.clone(), three];
        for others in [&[], &longer[1..], &longer] {
            assert_eq!(cache.get(&one, others), None);
        }
        // Two that collide: the later one is kept, and is not taken for the other.
        let entry = Entry {
            presented: Box::new([two]),
            value: 2,
        };
        let hash = cache.hash(&one, &behind);
        cache.generations.lock().unwrap().insert(hash, entry);
        assert_eq!(cache.get(&one, &behind), None);
    }
}
