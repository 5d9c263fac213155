//! What an order came to.

use std::{error, fmt, sync::Arc, time::SystemTime};

use bartizan_core::BoxError;
use tokio::sync::watch;

/// Tells how [`Acme`](super::Acme) fares. Cheap to clone.
#[derive(Clone)]
pub struct AcmeHandle {
    status: watch::Receiver<Status>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    pub(super) not_after: Option<SystemTime>,
    pub(super) next_order: Option<SystemTime>,
    /// The last order's, if it failed.
    pub(super) error: Option<Arc<AcmeError>>,
}

impl AcmeHandle {
    pub(super) const fn new(status: watch::Receiver<Status>) -> Self {
        Self { status }
    }

    /// When the certificate that is installed stops being valid. `None` if there is none.
    pub fn not_after(&self) -> Option<SystemTime> {
        self.status.borrow().not_after
    }

    /// When the next certificate is ordered. `None` before the first order, and while one is under way.
    pub fn next_order(&self) -> Option<SystemTime> {
        self.status.borrow().next_order
    }

    /// Why the last order failed. `None` if it did not. What to alert on: there are weeks left when it is first there.
    pub fn last_error(&self) -> Option<Arc<AcmeError>> {
        self.status.borrow().error.clone()
    }

    /// Waits until there is a certificate. May be dropped at any time.
    ///
    /// # Errors
    ///
    /// Why the first order failed, if it did, or the last. [`run`](super::Acme::run) goes on trying, and this can be called again to wait for
    /// that; and if nobody runs it any more.
    pub async fn installed(&mut self) -> Result<(), Arc<AcmeError>> {
        loop {
            {
                let status = self.status.borrow_and_update();
                if status.not_after.is_some() {
                    return Ok(());
                }
                if let Some(error) = &status.error {
                    return Err(Arc::clone(error));
                }
            }
            if self.status.changed().await.is_err() {
                return Err(Arc::new(AcmeError::new(
                    "nobody runs the future that orders certificates",
                )));
            }
        }
    }
}

impl fmt::Debug for AcmeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status.borrow();
        f.debug_struct("AcmeHandle")
            .field("not_after", &status.not_after)
            .field("next_order", &status.next_order)
            .field("last_error", &status.error)
            .finish()
    }
}

/// Why there is no new certificate: what was under way, and in the [source](error::Error::source) what the CA said.
#[derive(Debug)]
pub struct AcmeError {
    what: String,
    source: Option<BoxError>,
}

impl AcmeError {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            source: None,
        }
    }

    pub(super) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind of problem that the CA reports, such as `urn:ietf:params:acme:error:rateLimited` (RFC 8555 section 6.7).
    pub fn problem(&self) -> Option<&str> {
        match self.source.as_deref()?.downcast_ref()? {
            instant_acme::Error::Api(problem) => problem.r#type.as_deref(),
            _ => None,
        }
    }
}

impl fmt::Display for AcmeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl error::Error for AcmeError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
