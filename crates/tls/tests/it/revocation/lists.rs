//! Lists of revoked certificates.

use std::{
    error::Error as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bartizan_testing::ManualClock;
use bartizan_tls::{
    Provider,
    revocation::{CrlIndex, CrlPlace, Method, Refusal, Revocation, Verdict, fuzzing},
};
use rcgen::{
    CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope, KeyUsagePurpose, RevocationReason,
};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};

use super::pki::{Ca, DAY, HOUR, List, Wish, at, connect, connect_with, now, provider, tlv};
use crate::support::pem;

/// An index that knows `ca`, at the time of the tests.
fn index(ca: &Ca) -> CrlIndex {
    let index = CrlIndex::new(&provider()).with_clock(ManualClock::at(now()));
    index.add_issuers([&ca.der]).expect("a certificate");
    index
}

fn engine(index: &CrlIndex) -> Revocation {
    let builder = Revocation::of_clients(&provider()).crls(index.clone());
    builder.build().expect("an engine")
}

fn added(index: &CrlIndex, list: Vec<u8>) -> CrlPlace {
    let mut added = index.add(list);
    assert_eq!(added.len(), 1);
    added.remove(0).expect("a list").place
}

fn is_good(verdict: &Result<Verdict, Refusal>) -> bool {
    matches!(verdict, Ok(Verdict::Good(evidence)) if evidence.iter().all(|one| one.method == Method::Crl))
}

#[tokio::test]
async fn a_certificate_that_is_listed_is_refused_in_the_handshake() {
    let ca = Ca::root("ca");
    let index = index(&ca);
    assert_eq!(added(&index, ca.list(&[7, 9])), CrlPlace::InUse);
    let engine = engine(&index);
    for serial in [7, 9] {
        let chain = ca.chain(serial, &Wish::default());
        let refusal = bartizan_tls::revocation::Engine::in_handshake(&engine, &chain, &[], now())
            .expect_err("it is listed");
        assert!(refusal.is_revoked() && !refusal.is_retryable());
        assert_eq!(
            refusal.to_string(),
            format!(
                "the peer's certificate 0{serial} of `CN=ca` was revoked on 2023-11-12T22:13:20Z, says a certificate \
                 revocation list"
            )
        );
    }
    let verdict = connect(&engine, &ca.chain(8, &Wish::default())).await;
    let Ok(Verdict::Good(evidence)) = verdict else {
        panic!("8 is not listed: {verdict:?}");
    };
    assert_eq!(evidence[0].next_update, Some(at(6 * DAY)));
}

#[tokio::test]
async fn an_old_list_that_comes_first_or_last_lets_nobody_in() {
    let ca = Ca::root("ca");
    let chain = ca.chain(7, &Wish::default());
    let old = || ca.list_of(&List::new(0x7f, &[]));
    // One octet more, which is larger though its first is smaller.
    let new = || ca.list_of(&List::new(0x0100, &[7]));
    let first = index(&ca);
    assert_eq!(added(&first, old()), CrlPlace::InUse);
    assert_eq!(added(&first, new()), CrlPlace::InUse);
    let last = index(&ca);
    assert_eq!(added(&last, new()), CrlPlace::InUse);
    assert_eq!(added(&last, old()), CrlPlace::Superseded);
    for index in [first, last] {
        assert_eq!(index.len(), 1);
        assert!(
            connect(&engine(&index), &chain)
                .await
                .is_err_and(|refusal| refusal.is_revoked())
        );
    }
}

#[tokio::test]
async fn an_expired_list_says_that_nobody_is_good_but_still_who_is_revoked() {
    let ca = Ca::root("ca");
    let index = index(&ca);
    let expired = List {
        from: -2 * DAY,
        until: -1,
        ..List::new(1, &[7])
    };
    added(&index, ca.list_of(&expired));
    let engine = engine(&index);
    let refusal = connect(&engine, &ca.chain(8, &Wish::default())).await;
    assert!(refusal.is_err_and(|refusal| refusal.is_unavailable() && refusal.is_retryable()));
    let refusal = connect(&engine, &ca.chain(7, &Wish::default())).await;
    assert!(refusal.is_err_and(|refusal| refusal.is_revoked()));
    // The moment before, it says both.
    let chain = ca.chain(8, &Wish::default());
    assert!(is_good(&connect_with(&engine, &chain, &[], at(-2)).await));
    assert!(connect_with(&engine, &chain, &[], at(-1)).await.is_err());
}

