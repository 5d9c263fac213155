//! CAs that issue, revoke and answer as the tests want them to.

use std::{
    future::ready,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bartizan_core::BoxError;
use bartizan_tls::{
    Chain, Identity, Provider,
    revocation::{Engine, FetchRequest, Refusal, Revocation, Verdict, fuzzing},
};
use bytes::Bytes;
use der::{
    Decode, Encode,
    asn1::{Any, BitString, GeneralizedTime, Null, OctetString},
    oid::ObjectIdentifier,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PublicKeyData, RevocationReason, RevokedCertParams, SanType, SerialNumber,
    SigningKey,
};
use sha1::{Digest, Sha1};
use time::OffsetDateTime;
use tower::Service;
use x509_cert::{
    ext::{Extension, pkix::CrlReason},
    name::Name,
    spki::AlgorithmIdentifierOwned,
};
use x509_ocsp::{
    BasicOcspResponse, CertId, CertStatus, OcspGeneralizedTime, OcspRequest, OcspResponse,
    ResponderId, ResponseData, RevokedInfo, SingleResponse, Version,
};

/// When the tests take place, in seconds: some day in November 2023.
const NOW: i64 = 1_700_000_000;
pub(super) const HOUR: i64 = 3600;
pub(super) const DAY: i64 = 24 * HOUR;

pub(super) fn now() -> SystemTime {
    at(0)
}

/// So many seconds from now.
pub(super) fn at(offset: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(NOW + offset).expect("after 1970"))
}

fn date(offset: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW + offset).expect("a date")
}

pub(super) fn provider() -> Provider {
    Provider::aws_lc()
}

/// A CA, its key, and its certificate.
pub(crate) struct Ca {
    pub(super) der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

/// What a certificate says about itself.
#[derive(Clone, Default)]
pub(super) struct Wish {
    pub(super) lists: Vec<&'static str>,
    pub(super) responder: Option<&'static str>,
    pub(super) must_staple: bool,
}

const CA_USAGES: [KeyUsagePurpose; 3] = [
    KeyUsagePurpose::KeyCertSign,
    KeyUsagePurpose::CrlSign,
    KeyUsagePurpose::DigitalSignature,
];

impl Ca {
    pub(super) fn root(name: &'static str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let params = Self::params(name, 1, &Wish::default(), &CA_USAGES);
        let der = params
            .self_signed(&key)
            .expect("a certificate")
            .der()
            .to_vec();
        Self {
            der,
            issuer: Issuer::new(params, key),
        }
    }

    pub(super) fn intermediate(&self, name: &'static str, serial: u64, wish: &Wish) -> Self {
        self.intermediate_with(name, serial, wish, &CA_USAGES)
    }

    pub(super) fn intermediate_with(
        &self,
        name: &'static str,
        serial: u64,
        wish: &Wish,
        usages: &[KeyUsagePurpose],
    ) -> Self {
        let key = KeyPair::generate().expect("a key");
        let params = Self::params(name, serial, wish, usages);
        let der = params.signed_by(&key, &self.issuer).expect("a certificate");
        // rcgen would not let it do what its certificate does not allow, and here it does.
        let issuing = Self::params(name, serial, wish, &[]);
        Self {
            der: der.der().to_vec(),
            issuer: Issuer::new(issuing, key),
        }
    }

    fn params(
        name: &str,
        serial: u64,
        wish: &Wish,
        usages: &[KeyUsagePurpose],
    ) -> CertificateParams {
        let mut params = params(name, serial, wish);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = usages.to_vec();
        params
    }

    pub(super) fn leaf(&self, serial: u64, wish: &Wish) -> Vec<u8> {
        self.leaf_and_key(serial, wish).0
    }

    pub(super) fn leaf_and_key(&self, serial: u64, wish: &Wish) -> (Vec<u8>, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let params = params("leaf", serial, wish);
        let der = params.signed_by(&key, &self.issuer).expect("a certificate");
        (der.der().to_vec(), key)
    }

    /// A leaf with its key, and this CA's certificate behind it.
    pub(super) fn identity(&self, serial: u64, wish: &Wish) -> Identity {
        let (leaf, key) = self.leaf_and_key(serial, wish);
        let chain = [leaf, self.der.clone()];
        Identity::from_der(&provider(), chain, key.serialized_der()).expect("an identity")
    }

    /// A chain of this CA's leaf alone.
    pub(super) fn chain(&self, serial: u64, wish: &Wish) -> Chain {
        fuzzing::chain(&[&self.leaf(serial, wish), &self.der])
    }

