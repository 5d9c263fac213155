//! What a listener wants of TLS.

use std::{fmt, sync::Arc, time::Duration};

use bartizan_core::{Clock, ConfigError};
use rustls::{
    ServerConfig,
    server::{NoServerSessionStorage, ServerSessionMemoryCache, danger::ClientCertVerifier},
};
use tokio::sync::Semaphore;

use super::resolver::Names;
use crate::{
    Identity, Provider, TicketKeys, TlsVersion, TrustAnchors,
    options::{Common, SharedClock, refused},
    revocation::Engine,
    settle::Checks,
    verify::{ClientVerifier, NoClientCertificate, Paths, Role},
};

/// Sessions kept in memory, where the provider makes no tickets.
const SESSIONS: usize = 4096;

/// Whether clients have to say who they are.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum ClientAuth {
    /// They are not asked. The default.
    #[default]
    None,
    /// They are asked. One that has no certificate is let in, one that leads to none of these roots is not.
    Optional(TrustAnchors),
    /// They are asked, and have to have one that leads to these roots.
    Required(TrustAnchors),
}

/// The settings of a listener: checked when a [`TlsAcceptor`](crate::TlsAcceptor) is made of them, or they are
/// [reloaded](crate::AcceptorHandle).
#[derive(Clone)]
#[must_use = "settings do nothing by themselves"]
pub struct ListenerTls {
    common: Common,
    names: Names,
    client_auth: ClientAuth,
    max_handshakes: Option<usize>,
    ticket_keys: Option<TicketKeys>,
    #[cfg(feature = "acme")]
    challenges: Option<crate::acme::Challenges>,
}

impl ListenerTls {
    /// The defaults: TLS 1.2 and 1.3 with all suites of `provider`, `h2` and `http/1.1` by ALPN, sessions resumed by tickets, 10 s for
    /// the whole handshake, clients not asked for a certificate. There is no default identity.
    ///
    /// Early data (0-RTT) cannot be turned on: whoever sees it can send it again (RFC 8446 section 8), and only the application knows
    /// which requests may come twice (RFC 8470).
    pub fn new(provider: Provider) -> Self {
        Self {
            common: Common::new(provider),
            names: Names::default(),
            client_auth: ClientAuth::None,
            max_handshakes: None,
            ticket_keys: None,
            #[cfg(feature = "acme")]
            challenges: None,
        }
    }

