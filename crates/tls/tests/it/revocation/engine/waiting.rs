//! Who fetches while others wait for the same, and how long anybody does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_core::BoxError;
use bartizan_tls::revocation::{Engine as _, FetchRequest, Method, RevocationBuilder};
use bytes::Bytes;
use tokio::{sync::Notify, time::Instant};
use tower::service_fn;

use super::{LIST, both, clients, method};
use crate::revocation::pki::{Ca, Response, Web, Wish, connect, now};

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
