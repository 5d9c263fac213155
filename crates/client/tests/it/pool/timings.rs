//! How long each part of an exchange takes, for those who ask.

use std::time::Duration;

use bartizan_client::{
    Phase, Protocol, RecordTimings, RequestExt, ResponseBody, ResponseExt, Timeouts, Timings,
    connect::Destination, pool::Pool,
};
use bartizan_core::Body;
use futures_util::{future, stream};
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::Semaphore,
    time::sleep,
};
use tower::{ServiceExt, service_fn};

use super::{Pipes, get, serve, stale::read_request, until};

const MS: fn(u64) -> Duration = Duration::from_millis;

fn timed(uri: &'static str) -> Request<Body> {
    let mut request = get(uri);
    request.extensions_mut().insert(RecordTimings);
    request
}

fn timings(response: &Response<ResponseBody>) -> Timings {
    *response.extensions().get().expect("as asked for")
}

/// Reads the whole request, thinks, and answers.
async fn thinks(stream: DuplexStream) {
    serve(stream, |request| async {
        drop(request.into_body().collect().await);
        sleep(MS(50)).await;
        Response::new(Body::from("hello"))
    })
    .await;
}

/// One whose every part takes its time, each another.
fn slow(protocol: Protocol) -> Pool {
    let pipes = Pipes::new(thinks);
    let connector = service_fn(move |to: Destination| {
        let mut pipes = pipes.clone();
        async move {
            for (phase, took) in [
                (Phase::Resolve, MS(1)),
                (Phase::Connect, MS(2)),
                (Phase::Proxy, MS(3)),
                (Phase::Tls, MS(3)),
                // Again, as by a proxy that is reached by TLS, and what is no part of it.
                (Phase::Tls, MS(1)),
                (Phase::Body, MS(100)),
            ] {
                to.record(phase, took);
            }
            sleep(MS(10)).await;
            tower::Service::call(&mut pipes, to).await
        }
    });
    let builder = Pool::builder()
        .protocol(protocol)
        .max_connections_per_origin(1)
        .http2_max_connections_per_origin(1)
        .http2_max_streams(1);
    builder.build(connector).expect("valid")
}

fn parts(timings: &Timings) -> [Option<Duration>; 4] {
    [
        timings.resolve(),
        timings.connect(),
        timings.proxy(),
        timings.tls(),
    ]
}

