use std::{
    future::{Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bartizan_core::{Body, BoxError, Classify, Completion, HttpClassify, Outcome, Rejection, find};
use bartizan_resilience::{
    deadline::{Deadline, DeadlineLayer},
    timeout::{BodyElapsed, BodyTimeoutLayer, TimeoutBody},
};
use bartizan_testing::{
    BodyHandle, ControlledBody, Probe, ProbeError, Step, allocations, contract,
};
use futures_util::FutureExt;
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, advance};
use tower::{Layer, Service, ServiceExt};

const IDLE: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);

contract! {
    mod laws {
        layer: |probe| BodyTimeoutLayer::new().whole(IDLE).until_deadline().layer(probe),
        request: || Request::new(()),
        response: || Response::new(Body::from("whole")),
    }
}

type Limited = std::pin::Pin<Box<TimeoutBody<ControlledBody>>>;

/// A body that came through `layer`.
async fn through(layer: BodyTimeoutLayer, request: Request<()>) -> (Limited, BodyHandle) {
    let (body, sender) = ControlledBody::new();
    let (probe, handle) = Probe::new(|_: &Request<()>| unreachable!("it is scripted"));
    handle.push(Step::respond(Response::new(body)));
    let response = layer.layer(probe).oneshot(request).await;
    let body = response.expect("a response").into_body();
    (Box::pin(body), sender)
}

async fn limited(layer: BodyTimeoutLayer) -> (Limited, BodyHandle) {
    through(layer, Request::new(())).await
}

async fn elapsed(body: &mut Limited) -> BodyElapsed {
    let error = body.frame().await.expect("a frame").expect_err("too late");
    let rejection = find::<Rejection>(&*error).expect("a rejection");
    assert!(rejection.is_timed_out() && !rejection.is_unsent());
    assert_eq!(rejection.layer(), "timeout");
    *find(&*error).expect("which limit it was")
}

