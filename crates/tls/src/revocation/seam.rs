//! What the two ends ask, and what they are told.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::SystemTime};

use bartizan_core::BoxError;

use super::Evidence;
use crate::Chain;

/// What the two ends ask about every peer whose path verifies.
///
/// It is asked twice. *In the handshake*, without waiting, for what is known already: a staple, a list, a cached answer. And *after
/// it*, before any byte reaches the application, on every connection, resumed ones as well: then it may fetch what is missing.
///
/// [`Revocation`](super::Revocation) is one. Your own can ask a service of yours:
///
/// ```
/// use bartizan_tls::{Chain, revocation::{Engine, Refusal, Verdict}};
/// use std::{future::{Future, ready}, pin::Pin, time::SystemTime};
///
/// struct Nobody;
///
/// impl Engine for Nobody {
///     fn in_handshake(&self, _: &Chain, _: &[u8], _: SystemTime) -> Result<(), Refusal> {
///         Err(Refusal::revoked("all of them were revoked"))
///     }
///
///     fn after_handshake<'a>(
///         &'a self,
///         _: &'a Chain,
///         _: SystemTime,
///     ) -> Pin<Box<dyn Future<Output = Result<Verdict, Refusal>> + Send + 'a>> {
///         Box::pin(ready(Err(Refusal::revoked("all of them were revoked"))))
///     }
/// }
///
/// assert!(Refusal::revoked("all of them were revoked").is_revoked());
/// # let _: &dyn Engine = &Nobody;
/// ```
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
    /// No certificate that was checked is revoked, and for each there is somebody who says so.
    Good(Arc<[Evidence]>),
    /// Nothing says that one is revoked, but not for all of them is there somebody who says that it is not. The policy lets the peer in
    /// all the same ([`OnUnavailable::Allow`](super::OnUnavailable::Allow)).
    Unavailable(Arc<str>),
}

/// Why a peer is refused.
#[derive(Debug)]
pub struct Refusal {
    kind: Kind,
    message: String,
    source: Option<BoxError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Revoked,
    Unavailable,
    MustStaple,
}

impl Refusal {
    /// The certificate was revoked. `message` says which, by whom, and when.
    pub fn revoked(message: impl Into<String>) -> Self {
        Self::new(Kind::Revoked, message)
    }

    /// It cannot be known, and the policy is to refuse then.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, message)
    }

    /// The certificate promises a staple, and there was none that counts (RFC 7633).
    pub fn must_staple(message: impl Into<String>) -> Self {
        Self::new(Kind::MustStaple, message)
    }

    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
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

    /// Whether the certificate is known to be revoked.
    pub const fn is_revoked(&self) -> bool {
        matches!(self.kind, Kind::Revoked)
    }

    /// Whether another try, later, may end otherwise: a revocation is for good, and what is not known may become known.
    pub const fn is_retryable(&self) -> bool {
        !self.is_revoked()
    }

    /// Whether nothing is known, and the policy is to refuse then.
    pub const fn is_unavailable(&self) -> bool {
        matches!(self.kind, Kind::Unavailable)
    }

    /// Whether the certificate promises a staple, and there was none that counts.
    pub const fn is_must_staple(&self) -> bool {
        matches!(self.kind, Kind::MustStaple)
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
