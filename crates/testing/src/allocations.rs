//! How often a closure allocates.

/// Runs `f`, and answers what it returned and how often it allocated: new allocations and growths, whatever was freed again.
///
/// Only what this thread does is counted, so what `f` waits for has to run on this thread too: poll a future by hand, or block on
/// it in a current-thread runtime that was built before. A [`Probe`](crate::Probe) records its requests and so allocates itself;
/// measure over a service that does not.
///
/// The feature `allocations` installs a global allocator that counts for every thread, and slows the program down.
///
/// ```
/// use bartizan_testing::allocations;
///
/// let (text, count) = allocations(|| String::from("on the heap"));
/// assert_eq!((text.len(), count), (11, 1));
/// assert_eq!(allocations(|| 2 + 2), (4, 0));
/// ```
///
/// Nested counts belong to the outer one as well:
///
/// ```
/// use bartizan_testing::allocations;
///
/// let ((_, inner), outer) = allocations(|| allocations(|| Box::new(1)));
/// assert_eq!((inner, outer), (1, 1));
/// ```
///
/// # Panics
///
/// If `f` does. The counts of this thread are of no use afterwards.
pub fn allocations<T>(f: impl FnOnce() -> T) -> (T, u64) {
    let mut value = None;
    let counted = allocation_counter::measure(|| value = Some(f()));
    (value.expect("`measure` runs `f`"), counted.count_total)
}
