//! What revocation wants to know of a certificate.

use std::time::SystemTime;

use ::http::Uri;
use der::{Decode, Reader, Result, SliceReader, Tag, TagNumber};
use sha2::{Digest, Sha256};
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};

use super::{
    asn1::{
        constructed, extensions, id, integer, optional, point_uris, primitive, sequence, time,
        value, whole,
    },
    signed::Signed,
};
use crate::Link;

/// The number of the TLS extension `status_request`, as a feature (RFC 7633).
const STATUS_REQUEST: &[u8] = &[5];

/// A name may be as long as whoever wrote it likes, and a message may not.
const MAX_NAME: usize = 256;

/// So many addresses of one kind are tried: one that a CA writes in vain costs a timeout.
const MAX_URIS: usize = 4;

/// A hash by which something is found again.
pub(super) type Key = [u8; 32];

/// Hashes `parts`, so that no two ways to part the same bytes come to the same key.
pub(super) fn key(parts: &[&[u8]]) -> Key {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// A certificate that can be revoked, and who can revoke it.
pub(super) struct Subject {
    /// By which answers about it are found.
    pub(super) key: Key,
    /// By which the lists of its issuer are found.
    pub(super) issuer: Key,
    /// The issuer's `Name`, with its outer SEQUENCE.
    pub(super) issuer_name: Box<[u8]>,
    /// The issuer's `SubjectPublicKeyInfo`, with its outer SEQUENCE.
    pub(super) issuer_key: Box<[u8]>,
    pub(super) serial: Box<[u8]>,
    pub(super) is_ca: bool,
    pub(super) must_staple: bool,
    /// The URIs of its distribution points, of any scheme. `None` without the extension.
    pub(super) points: Option<Box<[Box<str>]>>,
    /// Where a list can be fetched.
    pub(super) crl_uris: Box<[Uri]>,
    /// Where a responder can be asked.
    pub(super) ocsp_uris: Box<[Uri]>,
}

impl Subject {
    pub(super) fn parse(link: &Link) -> Result<Self> {
        let certificate = Certificate::parse(link.certificate())?;
        let mut subject = Self {
            key: key(&[link.issuer_name(), link.issuer_key(), certificate.serial]),
            issuer: key(&[link.issuer_name(), link.issuer_key()]),
            issuer_name: link.issuer_name().into(),
            issuer_key: link.issuer_key().into(),
            serial: certificate.serial.into(),
            is_ca: false,
            must_staple: false,
            points: None,
            crl_uris: Box::default(),
            ocsp_uris: Box::default(),
        };
        certificate.extensions(|extension| {
            match extension.id {
                id::BASIC_CONSTRAINTS => {
                    subject.is_ca = BasicConstraints::from_der(extension.value)?.ca;
                }
                id::CRL_DISTRIBUTION_POINTS => {
                    let points = whole(extension.value, points)?;
                    subject.crl_uris = fetchable(&points);
                    subject.points = Some(points.into_iter().map(Into::into).collect());
                }
                id::AUTHORITY_INFO_ACCESS => {
                    subject.ocsp_uris = fetchable(&whole(extension.value, responders)?);
                }
                id::TLS_FEATURE => {
                    subject.must_staple = whole(extension.value, has_status_request)?;
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(subject)
    }

    /// The serial number as people write it.
    pub(super) fn serial_text(&self) -> String {
        let hex: Vec<_> = self
            .serial
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        hex.join(":")
    }
}

/// The parts of a certificate, as it was sent.
pub(super) struct Certificate<'a> {
    pub(super) signed: Signed<'a>,
    pub(super) serial: &'a [u8],
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
    pub(super) key: &'a [u8],
    extensions: Option<&'a [u8]>,
}

impl<'a> Certificate<'a> {
    pub(super) fn parse(der: &'a [u8]) -> Result<Self> {
        let signed = whole(der, |reader| sequence(reader, Signed::read))?;
        whole(signed.message, |reader| {
            sequence(reader, |reader| {
                // The version. What follows from it is for whoever verifies the path.
                optional(reader, constructed(TagNumber::N0))?;
                let serial = integer(reader)?;
                let algorithm = value(reader, Tag::Sequence)?;
                if algorithm != signed.algorithm {
                    return Err(Tag::Sequence.value_error());
                }
                let issuer = reader.tlv_bytes()?;
                let (not_before, not_after) =
                    sequence(reader, |reader| Ok((time(reader)?, time(reader)?)))?;
                let subject = reader.tlv_bytes()?;
                let key = reader.tlv_bytes()?;
                for unique_id in [TagNumber::N1, TagNumber::N2] {
                    optional(reader, primitive(unique_id))?;
                }
                let extensions = optional(reader, constructed(TagNumber::N3))?;
                Ok(Self {
                    signed,
                    serial,
                    issuer,
                    subject,
                    not_before,
                    not_after,
                    key,
                    extensions,
                })
            })
        })
    }

    pub(super) fn extensions(
        &self,
        each: impl FnMut(super::asn1::Extension<'a>) -> Result<()>,
    ) -> Result<()> {
        match self.extensions {
            Some(bytes) => whole(bytes, |reader| extensions(reader, each)),
            None => Ok(()),
        }
    }

    /// Whether its key may sign lists: where there is a usage, that has to be among it (RFC 5280 section 6.3.3 step f).
    pub(super) fn may_sign_lists(&self) -> Result<bool> {
        let mut may = true;
        self.extensions(|extension| {
            if extension.id == id::KEY_USAGE {
                may = KeyUsage::from_der(extension.value)?.crl_sign();
            }
            Ok(())
        })?;
        Ok(may)
    }

    /// Whether its key may sign OCSP responses for the CA that issued it (RFC 6960 section 4.2.2.2), and it has no critical
    /// extension that is not understood here.
    pub(super) fn may_answer(&self) -> Result<bool> {
        let (mut usage, mut purpose, mut understood) = (true, false, true);
        self.extensions(|extension| {
            match extension.id {
                id::KEY_USAGE => {
                    usage = KeyUsage::from_der(extension.value)?.digital_signature();
                }
                id::EXT_KEY_USAGE => {
                    purpose = whole(extension.value, is_for_ocsp)?;
                }
                // It signs nothing but responses here, so these limit nothing.
                id::BASIC_CONSTRAINTS | id::SUBJECT_ALT_NAME | id::OCSP_NOCHECK => {}
                _ => understood &= !extension.critical,
            }
            Ok(())
        })?;
        Ok(usage && purpose && understood)
    }
}

/// `CRLDistributionPoints` (RFC 5280 section 4.2.1.13). Those of another issuer, and those for some reasons only, are left out: a
/// list that is complete is needed to say that a certificate is good.
fn points<'a>(reader: &mut SliceReader<'a>) -> Result<Vec<&'a str>> {
    let mut uris = Vec::new();
    sequence(reader, |reader| {
        while !reader.is_finished() {
            sequence(reader, |reader| {
                let name = optional(reader, constructed(TagNumber::N0))?;
                let reasons = optional(reader, primitive(TagNumber::N1))?;
                let issuer = optional(reader, constructed(TagNumber::N2))?;
                if let (Some(name), None, None) = (name, reasons, issuer) {
                    uris.extend(point_uris(name)?.unwrap_or_default());
                }
                Ok(())
            })?;
        }
        Ok(())
    })?;
    Ok(uris)
}

/// The responders in `AuthorityInfoAccessSyntax` (RFC 5280 section 4.2.2.1).
fn responders<'a>(reader: &mut SliceReader<'a>) -> Result<Vec<&'a str>> {
    let mut uris = Vec::new();
    sequence(reader, |reader| {
        while !reader.is_finished() {
            sequence(reader, |reader| {
                let method = value(reader, Tag::ObjectIdentifier)?;
                let location = reader.tlv_bytes()?;
                if method == id::OCSP {
                    uris.extend(super::asn1::uris(location)?);
                }
                Ok(())
            })?;
        }
        Ok(())
    })?;
    Ok(uris)
}

/// Whether `ExtKeyUsageSyntax` (RFC 5280 section 4.2.1.12) names it. Any purpose is not this one: RFC 6960 section 4.2.2.2 asks for it.
fn is_for_ocsp(reader: &mut SliceReader<'_>) -> Result<bool> {
    sequence(reader, |reader| {
        let mut is = false;
        while !reader.is_finished() {
            is |= value(reader, Tag::ObjectIdentifier)? == id::OCSP_SIGNING;
        }
        Ok(is)
    })
}

fn has_status_request(reader: &mut SliceReader<'_>) -> Result<bool> {
    sequence(reader, |reader| {
        let mut has = false;
        while !reader.is_finished() {
            has |= integer(reader)? == STATUS_REQUEST;
        }
        Ok(has)
    })
}

/// Plain HTTP only: https would need another certificate checked first, and the answer is signed anyway (RFC 5280 section 8).
fn fetchable(uris: &[&str]) -> Box<[Uri]> {
    uris.iter()
        .filter_map(|uri| uri.parse::<Uri>().ok())
        .filter(|uri| uri.scheme() == Some(&::http::uri::Scheme::HTTP))
        .filter(|uri| {
            uri.authority()
                .is_some_and(|host| !host.as_str().contains('@'))
        })
        .take(MAX_URIS)
        .collect()
}

/// A name as RFC 4514 writes it, for messages: of one line, and not too long.
pub(super) fn name_text(name: &[u8]) -> String {
    let Ok(name) = x509_cert::name::Name::from_der(name) else {
        return "a name that cannot be read".to_owned();
    };
    let printable = |c: char| {
        if c.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    name.to_string()
        .chars()
        .map(printable)
        .take(MAX_NAME)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `Name` with this common name, of less than 100 bytes.
    fn name(common_name: &[u8]) -> Vec<u8> {
        let length = u8::try_from(common_name.len()).expect("short");
        let head = [
            [0x30, length + 11, 0x31, length + 9, 0x30, length + 7],
            [0x06, 0x03, 0x55, 0x04, 0x03, 0x0c],
        ];
        [&head.concat()[..], &[length], common_name].concat()
    }

    #[test]
    fn names_in_messages_are_of_one_line() {
        assert_eq!(name_text(&name(b"ca")), "CN=ca");
        let text = name_text(&name(b"ca\nERROR all is lost\x1b[2J"));
        assert!(!text.contains(char::is_control), "{text:?}");
        assert!(text.contains("all is lost"));
        assert_eq!(name_text(b"nonsense"), "a name that cannot be read");
    }

    #[test]
    fn parts_that_are_divided_differently_have_different_keys() {
        assert_eq!(key(&[b"ab", b"c"]), key(&[b"ab", b"c"]));
        assert_ne!(key(&[b"ab", b"c"]), key(&[b"a", b"bc"]));
        assert_ne!(key(&[b"abc"]), key(&[b"abc", b""]));
    }
}
