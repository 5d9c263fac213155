//! Lists that are fetched: from which addresses, and which of them count.

use bartizan_tls::revocation::{Method, Scope, fuzzing};
use rcgen::{CrlDistributionPoint, CrlIssuingDistributionPoint};

use super::{both, clients};
use crate::revocation::pki::{Ca, List, Web, Wish, connect};

#[tokio::test]
async fn a_fetched_list_has_to_be_the_issuer_s() {
    let (ca, stranger, other) = (Ca::root("ca"), Ca::root("ca"), Ca::root("other"));
    for list in [stranger.list(&[]), other.list(&[]), b"nonsense".to_vec()] {
        let engine = clients()
            .methods([Method::Crl])
            .fetcher(Web::of(list))
            .build();
        let refusal = connect(&engine.expect("an engine"), &ca.chain(7, &both())).await;
        assert!(refusal.is_err_and(|refusal| refusal.is_unavailable()));
    }
}

#[tokio::test]
async fn a_fetched_list_of_a_ca_that_may_not_sign_lists_says_nothing() {
    let root = Ca::root("root");
    let usages = [rcgen::KeyUsagePurpose::KeyCertSign];
    let ca = root.intermediate_with("ca", 5, &Wish::default(), &usages);
    let builder = clients().methods([Method::Crl]).scope(Scope::Leaf);
    let engine = builder
        .fetcher(Web::of(ca.list(&[])))
        .build()
        .expect("an engine");
    let chain = fuzzing::chain(&[&ca.leaf(7, &both()), &ca.der, &root.der]);
    let refusal = connect(&engine, &chain).await;
    assert!(refusal.is_err_and(|refusal| refusal.is_unavailable()));
}

#[tokio::test]
async fn the_list_of_another_part_sent_in_its_place_says_nothing() {
    let ca = Ca::root("ca");
    let part = List {
        point: Some(CrlIssuingDistributionPoint {
            distribution_point: CrlDistributionPoint {
                uris: vec!["http://ca/other".to_owned()],
            },
            scope: None,
        }),
        ..List::new(1, &[])
    };
    let web = Web::of(ca.list_of(&part));
    let engine = clients()
        .methods([Method::Crl])
        .fetcher(web)
        .build()
        .expect("an engine");
    let refusal = connect(&engine, &ca.chain(7, &both())).await;
    assert!(refusal.is_err_and(|refusal| refusal.is_unavailable()));
}

#[tokio::test]
async fn only_plain_http_is_fetched_and_no_more_than_four_addresses() {
    let ca = Ca::root("ca");
    let wish = Wish {
        lists: vec![
            "https://ca/1",
            "ldap://ca/2",
            "file:///etc/passwd",
            "http://user:secret@ca/3",
            "not a uri",
            "http://ca/4",
            "http://ca/5",
            "http://ca/6?secret",
            "http://ca/7",
            "http://ca/8",
        ],
        ..Wish::default()
    };
    let web = Web::down();
    let engine = clients()
        .methods([Method::Crl])
        .fetcher(web.clone())
        .build()
        .expect("an engine");
    let refusal = connect(&engine, &ca.chain(7, &wish))
        .await
        .expect_err("down");
    assert_eq!(
        web.asked(),
        [
            "http://ca/4",
            "http://ca/5",
            "http://ca/6?secret",
            "http://ca/7"
        ]
    );
    assert!(!format!("{refusal:?} {engine:?}").contains("secret"));
}
