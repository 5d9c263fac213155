//! By whom a list is: a CA that may sign lists, a stranger, or one that is not known yet.

use std::error::Error as _;

use bartizan_testing::ManualClock;
use bartizan_tls::revocation::{CrlIndex, CrlPlace, fuzzing};
use rcgen::KeyUsagePurpose;

use super::{added, engine, index, is_good};
use crate::{
    revocation::pki::{Ca, List, Wish, connect, now, provider},
    support::pem,
};

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