#[tokio::test(start_paused = true)]
async fn each_part_is_told_and_those_that_were_not_needed_are_not() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let pool = slow(protocol);
        let call = async || {
            let response = pool.clone().oneshot(timed("http://h/")).await;
            let response = response.expect("a response");
            let timings = timings(&response);
            response.discard().await.expect("the end");
            timings
        };
        let first = call().await;
        assert_eq!(first.queue(), MS(10), "{protocol:?}");
        assert_eq!(parts(&first), [1, 2, 3, 4].map(|ms| Some(MS(ms))));
        assert_eq!((first.sending(), first.waiting()), (MS(0), MS(50)));
        assert_eq!(first.total(), MS(60));

        let second = call().await;
        assert_eq!(parts(&second), [None; 4], "{protocol:?}");
        assert_eq!((second.queue(), second.total()), (MS(0), MS(50)));

        // One waits for the connection that the other uses.
        let (one, other) = future::join(call(), call()).await;
        assert_eq!(
            (one.queue(), other.queue()),
            (MS(0), MS(50)),
            "{protocol:?}"
        );
        assert_eq!(parts(&other), [None; 4]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_ask_is_not_told() {
    let response = slow(Protocol::Http1).oneshot(get("http://h/")).await;
    let response = response.expect("a response");
    assert!(response.extensions().get::<Timings>().is_none());
}

#[tokio::test(start_paused = true)]
async fn sending_ends_with_the_last_of_the_request() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let pool = slow(protocol);
        let pieces = stream::unfold(0, |n| async move {
            sleep(MS(7)).await;
            (n < 3).then_some((Ok::<_, std::io::Error>("piece"), n + 1))
        });
        let mut request = timed("http://h/");
        *request.method_mut() = http::Method::PUT;
        *request.body_mut() = Body::from_stream(pieces);
        let response = pool.oneshot(request).await.expect("a response");
        let timings = timings(&response);
        assert_eq!(timings.sending(), MS(28), "{protocol:?}");
        assert_eq!(timings.waiting(), MS(50), "{protocol:?}");
        assert_eq!(timings.total(), MS(88), "{protocol:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_early_answer_ends_the_sending_and_100_continue_is_waited_for_in_it() {
    let early = Pipes::new(|mut stream: DuplexStream| async move {
        assert!(read_request(&mut stream).await);
        sleep(MS(5)).await;
        let answer = b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.expect("written");
        while stream.read_u8().await.is_ok() {}
    });
    let mut request = timed("http://h/");
    *request.method_mut() = http::Method::PUT;
    *request.body_mut() = Body::from_stream(stream::pending::<Result<&str, std::io::Error>>());
    let response = Pool::new(early).oneshot(request).await.expect("an answer");
    let told = timings(&response);
    assert_eq!((told.sending(), told.waiting()), (MS(5), MS(0)));

    let mut timeouts = Timeouts::new();
    timeouts.expect_continue = Some(MS(20));
    let mut request = timed("http://h/");
    request.extensions_mut().insert(timeouts);
    let expect = http::HeaderValue::from_static("100-continue");
    request.headers_mut().insert("expect", expect);
    *request.body_mut() = Body::from("four");
    // It never says that it may go on, and reads no body before it answers.
    let deaf = Pipes::new(|mut stream: DuplexStream| async move {
        assert!(read_request(&mut stream).await);
        drop(stream.read_exact(&mut [0; 4]).await);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.expect("written");
    });
    let response = Pool::new(deaf).oneshot(request).await.expect("an answer");
    assert_eq!(timings(&response).sending(), MS(20));
}

/// What it cost is in the queue.
#[tokio::test(start_paused = true)]
async fn a_stale_connection_is_part_of_the_wait() {
    let pipes = Pipes::new(|mut stream: DuplexStream| async move {
        if read_request(&mut stream).await {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.expect("written");
        }
        // The second request dies with its connection.
        if read_request(&mut stream).await {
            sleep(MS(30)).await;
        }
    });
    let pool = Pool::new(pipes.clone());
    let first = pool.get("http://h/").send().await.expect("a response");
    first.discard().await.expect("the end");
    until(&pool, |stats| stats.idle == 1).await;
    let response = pool.oneshot(timed("http://h/")).await.expect("a response");
    assert_eq!(pipes.count(), 2);
    assert_eq!(timings(&response).queue(), MS(30));
}

/// A connection that was begun for another request.
#[tokio::test]
async fn a_connection_that_was_opened_in_the_meantime_tells_what_it_took() {
    static GATE: Semaphore = Semaphore::const_new(0);
    let pipes = Pipes::new(thinks);
    let pool = Pool::builder()
        .max_connections_per_origin(1)
        .build(service_fn(move |to: Destination| {
            let mut pipes = pipes.clone();
            async move {
                to.record(Phase::Connect, MS(1));
                GATE.acquire().await.expect("open").forget();
                tower::Service::call(&mut pipes, to).await
            }
        }))
        .expect("valid");
    let abandoned = tokio::spawn(pool.clone().oneshot(get("http://h/")));
    until(&pool, |stats| stats.connecting == 1).await;
    let waiting = tokio::spawn(pool.clone().oneshot(timed("http://h/")));
    until(&pool, |stats| stats.waiting == 2).await;
    abandoned.abort();
    drop(abandoned.await);
    GATE.add_permits(1);
    let response = waiting.await.expect("no panic").expect("a response");
    assert_eq!(timings(&response).connect(), Some(MS(1)));
}
