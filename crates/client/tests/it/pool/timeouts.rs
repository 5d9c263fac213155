//! How long each phase may take, on a clock that moves when everybody waits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_client::{ConnectionInfo, Phase, Protocol, ResponseExt, Timeouts, pool::Pool};
use bartizan_core::Body;
use bartizan_testing::ControlledBody;
use http::{Request, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::{Instant, sleep},
};
use tower::ServiceExt;

use super::{BoxedServer, Pipes, get, serve, stale::read_request, until};

const SECOND: Duration = Duration::from_secs(1);

fn timeouts(change: impl FnOnce(&mut Timeouts)) -> Timeouts {
    let mut timeouts = Timeouts::new();
    change(&mut timeouts);
    timeouts
}

/// Reads and never answers.
async fn deaf(mut stream: DuplexStream) {
    while stream.read_u8().await.is_ok() {}
}

#[tokio::test(start_paused = true)]
async fn acquiring_ends_in_time() {
    let pool = Pool::builder()
        .max_connections_per_origin(1)
        .build(Pipes::new(deaf))
        .expect("valid");
    let busy = tokio::spawn(pool.clone().oneshot(get("http://h/")));
    until(&pool, |stats| stats.in_flight == 1).await;
    let began = Instant::now();
    let error = pool.clone().oneshot(get("http://h/")).await;
    let error = error.expect_err("it never comes free");
    assert_eq!(began.elapsed(), 30 * SECOND);
    assert!(error.is_acquire() && error.is_timeout() && error.is_unsent());
    assert_eq!(error.phase(), Phase::Acquire);
    assert_eq!(pool.stats().waiting, 0);
    busy.abort();
}

