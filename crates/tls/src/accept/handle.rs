//! Changing the settings of a listener.

use std::fmt;

use bartizan_core::ConfigError;

use super::{ListenerTls, service::Shared};

/// Changes the settings of a [`TlsAcceptor`](crate::TlsAcceptor) while they are in use. Cheap to clone.
///
/// No connection is lost: those that are made stay as they are, and a handshake under way ends by the settings it began with. Every
/// handshake that begins after a change follows it, and no ticket from before is accepted: its client makes a full handshake.
#[derive(Clone)]
pub struct AcceptorHandle {
    shared: Shared,
}

impl AcceptorHandle {
    pub(super) const fn new(shared: Shared) -> Self {
        Self { shared }
    }

    /// The settings in force.
    pub fn settings(&self) -> ListenerTls {
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
    pub fn reload(&self, settings: ListenerTls) -> Result<(), ConfigError> {
        self.update(|_| settings.clone())
    }

    /// Replaces the settings by what `change` makes of those in force. It is called again if another change came between, so that
    /// none is lost. With `change` returning what it gets, only the tickets change.
    ///
    /// # Errors
    ///
    /// If the result cannot be used. What is in force stays so.
    pub fn update(&self, change: impl Fn(ListenerTls) -> ListenerTls) -> Result<(), ConfigError> {
        self.shared.update(
            |settings| change(settings.clone()),
            |settings, before| settings.build(Some(before)),
        )
    }
}

impl fmt::Debug for AcceptorHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptorHandle").finish_non_exhaustive()
    }
}
