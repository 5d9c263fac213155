//! Where the state of a quota is kept: in one word, in one per key, or elsewhere.

use std::{fmt, future::Pending, hash::Hash, sync::Arc, time::Duration};

use bartizan_core::BoxError;
use tokio::time::Instant;

use super::quota::{Decision, Quota};
use crate::{
    bulkhead::Keys,
    sync::atomic::{AtomicU64, Ordering},
};

/// A quota, how long its callers wait, and the clock of its states.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) quota: Quota,
    pub(super) longest_wait: Duration,
    /// The same, in nanoseconds.
    wait_nanos: u64,
    origin: Instant,
}

impl Rule {
    pub(super) fn new(quota: Quota, longest_wait: Duration) -> Self {
        Self {
            quota,
            longest_wait,
            wait_nanos: nanos(longest_wait),
            origin: Instant::now(),
        }
    }

    pub(super) fn since_origin(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX)
    }

    fn decide(&self, state: u64, now: u64) -> (Decision, Option<u64>) {
        self.quota.decide_nanos(state, now, self.wait_nanos)
    }
}

/// The state of one quota.
#[derive(Debug, Default)]
pub(super) struct Word(AtomicU64);

impl Word {
    // Relaxed throughout: the word guards no other memory.
    fn take(&self, rule: &Rule, now: u64) -> (Decision, Option<u64>) {
        let mut state = self.0.load(Ordering::Relaxed);
        loop {
            let (decision, next) = rule.decide(state, now);
            let Some(next) = next else {
                // Who is refused writes nothing.
                return (decision, None);
            };
            match self
                .0
                .compare_exchange_weak(state, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return (decision, Some(next)),
                Err(current) => state = current,
            }
        }
    }

    /// Undoes the call that left the state `next`, unless another has come after it, which keeps its own turn.
    fn give_back(&self, rule: &Rule, next: u64) {
        let before = next - nanos(rule.quota.interval());
        let _ = self
            .0
            .compare_exchange(next, before, Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What becomes of a call.
#[doc(hidden)]
#[derive(Debug)]
pub enum Take<D, T> {
    Unlimited,
    Now(Decision, T),
    Later(D),
}

/// Which quota a request counts against.
pub trait Limit<Req> {
    /// Gives a turn back that was not waited for, when it is dropped before [`came`](Turn::came).
    #[doc(hidden)]
    type Turn: Turn;
    /// A decision that takes its time. `None` lets the call through.
    #[doc(hidden)]
    type Deciding: Future<Output = Result<Option<Decision>, BoxError>>;

    /// Takes one call from the quota.
    #[doc(hidden)]
    fn take(&self, request: &Req, now: Instant) -> Take<Self::Deciding, Self::Turn>;
}

/// A turn that was promised.
#[doc(hidden)]
pub trait Turn {
    fn came(self);
}

impl Turn for () {
    fn came(self) {}
}

/// One quota for all calls.
#[derive(Clone, Debug)]
pub struct Shared(pub(super) Arc<Single>);

#[derive(Debug)]
pub(super) struct Single {
    pub(super) word: Word,
    pub(super) rule: Rule,
}

/// A turn of [`Shared`].
#[doc(hidden)]
#[derive(Debug)]
pub struct SharedTurn(Option<(Arc<Single>, u64)>);

impl Turn for SharedTurn {
    fn came(mut self) {
        self.0 = None;
    }
}

impl Drop for SharedTurn {
    fn drop(&mut self) {
        if let Some((single, next)) = self.0.take() {
            single.word.give_back(&single.rule, next);
        }
    }
}

impl<Req> Limit<Req> for Shared {
    type Turn = SharedTurn;
    type Deciding = Pending<Result<Option<Decision>, BoxError>>;

    fn take(&self, _: &Req, now: Instant) -> Take<Self::Deciding, SharedTurn> {
        let Single { word, rule } = &*self.0;
        let (decision, next) = word.take(rule, rule.since_origin(now));
        // Only who waits can give up before its turn.
        let turn = next
            .filter(|_| !decision.wait().is_zero())
            .map(|next| (Arc::clone(&self.0), next));
        Take::Now(decision, SharedTurn(turn))
    }
}

/// A quota for each key.
pub struct PerKey<K, F> {
    pub(super) key: Arc<F>,
    pub(super) table: Arc<Table<K>>,
}

#[derive(Debug)]
pub(super) struct Table<K> {
    pub(super) keys: Keys<K, u64>,
    /// For the keys that find no room.
    pub(super) others: Word,
    pub(super) rule: Rule,
}

/// A turn of [`PerKey`]. Without a key it is one of those that found no room.
#[doc(hidden)]
pub struct KeyedTurn<K: Hash + Eq>(Option<(Arc<Table<K>>, Option<K>, u64)>);

impl<K: Hash + Eq> Turn for KeyedTurn<K> {
    fn came(mut self) {
        self.0 = None;
    }
}

impl<K: Hash + Eq> Drop for KeyedTurn<K> {
    fn drop(&mut self) {
        let Some((table, key, next)) = self.0.take() else {
            return;
        };
        match key {
            None => table.others.give_back(&table.rule, next),
            Some(key) => {
                table.keys.get(key, |state| {
                    if *state == next {
                        *state -= nanos(table.rule.quota.interval());
                    }
                });
            }
        }
    }
}

impl<K: Hash + Eq> fmt::Debug for KeyedTurn<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedTurn").finish_non_exhaustive()
    }
}

impl<Req, K, F> Limit<Req> for PerKey<K, F>
where
    K: Hash + Eq + Clone,
    F: Fn(&Req) -> Option<K>,
{
    type Turn = KeyedTurn<K>;
    type Deciding = Pending<Result<Option<Decision>, BoxError>>;

    fn take(&self, request: &Req, at: Instant) -> Take<Self::Deciding, KeyedTurn<K>> {
        let Table { keys, others, rule } = &*self.table;
        let Some(key) = (self.key)(request) else {
            return Take::Unlimited;
        };
        let now = rule.since_origin(at);
        // Only who waits can give up before its turn, and needs to be found again.
        let kept = (!rule.longest_wait.is_zero()).then(|| key.clone());
        let known = keys.with(
            key,
            || 0,
            // A quota that is full is like one that was never used.
            |&state| state <= now,
            |state| {
                let (decision, next) = rule.decide(*state, now);
                *state = next.unwrap_or(*state);
                (decision, next)
            },
        );
        let (kept, (decision, next)) = match known {
            Some(taken) => (kept, taken),
            None => (None, others.take(rule, now)),
        };
        let turn = next
            .filter(|_| !decision.wait().is_zero())
            .map(|next| (Arc::clone(&self.table), kept, next));
        Take::Now(decision, KeyedTurn(turn))
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
            .field("table", &self.table.keys)
            .finish_non_exhaustive()
    }
}

/// Keeps the states of quotas where several processes can reach them.
///
/// The decision has to be one step there: to read a state, [decide](Quota::decide), and write it, with others in between, lets too
/// many through.
pub trait Store<K>: Send + Sync {
    /// The decision, when it is there.
    type Future: Future<Output = Result<Decision, BoxError>> + Send;

