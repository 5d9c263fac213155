//! Server-sent events, of one response and of many.

use std::{
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bartizan_client::{CallTimeout, CallTimeoutLayer, RequestExt, ResponseExt, Transport};
use bartizan_core::{Body, BoxError, StatusSet};
use bartizan_testing::{ControlledBody, Loopback, ManualClock};
use futures_util::{FutureExt, StreamExt, TryStreamExt, future, stream};
use http::{HeaderValue, Request, Response};
use tokio::time::Instant;
use tower::{Service, ServiceBuilder, service_fn};

fn stream_of(body: impl Into<Body>) -> Response<Body> {
    let response = Response::builder().header("content-type", "Text/Event-Stream; charset=utf-8");
    response.body(body.into()).expect("a response")
}

fn status(status: u16) -> Response<Body> {
    Response::builder()
        .status(status)
        .body(Body::empty())
        .expect("a response")
}

type Answer = Result<Response<Body>, BoxError>;
type Log = Arc<Mutex<Vec<(Duration, Option<HeaderValue>)>>>;

/// Answers one after the other, and says when it was asked and with which id.
fn script(
    answers: impl IntoIterator<Item = Answer>,
) -> (
    impl Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send> + Clone,
    Log,
) {
    let answers: Arc<Mutex<Vec<Answer>>> = Arc::new(Mutex::new(answers.into_iter().collect()));
    let (log, start) = (Log::default(), Instant::now());
    let service = service_fn({
        let log = Arc::clone(&log);
        move |request: Request<Body>| {
            assert_eq!(request.headers()["accept"], "text/event-stream");
            assert_eq!(request.headers()["cache-control"], "no-store");
            let id = request.headers().get("last-event-id").cloned();
            log.lock().expect("no panic").push((start.elapsed(), id));
            future::ready(answers.lock().expect("no panic").remove(0))
        }
    });
    (service, log)
}

fn asked(log: &Log) -> Vec<(u64, Option<String>)> {
    let log = log.lock().expect("no panic");
    let text = |id: &HeaderValue| id.to_str().expect("text").to_owned();
    log.iter()
        .map(|(at, id)| {
            (
                at.as_millis().try_into().expect("soon"),
                id.as_ref().map(text),
            )
        })
        .collect()
}

fn id(id: &str) -> Option<String> {
    Some(id.to_owned())
}

#[tokio::test(start_paused = true)]
async fn ids_continue_after_a_reconnect_and_204_ends_it() {
    let (service, log) = script([
        Ok(stream_of("id: 1\ndata: a\n\nid: 2\ndata: never ends")),
        Ok(stream_of("retry: 500\ndata: b\n\nid: 3\n\n")),
        Ok(stream_of(": nothing\n\n")),
        Ok(status(204)),
    ]);
    let source = service
        .get("/")
        .event_source()
        .expect("a source")
        .without_jitter();
    let mut source = pin!(source);
    let events: Vec<_> = source.as_mut().try_collect().await.expect("no error");
    let read: Vec<_> = events
        .iter()
        .map(|event| (event.data(), event.id()))
        .collect();
    assert_eq!(read, [("a", "1"), ("b", "1")]);
    assert_eq!(
        asked(&log),
        [(0, None), (3000, id("1")), (3500, id("3")), (4000, id("3"))]
    );
    assert_eq!(source.get_last_event_id(), "3");
    assert!(source.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_wrong_content_type_is_an_error() {
    let html = || {
        let mut response = stream_of("data: a\n\n");
        response
            .headers_mut()
            .insert("content-type", HeaderValue::from_static("text/html"));
        response
    };
    let error = html().events().expect_err("html");
    assert_eq!(
        error.to_string(),
        "the response is `text/html`, and not `text/event-stream`"
    );
    assert!(error.is_decode());
    assert!(Response::new(Body::empty()).events().is_err());

    let (service, log) = script([Ok(html())]);
    let mut source = pin!(service.get("/a").event_source().expect("a source"));
    let error = source.next().await.expect("an end").expect_err("html");
    assert_eq!(
        error.to_string(),
        "GET /a: the response is `text/html`, and not `text/event-stream`"
    );
    assert!(source.next().await.is_none());
    assert_eq!(asked(&log).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_status_is_an_error_unless_it_may_pass() {
    for answer in [500, 503, 404, 201, 304] {
        let (service, _) = script([Ok(status(answer))]);
        let mut source = pin!(service.get("/").event_source().expect("a source"));
        let error = source.next().await.expect("an end").expect_err("no stream");
        assert_eq!(error.status().map(|status| status.as_u16()), Some(answer));
        assert!(source.next().await.is_none());
    }
    let (service, log) = script([
        Ok(status(503)),
        Ok(status(502)),
        Ok(stream_of("data: a\n\n")),
    ]);
    let source = service.get("/").event_source().expect("a source");
    let mut source = pin!(
        source
            .reconnect_on(StatusSet::range(502, 504))
            .without_jitter()
    );
    assert_eq!(
        source
            .next()
            .await
            .expect("an event")
            .expect("an event")
            .data(),
        "a"
    );
    assert_eq!(asked(&log), [(0, None), (3000, None), (9000, None)]);
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_and_counted_in_a_row() {
    let refused = || Err(BoxError::from("refused"));
    let answers = [
        refused(),
        refused(),
        Ok(stream_of("data: a\n\n")),
        refused(),
        refused(),
        refused(),
    ];
    let (service, log) = script(answers);
    let source = service.get("/").event_source().expect("a source");
    let mut source = pin!(
        source
            .max_attempts(3)
            .retry(Duration::from_secs(1))
            .without_jitter()
    );
    assert_eq!(
        source
            .next()
            .await
            .expect("an event")
            .expect("an event")
            .data(),
        "a"
    );
    let error = source.next().await.expect("an end").expect_err("refused");
    assert_eq!(
        std::error::Error::source(&error)
            .expect("the cause")
            .to_string(),
        "refused"
    );
    assert!(source.next().await.is_none());
    let times: Vec<_> = asked(&log).into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [0, 1000, 3000, 4000, 5000, 7000]);
}

#[tokio::test(start_paused = true)]
async fn waits_have_jitter_upwards() {
    let (service, log) = script((0..50).map(|_| Ok(stream_of(""))).chain([Ok(status(204))]));
    let mut source = pin!(service.get("/").event_source().expect("a source"));
    assert!(source.next().await.is_none());
    let times: Vec<_> = asked(&log).into_iter().map(|(at, _)| at).collect();
    let waits: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        waits.iter().all(|wait| (3000..=3751).contains(wait)),
        "{waits:?}"
    );
    assert!(
        waits
            .iter()
            .any(|wait| *wait > waits[0] + 10 || *wait + 10 < waits[0]),
        "{waits:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_off_is_no_error() {
    let broken = stream::iter([Ok("id: 1\ndata: a\n\n"), Err(BoxError::from("reset"))]);
    let (service, log) = script([Ok(stream_of(Body::from_stream(broken))), Ok(status(204))]);
    let source = service
        .get("/")
        .event_source()
        .expect("a source")
        .last_event_id("0")
        .without_jitter();
    let events: Vec<_> = source.try_collect().await.expect("no error");
    assert_eq!(events.len(), 1);
    assert_eq!(asked(&log), [(0, id("0")), (3000, id("1"))]);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_an_error() {
    let (service, _) = script([Ok(stream_of("data: 123456\n\n"))]);
    let mut source = pin!(
        service
            .get("/")
            .event_source()
            .expect("a source")
            .max_event_size(10)
    );
    let error = source.next().await.expect("an end").expect_err("too large");
    assert!(
        error.is_too_large() && error.to_string().starts_with("GET /: "),
        "{error}"
    );
    assert!(source.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_hour_is_the_longest_wait() {
    let (service, log) = script([
        Ok(stream_of("retry: 99999999999999\ndata\n\n")),
        Ok(status(204)),
    ]);
    let source = service
        .get("/")
        .event_source()
        .expect("a source")
        .without_jitter();
    let _: Vec<_> = source.try_collect().await.expect("no error");
    assert_eq!(asked(&log), [(0, None), (3_600_000, None)]);
}

#[tokio::test]
async fn an_id_that_no_header_carries_is_not_sent() {
    let (service, log) = script([
        Ok(stream_of("retry: 0\nid: a\u{1}b\ndata\n\n")),
        Ok(stream_of("id: ü\ndata\n\n")),
        Ok(status(204)),
    ]);
    let events: Vec<_> = service
        .get("/")
        .event_source()
        .expect("a source")
        .try_collect()
        .await
        .expect("no error");
    assert_eq!(events.len(), 2);
    let sent: Vec<_> = log
        .lock()
        .expect("no panic")
        .iter()
        .map(|(_, id)| id.clone())
        .collect();
    assert_eq!(sent[1], None);
    assert_eq!(
        sent[2].as_ref().map(HeaderValue::as_bytes),
        Some("ü".as_bytes())
    );
}

#[test]
fn a_body_that_can_be_sent_once_is_a_mistake() {
    let client = service_fn(|_: Request<Body>| future::ready(Ok::<_, BoxError>(status(204))));
    let body = stream::iter([Ok::<_, BoxError>("a")]);
    let error = client
        .post("/")
        .stream(body)
        .event_source()
        .expect_err("a stream");
    assert!(error.is_builder());
    assert!(client.post("/").body("a").event_source().is_ok());
    assert!(client.get("a b").event_source().is_err());
}

#[tokio::test]
async fn events_come_as_they_arrive() {
    let (body, handle) = ControlledBody::new();
    let response = Response::builder().header("content-type", "text/event-stream");
    let events = response
        .body(body)
        .expect("a response")
        .events()
        .expect("events");
    let mut events = events.with_comments();
    handle.data("data: {\"a\"");
    assert!(events.next().now_or_never().is_none());
    handle.data(": 1}\n: ping\n\ndata: x");
    let comment = events.next().await.expect("a comment").expect("a comment");
    assert_eq!(comment.comment(), Some("ping"));
    let event = events.next().await.expect("an event").expect("an event");
    assert_eq!(event.data(), "{\"a\": 1}");
    #[cfg(feature = "json")]
    {
        #[derive(serde::Deserialize, Debug, PartialEq)]
        struct A {
            a: u8,
        }
        assert_eq!(event.json::<A>().expect("json"), A { a: 1 });
        let error = event.json::<[A; 1]>().expect_err("no array");
        assert!(
            error.is_decode()
                && error
                    .to_string()
                    .starts_with("the event's data are not the JSON of a"),
            "{error}"
        );
    }
    handle.fail("reset");
    let error = events.next().await.expect("an end").expect_err("reset");
    assert!(error.is_body());
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn events_come_over_the_wire() {
    let server = Loopback::start(|request: Request<Body>| async move {
        match request.headers().get("last-event-id") {
            None => stream_of("retry: 1\nid: 1\ndata: a\ndata: b\n\n"),
            Some(_) => status(204),
        }
    })
    .await;
    let client = Transport::new();
    let events: Vec<_> = client
        .get(server.uri("/"))
        .event_source()
        .expect("a source")
        .try_collect()
        .await
        .expect("no error");
    assert_eq!(events[0].data(), "a\nb");
    assert_eq!((events.len(), server.requests()), (1, 2));
}

#[test]
fn a_source_can_be_spawned() {
    fn check<T: Send + 'static>(_: T) {}
    check(
        Transport::new()
            .get("http://h/")
            .event_source()
            .expect("a source"),
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_no_wait_and_is_gone_is_not_asked_in_a_loop() {
    let refused = || Err(BoxError::from("refused"));
    let (service, log) = script([
        Ok(stream_of("retry: 0\n: hello\n\n")),
        refused(),
        refused(),
        Ok(status(204)),
    ]);
    let source = service.get("/").event_source().expect("a source");
    let source = source.with_comments().without_jitter();
    let events: Vec<_> = source.try_collect().await.expect("no error");
    assert_eq!(events[0].comment(), Some("hello"));
    let times: Vec<_> = asked(&log).into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [0, 0, 500, 1500]);
}

/// A service that answers with nothing for ever, but for the times in between.
fn silent_but(
    answers: impl IntoIterator<Item = Option<Answer>>,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send> + Clone
{
    let answers: Arc<Mutex<Vec<Option<Answer>>>> =
        Arc::new(Mutex::new(answers.into_iter().collect()));
    service_fn(move |_: Request<Body>| {
        let answer = answers.lock().expect("no panic").remove(0);
        async {
            match answer {
                Some(answer) => answer,
                None => future::pending().await,
            }
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_asked_again() {
    for (own, limit) in [(None, 30), (Some(5), 5)] {
        let client = silent_but([None, Some(Ok(stream_of("data: a\n\n"))), None, None]);
        let mut request = client.get("/");
        if let Some(seconds) = own {
            request = request.timeout(Duration::from_secs(seconds));
        }
        let source = request.event_source().expect("a source").without_jitter();
        let mut source = pin!(source.max_attempts(2));
        let began = Instant::now();
        let event = source.next().await.expect("an event").expect("an event");
        assert_eq!(event.data(), "a");
        assert_eq!(began.elapsed().as_secs(), limit + 3);
        let error = source.next().await.expect("an end").expect_err("silence");
        assert!(error.is_timeout(), "{error:?}");
        assert_eq!(
            error.to_string(),
            format!("GET /: the call took longer than {limit}s: allow it more by `.timeout(…)`")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_counts_too_and_no_limit_is_none() {
    let never = tower::util::BoxCloneService::new(NeverReady);
    let source = never.get("/").event_source().expect("a source");
    let mut source = pin!(source.max_attempts(1));
    let began = Instant::now();
    let error = source.next().await.expect("an end").expect_err("not ready");
    assert!(
        error.is_timeout() && began.elapsed().as_secs() == 30,
        "{error:?}"
    );

    let patient = never.get("/").extension(CallTimeout(Duration::MAX));
    let mut patient = pin!(patient.event_source().expect("a source"));
    let a_day = Duration::from_secs(24 * 60 * 60);
    assert!(tokio::time::timeout(a_day, patient.next()).await.is_err());
}

#[derive(Clone)]
struct NeverReady;

impl Service<Request<Body>> for NeverReady {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = future::Pending<Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Pending
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        unreachable!("it was never ready")
    }
}

/// Neither the request's nor that of a layer.
#[tokio::test(start_paused = true)]
async fn the_limit_of_a_call_is_none_of_its_stream() {
    let minutes = stream::unfold(0, |n| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        (n < 5).then_some((Ok::<_, BoxError>("data: tick\n\n"), n + 1))
    });
    let answers = [
        Some(Ok(stream_of(Body::from_stream(minutes)))),
        Some(Ok(status(204))),
    ];
    let client = ServiceBuilder::new()
        .layer(CallTimeoutLayer::default())
        .service(silent_but(answers));
    let request = client.get("/").timeout(Duration::from_secs(10));
    let events = request.event_source().expect("a source").try_collect();
    let events: Vec<_> = events.await.expect("no error");
    assert_eq!(events.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_for_but_not_for_ever() {
    let unavailable = |retry_after: &'static str| {
        let mut response = status(503);
        let retry_after = HeaderValue::from_static(retry_after);
        response.headers_mut().insert("retry-after", retry_after);
        Ok(response)
    };
    let (service, log) = script([
        unavailable("20"),
        // Sooner than it would have asked anyway.
        unavailable("1"),
        // Forty seconds after what the clock of the call says.
        unavailable("Sun, 06 Nov 1994 08:49:47 GMT"),
        unavailable("999999999999"),
        unavailable("soon"),
        Ok(status(204)),
    ]);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_747);
    let source = service.get("/").clock(ManualClock::at(now)).event_source();
    let source = source
        .expect("a source")
        .reconnect_on(StatusSet::range(503, 503));
    let events: Vec<_> = source
        .without_jitter()
        .try_collect()
        .await
        .expect("no error");
    assert!(events.is_empty());
    let times: Vec<_> = asked(&log).into_iter().map(|(at, _)| at / 1000).collect();
    assert_eq!(times, [0, 20, 26, 66, 3666, 3714]);
}
