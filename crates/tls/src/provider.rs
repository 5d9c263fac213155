//! The cryptography that everything here is built with.

use std::{fmt, sync::Arc};

use rustls::{
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms},
    server::ProducesTickets,
};

/// The cryptography: cipher suites, key exchange, signatures, randomness.
///
/// It is passed in wherever it is needed. The process-wide default of rustls is neither read nor set: a library that depends on it
/// works or panics by what else is in the program.
///
/// ```
/// # #[cfg(feature = "aws-lc")] {
/// use bartizan_tls::Provider;
///
/// let provider = Provider::aws_lc();
/// assert_eq!(provider.groups().next(), Some("X25519MLKEM768"));
/// assert!(provider.suites().any(|suite| suite == "TLS_AES_128_GCM_SHA256"));
/// # }
/// ```
#[derive(Clone)]
pub struct Provider {
    crypto: Arc<CryptoProvider>,
    ticketer: Option<MakeTicketer>,
}

type MakeTicketer = fn() -> Result<Arc<dyn ProducesTickets>, rustls::Error>;

impl Provider {
    /// [aws-lc-rs](https://docs.rs/aws-lc-rs): the one to take unless it does not build for your target. Fast, and the post-quantum
    /// hybrid X25519MLKEM768 comes first in the key exchange.
    #[cfg(feature = "aws-lc")]
    pub fn aws_lc() -> Self {
        Self {
            crypto: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            ticketer: Some(rustls::crypto::aws_lc_rs::Ticketer::new),
        }
    }

    /// [ring](https://docs.rs/ring), without post-quantum key exchange.
    #[cfg(feature = "ring")]
    pub fn ring() -> Self {
        Self {
            crypto: Arc::new(rustls::crypto::ring::default_provider()),
            ticketer: Some(rustls::crypto::ring::Ticketer::new),
        }
    }

    /// Any provider of rustls 0.23. Unstable: it goes with rustls's versions, not with ours.
    ///
    /// A listener on it keeps sessions in memory instead of in tickets, as rustls has no way to ask a provider for those, unless it is
    /// given [keys](crate::TicketKeys).
    pub fn unstable_from_rustls(crypto: impl Into<Arc<CryptoProvider>>) -> Self {
        Self {
            crypto: crypto.into(),
            ticketer: None,
        }
    }

    /// The names of the cipher suites it has, in order of preference, as IANA registers them.
    pub fn suites(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.crypto
            .cipher_suites
            .iter()
            .filter_map(|suite| suite_name(suite.suite()))
    }

    /// The names of the key exchange groups it has, in order of preference.
    pub fn groups(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.crypto
            .kx_groups
            .iter()
            .filter_map(|group| group.name().as_str())
    }

    /// The algorithms that verify signatures on certificates, lists of them, and OCSP responses.
    pub(crate) fn algorithms(&self) -> WebPkiSupportedAlgorithms {
        self.crypto.signature_verification_algorithms
    }

    pub(crate) const fn crypto(&self) -> &Arc<CryptoProvider> {
        &self.crypto
    }

    /// A random number from -1 to 1, to spread out what a fleet does.
    pub(crate) fn jitter(&self) -> f64 {
        let mut random = [0; 4];
        // Without randomness a fleet acts at once, and that is all.
        let _ = self.crypto.secure_random.fill(&mut random);
        f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX) * 2.0 - 1.0
    }

    pub(crate) const fn ticketer(&self) -> Option<MakeTicketer> {
        self.ticketer
    }
}

/// The name of a suite in IANA's registry. rustls writes those of TLS 1.3 differently.
pub(crate) fn suite_name(suite: rustls::CipherSuite) -> Option<&'static str> {
    use rustls::CipherSuite as S;
    match suite {
        S::TLS13_AES_128_GCM_SHA256 => Some("TLS_AES_128_GCM_SHA256"),
        S::TLS13_AES_256_GCM_SHA384 => Some("TLS_AES_256_GCM_SHA384"),
        S::TLS13_CHACHA20_POLY1305_SHA256 => Some("TLS_CHACHA20_POLY1305_SHA256"),
        S::TLS13_AES_128_CCM_SHA256 => Some("TLS_AES_128_CCM_SHA256"),
        S::TLS13_AES_128_CCM_8_SHA256 => Some("TLS_AES_128_CCM_8_SHA256"),
        other => other.as_str(),
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("suites", &self.suites().collect::<Vec<_>>())
            .field("groups", &self.groups().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
