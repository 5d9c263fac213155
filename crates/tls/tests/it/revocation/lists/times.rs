//! Lists that are old, new, expired or from the future.

use bartizan_testing::ManualClock;
use bartizan_tls::revocation::{CrlIndex, CrlPlace};
use rcgen::RevocationReason;

use super::{added, engine, index, is_good};
use crate::revocation::pki::{Ca, DAY, HOUR, List, Wish, at, connect, connect_with, provider, tlv};

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
