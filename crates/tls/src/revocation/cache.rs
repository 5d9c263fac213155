//! What was fetched, for a while, and what could not be.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{sync::Semaphore, time::Instant};

use super::{fetch::Failure, subject::Key};

/// Rather than out of range, for a time that means "for ever".
const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// A bounded store, which also sees to it that each thing is fetched once at a time.
pub(super) struct Cache<V> {
    max_entries: usize,
    validity: Duration,
    failure_validity: Duration,
    inner: Mutex<Inner<V>>,
}

struct Inner<V> {
    slots: HashMap<Key, Slot<V>>,
    /// The slots in the order in which they were written. The first one goes when there are too many.
    order: BTreeMap<u64, Key>,
    next: u64,
    turns: HashMap<Key, Weak<Semaphore>>,
    /// How many turns there may be before those that are over are swept out.
    sweep_at: usize,
}

struct Slot<V> {
    written: u64,
    value: Option<(V, Instant)>,
    failure: Option<(Arc<Failure>, Instant)>,
}

/// What there is.
pub(super) enum Cached<V> {
    /// Fetched lately.
    Fresh(V),
    /// Fetched some time ago. It may count still.
    Stale(V),
    /// Could not be fetched lately; and what was before.
    Failed(Arc<Failure>, Option<V>),
    Nothing,
}

impl<V> Cached<V> {
    /// The value, however old.
    pub(super) fn value(self) -> Option<V> {
        match self {
            Self::Fresh(value) | Self::Stale(value) | Self::Failed(_, Some(value)) => Some(value),
            Self::Failed(_, None) | Self::Nothing => None,
        }
    }
}

impl<V: Clone> Cache<V> {
    /// None of these is zero.
    pub(super) fn new(max_entries: usize, validity: Duration, failure_validity: Duration) -> Self {
        Self {
            max_entries,
            validity: validity.min(FAR),
            failure_validity: failure_validity.min(FAR),
            inner: Mutex::new(Inner {
                slots: HashMap::new(),
                order: BTreeMap::new(),
                next: 0,
                turns: HashMap::new(),
                sweep_at: 16,
            }),
        }
    }

    pub(super) fn get(&self, key: &Key, now: Instant) -> Cached<V> {
        let inner = self.lock();
        let Some(slot) = inner.slots.get(key) else {
            return Cached::Nothing;
        };
        match (&slot.value, &slot.failure) {
            (value, Some((failure, until))) if now < *until => {
                let value = value.as_ref().map(|(value, _)| value.clone());
                Cached::Failed(Arc::clone(failure), value)
            }
            (Some((value, until)), _) if now < *until => Cached::Fresh(value.clone()),
            (Some((value, _)), _) => Cached::Stale(value.clone()),
            (None, _) => Cached::Nothing,
        }
    }

    /// Keeps `value`, unless `is_older` than what there is: an old answer that somebody plays back does not undo a new one. What is not
    /// `is_fresh` is kept for what it says still, and looked for again. Returns what is kept.
    pub(super) fn put(
        &self,
        key: Key,
        value: V,
        is_fresh: bool,
        now: Instant,
        is_older: impl FnOnce(&V, &V) -> bool,
    ) -> V {
        let until = if is_fresh { now + self.validity } else { now };
        self.lock().write(key, self.max_entries, |slot| {
            let kept = match slot.value.take() {
                Some((there, _)) if is_older(&value, &there) => there,
                _ => value,
            };
            slot.value = Some((kept.clone(), until));
            slot.failure = None;
            kept
        })
    }

    /// Remembers that it could not be fetched, so that it is not tried again for every connection. What was fetched before stays.
    pub(super) fn fail(&self, key: Key, failure: Arc<Failure>, now: Instant) {
        let until = now + self.failure_validity;
        self.lock().write(key, self.max_entries, |slot| {
            slot.failure = Some((failure, until));
        });
    }

    /// Whoever holds the one permit of this is to fetch. Those who waited look first whether that was done meanwhile; if whoever had it
    /// gave up, the next one has it.
    pub(super) fn turn(&self, key: &Key) -> Arc<Semaphore> {
        let mut inner = self.lock();
        if let Some(turn) = inner.turns.get(key).and_then(Weak::upgrade) {
            return turn;
        }
        if inner.turns.len() >= inner.sweep_at {
            inner.turns.retain(|_, turn| turn.strong_count() > 0);
            inner.sweep_at = 16.max(inner.turns.len() * 2);
        }
        let turn = Arc::new(Semaphore::new(1));
        inner.turns.insert(*key, Arc::downgrade(&turn));
        turn
    }

