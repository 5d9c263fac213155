use std::time::Duration;

use bartizan_core::{Body, Clock, Rejection, RejectionKind};
use bartizan_resilience::{
    backoff::Backoff,
    deadline::{Deadline, DeadlineLayer},
    retry::GaveUp,
};
use bartizan_testing::{ManualClock, Probe, Step};
use http::Request;
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt};

use super::{
    SECOND,
    http::{asking, attempts, empty, layer, over_probe, push, status},
};

#[tokio::test(start_paused = true)]
async fn a_rejection_says_when_to_come_back() {
    let (service, handle) = over_probe(layer());
    handle.push(Step::fail(
        Rejection::new(RejectionKind::Open, "breaker").with_retry_after(3 * SECOND),
    ));
    let started = Instant::now();
    service
        .oneshot(empty(Request::post("/")))
        .await
        .expect("closed again");
    assert_eq!(started.elapsed(), 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn retry_after_of_2_s_none_and_1_s_against_own_delays_of_1234_ms() {
    let own = Duration::from_millis(1234);
    let (service, handle) = over_probe(layer().attempts(4).backoff(Backoff::constant(own)));
    for (response, wait) in [
        (asking(503, "2"), 2 * SECOND),
        (status(503), own),
        (asking(503, "1"), own),
    ] {
        let retried = service.handle().retries();
        push(&handle, [response]);
        let started = Instant::now();
        service
            .clone()
            .oneshot(empty(Request::get("/")))
            .await
            .expect("the second");
        assert_eq!(started.elapsed(), wait);
        assert_eq!(service.handle().retries(), retried + 1);
    }
    push(&handle, [asking(503, "2"), status(503), asking(429, "1")]);
    let started = Instant::now();
    service
        .oneshot(empty(Request::get("/")))
        .await
        .expect("the fourth");
    assert_eq!(started.elapsed(), 2 * SECOND + own + own);
}

#[tokio::test(start_paused = true)]
async fn retry_after_can_be_a_date() {
    let clock = ManualClock::new();
    let (service, handle) = over_probe(layer().clock(clock.clone()));
    // Ten seconds from where the clock stands, and ten before that.
    for (date, wait) in [
        ("Sun, 06 Nov 1994 08:49:47 GMT", 10 * SECOND),
        ("Sun, 06 Nov 1994 08:49:27 GMT", SECOND),
        ("some other time", SECOND),
    ] {
        push(&handle, [asking(503, date)]);
        let started = Instant::now();
        service
            .clone()
            .oneshot(empty(Request::get("/")))
            .await
            .expect("the second");
        assert_eq!(started.elapsed(), wait, "{date}, at {:?}", clock.now());
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_too_much_patience_gets_no_retry() {
    let (service, handle) = over_probe(layer());
    push(&handle, [asking(503, "30")]);
    let response = service
        .clone()
        .oneshot(empty(Request::get("/")))
        .await
        .expect("200");
    assert_eq!(response.status(), 200, "30 s are just in order");
    for seconds in ["31", "86400"] {
        push(&handle, [asking(429, seconds)]);
        let started = Instant::now();
        let response = service
            .clone()
            .oneshot(empty(Request::get("/")))
            .await
            .expect("429");
        assert_eq!(attempts(&response), Some((1, Some(GaveUp::RetryAfter))));
        assert_eq!(response.headers()["retry-after"], seconds, "as it came");
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_tries_for_a_caller_who_will_be_gone() {
    let within = |limit| Request::get("/").extension(Deadline::after(limit));
    for (limit, retry_after, again) in [
        (SECOND, None, false),
        (SECOND + Duration::from_millis(1), None, true),
        (5 * SECOND, Some("5"), false),
        (6 * SECOND, Some("5"), true),
        (Duration::ZERO, None, false),
    ] {
        let (service, handle) = over_probe(layer());
        push(
            &handle,
            [retry_after.map_or_else(|| status(503), |seconds| asking(503, seconds))],
        );
        let started = Instant::now();
        let response = service.oneshot(empty(within(limit))).await;
        let response = response.expect("a response");
        if again {
            assert_eq!(attempts(&response), Some((2, None)));
        } else {
            assert_eq!(attempts(&response), Some((1, Some(GaveUp::Deadline))));
            assert_eq!(started.elapsed(), Duration::ZERO, "and says so at once");
        }
        let at = |request: &Request<Body>| request.extensions().get::<Deadline>().map(|d| d.at());
        let deadlines: Vec<_> = handle.take_requests().iter().map(at).collect();
        assert!(
            deadlines.iter().all(|at| *at == Some(started + limit)),
            "each attempt knows it"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn under_a_deadline_layer_the_last_failure_is_told_before_it_passes() {
    let (probe, handle) = Probe::new(|_: &Request<Body>| status(200));
    handle.by_default(|_| Step::respond(status(503)));
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::new(5 * SECOND))
        .layer(layer().attempts(100).build().expect("valid"))
        .service(probe);
    let started = Instant::now();
    let response = stack.oneshot(empty(Request::get("/"))).await.expect("503");
    assert_eq!(response.status(), 503);
    assert_eq!(started.elapsed(), 4 * SECOND);
}
