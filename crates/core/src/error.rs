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

/// Sees the error in a value of a type that it knows. `None` for every other type.
///
/// Layers are generic over their error, and no trait covers both "an error" and "a boxed error": `BoxError` is no `Error` itself. So
/// whoever needs to look inside keeps a list of the types to try.
pub(crate) type See = fn(&dyn Any) -> Option<&(dyn Error + 'static)>;

pub(crate) fn see<E: Error + 'static>(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
    error.downcast_ref::<E>().map(|error| error as _)
}

pub(crate) fn see_boxed(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
    error.downcast_ref::<BoxError>().map(|error| &**error as _)
}
