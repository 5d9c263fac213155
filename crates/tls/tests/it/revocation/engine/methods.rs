//! The methods: in which order they are tried, and when no other is.

use std::time::Duration;

use bartizan_testing::ManualClock;
use bartizan_tls::revocation::{
    CrlIndex, Engine as _, Method, OnUnavailable, Revocation, RevocationBuilder,
};

use super::{LIST, RESPONDER, both, clients, method, web};
use crate::revocation::pki::{Ca, Response, Web, connect, connect_with, now, provider};

#[test]
fn without_a_way_to_find_anything_out_there_is_nothing_to_build() {
    let error = |builder: RevocationBuilder| builder.build().expect_err("no way").to_string();
    assert!(error(clients()).starts_with("invalid methods `none`"));
    assert!(error(clients().methods([])).starts_with("invalid methods `none`"));
    assert!(
        error(clients().methods([Method::Crl])).contains("`Crl`: expected `crls` or a `fetcher`")
    );
    assert!(error(clients().methods([Method::Ocsp])).contains("`Ocsp`: expected a `fetcher`"));
    assert!(
        error(clients().fetcher(Web::down()).methods([Method::Staple]))
            .contains("clients cannot staple")
    );
    let index = CrlIndex::new(&provider());
    assert!(
        error(
            clients()
                .crls(index.clone())
                .methods([Method::Crl, Method::Ocsp])
        )
        .contains("`Ocsp`")
    );
    assert!(clients().crls(index).build().is_ok());
    assert!(Revocation::of_servers(&provider()).build().is_ok());
    for (field, builder) in [
        ("cache.entries", clients().cache(0, Duration::from_secs(1))),
        ("cache.validity", clients().cache(1, Duration::ZERO)),
        ("fetch_timeout", clients().fetch_timeout(Duration::ZERO)),
        (
            "failure_validity",
            clients().failure_validity(Duration::ZERO),
        ),
        ("max_crl_size", clients().max_crl_size(0)),
    ] {
        assert!(
            error(builder.fetcher(Web::down())).contains(field),
            "{field}"
        );
    }
}

#[tokio::test]
async fn methods_are_tried_in_their_order_until_one_says_something() {
    let ca = Ca::root("ca");
    let (list, answer) = (ca.list(&[]), Response::new(&ca, 7).der());
    for (methods, first, second) in [
        ([Method::Crl, Method::Ocsp], LIST, RESPONDER),
        ([Method::Ocsp, Method::Crl], RESPONDER, LIST),
    ] {
        let all = web(Some(list.clone()), Some(answer.clone()));
        let engine = clients()
            .methods(methods)
            .fetcher(all.clone())
            .build()
            .expect("an engine");
        let by = method(connect(&engine, &ca.chain(7, &both())).await);
        assert_eq!((by, all.asked()), (methods[0], vec![first.to_owned()]));

        // The first is down, and the second asked.
        let half = match methods[0] {
            Method::Crl => web(None, Some(answer.clone())),
            _ => web(Some(list.clone()), None),
        };
        let engine = clients()
            .methods(methods)
            .fetcher(half.clone())
            .build()
            .expect("an engine");
        let by = method(connect(&engine, &ca.chain(7, &both())).await);
        assert_eq!(
            (by, half.asked()),
            (methods[1], vec![first.to_owned(), second.to_owned()])
        );
    }
}

#[tokio::test]
async fn revoked_never_falls_back() {
    let ca = Ca::root("ca");
    for (list, answer, asked) in [
        (ca.list(&[7]), Response::new(&ca, 7).der(), vec![LIST]),
        (
            ca.list(&[]),
            Response::revoked(&ca, 7).der(),
            vec![RESPONDER],
        ),
    ] {
        let web = web(Some(list), Some(answer));
        let methods = match asked[0] {
            LIST => [Method::Crl, Method::Ocsp],
            _ => [Method::Ocsp, Method::Crl],
        };
        let builder = clients()
            .methods(methods)
            .on_unavailable(OnUnavailable::Allow);
        let engine = builder.fetcher(web.clone()).build().expect("an engine");
        let chain = ca.chain(7, &both());
        assert!(
            connect(&engine, &chain)
                .await
                .is_err_and(|refusal| refusal.is_revoked())
        );
        assert_eq!(web.asked(), asked);
        // And from then on it fails in the handshake.
        assert!(
            engine
                .in_handshake(&chain, &[], now())
                .is_err_and(|refusal| refusal.is_revoked())
        );
    }
}

#[tokio::test]
async fn what_the_responder_is_known_to_have_revoked_is_revoked_though_the_list_is_good() {
    let ca = Ca::root("ca");
    let web = web(Some(ca.list(&[])), Some(Response::revoked(&ca, 7).der()));
    let engine = clients().methods([Method::Ocsp, Method::Crl]).fetcher(web);
    let engine = engine.build().expect("an engine");
    let chain = ca.chain(7, &both());
    assert!(connect(&engine, &chain).await.is_err());
    let index = CrlIndex::new(&provider()).with_clock(ManualClock::at(now()));
    index.add_issuers([&ca.der]).expect("a certificate");
    index.add(ca.list(&[])).remove(0).expect("a list");
    let both = Revocation::of_servers(&provider())
        .crls(index)
        .build()
        .expect("an engine");
    let staple = Response::revoked(&ca, 7).der();
    let refusal = connect_with(&both, &chain, &staple, now()).await;
    assert!(refusal.is_err_and(|refusal| refusal.is_revoked()));
    // Where there is no staple, as on a resumed connection, that is not forgotten.
    let resumed = both.after_handshake(&chain, now()).await;
    assert!(resumed.is_err_and(|refusal| refusal.is_revoked()));
}
