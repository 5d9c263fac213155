//! What revocation wants to know of a certificate.

use ::http::Uri;
use der::{Decode, Reader, Result, SliceReader, Tag, TagNumber};
use sha2::{Digest, Sha256};
use x509_cert::ext::pkix::BasicConstraints;

use crate::{
    Link,
    x509::{
        Certificate, Usage,
        asn1::{constructed, id, optional, point_uris, primitive, sequence, uris, value, whole},
        has_status_request,
    },
};

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

/// A certificate that can be revoked, and who can revoke it. It is made once for a path, and not for each connection that takes it.
pub(crate) struct Subject {
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
    /// Whether it may sign lists of those that it issued.
    pub(super) may_sign_lists: bool,
    /// The URIs of its distribution points, of any scheme. `None` without the extension.
    pub(super) points: Option<Box<[Box<str>]>>,
    /// Where a list can be fetched.
    pub(super) lists: Box<[Source]>,
    /// Where a responder can be asked.
    pub(super) responders: Box<[Source]>,
}

/// Where something can be fetched.
pub(super) struct Source {
    pub(super) uri: Uri,
    /// By which what came from there is found again.
    pub(super) key: Key,
}

impl Subject {
    pub(crate) fn parse(link: &Link) -> Result<Self> {
        let certificate = Certificate::parse(link.certificate())?;
        let (of_subject, of_issuer) = (
            key(&[link.issuer_name(), link.issuer_key(), certificate.serial]),
            key(&[link.issuer_name(), link.issuer_key()]),
        );
        let mut subject = Self {
            key: of_subject,
            issuer: of_issuer,
            issuer_name: link.issuer_name().into(),
            issuer_key: link.issuer_key().into(),
            serial: certificate.serial.into(),
            is_ca: false,
            must_staple: false,
            may_sign_lists: certificate.allows(Usage::CrlSign)?,
            points: None,
            lists: Box::default(),
            responders: Box::default(),
        };
        certificate.extensions(|extension| {
            match extension.id {
                id::BASIC_CONSTRAINTS => {
                    subject.is_ca = BasicConstraints::from_der(extension.value)?.ca;
                }
                id::CRL_DISTRIBUTION_POINTS => {
                    let points = whole(extension.value, points)?;
                    subject.lists = fetchable(&points, &of_issuer);
                    subject.points = Some(points.into_iter().map(Into::into).collect());
                }
                id::AUTHORITY_INFO_ACCESS => {
                    subject.responders =
                        fetchable(&whole(extension.value, responders)?, &of_subject);
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
    let mut found = Vec::new();
    sequence(reader, |reader| {
        while !reader.is_finished() {
            sequence(reader, |reader| {
                let method = value(reader, Tag::ObjectIdentifier)?;
                let location = reader.tlv_bytes()?;
                if method == id::OCSP {
                    found.extend(uris(location)?);
                }
                Ok(())
            })?;
        }
        Ok(())
    })?;
    Ok(found)
}

/// Plain HTTP only: https would need another certificate checked first, and the answer is signed anyway (RFC 5280 section 8).
fn fetchable(uris: &[&str], about: &Key) -> Box<[Source]> {
    uris.iter()
        .filter_map(|uri| uri.parse::<Uri>().ok())
        .filter(|uri| uri.scheme() == Some(&::http::uri::Scheme::HTTP))
        .filter(|uri| {
            uri.authority()
                .is_some_and(|host| !host.as_str().contains('@'))
        })
        .take(MAX_URIS)
        .map(|uri| Source {
            key: key(&[about, uri.to_string().as_bytes()]),
            uri,
        })
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
