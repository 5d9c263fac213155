//! Values that each core writes in a cache line of its own.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// Enough for the cores of a large machine to seldom meet.
const MOST: usize = 16;

thread_local! {
    static OWN: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

/// Two lines, because cores fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Padded<T>(T);

/// A power of two of values.
#[derive(Debug)]
pub(super) struct Stripes<T>(Box<[Padded<T>]>);

impl<T> Stripes<T> {
    pub(super) fn new(value: impl Fn() -> T) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let count = cores.next_power_of_two().min(MOST);
        Self((0..count).map(|_| Padded(value())).collect())
    }

    /// The one that this thread writes.
    #[inline]
    pub(super) fn own(&self) -> &T {
        // Gone while the thread ends, when tasks may still be dropped.
        let own = OWN.try_with(|own| *own).unwrap_or(0);
        &self.0[own & (self.0.len() - 1)].0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|padded| &padded.0)
    }
}
