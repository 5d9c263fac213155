//! Who is refused by a list, and who is not.

use bartizan_tls::revocation::{CrlPlace, Verdict};

use super::{added, engine, index, is_good};
use crate::revocation::pki::{Ca, DAY, List, Wish, at, connect, now};

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
