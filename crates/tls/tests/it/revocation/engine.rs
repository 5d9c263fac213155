//! Methods, their order, what is kept, and who fetches.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_core::BoxError;
use bartizan_testing::ManualClock;
use bartizan_tls::revocation::{
    CrlIndex, Engine as _, FetchRequest, Method, OnUnavailable, Refusal, Revocation,
    RevocationBuilder, Scope, Verdict, fuzzing,
};
use bytes::Bytes;
use rcgen::{CrlDistributionPoint, CrlIssuingDistributionPoint};
use tokio::{sync::Notify, time::Instant};
use tower::service_fn;

use super::pki::{
    Ca, DAY, HOUR, List, Response, Web, Wish, at, connect, connect_with, now, provider,
};

const LIST: &str = "http://ca/list";
const RESPONDER: &str = "http://ca/ocsp";

fn both() -> Wish {
    Wish {
        lists: vec![LIST],
        responder: Some(RESPONDER),
        ..Wish::default()
    }
}

fn clients() -> RevocationBuilder {
    Revocation::of_clients(&provider())
}

/// Answers list and responder, or not.
fn web(list: Option<Vec<u8>>, answer: Option<Vec<u8>>) -> Web {
    Web::new(move |request| {
        let answer = match request.method {
            Method::Crl => &list,
            _ => &answer,
        };
        answer.clone().ok_or_else(|| "it is down".into())
    })
}

fn method(verdict: Result<Verdict, Refusal>) -> Method {
    match verdict {
        Ok(Verdict::Good(evidence)) => evidence[0].method,
        other => panic!("good: {other:?}"),
    }
}

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

