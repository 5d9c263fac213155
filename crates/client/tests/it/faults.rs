//! Networks and peers that fail, in every way that a script can think of: each call ends with a typed error within its time, and nothing
//! is left behind.

use bartizan_client::{
    Error, Phase, Protocol, RequestExt, ResponseExt, Timeouts, Transport, pool::Pool,
};
use bartizan_core::Body;
use bartizan_testing::{
    FaultProxy, Flow, Loopback, Wire,
    http2::{Frame, H2Script, Peer, code, setting},
};
use http::{Request, Response};
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::time::Instant;

use crate::pool::until;

const MS: fn(u64) -> Duration = Duration::from_millis;
/// How long a call may take. Nothing here has reason to come near it, but for what waits for it.
const PATIENCE: Duration = Duration::from_millis(400);

/// A transport whose every phase ends, and none so soon that a busy machine could be taken for a fault.
fn transport(protocol: Protocol) -> Transport {
    let mut timeouts = Timeouts::new();
    timeouts.first_byte = Some(MS(1_500));
    timeouts.read = Some(MS(1_500));
    timeouts.write = Some(MS(1_500));
    Transport::builder()
        .pool(Pool::builder().protocol(protocol).timeouts(timeouts))
        .build()
        .expect("a transport")
}

/// 64 KiB back, and whatever was sent.
async fn echo() -> Loopback {
    let server = Loopback::start(|request: Request<Body>| async move {
        let sent = request.into_body().collect().await;
        let sent = sent.map_or(0, |sent| sent.to_bytes().len());
        Response::new(Body::from(vec![b'x'; 64 * 1024 + sent]))
    })
    .await;
    server.allow_protocol_errors();
    server
}

/// Until nothing of what it had to do is left.
async fn at_rest(transport: &Transport) {
    until(transport.pool(), |stats| {
        stats.in_flight + stats.waiting + stats.connecting + stats.closing == 0
    })
    .await;
}

/// What a fault may come to.
type Expected = fn(&Error) -> bool;
/// A fault by name.
type Fault = (&'static str, fn() -> Wire, Expected);

#[tokio::test]
async fn whatever_the_wire_does_calls_end_in_time_and_leave_nothing() {
    let lost: Expected = |error| !error.is_timeout() && !error.is_unsent();
    let unconnected: Expected = |error| !error.is_timeout();
    let late: Expected = Error::is_timeout;
    let body: Expected = |error| error.phase() == Phase::Body && !error.is_timeout();
    let late_body: Expected = |error| error.phase() == Phase::Body && error.is_timeout();
    let faults: [Fault; 11] = [
        ("closed on accept", Wire::closed, unconnected),
        ("reset on accept", Wire::reset, unconnected),
        ("half-open from the start", Wire::silent, late),
        (
            "half-open within the request",
            || Wire::new().to_server(Flow::new().stall_at(10)),
            late,
        ),
        (
            "cut within the request",
            || Wire::new().to_server(Flow::new().close_at(10)),
            |error| !error.is_timeout() || error.phase() == Phase::Response,
        ),
        (
            "cut within the head",
            || Wire::new().to_client(Flow::new().close_at(30)),
            lost,
        ),
        (
            "reset within the head",
            || Wire::new().to_client(Flow::new().reset_at(30)),
            lost,
        ),
        (
            "cut within the body",
            || Wire::new().to_client(Flow::new().close_at(20_000)),
            body,
        ),
        (
            "reset within the body",
            || Wire::new().to_client(Flow::new().reset_at(20_000)),
            |error| !error.is_timeout() && !error.is_unsent(),
        ),
        (
            "half-open within the body",
            || Wire::new().to_client(Flow::new().stall_at(20_000)),
            late_body,
        ),
        (
            "garbage instead of a head",
            || Wire::new().to_client(Flow::new().inject(0, &b"\x16\x03\x01\0\xff nonsense"[..])),
            lost,
        ),
    ];
    let server = echo().await;
    let addr = server.addr();
    // All at once, as some of them wait for a limit.
    let mut cases = Vec::new();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for (what, wire, expected) in faults {
            for upload in [false, true] {
                cases.push(async move {
                    let case = format!("{what}, {protocol:?}, upload {upload}");
                    let proxy = FaultProxy::start(addr).await;
                    proxy.by_default(move |_| wire());
                    let transport = transport(protocol);
                    let request = match upload {
                        false => transport.get(proxy.uri("/")),
                        true => transport.post(proxy.uri("/")).body(vec![b'y'; 100_000]),
                    };
                    let read = async { request.send().await?.bytes().await };
                    let ended = tokio::time::timeout(Duration::from_secs(20), read).await;
                    let ended = ended.unwrap_or_else(|_| panic!("{case}: it hangs"));
                    let error = ended.expect_err(&case);
                    assert!(expected(&error), "{case}: {error:?}");
                    assert!(error.uri().is_some(), "{case}: {error}");
                    at_rest(&transport).await;
                });
            }
        }
    }
    futures_util::future::join_all(cases).await;
}

