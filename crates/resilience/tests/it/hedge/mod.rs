#[cfg(feature = "http")]
mod http;
mod percentile;

use std::{
    error::Error,
    fmt,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bartizan_core::{BoxError, Outcome, find};
use bartizan_resilience::hedge::{Hedge, HedgeHandle, HedgeLayer, OnError};
use bartizan_testing::{Probe, ProbeError, ProbeHandle, Step, allocations, contract};
use futures_util::FutureExt;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn};

const MS: fn(u64) -> Duration = Duration::from_millis;

contract! {
    mod laws {
        layer: |probe| HedgeLayer::builder(OnError).after(MS(100)).build().expect("valid").layer(probe),
        request: || (),
        response: || (),
    }

    mod laws_at_once {
        layer: |probe| HedgeLayer::builder(|(): &()| None).after(Duration::ZERO).build().expect("valid").layer(probe),
        request: || (),
        response: || (),
    }
}

type Hedged = Hedge<Probe<u32, &'static str>, OnError>;

fn hedged() -> (Hedged, ProbeHandle<u32, &'static str>) {
    hedged_with_budget(1.0, 10)
}

fn hedged_with_budget(ratio: f64, burst: u32) -> (Hedged, ProbeHandle<u32, &'static str>) {
    let (probe, handle) = Probe::new(|_: &u32| "at once");
    let layer = HedgeLayer::builder(OnError)
        .after(MS(100))
        .budget(ratio, burst);
    (layer.build().expect("valid").layer(probe), handle)
}

