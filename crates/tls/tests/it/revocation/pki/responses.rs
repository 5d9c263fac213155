//! What the responder of a CA says.

use std::time::SystemTime;

use der::{
    Decode, Encode,
    asn1::{Any, BitString, GeneralizedTime, Null, OctetString},
    oid::ObjectIdentifier,
};
use rcgen::{KeyPair, PublicKeyData, SigningKey};
use sha1::{Digest, Sha1};
use x509_cert::{
    ext::{Extension, pkix::CrlReason},
    name::Name,
    spki::AlgorithmIdentifierOwned,
};
use x509_ocsp::{
    BasicOcspResponse, CertId, CertStatus, OcspGeneralizedTime, OcspRequest, OcspResponse,
    ResponderId, ResponseData, RevokedInfo, SingleResponse, Version,
};

use super::{Ca, DAY, HOUR, at, tlv};

/// An OCSP response as the tests want it. By default it says "good", of an hour ago and for a week, signed by the CA.
pub(crate) struct Response<'a> {
    pub(crate) ca: &'a Ca,
    pub(crate) serial: u64,
    pub(crate) status: CertStatus,
    pub(crate) from: i64,
    pub(crate) until: Option<i64>,
    pub(crate) produced: i64,
    pub(crate) sha256: bool,
    pub(crate) nonce: Option<Vec<u8>>,
    pub(crate) critical: bool,
    pub(crate) by_name: bool,
    pub(crate) key: &'a KeyPair,
    pub(crate) certificates: Vec<Vec<u8>>,
}

impl<'a> Response<'a> {
    pub(crate) fn new(ca: &'a Ca, serial: u64) -> Self {
        Self {
            ca,
            serial,
            status: CertStatus::good(),
            from: -HOUR,
            until: Some(6 * DAY),
            produced: -HOUR,
            sha256: false,
            nonce: None,
            critical: false,
            by_name: false,
            key: ca.key(),
            certificates: Vec::new(),
        }
    }

    pub(crate) fn revoked(ca: &'a Ca, serial: u64) -> Self {
        Self {
            status: revoked(CrlReason::KeyCompromise),
            ..Self::new(ca, serial)
        }
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        let basic = self.basic();
        let response = OcspResponse::successful(basic).expect("a response");
        response.to_der().expect("a response")
    }

    pub(crate) fn basic(&self) -> BasicOcspResponse {
        let extension = |id: &str, critical, value: &[u8]| Extension {
            extn_id: ObjectIdentifier::new_unwrap(id),
            critical,
            extn_value: OctetString::new(value).expect("short"),
        };
        let mut extensions = Vec::new();
        if let Some(nonce) = &self.nonce {
            extensions.push(extension("1.3.6.1.5.5.7.48.1.2", false, &tlv(0x04, nonce)));
        }
        if self.critical {
            extensions.push(extension("1.2.3.4", true, &[0x05, 0x00]));
        }
        let data = ResponseData {
            version: Version::V1,
            responder_id: self.responder_id(),
            produced_at: time_of(self.produced),
            responses: vec![SingleResponse {
                cert_id: self.id(),
                cert_status: self.status,
                this_update: time_of(self.from),
                next_update: self.until.map(time_of),
                single_extensions: None,
            }],
            response_extensions: (!extensions.is_empty()).then_some(extensions),
        };
        let message = data.to_der().expect("a message");
        let signature = self.key.sign(&message).expect("a signature");
        let certificates = self.certificates.iter();
        let certificates: Vec<_> = certificates
            .map(|der| x509_cert::Certificate::from_der(der).expect("a certificate"))
            .collect();
        BasicOcspResponse {
            tbs_response_data: data,
            signature_algorithm: AlgorithmIdentifierOwned {
                // ecdsa-with-SHA256
                oid: ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"),
                parameters: None,
            },
            signature: BitString::from_bytes(&signature).expect("a signature"),
            certs: (!certificates.is_empty()).then_some(certificates),
        }
    }

    fn responder_id(&self) -> ResponderId {
        match (self.by_name, self.certificates.first()) {
            (false, _) => {
                let hash = Sha1::digest(self.key.der_bytes()).to_vec();
                ResponderId::ByKey(OctetString::new(hash).expect("a hash"))
            }
            (true, None) => {
                ResponderId::ByName(Name::from_der(&self.ca.subject()).expect("a name"))
            }
            (true, Some(der)) => {
                let signer = x509_cert::Certificate::from_der(der).expect("a certificate");
                ResponderId::ByName(signer.tbs_certificate.subject)
            }
        }
    }

    fn id(&self) -> CertId {
        use sha2::Sha256;
        let (oid, name, key) = match self.sha256 {
            false => (
                "1.3.14.3.2.26",
                Sha1::digest(self.ca.subject()).to_vec(),
                self.ca.key_hash(),
            ),
            true => (
                "2.16.840.1.101.3.4.2.1",
                Sha256::digest(self.ca.subject()).to_vec(),
                Sha256::digest(self.ca.key().der_bytes()).to_vec(),
            ),
        };
        CertId {
            hash_algorithm: AlgorithmIdentifierOwned {
                oid: ObjectIdentifier::new_unwrap(oid),
                parameters: Some(Any::from(Null)),
            },
            issuer_name_hash: OctetString::new(name).expect("a hash"),
            issuer_key_hash: OctetString::new(key).expect("a hash"),
            serial_number: self.serial.into(),
        }
    }
}

pub(crate) fn revoked(reason: CrlReason) -> CertStatus {
    CertStatus::revoked(RevokedInfo {
        revocation_time: time_of(-2 * DAY),
        revocation_reason: Some(reason),
    })
}

fn time_of(offset: i64) -> OcspGeneralizedTime {
    let since = at(offset).duration_since(SystemTime::UNIX_EPOCH);
    let time = GeneralizedTime::from_unix_duration(since.expect("after 1970"));
    OcspGeneralizedTime(time.expect("a date"))
}

/// The nonce of a request, if it has one.
pub(crate) fn nonce_of(request: &[u8]) -> Option<Vec<u8>> {
    let request = OcspRequest::from_der(request).expect("a request");
    request.nonce().map(|nonce| nonce.0.into_bytes())
}
