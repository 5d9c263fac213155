//! The question.

use der::{
    Decode, Encode, Result,
    asn1::{Any, Null, OctetString},
    oid::{AssociatedOid, db::rfc5912},
};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use x509_cert::{ext::Extension, serial_number::SerialNumber, spki::AlgorithmIdentifierOwned};
use x509_ocsp::{CertId, OcspRequest, Request, TbsRequest, Version};

use super::super::subject::Subject;
use crate::x509::signed::PublicKey;

/// By which hash a responder is told whose certificate it is asked about.
///
/// Nothing rests on it: what the responder signs names the serial number, and is believed only with the issuer's signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertIdHash {
    /// The default: every responder knows it, and many know no other (RFC 5019 section 2.1.1).
    #[default]
    Sha1,
    /// For responders that no longer know SHA-1.
    Sha256,
}

impl CertIdHash {
    pub(super) fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(bytes).to_vec(),
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
        }
    }
}

/// What an answer has to repeat to be an answer to this question, of the length that RFC 8954 recommends.
pub(in super::super) type Nonce = [u8; 32];

/// A request about `subject`, in DER.
pub(super) fn request(
    subject: &Subject,
    hash: CertIdHash,
    nonce: Option<&Nonce>,
) -> Result<Vec<u8>> {
    let id = CertId {
        hash_algorithm: AlgorithmIdentifierOwned {
            oid: match hash {
                CertIdHash::Sha1 => rfc5912::ID_SHA_1,
                CertIdHash::Sha256 => rfc5912::ID_SHA_256,
            },
            // RFC 6960 leaves it open, and RFC 5754 would leave it out; responders that compare bytes expect it.
            parameters: Some(Any::from(Null)),
        },
        issuer_name_hash: OctetString::new(hash.digest(&subject.issuer_name))?,
        issuer_key_hash: OctetString::new(
            hash.digest(PublicKey::parse(&subject.issuer_key)?.bits),
        )?,
        serial_number: serial(&subject.serial)?,
    };
    let request_extensions = match nonce {
        None => None,
        Some(nonce) => {
            let value = OctetString::new(&nonce[..])?.to_der()?;
            Some(vec![Extension {
                extn_id: x509_ocsp::ext::Nonce::OID,
                critical: false,
                extn_value: OctetString::new(value)?,
            }])
        }
    };
    OcspRequest {
        tbs_request: TbsRequest {
            version: Version::V1,
            requestor_name: None,
            request_list: vec![Request {
                req_cert: id,
                single_request_extensions: None,
            }],
            request_extensions,
        },
        optional_signature: None,
    }
    .to_der()
}

/// The number as it is written, negative ones too: x509-cert's own constructor takes the bytes for a positive one.
fn serial(bytes: &[u8]) -> Result<SerialNumber> {
    let element = Any::new(der::Tag::Integer, bytes)?.to_der()?;
    SerialNumber::from_der(&element)
}