#[tokio::test]
async fn a_hold_ends_with_its_list() {
    let ca = Ca::root("ca");
    let index = index(&ca);
    let list = List {
        reason: Some(RevocationReason::CertificateHold),
        ..List::new(1, &[7])
    };
    added(&index, ca.list_of(&list));
    let (engine, chain) = (engine(&index), ca.chain(7, &Wish::default()));
    let refusal = connect(&engine, &chain).await.expect_err("it is on hold");
    assert!(refusal.is_revoked() && refusal.to_string().contains("it is on hold"));
    let later = connect_with(&engine, &chain, &[], at(7 * DAY)).await;
    assert!(later.is_err_and(|refusal| refusal.is_unavailable()));
}

#[tokio::test]
async fn a_list_from_the_future_is_refused_alone() {
    let ca = Ca::root("ca");
    let index = index(&ca);
    added(&index, ca.list(&[7]));
    let future = List {
        from: 301,
        ..List::new(2, &[])
    };
    let error = index
        .add(ca.list_of(&future))
        .remove(0)
        .expect_err("it is from the future");
    assert!(error.is_not_yet_valid());
    assert!(error.to_string().contains("`CN=ca`"));
    let refusal = connect(&engine(&index), &ca.chain(7, &Wish::default())).await;
    assert!(refusal.is_err_and(|refusal| refusal.is_revoked()));
    // Clocks differ by as much as that.
    let near = List {
        from: 300,
        ..List::new(2, &[])
    };
    assert_eq!(added(&index, ca.list_of(&near)), CrlPlace::InUse);
}

#[tokio::test]
async fn a_list_of_a_stranger_with_the_same_name_is_refused_alone() {
    let (ca, stranger) = (Ca::root("ca"), Ca::root("ca"));
    let index = index(&ca);
    let pem =
        [stranger.list_of(&List::new(9, &[])), ca.list(&[7])].map(|der| pem("X509 CRL", &der));
    let mut added = index.add(pem.concat());
    assert_eq!(added.len(), 2);
    let error = added.remove(0).expect_err("the CA did not sign it");
    assert!(error.is_signature() && error.source().is_some());
    assert_eq!(added.remove(0).expect("the CA did").place, CrlPlace::InUse);
    let engine = engine(&index);
    assert!(
        connect(&engine, &ca.chain(7, &Wish::default()))
            .await
            .is_err()
    );
    assert!(is_good(
        &connect(&engine, &ca.chain(8, &Wish::default())).await
    ));
}

#[tokio::test]
async fn a_list_waits_for_an_issuer_that_nobody_named_and_a_forged_one_in_vain() {
    let root = Ca::root("root");
    let ca = root.intermediate("ca", 5, &Wish::default());
    let stranger = Ca::root("ca");
    let index = index(&root);
    assert_eq!(
        added(&index, stranger.list_of(&List::new(9, &[]))),
        CrlPlace::Waiting
    );
    assert_eq!(added(&index, ca.list(&[7])), CrlPlace::Waiting);
    added(&index, root.list(&[]));
    assert_eq!(index.len(), 1);
    let engine = engine(&index);
    let chain = |serial| fuzzing::chain(&[&ca.leaf(serial, &Wish::default()), &ca.der, &root.der]);
    assert!(is_good(&connect(&engine, &chain(8)).await));
    assert_eq!(index.len(), 2);
    assert!(
        connect(&engine, &chain(7))
            .await
            .is_err_and(|refusal| refusal.is_revoked())
    );
}

#[test]
fn no_more_lists_wait_than_there_is_room_for() {
    let index = CrlIndex::new(&provider()).with_clock(ManualClock::at(now()));
    let list = Ca::root("nobody").list(&[]);
    let added: Vec<_> = (0..100).flat_map(|_| index.add(list.clone())).collect();
    assert_eq!(added.iter().filter(|added| added.is_ok()).count(), 64);
    assert!(
        added[99]
            .as_ref()
            .is_err_and(bartizan_tls::revocation::CrlError::is_full)
    );
}

