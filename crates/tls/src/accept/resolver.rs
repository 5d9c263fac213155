//! Which identity a client is shown.

use std::{borrow::Cow, collections::HashMap, fmt, sync::Arc};

use bartizan_core::ConfigError;
use rustls::{
    SignatureScheme,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::DnsName;

use crate::Identity;

/// Identities by the name that is asked for, as they were given.
#[derive(Clone, Default)]
pub(super) struct Names(Vec<(Option<String>, Identity)>);

impl Names {
    pub(super) fn add(&mut self, name: Option<String>, identity: Identity) {
        self.0.push((name, identity));
    }

    pub(super) fn resolver(&self, may_be_none: bool) -> Result<Resolver, ConfigError> {
        if self.0.is_empty() && !may_be_none {
            return Err(ConfigError::new(
                "identity",
                "none",
                "at least one identity to show",
            ));
        }
        let mut resolver = Resolver::default();
        for (name, identity) in &self.0 {
            let keys = match name {
                None => &mut resolver.default,
                Some(name) => resolver.keys_for(name, identity)?,
            };
            keys.push(identity.clone());
        }
        Ok(resolver)
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(
                self.0
                    .iter()
                    .map(|(name, identity)| (name.as_deref().unwrap_or("any"), identity)),
            )
            .finish()
    }
}

/// The same, ready to be looked up.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    exact: HashMap<String, Vec<Identity>>,
    /// By what follows the first label.
    wildcard: HashMap<String, Vec<Identity>>,
    default: Vec<Identity>,
}

impl Resolver {
    fn keys_for(
        &mut self,
        name: &str,
        identity: &Identity,
    ) -> Result<&mut Vec<Identity>, ConfigError> {
        let lower = name.to_ascii_lowercase();
        let (parent, example) = match lower.strip_prefix("*.") {
            Some(parent) => (Some(parent), Cow::Owned(format!("any.{parent}"))),
            None => (None, Cow::Borrowed(lower.as_str())),
        };
        if let Err(error) = DnsName::try_from(&*example) {
            return Err(ConfigError::new(
                "identity_for",
                name,
                "a host name, or `*.` and a host name",
            )
            .with_source(error));
        }
        // Found here, and not by the first client that asks.
        if !identity.covers(&example) {
            return Err(ConfigError::new(
                "identity_for",
                name,
                "a name that the certificate is valid for",
            ));
        }
        Ok(match parent {
            Some(parent) => self.wildcard.entry(parent.to_owned()).or_default(),
            None => self.exact.entry(lower).or_default(),
        })
    }

    /// The first key of the best name that the client can verify.
    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let named = name.and_then(|name| {
            let name = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                Cow::Owned(name.to_ascii_lowercase())
            } else {
                Cow::Borrowed(name)
            };
            self.exact.get(&*name).or_else(|| {
                let (_, parent) = name.split_once('.')?;
                self.wildcard.get(parent)
            })
        });
        let keys = named.unwrap_or(&self.default);
        let mut servable = keys.iter().filter_map(Identity::servable);
        let first = servable.next()?;
        if first.key.choose_scheme(schemes).is_some() {
            return Some(first);
        }
        // With no key at all the client would hear `access_denied`; with one that does not fit, the `handshake_failure` that it is.
        servable
            .find(|key| key.key.choose_scheme(schemes).is_some())
            .or(Some(first))
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), hello.signature_schemes())
    }
}
