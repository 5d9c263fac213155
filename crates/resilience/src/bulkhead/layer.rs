//! The layer, its builder, and its handle.

use std::{fmt, hash::Hash, sync::Arc, time::Duration};

use bartizan_core::{ConfigError, Propagate};
use tower_layer::Layer;

use super::{
    hold::{Hall, UntilHead},
    keys::Keys,
    places::Places,
    service::Bulkhead,
};
use crate::stripes::Lanes;

/// How many places there are: room for bursts of a busy service, and well below the sockets and memory of a process.
const DEFAULT_LIMIT: u32 = 1000;
/// Idle keys are forgotten, so these are keys in use: each costs about a hundred bytes.
const DEFAULT_MAX_KEYS: usize = 10_000;

/// Limits how many calls are under way. All services that it makes, and their clones, share the places. See the [module](super).
#[derive(Clone, Debug)]
pub struct BulkheadLayer<P = Shared, H = UntilHead, R = Propagate> {
    partition: P,
    hold: H,
    reject: R,
}

impl BulkheadLayer {
    /// At most `limit` calls at a time, and no queue.
    ///
    /// # Errors
    ///
    /// If `limit` is 0.
    pub fn try_new(limit: u32) -> Result<Self, ConfigError> {
        Self::builder().limit(limit).build()
    }

    /// Sets each thing by itself.
    pub const fn builder() -> BulkheadBuilder {
        BulkheadBuilder {
            limit: DEFAULT_LIMIT,
            queue: 0,
            longest_wait: Duration::MAX,
            max_keys: DEFAULT_MAX_KEYS,
        }
    }
}

/// 1000 places and no queue: a queue hides that a peer is too slow, until its callers have gone.
impl Default for BulkheadLayer {
    fn default() -> Self {
        Self::of(Shared(Lanes::new(&Arc::new(Places::new(
            DEFAULT_LIMIT,
            0,
            Duration::MAX,
        )))))
    }
}

impl<P> BulkheadLayer<P> {
    const fn of(partition: P) -> Self {
        Self {
            partition,
            hold: UntilHead,
            reject: Propagate,
        }
    }
}

impl<H, R> BulkheadLayer<Shared, H, R> {
    /// Reads how full it is.
    pub fn handle(&self) -> BulkheadHandle {
        BulkheadHandle(Arc::clone(&self.partition.0))
    }
}

impl<K, F, H, R> BulkheadLayer<PerKey<K, F>, H, R> {
    /// Reads how full it is, key by key.
    pub fn handle(&self) -> KeyedBulkheadHandle<K> {
        KeyedBulkheadHandle(Arc::clone(&self.partition.table))
    }
}

#[cfg(feature = "http")]
impl<P, R> BulkheadLayer<P, UntilHead, R> {
    /// Holds the place until the body of the response has ended, or was dropped. By default it is free when the head is there.
    ///
    /// For large bodies that cost the peer, or this process, as much as the call itself.
    pub fn until_body_end(self) -> BulkheadLayer<P, super::UntilBodyEnd, R> {
        BulkheadLayer {
            partition: self.partition,
            hold: super::UntilBodyEnd,
            reject: self.reject,
        }
    }
}

reject_methods!(
    BulkheadLayer<P, H> { partition, hold },
    "[`Rejection::into_response`](bartizan_core::Rejection::into_response) makes a 503 with problem details."
);

impl<S, P: Clone, H: Clone, R: Clone> Layer<S> for BulkheadLayer<P, H, R> {
    type Service = Bulkhead<S, P, H, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Bulkhead::new(
            inner,
            self.partition.clone(),
            self.hold.clone(),
            self.reject.clone(),
        )
    }
}

/// Sets up a [`BulkheadLayer`].
#[derive(Clone, Copy, Debug)]
#[must_use = "it does nothing until it is built"]
pub struct BulkheadBuilder {
    limit: u32,
    queue: u32,
    longest_wait: Duration,
    max_keys: usize,
}

impl BulkheadBuilder {
    /// Sets how many calls may be under way, at least one; of each key, if it is [per key](Self::build_per_key). Default: 1000.
    pub const fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// Sets how many calls may wait for a place, and how long each. Default: none.
    ///
    /// First come, first served. [`Duration::MAX`] waits without end.
    pub const fn queue(mut self, length: u32, longest_wait: Duration) -> Self {
        self.queue = length;
        self.longest_wait = longest_wait;
        self
    }

    /// Sets how many keys may have calls under way at a time, at least one. Default: 10,000.
    pub const fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    fn places(&self) -> Places {
        Places::new(self.limit, self.queue, self.longest_wait)
    }

    fn check(&self) -> Result<(), ConfigError> {
        match self.limit {
            0 => Err(ConfigError::new("limit", 0, "at least 1")),
            _ => Ok(()),
        }
    }

