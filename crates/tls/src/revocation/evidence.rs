//! What is known about a certificate, and from whom.

use std::{fmt, time::SystemTime};

/// A way to find out whether a certificate was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// The OCSP response that the peer sent in the handshake (RFC 6066 section 8).
    Staple,
    /// A list of the issuer's (RFC 5280 section 5).
    Crl,
    /// A responder that is asked (RFC 6960).
    Ocsp,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Staple => "the staple",
            Self::Crl => "a certificate revocation list",
            Self::Ocsp => "an OCSP responder",
        })
    }
}

/// Who said that a certificate is good.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evidence {
    /// The certificate: 0 is the peer's own, 1 that of its issuer, and so on.
    pub position: usize,
    /// How it is known.
    pub method: Method,
    /// As of when.
    pub this_update: SystemTime,
    /// Until when. `None` if the responder did not say.
    pub next_update: Option<SystemTime>,
}

/// That a certificate was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Revoked {
    pub(super) since: SystemTime,
    pub(super) reason: Reason,
}

impl Revoked {
    /// Whether it may be taken back.
    pub(super) fn is_hold(&self) -> bool {
        self.reason == Reason::CertificateHold
    }
}

impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "revoked on {}", date(self.since))?;
        match self.reason.text() {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

/// A date as it stands in messages.
pub(super) fn date(at: SystemTime) -> String {
    der::DateTime::from_system_time(at)
        .map_or_else(|_| "an unknown date".to_owned(), |at| at.to_string())
}

/// `CRLReason` (RFC 5280 section 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Unspecified,
    KeyCompromise,
    CaCompromise,
    AffiliationChanged,
    Superseded,
    CessationOfOperation,
    CertificateHold,
    PrivilegeWithdrawn,
    AaCompromise,
}

impl Reason {
    /// A code that is not known is a reason not known: the certificate is revoked all the same.
    pub(super) fn from_code(code: &[u8]) -> Self {
        match code {
            [1] => Self::KeyCompromise,
            [2] => Self::CaCompromise,
            [3] => Self::AffiliationChanged,
            [4] => Self::Superseded,
            [5] => Self::CessationOfOperation,
            [6] => Self::CertificateHold,
            [9] => Self::PrivilegeWithdrawn,
            [10] => Self::AaCompromise,
            _ => Self::Unspecified,
        }
    }

    fn text(self) -> Option<&'static str> {
        Some(match self {
            Self::Unspecified => return None,
            Self::KeyCompromise => "its key is compromised",
            Self::CaCompromise => "its CA is compromised",
            Self::AffiliationChanged => "its owner's affiliation has changed",
            Self::Superseded => "it was superseded",
            Self::CessationOfOperation => "it is no longer in operation",
            Self::CertificateHold => "it is on hold",
            Self::PrivilegeWithdrawn => "its privileges were withdrawn",
            Self::AaCompromise => "its attribute authority is compromised",
        })
    }
}