    /// Shows this identity to clients that ask for no name, or for one that no other identity is for. Without one they are refused.
    ///
    /// Called again, it adds one with another kind of key: the first that the client can verify is shown.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.names.add(None, identity);
        self
    }

    /// Shows this identity to clients that ask for `name`: a host name, or `*.` and one for every name with one label more. An exact
    /// name goes before a wildcard. The certificate has to be valid for it.
    ///
    /// Called again with the same name, it adds one with another kind of key: the first that the client can verify is shown.
    pub fn identity_for(mut self, name: impl Into<String>, identity: Identity) -> Self {
        self.names.add(Some(name.into()), identity);
        self
    }

    /// Removes all identities: the way to replace them in an [update](crate::AcceptorHandle::update).
    pub fn no_identities(mut self) -> Self {
        self.names = Names::default();
        self
    }

    /// Whether clients have to say who they are.
    pub fn client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.client_auth = client_auth;
        self
    }

    /// The application protocols to accept (ALPN, RFC 7301), in order of preference. `h2` and `http/1.1` by default; none turns ALPN
    /// off. A client that offers only others is refused, one that offers none is not.
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.common.alpn = protocols.into_iter().map(|p| p.as_ref().to_vec()).collect();
        self
    }

    /// The lowest and the highest version. 1.2 and 1.3 by default.
    pub fn versions(mut self, lowest: TlsVersion, highest: TlsVersion) -> Self {
        (self.common.minimum, self.common.maximum) = (lowest, highest);
        self
    }

    /// Accepts these cipher suites, by their IANA names, instead of all that the provider has. Of those that both have, the client's
    /// order decides: all of them are good, and it knows what its hardware is fast at.
    pub fn suites<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.common.suites = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Whether sessions are resumed. On by default: it saves a signature, most of what a handshake costs.
    ///
    /// Tickets are encrypted by keys that are in this process alone, and are replaced every 6 h. They are replaced with every reload,
    /// too: a ticket says that its client was let in, by the policy of its time, and must not outlive it. A provider
    /// [of rustls's](Provider::unstable_from_rustls) has no tickets; 4096 sessions are kept in memory then. With
    /// [keys that are given](Self::ticket_keys) all of this is different.
    pub fn resumption(mut self, on: bool) -> Self {
        self.common.resumption = on;
        self
    }

    /// Encrypts tickets by these keys, which other processes have as well: for several of them behind one balancer. Off by default:
    /// the keys are this process's own.
    pub fn ticket_keys(mut self, keys: TicketKeys) -> Self {
        self.ticket_keys = Some(keys);
        self
    }

    /// How long everything may take, from the first byte of the client to what is asked about revocation. 10 s by default: it is two
    /// round trips and some milliseconds of work, so that one which takes longer will not end at all.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.common.handshake_timeout = timeout;
        self
    }

    /// At most so many handshakes at a time; others wait, within their time. No limit by default.
    ///
    /// A place is taken when the client's first message has arrived, so that those who stay silent take none. Those who fall silent
    /// after it hold theirs until their time is over: with few places and much time, some of them stop everybody. What a limit
    /// is good for is to leave processor time to the connections that are there.
    pub fn max_handshakes(mut self, limit: usize) -> Self {
        self.max_handshakes = Some(limit);
        self
    }

    /// Answers these challenges of a CA (TLS-ALPN-01, RFC 8737), to clients that offer nothing but `acme-tls/1`.
    ///
    /// Such a connection ends with its handshake, in an error that [says so](crate::Error::is_acme_challenge). A listener that answers challenges
    /// may have no identity yet: others are refused until there is one.
    #[cfg(feature = "acme")]
    pub fn acme(mut self, challenges: crate::acme::Challenges) -> Self {
        self.challenges = Some(challenges);
        self
    }

    /// Tells the time by which certificates are valid. The system's by default.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.common.clock = SharedClock::new(clock);
        self
    }

    /// Asks about revocation of clients' certificates. Off by default.
    pub fn revocation(mut self, engine: impl Engine + 'static) -> Self {
        self.common.engine = Some(Arc::new(engine));
        self
    }

    pub(crate) fn build(
        &self,
        before: Option<&ListenerProfile>,
    ) -> Result<ListenerProfile, ConfigError> {
        let crypto = self.common.crypto()?;
        let versions = self.common.versions()?;
        let algorithms = self.common.provider.algorithms();
        let checks = |paths, mandatory| Checks {
            paths,
            mandatory,
            engine: self.common.engine.clone(),
            clock: self.common.clock.clone(),
        };
        let ask = |anchors: &TrustAnchors, mandatory| {
            let paths = Arc::new(Paths::new(anchors.store(), algorithms, Role::Client));
            let verifier =
                ClientVerifier::new(Arc::clone(&paths), mandatory, self.common.engine.clone());
            let verifier: Arc<dyn ClientCertVerifier> = Arc::new(verifier);
            (verifier, checks(Some(paths), mandatory))
        };
        let (verifier, checks) = match &self.client_auth {
            ClientAuth::None => (
                Arc::new(NoClientCertificate) as Arc<dyn ClientCertVerifier>,
                checks(None, false),
            ),
            ClientAuth::Optional(anchors) => ask(anchors, false),
            ClientAuth::Required(anchors) => ask(anchors, true),
        };

        let resolver = Arc::new(self.names.resolver(self.may_have_none())?);
        let server = |verifier| -> Result<ServerConfig, ConfigError> {
            let clock = Arc::new(self.common.clock.clone());
            Ok(
                ServerConfig::builder_with_details(Arc::clone(&crypto), clock)
                    .with_protocol_versions(&versions)
                    .map_err(refused)?
                    .with_client_cert_verifier(verifier)
                    .with_cert_resolver(Arc::clone(&resolver) as _),
            )
        };
        let mut config = server(verifier)?;
        config.alpn_protocols = self.common.alpn()?;
        // What is built here, and by nobody else, is what a reload throws away: that is how tickets end with their policy.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        match (&self.ticket_keys, self.common.provider.ticketer()) {
            _ if !self.common.resumption => config.send_tls13_tickets = 0,
            (Some(keys), _) => {
                let (crypto, clock) = (self.common.provider.crypto(), &self.common.clock);
                config.ticketer = keys.tickets(crypto, self.policy(), clock.clone())?;
            }
            (None, Some(ticketer)) => {
                config.ticketer = ticketer().map_err(|error| {
                    ConfigError::new("resumption", "on", "a provider that can make ticket keys")
                        .with_source(error)
                })?;
            }
            (None, None) => config.session_storage = ServerSessionMemoryCache::new(SESSIONS),
        }
        Ok(ListenerProfile {
            #[cfg(feature = "acme")]
            challenge: match &self.challenges {
                None => None,
                // A CA has no certificate of a client.
                Some(challenges) => {
                    let config = server(Arc::new(NoClientCertificate))?;
                    Some(Arc::new(challenges.configure(config)))
                }
            },
            config: Arc::new(config),
            timeout: self.common.checked_timeout()?,
            checks,
            limit: self.limit(before)?,
        })
    }

    /// By what a client was let in, told apart from all else by which it could have been: a ticket that others can read is bound to it.
    fn policy(&self) -> [u8; 32] {
        match &self.client_auth {
            ClientAuth::None => [0; 32],
            ClientAuth::Optional(anchors) => anchors.digest(b"optional"),
            ClientAuth::Required(anchors) => anchors.digest(b"required"),
        }
    }

    /// Whether there may be no identity: the first is on its way.
    const fn may_have_none(&self) -> bool {
        #[cfg(feature = "acme")]
        return self.challenges.is_some();
        #[cfg(not(feature = "acme"))]
        false
    }

    /// The same places as before if there are as many, so that a reload lets nobody jump the queue.
    fn limit(&self, before: Option<&ListenerProfile>) -> Result<Option<Limit>, ConfigError> {
        let Some(places) = self.max_handshakes else {
            return Ok(None);
        };
        if !(1..=Semaphore::MAX_PERMITS).contains(&places) {
            return Err(ConfigError::new(
                "max_handshakes",
                places,
                format!("1 to {}", Semaphore::MAX_PERMITS),
            ));
        }
        let same = before
            .and_then(|before| before.limit.as_ref())
            .filter(|limit| limit.places == places);
        Ok(Some(match same {
            Some(limit) => limit.clone(),
            None => Limit {
                places,
                free: Arc::new(Semaphore::new(places)),
            },
        }))
    }
}

impl fmt::Debug for ListenerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerTls")
            .field("identities", &self.names)
            .field("client_auth", &self.client_auth)
            .finish_non_exhaustive()
    }
}

/// What is built of [`ListenerTls`].
pub(crate) struct ListenerProfile {
    pub(crate) config: Arc<ServerConfig>,
    /// For a CA that validates a challenge.
    #[cfg(feature = "acme")]
    pub(crate) challenge: Option<Arc<ServerConfig>>,
    pub(crate) timeout: Duration,
    pub(crate) checks: Checks,
    pub(crate) limit: Option<Limit>,
}

#[derive(Clone)]
pub(crate) struct Limit {
    places: usize,
    pub(crate) free: Arc<Semaphore>,
}
