//! Structures of which only parts matter, read in place.
//!
//! A list of 200,000 entries is read without an allocation for each, and what was signed is at hand as it was sent: encoding it
//! again would not always give the same bytes.

use std::time::SystemTime;

use der::{
    Decode, Error, ErrorKind, Reader, Result, SliceReader, Tag, TagNumber, Tagged,
    asn1::{AnyRef, OctetStringRef},
};
use x509_cert::time::Time;

/// `[number]`, with more elements inside.
pub(crate) const fn constructed(number: TagNumber) -> Tag {
    Tag::ContextSpecific {
        constructed: true,
        number,
    }
}

/// `[number]`, with a value inside.
pub(crate) const fn primitive(number: TagNumber) -> Tag {
    Tag::ContextSpecific {
        constructed: false,
        number,
    }
}

/// Reads `bytes` to their end.
pub(crate) fn whole<'a, T>(
    bytes: &'a [u8],
    read: impl FnOnce(&mut SliceReader<'a>) -> Result<T>,
) -> Result<T> {
    let mut reader = SliceReader::new(bytes)?;
    let value = read(&mut reader)?;
    reader.finish(value)
}

/// The contents of the next element, which has to have this tag.
pub(crate) fn value<'a>(reader: &mut SliceReader<'a>, tag: Tag) -> Result<&'a [u8]> {
    let element = AnyRef::decode(reader)?;
    element.tag().assert_eq(tag)?;
    Ok(element.value())
}

/// The contents of the next element, if it has this tag.
pub(crate) fn optional<'a>(reader: &mut SliceReader<'a>, tag: Tag) -> Result<Option<&'a [u8]>> {
    if reader.is_finished() || reader.peek_tag()? != tag {
        return Ok(None);
    }
    value(reader, tag).map(Some)
}

/// The next element, which has to be a sequence.
pub(crate) fn sequence<'a, T>(
    reader: &mut SliceReader<'a>,
    read: impl FnOnce(&mut SliceReader<'a>) -> Result<T>,
) -> Result<T> {
    whole(value(reader, Tag::Sequence)?, read)
}

/// An integer, as short as it can be written.
///
/// webpki lets certificates through whose serial number has more leading zeros than it needs; a list may write it without.
pub(crate) fn integer<'a>(reader: &mut SliceReader<'a>) -> Result<&'a [u8]> {
    let bytes = value(reader, Tag::Integer)?;
    if bytes.is_empty() {
        return Err(Error::from(ErrorKind::Length { tag: Tag::Integer }));
    }
    Ok(minimal(bytes))
}

fn minimal(mut bytes: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = bytes {
        match rest.first() {
            Some(next) if *next < 0x80 => bytes = rest,
            _ => break,
        }
    }
    bytes
}

pub(crate) fn time(reader: &mut SliceReader<'_>) -> Result<SystemTime> {
    Ok(SystemTime::UNIX_EPOCH + Time::decode(reader)?.to_unix_duration())
}

/// What identifies extensions and purposes, as it stands in DER: there are more identifiers than a type for them would let through.
pub(crate) mod id {
    // id-ce, RFC 5280 sections 4.2.1 and 5.2
    pub(crate) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
    pub(crate) const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
    pub(crate) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
    pub(crate) const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 0x14];
    pub(crate) const CRL_REASON: &[u8] = &[0x55, 0x1d, 0x15];
    pub(crate) const DELTA_CRL_INDICATOR: &[u8] = &[0x55, 0x1d, 0x1b];
    pub(crate) const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 0x1c];
    pub(crate) const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 0x1f];
    pub(crate) const EXT_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
    // id-pe, id-kp and id-ad, RFC 5280 sections 4.2.1.12 and 4.2.2.1, RFC 7633
    pub(crate) const AUTHORITY_INFO_ACCESS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 1];
    pub(crate) const TLS_FEATURE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 24];
    pub(crate) const OCSP_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 9];
    pub(crate) const OCSP: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1];
    // id-pkix-ocsp, RFC 6960 section 4.2.2.2.1
    pub(crate) const OCSP_NOCHECK: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 5];
}

