//! The boxed error of the field, and a search over its sources.

use std::{any::Any, error::Error, io};

/// An error of any type, as tower, hyper and axum box it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The first error of type `E` in the chain that starts with `error` itself and goes on through [`Error::source`].
///
/// It looks inside an [`io::Error`] too, whose `source` skips the very error it wraps.
///
/// Layers wrap; callers ask. This is how a caller asks without knowing how many layers have wrapped:
///
/// ```
/// use bartizan_core::{BoxError, Rejection, RejectionKind, find};
///
/// let error: BoxError = std::io::Error::other(Rejection::new(RejectionKind::TimedOut, "timeout")).into();
/// assert!(find::<Rejection>(&*error).is_some_and(Rejection::is_timed_out));
/// assert!(find::<std::fmt::Error>(&*error).is_none());
/// ```
pub fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |&error| cause(error)).find_map(<dyn Error>::downcast_ref)
}

fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// What `error` is, seen through the one box that hides it.
///
/// Layers are generic over their error, and no trait covers both "an error" and "a boxed error": `BoxError` is no `Error` itself.
/// So this looks whether `E` is one of the two types that our own stacks carry, and answers `None` for every other.
pub(crate) fn known<E: 'static>(error: &E) -> Option<&(dyn Error + 'static)> {
    let any: &dyn Any = error;
    if let Some(boxed) = any.downcast_ref::<BoxError>() {
        return Some(&**boxed);
    }
    any.downcast_ref::<crate::Rejection>()
        .map(|rejection| rejection as &(dyn Error + 'static))
}
