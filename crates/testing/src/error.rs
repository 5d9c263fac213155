//! The failure that a test scripts.

use std::{borrow::Cow, error::Error, fmt, iter};

use bartizan_core::BoxError;

/// A failure that a test asked for. Its own type, so that a test can tell it from every other error:
///
/// ```
/// use bartizan_core::{BoxError, find};
/// use bartizan_testing::ProbeError;
///
/// let error: BoxError = std::io::Error::other(ProbeError::new("no route")).into();
/// assert_eq!(find(&*error), Some(&ProbeError::new("no route")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeError(Cow<'static, str>);

impl ProbeError {
    /// An error with that message.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self(message.into())
    }
}

impl Default for ProbeError {
    fn default() -> Self {
        Self::new("scripted failure")
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for ProbeError {}

/// An error and its sources, in one line: a panic shows nothing else.
pub(crate) fn chain(error: &BoxError) -> String {
    let sources = iter::successors(error.source(), |&error| error.source());
    sources.fold(error.to_string(), |text, error| format!("{text}: {error}"))
}
