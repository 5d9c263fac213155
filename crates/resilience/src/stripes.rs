//! State cut into stripes, so that threads write different cache lines.

use std::{
    cell::Cell,
    // The standard library's even under loom, whose own cannot be static: it is no part of a model.
    sync::atomic::{AtomicUsize, Ordering},
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
