//! What is not taken at all: lists that are not supported, lists that are too large, and what is no list.

use bartizan_tls::revocation::{CrlIndex, CrlPlace};

use super::{added, index};
use crate::revocation::pki::{Ca, List, provider, tlv};

#[test]
fn lists_that_are_not_supported_are_refused_alone() {
    let ca = Ca::root("ca");
    let index = index(&ca);
    // An `issuingDistributionPoint`, critical as it has to be.
    let point = |contents: &[u8]| extension(&[0x55, 0x1d, 0x1c], true, &tlv(0x30, contents));
    let number = extension(&[0x55, 0x1d, 0x14], false, &[0x02, 0x01, 0x01]);
    let certificate_issuer = extension(&[0x55, 0x1d, 0x1d], true, &[0x30, 0x00]);
    let date = tlv(0x17, b"231101000000Z");
    let entry = tlv(
        0x30,
        &[
            &[0x02, 0x01, 0x07],
            &date[..],
            &tlv(0x30, &certificate_issuer),
        ]
        .concat(),
    );
    for (version, end, entries, extensions, why) in [
        (
            &[1][..],
            true,
            vec![],
            extension(&[0x55, 0x1d, 0x1b], true, &[0x02, 0x01, 0x01]),
            "it is a delta",
        ),
        (
            &[1],
            true,
            vec![],
            point(&[0x84, 0x01, 0xff]),
            "it is indirect",
        ),
        (
            &[1],
            true,
            vec![],
            point(&[0x85, 0x01, 0xff]),
            "attribute certificates",
        ),
        (
            &[1],
            true,
            vec![],
            point(&[0x83, 0x02, 0x07, 0x80]),
            "some reasons",
        ),
        (
            &[1],
            true,
            vec![],
            point(&[0xa0, 0x02, 0xa1, 0x00]),
            "relative to its issuer",
        ),
        (
            &[1],
            true,
            vec![],
            extension(&[0x2a, 0x03], true, &[0x05, 0x00]),
            "critical extension",
        ),
        (
            &[1],
            true,
            entry,
            number.clone(),
            "an entry has a critical extension",
        ),
        (&[1], false, vec![], number.clone(), "believed for ever"),
        (
            &[2],
            true,
            vec![],
            number.clone(),
            "a version that does not exist",
        ),
    ] {
        let list = ca.raw_list(version, end, &entries, &extensions);
        let error = index.add(list).remove(0).expect_err(why);
        assert!(error.is_unsupported(), "{why}: {error:?}");
        assert!(error.to_string().contains(why), "{error}");
    }
    // The same without anything of that, and a critical extension that says nothing.
    assert_eq!(
        added(&index, ca.raw_list(&[1], true, &[], &number)),
        CrlPlace::InUse
    );
    assert_eq!(
        added(&index, ca.list_of(&List::new(2, &[]))),
        CrlPlace::InUse
    );
}

/// An `Extension` with this OID.
fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical {
        &[0x01, 0x01, 0xff][..]
    } else {
        &[]
    };
    tlv(
        0x30,
        &[&tlv(0x06, oid)[..], critical, &tlv(0x04, value)].concat(),
    )
}

#[test]
fn what_is_too_large_is_refused_before_it_is_read() {
    let ca = Ca::root("ca");
    let list = ca.list(&[7]);
    let index = index(&ca);
    let exact = index.clone().with_max_size(list.len());
    assert_eq!(added(&exact, list.clone()), CrlPlace::InUse);
    let error = index.with_max_size(list.len() - 1).add(list).remove(0);
    assert!(error.is_err_and(|error| error.is_too_large()));
}

#[test]
fn what_is_no_list_says_so() {
    let index = CrlIndex::new(&provider());
    for bytes in [
        &b""[..],
        b"nonsense",
        b"\x30\x03\x02\x01\x05",
        b"-----BEGIN X509 CRL-----\n",
    ] {
        let added = index.add(bytes);
        assert_eq!(added.len(), 1);
        assert!(
            added[0]
                .as_ref()
                .is_err_and(bartizan_tls::revocation::CrlError::is_malformed)
        );
    }
    assert!(index.is_empty());
    assert!(index.add_issuers([b"nonsense"]).is_err());
}