#[tokio::test]
async fn a_ca_that_may_not_sign_lists_signs_none() {
    let root = Ca::root("root");
    let usages = [KeyUsagePurpose::KeyCertSign];
    let ca = root.intermediate_with("ca", 5, &Wish::default(), &usages);
    let named = index(&ca);
    let error = named.add(ca.list(&[])).remove(0).expect_err("it may not");
    assert!(error.is_signature() && error.to_string().contains("cRLSign"));
    // Nor if nobody named it.
    let index = index(&root);
    added(&index, root.list(&[]));
    added(&index, ca.list(&[]));
    let chain = fuzzing::chain(&[&ca.leaf(8, &Wish::default()), &ca.der, &root.der]);
    let refusal = connect(&engine(&index), &chain).await;
    assert!(refusal.is_err_and(|refusal| refusal.is_unavailable()));
}

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

#[tokio::test]
async fn a_list_of_version_1_has_no_number_and_its_date_counts() {
    let ca = Ca::root("ca");
    let date = tlv(0x17, b"231101000000Z");
    let entry = tlv(0x30, &[&[0x02, 0x01, 0x07], &date[..]].concat());
    // Its date is the 13th.
    let old = ca.raw_list(&[], true, &entry, &[]);
    let (index, chain) = (index(&ca), ca.chain(7, &Wish::default()));
    assert_eq!(added(&index, old.clone()), CrlPlace::InUse);
    assert!(
        connect(&engine(&index), &chain)
            .await
            .is_err_and(|refusal| refusal.is_revoked())
    );
    let newer = List {
        from: -HOUR,
        ..List::new(1, &[])
    };
    assert_eq!(added(&index, ca.list_of(&newer)), CrlPlace::InUse);
    assert_eq!(added(&index, old), CrlPlace::Superseded);
    assert!(is_good(&connect(&engine(&index), &chain).await));
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

#[tokio::test]
async fn a_part_speaks_only_of_those_that_name_it() {
    let ca = Ca::root("ca");
    let index = index(&ca);
    let part = |uri: &str, number, revoked| List {
        point: Some(CrlIssuingDistributionPoint {
            distribution_point: CrlDistributionPoint {
                uris: vec![uri.to_owned()],
            },
            scope: None,
        }),
        ..List::new(number, revoked)
    };
    added(&index, ca.list_of(&part("http://ca/1", 5, &[7])));
    // Another part, and so neither older nor newer.
    assert_eq!(
        added(&index, ca.list_of(&part("http://ca/2", 4, &[]))),
        CrlPlace::InUse
    );
    assert_eq!(index.len(), 2);
    let engine = engine(&index);
    let of = |lists: &[&'static str]| Wish {
        lists: lists.to_vec(),
        ..Wish::default()
    };
    for (serial, lists, good) in [
        (8, &["http://ca/1"][..], true),
        (8, &["ldap://ca/1", "http://ca/2"], true),
        (8, &["http://ca/3"], false),
        (8, &[], false),
    ] {
        let verdict = connect(&engine, &ca.chain(serial, &of(lists))).await;
        assert_eq!(is_good(&verdict), good, "{lists:?}: {verdict:?}");
    }
    for lists in [&["http://ca/1"][..], &[]] {
        let verdict = connect(&engine, &ca.chain(7, &of(lists))).await;
        assert!(
            verdict.is_err_and(|refusal| refusal.is_revoked()),
            "{lists:?}"
        );
    }
}

#[tokio::test]
async fn a_list_of_cas_does_not_speak_of_leaves_and_the_other_way_round() {
    let root = Ca::root("root");
    let ca = root.intermediate(
        "ca",
        5,
        &Wish {
            lists: vec!["http://root/all"],
            ..Wish::default()
        },
    );
    for (scope, good) in [
        (CrlScope::CaCertsOnly, true),
        (CrlScope::UserCertsOnly, false),
    ] {
        let index = index(&root);
        index.add_issuers([&ca.der]).expect("a certificate");
        added(&index, ca.list(&[]));
        let list = List {
            point: Some(CrlIssuingDistributionPoint {
                distribution_point: CrlDistributionPoint {
                    uris: vec!["http://root/all".to_owned()],
                },
                scope: Some(scope),
            }),
            ..List::new(1, &[])
        };
        added(&index, root.list_of(&list));
        let chain = fuzzing::chain(&[&ca.leaf(8, &Wish::default()), &ca.der, &root.der]);
        assert_eq!(
            is_good(&connect(&engine(&index), &chain).await),
            good,
            "{scope:?}"
        );
    }
}

#[tokio::test]
async fn a_list_that_is_added_counts_from_the_next_connection_on() {
    let ca = Ca::root("ca");
    let index = index(&ca);
    added(&index, ca.list(&[]));
    let (engine, chain) = (engine(&index), ca.chain(7, &Wish::default()));
    assert!(is_good(&connect(&engine, &chain).await));
    let newer = index.load(ca.list_of(&List::new(2, &[7]))).await.remove(0);
    assert_eq!(newer.expect("a list").entries, 1);
    // As on a resumed connection: nothing but the second stage.
    let after = bartizan_tls::revocation::Engine::after_handshake(&engine, &chain, now()).await;
    assert!(after.is_err_and(|refusal| refusal.is_revoked()));
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

/// Counts how often anything is verified.
#[derive(Debug)]
struct Counting(
    &'static dyn SignatureVerificationAlgorithm,
    Arc<AtomicUsize>,
);

impl SignatureVerificationAlgorithm for Counting {
    fn verify_signature(
        &self,
        key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.verify_signature(key, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.0.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.0.signature_alg_id()
    }
}

#[tokio::test]
async fn a_list_of_200_000_entries_is_verified_once_and_not_in_a_handshake() {
    let count = Arc::new(AtomicUsize::new(0));
    let mut crypto = rustls::crypto::aws_lc_rs::default_provider();
    let counting = crypto
        .signature_verification_algorithms
        .all
        .iter()
        .map(|&algorithm| {
            let algorithm: &'static dyn SignatureVerificationAlgorithm =
                Box::leak(Box::new(Counting(algorithm, Arc::clone(&count))));
            algorithm
        });
    crypto.signature_verification_algorithms.all = Vec::leak(counting.collect());
    let provider = Provider::unstable_from_rustls(crypto);

    let ca = Ca::root("ca");
    let revoked: Vec<u64> = (0..200_000).map(|n| (1 << 40) + n * 3).collect();
    let list = ca.list(&revoked);
    let index = CrlIndex::new(&provider).with_clock(ManualClock::at(now()));
    index.add_issuers([&ca.der]).expect("a certificate");
    let info = index.load(list).await.remove(0).expect("a list");
    assert_eq!(info.entries, 200_000);
    assert_eq!(count.load(Ordering::Relaxed), 1);

    let engine = Revocation::of_clients(&provider)
        .crls(index)
        .build()
        .expect("an engine");
    for (serial, is_listed) in [
        (revoked[0], true),
        (revoked[123_456], true),
        (revoked[199_999], true),
        (revoked[0] - 1, false),
        (revoked[123_456] + 1, false),
        (revoked[199_999] + 1, false),
    ] {
        let verdict = connect(&engine, &ca.chain(serial, &Wish::default())).await;
        assert_eq!(
            verdict.is_err_and(|refusal| refusal.is_revoked()),
            is_listed,
            "{serial}"
        );
    }
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_time_of_a_list_is_its_own_and_not_the_machine_s() {
    let ca = Ca::root("ca");
    let clock = ManualClock::at(at(-2 * DAY));
    let index = CrlIndex::new(&provider()).with_clock(clock.clone());
    index.add_issuers([&ca.der]).expect("a certificate");
    assert!(
        index
            .add(ca.list(&[]))
            .remove(0)
            .is_err_and(|error| error.is_not_yet_valid())
    );
    clock.set(at(-DAY + HOUR));
    assert_eq!(added(&index, ca.list(&[])), CrlPlace::InUse);
}