fn counts(handle: &HedgeHandle) -> [u64; 3] {
    [handle.sent(), handle.won(), handle.denied()]
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_fast_enough_is_made_once() {
    let (service, probe) = hedged();
    probe.push(Step::respond("in time").after(MS(99)));
    assert_eq!(
        service.clone().oneshot(1).await.expect("a response"),
        "in time"
    );
    assert_eq!(probe.counts().calls, 1);
    assert_eq!(counts(&service.handle()), [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_second_wins_and_the_first_is_dropped_at_once() {
    let (mut service, probe) = hedged();
    probe.push(Step::pending());
    probe.push(Step::respond("second").after(MS(10)));
    let started = Instant::now();
    let mut call = Box::pin(service.ready().await.expect("ready").call(7));
    assert_eq!(call.as_mut().await.expect("a response"), "second");
    assert_eq!(started.elapsed(), MS(110));
    // The future is still here; the loser is not.
    let seen = probe.counts();
    assert_eq!((seen.calls, seen.in_flight, seen.cancelled), (2, 0, 1));
    assert_eq!(probe.take_requests(), [7, 7]);
    assert_eq!(counts(&service.handle()), [1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_first_may_still_win_and_then_the_second_is_dropped_at_once() {
    let (mut service, probe) = hedged();
    probe.push(Step::respond("first").after(MS(150)));
    probe.push(Step::pending());
    let mut call = Box::pin(service.ready().await.expect("ready").call(7));
    assert_eq!(call.as_mut().await.expect("a response"), "first");
    let seen = probe.counts();
    assert_eq!((seen.calls, seen.in_flight, seen.cancelled), (2, 0, 1));
    assert_eq!(counts(&service.handle()), [1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn when_one_fails_the_other_is_waited_for() {
    for (first, second, answer, after) in [
        // The first fails while the second runs.
        (
            Step::fail(ProbeError::new("first")).after(MS(120)),
            Step::respond("second").after(MS(100)),
            "second",
            200,
        ),
        // The second fails while the first runs.
        (
            Step::respond("first").after(MS(300)),
            Step::fail(ProbeError::new("second")).after(MS(10)),
            "first",
            300,
        ),
    ] {
        let (service, probe) = hedged();
        probe.push(first);
        probe.push(second);
        let started = Instant::now();
        assert_eq!(service.oneshot(1).await.expect("one succeeds"), answer);
        assert_eq!(started.elapsed(), MS(after));
        assert_eq!(probe.counts().calls, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn when_both_fail_the_last_error_is_returned() {
    for (first, second, last) in [(120, 100, "second"), (300, 10, "first")] {
        let (service, probe) = hedged();
        probe.push(Step::fail(ProbeError::new("first")).after(MS(first)));
        probe.push(Step::fail(ProbeError::new("second")).after(MS(second)));
        let error = service.oneshot(1).await.expect_err("both fail");
        assert_eq!(find::<ProbeError>(&*error), Some(&ProbeError::new(last)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_attempt_that_fails_before_there_is_a_second_ends_the_call() {
    let (service, probe) = hedged();
    probe.push(Step::fail("refused").after(MS(50)));
    let started = Instant::now();
    let error = service.oneshot(1).await.expect_err("it failed");
    assert_eq!(
        (error.to_string().as_str(), started.elapsed()),
        ("refused", MS(50))
    );
    assert_eq!(probe.counts().calls, 1);
}

/// An error that is not `Clone`, as those of reqwest, hyper and tonic are not.
#[derive(Debug)]
struct Unclonable;

impl fmt::Display for Unclonable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unclonable")
    }
}

impl Error for Unclonable {}

#[tokio::test(start_paused = true)]
async fn an_error_need_not_be_clone() {
    let failing = service_fn(|(): ()| async {
        tokio::time::sleep(MS(200)).await;
        Err::<(), _>(Unclonable)
    });
    let layer = HedgeLayer::builder(OnError)
        .after(MS(100))
        .build()
        .expect("valid");
    let Unclonable = layer
        .layer(failing)
        .oneshot(())
        .await
        .expect_err("both fail");
    assert_eq!(layer.handle().sent(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_budget_bounds_the_second_attempts() {
    let (service, probe) = hedged_with_budget(0.05, 2);
    probe.by_default(|_| Step::respond("slow").after(MS(150)));
    let handle = service.handle();
    for _ in 0..100 {
        service.clone().oneshot(1).await.expect("a response");
    }
    let [sent, won, denied] = counts(&handle);
    // Two saved up, and one for every twenty calls, the last of which may not have earned it in time.
    assert!((6..=7).contains(&sent), "{sent}");
    assert_eq!((won, denied), (0, 100 - sent));
    assert_eq!(probe.counts().calls as u64, 100 + sent);
}

#[tokio::test(start_paused = true)]
async fn two_at_once_if_the_delay_is_zero() {
    let (probe, handle) = Probe::new(|_: &u32| "second");
    handle.push(Step::pending());
    let layer = HedgeLayer::builder(OnError)
        .after(Duration::ZERO)
        .build()
        .expect("valid");
    let call = layer.layer(probe).oneshot(1);
    assert_eq!(
        call.now_or_never().expect("no timer").expect("a response"),
        "second"
    );
}

#[tokio::test(start_paused = true)]
async fn the_clone_is_waited_for_until_it_is_ready() {
    let (mut service, probe) = hedged();
    probe.push(Step::pending());
    let call = service.ready().await.expect("ready").call(1);
    probe.hold_ready();
    let mut call = pin!(call);
    assert!(tokio::time::timeout(MS(500), call.as_mut()).await.is_err());
    assert_eq!(probe.counts().calls, 1, "it is due, and not ready");
    probe.make_ready();
    assert_eq!(call.await.expect("a response"), "at once");
    assert_eq!(counts(&service.handle()), [1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_that_was_never_sent_gives_its_token_back() {
    let (mut service, probe) = hedged_with_budget(0.01, 1);
    let handle = service.handle();
    assert_eq!(handle.tokens(), 1);

    // Never ready, and then the call is dropped.
    probe.push(Step::pending());
    let call = service.ready().await.expect("ready").call(1);
    probe.hold_ready();
    assert!(tokio::time::timeout(MS(500), call).await.is_err());
    assert_eq!((handle.tokens(), handle.sent()), (1, 0));

    // Its readiness fails, and the first attempt goes on.
    probe.make_ready();
    probe.push(Step::respond("first").after(MS(300)));
    let call = service.ready().await.expect("ready").call(1);
    probe.fail_ready(ProbeError::new("gone"));
    assert_eq!(call.await.expect("the first"), "first");
    assert_eq!((handle.tokens(), handle.sent()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_full_limit_below_is_not_overrun() {
    let (probe, handle) = Probe::new(|(): &()| ());
    handle.by_default(|()| Step::respond(()).after(MS(500)));
    let layer = HedgeLayer::builder(OnError)
        .after(MS(100))
        .build()
        .expect("valid");
    let service = layer.layer(ConcurrencyLimit::new(probe, 1));
    service.oneshot(()).await.expect("a response");
    assert_eq!(
        handle.counts().calls,
        1,
        "there was never a place for a second"
    );
    assert_eq!((layer.handle().sent(), layer.handle().tokens()), (0, 10));
}

#[tokio::test(start_paused = true)]
async fn what_wins_is_what_the_classification_calls_a_success() {
    let (probe, handle) = Probe::new(|_: &()| 200);
    handle.push(Step::respond(500).after(MS(150)));
    handle.push(Step::respond(200).after(MS(100)));
    let layer = HedgeLayer::builder(OnError)
        .after(MS(100))
        .classify(|result: Result<&i32, &BoxError>| match result {
            Ok(200) => Outcome::Success,
            _ => Outcome::Failure,
        })
        .build()
        .expect("valid");
    let service = layer.layer(probe);
    assert_eq!(service.clone().oneshot(()).await.expect("a response"), 200);

    // None does: the last one is returned, response or not.
    handle.push(Step::respond(500).after(MS(150)));
    handle.push(Step::respond(503).after(MS(100)));
    assert_eq!(service.oneshot(()).await.expect("a response"), 503);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_call_drops_both() {
    let (mut service, probe) = hedged();
    probe.by_default(|_| Step::pending());
    let call = service.ready().await.expect("ready").call(1);
    assert!(tokio::time::timeout(MS(500), call).await.is_err());
    let seen = probe.counts();
    assert_eq!((seen.calls, seen.in_flight, seen.cancelled), (2, 0, 2));
}

#[tokio::test]
async fn the_layer_owns_budget_and_percentile() {
    let layer = HedgeLayer::builder(OnError)
        .after(MS(1))
        .build()
        .expect("valid");
    let (one, _one) = Probe::new(|_: &u32| "one");
    let (two, _two) = Probe::new(|_: &u32| "two");
    let (one, two) = (layer.layer(one), layer.clone().layer(two));
    assert_eq!(one.handle().tokens(), 10);
    let (probe, handle) = Probe::new(|_: &u32| "three");
    handle.push(Step::pending());
    layer.layer(probe).oneshot(1).await.expect("the second");
    assert_eq!((one.handle().tokens(), two.handle().tokens()), (9, 9));
}

#[test]
fn what_cannot_be_is_refused() {
    let builder = || HedgeLayer::builder(OnError);
    for (built, field) in [
        (builder().after_percentile(0.0).build(), "percentile"),
        (builder().after_percentile(100.0).build(), "percentile"),
        (builder().after_percentile(f64::NAN).build(), "percentile"),
        (builder().min_samples(0).build(), "min_samples"),
        (builder().half_life(Duration::ZERO).build(), "half_life"),
        (builder().budget(0.0, 1).build(), "budget ratio"),
        (builder().budget(1.1, 1).build(), "budget ratio"),
        (builder().budget(f64::NAN, 1).build(), "budget ratio"),
        (builder().budget(0.1, 0).build(), "budget burst"),
    ] {
        assert_eq!(built.expect_err("refused").field(), field);
    }
}

#[tokio::test]
async fn a_call_over_a_service_that_answers_allocates_nothing() {
    let bare = service_fn(|n: u32| std::future::ready(Ok::<_, BoxError>(n)));
    let layer = HedgeLayer::builder(OnError);
    for layer in [layer.clone().build(), layer.after(MS(1)).build()] {
        let mut service = layer.expect("valid").layer(bare);
        let mut cx = Context::from_waker(Waker::noop());
        let mut call = |service: &mut Hedge<_, _>| {
            assert!(Service::<u32>::poll_ready(service, &mut cx).is_ready());
            let answered = pin!(service.call(7)).poll(&mut cx);
            assert!(matches!(answered, Poll::Ready(Ok(7))));
        };
        let ((), count) = allocations(|| {
            for _ in 0..500 {
                call(&mut service);
                call(&mut service.clone());
            }
        });
        assert_eq!(count, 0);
    }
}