    /// One set of places for all calls.
    ///
    /// # Errors
    ///
    /// If the limit is 0.
    pub fn build(self) -> Result<BulkheadLayer, ConfigError> {
        self.check()?;
        Ok(BulkheadLayer::of(Shared(Lanes::new(&Arc::new(
            self.places(),
        )))))
    }

    /// A set of places for each key. A request whose key is `None` is not limited.
    ///
    /// A key with no call under way is forgotten in time. When as many keys as are allowed have calls under way, all other keys
    /// share one more set of places: new keys, however many, take nothing from those that are there.
    ///
    /// # Errors
    ///
    /// If the limit or the number of keys is 0.
    pub fn build_per_key<Req, K, F>(
        self,
        key: F,
    ) -> Result<BulkheadLayer<PerKey<K, F>>, ConfigError>
    where
        K: Hash + Eq,
        F: Fn(&Req) -> Option<K>,
    {
        self.check()?;
        if self.max_keys == 0 {
            return Err(ConfigError::new("max_keys", 0, "at least 1"));
        }
        Ok(BulkheadLayer::of(PerKey {
            key: Arc::new(key),
            table: Arc::new(Table {
                keys: Keys::new(self.max_keys),
                others: Arc::new(self.places()),
                each: self,
            }),
        }))
    }
}

/// Which places a request is for.
pub(super) trait Partition<Req> {
    /// `None` if it is not limited.
    fn places(&self, request: &Req) -> Option<Hall>;
}

/// One set of places for all calls.
#[derive(Clone, Debug)]
pub struct Shared(Lanes<Arc<Places>>);

impl<Req> Partition<Req> for Shared {
    fn places(&self, _: &Req) -> Option<Hall> {
        Some(Hall::Common(self.0.hold()))
    }
}

/// A set of places for each key.
pub struct PerKey<K, F> {
    key: Arc<F>,
    table: Arc<Table<K>>,
}

#[derive(Debug)]
struct Table<K> {
    keys: Keys<K, Arc<Places>>,
    /// For the keys that find no room.
    others: Arc<Places>,
    each: BulkheadBuilder,
}

impl<Req, K, F> Partition<Req> for PerKey<K, F>
where
    K: Hash + Eq,
    F: Fn(&Req) -> Option<K>,
{
    fn places(&self, request: &Req) -> Option<Hall> {
        let table = &self.table;
        let places = table.keys.with(
            (self.key)(request)?,
            || Arc::new(table.each.places()),
            // Whoever is under way, or waits, or is about to, holds a reference; new ones are made under this lock.
            |places| Arc::strong_count(places) == 1,
            |places| Arc::clone(places),
        );
        Some(Hall::OfKey(
            places.unwrap_or_else(|| Arc::clone(&table.others)),
        ))
    }
}

impl<K, F> Clone for PerKey<K, F> {
    fn clone(&self) -> Self {
        Self {
            key: Arc::clone(&self.key),
            table: Arc::clone(&self.table),
        }
    }
}

impl<K, F> fmt::Debug for PerKey<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKey")
            .field("keys", &self.table.keys)
            .finish_non_exhaustive()
    }
}

/// How full a bulkhead, or one key of it, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkheadSnapshot {
    /// How many places there are.
    pub limit: u32,
    /// How many of them are taken.
    pub in_flight: u32,
    /// How many calls wait for one.
    pub waiting: u32,
}

impl BulkheadSnapshot {
    fn of(places: &Places) -> Self {
        Self {
            limit: places.limit(),
            in_flight: places.taken(),
            waiting: places.waiting(),
        }
    }
}

/// Reads how full a bulkhead is, from anywhere, at the cost of an atomic load.
#[derive(Clone, Debug)]
pub struct BulkheadHandle(Arc<Places>);

impl BulkheadHandle {
    /// How full it is.
    pub fn snapshot(&self) -> BulkheadSnapshot {
        BulkheadSnapshot::of(&self.0)
    }
}

/// Reads how full a bulkhead per key is, from anywhere.
#[derive(Debug)]
pub struct KeyedBulkheadHandle<K>(Arc<Table<K>>);

impl<K> Clone for KeyedBulkheadHandle<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Hash + Eq> KeyedBulkheadHandle<K> {
    /// How many keys are remembered: those with calls under way, and some that had.
    pub fn keys(&self) -> usize {
        self.0.keys.len()
    }

    /// How full `key` is. `None` if it is not remembered, and so has no calls under way, unless they are among the
    /// [`others`](Self::others).
    pub fn snapshot(&self, key: K) -> Option<BulkheadSnapshot> {
        self.0.keys.get(key, |places| BulkheadSnapshot::of(places))
    }

    /// How full the places are that all keys share for which there was no room.
    pub fn others(&self) -> BulkheadSnapshot {
        BulkheadSnapshot::of(&self.0.others)
    }
}
