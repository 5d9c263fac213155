//! How many connections there are, who gets them, and in which order.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_client::{ResponseExt, pool::Pool};
use bartizan_core::Body;
use bartizan_testing::{ControlledBody, Loopback, refused_addr};
use futures_util::{StreamExt, future, stream};
use http::{Request, Response};
use tokio::sync::{Semaphore, mpsc};
use tower::{Service, ServiceExt};

use super::{get, over_tcp, until};

async fn quick() -> Loopback {
    Loopback::start(|_: Request<Body>| async { Response::new(Body::from("ok")) }).await
}

/// A server that answers as often as permits are added.
async fn gated() -> (Loopback, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let permits = gate.clone();
    let server = Loopback::start(move |_: Request<Body>| {
        let permits = permits.clone();
        async move {
            permits.acquire().await.expect("open").forget();
            Response::new(Body::from("ok"))
        }
    })
    .await;
    (server, gate)
}

#[tokio::test]
async fn a_busy_connection_is_not_reused() {
    let (bodies, mut streaming) = mpsc::unbounded_channel();
    let server = Loopback::start(move |request: Request<Body>| {
        let (body, handle) = ControlledBody::new();
        let response = if request.uri().path() == "/slow" {
            handle.data("begun");
            bodies.send(handle).expect("the test waits");
            Response::new(Body::new(body))
        } else {
            Response::new(Body::from("fast"))
        };
        future::ready(response)
    })
    .await;
    let pool = over_tcp(Pool::builder());
    let slow = pool.clone().oneshot(get(server.uri("/slow"))).await;
    let slow = slow.expect("a head");
    let body = streaming.recv().await.expect("it streams");
    for _ in 0..3 {
        let fast = pool.clone().oneshot(get(server.uri("/fast"))).await;
        assert_eq!(
            fast.expect("a response").text().await.expect("text"),
            "fast"
        );
    }
    assert_eq!(server.connections(), 2);
    body.end();
    assert_eq!(slow.text().await.expect("the rest"), "begun");
    until(&pool, |stats| stats.idle == 2).await;
}

/// hyper-util's client opens 1,887 when it is starved: its connects race with connections that come free, and lose.
#[tokio::test]
async fn two_thousand_requests_of_fifty_at_once_open_no_more_than_fifty_connections() {
    let server = quick().await;
    let pool = over_tcp(Pool::builder());
    let calls = (0..2_000).map(|_| {
        let pool = pool.clone();
        let request = get(server.uri("/"));
        async move {
            let response = pool.oneshot(request).await.expect("a response");
            response.discard().await.expect("the end");
            tokio::task::yield_now().await;
        }
    });
    stream::iter(calls).buffer_unordered(50).count().await;
    assert_eq!(server.requests(), 2_000);
    assert!(server.connections() <= 50, "{}", server.connections());
}

/// With a limit in the connector, fifty stay open: connections count only while they are being made.
#[tokio::test]
async fn a_limit_of_connections_is_one_of_open_sockets() {
    let server = quick().await;
    let most = Arc::new(AtomicUsize::new(0));
    let pool = over_tcp(Pool::builder().max_connections_per_origin(10));
    let calls = (0..500).map(|_| {
        let (pool, most) = (pool.clone(), most.clone());
        let request = get(server.uri("/"));
        async move {
            let response = pool.clone().oneshot(request).await.expect("a response");
            most.fetch_max(pool.stats().connections(), Ordering::SeqCst);
            response.discard().await.expect("the end");
        }
    });
    stream::iter(calls).buffer_unordered(50).count().await;
    assert_eq!(most.load(Ordering::SeqCst), 10);
    assert_eq!((server.connections(), server.open_connections()), (10, 10));
}

