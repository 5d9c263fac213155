//! Changing the settings of a client.

use std::fmt;

use bartizan_core::ConfigError;

use super::{ClientTls, service::Shared};

/// Changes the settings of a [`TlsConnectorLayer`](crate::TlsConnectorLayer) while they are in use. Cheap to clone.
///
/// Connections that are made stay as they are: a pool has to let go of them. Every connection that is asked for after a change follows
/// it, and resumes no session from before.
#[derive(Clone)]
pub struct ConnectorHandle {
    shared: Shared,
}

impl ConnectorHandle {
    pub(super) const fn new(shared: Shared) -> Self {
        Self { shared }
    }

    /// The settings in force.
    pub fn settings(&self) -> ClientTls {
        self.shared.load().settings.clone()
    }

    /// Replaces the settings by others.
    ///
    /// # Errors
    ///
    /// If they cannot be used. Those in force stay so.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "settings are handed over, as they are to the constructor"
    )]
    pub fn reload(&self, settings: ClientTls) -> Result<(), ConfigError> {
        self.update(|_| settings.clone())
    }

    /// Replaces the settings by what `change` makes of those in force. It is called again if another change came between, so that
    /// none is lost.
    ///
    /// # Errors
    ///
    /// If the result cannot be used. What is in force stays so.
    pub fn update(&self, change: impl Fn(ClientTls) -> ClientTls) -> Result<(), ConfigError> {
        self.shared.update(
            |settings| change(settings.clone()),
            |settings, _| settings.build(),
        )
    }
}

impl fmt::Debug for ConnectorHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectorHandle").finish_non_exhaustive()
    }
}
