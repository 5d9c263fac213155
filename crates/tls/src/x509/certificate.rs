//! One certificate (RFC 5280 section 4.1), as far as it is needed.

use std::time::SystemTime;

use der::{Decode, Reader, Result, SliceReader, Tag, TagNumber, asn1::BitStringRef};

use super::{
    PeerName,
    asn1::{
        Extension, constructed, extensions, id, integer, optional, primitive, sequence, time,
        value, whole,
    },
    read_names,
    signed::Signed,
};

/// The number of the TLS extension `status_request`, as a feature (RFC 7633).
const STATUS_REQUEST: &[u8] = &[5];

/// A bit of the key usage extension (RFC 5280 section 4.2.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    DigitalSignature,
    KeyCertSign,
    CrlSign,
}

impl Usage {
    /// Within the first octet of the bits, which holds all three.
    const fn bit(self) -> u8 {
        match self {
            Self::DigitalSignature => 0x80,
            Self::KeyCertSign => 0x80 >> 5,
            Self::CrlSign => 0x80 >> 6,
        }
    }

    /// As RFC 5280 section 4.2.1.3 writes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::DigitalSignature => "digitalSignature",
            Self::KeyCertSign => "keyCertSign",
            Self::CrlSign => "cRLSign",
        }
    }

    /// Whether the value of the extension has it.
    fn is_in(self, value: &[u8]) -> Result<bool> {
        let bits = BitStringRef::from_der(value)?;
        let first = bits.raw_bytes().first().copied().unwrap_or(0);
        Ok(first & self.bit() != 0)
    }
}

/// The parts of a certificate, as it was sent.
pub(crate) struct Certificate<'a> {
    pub(crate) signed: Signed<'a>,
    pub(crate) serial: &'a [u8],
    /// A `Name`, with its outer SEQUENCE.
    pub(crate) issuer: &'a [u8],
    /// A `Name`, with its outer SEQUENCE.
    pub(crate) subject: &'a [u8],
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    /// A `SubjectPublicKeyInfo`, with its outer SEQUENCE.
    pub(crate) key: &'a [u8],
    extensions: Option<&'a [u8]>,
}

impl<'a> Certificate<'a> {
    pub(crate) fn parse(der: &'a [u8]) -> Result<Self> {
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

    pub(crate) fn extensions(&self, each: impl FnMut(Extension<'a>) -> Result<()>) -> Result<()> {
        match self.extensions {
            Some(bytes) => whole(bytes, |reader| extensions(reader, each)),
            None => Ok(()),
        }
    }

    /// The value of an extension.
    fn extension(&self, id: &[u8]) -> Result<Option<&'a [u8]>> {
        let mut found = None;
        self.extensions(|extension| {
            if extension.id == id {
                found = Some(extension.value);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Whether the key may be used so. Without the extension it may be (RFC 5280 section 6.1.4, (n), and 6.3.3, (f)).
    pub(crate) fn allows(&self, usage: Usage) -> Result<bool> {
        let value = self.extension(id::KEY_USAGE)?;
        value.map_or(Ok(true), |value| usage.is_in(value))
    }

    /// Whether it demands a staple (RFC 7633).
    pub(crate) fn must_staple(&self) -> Result<bool> {
        let value = self.extension(id::TLS_FEATURE)?;
        value.map_or(Ok(false), |value| whole(value, has_status_request))
    }

    /// The names in its subject alternative name extension that can be read; of others, and of what follows a broken one, nothing is
    /// said.
    pub(crate) fn names(&self) -> Vec<PeerName> {
        let mut names = Vec::new();
        if let Ok(Some(value)) = self.extension(id::SUBJECT_ALT_NAME) {
            // Whatever was read before the error stands.
            let _ = read_names(value, &mut names);
        }
        names
    }

    /// Whether its key may sign OCSP responses for the CA that issued it (RFC 6960 section 4.2.2.2), and it has no critical
    /// extension that is not understood here.
    pub(crate) fn may_answer(&self) -> Result<bool> {
        let (mut usage, mut purpose, mut understood) = (true, false, true);
        self.extensions(|extension| {
            match extension.id {
                id::KEY_USAGE => usage = Usage::DigitalSignature.is_in(extension.value)?,
                id::EXT_KEY_USAGE => purpose = whole(extension.value, is_for_ocsp)?,
                // It signs nothing but responses here, so these limit nothing.
                id::BASIC_CONSTRAINTS | id::SUBJECT_ALT_NAME | id::OCSP_NOCHECK => {}
                _ => understood &= !extension.critical,
            }
            Ok(())
        })?;
        Ok(usage && purpose && understood)
    }
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

/// Whether the `Features` of RFC 7633 demand a staple.
pub(crate) fn has_status_request(reader: &mut SliceReader<'_>) -> Result<bool> {
    sequence(reader, |reader| {
        let mut has = false;
        while !reader.is_finished() {
            has |= integer(reader)? == STATUS_REQUEST;
        }
        Ok(has)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn usages_are_those_of_the_extension() {
        use rcgen::KeyUsagePurpose as Purpose;
        let all = [Usage::DigitalSignature, Usage::KeyCertSign, Usage::CrlSign];
        let key = rcgen::KeyPair::generate().unwrap();
        for (purposes, expected) in [
            (vec![], [true, true, true]),
            (vec![Purpose::KeyAgreement], [false, false, false]),
            (vec![Purpose::DigitalSignature], [true, false, false]),
            (vec![Purpose::KeyCertSign], [false, true, false]),
            (vec![Purpose::CrlSign], [false, false, true]),
        ] {
            let mut params = rcgen::CertificateParams::new(["a.test".to_owned()]).unwrap();
            params.key_usages = purposes;
            let made = params.self_signed(&key).unwrap();
            let certificate = Certificate::parse(made.der()).unwrap();
            assert_eq!(all.map(|usage| certificate.allows(usage)), expected.map(Ok));
        }
    }

    /// Everything that is asked of one.
    fn ask(der: &[u8]) -> Option<usize> {
        let certificate = Certificate::parse(der).ok()?;
        let _ = (certificate.must_staple(), certificate.may_answer());
        let _ = certificate.allows(Usage::CrlSign);
        Some(certificate.names().len())
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            ask(&bytes);
        }

        #[test]
        fn nor_does_a_certificate_with_some_of_them_changed(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
            let params = rcgen::CertificateParams::new(vec!["a.test".into(), "127.0.0.1".into()]).unwrap();
            let key = rcgen::KeyPair::generate().unwrap();
            let mut der = params.self_signed(&key).unwrap().der().to_vec();
            prop_assert_eq!(ask(&der), Some(2));
            for (index, byte) in changes {
                let index = index.index(der.len());
                der[index] = byte;
            }
            ask(&der);
        }
    }
}
