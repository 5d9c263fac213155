//! The layer, its builder, and its handles.

use std::{hash::Hash, sync::Arc, time::Duration};

use bartizan_core::{ConfigError, Propagate};
use tokio::time::Instant;
use tower_layer::Layer;

use super::{
    annotate::Plain,
    limit::{PerKey, Rule, Shared, Single, Store, Stored, Table, Word},
    quota::Quota,
    service::RateLimit,
};
use crate::bulkhead::Keys;

/// Idle keys are forgotten, so these are keys that called within the time their quota needs to fill. Each costs some fifty bytes.
const DEFAULT_MAX_KEYS: usize = 100_000;

/// Limits how many calls are made in a time. All services that it makes, and their clones, share the quota. See the [module](super).
#[derive(Clone, Debug)]
pub struct RateLimitLayer<L = Shared, A = Plain, R = Propagate> {
    quota: Quota,
    limit: L,
    annotate: A,
    reject: R,
}

impl RateLimitLayer {
    /// One `quota` for all calls. A call that is over it is refused.
    pub fn new(quota: Quota) -> Self {
        Self::builder(quota).build()
    }

    /// Sets more than that.
    pub const fn builder(quota: Quota) -> RateLimitBuilder {
        RateLimitBuilder {
            quota,
            longest_wait: Duration::ZERO,
            max_keys: DEFAULT_MAX_KEYS,
            fails_closed: false,
        }
    }
}

impl<L> RateLimitLayer<L> {
    const fn of(quota: Quota, limit: L) -> Self {
        Self {
            quota,
            limit,
            annotate: Plain,
            reject: Propagate,
        }
    }
}

impl<A, R> RateLimitLayer<Shared, A, R> {
    /// Reads what is left.
    pub fn handle(&self) -> RateLimitHandle {
        RateLimitHandle(Arc::clone(&self.limit.0))
    }
}

impl<K, F, A, R> RateLimitLayer<PerKey<K, F>, A, R> {
    /// Reads what is left, key by key.
    pub fn handle(&self) -> KeyedRateLimitHandle<K> {
        KeyedRateLimitHandle(Arc::clone(&self.limit.table))
    }
}

#[cfg(feature = "http")]
impl<L, R> RateLimitLayer<L, Plain, R> {
    /// Tells HTTP clients where they stand, under the policy name `default`: see [`RateLimitHeaders`](super::RateLimitHeaders).
    pub fn headers(self) -> RateLimitLayer<L, super::RateLimitHeaders, R> {
        let headers = super::RateLimitHeaders::new("default", &self.quota);
        self.annotated(headers)
    }

    /// The same, under a name of yours: each of several limits on the way of a request needs its own.
    ///
    /// # Errors
    ///
    /// If the name is empty, or has anything but printable ASCII, a quote, or a backslash in it.
    pub fn try_headers_named(
        self,
        name: &str,
    ) -> Result<RateLimitLayer<L, super::RateLimitHeaders, R>, ConfigError> {
        let is_printable = |byte: u8| (b' '..=b'~').contains(&byte) && !b"\"\\".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_printable) {
            return Err(ConfigError::new(
                "policy name",
                name,
                "printable ASCII without quotes and backslashes",
            ));
        }
        let headers = super::RateLimitHeaders::new(name, &self.quota);
        Ok(self.annotated(headers))
    }

    fn annotated<A>(self, annotate: A) -> RateLimitLayer<L, A, R> {
        RateLimitLayer {
            quota: self.quota,
            limit: self.limit,
            annotate,
            reject: self.reject,
        }
    }
}

reject_methods!(
    RateLimitLayer<L, A> { quota, limit, annotate },
    "[`Rejection::into_response`](bartizan_core::Rejection::into_response) makes a 429 with problem details and `Retry-After`."
);

impl<S, L: Clone, A: Clone, R: Clone> Layer<S> for RateLimitLayer<L, A, R> {
    type Service = RateLimit<S, L, A, R>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::new(
            inner,
            self.limit.clone(),
            self.annotate.clone(),
            self.reject.clone(),
        )
    }
}

/// Sets up a [`RateLimitLayer`].
#[derive(Clone, Copy, Debug)]
#[must_use = "it does nothing until it is built"]
pub struct RateLimitBuilder {
    quota: Quota,
    longest_wait: Duration,
    max_keys: usize,
    fails_closed: bool,
}

