//! Why no endpoint was asked.

use std::{error::Error, fmt};

use bartizan_core::BoxError;

/// No endpoint could be asked. The source of the [`Rejection`](bartizan_core::Rejection); its own source is the error of the last
/// endpoint whose readiness failed, if that is the reason.
#[derive(Debug)]
pub struct NoEndpoint {
    is_empty: bool,
    error: Option<BoxError>,
}

impl NoEndpoint {
    pub(super) const fn new(is_empty: bool, error: Option<BoxError>) -> Self {
        Self { is_empty, error }
    }

    /// Whether there is no endpoint at all, or none with a weight.
    pub const fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// Whether there are endpoints, and none is fit.
    pub const fn is_unfit(&self) -> bool {
        !self.is_empty && self.error.is_none()
    }

    /// Whether the readiness of every endpoint that could be asked failed.
    pub const fn is_failed(&self) -> bool {
        !self.is_empty && self.error.is_some()
    }
}

impl fmt::Display for NoEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty {
            "the list of endpoints is empty"
        } else if self.error.is_none() {
            "no endpoint is fit"
        } else {
            "the readiness of every endpoint failed"
        })
    }
}

impl Error for NoEndpoint {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.as_deref().map(|error| error as _)
    }
}
