//! Lists that speak of some certificates only.

use bartizan_tls::revocation::{CrlPlace, fuzzing};
use rcgen::{CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope};

use super::{added, engine, index, is_good};
use crate::revocation::pki::{Ca, List, Wish, connect};

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
