//! What a peer is called.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged, asn1::AnyRef};

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

/// Reads `GeneralNames`, as far as they can be read.
pub(crate) fn read_names(extension: &[u8], names: &mut Vec<PeerName>) -> Result<(), der::Error> {
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
            let _ = read_names(&bytes, &mut Vec::new());
        }
    }
}