    /// Takes one call of `key` from `quota`. A call that would wait for its turn longer than `longest_wait` is refused.
    ///
    /// Called in the first poll of a call's future, outside of any lock. A call that is dropped drops the future; whether it has
    /// counted then is up to the store.
    fn take(&self, key: K, quota: &Quota, longest_wait: Duration) -> Self::Future;
}

/// A quota for each key, kept in a [`Store`].
pub struct Stored<T, F> {
    pub(super) store: Arc<T>,
    pub(super) key: Arc<F>,
    pub(super) rule: Rule,
    pub(super) fails_closed: bool,
}

impl<Req, T, K, F> Limit<Req> for Stored<T, F>
where
    T: Store<K>,
    F: Fn(&Req) -> Option<K>,
{
    type Turn = ();
    type Deciding = StoreDecision<T::Future>;

    fn take(&self, request: &Req, _: Instant) -> Take<Self::Deciding, ()> {
        match (self.key)(request) {
            None => Take::Unlimited,
            Some(key) => Take::Later(StoreDecision {
                decision: self
                    .store
                    .take(key, &self.rule.quota, self.rule.longest_wait),
                fails_closed: self.fails_closed,
            }),
        }
    }
}

impl<T, F> Clone for Stored<T, F> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            key: Arc::clone(&self.key),
            rule: self.rule.clone(),
            fails_closed: self.fails_closed,
        }
    }
}

impl<T, F> fmt::Debug for Stored<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("rule", &self.rule)
            .field("fails_closed", &self.fails_closed)
            .finish_non_exhaustive()
    }
}

pin_project_lite::pin_project! {
    /// The decision of a store, or what is done without one.
    #[doc(hidden)]
    #[derive(Debug)]
    pub struct StoreDecision<D> {
        #[pin]
        decision: D,
        fails_closed: bool,
    }
}

impl<D> Future for StoreDecision<D>
where
    D: Future<Output = Result<Decision, BoxError>>,
{
    type Output = Result<Option<Decision>, BoxError>;

    fn poll(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        let this = self.project();
        this.decision.poll(cx).map(|decision| match decision {
            Ok(decision) => Ok(Some(decision)),
            Err(error) if *this.fails_closed => Err(error),
            Err(error) => {
                tracing::warn!(
                    error = &*error,
                    "the store of a rate limit failed; the call is let through"
                );
                Ok(None)
            }
        })
    }
}

#[cfg(all(test, bartizan_loom))]
mod loom_tests {
    use super::*;
    use loom::{sync::Arc, thread};

    #[test]
    fn loom_no_two_get_the_same_turn() {
        loom::model(|| {
            let quota = Quota::try_per_second(1).unwrap();
            let rule = std::sync::Arc::new(Rule::new(quota, Duration::from_secs(5)));
            let word = Arc::new(Word(AtomicU64::new(0)));
            let other = {
                let (word, rule) = (word.clone(), rule.clone());
                thread::spawn(move || word.take(&rule, 0).0.wait())
            };
            let mut waits = [word.take(&rule, 0).0.wait(), other.join().unwrap()];
            waits.sort();
            assert_eq!(waits, [0, 1].map(Duration::from_secs));
        });
    }

    #[test]
    fn loom_a_turn_given_back_is_never_taken_from_another() {
        loom::model(|| {
            let quota = Quota::try_per_second(1).unwrap();
            let rule = std::sync::Arc::new(Rule::new(quota, Duration::from_secs(5)));
            let word = Arc::new(Word(AtomicU64::new(0)));
            word.take(&rule, 0);
            let mine = word.take(&rule, 0).1.unwrap();
            let other = {
                let (word, rule) = (word.clone(), rule.clone());
                thread::spawn(move || word.take(&rule, 0).0.wait())
            };
            word.give_back(&rule, mine);
            let wait = other.join().unwrap();
            // It came before and keeps its own, or after and has mine. Whatever it was, the next one comes after it.
            let next = word.take(&rule, 0).0.wait();
            assert!(wait < next, "{wait:?} {next:?}");
        });
    }
}
