//! What is wanted of a CA.

use std::{fmt, path::PathBuf, sync::Arc};

use bartizan_core::{Body, BoxError, Clock, ConfigError, SystemClock};
use http::{Request, Response, Uri};
use instant_acme::ExternalAccountKey;
use rustls_pki_types::DnsName;
use tower_service::Service;

use super::{Acme, http::Client};
use crate::Provider;

/// How the CA sees that a name is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Challenge {
    /// By a connection to port 443, with a certificate made for it (TLS-ALPN-01, RFC 8737). The default: there is a listener anyway. What
    /// ends TLS on the way, such as a CDN, makes it fail.
    #[default]
    TlsAlpn01,
    /// By a request to port 80 (HTTP-01, RFC 8555 section 8.3), which an [`Http01Layer`](super::Http01Layer) answers.
    Http01,
}

/// Collects the settings of an [`Acme`].
#[must_use = "it is `build` that makes it"]
pub struct AcmeBuilder {
    pub(super) provider: Provider,
    pub(super) directory: String,
    pub(super) folder: PathBuf,
    pub(super) names: Vec<String>,
    pub(super) contacts: Vec<String>,
    pub(super) agreed: bool,
    pub(super) external: Option<(String, Vec<u8>)>,
    pub(super) challenge: Challenge,
    pub(super) client: Option<Client>,
    pub(super) clock: Arc<dyn Clock>,
}

impl AcmeBuilder {
    pub(super) fn new(provider: &Provider, directory: String, folder: PathBuf) -> Self {
        Self {
            provider: provider.clone(),
            directory,
            folder,
            names: Vec::new(),
            contacts: Vec::new(),
            agreed: false,
            external: None,
            challenge: Challenge::default(),
            client: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// Adds a host name that the certificate is for. There has to be one. A wildcard cannot be validated by the challenges there are.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        let name = name.into().to_ascii_lowercase();
        if !self.names.contains(&name) {
            self.names.push(name);
        }
        self
    }

    /// Adds an address for the CA to write to, such as `mailto:ops@shop.test`.
    pub fn contact(mut self, contact: impl Into<String>) -> Self {
        self.contacts.push(contact.into());
        self
    }

    /// Agrees to the CA's terms of service. Without it there is no account.
    pub fn agree_to_terms(mut self) -> Self {
        self.agreed = true;
        self
    }

    /// Binds the account to one that there is already with the CA (RFC 8555 section 7.3.4), by the id of its key and the key itself: raw
    /// bytes, which most CAs show in base64url.
    pub fn external_account(mut self, key_id: impl Into<String>, key: impl Into<Vec<u8>>) -> Self {
        self.external = Some((key_id.into(), key.into()));
        self
    }

    /// Sets how the CA sees that the names are ours. Default: [`Challenge::TlsAlpn01`].
    pub fn challenge(mut self, challenge: Challenge) -> Self {
        self.challenge = challenge;
        self
    }

    /// Sets the service that speaks HTTP to the CA, such as an [`HttpsClient`](super::HttpsClient) or any other client's stack. There is no
    /// default, as there is none for whom to trust.
    pub fn client<S, B>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: http_body::Body + Send,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        self.client = Some(Client::new(service));
        self
    }

    /// Sets the clock. Default: the machine's.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Checks the settings. Nothing is asked yet, and nothing read.
    ///
    /// # Errors
    ///
    /// If there is no name, or one that is no host name; if the directory is no `https` address; if there is no client; if the terms were not
    /// agreed to.
    pub fn build(self) -> Result<Acme, ConfigError> {
        let is_https = |uri: &Uri| uri.scheme_str() == Some("https") && uri.host().is_some();
        if !self.directory.parse().is_ok_and(|uri| is_https(&uri)) {
            let expected = "an https:// address";
            return Err(ConfigError::new("directory", &self.directory, expected));
        }
        if self.names.is_empty() {
            return Err(ConfigError::new("name", "none", "at least one"));
        }
        for name in &self.names {
            // Of these a digit at the end is an address, which needs another kind of identifier.
            let is_address = name.parse::<std::net::Ipv4Addr>().is_ok();
            if is_address || DnsName::try_from(name.as_str()).is_err() {
                let expected = "a host name, without a wildcard";
                return Err(ConfigError::new("name", name, expected));
            }
        }
        if !self.agreed {
            let expected = "`agree_to_terms`, after reading them";
            return Err(ConfigError::new("terms", "not agreed to", expected));
        }
        let client = self.client.clone().ok_or_else(|| {
            ConfigError::new("client", "none", "a service that speaks HTTP to the CA")
        })?;
        Ok(Acme::new(self, client))
    }

    pub(super) fn external_key(&self) -> Option<ExternalAccountKey> {
        let (id, key) = self.external.as_ref()?;
        Some(ExternalAccountKey::new(id.clone(), key))
    }
}

impl fmt::Debug for AcmeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcmeBuilder")
            .field("directory", &self.directory)
            .field("folder", &self.folder)
            .field("names", &self.names)
            .field("challenge", &self.challenge)
            .finish_non_exhaustive()
    }
}