    /// Somebody who may answer for this CA, if `purposes` and the days of validity are right.
    pub(super) fn delegate(
        &self,
        purposes: &[ExtendedKeyUsagePurpose],
        days: (i64, i64),
    ) -> (Vec<u8>, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let mut params = params("delegate", 900, &Wish::default());
        params.extended_key_usages = purposes.to_vec();
        params.not_before = date(days.0 * DAY);
        params.not_after = date(days.1 * DAY);
        let der = params.signed_by(&key, &self.issuer).expect("a certificate");
        (der.der().to_vec(), key)
    }

    pub(super) fn key(&self) -> &KeyPair {
        self.issuer.key()
    }

    fn key_hash(&self) -> Vec<u8> {
        Sha1::digest(self.key().der_bytes()).to_vec()
    }

    fn subject(&self) -> Vec<u8> {
        let certificate = x509_cert::Certificate::from_der(&self.der).expect("a certificate");
        certificate
            .tbs_certificate
            .subject
            .to_der()
            .expect("a name")
    }

    /// A list, number 1, of yesterday and for a week.
    pub(super) fn list(&self, revoked: &[u64]) -> Vec<u8> {
        self.list_of(&List::new(1, revoked))
    }

    pub(super) fn list_of(&self, list: &List<'_>) -> Vec<u8> {
        let revoked = list.revoked.iter().map(|&serial| RevokedCertParams {
            serial_number: serial.into(),
            revocation_time: date(-2 * DAY),
            reason_code: list.reason,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date(list.from),
            next_update: date(list.until),
            crl_number: SerialNumber::from(list.number),
            issuing_distribution_point: list.point.clone(),
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params
            .signed_by(&self.issuer)
            .expect("a list")
            .der()
            .to_vec()
    }

    /// A list of this CA's as rcgen would not write it: of November 13th, and for December if it has an end. Version and extensions are
    /// left out if they are empty.
    pub(super) fn raw_list(
        &self,
        version: &[u8],
        has_end: bool,
        entries: &[u8],
        extensions: &[u8],
    ) -> Vec<u8> {
        // ecdsa-with-SHA256
        let algorithm = tlv(
            0x30,
            &tlv(0x06, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]),
        );
        let mut message = Vec::new();
        if !version.is_empty() {
            message.extend(tlv(0x02, version));
        }
        message.extend_from_slice(&algorithm);
        message.extend(self.subject());
        message.extend(tlv(0x17, b"231113000000Z"));
        if has_end {
            message.extend(tlv(0x17, b"231231000000Z"));
        }
        if !entries.is_empty() {
            message.extend(tlv(0x30, entries));
        }
        if !extensions.is_empty() {
            message.extend(tlv(0xa0, &tlv(0x30, extensions)));
        }
        let message = tlv(0x30, &message);
        let signature = self.key().sign(&message).expect("a signature");
        let signature = tlv(0x03, &[&[0][..], &signature].concat());
        tlv(0x30, &[message, algorithm, signature].concat())
    }
}

fn params(name: &str, serial: u64, wish: &Wish) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(serial.into());
    // Without it, rcgen leaves out distribution points where they are the only extension.
    params.is_ca = IsCa::ExplicitNoCa;
    params.subject_alt_names = vec![SanType::DnsName("a.test".try_into().expect("a name"))];
    if !wish.lists.is_empty() {
        let uris = wish.lists.iter().map(ToString::to_string).collect();
        params.crl_distribution_points = vec![CrlDistributionPoint { uris }];
    }
    if let Some(uri) = wish.responder {
        params.custom_extensions.push(responder(uri));
    }
    if wish.must_staple {
        let features = vec![0x30, 0x03, 0x02, 0x01, 0x05];
        let feature = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 24], features);
        params.custom_extensions.push(feature);
    }
    params
}

/// `AuthorityInfoAccessSyntax` with one responder.
fn responder(uri: &str) -> CustomExtension {
    let oid = [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01];
    let location = tlv(0x86, uri.as_bytes());
    let description = tlv(0x30, &[&oid[..], &location].concat());
    let all = tlv(0x30, &description);
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], all)
}

pub(super) fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("short").to_be_bytes();
    match length {
        [0, length @ 0..0x80] => [&[tag, length][..], value].concat(),
        [0, length] => [&[tag, 0x81, length][..], value].concat(),
        [high, low] => [&[tag, 0x82, high, low][..], value].concat(),
    }
}

