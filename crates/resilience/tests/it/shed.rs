use std::{
    future::{Ready, ready},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bartizan_core::{Body, BoxError, Rejection, RejectionKind, find};
use bartizan_resilience::shed::{Overload, Shed, ShedHandle, ShedLayer};
use bartizan_testing::{Probe, ProbeHandle, Step, allocations, contract};
use futures_util::FutureExt;
use http::{Request, Response};
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

const MS: fn(u64) -> Duration = Duration::from_millis;

contract! {
    mod laws {
        layer: |probe| ShedLayer::try_new(1).expect("valid").layer(probe),
        request: || (),
        response: || (),
    }
}

type Limited = Shed<Probe<u32, u32>>;

fn limited(concurrency: usize) -> (Limited, ShedHandle, ProbeHandle<u32, u32>) {
    let (probe, handle) = Probe::new(|n: &u32| *n);
    handle.by_default(|n| Step::respond(*n).when_released());
    let layer = ShedLayer::try_new(concurrency).expect("valid");
    let shed = layer.handle();
    (layer.layer(probe), shed, handle)
}

#[tokio::test(start_paused = true)]
async fn as_many_run_at_once_as_may_and_the_next_waits_for_a_place() {
    let (service, shed, handle) = limited(2);
    let calls: Vec<_> = (0..3)
        .map(|n| tokio::spawn(service.clone().oneshot(n)))
        .collect();
    handle.until(|counts| counts.in_flight == 2).await;
    tokio::task::yield_now().await;
    assert_eq!((shed.in_use(), shed.waiting()), (2, 1));
    handle.release();
    handle.until(|counts| counts.calls == 3).await;
    handle.release();
    for call in calls {
        assert!(call.await.expect("no panic").is_ok());
    }
    assert_eq!((shed.in_use(), shed.waiting(), shed.shed()), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_an_interval_is_shed_in_its_future_and_was_never_sent() {
    let (service, shed, handle) = limited(1);
    let mut held = service.clone();
    held.ready().await.expect("a place");
    let started = Instant::now();
    let mut refused = service.clone();
    refused
        .ready()
        .await
        .expect("to be ready is not to be let in");
    assert_eq!(started.elapsed(), MS(100), "the default");
    let error = refused.call(7).await.expect_err("shed");
    let rejection = find::<Rejection>(&*error).expect("a rejection");
    assert_eq!(rejection.kind(), RejectionKind::Shed);
    assert_eq!(rejection.layer(), "shed");
    assert!(rejection.is_unsent());
    let overload = find::<Overload>(&*error).expect("why");
    assert_eq!(overload.waited(), MS(100));
    assert!(!overload.is_queue_full());
    assert_eq!(handle.counts().calls, 0);
    assert_eq!(shed.shed(), 1);

    // The same instance may try again.
    drop(held);
    handle.push(Step::respond(8));
    assert_eq!(refused.oneshot(8).await.expect("an answer"), 8);
}

#[tokio::test(start_paused = true)]
async fn nothing_of_the_inner_service_is_reserved_while_a_call_waits() {
    let (service, _shed, handle) = limited(1);
    let mut held = service.clone();
    held.ready().await.expect("a place");
    let polls = handle.counts().polls;
    assert!(service.clone().ready().now_or_never().is_none());
    assert_eq!(handle.counts().polls, polls);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once() {
    let (probe, handle) = Probe::new(|n: &u32| *n);
    handle.by_default(|n| Step::respond(*n).when_released());
    let layer = ShedLayer::builder(1).queue(0).build().expect("valid");
    let service = layer.layer(probe);
    let mut held = service.clone();
    held.ready().await.expect("a place");
    let error = service
        .oneshot(1)
        .now_or_never()
        .expect("at once")
        .expect_err("full");
    let overload = find::<Overload>(&*error).expect("why");
    assert!(overload.is_queue_full());
    assert_eq!(
        overload.to_string(),
        "as many calls wait for a place as may"
    );
}

#[tokio::test(start_paused = true)]
async fn a_place_is_free_when_the_response_is_there_and_not_when_its_future_is_dropped() {
    let (mut service, shed, handle) = limited(1);
    handle.push(Step::respond(1));
    let mut call = Box::pin(service.ready().await.expect("ready").call(1));
    assert!(call.as_mut().await.is_ok());
    assert_eq!(shed.in_use(), 0);
    drop(call);
    assert_eq!(shed.in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_fails_keeps_no_place() {
    let (mut service, shed, handle) = limited(1);
    handle.fail_ready(bartizan_testing::ProbeError::new("closed"));
    assert!(service.ready().await.is_err());
    assert_eq!(shed.in_use(), 0);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "`call` without `poll_ready`")]
async fn a_call_without_readiness_is_a_mistake_and_no_way_round_the_limit() {
    let (mut service, _shed, _handle) = limited(1);
    drop(service.call(1));
}

#[tokio::test(start_paused = true)]
async fn where_errors_cannot_be_it_answers() {
    let (probe, _handle) = Probe::new(|_: &Request<Body>| Response::new(Body::empty()));
    let layer = ShedLayer::builder(1).queue(0).build().expect("valid");
    let service = layer.reject_with(Rejection::into_response).layer(probe);
    let mut held = service.clone();
    held.ready().await.expect("a place");
    let response = service.oneshot(Request::new(Body::empty())).await;
    assert_eq!(response.expect("an answer").status(), 503);
}

#[test]
fn what_cannot_work_is_refused_with_its_name_and_value() {
    for (builder, message) in [
        (
            ShedLayer::builder(0),
            "invalid concurrency `0`: expected a number from 1 to 2^30",
        ),
        (
            ShedLayer::builder(usize::MAX),
            "invalid concurrency `18446744073709551615`: expected a number from 1 to 2^30",
        ),
        (
            ShedLayer::builder(1).target(Duration::ZERO),
            "invalid target `0ns`: expected a time longer than zero",
        ),
        (
            ShedLayer::builder(1).interval(MS(5)),
            "invalid interval `5ms`: expected a time longer than the target, 5ms",
        ),
    ] {
        assert_eq!(builder.build().expect_err("refused").to_string(), message);
    }
}

/// What the calls of a load came to: how long each that was served took, and how many were shed.
#[derive(Default)]
struct Tally {
    served: Vec<Duration>,
    shed: usize,
}

/// Calls at an even rate for ten seconds, to a service that takes 10 ms and works on four at once: 400 per second.
async fn load(rate: u32) -> Tally {
    let work = service_fn(|(): ()| async {
        sleep(MS(10)).await;
        Ok::<_, BoxError>(())
    });
    let service = ShedLayer::try_new(4).expect("valid").layer(work);
    let tally = Arc::new(Mutex::new(Tally::default()));
    let mut calls = tokio::task::JoinSet::new();
    // Timers count whole milliseconds, so several come at once.
    for _ in 0..1000 {
        for _ in 0..rate / 100 {
            let (service, tally) = (service.clone(), Arc::clone(&tally));
            calls.spawn(async move {
                let called = Instant::now();
                let result = service.oneshot(()).await;
                let mut tally = tally.lock().expect("no panic");
                match result {
                    Ok(()) => tally.served.push(called.elapsed()),
                    Err(_) => tally.shed += 1,
                }
            });
        }
        sleep(MS(10)).await;
    }
    while calls.join_next().await.is_some() {}
    let mut tally = std::mem::take(&mut *tally.lock().expect("no panic"));
    tally.served.sort_unstable();
    tally
}

#[tokio::test(start_paused = true)]
async fn at_twice_its_capacity_it_works_to_capacity_and_what_it_serves_is_fast() {
    let tally = load(800).await;
    assert!(tally.served.len() >= 3800, "{} of 4000", tally.served.len());
    assert!(tally.shed >= 3500, "{} of 4000", tally.shed);
    let p99 = tally.served[tally.served.len() * 99 / 100];
    assert!(p99 <= MS(30), "{p99:?}");
}

#[tokio::test(start_paused = true)]
async fn below_its_capacity_it_sheds_nothing() {
    let tally = load(300).await;
    assert_eq!(tally.shed, 0);
}

#[tokio::test(start_paused = true)]
async fn after_an_overload_it_calms_down() {
    let (service, shed, handle) = limited(1);
    let mut held = service.clone();
    for _ in 0..20 {
        held.ready().await.expect("ready");
        let mut next = service.clone();
        let waiting = tokio::spawn(async move {
            next.ready().await.expect("ready");
            next
        });
        tokio::task::yield_now().await;
        advance(MS(9)).await;
        drop(held);
        held = waiting.await.expect("no panic");
    }
    assert!(shed.is_overloaded());
    drop(held);
    advance(MS(100)).await;
    assert!(!shed.is_overloaded());
    handle.push(Step::respond(1));
    assert!(service.oneshot(1).await.is_ok());
}

/// Answers at once, and never allocates.
#[derive(Clone)]
struct Bare;

impl Service<()> for Bare {
    type Response = ();
    type Error = BoxError;
    type Future = Ready<Result<(), BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}

#[test]
fn nothing_is_allocated_while_nobody_waits() {
    let shared = ShedLayer::try_new(4).expect("valid").layer(Bare);
    let mut cx = Context::from_waker(Waker::noop());
    let ((), count) = allocations(|| {
        for _ in 0..1000 {
            let mut service = shared.clone();
            assert!(service.poll_ready(&mut cx).is_ready());
            assert!(pin!(service.call(())).poll(&mut cx).is_ready());
        }
    });
    assert_eq!(count, 0);
}