    fn lock(&self) -> MutexGuard<'_, Inner<V>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Inner<V> {
    fn write<T>(
        &mut self,
        key: Key,
        max_entries: usize,
        write: impl FnOnce(&mut Slot<V>) -> T,
    ) -> T {
        let written = self.next;
        self.next += 1;
        let slot = self.slots.entry(key).or_insert(Slot {
            written,
            value: None,
            failure: None,
        });
        self.order.remove(&slot.written);
        slot.written = written;
        let result = write(slot);
        self.order.insert(written, key);
        while self.slots.len() > max_entries {
            let Some((_, oldest)) = self.order.pop_first() else {
                break;
            };
            self.slots.remove(&oldest);
        }
        result
    }
}

impl<V> fmt::Debug for Cache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("max_entries", &self.max_entries)
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn cache() -> Cache<u32> {
        Cache::new(2, 15 * MINUTE, MINUTE)
    }

    fn failure() -> Arc<Failure> {
        Arc::new(Failure::new("it is down"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_is_fresh_for_a_while_and_then_stale() {
        let (cache, now) = (cache(), Instant::now());
        assert!(matches!(cache.get(&[1; 32], now), Cached::Nothing));
        cache.put([1; 32], 7, true, now, |_, _| false);
        let later = now + 15 * MINUTE;
        assert!(matches!(
            cache.get(&[1; 32], later - Duration::from_nanos(1)),
            Cached::Fresh(7)
        ));
        assert!(matches!(cache.get(&[1; 32], later), Cached::Stale(7)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_fresh_is_kept_and_stale() {
        let (cache, now) = (cache(), Instant::now());
        cache.put([1; 32], 7, false, now, |_, _| false);
        assert!(matches!(cache.get(&[1; 32], now), Cached::Stale(7)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_remembered_for_less_and_leaves_the_value() {
        let (cache, now) = (cache(), Instant::now());
        cache.fail([1; 32], failure(), now);
        assert!(matches!(cache.get(&[1; 32], now), Cached::Failed(_, None)));
        assert!(matches!(cache.get(&[1; 32], now + MINUTE), Cached::Nothing));
        cache.put([1; 32], 7, true, now, |_, _| false);
        cache.fail([1; 32], failure(), now);
        assert!(matches!(
            cache.get(&[1; 32], now),
            Cached::Failed(_, Some(7))
        ));
        assert!(matches!(
            cache.get(&[1; 32], now + MINUTE),
            Cached::Fresh(7)
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn an_older_value_does_not_replace_a_newer_one() {
        let (cache, now) = (cache(), Instant::now());
        cache.put([1; 32], 7, true, now, |_, _| false);
        cache.put([1; 32], 6, true, now, |new, old| new < old);
        assert_eq!(cache.get(&[1; 32], now).value(), Some(7));
        cache.put([1; 32], 8, true, now, |new, old| new < old);
        assert_eq!(cache.get(&[1; 32], now).value(), Some(8));
    }

    #[tokio::test(start_paused = true)]
    async fn the_entry_written_longest_ago_goes_first() {
        let (cache, now) = (cache(), Instant::now());
        for key in [1, 2, 1, 3] {
            cache.put([key; 32], u32::from(key), true, now, |_, _| false);
        }
        assert!(cache.get(&[2; 32], now).value().is_none());
        assert_eq!(cache.get(&[1; 32], now).value(), Some(1));
        assert_eq!(cache.get(&[3; 32], now).value(), Some(3));
        assert_eq!(cache.lock().order.len(), 2);
    }

    #[tokio::test]
    async fn turns_that_are_over_are_swept_out() {
        let cache = cache();
        let held = cache.turn(&[0; 32]);
        for key in 1..=255 {
            drop(cache.turn(&[key; 32]));
        }
        assert!(cache.lock().turns.len() <= 16);
        assert!(Arc::ptr_eq(&held, &cache.turn(&[0; 32])));
    }
}
