//! Why a list is not used.

use std::{error, fmt};

use bartizan_core::BoxError;

use crate::x509::signed::SignatureError;

/// Why a list of revoked certificates is not used. Others that came with it are.
#[derive(Debug)]
pub struct CrlError {
    kind: Kind,
    /// Which list, as far as that is known.
    list: String,
    what: &'static str,
    source: Option<BoxError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Malformed,
    Unsupported,
    Signature,
    TooLarge,
    NotYetValid,
    Full,
}

impl CrlError {
    fn new(kind: Kind, what: &'static str) -> Self {
        Self {
            kind,
            list: String::new(),
            what,
            source: None,
        }
    }

    pub(in super::super) fn malformed(source: impl Into<BoxError>) -> Self {
        Self {
            source: Some(source.into()),
            ..Self::new(Kind::Malformed, "it cannot be read")
        }
    }

    pub(super) fn unsupported(what: &'static str) -> Self {
        Self::new(Kind::Unsupported, what)
    }

    pub(super) fn signature(source: SignatureError) -> Self {
        Self {
            source: Some(source.into()),
            ..Self::new(
                Kind::Signature,
                "it is not signed by the issuer that it names; it may be forged, or of an earlier key",
            )
        }
    }

    pub(super) fn foreign() -> Self {
        Self::new(Kind::Signature, "it is another issuer's")
    }

    pub(in super::super) fn may_not_sign() -> Self {
        Self::new(
            Kind::Signature,
            "its issuer's certificate does not allow it to sign lists (cRLSign)",
        )
    }

    pub(in super::super) fn too_large() -> Self {
        Self::new(
            Kind::TooLarge,
            "it is larger than the limit; raise that, or ask by OCSP",
        )
    }

    pub(super) fn not_yet_valid() -> Self {
        Self::new(
            Kind::NotYetValid,
            "it is from the future; check this machine's clock",
        )
    }

    pub(super) fn full() -> Self {
        Self::new(
            Kind::Full,
            "its issuer is not known, and too many others wait for theirs; name the issuers",
        )
    }

    pub(super) fn about(mut self, list: String) -> Self {
        self.list = list;
        self
    }

    /// Whether it is no list at all, or a damaged one.
    pub fn is_malformed(&self) -> bool {
        self.kind == Kind::Malformed
    }

    /// Whether it is a list of a kind that is not supported: a delta, an indirect one, one without an end, one with a critical extension
    /// that is not known.
    pub fn is_unsupported(&self) -> bool {
        self.kind == Kind::Unsupported
    }

    /// Whether the issuer that it names did not sign it, or may not.
    pub fn is_signature(&self) -> bool {
        self.kind == Kind::Signature
    }

    /// Whether it is larger than the limit.
    pub fn is_too_large(&self) -> bool {
        self.kind == Kind::TooLarge
    }

    /// Whether it is from the future.
    pub fn is_not_yet_valid(&self) -> bool {
        self.kind == Kind::NotYetValid
    }

    /// Whether its issuer is not known, and there is no room to keep it until that is.
    pub fn is_full(&self) -> bool {
        self.kind == Kind::Full
    }
}

impl fmt::Display for CrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate revocation list")?;
        if !self.list.is_empty() {
            write!(f, " of `{}`", self.list)?;
        }
        write!(f, " is not used: {}", self.what)
    }
}

impl error::Error for CrlError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
