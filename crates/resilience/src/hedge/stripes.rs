//! Values that each core writes in a cache line of its own.

use crate::stripes::{count, thread_index};

/// Two lines, because cores fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Padded<T>(T);

/// A power of two of values.
#[derive(Debug)]
pub(super) struct Stripes<T>(Box<[Padded<T>]>);

impl<T> Stripes<T> {
    pub(super) fn new(value: impl Fn() -> T) -> Self {
        Self((0..count()).map(|_| Padded(value())).collect())
    }

    /// The one that this thread writes.
    #[inline]
    pub(super) fn own(&self) -> &T {
        &self.0[thread_index() & (self.0.len() - 1)].0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|padded| &padded.0)
    }
}