#[tokio::test(start_paused = true)]
async fn the_first_byte_ends_in_time_from_the_end_of_the_request() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let server = |stream| {
            serve(stream, |request| async move {
                // Takes the upload, and never answers.
                drop(http_body_util::BodyExt::collect(request.into_body()).await);
                std::future::pending::<Response<Body>>().await
            })
        };
        let pool = Pool::builder()
            .protocol(protocol)
            .timeouts(timeouts(|timeouts| timeouts.first_byte = Some(3 * SECOND)))
            .build(Pipes::new(server))
            .expect("valid");
        let (body, upload) = ControlledBody::new();
        upload.data("slow");
        let request = Request::put("http://h/")
            .body(Body::new(body))
            .expect("a request");
        let began = Instant::now();
        let call = tokio::spawn(pool.clone().oneshot(request));
        sleep(10 * SECOND).await;
        assert!(!call.is_finished(), "the upload is not over");
        upload.end();
        let error = call.await.expect("no panic").expect_err("no answer");
        assert_eq!(began.elapsed(), 13 * SECOND, "{protocol:?}");
        assert!(error.is_timeout() && !error.is_unsent());
        assert_eq!(error.phase(), Phase::Response);
        assert!(error.connection().is_some());
        until(&pool, |stats| stats.in_flight == 0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn timeouts_of_one_request_replace_the_pools() {
    let pool = Pool::new(Pipes::new(deaf));
    let mut request = get("http://h/");
    let own = timeouts(|timeouts| timeouts.first_byte = Some(SECOND));
    request.extensions_mut().insert(own);
    let began = Instant::now();
    let error = pool.clone().oneshot(request).await.expect_err("no answer");
    assert!(error.is_timeout());
    assert_eq!(began.elapsed(), SECOND);
    until(&pool, |stats| stats.connections() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn reading_ends_in_time_and_only_waiting_counts() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let server = |stream| {
            serve(stream, |_| async {
                let (body, handle) = ControlledBody::new();
                tokio::spawn(async move {
                    for _ in 0..3 {
                        handle.data("x");
                        sleep(20 * SECOND).await;
                    }
                    sleep(40 * SECOND).await;
                });
                Response::new(Body::new(body))
            })
        };
        let pool = Pool::builder()
            .protocol(protocol)
            .build(Pipes::new(server))
            .expect("valid");
        let response = pool.clone().oneshot(get("http://h/")).await;
        let mut body = response.expect("a head").into_body();
        let mut frame = async || http_body_util::BodyExt::frame(&mut body).await;
        frame().await.expect("data").expect("data");
        // The reader takes its time: what comes meanwhile has come.
        sleep(35 * SECOND).await;
        for _ in 0..2 {
            frame().await.expect("data").expect("data");
        }
        let began = Instant::now();
        let error = frame().await.expect("an error").expect_err("an error");
        assert_eq!(began.elapsed(), 30 * SECOND, "{protocol:?}");
        assert!(error.is_timeout() && error.is_body());
        assert_eq!(error.phase(), Phase::Body);
        assert_eq!(pool.stats().in_flight, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_makes_no_progress_ends_in_time() {
    // It keeps the pipe, and takes nothing out of it.
    let server = |stream: DuplexStream| async move {
        sleep(3_600 * SECOND).await;
        drop(stream);
    };
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let pool = Pool::builder()
            .protocol(protocol)
            .http2_keep_alive(None, SECOND)
            .build(Pipes::new(server))
            .expect("valid");
        let request = Request::put("http://h/").body(Body::from(vec![0; 200_000]));
        let began = Instant::now();
        let call = pool.clone().oneshot(request.expect("a request"));
        let error = match protocol {
            Protocol::Http1 => call.await.expect_err("stalled"),
            // HTTP/2's own window is smaller than the pipe: nothing stalls but the peer's answer.
            _ => {
                drop(call);
                continue;
            }
        };
        assert_eq!(began.elapsed(), 30 * SECOND);
        assert!(error.is_timeout() && !error.is_unsent(), "{error:?}");
        assert_eq!(error.phase(), Phase::Send);
        until(&pool, |stats| stats.connections() == 0).await;
    }
}

/// The head of a request and the bytes that came with it.
async fn expecting(seen: Arc<AtomicUsize>, answer: &'static [u8], mut stream: DuplexStream) {
    assert!(read_request(&mut stream).await);
    stream.write_all(answer).await.expect("written");
    while stream.read_u8().await.is_ok() {
        if seen.fetch_add(1, Ordering::SeqCst) + 1 == 4 {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.expect("written");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_expected_waits_for_100_continue() {
    for (answer, status, waited, uploaded) in [
        (
            &b"HTTP/1.1 100 Continue\r\n\r\n"[..],
            200,
            Duration::ZERO,
            4,
        ),
        (b"", 200, SECOND, 4),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", 200, SECOND, 4),
        (
            b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n",
            413,
            Duration::ZERO,
            0,
        ),
    ] {
        let seen = Arc::new(AtomicUsize::new(0));
        let pipes = Pipes::new({
            let seen = seen.clone();
            move |stream| expecting(seen.clone(), answer, stream)
        });
        let pool = Pool::new(pipes.clone());
        let request = Request::put("http://h/")
            .header("expect", "100-continue")
            .body(Body::from("four"));
        let began = Instant::now();
        let response = pool.clone().oneshot(request.expect("a request")).await;
        let response = response.expect("a response");
        assert_eq!(response.status(), status);
        assert_eq!(
            began.elapsed(),
            waited,
            "{}",
            String::from_utf8_lossy(answer)
        );
        response.discard().await.expect("the end");
        if uploaded == 0 {
            // The peer still counts on the body: nothing else can follow on this connection.
            until(&pool, |stats| stats.connections() == 0).await;
        } else {
            until(&pool, |stats| stats.idle == 1).await;
        }
        sleep(10 * SECOND).await;
        assert_eq!(seen.load(Ordering::SeqCst), uploaded);
    }
}

fn quick() -> Pipes<BoxedServer> {
    Pipes::new(Arc::new(|stream| {
        Box::pin(serve(stream, |_| async { Response::new(Body::from("ok")) }))
    }))
}

#[tokio::test(start_paused = true)]
async fn unused_connections_close_within_a_sweep_of_their_time() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let pool = Pool::builder()
            .protocol(protocol)
            .idle_timeout(10 * SECOND)
            .build(quick())
            .expect("valid");
        let response = pool.clone().oneshot(get("http://h/")).await;
        response
            .expect("a response")
            .discard()
            .await
            .expect("the end");
        sleep(10 * SECOND - Duration::from_millis(1)).await;
        assert_eq!(pool.stats().connections(), 1, "{protocol:?}");
        // A sweep is a tenth of it.
        sleep(SECOND + Duration::from_millis(2)).await;
        until(&pool, |stats| stats.connections() == 0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn connections_retire_at_their_age_give_or_take_a_tenth() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let pipes = quick();
        let pool = Pool::builder()
            .protocol(protocol)
            .max_lifetime(Some(100 * SECOND))
            .build(pipes.clone())
            .expect("valid");
        let began = Instant::now();
        let mut first_id = None;
        loop {
            let response = pool.clone().oneshot(get("http://h/")).await;
            let response = response.expect("a response");
            let id = response
                .extensions()
                .get::<ConnectionInfo>()
                .expect("one")
                .id();
            response.discard().await.expect("the end");
            if *first_id.get_or_insert(id) != id {
                break;
            }
            sleep(SECOND).await;
        }
        let age = began.elapsed().as_secs();
        assert!((90..=112).contains(&age), "{age} s");
    }
}

#[tokio::test(start_paused = true)]
async fn origins_are_forgotten_with_their_connections() {
    let pool = Pool::builder()
        .idle_timeout(10 * SECOND)
        .build(quick())
        .expect("valid");
    for host in 0..50 {
        let response = pool.clone().oneshot(get(format!("http://h{host}/"))).await;
        response
            .expect("a response")
            .discard()
            .await
            .expect("the end");
    }
    assert_eq!(pool.stats().origins, 50);
    sleep(30 * SECOND).await;
    assert_eq!((pool.stats().origins, pool.stats().connections()), (0, 0));
}
