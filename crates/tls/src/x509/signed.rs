//! What certificates, lists and OCSP responses have in common: bytes, and a signature on them.

use std::{error, fmt};

use der::{Decode, ErrorKind, Reader, Result, SliceReader, Tag, asn1::BitStringRef};
use rustls_pki_types::SignatureVerificationAlgorithm;

use super::asn1::{sequence, value, whole};

/// The algorithms of a provider.
pub(crate) type Algorithms = &'static [&'static dyn SignatureVerificationAlgorithm];

/// A message as it was sent, and what is said to be its signature.
#[derive(Clone, Copy)]
pub(crate) struct Signed<'a> {
    pub(crate) message: &'a [u8],
    /// The contents of the `AlgorithmIdentifier`.
    pub(crate) algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Reads message, algorithm and signature, and leaves what follows.
    pub(crate) fn read(reader: &mut SliceReader<'a>) -> Result<Self> {
        Ok(Self {
            message: reader.tlv_bytes()?,
            algorithm: value(reader, Tag::Sequence)?,
            signature: bits(reader)?,
        })
    }

    /// Verifies the signature by `key`, a DER `SubjectPublicKeyInfo`.
    pub(crate) fn verify(
        &self,
        key: &[u8],
        algorithms: Algorithms,
    ) -> std::result::Result<(), SignatureError> {
        let key = PublicKey::parse(key).map_err(SignatureError::Key)?;
        let mut fitting = algorithms
            .iter()
            .filter(|algorithm| algorithm.signature_alg_id().as_ref() == self.algorithm)
            .filter(|algorithm| algorithm.public_key_alg_id().as_ref() == key.algorithm)
            .peekable();
        if fitting.peek().is_none() {
            return Err(SignatureError::Unsupported);
        }
        let verifies = fitting.any(|algorithm| {
            algorithm
                .verify_signature(key.bits, self.message, self.signature)
                .is_ok()
        });
        if verifies {
            Ok(())
        } else {
            Err(SignatureError::Wrong)
        }
    }
}

/// A `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7).
pub(crate) struct PublicKey<'a> {
    algorithm: &'a [u8],
    /// The key without tag, length and number of unused bits: what OCSP hashes.
    pub(crate) bits: &'a [u8],
}

impl<'a> PublicKey<'a> {
    pub(crate) fn parse(der: &'a [u8]) -> Result<Self> {
        whole(der, |reader| {
            sequence(reader, |reader| {
                Ok(Self {
                    algorithm: value(reader, Tag::Sequence)?,
                    bits: bits(reader)?,
                })
            })
        })
    }
}

fn bits<'a>(reader: &mut SliceReader<'a>) -> Result<&'a [u8]> {
    let bits = BitStringRef::decode(reader)?;
    bits.as_bytes().ok_or_else(|| {
        ErrorKind::Value {
            tag: Tag::BitString,
        }
        .into()
    })
}

/// Why a signature does not hold.
#[derive(Debug)]
pub(crate) enum SignatureError {
    /// The key that should verify it is none.
    Key(der::Error),
    /// The provider does not have the algorithm, or the key is of another kind.
    Unsupported,
    Wrong,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "the key that should verify the signature cannot be read",
            Self::Unsupported => {
                "the signature's algorithm is not one of the provider's for that kind of key"
            }
            Self::Wrong => "the signature is not by that key",
        })
    }
}

impl error::Error for SignatureError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Key(error) => Some(error),
            Self::Unsupported | Self::Wrong => None,
        }
    }
}