/// A list as the tests want it.
pub(super) struct List<'a> {
    pub(super) number: u64,
    pub(super) revoked: &'a [u64],
    pub(super) from: i64,
    pub(super) until: i64,
    pub(super) reason: Option<RevocationReason>,
    pub(super) point: Option<rcgen::CrlIssuingDistributionPoint>,
}

impl<'a> List<'a> {
    pub(super) fn new(number: u64, revoked: &'a [u64]) -> Self {
        Self {
            number,
            revoked,
            from: -DAY,
            until: 6 * DAY,
            reason: None,
            point: None,
        }
    }
}

/// An OCSP response as the tests want it. By default it says "good", of an hour ago and for a week, signed by the CA.
pub(super) struct Response<'a> {
    pub(super) ca: &'a Ca,
    pub(super) serial: u64,
    pub(super) status: CertStatus,
    pub(super) from: i64,
    pub(super) until: Option<i64>,
    pub(super) produced: i64,
    pub(super) sha256: bool,
    pub(super) nonce: Option<Vec<u8>>,
    pub(super) critical: bool,
    pub(super) by_name: bool,
    pub(super) key: &'a KeyPair,
    pub(super) certificates: Vec<Vec<u8>>,
}

impl<'a> Response<'a> {
    pub(super) fn new(ca: &'a Ca, serial: u64) -> Self {
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

    pub(super) fn revoked(ca: &'a Ca, serial: u64) -> Self {
        Self {
            status: revoked(CrlReason::KeyCompromise),
            ..Self::new(ca, serial)
        }
    }

    pub(super) fn der(&self) -> Vec<u8> {
        let basic = self.basic();
        let response = OcspResponse::successful(basic).expect("a response");
        response.to_der().expect("a response")
    }

    pub(super) fn basic(&self) -> BasicOcspResponse {
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

pub(super) fn revoked(reason: CrlReason) -> CertStatus {
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
pub(super) fn nonce_of(request: &[u8]) -> Option<Vec<u8>> {
    let request = OcspRequest::from_der(request).expect("a request");
    request.nonce().map(|nonce| nonce.0.into_bytes())
}

/// What a handshake comes to, without a staple.
pub(super) async fn connect(engine: &Revocation, chain: &Chain) -> Result<Verdict, Refusal> {
    connect_with(engine, chain, &[], now()).await
}

pub(super) async fn connect_with(
    engine: &Revocation,
    chain: &Chain,
    staple: &[u8],
    now: SystemTime,
) -> Result<Verdict, Refusal> {
    engine.in_handshake(chain, staple, now)?;
    engine.after_handshake(chain, now).await
}

type Answer = dyn Fn(&FetchRequest) -> Result<Vec<u8>, BoxError> + Send + Sync;

/// A fetcher that answers as it is told, and knows what it was asked.
#[derive(Clone)]
pub(super) struct Web {
    asked: Arc<Mutex<Vec<FetchRequest>>>,
    answer: Arc<Mutex<Box<Answer>>>,
}

impl Web {
    pub(super) fn new(
        answer: impl Fn(&FetchRequest) -> Result<Vec<u8>, BoxError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            asked: Arc::default(),
            answer: Arc::new(Mutex::new(Box::new(answer))),
        }
    }

    /// Answers everything with these bytes.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Self::new(move |_| Ok(bytes.clone()))
    }

    pub(super) fn down() -> Self {
        Self::new(|_| Err("the network is down".into()))
    }

    /// From here on it answers so.
    pub(super) fn set(
        &self,
        answer: impl Fn(&FetchRequest) -> Result<Vec<u8>, BoxError> + Send + Sync + 'static,
    ) {
        *self.answer.lock().expect("no panic") = Box::new(answer);
    }

    /// The addresses, in the order in which they were asked.
    pub(super) fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().expect("no panic");
        asked
            .iter()
            .map(|request| request.uri.to_string())
            .collect()
    }

    pub(super) fn requests(&self) -> Vec<FetchRequest> {
        self.asked.lock().expect("no panic").clone()
    }
}

impl Service<FetchRequest> for Web {
    type Response = Bytes;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Bytes, BoxError>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: FetchRequest) -> Self::Future {
        let answer = self.answer.lock().expect("no panic")(&request);
        self.asked.lock().expect("no panic").push(request);
        ready(answer.map(Bytes::from))
    }
}
