//! CAs, and the certificates that they issue.

use bartizan_tls::{Chain, Identity, revocation::fuzzing};
use der::{Decode, Encode};
use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use sha1::{Digest, Sha1};

use super::{DAY, date, provider, tlv};

/// A CA, its key, and its certificate.
pub(crate) struct Ca {
    pub(crate) der: Vec<u8>,
    pub(super) issuer: Issuer<'static, KeyPair>,
}

/// What a certificate says about itself.
#[derive(Clone, Default)]
pub(crate) struct Wish {
    pub(crate) lists: Vec<&'static str>,
    pub(crate) responder: Option<&'static str>,
    pub(crate) must_staple: bool,
}

const CA_USAGES: [KeyUsagePurpose; 3] = [
    KeyUsagePurpose::KeyCertSign,
    KeyUsagePurpose::CrlSign,
    KeyUsagePurpose::DigitalSignature,
];

impl Ca {
    pub(crate) fn root(name: &'static str) -> Self {
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

    pub(crate) fn intermediate(&self, name: &'static str, serial: u64, wish: &Wish) -> Self {
        self.intermediate_with(name, serial, wish, &CA_USAGES)
    }

    pub(crate) fn intermediate_with(
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

    pub(crate) fn leaf(&self, serial: u64, wish: &Wish) -> Vec<u8> {
        self.leaf_and_key(serial, wish).0
    }

    pub(crate) fn leaf_and_key(&self, serial: u64, wish: &Wish) -> (Vec<u8>, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let params = params("leaf", serial, wish);
        let der = params.signed_by(&key, &self.issuer).expect("a certificate");
        (der.der().to_vec(), key)
    }

    /// A leaf with its key, and this CA's certificate behind it.
    pub(crate) fn identity(&self, serial: u64, wish: &Wish) -> Identity {
        let (leaf, key) = self.leaf_and_key(serial, wish);
        let chain = [leaf, self.der.clone()];
        Identity::from_der(&provider(), chain, key.serialized_der()).expect("an identity")
    }

    /// A chain of this CA's leaf alone.
    pub(crate) fn chain(&self, serial: u64, wish: &Wish) -> Chain {
        fuzzing::chain(&[&self.leaf(serial, wish), &self.der])
    }

    /// Somebody who may answer for this CA, if `purposes` and the days of validity are right.
    pub(crate) fn delegate(
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

    pub(crate) fn key(&self) -> &KeyPair {
        self.issuer.key()
    }

    pub(super) fn key_hash(&self) -> Vec<u8> {
        Sha1::digest(self.key().der_bytes()).to_vec()
    }

    pub(super) fn subject(&self) -> Vec<u8> {
        let certificate = x509_cert::Certificate::from_der(&self.der).expect("a certificate");
        certificate
            .tbs_certificate
            .subject
            .to_der()
            .expect("a name")
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
