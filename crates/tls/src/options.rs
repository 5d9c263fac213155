//! What the settings of both ends have in common.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bartizan_core::{Clock, ConfigError, SystemClock};
use rustls::{
    SupportedProtocolVersion, crypto::CryptoProvider, time_provider::TimeProvider, version,
};
use rustls_pki_types::UnixTime;

use crate::{Provider, provider::suite_name, revocation::Engine};

/// A version of TLS. There is nothing below 1.2 (RFC 8996).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1_2 => "TLSv1.2",
            Self::V1_3 => "TLSv1.3",
        })
    }
}

/// The settings that both ends have.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) provider: Provider,
    pub(crate) minimum: TlsVersion,
    pub(crate) maximum: TlsVersion,
    pub(crate) suites: Option<Vec<String>>,
    pub(crate) alpn: Vec<Vec<u8>>,
    pub(crate) resumption: bool,
    pub(crate) handshake_timeout: Duration,
    pub(crate) clock: SharedClock,
    pub(crate) engine: Option<Arc<dyn Engine>>,
}

impl Common {
    pub(crate) fn new(provider: Provider) -> Self {
        Self {
            provider,
            minimum: TlsVersion::V1_2,
            maximum: TlsVersion::V1_3,
            suites: None,
            alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            resumption: true,
            handshake_timeout: Duration::from_secs(10),
            clock: SharedClock::new(SystemClock),
            engine: None,
        }
    }

    pub(crate) fn versions(&self) -> Result<Vec<&'static SupportedProtocolVersion>, ConfigError> {
        if self.minimum > self.maximum {
            return Err(ConfigError::new(
                "versions",
                format!("{} to {}", self.minimum, self.maximum),
                "the lowest version first",
            ));
        }
        Ok([
            (TlsVersion::V1_3, &version::TLS13),
            (TlsVersion::V1_2, &version::TLS12),
        ]
        .into_iter()
        .filter(|(version, _)| (self.minimum..=self.maximum).contains(version))
        .map(|(_, version)| version)
        .collect())
    }

    /// The provider, with the suites that were named, in that order.
    pub(crate) fn crypto(&self) -> Result<Arc<CryptoProvider>, ConfigError> {
        let crypto = self.provider.crypto();
        let Some(names) = &self.suites else {
            return Ok(Arc::clone(crypto));
        };
        let cipher_suites = names
            .iter()
            .map(|name| {
                crypto
                    .cipher_suites
                    .iter()
                    .find(|suite| suite_name(suite.suite()) == Some(name))
                    .copied()
                    .ok_or_else(|| {
                        let known = self.provider.suites().collect::<Vec<_>>().join(", ");
                        ConfigError::new("suites", name, format!("one of {known}"))
                    })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Arc::new(CryptoProvider {
            cipher_suites,
            ..CryptoProvider::clone(crypto)
        }))
    }

    pub(crate) fn alpn(&self) -> Result<Vec<Vec<u8>>, ConfigError> {
        for protocol in &self.alpn {
            if !is_protocol(protocol) {
                return Err(ConfigError::new(
                    "alpn",
                    String::from_utf8_lossy(protocol),
                    "protocol names of 1 to 255 bytes, such as `h2`",
                ));
            }
        }
        Ok(self.alpn.clone())
    }

    pub(crate) fn checked_timeout(&self) -> Result<Duration, ConfigError> {
        if self.handshake_timeout.is_zero() {
            return Err(ConfigError::new("handshake_timeout", "0s", "more than 0 s"));
        }
        Ok(self.handshake_timeout)
    }
}

/// Whether ALPN can carry the name (RFC 7301 section 3.1): one octet tells its length.
pub(crate) fn is_protocol(name: &[u8]) -> bool {
    (1..=255).contains(&name.len())
}

/// What rustls finds wrong with versions, suites and keys together.
pub(crate) fn refused(error: rustls::Error) -> ConfigError {
    ConfigError::new(
        "versions and suites",
        "as given",
        "at least one suite, and a key exchange, for a version that is on",
    )
    .with_source(error)
}

/// The clock of the verifier, of rustls, and of the engine: one and the same.
#[derive(Clone)]
pub(crate) struct SharedClock(Arc<dyn Clock>);

impl SharedClock {
    pub(crate) fn new(clock: impl Clock + 'static) -> Self {
        Self(Arc::new(clock))
    }

    /// Now, for whoever verifies. A clock before 1970 shows 1970: nothing is valid then.
    pub(crate) fn now(&self) -> UnixTime {
        UnixTime::since_unix_epoch(
            self.0
                .now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default(),
        )
    }
}

impl TimeProvider for SharedClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.now())
    }
}

impl fmt::Debug for SharedClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedClock").finish_non_exhaustive()
    }
}
