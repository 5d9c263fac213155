//! What is read of a certificate beyond what webpki tells: validity, key usage, and names of every kind.
//!
//! webpki is the judge of what is a certificate; this reads those that it let pass, and must survive any others.

#![expect(
    single_use_lifetimes,
    reason = "der's derive names the lifetime that its impl uses once"
)]

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use der::{
    Decode, Encode, Reader, Sequence, SliceReader, Tag, TagNumber, Tagged,
    asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef},
};
use rustls_pki_types::UnixTime;
use x509_cert::time::Validity;

/// id-ce-keyUsage (RFC 5280 section 4.2.1.3).
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
/// id-ce-subjectAltName (RFC 5280 section 4.2.1.6).
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");

/// id-pe-tlsfeature (RFC 7633).
const TLS_FEATURE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.24");
/// `status_request`, the extension by which a staple is asked for (RFC 6066 section 8).
const STATUS_REQUEST: u16 = 5;

/// A bit of the key usage extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    DigitalSignature,
    KeyCertSign,
}

impl Usage {
    const fn bit(self) -> u8 {
        match self {
            Self::DigitalSignature => 0x80,
            Self::KeyCertSign => 0x80 >> 5,
        }
    }

    /// As RFC 5280 section 4.2.1.3 writes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::DigitalSignature => "digitalSignature",
            Self::KeyCertSign => "keyCertSign",
        }
    }
}

/// A name in a certificate's subject alternative name extension (RFC 5280 section 4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerName {
    /// A host name, which may start with a `*.` label.
    Dns(String),
    /// A URI, such as a SPIFFE identity.
    Uri(String),
    /// An e-mail address (`rfc822Name`).
    Email(String),
    /// An IP address.
    Ip(IpAddr),
}

/// What is read of one certificate.
#[derive(Debug)]
pub(crate) struct Details<'a> {
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
    /// The first octet of the bits, which holds the two that matter. `None` without the extension, which allows every usage.
    key_usage: Option<u8>,
    alt_names: Option<&'a [u8]>,
    /// Whether it demands a staple (RFC 7633).
    pub(crate) must_staple: bool,
}

impl<'a> Details<'a> {
    pub(crate) fn parse(certificate: &'a [u8]) -> Result<Self, der::Error> {
        let certificate = Certificate::from_der(certificate)?;
        let mut details = Self {
            not_before: unix_time(certificate.tbs.validity.not_before),
            not_after: unix_time(certificate.tbs.validity.not_after),
            key_usage: None,
            alt_names: None,
            must_staple: false,
        };
        for extension in certificate.tbs.extensions.iter().flatten() {
            let value = extension.value.as_bytes();
            if extension.id == KEY_USAGE {
                let bits = BitStringRef::from_der(value)?;
                details.key_usage = Some(bits.raw_bytes().first().copied().unwrap_or(0));
            } else if extension.id == SUBJECT_ALT_NAME {
                details.alt_names = Some(value);
            } else if extension.id == TLS_FEATURE {
                details.must_staple = Vec::<u16>::from_der(value)?.contains(&STATUS_REQUEST);
            }
        }
        Ok(details)
    }

    /// Whether the key may be used so. Without the extension it may be (RFC 5280 section 6.1.4, (n)).
    pub(crate) fn allows(&self, usage: Usage) -> bool {
        self.key_usage.is_none_or(|bits| bits & usage.bit() != 0)
    }

    /// The names that can be read; of others, and of what follows a broken one, nothing is said.
    pub(crate) fn names(&self) -> Vec<PeerName> {
        let mut names = Vec::new();
        if let Some(extension) = self.alt_names {
            // Whatever was read before the error stands.
            let _ = read_names(extension, &mut names);
        }
        names
    }
}

