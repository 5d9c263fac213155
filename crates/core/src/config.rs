//! The one error of every constructor that checks its input.

use std::{convert::Infallible, error::Error, fmt};

use crate::BoxError;

/// A setting that cannot be used: which one, what it was, and what is allowed.
///
/// Constructors that can fail are called `try_new` or `build`, and fail with this before any call is made, so that a stack that
/// was built once works.
///
/// ```
/// use bartizan_core::BaseUrl;
///
/// let error = "localhost:9090".parse::<BaseUrl>().unwrap_err().in_field("targets[2]");
/// assert_eq!(
///     error.to_string(),
///     "invalid targets[2] `localhost:9090`: expected an absolute http:// or https:// URL"
/// );
/// ```
#[derive(Debug)]
pub struct ConfigError {
    field: String,
    value: String,
    expected: String,
    source: Option<BoxError>,
}

impl ConfigError {
    /// An error that says `field` was `value` where `expected` was needed.
    pub fn new(
        field: impl Into<String>,
        value: impl fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            value: value.to_string(),
            expected: expected.into(),
            source: None,
        }
    }

    /// Keeps the error that explains this one, for [`Error::source`].
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Names the field by the name that the user gave it: a parser knows only its own.
    #[must_use]
    pub fn in_field(mut self, field: impl Into<String>) -> Self {
        self.field = field.into();
        self
    }

    /// The setting that was wrong.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The value it had.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What would have been allowed.
    pub fn expected(&self) -> &str {
        &self.expected
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "invalid {} `{}`: expected {}",
            self.field, self.value, self.expected
        )
    }
}

/// So that a builder takes a value that was checked before as readily as one that was not.
impl From<Infallible> for ConfigError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
