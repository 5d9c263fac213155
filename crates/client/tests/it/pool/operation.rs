//! Figures, events, and what an operator can do.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bartizan_client::{ConnectionInfo, Protocol, ResponseExt, connect::Destination, pool::Pool};
use bartizan_core::Body;
use bartizan_testing::{BodyHandle, ControlledBody, Loopback, refused_addr};
use futures_util::future;
use http::{Request, Response};
use tokio::{io::DuplexStream, sync::mpsc, time::Instant};
use tower::ServiceExt;

use super::{BoxedServer, Pipes, get, over_tcp, serve, until};

fn there(uri: &http::Uri) -> Destination {
    Destination::of(uri).expect("a destination")
}

fn quick(stream: DuplexStream) -> impl Future<Output = ()> + Send {
    serve(stream, |_| async { Response::new(Body::from("ok")) })
}

#[tokio::test]
async fn prewarmed_connections_are_there_before_the_requests() {
    let server = Loopback::start(|_: Request<Body>| async { Response::new(Body::empty()) }).await;
    let pool = over_tcp(Pool::builder().max_connections_per_origin(3));
    let destination = there(&server.uri("/"));
    assert_eq!(pool.prewarm(&destination, 2), 2);
    until(&pool, |stats| stats.idle == 2).await;
    assert_eq!(pool.prewarm(&destination, 5), 1, "the limit holds");
    until(&pool, |stats| stats.idle == 3).await;
    let response = pool.clone().oneshot(get(server.uri("/"))).await;
    drop(response.expect("a response"));
    assert_eq!((server.connections(), pool.stats().waited), (3, 0));
}

#[tokio::test]
async fn unused_connections_close_when_told() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let pool = Pool::builder()
            .protocol(protocol)
            .build(Pipes::new(quick))
            .expect("valid");
        for host in ["http://a/", "http://b/"] {
            let response = pool.clone().oneshot(get(host)).await.expect("a response");
            response.discard().await.expect("the end");
        }
        assert_eq!(pool.close_idle(), 2);
        until(&pool, |stats| stats.connections() == 0).await;
    }
}

/// A server of one endless body.
fn endless() -> (Pipes<BoxedServer>, mpsc::UnboundedReceiver<BodyHandle>) {
    let (bodies, handles) = mpsc::unbounded_channel();
    let server: BoxedServer = Arc::new(move |stream| {
        let bodies = bodies.clone();
        let served = serve(stream, move |_| {
            let (body, handle) = ControlledBody::new();
            handle.data("begun, ");
            bodies.send(handle).expect("the test waits");
            future::ready(Response::new(Body::new(body)))
        });
        Box::pin(served)
    });
    (Pipes::new(server), handles)
}

#[tokio::test(start_paused = true)]
async fn draining_waits_for_what_is_under_way() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let (pipes, mut bodies) = endless();
        let pool = Pool::builder()
            .protocol(protocol)
            .build(pipes)
            .expect("valid");
        let response = pool
            .clone()
            .oneshot(get("http://h/"))
            .await
            .expect("a head");
        let body = bodies.recv().await.expect("a body");
        let drained = tokio::spawn({
            let pool = pool.clone();
            async move { pool.drain(Duration::from_secs(60)).await }
        });
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!drained.is_finished());
        let error = pool
            .clone()
            .oneshot(get("http://h/"))
            .await
            .expect_err("too late");
        assert!(error.is_acquire() && error.is_unsent());
        body.data("ended");
        body.end();
        assert_eq!(response.text().await.expect("text"), "begun, ended");
        assert_eq!(drained.await.expect("no panic"), 0, "{protocol:?}");
        assert_eq!(pool.stats().connections(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn draining_cuts_what_is_under_way_at_its_deadline() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let (pipes, mut bodies) = endless();
        let pool = Pool::builder()
            .protocol(protocol)
            .build(pipes)
            .expect("valid");
        let response = pool
            .clone()
            .oneshot(get("http://h/"))
            .await
            .expect("a head");
        let _body = bodies.recv().await.expect("a body");
        let began = Instant::now();
        assert_eq!(pool.drain(Duration::from_secs(5)).await, 1, "{protocol:?}");
        assert!(began.elapsed() <= Duration::from_secs(6));
        assert!(response.discard().await.expect_err("cut").is_body());
        until(&pool, |stats| {
            stats.connections() == 0 && stats.in_flight == 0
        })
        .await;
    }
}

#[tokio::test]
async fn whatever_happens_to_connections_is_told() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let pool = over_tcp(Pool::builder().observer({
        let events = events.clone();
        move |event| {
            let event = format!("{event:?}");
            let name = event.split(' ').next().expect("a name").to_owned();
            events.lock().expect("a list").push(name);
        }
    }));
    let server = Loopback::start(|_: Request<Body>| async { Response::new(Body::empty()) }).await;
    for _ in 0..2 {
        let response = pool.clone().oneshot(get(server.uri("/"))).await;
        let response = response.expect("a response");
        response.extensions().get::<ConnectionInfo>().expect("one");
        response.discard().await.expect("the end");
        until(&pool, |stats| stats.idle == 1).await;
    }
    pool.close_idle();
    until(&pool, |stats| stats.connections() == 0).await;
    let refused = format!("http://{}/", refused_addr());
    pool.clone()
        .oneshot(get(refused))
        .await
        .expect_err("refused");
    let mut told = events.lock().expect("a list").clone();
    // Who waited and what was opened are told by two tasks, in either order.
    told[..2].sort();
    assert_eq!(told, ["Opened", "Waited", "Reused", "Closed", "OpenFailed"]);
}

#[tokio::test]
async fn a_pool_that_is_dropped_closes_its_connections() {
    let server = Loopback::start(|_: Request<Body>| async { Response::new(Body::empty()) }).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let pool = over_tcp(Pool::builder().protocol(protocol));
        let response = pool.clone().oneshot(get(server.uri("/"))).await;
        response
            .expect("a response")
            .discard()
            .await
            .expect("the end");
        drop(pool);
        server.closed().await;
    }
}

#[tokio::test]
async fn a_response_outlives_its_pool() {
    let (pipes, mut bodies) = endless();
    let pool = Pool::new(pipes);
    let response = pool.oneshot(get("http://h/")).await.expect("a head");
    let body = bodies.recv().await.expect("a body");
    body.data("ended");
    body.end();
    assert_eq!(response.text().await.expect("text"), "begun, ended");
}
