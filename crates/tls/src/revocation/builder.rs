//! The settings.

use std::{fmt, sync::Arc, time::Duration};

use bartizan_core::{BoxError, ConfigError};
use bytes::Bytes;
use tower_service::Service;

use super::{
    CertIdHash, CrlIndex, FetchRequest, Method, Revocation, cache::Cache, engine::Inner,
    fetch::Fetcher,
};
use crate::Provider;

/// Which certificates of a path are checked. The trust anchor never is: it is trusted because you say so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// The peer's own and all between it and the trust anchor. The default: an intermediate CA that was revoked vouches for nobody.
    #[default]
    Chain,
    /// The peer's own.
    Leaf,
}

/// What becomes of a peer about whom it cannot be found out whether its certificate was revoked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnUnavailable {
    /// It is refused. The default: whoever can keep the answer from arriving could otherwise undo the revocation.
    #[default]
    Reject,
    /// It is let in, with [`Verdict::Unavailable`](super::Verdict::Unavailable) and an event.
    Allow,
}

/// Collects the settings of a [`Revocation`].
#[must_use = "it is `build` that makes the engine"]
pub struct RevocationBuilder {
    provider: Provider,
    peer_staples: bool,
    methods: Option<Vec<Method>>,
    pub(super) scope: Scope,
    pub(super) on_unavailable: OnUnavailable,
    must_staple: bool,
    crls: Option<CrlIndex>,
    fetcher: Option<Box<dyn FnOnce(Duration) -> Fetcher + Send + Sync>>,
    fetch_timeout: Duration,
    max_crl_size: usize,
    cache_entries: usize,
    cache_validity: Duration,
    failure_validity: Duration,
    nonce: bool,
    cert_id_hash: CertIdHash,
}

/// Staples are small, and come with every full handshake: room for many peers.
const STAPLES: usize = 10_000;

impl RevocationBuilder {
    pub(super) fn new(provider: &Provider, peer_staples: bool) -> Self {
        Self {
            provider: provider.clone(),
            peer_staples,
            methods: None,
            scope: Scope::default(),
            on_unavailable: OnUnavailable::default(),
            must_staple: true,
            crls: None,
            fetcher: None,
            fetch_timeout: Duration::from_secs(5),
            max_crl_size: 32 << 20,
            cache_entries: 50,
            cache_validity: Duration::from_secs(15 * 60),
            failure_validity: Duration::from_secs(60),
            nonce: false,
            cert_id_hash: CertIdHash::default(),
        }
    }

