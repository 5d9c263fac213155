//! One error for all who waited for the same call.

use std::{error::Error, fmt, sync::Arc};

use bartizan_core::{BoxError, Rejection, RejectionKind, find};

/// The error of a call that several callers shared. Each has it, and none of them owns it.
///
/// The source of the [`Rejection`] that they get. Its own source is the error itself, so [`find`] finds that as if nothing had been
/// shared.
#[derive(Clone, Debug)]
pub struct SharedError(Arc<dyn Error + Send + Sync>);

impl SharedError {
    pub(super) fn new(error: BoxError) -> Self {
        Self(error.into())
    }

    /// What the callers get. A rejection from below keeps its kind and its delay: an open circuit is one for all of them.
    pub(super) fn rejection(self) -> Rejection {
        let below = find::<Rejection>(&*self.0);
        let kind = below.map_or(RejectionKind::Exhausted, Rejection::kind);
        let rejection = Rejection::new(kind, "coalesce");
        let rejection = match below.and_then(Rejection::retry_after) {
            Some(delay) => rejection.with_retry_after(delay),
            None => rejection,
        };
        rejection.with_source(self)
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call that was shared with others failed")
    }
}

impl Error for SharedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}
