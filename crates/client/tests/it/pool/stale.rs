//! Connections that their peers have closed, or are closing.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_client::{ConnectionInfo, ResponseExt, Timeouts, connect::Destination, pool::Pool};
use bartizan_core::Body;
use bartizan_testing::RawServer;
use http::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    net::TcpStream,
};
use tower::{Service, ServiceExt};

use super::{Pipes, get, over_tcp, until};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Reads one request without a body. `false` at the end of the stream.
pub(crate) async fn read_request(stream: &mut (impl AsyncReadExt + Unpin)) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    true
}

/// Answers until nothing more has come for so long, and hangs up without a word. For the first request it waits: a busy machine may take
/// longer than that from connecting to sending.
async fn impatient(mut stream: TcpStream, patience: Duration) {
    let mut has_come = read_request(&mut stream).await;
    while has_come && stream.write_all(OK).await.is_ok() {
        let next = tokio::time::timeout(patience, read_request(&mut stream)).await;
        has_come = next.unwrap_or(false);
    }
}

/// hyper-util's client fails a third of them.
#[tokio::test]
async fn a_server_that_closes_after_3_ms_fails_no_get() {
    let server = RawServer::start(|stream| impatient(stream, Duration::from_millis(3))).await;
    let pool = over_tcp(Pool::builder());
    for call in 0..300 {
        let response = pool.clone().oneshot(get(server.uri("/"))).await;
        let response = response.unwrap_or_else(|error| panic!("call {call}: {error:?}"));
        response.discard().await.expect("the end");
        // About when the server hangs up: before, after, and in between.
        tokio::time::sleep(Duration::from_micros(2_500 + call * 10 % 1_000)).await;
    }
    assert!(pool.stats().reused > 0, "{:?}", pool.stats());
}