    /// Sets how it is found out, in the order in which it is tried. Default: all that are possible, in the order staple, list, responder:
    /// what is there comes first, and a list does not tell anybody whom you talk to.
    ///
    /// What is known already is asked first, whatever the order.
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = Some(methods.into_iter().collect());
        self
    }

    /// Sets which certificates are checked. Default: all but the trust anchor.
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Sets what becomes of a peer about whom nothing can be found out. Default: it is refused.
    pub fn on_unavailable(mut self, on_unavailable: OnUnavailable) -> Self {
        self.on_unavailable = on_unavailable;
        self
    }

    /// Sets whether a server whose certificate promises a staple (RFC 7633) has to send one that counts, in every full handshake, whatever
    /// the methods are. Default: it has to, as whoever stole the key leaves it out. It does not concern clients: those cannot staple.
    pub fn must_staple(mut self, must_staple: bool) -> Self {
        self.must_staple = must_staple;
        self
    }

    /// Uses the lists of `index`, and those that are added to it later. Default: none.
    ///
    /// They count for as long as they say: to have newer ones is up to whoever adds them.
    pub fn crls(mut self, index: CrlIndex) -> Self {
        self.crls = Some(index);
        self
    }

    /// Fetches what is missing with this service. Default: nothing is fetched.
    ///
    /// It is cloned for each fetch. Wrap it in what it needs: retries, a proxy, a limit.
    pub fn fetcher<S>(mut self, service: S) -> Self
    where
        S: Service<FetchRequest, Response = Bytes> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
    {
        self.fetcher = Some(Box::new(move |timeout| Fetcher::new(service, timeout)));
        self
    }

    /// Sets how long one fetch may take. Default: 5 s, as somebody waits for it.
    pub fn fetch_timeout(mut self, timeout: Duration) -> Self {
        self.fetch_timeout = timeout;
        self
    }

    /// Sets how large a list may be that is fetched, in bytes. Default: 32 MiB, which is more than any in use. So many times the number of
    /// lists in the [cache](Self::cache) is what CAs can make this process hold.
    pub fn max_crl_size(mut self, max_size: usize) -> Self {
        self.max_crl_size = max_size;
        self
    }

    /// Sets how many lists, and how many answers of responders, are kept, and how long none is fetched anew. Default: 50 of each, for
    /// 15 minutes, as in Ballerina: a revocation is noticed after at most so long.
    ///
    /// What is older counts only while nothing newer can be had, and never longer than its issuer says.
    pub fn cache(mut self, entries: usize, validity: Duration) -> Self {
        self.cache_entries = entries;
        self.cache_validity = validity;
        self
    }

    /// Sets for how long something that could not be fetched is not tried again. Default: 1 minute: a responder that is down is not
    /// asked for every connection.
    pub fn failure_validity(mut self, validity: Duration) -> Self {
        self.failure_validity = validity;
        self
    }

    /// Sets whether a request carries a nonce, which the answer has to repeat if it has one at all (RFC 8954). Default: off. Most
    /// responders answer from a store and ignore it, and the times in an answer bound how old one can be played back.
    pub fn nonce(mut self, nonce: bool) -> Self {
        self.nonce = nonce;
        self
    }

    /// Sets by which hash a responder is told about whom it is asked. Default: SHA-1, which all of them know.
    pub fn cert_id_hash(mut self, hash: CertIdHash) -> Self {
        self.cert_id_hash = hash;
        self
    }

    /// The engine.
    ///
    /// # Errors
    ///
    /// If there is no way to find anything out: a method without what it needs, or none. If a limit or a time is zero.
    pub fn build(self) -> Result<Revocation, ConfigError> {
        for (field, is_zero) in [
            ("fetch_timeout", self.fetch_timeout.is_zero()),
            ("max_crl_size", self.max_crl_size == 0),
            ("cache.entries", self.cache_entries == 0),
            ("cache.validity", self.cache_validity.is_zero()),
            ("failure_validity", self.failure_validity.is_zero()),
        ] {
            if is_zero {
                return Err(ConfigError::new(field, "0", "more than zero"));
            }
        }
        let methods = self.usable_methods()?;
        let (entries, validity, of_failure) = (
            self.cache_entries,
            self.cache_validity,
            self.failure_validity,
        );
        Ok(Revocation::of(Inner {
            crypto: Arc::clone(self.provider.crypto()),
            methods,
            scope: self.scope,
            on_unavailable: self.on_unavailable,
            peer_staples: self.peer_staples,
            must_staple: self.must_staple,
            max_crl_size: self.max_crl_size,
            nonce: self.nonce,
            cert_id_hash: self.cert_id_hash,
            lists: self.crls,
            fetcher: self.fetcher.map(|fetcher| fetcher(self.fetch_timeout)),
            fetched_lists: Cache::new(entries, validity, of_failure),
            answers: Cache::new(entries, validity, of_failure),
            staples: Cache::new(STAPLES, validity, of_failure),
        }))
    }

    fn usable_methods(&self) -> Result<Vec<Method>, ConfigError> {
        let has_fetcher = self.fetcher.is_some();
        let missing = |method: &Method| match method {
            Method::Staple if !self.peer_staples => Some("clients cannot staple: another method"),
            Method::Crl if !has_fetcher && self.crls.is_none() => {
                Some("`crls` or a `fetcher` for that method")
            }
            Method::Ocsp if !has_fetcher => Some("a `fetcher` for that method"),
            Method::Staple | Method::Crl | Method::Ocsp => None,
        };
        if let Some(methods) = &self.methods {
            if let Some((method, missing)) = methods
                .iter()
                .find_map(|method| Some((method, missing(method)?)))
            {
                return Err(ConfigError::new("methods", format!("{method:?}"), missing));
            }
        }
        let all = [Method::Staple, Method::Crl, Method::Ocsp];
        let usable = self.methods.clone().unwrap_or_else(|| {
            let usable = all.into_iter().filter(|method| missing(method).is_none());
            usable.collect()
        });
        if usable.is_empty() {
            return Err(ConfigError::new(
                "methods",
                "none",
                "`crls`, a `fetcher`, or servers that staple: there is no way to find anything out",
            ));
        }
        Ok(usable)
    }
}

impl fmt::Debug for RevocationBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationBuilder")
            .field("methods", &self.methods)
            .field("scope", &self.scope)
            .field("on_unavailable", &self.on_unavailable)
            .finish_non_exhaustive()
    }
}
