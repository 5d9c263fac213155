#[cfg(feature = "http")]
mod bodies;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod waits;

use std::{
    future::{Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bartizan_core::{BoxError, Outcome};
use bartizan_resilience::{
    backoff::{Backoff, Jitter},
    budget::Budget,
    retry::{GaveUp, OnError, OnOutcome, Retry, RetryLayer, RetryLayerBuilder},
};
use bartizan_testing::{Probe, ProbeError, ProbeHandle, Step, allocations, contract};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};

const SECOND: Duration = Duration::from_secs(1);

contract! {
    mod laws {
        layer: |probe| RetryLayer::with_policy(OnError).build().expect("valid").layer(probe),
        request: || (),
        response: || (),
    }
}

/// Three attempts, a second apart.
fn on_error() -> RetryLayerBuilder<OnError> {
    RetryLayer::with_policy(OnError).backoff(Backoff::constant(SECOND))
}

type Probed = (
    Retry<Probe<u32, &'static str>, OnError>,
    ProbeHandle<u32, &'static str>,
);

fn over_probe(builder: RetryLayerBuilder<OnError>) -> Probed {
    let (probe, handle) = Probe::new(|_| "an answer");
    (builder.build().expect("valid").layer(probe), handle)
}

fn fail(handle: &ProbeHandle<u32, &'static str>, times: usize) {
    for n in 1..=times {
        handle.push(Step::fail(ProbeError::new(format!("no {n}"))));
    }
}

#[tokio::test(start_paused = true)]
async fn it_tries_again_until_there_is_an_answer() {
    let (service, handle) = over_probe(on_error());
    fail(&handle, 2);
    let started = Instant::now();
    assert_eq!(
        service.clone().oneshot(7).await.expect("the third"),
        "an answer"
    );
    assert_eq!(started.elapsed(), 2 * SECOND);
    assert_eq!(handle.take_requests(), [7, 7, 7]);
    assert_eq!(service.handle().retries(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_error_is_returned_as_it_is_and_nobody_sleeps_after_it() {
    let (service, handle) = over_probe(on_error());
    fail(&handle, 9);
    let started = Instant::now();
    let error = service.clone().oneshot(7).await.expect_err("no answer");
    assert_eq!(
        started.elapsed(),
        2 * SECOND,
        "two waits between three attempts"
    );
    assert_eq!(
        error.downcast_ref(),
        Some(&ProbeError::new("no 3")),
        "nothing is wrapped round it"
    );
    assert_eq!(handle.counts().calls, 3);
    assert_eq!(service.handle().gave_up(GaveUp::Attempts), 1);
}

#[tokio::test(start_paused = true)]
async fn ballerina_counts_extra_attempts_and_begins_with_the_interval() {
    // count: 3, interval: 2, backOffFactor: 2, maxWaitInterval: 5.
    let backoff = Backoff::exponential(2 * SECOND, 5 * SECOND).jitter(Jitter::None);
    let (service, handle) = over_probe(on_error().attempts(1 + 3).backoff(backoff));
    fail(&handle, 9);
    let started = Instant::now();
    assert!(service.oneshot(7).await.is_err());
    assert_eq!(started.elapsed(), (2 + 4 + 5) * SECOND);
    assert_eq!(handle.counts().calls, 4);
}

#[tokio::test(start_paused = true)]
async fn one_attempt_is_one_attempt() {
    let (service, handle) = over_probe(on_error().attempts(1));
    fail(&handle, 1);
    assert!(service.oneshot(7).await.is_err());
    assert_eq!(handle.counts().calls, 1);
    let error = on_error().attempts(0).build().expect_err("none at all");
    assert_eq!(
        error.to_string(),
        "invalid attempts `0`: expected at least 1, which is the first"
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_attempt_goes_through_what_was_made_ready() {
    let (mut service, handle) = over_probe(on_error());
    fail(&handle, 1);
    service.ready().await.expect("ready");
    let clones = handle.counts().clones;
    let call = service.call(7);
    assert_eq!(handle.counts().calls, 1, "called at once");
    assert_eq!(handle.counts().clones, clones, "and without a clone");
    call.await.expect("the second");
    assert_eq!(handle.counts().clones, clones + 1);
}

#[tokio::test(start_paused = true)]
async fn a_further_attempt_waits_for_readiness_and_that_can_fail() {
    let (mut service, handle) = over_probe(on_error());
    fail(&handle, 1);
    service.ready().await.expect("ready");
    let call = tokio::spawn(service.call(7));
    handle.hold_ready();
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(handle.counts().calls, 1);
    handle.make_ready();
    assert_eq!(
        call.await.expect("no panic").expect("ready now"),
        "an answer"
    );

    fail(&handle, 1);
    let call = service.ready().await.expect("ready").call(7);
    handle.fail_ready(ProbeError::new("closed"));
    let error = call.await.expect_err("it is closed");
    assert_eq!(error.downcast_ref(), Some(&ProbeError::new("closed")));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_call_ends_it_in_the_middle_of_a_wait() {
    let (service, handle) = over_probe(on_error());
    fail(&handle, 1);
    let call = tokio::time::timeout(SECOND / 2, service.oneshot(7));
    assert!(call.await.is_err());
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(handle.counts().calls, 1);
    assert_eq!(handle.counts().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn no_two_calls_wait_the_same_time() {
    let backoff = Backoff::exponential(SECOND, SECOND).seed(1);
    let (service, handle) = over_probe(on_error().backoff(backoff).no_budget());
    let mut waits = std::collections::HashSet::new();
    for _ in 0..50 {
        fail(&handle, 1);
        let started = Instant::now();
        service.clone().oneshot(7).await.expect("the second");
        waits.insert(started.elapsed());
    }
    assert!(waits.len() > 40, "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_leaves_the_error_and_is_counted() {
    let budget = Budget::builder().ratio(0.0).per_second(0).burst(1);
    let budget = budget.build().expect("valid");
    let (first, first_handle) = over_probe(on_error().budget(budget.clone()));
    let (second, second_handle) = over_probe(on_error().budget(budget.clone()));
    fail(&first_handle, 9);
    fail(&second_handle, 9);
    let error = first.clone().oneshot(1).await.expect_err("down");
    assert_eq!(error.to_string(), "no 2");
    // The other layer shares it.
    let started = Instant::now();
    let error = second.clone().oneshot(1).await.expect_err("down");
    assert_eq!(error.to_string(), "no 1");
    assert_eq!(
        started.elapsed(),
        Duration::ZERO,
        "it does not wait for nothing"
    );
    for service in [first, second] {
        assert_eq!(service.handle().gave_up(GaveUp::Budget), 1);
    }
    assert_eq!((budget.withdrawn(), budget.refused()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn services_of_one_layer_share_its_budget_and_its_counters() {
    let layer = on_error().build().expect("valid");
    let (probe, handle) = Probe::new(|_: &u32| "an answer");
    let services = [layer.layer(probe.clone()), layer.clone().layer(probe)];
    for service in services {
        fail(&handle, 1);
        service.oneshot(1).await.expect("the second");
    }
    assert_eq!(layer.handle().retries(), 2);
    assert_eq!(layer.budget().map(Budget::withdrawn), Some(2));
    let layer = on_error().no_budget().build().expect("valid");
    assert!(layer.budget().is_none());
}

/// As reqwest's: not `Clone`, but often to be had twice.
#[derive(Debug, PartialEq)]
struct Request(u32);

impl Request {
    fn try_clone(&self) -> Option<Self> {
        (self.0 != 13).then_some(Self(self.0))
    }
}

/// Hole: retries that ask for `Clone` requests or errors.
#[tokio::test(start_paused = true)]
async fn requests_of_another_kind_are_copied_by_a_function() {
    let policy = OnOutcome::new(
        |result: Result<&u32, &BoxError>| match result {
            Ok(503) => Outcome::Failure,
            Ok(429) => Outcome::Throttled {
                retry_after: Some(9 * SECOND),
            },
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Ignored,
        },
        Request::try_clone,
    );
    let (probe, handle) = Probe::new(|_: &Request| 200);
    let service = RetryLayer::with_policy(policy)
        .backoff(Backoff::constant(SECOND))
        .build()
        .expect("valid")
        .layer(probe);
    handle.push(Step::respond(503));
    handle.push(Step::respond(429));
    let started = Instant::now();
    assert_eq!(
        service
            .clone()
            .oneshot(Request(1))
            .await
            .expect("the third"),
        200
    );
    assert_eq!(started.elapsed(), 10 * SECOND, "what the peer asked for");
    assert_eq!(handle.take_requests(), [Request(1), Request(1), Request(1)]);

    handle.push(Step::respond(503));
    let answer = service.clone().oneshot(Request(13)).await;
    assert_eq!(answer.expect("the first"), 503, "there is no second copy");
    assert_eq!(service.handle().gave_up(GaveUp::Unrepeatable), 1);

    handle.push(Step::fail("a mistake of the caller's"));
    assert!(service.clone().oneshot(Request(1)).await.is_err());
    assert_eq!(handle.counts().calls, 5);
}

/// Answers at once, and never allocates.
#[derive(Clone)]
struct Bare;

impl<R> Service<R> for Bare {
    type Response = u32;
    type Error = BoxError;
    type Future = Ready<Result<u32, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: R) -> Self::Future {
        ready(Ok(7))
    }
}

#[tokio::test]
async fn a_call_that_succeeds_at_once_costs_no_allocation() {
    let service = RetryLayer::with_policy(OnError)
        .build()
        .expect("valid")
        .layer(Bare);
    let mut cx = Context::from_waker(Waker::noop());
    let mut call = |service: &mut Retry<Bare, OnError>| {
        assert!(Service::<u32>::poll_ready(service, &mut cx).is_ready());
        assert!(pin!(service.call(1_u32)).poll(&mut cx).is_ready());
    };
    let mut one = service.clone();
    call(&mut one);
    let ((), count) = allocations(|| {
        for _ in 0..500 {
            call(&mut one);
            call(&mut service.clone());
        }
    });
    assert_eq!(count, 0);
}

#[test]
fn it_is_as_send_and_sync_as_what_it_wraps() {
    fn check<T: Send + Sync>(_: &T) {}
    let layer = RetryLayer::with_policy(OnError).build().expect("valid");
    check(&layer);
    check(&layer.layer(Bare));
    check(&layer.handle());
    assert!(format!("{layer:?}").starts_with("RetryLayer"));
}
