//! Events over time, and over a real connection.

use std::{convert::Infallible, time::Duration};

use bartizan_core::{Body, BoxError};
use bartizan_listener::sse::{Event, LastEventId, Sse};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::{sync::mpsc, time::Instant};
use tower::service_fn;

use crate::support;

type Sender = mpsc::UnboundedSender<Result<Event, BoxError>>;

fn events() -> (
    Sender,
    impl futures_util::Stream<Item = Result<Event, BoxError>> + Send,
) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let events = stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    });
    (sender, events)
}

async fn frame<B>(body: &mut B) -> Option<String>
where
    B: http_body::Body<Data = bytes::Bytes, Error = BoxError> + Unpin,
{
    let frame = body.frame().await?.expect("no error");
    let data = frame.into_data().expect("data");
    Some(String::from_utf8(data.into()).expect("text"))
}

#[tokio::test(start_paused = true)]
async fn silence_is_filled_with_comments() {
    let (sender, events) = events();
    let response = Sse::new(events)
        .retry(Duration::from_secs(2))
        .into_response();
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    let mut body = Box::pin(response.into_body());
    assert_eq!(frame(&mut body).await.as_deref(), Some("retry: 2000\n\n"));

    let start = Instant::now();
    assert_eq!(frame(&mut body).await.as_deref(), Some(":\n\n"));
    assert_eq!(start.elapsed(), Duration::from_secs(15));
    assert_eq!(frame(&mut body).await.as_deref(), Some(":\n\n"));
    assert_eq!(start.elapsed(), Duration::from_secs(30));

    // An event starts the silence anew.
    tokio::time::advance(Duration::from_secs(10)).await;
    sender.send(Ok(Event::data("a"))).expect("it listens");
    assert_eq!(frame(&mut body).await.as_deref(), Some("data: a\n\n"));
    assert_eq!(frame(&mut body).await.as_deref(), Some(":\n\n"));
    assert_eq!(start.elapsed(), Duration::from_secs(55));

    assert!(!body.is_end_stream());
    drop(sender);
    assert_eq!(frame(&mut body).await, None);
    assert!(body.is_end_stream());
    assert_eq!(frame(&mut body).await, None);
}

#[tokio::test(start_paused = true)]
async fn an_error_breaks_off() {
    let (sender, events) = events();
    let mut body = Box::pin(Sse::new(events).no_keep_alive().into_response().into_body());
    sender
        .send(Err("the source is gone".into()))
        .expect("it listens");
    let error = body.frame().await.expect("a frame").expect_err("an error");
    assert_eq!(error.to_string(), "the source is gone");
    assert!(body.frame().await.is_none());
    assert!(
        sender.is_closed(),
        "the stream is dropped with the first error"
    );
}

#[test]
fn the_last_id() {
    for (id, expected) in [
        (&b"7"[..], Some("7")),
        (b"", Some("")),
        ("\u{e9}".as_bytes(), Some("\u{e9}")),
        (b"\xff", None),
        (&[b'a'; 1025], None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("last-event-id", HeaderValue::from_bytes(id).expect("valid"));
        let found = LastEventId::of(&headers);
        assert_eq!(found.as_ref().map(LastEventId::as_str), expected);
    }
    assert_eq!(LastEventId::of(&HeaderMap::new()), None);
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_stream() {
    let (streams, mut started) = mpsc::unbounded_channel();
    let service = service_fn(move |_: Request<Body>| {
        let (sender, events) = events();
        streams.send(sender).expect("the test waits for it");
        let events = Sse::new(events).keep_alive(Duration::from_millis(5));
        async move { Ok::<_, Infallible>(events.into_response().map(Body::new)) }
    });
    let server = support::Server::start(support::bind().await, service);
    for version in [1, 2] {
        let mut response = support::call(version, server.addr).await;
        let events = support::within(started.recv()).await.expect("a stream");
        events.send(Ok(Event::data("hello"))).expect("it listens");
        let mut seen = String::new();
        while !seen.contains("data: hello\n\n") {
            let frame = support::within(response.frame())
                .await
                .expect("a frame")
                .expect("no error");
            seen.push_str(std::str::from_utf8(frame.data_ref().expect("data")).expect("text"));
        }
        drop(response);
        support::within(events.closed()).await;
    }
    server.shutdown().await;
}
