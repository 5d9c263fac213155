//! What is read as events, and what is a mistake or an error instead.

use std::pin::pin;

use bartizan_client::{RequestExt, ResponseExt, Transport};
use bartizan_core::{Body, BoxError};
use bartizan_testing::{ControlledBody, Loopback};
use futures_util::{FutureExt, StreamExt, TryStreamExt, future, stream};
use http::{HeaderValue, Request, Response};
use tower::service_fn;

use super::{asked, script, status, stream_of};

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
