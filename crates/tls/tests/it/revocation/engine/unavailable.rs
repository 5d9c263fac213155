//! Certificates that cannot be known about, and who is let in all the same.

use bartizan_tls::revocation::{OnUnavailable, Verdict, fuzzing};

use super::{LIST, RESPONDER, both, clients};
use crate::revocation::pki::{Ca, Web, Wish, connect};

#[tokio::test]
async fn who_cannot_be_known_about_is_refused_or_let_in_by_the_policy() {
    let ca = Ca::root("ca");
    let chain = ca.chain(7, &both());
    let engine = clients().fetcher(Web::down()).build().expect("an engine");
    let refusal = connect(&engine, &chain).await.expect_err("nobody answers");
    assert!(refusal.is_unavailable() && refusal.is_retryable());
    assert_eq!(
        refusal.to_string(),
        "it is not known whether the peer's certificate 07 of `CN=ca` was revoked"
    );
    let source = std::error::Error::source(&refusal).expect("a source");
    assert_eq!(source.to_string(), "http://ca/list could not be fetched");

    let builder = clients()
        .fetcher(Web::down())
        .on_unavailable(OnUnavailable::Allow);
    let engine = builder.build().expect("an engine");
    let verdict = connect(&engine, &chain).await.expect("let in");
    assert!(matches!(verdict, Verdict::Unavailable(why) if why.contains("07 of `CN=ca`")));
    // There is nobody to ask at all.
    let verdict = connect(&engine, &ca.chain(7, &Wish::default()))
        .await
        .expect("let in");
    assert!(matches!(verdict, Verdict::Unavailable(_)));
}

#[tokio::test]
async fn a_revoked_intermediate_is_refused_though_the_leaf_cannot_be_known_about() {
    let root = Ca::root("root");
    let of_root = Wish {
        lists: vec!["http://root/list"],
        ..Wish::default()
    };
    let ca = root.intermediate("ca", 5, &of_root);
    let list = root.list(&[5]);
    let web = Web::new(move |request| match request.uri.host() {
        Some("root") => Ok(list.clone()),
        _ => Err("it is down".into()),
    });
    let builder = clients()
        .on_unavailable(OnUnavailable::Allow)
        .fetcher(web.clone());
    let engine = builder.build().expect("an engine");
    let chain = fuzzing::chain(&[&ca.leaf(7, &both()), &ca.der, &root.der]);
    let refusal = connect(&engine, &chain)
        .await
        .expect_err("the CA is revoked");
    assert!(refusal.is_revoked());
    assert_eq!(web.asked(), [LIST, RESPONDER, "http://root/list"]);
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_cannot_be_known_about() {
    let ca = Ca::root("ca");
    let mut leaf = ca.leaf(7, &both());
    // The tag of the serial number.
    let at = leaf
        .windows(3)
        .position(|window| window == [0x02, 0x01, 0x07])
        .expect("a serial");
    leaf[at] = 0x04;
    let chain = fuzzing::chain(&[&leaf, &ca.der]);
    let engine = clients().fetcher(Web::down()).build().expect("an engine");
    let refusal = connect(&engine, &chain)
        .await
        .expect_err("nothing is known");
    assert!(refusal.is_unavailable() && std::error::Error::source(&refusal).is_some());
}
