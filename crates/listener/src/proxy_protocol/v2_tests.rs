//! Headers as they are on the wire.

use proptest::prelude::*;

use super::*;

const MAX: usize = 4096;

fn header(version_command: u8, family_transport: u8, rest: &[u8]) -> Vec<u8> {
    let len = u16::try_from(rest.len()).expect("it is short");
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend([version_command, family_transport]);
    bytes.extend(len.to_be_bytes());
    bytes.extend(rest);
    bytes
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(value.len()).expect("it is short");
    let mut bytes = vec![kind];
    bytes.extend(len.to_be_bytes());
    bytes.extend(value);
    bytes
}

const INET: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 0, 80];

fn over_tcp4(tlvs: &[u8]) -> Vec<u8> {
    header(0x21, 0x11, &[&INET, tlvs].concat())
}

fn parsed(bytes: &[u8]) -> Result<ProxyHeader, ProxyProtocolError> {
    match super::super::parse(bytes, MAX)? {
        Parsed::Header { header, len } => {
            assert_eq!(len, bytes.len());
            Ok(header)
        }
        other => panic!("{other:?}"),
    }
}

fn shown(header: &ProxyHeader) -> String {
    let show = |address: Option<&Address>| address.map_or("-".to_owned(), ToString::to_string);
    format!("{} {}", show(header.source()), show(header.destination()))
}

#[test]
fn addresses() {
    assert_eq!(
        shown(&parsed(&over_tcp4(&[])).expect("good")),
        "192.0.2.7:4711 198.51.100.1:80"
    );

    let (one, two): (Ipv6Addr, Ipv6Addr) = (
        "2001:db8::1".parse().expect("valid"),
        "::ffff:192.0.2.7".parse().expect("valid"),
    );
    let rest = [&one.octets()[..], &two.octets(), &[0, 1, 0, 2]].concat();
    assert_eq!(
        shown(&parsed(&header(0x21, 0x21, &rest)).expect("good")),
        "[2001:db8::1]:1 192.0.2.7:2"
    );

    let mut rest = [0; 216];
    rest[..9].copy_from_slice(b"/run/sock");
    rest[109..112].copy_from_slice(b"abs");
    assert_eq!(
        shown(&parsed(&header(0x21, 0x31, &rest)).expect("good")),
        "unix:/run/sock unix:@abs"
    );
    let full = parsed(&header(0x21, 0x31, &[b'x'; 216])).expect("good");
    assert_eq!(shown(&full), format!("unix:{0} unix:{0}", "x".repeat(108)));
    let unnamed = parsed(&header(0x21, 0x31, &[0; 216])).expect("good");
    assert_eq!(unnamed.source(), Some(&Address::Unix(None)));
}

#[test]
fn of_the_proxys_own_connections_all_is_ignored() {
    for (family_transport, rest) in [(0, &[][..]), (0x11, &INET), (0xff, b"whatever")] {
        let header = parsed(&header(0x20, family_transport, rest)).expect("good");
        assert!(header.is_local());
        assert_eq!((shown(&header).as_str(), header.tlvs().count()), ("- -", 0));
    }
}

#[test]
fn a_proxy_may_say_nothing() {
    let header = parsed(&header(0x21, 0, &tlv(0x05, b"id"))).expect("good");
    assert!(!header.is_local());
    assert_eq!(shown(&header), "- -");
    assert_eq!(header.unique_id(), Some(&b"id"[..]));
}

#[test]
fn what_else_is_said() {
    let tls = [
        &[0b101, 0, 0, 0, 0][..],
        &tlv(0x21, b"TLSv1.3"),
        &tlv(0x22, b"ada"),
        &tlv(0x23, b"AES"),
    ]
    .concat();
    let tlvs = [
        tlv(0x01, b"h2"),
        tlv(0x02, b"example.com"),
        tlv(0x20, &tls),
        tlv(0x30, b"blue"),
        tlv(0xea, b"\x01vpce-1"),
        tlv(0xea, b"second"),
        tlv(0x04, b""),
    ]
    .concat();
    let header = parsed(&over_tcp4(&tlvs)).expect("good");
    assert_eq!(header.version(), 2);
    assert_eq!(header.alpn(), Some(&b"h2"[..]));
    assert_eq!(header.authority(), Some("example.com"));
    assert_eq!(header.namespace(), Some("blue"));
    assert_eq!(header.tlv(0xea), Some(&b"\x01vpce-1"[..]));
    assert_eq!((header.tlvs().count(), header.unique_id()), (7, None));
    let tls = header.tls().expect("it was said");
    assert!(tls.is_client_verified());
    assert_eq!(
        (tls.version(), tls.common_name(), tls.cipher()),
        (Some("TLSv1.3"), Some("ada"), Some("AES"))
    );
}