#[tokio::test]
async fn waiters_are_served_in_the_order_they_came() {
    let (server, gate) = gated().await;
    let pool = over_tcp(Pool::builder().max_connections_per_origin(1));
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut calls = Vec::new();
    for n in 0..20 {
        let (pool_, order, request) = (pool.clone(), order.clone(), get(server.uri("/")));
        calls.push(tokio::spawn(async move {
            let response = pool_.oneshot(request).await.expect("a response");
            order.lock().expect("a list").push(n);
            response.discard().await.expect("the end");
        }));
        until(&pool, |stats| stats.waiting + stats.in_flight == n + 1).await;
    }
    gate.add_permits(20);
    future::join_all(calls).await;
    let order = order.lock().expect("a list").clone();
    assert_eq!(order, (0..20).collect::<Vec<_>>());
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_cancelled_waiter_does_not_hold_up_the_next() {
    let (server, gate) = gated().await;
    let pool = over_tcp(Pool::builder().max_connections_per_origin(1));
    let call = || tokio::spawn(pool.clone().oneshot(get(server.uri("/"))));
    let first = call();
    until(&pool, |stats| stats.in_flight == 1).await;
    let given_up = call();
    until(&pool, |stats| stats.waiting == 1).await;
    let last = call();
    until(&pool, |stats| stats.waiting == 2).await;
    given_up.abort();
    given_up.await.expect_err("aborted");
    gate.add_permits(2);
    for call in [first, last] {
        let response = call.await.expect("no panic").expect("a response");
        response.discard().await.expect("the end");
    }
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn too_many_waiters_are_refused_at_once() {
    let (server, gate) = gated().await;
    let pool = over_tcp(Pool::builder().max_connections_per_origin(1).max_waiting(1));
    let first = tokio::spawn(pool.clone().oneshot(get(server.uri("/"))));
    until(&pool, |stats| stats.in_flight == 1).await;
    let second = tokio::spawn(pool.clone().oneshot(get(server.uri("/"))));
    until(&pool, |stats| stats.waiting == 1).await;
    let error = pool.clone().oneshot(get(server.uri("/"))).await;
    let error = error.expect_err("refused");
    assert!(error.is_acquire() && error.is_unsent() && !error.is_timeout());
    assert_eq!(pool.stats().refused, 1);
    gate.add_permits(2);
    for call in [first, second] {
        let response = call.await.expect("no panic").expect("a response");
        response.discard().await.expect("the end");
    }
}

#[tokio::test]
async fn at_the_total_cap_the_least_recently_used_connection_of_another_origin_closes() {
    let servers = [quick().await, quick().await, quick().await];
    let pool = over_tcp(Pool::builder().max_connections(2));
    for server in [0, 1, 0, 2] {
        let response = pool.clone().oneshot(get(servers[server].uri("/"))).await;
        response
            .expect("a response")
            .discard()
            .await
            .expect("the end");
    }
    servers[1].closed().await;
    let open = servers.each_ref().map(Loopback::open_connections);
    assert_eq!(open, [1, 0, 1]);
}

#[tokio::test]
async fn one_refused_connection_fails_all_who_waited_for_it() {
    let addr = refused_addr();
    let pool = over_tcp(Pool::builder().max_connections_per_origin(1));
    let calls = (0..50).map(|_| pool.clone().oneshot(get(format!("http://{addr}/"))));
    for result in future::join_all(calls).await {
        let error = result.expect_err("nobody listens");
        assert!(error.is_connect() && error.is_unsent());
        let cause = bartizan_core::find::<std::io::Error>(&error).expect("the system's error");
        assert_eq!(cause.kind(), std::io::ErrorKind::ConnectionRefused);
    }
    assert!(pool.stats().dialed <= 2, "{:?}", pool.stats());
}

#[tokio::test]
async fn isolated_requests_share_no_connection() {
    let server = quick().await;
    let pool = over_tcp(Pool::builder());
    for tag in ["a", "b", "a"] {
        let mut request = get(server.uri("/"));
        let options = bartizan_client::connect::ConnectOptions::new().isolation(tag);
        request.extensions_mut().insert(options);
        let response = pool.clone().oneshot(request).await.expect("a response");
        response.discard().await.expect("the end");
    }
    assert_eq!(server.connections(), 2);
    assert_eq!(pool.stats().origins, 2);
}

#[tokio::test]
async fn the_readiness_of_an_origin_is_a_connection() {
    let (server, gate) = gated().await;
    let pool = over_tcp(Pool::builder().max_connections_per_origin(1));
    let destination = bartizan_client::connect::Destination::of(&server.uri("/"));
    let mut origin = pool.origin(destination.expect("a destination"));
    let mut other = origin.clone();
    ServiceExt::<Request<Body>>::ready(&mut origin)
        .await
        .expect("ready");
    assert_eq!(pool.stats().in_flight, 1);

    let waiting = ServiceExt::<Request<Body>>::ready(&mut other);
    let waited = tokio::time::timeout(Duration::from_millis(20), waiting).await;
    waited.expect_err("the one connection is reserved");

    gate.add_permits(2);
    let response = origin.call(get(server.uri("/"))).await.expect("a response");
    response.discard().await.expect("the end");
    ServiceExt::<Request<Body>>::ready(&mut other)
        .await
        .expect("ready");
    // Given back unused.
    drop(other);
    assert_eq!((pool.stats().in_flight, pool.stats().idle), (0, 1));
}

#[tokio::test]
async fn an_origin_that_cannot_be_reached_fails_its_requests_and_stays_ready() {
    let uri = format!("http://{}/", refused_addr());
    let pool = over_tcp(Pool::builder());
    let destination = bartizan_client::connect::Destination::of(&uri.parse().expect("a URI"));
    let mut origin = pool.origin(destination.expect("a destination"));
    for _ in 0..2 {
        let ready = ServiceExt::<Request<Body>>::ready(&mut origin).await;
        let error = ready.expect("ready").call(get(&uri)).await;
        assert!(error.expect_err("refused").is_connect());
    }
    let ready = ServiceExt::<Request<Body>>::ready(&mut origin).await;
    let error = ready.expect("ready").call(get("http://elsewhere/")).await;
    assert!(error.expect_err("not there").is_builder());
}