#[tokio::test(start_paused = true)]
async fn what_was_fetched_is_kept_for_15_minutes_and_counts_longer_if_there_is_nothing_newer() {
    let ca = Ca::root("ca");
    let web = web(Some(ca.list(&[])), Some(Response::new(&ca, 7).der()));
    for (name, asked) in [(Method::Crl, LIST), (Method::Ocsp, RESPONDER)] {
        let engine = clients()
            .methods([name])
            .fetcher(web.clone())
            .build()
            .expect("an engine");
        let chain = ca.chain(7, &both());
        let before = web.asked().len();
        assert_eq!(method(connect(&engine, &chain).await), name);
        tokio::time::advance(Duration::from_secs(15 * 60) - Duration::from_millis(1)).await;
        assert_eq!(method(connect(&engine, &chain).await), name);
        assert_eq!(web.asked()[before..], [asked]);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(method(connect(&engine, &chain).await), name);
        assert_eq!(web.asked()[before..], [asked, asked]);

        // Nothing newer can be had. What there is counts, and is not asked for again for a minute.
        tokio::time::advance(Duration::from_secs(15 * 60)).await;
        let (good, down) = (web.clone(), web.clone());
        down.set(|_| Err("it is down".into()));
        for _ in 0..2 {
            assert_eq!(method(connect(&engine, &chain).await), name);
        }
        assert_eq!(web.asked()[before..], [asked, asked, asked]);
        // Until it is out of date.
        let late = connect_with(&engine, &chain, &[], at(7 * DAY)).await;
        assert!(late.is_err_and(|refusal| refusal.is_unavailable()));
        let (list, answer) = (ca.list(&[]), Response::new(&ca, 7).der());
        good.set(move |request| {
            Ok(match request.method {
                Method::Crl => list.clone(),
                _ => answer.clone(),
            })
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_remembered_for_a_minute() {
    let ca = Ca::root("ca");
    let web = Web::down();
    let engine = clients()
        .methods([Method::Ocsp])
        .fetcher(web.clone())
        .build()
        .expect("an engine");
    let chain = ca.chain(7, &both());
    for _ in 0..5 {
        assert!(connect(&engine, &chain).await.is_err());
    }
    assert_eq!(web.asked().len(), 1);
    tokio::time::advance(Duration::from_secs(60)).await;
    web.set({
        let answer = Response::new(&ca, 7).der();
        move |_| Ok(answer.clone())
    });
    assert_eq!(method(connect(&engine, &chain).await), Method::Ocsp);
}

#[tokio::test(start_paused = true)]
async fn a_list_played_back_does_not_undo_a_newer_one() {
    let ca = Ca::root("ca");
    let web = Web::of(ca.list_of(&List::new(2, &[7])));
    let engine = clients()
        .methods([Method::Crl])
        .fetcher(web.clone())
        .build()
        .expect("an engine");
    assert_eq!(
        method(connect(&engine, &ca.chain(8, &both())).await),
        Method::Crl
    );
    tokio::time::advance(Duration::from_secs(15 * 60)).await;
    web.set({
        let old = ca.list_of(&List::new(1, &[]));
        move |_| Ok(old.clone())
    });
    // 8 has it fetched, and 7 is refused all the same.
    assert_eq!(
        method(connect(&engine, &ca.chain(8, &both())).await),
        Method::Crl
    );
    assert_eq!(web.asked().len(), 2);
    assert!(
        connect(&engine, &ca.chain(7, &both()))
            .await
            .is_err_and(|refusal| refusal.is_revoked())
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_out_of_date_is_looked_for_again_after_a_minute() {
    let ca = Ca::root("ca");
    let expired = List {
        from: -2 * DAY,
        until: -HOUR,
        ..List::new(1, &[7])
    };
    let web = Web::of(ca.list_of(&expired));
    let engine = clients()
        .methods([Method::Crl])
        .fetcher(web.clone())
        .build()
        .expect("an engine");
    for _ in 0..2 {
        let refusal = connect(&engine, &ca.chain(8, &both())).await;
        assert!(refusal.is_err_and(|refusal| refusal.is_unavailable()));
    }
    assert_eq!(web.asked().len(), 1);
    assert!(
        connect(&engine, &ca.chain(7, &both()))
            .await
            .is_err_and(|refusal| refusal.is_revoked())
    );
    tokio::time::advance(Duration::from_secs(60)).await;
    web.set({
        let new = ca.list_of(&List::new(2, &[]));
        move |_| Ok(new.clone())
    });
    assert_eq!(
        method(connect(&engine, &ca.chain(8, &both())).await),
        Method::Crl
    );
}

#[tokio::test]
async fn no_more_answers_are_kept_than_allowed() {
    let ca = Arc::new(Ca::root("ca"));
    let signer = Arc::clone(&ca);
    let web = Web::new(move |request| {
        let body = request.body.as_ref().expect("a body");
        let asked = <x509_ocsp::OcspRequest as der::Decode>::from_der(body).expect("a request");
        let serial = asked.tbs_request.request_list[0]
            .req_cert
            .serial_number
            .as_bytes()[0];
        Ok(Response::new(&signer, serial.into()).der())
    });
    let builder = clients()
        .methods([Method::Ocsp])
        .cache(2, Duration::from_secs(60));
    let engine = builder.fetcher(web.clone()).build().expect("an engine");
    for serial in [1, 2, 3, 3, 2, 1] {
        method(connect(&engine, &ca.chain(serial, &both())).await);
    }
    assert_eq!(web.asked().len(), 4, "1 went when 3 came");
}

/// A responder that answers when it is told to, and counts.
fn slow(answer: Vec<u8>) -> (Arc<Notify>, Arc<AtomicUsize>, RevocationBuilder) {
    let (go, asked) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (gone, counted) = (Arc::clone(&go), Arc::clone(&asked));
    let answer = Bytes::from(answer);
    let builder = clients().fetcher(service_fn(move |_: FetchRequest| {
        counted.fetch_add(1, Ordering::Relaxed);
        let (go, answer) = (Arc::clone(&gone), answer.clone());
        async move {
            go.notified().await;
            Ok::<_, BoxError>(answer)
        }
    }));
    (go, asked, builder)
}

#[tokio::test]
async fn many_connections_ask_once() {
    let ca = Ca::root("ca");
    for (wanted, answer) in [
        (Method::Ocsp, Response::new(&ca, 7).der()),
        (Method::Crl, ca.list(&[])),
    ] {
        let (go, asked, builder) = slow(answer);
        let engine = builder.methods([wanted]).build().expect("an engine");
        let chain = Arc::new(ca.chain(7, &both()));
        let connections: Vec<_> = (0..100)
            .map(|_| {
                let (engine, chain) = (engine.clone(), Arc::clone(&chain));
                tokio::spawn(async move { connect(&engine, &chain).await })
            })
            .collect();
        // All of them have begun by then, as they share one thread.
        while asked.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        go.notify_one();
        for connection in connections {
            assert_eq!(method(connection.await.expect("no panic")), wanted);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
}

async fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())
    })
    .await
}

#[tokio::test]
async fn the_next_one_fetches_when_the_one_that_did_goes_away() {
    let ca = Ca::root("ca");
    let (go, asked, builder) = slow(Response::new(&ca, 7).der());
    let engine = builder.methods([Method::Ocsp]).build().expect("an engine");
    let chain = ca.chain(7, &both());
    let mut first = engine.after_handshake(&chain, now());
    assert!(is_pending(&mut first).await);
    let mut second = engine.after_handshake(&chain, now());
    assert!(is_pending(&mut second).await);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    drop(first);
    assert!(is_pending(&mut second).await);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    go.notify_one();
    assert_eq!(method(second.await), Method::Ocsp);
}

#[tokio::test(start_paused = true)]
async fn a_responder_that_hangs_is_given_up_after_5_seconds() {
    let ca = Ca::root("ca");
    let (_never, asked, builder) = slow(Vec::new());
    let engine = builder.methods([Method::Ocsp]).build().expect("an engine");
    let chain = ca.chain(7, &both());
    let started = Instant::now();
    let refusal = connect(&engine, &chain).await.expect_err("it hangs");
    assert_eq!(started.elapsed(), Duration::from_secs(5));
    let source = std::error::Error::source(&refusal)
        .expect("a source")
        .to_string();
    assert_eq!(source, "http://ca/ocsp did not answer within 5s");
    // The next one does not wait for it.
    let refused = Instant::now();
    assert!(connect(&engine, &chain).await.is_err());
    assert_eq!(
        (refused.elapsed(), asked.load(Ordering::Relaxed)),
        (Duration::ZERO, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn those_in_a_hurry_leave_what_they_found_out_to_the_next() {
    let ca = Ca::root("ca");
    let answer = Bytes::from(ca.list(&[]));
    let wish = Wish {
        lists: vec!["http://hangs/1", "http://hangs/2", LIST],
        ..Wish::default()
    };
    let fetcher = service_fn(move |request: FetchRequest| {
        let answer = answer.clone();
        async move {
            match request.uri.host() {
                Some("hangs") => std::future::pending().await,
                _ => Ok::<_, BoxError>(answer),
            }
        }
    });
    let engine = clients().methods([Method::Crl]).fetcher(fetcher);
    let engine = engine.build().expect("an engine");
    let chain = ca.chain(7, &wish);
    // The first address is given up, and then the connection is.
    let hurried = tokio::time::timeout(Duration::from_secs(6), connect(&engine, &chain)).await;
    assert!(hurried.is_err());
    let started = Instant::now();
    assert_eq!(method(connect(&engine, &chain).await), Method::Crl);
    assert_eq!(
        started.elapsed(),
        Duration::from_secs(5),
        "for the second alone"
    );
}

#[tokio::test]
async fn what_is_kept_for_ever_is_kept_for_a_year() {
    let ca = Ca::root("ca");
    let web = Web::of(Response::new(&ca, 7).der());
    let builder = clients()
        .cache(1, Duration::MAX)
        .failure_validity(Duration::MAX);
    let builder = builder.fetch_timeout(Duration::MAX).methods([Method::Ocsp]);
    let engine = builder.fetcher(web).build().expect("an engine");
    assert_eq!(
        method(connect(&engine, &ca.chain(7, &both())).await),
        Method::Ocsp
    );
}

#[tokio::test]
async fn futures_are_send() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let ca = Ca::root("ca");
    let engine = clients().fetcher(Web::down()).build().expect("an engine");
    let chain = ca.chain(7, &both());
    assert!(
        is_send(engine.after_handshake(&chain, now()))
            .await
            .is_err()
    );
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
