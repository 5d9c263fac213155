//! Whether a certificate that verifies has been taken back.

use std::{fmt, future::Future, pin::Pin, time::SystemTime};

use bartizan_core::BoxError;

use crate::Chain;

/// What the two ends ask about every peer whose path verifies.
///
/// It is asked twice. *In the handshake*, without waiting, for what is known already: a staple, a list, a cached answer. And *after
/// it*, before any byte reaches the application, on every connection, resumed ones as well: then it may fetch what is missing.
pub trait Engine: Send + Sync {
    /// Called within the handshake, on a runtime's worker: it must neither block nor do work in proportion to a list's size.
    ///
    /// `staple` is the OCSP response of the peer, in DER, and empty if there was none or the peer is a client. `now` is the time of
    /// the verifier.
    ///
    /// # Errors
    ///
    /// If the peer is to be refused at once.
    fn in_handshake(&self, chain: &Chain, staple: &[u8], now: SystemTime) -> Result<(), Refusal>;

    /// Called after the handshake. The time it may take is what is left of that for the handshake; dropping the future abandons it.
    fn after_handshake<'a>(
        &'a self,
        chain: &'a Chain,
        now: SystemTime,
    ) -> Pin<Box<dyn Future<Output = Result<Verdict, Refusal>> + Send + 'a>>;
}

/// What is known about a peer that is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Nobody was asked: there is no engine, or there was no certificate.
    Unchecked,
}

/// Why a peer is refused.
#[derive(Debug)]
pub struct Refusal {
    revoked: bool,
    message: String,
    source: Option<BoxError>,
}

impl Refusal {
    /// The certificate was revoked. `message` says which, by whom, and when.
    pub fn revoked(message: impl Into<String>) -> Self {
        Self {
            revoked: true,
            message: message.into(),
            source: None,
        }
    }

    /// It cannot be known, and the policy is to refuse then.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self {
            revoked: false,
            message: message.into(),
            source: None,
        }
    }

    /// Keeps the error behind it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether the certificate is known to be revoked. Otherwise nothing is known, and another try may find out more.
    pub const fn is_revoked(&self) -> bool {
        self.revoked
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
