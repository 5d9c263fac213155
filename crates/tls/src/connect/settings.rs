//! What a client wants of TLS.

use std::{fmt, sync::Arc, time::Duration};

use bartizan_core::{Clock, ConfigError};
use rustls::{ClientConfig, client::Resumption, sign::CertifiedKey};
use rustls_pki_types::ServerName;

use crate::{
    Identity, Provider, TlsVersion, TrustAnchors, Verification,
    options::{Common, SharedClock, refused},
    revocation::Engine,
    settle::Checks,
    verify::{NoVerification, Paths, Role, ServerVerifier},
};

/// Servers whose sessions are kept. A session takes some kilobytes.
const SESSIONS: usize = 256;

/// The settings of a client: checked when a [`TlsConnectorLayer`](crate::TlsConnectorLayer) is made of them, or they are
/// [reloaded](crate::ConnectorHandle).
#[derive(Clone)]
#[must_use = "settings do nothing by themselves"]
pub struct ClientTls {
    common: Common,
    anchors: TrustAnchors,
    identity: Option<Identity>,
    server_name: Option<String>,
    sni: bool,
    verification: Verification,
}

impl ClientTls {
    /// The defaults: TLS 1.2 and 1.3 with all suites of `provider`, `h2` and `http/1.1` by ALPN, sessions resumed, 10 s for the
    /// handshake, servers verified against `anchors` and by name, revocation not looked at.
    pub fn new(provider: Provider, anchors: TrustAnchors) -> Self {
        Self {
            common: Common::new(provider),
            anchors,
            identity: None,
            server_name: None,
            sni: true,
            verification: Verification::Full,
        }
    }

    /// Trusts these roots instead.
    pub fn trust(mut self, anchors: TrustAnchors) -> Self {
        self.anchors = anchors;
        self
    }

    /// Shows this identity to servers that ask for one (mutual TLS).
    ///
    /// Over TLS 1.3 a server looks at it after the client's handshake is done. One that refuses it is noticed at the first read.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Shows no identity. The default.
    pub fn no_identity(mut self) -> Self {
        self.identity = None;
        self
    }

    /// Asks for this name, and verifies it, whatever the target is called: for a server that is reached by an address its
    /// certificate does not have.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Whether the name is sent in clear (SNI). On by default; most servers need it. For an IP address it never is (RFC 6066 section 3).
    pub fn sni(mut self, on: bool) -> Self {
        self.sni = on;
        self
    }

    /// The application protocols to offer (ALPN, RFC 7301), in order of preference. `h2` and `http/1.1` by default; none turns ALPN
    /// off. A server that speaks none of them refuses, or goes on without.
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.common.alpn = protocols.into_iter().map(|p| p.as_ref().to_vec()).collect();
        self
    }

    /// The lowest and the highest version. 1.2 and 1.3 by default.
    pub fn versions(mut self, lowest: TlsVersion, highest: TlsVersion) -> Self {
        (self.common.minimum, self.common.maximum) = (lowest, highest);
        self
    }

    /// Offers these cipher suites, by their IANA names and in this order, instead of all that the provider has.
    pub fn suites<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.common.suites = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Whether sessions are resumed. On by default: it saves the server a signature and the client the verification of one, and a
    /// round trip over TLS 1.2.
    ///
    /// Sessions of 256 servers are kept in memory. They end with these settings: a reload starts without any, so that no session
    /// outlives the roots it was verified with.
    pub fn resumption(mut self, on: bool) -> Self {
        self.common.resumption = on;
        self
    }

    /// How long the handshake may take, with what is asked about revocation after it. 10 s by default: it is two round trips and
    /// some milliseconds of work, so that one which takes longer will not end at all.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.common.handshake_timeout = timeout;
        self
    }

    /// Tells the time by which certificates are valid. The system's by default.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.common.clock = SharedClock::new(clock);
        self
    }

    /// Asks about revocation. Off by default: it costs requests to others, and no policy suits everybody.
    pub fn revocation(mut self, engine: impl Engine + 'static) -> Self {
        self.common.engine = Some(Arc::new(engine));
        self
    }

    /// Only for `dangerous`, which says what it does.
    pub(crate) fn verification(mut self, verification: Verification) -> Self {
        self.verification = verification;
        self
    }

    pub(crate) fn build(&self) -> Result<ClientProfile, ConfigError> {
        let crypto = self.common.crypto()?;
        let versions = self.common.versions()?;
        let algorithms = self.common.provider.algorithms();
        let server_name = match &self.server_name {
            Some(name) => Some(ServerName::try_from(name.clone()).map_err(|error| {
                ConfigError::new("server_name", name, "a host name or an IP address")
                    .with_source(error)
            })?),
            None => None,
        };

        let builder =
            ClientConfig::builder_with_details(crypto, Arc::new(self.common.clock.clone()))
                .with_protocol_versions(&versions)
                .map_err(refused)?
                .dangerous();
        let (builder, paths, engine) = match self.verification {
            Verification::Nothing => {
                tracing::warn!("TLS: certificates of servers are not verified");
                let verifier = Arc::new(NoVerification(algorithms));
                (
                    builder.with_custom_certificate_verifier(verifier),
                    None,
                    None,
                )
            }
            verification => {
                let check_name = verification == Verification::Full;
                if !check_name {
                    tracing::warn!("TLS: names in certificates of servers are not verified");
                }
                let paths = Arc::new(Paths::new(self.anchors.store(), algorithms, Role::Server));
                let verifier = Arc::new(ServerVerifier {
                    paths: Arc::clone(&paths),
                    check_name,
                    engine: self.common.engine.clone(),
                });
                (
                    builder.with_custom_certificate_verifier(verifier),
                    Some(paths),
                    self.common.engine.clone(),
                )
            }
        };
        let mut config = match &self.identity {
            Some(identity) => {
                builder.with_client_cert_resolver(Arc::new(ShowIdentity(identity.clone())))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.common.alpn()?;
        config.enable_sni = self.sni;
        config.resumption = if self.common.resumption {
            Resumption::in_memory_sessions(SESSIONS)
        } else {
            Resumption::disabled()
        };
        Ok(ClientProfile {
            config: Arc::new(config),
            server_name,
            verification: self.verification,
            timeout: self.common.checked_timeout()?,
            checks: Checks {
                paths,
                mandatory: self.verification != Verification::Nothing,
                engine,
                clock: self.common.clock.clone(),
            },
        })
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("anchors", &self.anchors)
            .field("identity", &self.identity)
            .field("server_name", &self.server_name)
            .field("verification", &self.verification)
            .finish_non_exhaustive()
    }
}

/// What is built of [`ClientTls`].
pub(crate) struct ClientProfile {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) server_name: Option<ServerName<'static>>,
    pub(crate) verification: Verification,
    pub(crate) timeout: Duration,
    pub(crate) checks: Checks,
}

/// Shows the one identity there is, whatever roots the server names: a server that refuses it says so, one that gets none may not.
struct ShowIdentity(Identity);

impl rustls::client::ResolvesClientCert for ShowIdentity {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for ShowIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ShowIdentity").field(&self.0).finish()
    }
}