#[tokio::test(start_paused = true)]
async fn a_body_that_goes_silent_fails_after_the_idle_limit() {
    let (mut body, sender) = limited(BodyTimeoutLayer::default()).await;
    sender.data("half");
    body.frame().await.expect("a frame").expect("data");
    let started = Instant::now();
    let elapsed = elapsed(&mut body).await;
    assert_eq!(started.elapsed(), IDLE, "the default");
    assert!(elapsed.is_idle());
    assert_eq!(elapsed.limit(), IDLE);
    assert_eq!(elapsed.to_string(), "the body sent nothing for 30s");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_failed_has_ended_and_lets_go_of_its_connection() {
    let (mut body, sender) = limited(BodyTimeoutLayer::default()).await;
    sender.set_size_hint(SizeHint::with_exact(9));
    elapsed(&mut body).await;
    assert!(sender.counts().dropped);
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn every_frame_starts_the_idle_limit_anew() {
    let (mut body, sender) = limited(BodyTimeoutLayer::new().idle(SECOND)).await;
    for _ in 0..10 {
        assert!(body.frame().now_or_never().is_none());
        advance(SECOND * 9 / 10).await;
        sender.data("drop");
        body.frame().await.expect("a frame").expect("data");
    }
    let started = Instant::now();
    assert!(elapsed(&mut body).await.is_idle());
    assert_eq!(started.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_held_against_the_peer() {
    let (mut body, sender) = limited(BodyTimeoutLayer::new().idle(SECOND)).await;
    advance(SECOND * 60).await;
    assert!(
        body.frame().now_or_never().is_none(),
        "the clock starts now"
    );
    advance(SECOND * 60).await;
    // It was there when it was asked for.
    sender.data("late");
    body.frame().await.expect("a frame").expect("data");
    // The timer that ran out meanwhile is set anew.
    advance(SECOND * 60).await;
    let started = Instant::now();
    assert!(elapsed(&mut body).await.is_idle());
    assert_eq!(started.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_over_after_the_whole_limit() {
    let (mut body, sender) = limited(BodyTimeoutLayer::new().idle(SECOND).whole(SECOND * 10)).await;
    let started = Instant::now();
    let elapsed = loop {
        sender.data("drop");
        if body.frame().await.expect("a frame").is_err() {
            break started.elapsed();
        }
        assert!(body.frame().now_or_never().is_none());
        advance(SECOND / 2).await;
    };
    assert_eq!(elapsed, SECOND * 10);
}

#[tokio::test(start_paused = true)]
async fn the_whole_limit_counts_while_nothing_comes() {
    let layer = BodyTimeoutLayer::new().without_idle().whole(SECOND * 90);
    let (mut body, _sender) = limited(layer).await;
    advance(SECOND * 30).await;
    let started = Instant::now();
    let elapsed = elapsed(&mut body).await;
    assert_eq!(started.elapsed(), SECOND * 60, "counted from the head");
    assert!(!elapsed.is_idle());
    assert_eq!(elapsed.to_string(), "the body was not over after 90s");
}

#[tokio::test(start_paused = true)]
async fn the_last_frame_is_not_thrown_away_for_having_been_asked_for_late() {
    let layer = BodyTimeoutLayer::new().whole(SECOND);
    let (mut body, sender) = limited(layer).await;
    sender.data("all of it");
    sender.end();
    advance(SECOND * 9).await;
    body.frame().await.expect("a frame").expect("data");
    assert!(body.frame().await.is_none());

    let (mut body, sender) = limited(layer).await;
    sender.trailers(HeaderMap::new());
    advance(SECOND * 9).await;
    assert!(
        body.frame()
            .await
            .expect("a frame")
            .expect("trailers")
            .is_trailers()
    );
}

#[tokio::test(start_paused = true)]
async fn without_limits_it_waits_for_ever() {
    let (mut body, _sender) = limited(BodyTimeoutLayer::new().without_idle()).await;
    let waited = tokio::time::timeout(Duration::from_secs(1_000_000), body.frame()).await;
    assert!(waited.is_err());
    let (mut body, _sender) = limited(BodyTimeoutLayer::new().idle(Duration::MAX)).await;
    let waited = tokio::time::timeout(Duration::from_secs(1_000_000), body.frame()).await;
    assert!(waited.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_body_ends_by_the_deadline_of_its_call_where_that_is_wanted() {
    for (until_deadline, is_idle, seconds) in [(true, false, 10), (false, true, 30)] {
        let mut layer = BodyTimeoutLayer::new();
        if until_deadline {
            layer = layer.until_deadline();
        }
        let mut request = Request::new(());
        request
            .extensions_mut()
            .insert(Deadline::after(SECOND * 10));
        let (mut body, _sender) = through(layer, request).await;
        let started = Instant::now();
        assert_eq!(elapsed(&mut body).await.is_idle(), is_idle);
        assert_eq!(started.elapsed(), SECOND * seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_layer_above_is_where_the_deadline_comes_from() {
    let (body, _sender) = ControlledBody::new();
    let (probe, handle) = Probe::new(|_: &Request<()>| unreachable!("it is scripted"));
    handle.push(Step::respond(Response::new(body)).after(SECOND * 4));
    let stack = DeadlineLayer::new(SECOND * 10)
        .layer(BodyTimeoutLayer::new().until_deadline().layer(probe));
    let started = Instant::now();
    let response = stack.oneshot(Request::new(())).await.expect("a head");
    let mut body = Box::pin(response.into_body());
    let elapsed = elapsed(&mut body).await;
    assert_eq!(started.elapsed(), SECOND * 10);
    assert_eq!(elapsed.limit(), SECOND * 6, "what the head left of it");
}

#[tokio::test(start_paused = true)]
async fn data_trailers_sizes_and_the_end_get_through() {
    let (mut body, sender) = limited(BodyTimeoutLayer::default()).await;
    sender.set_size_hint(SizeHint::with_exact(5));
    assert_eq!(body.size_hint().exact(), Some(5));
    assert!(!body.is_end_stream());
    sender.data("hello");
    let data = body.frame().await.expect("a frame").expect("data");
    assert_eq!(data.into_data().expect("data"), "hello");
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().expect("a value"));
    sender.trailers(trailers.clone());
    let frame = body.frame().await.expect("a frame").expect("trailers");
    assert_eq!(frame.into_trailers().expect("trailers"), trailers);
    assert!(body.is_end_stream());
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_body_is_not_a_timeout() {
    let (mut body, sender) = limited(BodyTimeoutLayer::default()).await;
    sender.fail(ProbeError::new("reset"));
    let error = body.frame().await.expect("a frame").expect_err("broken");
    assert_eq!(find(&*error), Some(&ProbeError::new("reset")));
}

#[tokio::test(start_paused = true)]
async fn for_a_classification_above_it_is_a_failure() {
    let (body, _sender) = ControlledBody::new();
    let response = Response::new(TimeoutBody::new(body, SECOND));
    let classify = HttpClassify::new();
    let verdict = Classify::<(), _, BoxError>::head(&classify, (), Ok(&response));
    let (sender, seen) = std::sync::mpsc::channel();
    let completion = Completion::new(move |outcome: Outcome| {
        sender.send(outcome).expect("the test looks");
    });
    let response = completion.follow(verdict, response);
    assert!(response.into_body().collect().await.is_err());
    assert_eq!(seen.try_recv(), Ok(Outcome::Failure));
}

/// Answers at once with a body that is there, and never allocates.
#[derive(Clone)]
struct Bare;

impl Service<Request<()>> for Bare {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(Body::from("whole"))))
    }
}

#[tokio::test]
async fn nothing_is_allocated_for_a_body_that_waits_or_not() {
    let service = BodyTimeoutLayer::new().whole(IDLE).layer(Bare);
    let mut cx = Context::from_waker(Waker::noop());
    let ((), count) = allocations(|| {
        for _ in 0..1000 {
            let mut service = service.clone();
            assert!(service.poll_ready(&mut cx).is_ready());
            let answered = pin!(service.call(Request::new(()))).poll(&mut cx);
            let Poll::Ready(Ok(response)) = answered else {
                panic!("it answers at once");
            };
            let mut body = pin!(response.into_body());
            assert!(body.as_mut().poll_frame(&mut cx).is_ready());
            assert!(matches!(
                body.as_mut().poll_frame(&mut cx),
                Poll::Ready(None)
            ));
        }
    });
    assert_eq!(count, 0);

    // The timer is part of the body.
    let mut body = pin!(TimeoutBody::new(Silent, IDLE));
    let (polled, count) = allocations(|| body.as_mut().poll_frame(&mut cx).is_pending());
    assert!(polled);
    assert_eq!(count, 0);
}

struct Silent;

impl http_body::Body for Silent {
    type Data = &'static [u8];
    type Error = BoxError;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<&'static [u8]>, BoxError>>> {
        Poll::Pending
    }
}
