//! Whatever callers do, in the end there is nothing left.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bartizan_client::{Protocol, ResponseExt, pool::Pool};
use bartizan_core::Body;
use bartizan_testing::allocations;
use futures_util::{StreamExt, future, stream};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncWriteExt, DuplexStream},
    runtime::Runtime,
};
use tower::ServiceExt;

use super::{Pipes, serve, stale::read_request, until};

/// How many calls there are over each protocol and on each of the two kinds of runtime: of all four together, 100,000 unless
/// `BARTIZAN_CALLS` says otherwise. Some ten seconds of both cores.
fn calls() -> u64 {
    let all =
        std::env::var("BARTIZAN_CALLS").map_or(100_000, |calls| calls.parse().expect("a number"));
    all / 4
}

/// Answers in several ways, some of them bad.
async fn moody(stream: DuplexStream, mood: u64) {
    if mood % 7 == 0 {
        // Hangs up at once, or in the middle.
        let mut stream = stream;
        if mood % 2 == 0 && read_request(&mut stream).await {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
                .await;
        }
        return;
    }
    let answer = |request: Request<Body>| async move {
        match request.uri().path() {
            "/slow" => tokio::time::sleep(Duration::from_micros(300)).await,
            "/early" => return Response::new(Body::from("early")),
            _ => {}
        }
        let body = request.into_body().collect().await;
        Response::new(Body::from(vec![
            7;
            body.map_or(0, |b| b.to_bytes().len()) + 100
        ]))
    };
    serve(stream, answer).await;
}

#[tokio::test]
async fn mixed_calls_with_random_cancellation_leak_nothing() {
    mixed_calls().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mixed_calls_on_several_threads_leak_nothing() {
    mixed_calls().await;
}

async fn mixed_calls() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let moods = Arc::new(AtomicU64::new(1));
        let pipes = Pipes::new(move |stream| moody(stream, moods.fetch_add(1, Ordering::SeqCst)));
        let pool = Pool::builder()
            .protocol(protocol)
            .max_connections(20)
            .max_connections_per_origin(8)
            .http2_max_streams(5)
            .max_requests(50)
            .drain_limits(1_000, Duration::from_millis(5))
            .build(pipes)
            .expect("valid");
        let calls = (0..calls()).map(|n| {
            let pool = pool.clone();
            let mut dice = fastrand::Rng::with_seed(n);
            async move {
                let path = ["", "slow", "early"][dice.usize(..3)];
                let uri = format!("http://h{}/{path}", dice.u8(..5));
                let body = match dice.u8(..3) {
                    0 => Body::empty(),
                    1 => Body::from("whole"),
                    _ => Body::from_stream(stream::iter(
                        (0..20).map(|_| Ok::<_, std::io::Error>("piece")),
                    )),
                };
                let request = Request::put(uri).body(body).expect("a request");
                let patience = Duration::from_micros(dice.u64(..800));
                let reads = dice.bool();
                let call = async {
                    if let Ok(response) = pool.oneshot(request).await {
                        if reads {
                            drop(response.discard().await);
                        }
                    }
                };
                // Half of them give up at some time.
                if dice.bool() {
                    drop(tokio::time::timeout(patience, call).await);
                } else {
                    call.await;
                }
            }
        });
        // Each a task, so that threads share the work.
        let calls = calls.map(tokio::spawn);
        let calls = stream::iter(calls).buffer_unordered(64);
        let calls = calls.for_each(|call| async { call.expect("no panic") });
        let done = tokio::time::timeout(Duration::from_secs(300), calls).await;
        done.unwrap_or_else(|_| panic!("some call hangs: {:?}", pool.stats()));
        until(&pool, |stats| {
            stats.in_flight + stats.waiting + stats.connecting == 0
        })
        .await;
        pool.close_idle();
        until(&pool, |stats| stats.connections() == 0).await;
    }
}

/// A peer whose own work does not allocate.
async fn frugal(mut stream: DuplexStream) {
    while read_head(&mut stream).await {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        stream.write_all(answer).await.expect("written");
    }
}

/// Allocations per call, of 50 under way at once, once everything is warm.
fn per_call<F: Future<Output = ()>>(runtime: &Runtime, call: impl Fn(usize) -> F) -> u64 {
    const ROUNDS: u64 = 20;
    const IN_FLIGHT: usize = 50;
    let round = || future::join_all((0..IN_FLIGHT).map(&call));
    runtime.block_on(async {
        for _ in 0..4 {
            round().await;
        }
    });
    let ((), all) = allocations(|| {
        for _ in 0..ROUNDS {
            runtime.block_on(async { drop(round().await) });
        }
    });
    all / (ROUNDS * IN_FLIGHT as u64)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

#[test]
fn a_request_over_http1_costs_few_allocations_more_than_hypers_own() {
    let runtime = runtime();
    let uri = Uri::from_static("http://h/");
    let pool = Pool::new(Pipes::new(frugal));
    let ours = per_call(&runtime, |_| {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = uri.clone();
        let response = pool.clone().oneshot(request);
        async {
            let response = response.await.expect("a response");
            drop(response.into_body().collect().await);
        }
    });

    let senders = runtime.block_on(future::join_all((0..50).map(|_| async {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        tokio::spawn(frugal(theirs));
        let io = hyper_util::rt::TokioIo::new(ours);
        let (sender, connection) = hyper::client::conn::http1::handshake(io)
            .await
            .expect("one");
        tokio::spawn(connection);
        tokio::sync::Mutex::new(sender)
    })));
    let host = HeaderValue::from_static("h");
    let raw = per_call(&runtime, |n| {
        let mut request = Request::new(Body::empty());
        request.headers_mut().insert("host", host.clone());
        let sender = &senders[n];
        async move {
            let mut sender = sender.lock().await;
            sender.ready().await.expect("ready");
            let response = sender.send_request(request).await.expect("a response");
            drop(response.into_body().collect().await);
        }
    });
    // One for the future of the call, three for what is known of the connection in the extensions. hyper itself has six; the others
    // are those of gathering futures and bodies here.
    assert!(
        ours <= raw + 4 && raw <= 8,
        "{ours} allocations, of which {raw} without a pool"
    );
}

/// Redirects, cookies, decompression, limits, headers by default and a limit on time, and the verbs and readers over them.
#[cfg(all(feature = "compression", feature = "cookies", feature = "redirect"))]
#[test]
fn a_request_through_the_full_stack_costs_few_allocations() {
    use bartizan_client::{Jar, RequestExt, stack};

    let runtime = runtime();
    let uri = Uri::from_static("http://h/");
    let client = stack::full(Pool::new(Pipes::new(frugal)), Jar::new());
    let ours = per_call(&runtime, |_| {
        let request = client.get(uri.clone());
        async {
            let response = request.send().await.expect("a response");
            assert_eq!(response.bytes().await.expect("a body"), "ok");
        }
    });
    // hyper's six and the pool's four; one for the call and one for its body, which have no names; two for the headers and one for each
    // layer that may have to send them again; two for what the response's extensions say; the others are of gathering futures here.
    assert!(ours <= 18, "{ours} allocations");
}

async fn read_head(stream: &mut DuplexStream) -> bool {
    let mut head = [0; 512];
    let mut length = 0;
    while !head[..length].ends_with(b"\r\n\r\n") {
        match tokio::io::AsyncReadExt::read(stream, &mut head[length..]).await {
            Ok(read @ 1..) => length += read,
            _ => return false,
        }
    }
    true
}
