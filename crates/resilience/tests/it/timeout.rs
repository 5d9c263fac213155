use std::{convert::Infallible, error::Error, time::Duration};

use bartizan_core::{Body, BoxError, Rejection, find};
use bartizan_resilience::timeout::{Elapsed, Timeout, TimeoutLayer};
use bartizan_testing::{Probe, ProbeHandle, Step, contract};
use futures_util::FutureExt;
use http::{Request, Response};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};

const LIMIT: Duration = Duration::from_secs(5);

contract! {
    mod laws {
        layer: |probe| TimeoutLayer::new(Duration::from_secs(5)).layer(probe),
        request: || (),
        response: || (),
    }
}

fn limited() -> (
    Timeout<Probe<(), &'static str>>,
    ProbeHandle<(), &'static str>,
) {
    let (probe, handle) = Probe::new(|(): &()| "in time");
    (Timeout::new(probe, LIMIT), handle)
}

#[tokio::test(start_paused = true)]
async fn a_response_in_time_gets_through() {
    let (service, handle) = limited();
    handle.push(Step::respond("just in time").after(LIMIT - Duration::from_millis(1)));
    let started = Instant::now();
    assert_eq!(
        service.oneshot(()).await.expect("a response"),
        "just in time"
    );
    assert_eq!(started.elapsed(), LIMIT - Duration::from_millis(1));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_does_not_come_is_rejected_at_the_limit_and_its_call_dropped() {
    let (service, handle) = limited();
    handle.push(Step::pending());
    let started = Instant::now();
    let error = service.oneshot(()).await.expect_err("too late");
    assert_eq!(started.elapsed(), LIMIT);

    let rejection = find::<Rejection>(&*error).expect("a rejection");
    assert!(rejection.is_timed_out() && !rejection.is_unsent());
    assert_eq!(rejection.layer(), "timeout");
    assert_eq!(find::<Elapsed>(&*error).map(Elapsed::limit), Some(LIMIT));
    assert_eq!(
        rejection.source().map(ToString::to_string).as_deref(),
        Some("the limit is 5s")
    );
    assert_eq!(handle.counts().cancelled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_response_at_the_very_limit_wins() {
    let (service, handle) = limited();
    handle.push(Step::respond("at the limit").after(LIMIT));
    assert_eq!(
        service.oneshot(()).await.expect("polled first"),
        "at the limit"
    );
}

#[tokio::test(start_paused = true)]
async fn a_response_that_was_there_is_not_thrown_away_for_having_been_looked_at_late() {
    let (mut service, handle) = limited();
    handle.push(Step::respond("waiting").after(Duration::from_secs(1)));
    let mut call = Box::pin(service.ready().await.expect("ready").call(()));
    assert!(call.as_mut().now_or_never().is_none());
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(call.await.expect("a response"), "waiting");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_service_is_not_a_timeout() {
    let (service, handle) = limited();
    handle.push(Step::fail("refused").after(Duration::from_secs(1)));
    let error = service.oneshot(()).await.expect_err("an error");
    assert_eq!(error.to_string(), "refused");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_readiness_is_not_limited() {
    let (mut service, handle) = limited();
    handle.hold_ready();
    let waited = tokio::time::timeout(LIMIT * 10, service.ready()).await;
    assert!(waited.is_err());
    handle.make_ready();
    assert!(service.ready().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn no_limit_is_too_long_or_too_short() {
    for (limit, outcome) in [(Duration::MAX, true), (Duration::ZERO, false)] {
        let (probe, handle) = Probe::new(|(): &()| ());
        handle.push(Step::respond(()).after(Duration::from_secs(3600)));
        let result = TimeoutLayer::new(limit).layer(probe).oneshot(()).await;
        assert_eq!(result.is_ok(), outcome, "{limit:?}");
    }
    let ready = service_fn(|(): ()| async { Ok::<_, BoxError>("at once") });
    let response = Timeout::new(ready, Duration::ZERO).oneshot(()).await;
    assert_eq!(response.expect("it was ready"), "at once");
}

#[tokio::test(start_paused = true)]
async fn where_errors_cannot_be_it_answers() {
    let stuck = service_fn(|_: Request<Body>| std::future::pending::<Result<_, Infallible>>());
    let service = TimeoutLayer::default()
        .reject_with(|rejection: Rejection| Response::new(rejection.to_string()))
        .layer(stuck);
    let started = Instant::now();
    let Ok(response) = service.oneshot(Request::new(Body::empty())).await;
    assert_eq!(response.body(), "timeout: no response in the time allowed");
    assert_eq!(started.elapsed(), LIMIT, "the default");
}
