//! What both ends do after a handshake, and before anybody gets the connection.

use std::{
    sync::Arc,
    time::Duration,
};

use rustls::{CommonState, HandshakeKind};
use tokio::time::{Instant, timeout_at};

use crate::{
    Error, Stage,
    options::SharedClock,
    revocation::{Engine, Verdict},
    verify::{Paths, Verified},
    x509::system_time,
};

/// What a peer's certificate has to withstand after every handshake, because rustls looks at none when a session is resumed.
pub(crate) struct Checks {
    /// `None` if no certificate is asked for, or none is looked at.
    pub(crate) paths: Option<Arc<Paths>>,
    /// Whether there has to be one.
    pub(crate) mandatory: bool,
    pub(crate) engine: Option<Arc<dyn Engine>>,
    pub(crate) clock: SharedClock,
}

impl Checks {
    /// The path of the peer, if there is anything left to ask about it.
    pub(crate) fn path(&self, connection: &CommonState) -> Result<Option<Arc<Verified>>, Error> {
        let Some(paths) = &self.paths else {
            return Ok(None);
        };
        let certificates = connection.peer_certificates().unwrap_or_default();
        if certificates.is_empty() {
            return if self.mandatory {
                Err(Error::of_rustls(
                    rustls::Error::NoCertificatesPresented,
                    Stage::Verify,
                ))
            } else {
                Ok(None)
            };
        }
        let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        if !resumed && self.engine.is_none() {
            return Ok(None);
        }
        paths
            .recall(certificates, self.clock.now())
            .map(Some)
            .map_err(|error| Error::of_rustls(error, Stage::Verify))
    }

    /// Asks the engine.
    pub(crate) async fn revocation(
        &self,
        path: Option<Arc<Verified>>,
        deadline: Instant,
    ) -> Result<Verdict, Error> {
        let (Some(engine), Some(path)) = (&self.engine, path) else {
            return Ok(Verdict::Unchecked);
        };
        let now = system_time(self.clock.now());
        match timeout_at(deadline, engine.after_handshake(&path.chain, now)).await {
            Ok(Ok(verdict)) => Ok(verdict),
            Ok(Err(refusal)) => Err(Error::of_refusal(&refusal).with_source(refusal)),
            Err(elapsed) => Err(Error::timed_out(
                Stage::Revocation,
                "no answer about revocation in the time for the handshake",
            )
            .with_source(elapsed)),
        }
    }
}

/// The deadline of what starts now. Far away, rather than out of range, for a limit that means none.
pub(crate) fn deadline_after(timeout: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    Instant::now() + timeout.min(FAR)
}
