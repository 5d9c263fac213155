//! After what a source asks again, and with which id.

use std::{pin::pin, time::Duration};

use bartizan_client::RequestExt;
use bartizan_core::{Body, BoxError, StatusSet};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::HeaderValue;

use super::{asked, script, status, stream_of};

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