impl RateLimitBuilder {
    /// Lets a call that is over the quota wait for its turn, if that is not longer than this away. Default: zero, which refuses it.
    pub const fn wait(mut self, longest: Duration) -> Self {
        self.longest_wait = longest;
        self
    }

    /// Sets how many keys [`build_per_key`](Self::build_per_key) remembers, at least one. Default: 100,000.
    pub const fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// Refuses calls while the store of [`build_stored`](Self::build_stored) fails. By default they are let through: a limit is there
    /// to protect what works, and should not be what breaks it.
    pub const fn fail_closed(mut self) -> Self {
        self.fails_closed = true;
        self
    }

    fn rule(&self) -> Rule {
        Rule::new(self.quota, self.longest_wait)
    }

    /// One quota for all calls.
    pub fn build(self) -> RateLimitLayer {
        RateLimitLayer::of(
            self.quota,
            Shared(Arc::new(Single {
                word: Word::default(),
                rule: self.rule(),
            })),
        )
    }

    /// A quota for each key. A request whose key is `None` is not limited.
    ///
    /// A key whose quota is full is forgotten in time, which changes nothing for it. While as many keys as are allowed are in use,
    /// all other keys share one more quota: new keys, however many, push nobody out, and get no more than one key does.
    ///
    /// # Errors
    ///
    /// If the number of keys is 0.
    pub fn build_per_key<Req, K, F>(
        self,
        key: F,
    ) -> Result<RateLimitLayer<PerKey<K, F>>, ConfigError>
    where
        K: Hash + Eq,
        F: Fn(&Req) -> Option<K>,
    {
        if self.max_keys == 0 {
            return Err(ConfigError::new("max_keys", 0, "at least 1"));
        }
        Ok(RateLimitLayer::of(
            self.quota,
            PerKey {
                key: Arc::new(key),
                table: Arc::new(Table {
                    keys: Keys::new(self.max_keys),
                    others: Word::default(),
                    rule: self.rule(),
                }),
            },
        ))
    }

    /// A quota for each key, in a store that other processes use too. A request whose key is `None` is not limited.
    pub fn build_stored<Req, K, T, F>(self, store: T, key: F) -> RateLimitLayer<Stored<T, F>>
    where
        T: Store<K>,
        F: Fn(&Req) -> Option<K>,
    {
        RateLimitLayer::of(
            self.quota,
            Stored {
                store: Arc::new(store),
                key: Arc::new(key),
                rule: self.rule(),
                fails_closed: self.fails_closed,
            },
        )
    }
}

/// What is left of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimitSnapshot {
    /// How many calls could come now.
    pub remaining: u32,
    /// After how long the quota is full, if none comes.
    pub full_after: Duration,
}

impl RateLimitSnapshot {
    fn of(rule: &Rule, state: u64) -> Self {
        let (remaining, full_after) = rule.quota.peek(state, rule.since_origin(Instant::now()));
        Self {
            remaining,
            full_after,
        }
    }
}

/// Reads what is left of a quota, from anywhere.
#[derive(Clone, Debug)]
pub struct RateLimitHandle(Arc<Single>);

impl RateLimitHandle {
    /// What is left.
    pub fn snapshot(&self) -> RateLimitSnapshot {
        RateLimitSnapshot::of(&self.0.rule, self.0.word.get())
    }
}

/// Reads what is left of the quotas of keys, from anywhere.
#[derive(Debug)]
pub struct KeyedRateLimitHandle<K>(Arc<Table<K>>);

impl<K> Clone for KeyedRateLimitHandle<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Hash + Eq> KeyedRateLimitHandle<K> {
    /// How many keys are remembered: those whose quota is not full, and some whose is.
    pub fn keys(&self) -> usize {
        self.0.keys.len()
    }

    /// What is left for `key`. `None` if it is not remembered: its quota is full, unless it is among the
    /// [`others`](Self::others).
    pub fn snapshot(&self, key: K) -> Option<RateLimitSnapshot> {
        let state = self.0.keys.get(key, |state| *state)?;
        Some(RateLimitSnapshot::of(&self.0.rule, state))
    }

    /// What is left of the quota that all keys share for which there was no room.
    pub fn others(&self) -> RateLimitSnapshot {
        RateLimitSnapshot::of(&self.0.rule, self.0.others.get())
    }
}