#[test]
fn a_client_without_a_good_certificate_is_not_verified() {
    // Nothing to verify, not shown in this session, found wanting.
    for head in [
        [0b001, 0, 0, 0, 0],
        [0b011, 0, 0, 0, 0],
        [0b111, 0, 0, 0, 1],
    ] {
        let header = parsed(&over_tcp4(&tlv(0x20, &head))).expect("good");
        assert!(!header.tls().expect("it was said").is_client_verified());
    }
    for value in [&[0b110, 0, 0, 0, 0][..], &[1, 0, 0, 0], &[]] {
        let header = parsed(&over_tcp4(&tlv(0x20, value))).expect("good");
        assert!(header.tls().is_none(), "no TLS, or not said");
    }
}

/// With a checksum as a proxy computes it.
fn sealed(before: &[u8], after: &[u8]) -> Vec<u8> {
    let blank = [before, &tlv(CRC32C, &[0; 4]), after].concat();
    let sum = crc32c(over_tcp4(&blank)).to_be_bytes();
    over_tcp4(&[before, &tlv(CRC32C, &sum), after].concat())
}

#[test]
fn a_checksum_is_verified() {
    for (before, after) in [(vec![], vec![]), (tlv(2, b"a"), tlv(5, b"b"))] {
        let good = sealed(&before, &after);
        parsed(&good).expect("good");
        for at in FIXED..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(
                super::super::parse(&bad, MAX).is_err() || changes_shape(&bad),
                "byte {at} was changed"
            );
        }
    }
    assert!(parsed(&over_tcp4(&tlv(CRC32C, &[0; 3]))).is_err());
    let sum = tlv(CRC32C, &[0; 4]);
    assert!(parsed(&over_tcp4(&[sum.clone(), sum].concat())).is_err());
}

/// The checksum is no longer one: it is another kind of TLV by now.
fn changes_shape(bytes: &[u8]) -> bool {
    parsed(bytes).is_ok_and(|header| header.tlv(CRC32C).is_none())
}

#[test]
fn what_is_none() {
    for (bytes, why) in [
        (header(0x11, 0x11, &INET), "version 1"),
        (header(0x31, 0x11, &INET), "version 3"),
        (header(0x22, 0x11, &INET), "command 2"),
        (header(0x21, 0x12, &INET), "datagrams"),
        (header(0x21, 0x13, &INET), "no such transport"),
        (header(0x21, 0x41, &INET), "no such family"),
        (header(0x21, 0x11, &INET[..11]), "short"),
        (header(0x21, 0x21, &INET), "short for IPv6"),
        (header(0x21, 0x31, &INET), "short for Unix"),
        (over_tcp4(&[1]), "half a TLV"),
        (over_tcp4(&[1, 0, 1]), "a TLV without its value"),
    ] {
        assert!(parsed(&bytes).expect_err(why).is_malformed());
    }
}

#[test]
fn what_is_too_long_is_known_before_it_has_come() {
    let mut head = SIGNATURE.to_vec();
    head.extend([0x21, 0x11, 0xff, 0xff]);
    assert!(super::super::parse(&head, MAX).is_err());
}

#[test]
fn every_beginning_is_incomplete() {
    let whole = sealed(&tlv(2, b"example.com"), &[]);
    for end in 0..whole.len() {
        let parsed = super::super::parse(&whole[..end], MAX);
        assert!(matches!(parsed, Ok(Parsed::Incomplete)), "{end}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = super::super::parse(&bytes, MAX);
        let _ = super::super::parse(&[SIGNATURE, &bytes].concat(), MAX);
        let _ = super::super::parse(&[super::super::v1::SIGNATURE, &bytes].concat(), MAX);
        if let Ok(Parsed::Header { header, .. }) = super::super::parse(&over_tcp4(&bytes), MAX) {
            let _ = (header.tls().map(|tls| tls.tlvs().count()), header.authority());
        }
    }

    #[test]
    fn what_follows_makes_no_difference(rest in prop::collection::vec(any::<u8>(), 0..50)) {
        let whole = over_tcp4(&tlv(2, b"example.com"));
        let Ok(Parsed::Header { header, len }) = super::super::parse(&[&whole[..], &rest].concat(), MAX) else {
            panic!("it is all there");
        };
        prop_assert_eq!(len, whole.len());
        prop_assert_eq!(header, parsed(&whole).expect("good"));
    }
}