/// One of the `Extensions` of RFC 5280 section 4.1.
pub(crate) struct Extension<'a> {
    /// The contents of its OBJECT IDENTIFIER: one of [`id`], or none that matters here.
    pub(crate) id: &'a [u8],
    pub(crate) critical: bool,
    pub(crate) value: &'a [u8],
}

/// Calls `each` with every extension of a `SEQUENCE OF Extension`.
///
/// # Errors
///
/// If one comes twice: which of them holds is anybody's guess (RFC 5280 section 4.2).
pub(crate) fn extensions<'a>(
    reader: &mut SliceReader<'a>,
    mut each: impl FnMut(Extension<'a>) -> Result<()>,
) -> Result<()> {
    let mut seen = Vec::new();
    sequence(reader, |reader| {
        while !reader.is_finished() {
            let extension = sequence(reader, |reader| {
                let id = value(reader, Tag::ObjectIdentifier)?;
                let critical = match reader.peek_tag()? {
                    Tag::Boolean => bool::decode(reader)?,
                    _ => false,
                };
                let value = OctetStringRef::decode(reader)?.as_bytes();
                Ok(Extension {
                    id,
                    critical,
                    value,
                })
            })?;
            if seen.contains(&extension.id) {
                return Err(Tag::Sequence.value_error());
            }
            // No certificate has so many, and the search for a second one is linear.
            if seen.len() == 64 {
                return Err(Error::from(ErrorKind::Overlength));
            }
            seen.push(extension.id);
            each(extension)?;
        }
        Ok(())
    })
}

/// The URIs among `GeneralNames` (RFC 5280 section 4.2.1.6), given its contents. Other names are passed over.
pub(crate) fn uris(names: &[u8]) -> Result<Vec<&str>> {
    whole(names, |reader| {
        let mut uris = Vec::new();
        while !reader.is_finished() {
            let name = AnyRef::decode(reader)?;
            if name.tag() == primitive(TagNumber::N6) {
                // Not an IA5String is not a URI.
                uris.extend(
                    std::str::from_utf8(name.value())
                        .ok()
                        .filter(|uri| uri.is_ascii()),
                );
            }
        }
        Ok(uris)
    })
}

/// The URIs of a `DistributionPointName`, given the contents of the `[0]` that holds it. `None` if it is relative to the issuer's name.
pub(crate) fn point_uris(name: &[u8]) -> Result<Option<Vec<&str>>> {
    whole(name, |reader| {
        match optional(reader, constructed(TagNumber::N0))? {
            Some(names) => uris(names).map(Some),
            None => value(reader, constructed(TagNumber::N1)).map(|_| None),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_as_short_as_they_can_be() {
        for (written, read) in [
            (&[0x02, 0x01, 0x00][..], &[0x00][..]),
            (&[0x02, 0x02, 0x00, 0x01], &[0x01]),
            (&[0x02, 0x02, 0x00, 0xff], &[0x00, 0xff]),
            (&[0x02, 0x04, 0x00, 0x00, 0x00, 0x80], &[0x00, 0x80]),
            (&[0x02, 0x01, 0xff], &[0xff]),
        ] {
            assert_eq!(whole(written, integer).expect("an integer"), read);
        }
        assert!(whole(&[0x02, 0x00], integer).is_err());
        assert!(whole(&[0x04, 0x01, 0x00], integer).is_err());
    }

    #[test]
    fn an_extension_that_comes_twice_is_an_error() {
        let one = [0x30, 0x07, 0x06, 0x03, 0x55, 0x1d, 0x14, 0x04, 0x00];
        let count = |bytes: &[u8]| {
            let mut count = 0;
            whole(bytes, |reader| {
                extensions(reader, |_| {
                    count += 1;
                    Ok(())
                })
            })
            .map(|()| count)
        };
        let once = [&[0x30, 0x09][..], &one].concat();
        let twice = [&[0x30, 0x12][..], &one, &one].concat();
        assert_eq!(count(&once), Ok(1));
        assert!(count(&twice).is_err());
    }
}
