//! Why an answer is not used.

use std::{error, fmt};

use crate::x509::signed::SignatureError;

/// Why an OCSP response says nothing.
#[derive(Debug)]
pub(in super::super) enum OcspError {
    TooLarge,
    Malformed(der::Error),
    /// The responder says that it cannot answer.
    Refused(&'static str),
    /// It is about another certificate, or an answer to somebody else.
    Foreign(&'static str),
    Unsupported(&'static str),
    /// Nobody who may have signed it did.
    Signer(&'static str),
    Signature(SignatureError),
    Time(&'static str),
    Request(der::Error),
}

impl fmt::Display for OcspError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("the OCSP response is larger than 64 KiB"),
            Self::Malformed(_) => f.write_str("the OCSP response cannot be read"),
            Self::Request(_) => {
                f.write_str("the certificate's serial number cannot be asked about by OCSP")
            }
            Self::Signature(_) => f.write_str("the OCSP response's signature does not hold"),
            Self::Refused(what)
            | Self::Foreign(what)
            | Self::Unsupported(what)
            | Self::Signer(what)
            | Self::Time(what) => f.write_str(what),
        }
    }
}

impl error::Error for OcspError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Malformed(error) | Self::Request(error) => Some(error),
            Self::Signature(error) => Some(error),
            _ => None,
        }
    }
}
