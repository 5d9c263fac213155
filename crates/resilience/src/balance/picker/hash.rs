//! The same endpoint for the same key: consistent hashing.

use std::{fmt, sync::Arc};

use bartizan_core::ConfigError;

use super::{Candidates, Picker, Prepare};
use crate::endpoint::Endpoint;

/// A hash that is the same in every process and every release, so that all of a fleet send the same key to the same endpoint. The
/// standard library promises that of none of its hashers.
///
/// FNV-1a, finished as `splitmix64` does. Not for input that somebody hostile can choose freely.
///
/// ```
/// use bartizan_resilience::balance::stable_hash;
///
/// assert_eq!(stable_hash("user 7"), stable_hash(b"user 7"));
/// assert_ne!(stable_hash("user 7"), stable_hash("user 8"));
/// ```
pub fn stable_hash(bytes: impl AsRef<[u8]>) -> u64 {
    mix(bytes
        .as_ref()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }))
}

const fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

const fn seeded(hash: u64, seed: u64) -> u64 {
    mix(hash.wrapping_add(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// Below `end`, each as likely.
#[expect(clippy::cast_possible_truncation, reason = "below `end`, which fits")]
const fn reduce(hash: u64, end: usize) -> usize {
    ((hash as u128 * end as u128) >> 64) as usize
}

/// The same endpoint for the same key, by a table that shares keys out almost exactly by weight.
///
/// When an endpoint comes or goes, its own keys move, and few others. Which endpoint has a key follows from the names of all
/// endpoints, so every process that knows the same names agrees. A key whose endpoint is unfit or not ready goes to another, always
/// the same as long as that lasts.
///
/// After Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", section 3.4. The table has 65,537 entries, 256
/// KiB, unless set otherwise, and is filled when the list changes.
///
/// ```
/// use bartizan_core::BoxError;
/// use bartizan_resilience::{
///     balance::{Balance, Maglev, stable_hash},
///     endpoint::Endpoint,
/// };
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let shard = |n: u32| tower::service_fn(move |_: String| async move { Ok::<_, BoxError>(n) });
/// let service = Balance::builder()
///     .picker(Maglev::new(|user: &String| stable_hash(user)))
///     .endpoint(Endpoint::new("shard-0"), shard(0))
///     .endpoint(Endpoint::new("shard-1"), shard(1))
///     .build()?;
/// let first = service.clone().oneshot("ann".to_owned()).await?;
/// assert_eq!(service.clone().oneshot("ann".to_owned()).await?, first);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Maglev<F> {
    key: F,
    size: usize,
    table: Arc<[u32]>,
}

/// A prime, more than a hundred times as many as there are endpoints in most lists, as the paper has it.
const TABLE_SIZE: usize = 65_537;
const LARGEST_TABLE: usize = 5_000_011;

impl<F> Maglev<F> {
    /// Takes the key of a request from `key`, as a number: [`stable_hash`] makes one of a name.
    pub fn new(key: F) -> Self {
        Self {
            key,
            size: TABLE_SIZE,
            table: Arc::default(),
        }
    }

    /// Sets the size of the table: a prime, at least a hundred times the number of endpoints for shares within one per cent.
    ///
    /// # Errors
    ///
    /// If it is not a prime up to 5,000,011.
    pub fn table_size(mut self, size: usize) -> Result<Self, ConfigError> {
        if size > LARGEST_TABLE || !is_prime(size) {
            return Err(ConfigError::new(
                "table_size",
                size,
                "a prime from 2 to 5000011, such as 65537",
            ));
        }
        self.size = size;
        Ok(self)
    }
}

fn is_prime(n: usize) -> bool {
    n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| n % d != 0)
}

impl<F: Clone> Prepare for Maglev<F> {
    fn prepare(&self, endpoints: &[Endpoint]) -> Self {
        Self {
            key: self.key.clone(),
            size: self.size,
            table: fill(self.size, endpoints).into(),
        }
    }
}

/// Everyone in turn takes the next free entry of their own permutation, as often as their weight says.
fn fill(size: usize, endpoints: &[Endpoint]) -> Vec<u32> {
    struct Claimant {
        index: u32,
        next: usize,
        skip: usize,
        weight: u64,
        due: u64,
    }

    const FREE: u32 = u32::MAX;
    let mut claimants: Vec<Claimant> = (0..FREE)
        .zip(endpoints)
        .filter(|(_, endpoint)| endpoint.get_weight() > 0)
        .map(|(index, endpoint)| {
            let hash = stable_hash(endpoint.name());
            Claimant {
                index,
                next: reduce(hash, size),
                skip: reduce(seeded(hash, 1), size - 1) + 1,
                weight: endpoint.get_weight().into(),
                due: 0,
            }
        })
        .collect();
    // By name, because the order of the list is not the same everywhere.
    claimants.sort_by_key(|claimant| endpoints[claimant.index as usize].name());
    let Some(heaviest) = claimants.iter().map(|claimant| claimant.weight).max() else {
        return Vec::new();
    };
    let mut table = vec![FREE; size];
    let mut free = size;
    while free > 0 {
        for claimant in &mut claimants {
            claimant.due += claimant.weight;
            if claimant.due < heaviest || free == 0 {
                continue;
            }
            claimant.due -= heaviest;
            while table[claimant.next] != FREE {
                claimant.next = (claimant.next + claimant.skip) % size;
            }
            table[claimant.next] = claimant.index;
            free -= 1;
        }
    }
    table
}

impl<Req, F> Picker<Req> for Maglev<F>
where
    F: Fn(&Req) -> u64 + Clone,
{
    const READS_REQUEST: bool = true;

    fn pick(&self, candidates: &Candidates<'_>, request: Option<&Req>) -> Option<usize> {
        if self.table.is_empty() {
            return None;
        }
        let start = reduce(mix((self.key)(request?)), self.table.len());
        // Neighbours in the table are strangers, so the keys of one that is out spread over all others.
        let (before, after) = self.table.split_at(start);
        let owners = after.iter().chain(before);
        owners
            .map(|&owner| owner as usize)
            .find(|&i| candidates.is_usable(i))
    }
}

impl<F> fmt::Debug for Maglev<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Maglev")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// The same endpoint for the same key, by a ring of points (Karger et al., "Consistent Hashing and Random Trees").
///
/// When an endpoint comes or goes, only its own keys move, and never a key between two others: that is what it has over [`Maglev`]. Its
/// shares are less even, and finding one costs a binary search.
#[derive(Clone)]
pub struct HashRing<F> {
    key: F,
    points: usize,
    ring: Arc<[(u64, u32)]>,
}

impl<F> HashRing<F> {
    /// Takes the key of a request from `key`, as a number: [`stable_hash`](super::stable_hash) makes one of a name. 160 points per
    /// endpoint of average weight, as ketama has it: shares within some ten per cent.
    pub fn new(key: F) -> Self {
        Self {
            key,
            points: 160,
            ring: Arc::default(),
        }
    }

    /// Sets how many points an endpoint of weight 1 has; one of weight 3 has three times as many. Default: 160.
    ///
    /// # Errors
    ///
    /// If there are none, or more than 10,000.
    pub fn points(mut self, points: usize) -> Result<Self, ConfigError> {
        if !(1..=10_000).contains(&points) {
            return Err(ConfigError::new("points", points, "1 to 10000 points"));
        }
        self.points = points;
        Ok(self)
    }
}

/// Points of all endpoints together. Beyond it everyone has fewer, but at least one.
const MOST_POINTS: u64 = 4_000_000;

impl<F: Clone> Prepare for HashRing<F> {
    fn prepare(&self, endpoints: &[Endpoint]) -> Self {
        let total: u64 = endpoints.iter().map(|e| u64::from(e.get_weight())).sum();
        let per_weight = self.points as u64;
        let mut ring = Vec::new();
        for (index, endpoint) in (0_u32..).zip(endpoints) {
            let weight = u64::from(endpoint.get_weight());
            // Not above 2^32 × 10^4.
            let mut points = weight * per_weight;
            if total.saturating_mul(per_weight) > MOST_POINTS && weight > 0 {
                points = (weight * MOST_POINTS / total).max(1);
            }
            let hash = stable_hash(endpoint.name());
            ring.extend((0..points).map(|n| (seeded(hash, n), index)));
        }
        ring.sort_unstable();
        Self {
            key: self.key.clone(),
            points: self.points,
            ring: ring.into(),
        }
    }
}

impl<Req, F> Picker<Req> for HashRing<F>
where
    F: Fn(&Req) -> u64 + Clone,
{
    const READS_REQUEST: bool = true;

    fn pick(&self, candidates: &Candidates<'_>, request: Option<&Req>) -> Option<usize> {
        let key = mix((self.key)(request?));
        let start = self.ring.partition_point(|&(point, _)| point < key);
        let (before, after) = self.ring.split_at(start);
        let owners = after.iter().chain(before);
        owners
            .map(|&(_, owner)| owner as usize)
            .find(|&i| candidates.is_usable(i))
    }
}

impl<F> fmt::Debug for HashRing<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashRing")
            .field("points", &self.points)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_never_changes() {
        // Fleets are upgraded one by one, and have to agree all the while.
        assert_eq!(stable_hash(""), 0xf52a_15e9_a9b5_e89b);
    }

    #[test]
    fn primes() {
        let primes: Vec<_> = (0..30).filter(|&n| is_prime(n)).collect();
        assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert!(is_prime(TABLE_SIZE) && is_prime(LARGEST_TABLE));
    }

    #[test]
    fn a_table_is_shared_out_by_weight_whatever_the_order() {
        let endpoints: Vec<_> = [3, 1, 0, 2]
            .iter()
            .enumerate()
            .map(|(i, &weight)| Endpoint::new(format!("e{i}")).weight(weight))
            .collect();
        let names = |endpoints: &[Endpoint]| -> Vec<String> {
            fill(TABLE_SIZE, endpoints)
                .iter()
                .map(|&i| endpoints[i as usize].name().to_owned())
                .collect()
        };
        let table = names(&endpoints);
        for (endpoint, share) in endpoints.iter().zip([3.0 / 6.0, 1.0 / 6.0, 0.0, 2.0 / 6.0]) {
            let has = table.iter().filter(|name| *name == endpoint.name()).count();
            let has = has as f64 / TABLE_SIZE as f64;
            assert!((has - share).abs() < 0.001, "{endpoint:?} {has}");
        }
        let backwards: Vec<_> = endpoints.iter().rev().cloned().collect();
        assert_eq!(names(&backwards), table);
        assert!(fill(TABLE_SIZE, &[]).is_empty());
    }
}