#[tokio::test]
async fn a_slow_wire_is_waited_for_as_long_as_it_moves() {
    let server = echo().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let drip = || Flow::new().drip(8 * 1024, MS(2));
    proxy.by_default(move |_| {
        Wire::new()
            .to_server(drip())
            .to_client(drip())
            .latency(MS(5))
    });
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let transport = transport(protocol);
        let request = transport.post(proxy.uri("/")).body(vec![b'y'; 100_000]);
        let response = request.send().await.expect("a response");
        let bytes = response.bytes().await.expect("a body");
        assert_eq!(bytes.len(), 64 * 1024 + 100_000, "{protocol:?}");
        at_rest(&transport).await;
    }
}

#[tokio::test]
async fn a_call_is_over_when_its_time_is_whatever_it_waits_for() {
    let server = echo().await;
    let proxy = FaultProxy::start(server.addr()).await;
    proxy.by_default(|n| match n {
        0 => Wire::silent(),
        _ => Wire::new().to_client(Flow::new().drip(100, MS(20))),
    });
    for _ in 0..2 {
        let transport = Transport::new();
        let started = Instant::now();
        let call = async {
            let request = transport.get(proxy.uri("/")).timeout(PATIENCE);
            request.send().await?.bytes().await
        };
        let error = call.await.expect_err("too slow");
        assert!(error.is_timeout(), "{error:?}");
        assert!(started.elapsed() >= PATIENCE);
        at_rest(&transport).await;
    }
}

#[tokio::test]
async fn a_server_that_comes_back_is_found_again() {
    let server = echo().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let transport = transport(Protocol::Http1);
    let call = || async { transport.get(proxy.uri("/")).send().await?.bytes().await };
    call().await.expect("up");
    proxy.refuse();
    proxy.reset_all();
    let error = call().await.expect_err("down");
    assert!(error.is_connect() || !error.is_unsent(), "{error:?}");
    let error = call().await.expect_err("down");
    assert!(error.is_connect() && error.is_unsent(), "{error:?}");
    proxy.listen();
    call().await.expect("up again");
}

fn h2() -> Transport {
    transport(Protocol::Http2)
}