/// Serves one request, reads the start of the next, and hangs up: as a server that closes while a request arrives.
async fn dies_on_the_second(mut stream: DuplexStream, seen: Arc<AtomicUsize>) {
    if read_request(&mut stream).await {
        seen.fetch_add(1, Ordering::SeqCst);
        stream.write_all(OK).await.expect("written");
    }
    if read_request(&mut stream).await {
        seen.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_stale_connection_costs_an_idempotent_request_nothing() {
    let seen = Arc::new(AtomicUsize::new(0));
    let pipes = Pipes::new({
        let seen = seen.clone();
        move |stream| dies_on_the_second(stream, seen.clone())
    });
    let pool = Pool::new(pipes.clone());
    for _ in 0..2 {
        let response = pool.clone().oneshot(get("http://h/")).await;
        let response = response.expect("a response");
        let info = response.extensions().get::<ConnectionInfo>().cloned();
        assert_eq!(info.expect("a connection").carried(), 0);
        response.discard().await.expect("the end");
    }
    assert_eq!((pipes.count(), seen.load(Ordering::SeqCst)), (2, 3));
}

/// Not with the patience of whoever had the first connection made.
#[tokio::test]
async fn the_second_connection_is_made_with_the_timeouts_of_the_request() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let pipes = Pipes::new(|stream| dies_on_the_second(stream, Arc::default()));
    let connector = tower::service_fn({
        let asked = asked.clone();
        move |to: Destination| {
            asked.lock().expect("no panic").push(to.connect_timeout());
            Service::call(&mut pipes.clone(), to)
        }
    });
    let pool = Pool::new(connector);
    let given = [7, 8].map(|seconds| Some(Duration::from_secs(seconds)));
    for connect in given {
        let mut timeouts = Timeouts::new();
        timeouts.connect = connect;
        let mut request = get("http://h/");
        request.extensions_mut().insert(timeouts);
        let response = pool.clone().oneshot(request).await.expect("a response");
        response.discard().await.expect("the end");
    }
    assert_eq!(*asked.lock().expect("no panic"), given);
}

#[tokio::test]
async fn a_stale_connection_fails_a_request_that_may_have_been_acted_on() {
    let pipes = Pipes::new(|stream| dies_on_the_second(stream, Arc::default()));
    let pool = Pool::new(pipes.clone());
    let response = pool.clone().oneshot(get("http://h/")).await;
    response
        .expect("a response")
        .discard()
        .await
        .expect("the end");
    let request = Request::post("http://h/").body(Body::from("once"));
    let error = pool.clone().oneshot(request.expect("a request")).await;
    let error = error.expect_err("nobody knows");
    assert!(!error.is_unsent(), "{error:?}");
    assert_eq!(error.connection().map(ConnectionInfo::carried), Some(1));
    assert_eq!(pipes.count(), 1);
}

#[tokio::test]
async fn a_retry_is_not_itself_retried() {
    let seen = Arc::new(AtomicUsize::new(0));
    // The first connection serves one request; every later one hangs up on its first.
    let first = Arc::new(AtomicUsize::new(0));
    let pipes = Pipes::new({
        let (seen, first) = (seen.clone(), first.clone());
        move |mut stream: DuplexStream| {
            let (seen, is_first) = (seen.clone(), first.fetch_add(1, Ordering::SeqCst) == 0);
            async move {
                if is_first {
                    return dies_on_the_second(stream, seen).await;
                }
                read_request(&mut stream).await;
                seen.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let pool = Pool::new(pipes.clone());
    let response = pool.clone().oneshot(get("http://h/")).await;
    response
        .expect("a response")
        .discard()
        .await
        .expect("the end");
    let error = pool.clone().oneshot(get("http://h/")).await;
    assert!(!error.expect_err("twice").is_unsent());
    assert_eq!((pipes.count(), seen.load(Ordering::SeqCst)), (2, 3));
}

#[tokio::test]
async fn a_response_that_has_begun_is_not_asked_for_again() {
    let pipes = Pipes::new(|mut stream: DuplexStream| async move {
        read_request(&mut stream).await;
        stream.write_all(OK).await.expect("written");
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 20").await.expect("written");
    });
    let pool = Pool::new(pipes.clone());
    let response = pool.clone().oneshot(get("http://h/")).await;
    response
        .expect("a response")
        .discard()
        .await
        .expect("the end");
    let error = pool.clone().oneshot(get("http://h/")).await;
    error.expect_err("half a head");
    assert_eq!(pipes.count(), 1);
}

#[tokio::test]
async fn connection_close_is_honoured() {
    let pipes = Pipes::new(|mut stream: DuplexStream| async move {
        read_request(&mut stream).await;
        let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
        stream.write_all(answer).await.expect("written");
        // It does not close by itself: the client must, or nobody ever does.
        assert!(!read_request(&mut stream).await, "a second request");
    });
    let pool = Pool::new(pipes.clone());
    for connections in 1..=3 {
        let response = pool.clone().oneshot(get("http://h/")).await;
        response
            .expect("a response")
            .discard()
            .await
            .expect("the end");
        assert_eq!(pipes.count(), connections);
        until(&pool, |stats| stats.connections() == 0).await;
    }
}

#[tokio::test]
async fn a_server_of_http_1_0_is_understood() {
    for (keep, expected) in [("", 3), ("connection: keep-alive\r\n", 1)] {
        let pipes = Pipes::new(move |mut stream: DuplexStream| async move {
            while read_request(&mut stream).await {
                let head = format!("HTTP/1.0 200 OK\r\n{keep}content-length: 2\r\n\r\nok");
                stream.write_all(head.as_bytes()).await.expect("written");
                if keep.is_empty() {
                    return;
                }
            }
        });
        let pool = Pool::new(pipes.clone());
        for _ in 0..3 {
            let response = pool.clone().oneshot(get("http://h/")).await;
            let text = response.expect("a response").text().await;
            assert_eq!(text.expect("text"), "ok");
        }
        assert_eq!(pipes.count(), expected, "{keep:?}");
    }
}
