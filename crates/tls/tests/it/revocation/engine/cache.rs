//! What is kept of what was fetched, and of what failed, and for how long.

use std::{sync::Arc, time::Duration};

use bartizan_tls::revocation::Method;

use super::{LIST, RESPONDER, both, clients, method, web};
use crate::revocation::pki::{Ca, DAY, HOUR, List, Response, Web, at, connect, connect_with};

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