async fn failing<F>(script: impl Fn(Peer) -> F + Send + Sync + 'static) -> Error
where
    F: Future<Output = ()> + Send + 'static,
{
    let server = H2Script::start(&[], script).await;
    let transport = h2();
    let call = async { transport.get(server.uri("/")).send().await?.bytes().await };
    let error = tokio::time::timeout(Duration::from_secs(20), call).await;
    let error = error.expect("it hangs").expect_err("a failure");
    at_rest(&transport).await;
    error
}

#[tokio::test]
async fn a_peer_of_http2_that_breaks_the_rules_fails_the_call_and_no_more() {
    // A frame of a stream that nobody has opened.
    let error = failing(|mut peer| async move {
        peer.request().await;
        peer.data(99, "nobody's", false).await;
        peer.until_gone().await;
    })
    .await;
    assert!(!error.is_timeout() && !error.is_unsent(), "{error:?}");
    // What is no frame at all.
    let error = failing(|mut peer| async move {
        peer.request().await;
        peer.send_bytes(&[0xff; 64]).await;
        peer.until_gone().await;
    })
    .await;
    assert!(!error.is_timeout() && !error.is_unsent(), "{error:?}");
    // A stream that is reset after half of the body.
    let error = failing(|mut peer| async move {
        let id = peer.request().await.expect("a request");
        peer.headers(id, 200, &[], false).await;
        peer.data(id, "half", false).await;
        peer.reset(id, code::INTERNAL_ERROR).await;
        peer.until_gone().await;
    })
    .await;
    assert_eq!(error.phase(), Phase::Body, "{error:?}");
    // Headers without end.
    let error = failing(|mut peer| async move {
        let id = peer.request().await.expect("a request");
        let long = "v".repeat(16_000);
        peer.headers(id, 200, &[("x-long", &*long); 20], true).await;
        peer.until_gone().await;
    })
    .await;
    assert!(!error.is_unsent() && !error.is_timeout(), "{error:?}");
    // No answer at all, while its pings are answered.
    let error = failing(|mut peer| async move {
        peer.request().await;
        peer.until_gone().await;
    })
    .await;
    assert!(
        error.is_timeout() && error.phase() == Phase::Response,
        "{error:?}"
    );
}

#[tokio::test]
async fn a_window_that_never_opens_ends_the_upload_in_time() {
    let server = H2Script::start(
        &[(setting::INITIAL_WINDOW_SIZE, 0)],
        |mut peer| async move {
            // The first is answered, so that the client has read the settings; the second never gets to send its body.
            let first = peer.request().await.expect("a request");
            peer.respond(first, 200, "").await;
            peer.until_gone().await;
        },
    )
    .await;
    let transport = h2();
    transport
        .get(server.uri("/"))
        .send()
        .await
        .expect("an answer");
    let upload = transport.post(server.uri("/")).body(vec![0; 10_000]).send();
    let upload = tokio::time::timeout(Duration::from_secs(20), upload).await;
    let error = upload.expect("it hangs").expect_err("no window");
    assert!(error.is_timeout(), "{error:?}");
    at_rest(&transport).await;
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_upload_is_an_answer() {
    let server = H2Script::start(&[], |mut peer| async move {
        let id = peer.request().await.expect("a request");
        peer.respond(id, 413, "").await;
        peer.reset(id, code::NO_ERROR).await;
        peer.until_gone().await;
    })
    .await;
    let transport = h2();
    let body = Body::from_stream(futures_util::stream::pending::<Result<&str, std::io::Error>>());
    let response = transport.post(server.uri("/")).body(body).send().await;
    assert_eq!(response.expect("an early answer").status(), 413);
    at_rest(&transport).await;
}

#[tokio::test]
async fn trailers_arrive_and_frames_that_nobody_knows_are_skipped() {
    let server = H2Script::start(&[], |mut peer| async move {
        let id = peer.request().await.expect("a request");
        // Length, type, flags, stream, payload.
        let unknown = [&[0, 0, 2, 0x7f, 0][..], &id.to_be_bytes(), b"??"].concat();
        peer.send_bytes(&unknown).await;
        peer.headers(id, 200, &[], false).await;
        peer.data(id, "data", false).await;
        peer.trailers(id, &[("x-sum", "1")]).await;
        peer.until_gone().await;
    })
    .await;
    let transport = h2();
    let response = transport
        .get(server.uri("/"))
        .send()
        .await
        .expect("an answer");
    let (bytes, trailers) = response.bytes_and_trailers().await.expect("a body");
    assert_eq!(bytes, "data");
    assert_eq!(trailers["x-sum"], "1");
}

/// hyper tells nothing of what comes before an answer over HTTP/2. So nothing waits for it, and it is no answer.
#[tokio::test]
async fn over_http2_a_body_that_is_expected_is_sent_at_once() {
    for informational in [None, Some(100), Some(103)] {
        let server = H2Script::start(&[], move |mut peer| async move {
            let id = peer.request().await.expect("a request");
            let sent = loop {
                let frame = peer.frame().await.expect("a body");
                if let Frame::Data { data, .. } = frame {
                    break data;
                }
            };
            assert_eq!(sent, "four");
            if let Some(status) = informational {
                peer.headers(id, status, &[], false).await;
            }
            peer.respond(id, 200, "").await;
            peer.until_gone().await;
        })
        .await;
        let transport = h2();
        let request = transport
            .put(server.uri("/"))
            .expect_continue()
            .body("four");
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200, "{informational:?}");
    }
}
