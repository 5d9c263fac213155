//! What both ends do after a handshake, and before anybody gets the connection.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use rustls::{CommonState, HandshakeKind};
use tokio::{
    task::unconstrained,
    time::{Instant, Sleep},
};

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
        let Some((leaf, intermediates)) = certificates.split_first() else {
            return if self.mandatory {
                Err(Error::of_rustls(
                    rustls::Error::NoCertificatesPresented,
                    Stage::Verify,
                ))
            } else {
                Ok(None)
            };
        };
        let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        if !resumed && self.engine.is_none() {
            return Ok(None);
        }
        paths
            .verify(leaf, intermediates, self.clock.now())
            .map(Some)
            .map_err(|error| Error::of_rustls(error, Stage::Verify))
    }

    /// Asks the engine.
    pub(crate) async fn revocation(
        &self,
        path: Option<Arc<Verified>>,
        deadline: Pin<&mut Sleep>,
    ) -> Result<Verdict, Error> {
        let (Some(engine), Some(path)) = (&self.engine, path) else {
            return Ok(Verdict::Unchecked);
        };
        let now = system_time(self.clock.now());
        match within(deadline, engine.after_handshake(&path.chain, now)).await {
            Some(Ok(verdict)) => Ok(verdict),
            Some(Err(refusal)) => Err(Error::of_refusal(&refusal).with_source(refusal)),
            None => Err(Error::timed_out(
                Stage::Revocation,
                "no answer about revocation in the time for the handshake",
            )),
        }
    }
}

/// The deadline of what starts now. Far away, rather than out of range, for a limit that means none.
pub(crate) fn deadline_after(timeout: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    Instant::now() + timeout.min(FAR)
}

/// What comes of it, or `None` at the deadline. All stages of one connection share its timer, which is armed by the first that waits.
pub(crate) async fn within<T>(
    mut deadline: Pin<&mut Sleep>,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        // Looked at whatever the peer has used up of the task's turn, or one that sends without an end has all the time it wants.
        Poll::Pending => Pin::new(&mut unconstrained(deadline.as_mut()))
            .poll(cx)
            .map(|()| None),
    })
    .await
}

#[cfg(test)]
#[cfg(feature = "aws-lc")]
mod tests {
    use std::{io, sync::Arc};

    use rustls::{ClientConnection, ServerConfig, ServerConnection};

    use super::*;
    use crate::{ClientAuth, ClientTls, Identity, ListenerTls, Provider, TrustAnchors};

    /// Moves bytes both ways until neither end has any.
    fn talk(client: &mut ClientConnection, server: &mut ServerConnection) {
        for _ in 0..10 {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            server.read_tls(&mut io::Cursor::new(bytes)).unwrap();
            server.process_new_packets().unwrap();
            let mut bytes = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut bytes).unwrap();
            }
            client.read_tls(&mut io::Cursor::new(bytes)).unwrap();
            client.process_new_packets().unwrap();
        }
        assert!(!client.is_handshaking() && !server.is_handshaking());
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_counts_though_the_peer_has_used_up_the_turn() {
        let over = tokio::time::sleep_until(Instant::now());
        tokio::time::advance(Duration::from_secs(1)).await;
        // As one does that sends and sends.
        let sending = async {
            for _ in 0..100_000 {
                tokio::task::consume_budget().await;
            }
        };
        assert_eq!(within(pin!(over), sending).await, None);
    }

    /// A reload makes new ticket keys, and shared ones are bound to the policy, so nobody gets this far. If one did, rustls would let
    /// it in: it asks for no certificate when a session is resumed.
    #[test]
    fn a_session_without_the_certificate_that_is_required_is_refused() {
        let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let provider = Provider::aws_lc();
        let key = made.signing_key.serialized_der();
        let identity = Identity::from_der(&provider, [made.cert.der().to_vec()], key).unwrap();
        let anchors = TrustAnchors::from_der([made.cert.der().to_vec()]).unwrap();
        let client =
            crate::dangerous::any_certificate(ClientTls::new(provider.clone(), anchors.clone()))
                .build()
                .unwrap();
        let open = ListenerTls::new(provider).identity(identity);
        let strict = open.clone().client_auth(ClientAuth::Required(anchors));
        let (open, strict) = (open.build(None).unwrap(), strict.build(None).unwrap());
        let mut strict_with_old_keys = ServerConfig::clone(&strict.config);
        strict_with_old_keys.ticketer = Arc::clone(&open.config.ticketer);
        let strict_with_old_keys = Arc::new(strict_with_old_keys);

        for (config, resumed) in [(&open.config, false), (&strict_with_old_keys, true)] {
            let name = "a.test".try_into().unwrap();
            let mut client = ClientConnection::new(Arc::clone(&client.config), name).unwrap();
            let mut server = ServerConnection::new(Arc::clone(config)).unwrap();
            talk(&mut client, &mut server);
            let kind = server.handshake_kind().unwrap();
            assert_eq!(kind == HandshakeKind::Resumed, resumed, "{kind:?}");

            let path = strict.checks.path(&server);
            assert!(path.is_err_and(|error| error.is_certificate()));
            // Who does not ask does not mind.
            assert!(open.checks.path(&server).unwrap().is_none());
        }
    }
}
