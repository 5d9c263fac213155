//! How long a source waits before it asks again.

use std::{
    pin::pin,
    time::{Duration, SystemTime},
};

use bartizan_client::RequestExt;
use bartizan_core::{BoxError, StatusSet};
use bartizan_testing::ManualClock;
use futures_util::{StreamExt, TryStreamExt};
use http::HeaderValue;

use super::{asked, script, status, stream_of};

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
