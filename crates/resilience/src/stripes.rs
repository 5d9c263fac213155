//! State cut into stripes, so that threads write different cache lines.

use std::{
    cell::Cell,
    fmt,
    ops::Deref,
    // The standard library's even under loom, whose own cannot be static: it is no part of a model.
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// More than this are never needed: what is left of the fight is cheap, and every sum reads them all.
const MOST: usize = 16;

/// How many stripes are worth it: a power of two, about as many as threads can run at a time.
pub(crate) fn count() -> usize {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    threads.next_power_of_two().min(MOST)
}

/// A number of this thread's own, to pick a stripe by. Threads are numbered as they come, so those that started one after another
/// have different stripes.
pub(crate) fn thread_index() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        // Needs no drop, so it is there even while the thread ends.
        static INDEX: Cell<Option<usize>> = const { Cell::new(None) };
    }
    INDEX.with(|index| {
        index.get().unwrap_or_else(|| {
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            index.set(Some(next));
            next
        })
    })
}

/// Keeps what is written apart from what others write: two lines, because cores fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

/// A value for each thread that can run at a time, for them to write without writing one another's lines.
#[derive(Debug)]
pub(crate) struct Stripes<T>(Box<[Padded<T>]>);

impl<T> Stripes<T> {
    pub(crate) fn new(value: impl Fn() -> T) -> Self {
        Self::sized(count(), value)
    }

    /// So many of them: a power of two.
    pub(crate) fn sized(count: usize, value: impl Fn() -> T) -> Self {
        debug_assert!(count.is_power_of_two());
        Self((0..count).map(|_| Padded(value())).collect())
    }

    /// The one that this thread writes.
    #[inline]
    pub(crate) fn own(&self) -> &T {
        self.of(thread_index())
    }

    /// The one that the thread of this number writes.
    #[inline]
    pub(crate) fn of(&self, thread: usize) -> &T {
        &self.0[thread & (self.0.len() - 1)].0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|padded| &padded.0)
    }
}

/// What calls hold on to, without all of them counting on one word: the same value, usually an [`Arc`], behind a count of references
/// for each stripe. Clones share it. The counts take a quarter of a kilobyte each, so this is for what there is one of per service,
/// and not one per key or per call.
pub(crate) struct Lanes<T>(Arc<[Arc<Padded<T>>]>);

impl<T: Clone> Lanes<T> {
    pub(crate) fn new(value: &T) -> Self {
        let lane = |_| Arc::new(Padded(value.clone()));
        Self((0..count()).map(lane).collect())
    }
}

impl<T> Lanes<T> {
    /// The value, for as long as a call needs it.
    #[inline]
    pub(crate) fn hold(&self) -> Held<T> {
        Held(Arc::clone(&self.0[thread_index() & (self.0.len() - 1)]))
    }
}

impl<T> Clone for Lanes<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Any lane will do: they differ in who counts on them.
impl<T> Deref for Lanes<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0[0].0
    }
}

impl<T: fmt::Debug> fmt::Debug for Lanes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// What [`Lanes`] lend. It may be let go on any thread.
pub(crate) struct Held<T>(Arc<Padded<T>>);

impl<T> Clone for Held<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Held<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Held<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// What lanes lend where a call needs a state and a judge: side by side, so that neither is one more step away.
#[derive(Debug)]
pub(crate) struct Lane<T, C> {
    pub(crate) core: Arc<T>,
    pub(crate) classify: Arc<C>,
}

impl<T, C> Clone for Lane<T, C> {
    fn clone(&self) -> Self {
        Self {
            core: Arc::clone(&self.core),
            classify: Arc::clone(&self.classify),
        }
    }
}

#[cfg(all(test, not(bartizan_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_outlives_who_lent_it_and_is_dropped_with_the_last() {
        let value = Arc::new(());
        let lanes = Lanes::new(&value);
        let held = [lanes.hold(), lanes.clone().hold()];
        drop(lanes);
        assert!(held.iter().all(|held| Arc::ptr_eq(held, &value)));
        let there = held.map(|held| thread::spawn(move || drop(held)));
        for thread in there {
            thread.join().expect("no panic");
        }
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn no_two_stripes_are_on_one_pair_of_lines() {
        let stripes = Stripes::sized(4, || 0_u8);
        let places: Vec<_> = stripes
            .iter()
            .map(|stripe| std::ptr::from_ref(stripe) as usize / 128)
            .collect();
        assert!(
            places.windows(2).all(|pair| pair[0] < pair[1]),
            "{places:?}"
        );
        assert_eq!(places.len(), 4);
    }
}