fn read_names(extension: &[u8], names: &mut Vec<PeerName>) -> Result<(), der::Error> {
    let list = AnyRef::from_der(extension)?;
    list.tag().assert_eq(Tag::Sequence)?;
    let mut reader = SliceReader::new(list.value())?;
    while !reader.is_finished() {
        let name = reader.decode::<AnyRef<'_>>()?;
        let Tag::ContextSpecific { number, .. } = name.tag() else {
            continue;
        };
        let text = || String::from_utf8(name.value().to_vec()).ok();
        names.extend(match number {
            TagNumber::N1 => text().map(PeerName::Email),
            TagNumber::N2 => text().map(PeerName::Dns),
            TagNumber::N6 => text().map(PeerName::Uri),
            TagNumber::N7 => address(name.value()).map(PeerName::Ip),
            _ => None,
        });
    }
    Ok(())
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some(Ipv4Addr::from(octets).into());
    }
    let octets = <[u8; 16]>::try_from(octets).ok()?;
    Some(Ipv6Addr::from(octets).into())
}

fn unix_time(time: x509_cert::time::Time) -> UnixTime {
    UnixTime::since_unix_epoch(time.to_unix_duration())
}

/// A SEQUENCE of this content: webpki and the trust anchors leave out the header of names and keys.
pub(crate) fn sequence(content: &[u8]) -> Result<Vec<u8>, der::Error> {
    AnyRef::new(Tag::Sequence, content)?.to_der()
}

/// The time of the verifier, as a wall clock shows it.
pub(crate) fn system_time(time: UnixTime) -> std::time::SystemTime {
    std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs())
}

/// RFC 5280 section 4.1, as far as it is needed.
#[derive(Sequence)]
struct Certificate<'a> {
    tbs: TbsCertificate<'a>,
    _algorithm: AnyRef<'a>,
    _signature: AnyRef<'a>,
}

#[derive(Sequence)]
struct TbsCertificate<'a> {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    _version: Option<AnyRef<'a>>,
    _serial: AnyRef<'a>,
    _algorithm: AnyRef<'a>,
    _issuer: AnyRef<'a>,
    validity: Validity,
    _subject: AnyRef<'a>,
    _key: AnyRef<'a>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    _issuer_id: Option<BitStringRef<'a>>,
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", optional = "true")]
    _subject_id: Option<BitStringRef<'a>>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    extensions: Option<Vec<Extension<'a>>>,
}

#[derive(Sequence)]
struct Extension<'a> {
    id: ObjectIdentifier,
    #[asn1(default = "bool::default")]
    _critical: bool,
    value: OctetStringRef<'a>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_up_to_a_broken_one_are_read() {
        let mut extension = vec![0x30, 0];
        extension.extend([0x82, 1, b'a']);
        extension.extend([0x86, 2, b'b', b':']);
        extension.extend([0x81, 3, b'c', b'@', b'd']);
        extension.extend([0x87, 4, 127, 0, 0, 1]);
        // An address of five octets is none, and what is not UTF-8 is no text.
        extension.extend([0x87, 5, 1, 2, 3, 4, 5]);
        extension.extend([0x82, 1, 0xff]);
        extension.extend([0x82, 9, b'e']);
        extension[1] = u8::try_from(extension.len() - 2).unwrap();

        let mut names = Vec::new();
        assert!(read_names(&extension, &mut names).is_err());
        assert_eq!(
            names,
            [
                PeerName::Dns("a".into()),
                PeerName::Uri("b:".into()),
                PeerName::Email("c@d".into()),
                PeerName::Ip([127, 0, 0, 1].into()),
            ]
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(details) = Details::parse(&bytes) {
                details.names();
            }
            let _ = read_names(&bytes, &mut Vec::new());
        }

        #[test]
        fn nor_does_a_certificate_with_some_of_them_changed(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
            let params = rcgen::CertificateParams::new(vec!["a.test".into(), "127.0.0.1".into()]).unwrap();
            let key = rcgen::KeyPair::generate().unwrap();
            let mut der = params.self_signed(&key).unwrap().der().to_vec();
            assert_eq!(Details::parse(&der).unwrap().names().len(), 2);
            for (index, byte) in changes {
                let index = index.index(der.len());
                der[index] = byte;
            }
            if let Ok(details) = Details::parse(&der) {
                details.names();
            }
        }
    }
}
