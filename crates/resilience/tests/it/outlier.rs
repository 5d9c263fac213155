use std::{
    future::{Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use bartizan_core::{BoxError, Outcome, Rejection, RejectionKind};
use bartizan_resilience::{
    endpoint::{Endpoint, Unfit},
    outlier::{
        EjectionCause, FailurePercentage, OnError, Outlier, OutlierDetector,
        OutlierDetectorBuilder, SuccessRate,
    },
    timeout::TimeoutLayer,
};
use bartizan_testing::{Probe, ProbeError, Step, allocations, contract};
use futures_util::FutureExt;
use tokio::time::{Instant, advance, sleep, timeout};
use tower::{Layer, Service, ServiceExt};

contract! {
    mod laws {
        layer: |probe| OutlierDetector::default().layer(&Endpoint::new("a")).layer(probe),
        request: || (),
        response: || (),
    }

    /// What a peer does: an ejected endpoint's `poll_ready` wakes itself for as long as the ejection lasts.
    mod laws_while_ejected {
        layer: |probe| {
            let detector = OutlierDetector::builder().consecutive_failures(1).build();
            let endpoint = Endpoint::new("a");
            let layer = detector.expect("valid").layer(&endpoint);
            call(&mut layer.layer(Obey), false);
            assert!(!endpoint.is_fit());
            layer.layer(probe)
        },
        request: || (),
        response: || (),
    }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Succeeds or fails, as it is told, at once and without allocating.
#[derive(Clone, Debug)]
struct Obey;

impl Service<bool> for Obey {
    type Response = ();
    type Error = ();
    type Future = Ready<Result<(), ()>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, succeed: bool) -> Self::Future {
        ready(succeed.then_some(()).ok_or(()))
    }
}

type Target = (Endpoint, Outlier<Obey, OnError>);

fn call(service: &mut impl Service<bool>, succeed: bool) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let answered = pin!(service.call(succeed)).poll(&mut cx);
    assert!(answered.is_ready());
}

fn calls((_, service): &mut Target, successes: usize, failures: usize) {
    for _ in 0..successes {
        call(service, true);
    }
    for _ in 0..failures {
        call(service, false);
    }
}

fn targets(detector: &OutlierDetector, count: usize) -> Vec<Target> {
    let target = |i| {
        let endpoint = Endpoint::new(format!("endpoint {i}"));
        let service = detector.layer(&endpoint).layer(Obey);
        (endpoint, service)
    };
    (0..count).map(target).collect()
}

/// The indices of those that are ejected.
fn ejected(targets: &[Target]) -> Vec<usize> {
    let is_ejected = |i: &usize| targets[*i].0.is_unfit(Unfit::Ejected);
    (0..targets.len()).filter(is_ejected).collect()
}

fn built(builder: OutlierDetectorBuilder) -> OutlierDetector {
    builder.build().expect("valid settings")
}

/// Of the sweeps only, so that failures can come in any order.
fn sweeping() -> OutlierDetectorBuilder {
    OutlierDetector::builder().consecutive_failures(None)
}

async fn fit_again(endpoint: &Endpoint) -> Duration {
    let started = Instant::now();
    while !endpoint.is_fit() {
        sleep(Duration::from_millis(100)).await;
    }
    started.elapsed()
}

#[tokio::test(start_paused = true)]
async fn five_failures_in_a_row_eject_at_once_and_four_do_not() {
    let detector = OutlierDetector::default();
    let mut targets = targets(&detector, 2);
    calls(&mut targets[0], 0, 4);
    calls(&mut targets[0], 1, 4);
    assert_eq!(ejected(&targets), [] as [usize; 0]);
    calls(&mut targets[0], 0, 1);
    assert_eq!(ejected(&targets), [0]);
    assert_eq!(detector.ejected(), 1);

    let snapshot = detector.snapshot();
    assert!(snapshot[0].is_ejected() && !snapshot[1].is_ejected());
    assert_eq!(snapshot[0].endpoint().name(), "endpoint 0");
    assert_eq!(
        snapshot[0].cause(),
        Some(EjectionCause::ConsecutiveFailures)
    );
    assert_eq!(snapshot[0].remaining(), Some(secs(30)));
    assert_eq!((snapshot[0].ejections(), snapshot[1].ejections()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn each_ejection_is_longer_up_to_the_maximum_and_service_forgives() {
    let detector = OutlierDetector::default();
    tokio::spawn(detector.driver());
    let mut targets = targets(&detector, 1);
    let mut eject = async || {
        calls(&mut targets[0], 0, 5);
        assert!(!targets[0].0.is_fit());
        fit_again(&targets[0].0).await.as_secs()
    };
    for expected in [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300] {
        assert_eq!(eject().await, expected);
    }
    // However often it was ejected at the maximum, ten intervals of service are enough.
    sleep(secs(95)).await;
    assert_eq!(detector.snapshot()[0].ejections(), 1);
    assert_eq!(eject().await, 60);
    sleep(secs(25)).await;
    assert_eq!(eject().await, 30);
}

#[tokio::test(start_paused = true)]
async fn never_more_than_the_maximum_are_ejected_and_one_always_may_be() {
    for (count, percent, most) in [
        (1, 10, 1),
        (9, 10, 1),
        (19, 10, 1),
        (20, 10, 2),
        (10, 55, 5),
        (3, 100, 3),
    ] {
        let detector = built(OutlierDetector::builder().max_ejected_percent(percent));
        let mut targets = targets(&detector, count);
        for target in &mut targets {
            calls(target, 0, 20);
        }
        assert_eq!(ejected(&targets).len(), most, "{percent} % of {count}");
        assert_eq!(detector.ejected(), most);
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_spared_is_ejected_when_there_is_room_and_it_still_fails() {
    let detector = OutlierDetector::default();
    tokio::spawn(detector.driver());
    let mut targets = targets(&detector, 2);
    calls(&mut targets[0], 0, 5);
    calls(&mut targets[1], 0, 5);
    assert_eq!(ejected(&targets), [0]);
    fit_again(&targets[0].0).await;
    calls(&mut targets[1], 0, 4);
    assert_eq!(ejected(&targets), [] as [usize; 0]);
    calls(&mut targets[1], 0, 1);
    assert_eq!(ejected(&targets), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_success_rate_far_below_the_others_ejects_at_the_sweep() {
    let detector = OutlierDetector::default();
    tokio::spawn(detector.driver());
    let mut targets = targets(&detector, 6);
    for (i, target) in targets.iter_mut().enumerate() {
        // One in twenty fails, and never two in a row.
        for n in 0..100 {
            calls(
                target,
                usize::from(i != 3 || n % 20 != 0),
                usize::from(i == 3 && n % 20 == 0),
            );
        }
    }
    // The clock is paused, so this is the only time that passes.
    sleep(Duration::from_millis(9_900)).await;
    assert_eq!(ejected(&targets), [] as [usize; 0]);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(ejected(&targets), [3]);
    assert_eq!(
        detector.snapshot()[3].cause(),
        Some(EjectionCause::SuccessRate)
    );
    let took = fit_again(&targets[3].0).await;
    assert!((secs(29)..=secs(30)).contains(&took), "{took:?}");

    // What was counted before counts no more.
    sleep(secs(60)).await;
    assert_eq!(ejected(&targets), [] as [usize; 0]);
}

#[tokio::test(start_paused = true)]
async fn there_is_no_outlier_among_equals_or_too_few() {
    for (why, count, requests, bad) in [
        ("all are equally bad", 6, 100, 6),
        ("too few endpoints", 4, 100, 1),
        ("too few requests", 6, 99, 1),
    ] {
        let detector = built(sweeping());
        tokio::spawn(detector.driver());
        let mut targets = targets(&detector, count);
        for (i, target) in targets.iter_mut().enumerate() {
            let failures = if i < bad { requests / 3 } else { 0 };
            calls(target, requests - failures, failures);
        }
        sleep(secs(11)).await;
        assert_eq!(ejected(&targets), [] as [usize; 0], "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_failure_percentage_is_off_unless_asked_for_and_needs_no_comparison() {
    let percentage = FailurePercentage::default();
    for (policy, expected) in [(None, 0), (Some(percentage), 6)] {
        let detector = built(
            sweeping()
                .failure_percentage(policy)
                .max_ejected_percent(100),
        );
        tokio::spawn(detector.driver());
        let mut targets = targets(&detector, 7);
        for target in &mut targets[..6] {
            calls(target, 15, 85);
        }
        calls(&mut targets[6], 16, 84);
        sleep(secs(11)).await;
        assert_eq!(ejected(&targets).len(), expected);
        assert!(targets[6].0.is_fit());
    }
}

#[tokio::test(start_paused = true)]
async fn where_not_all_outliers_may_be_ejected_the_worst_are() {
    let detector = built(
        sweeping()
            .failure_percentage(FailurePercentage::default().percent(10))
            .max_ejected_percent(40),
    );
    tokio::spawn(detector.driver());
    let mut targets = targets(&detector, 6);
    for (target, failures) in targets.iter_mut().zip([20, 40, 30, 0, 60, 10]) {
        calls(target, 100 - failures, failures);
    }
    sleep(secs(11)).await;
    assert_eq!(ejected(&targets), [1, 4]);
}

#[tokio::test(start_paused = true)]
async fn what_an_endpoint_did_before_and_during_its_ejection_is_no_ground_for_the_next() {
    let detector = built(
        OutlierDetector::builder()
            .base_ejection(secs(2))
            .failure_percentage(FailurePercentage::default().min_endpoints(1)),
    );
    tokio::spawn(detector.driver());
    let mut targets = targets(&detector, 1);
    for _ in 0..20 {
        calls(&mut targets[0], 0, 4);
        calls(&mut targets[0], 1, 0);
    }
    sleep(secs(1)).await;
    calls(&mut targets[0], 0, 5);
    assert_eq!(ejected(&targets), [0]);
    // A balancer that finds too few fit calls it all the same.
    calls(&mut targets[0], 0, 100);
    sleep(secs(3)).await;
    assert_eq!(ejected(&targets), [] as [usize; 0]);
    sleep(secs(10)).await;
    assert_eq!(ejected(&targets), [] as [usize; 0]);
}

#[tokio::test(start_paused = true)]
async fn without_a_driver_a_failure_sweeps() {
    let policy = FailurePercentage::default()
        .percent(50)
        .min_endpoints(1)
        .min_requests(10);
    let detector = built(sweeping().failure_percentage(policy));
    let mut targets = targets(&detector, 2);
    calls(&mut targets[0], 5, 5);
    advance(secs(9)).await;
    calls(&mut targets[1], 0, 1);
    assert_eq!(ejected(&targets), [] as [usize; 0]);
    advance(secs(1)).await;
    calls(&mut targets[1], 0, 1);
    assert_eq!(ejected(&targets), [0]);
}

/// A peer's window never evicts.
#[tokio::test(start_paused = true)]
async fn ten_thousand_failures_after_ten_thousand_successes_eject() {
    let detector = built(sweeping().failure_percentage(FailurePercentage::default()));
    let mut targets = targets(&detector, 5);
    for target in &mut targets {
        calls(target, 10_000, 0);
    }
    advance(secs(11)).await;
    calls(&mut targets[0], 0, 10_000);
    for target in &mut targets[1..] {
        calls(target, 100, 0);
    }
    advance(secs(11)).await;
    // No driver: this is a look.
    calls(&mut targets[1], 32, 0);
    assert_eq!(ejected(&targets), [0]);
}

/// A peer's breaker is closed, or opened again, by what began before.
#[tokio::test(start_paused = true)]
async fn results_from_before_an_ejection_or_a_return_are_ignored() {
    let detector = OutlierDetector::default();
    let endpoint = Endpoint::new("a");
    let layer = detector.layer(&endpoint);
    let (probe, handle) = Probe::new(|(): &()| ());
    handle.by_default(|()| Step::fail(ProbeError::default()).when_released());
    let service = layer.layer(probe);
    let mut old: Vec<_> = (0..5)
        .map(|_| Box::pin(service.clone().oneshot(())))
        .collect();
    for call in &mut old {
        assert!(call.now_or_never().is_none());
    }

    let mut target = (endpoint, layer.layer(Obey));
    calls(&mut target, 0, 5);
    assert!(!target.0.is_fit());
    // These are of the ejection's time.
    let mut while_ejected = Box::pin(service.clone().oneshot(()));
    assert!((&mut while_ejected).now_or_never().is_none());
    assert!(detector.restore(&target.0));

    calls(&mut target, 0, 4);
    handle.release();
    for call in old {
        call.await.expect_err("it failed");
    }
    while_ejected.await.expect_err("it failed");
    assert!(target.0.is_fit(), "four, of this time");
    calls(&mut target, 0, 1);
    assert!(!target.0.is_fit());
}

/// A peer's breaker never learns of calls that were dropped.
#[tokio::test(start_paused = true)]
async fn cancelled_calls_are_no_failures_unless_they_were_long_overdue() {
    for (limit, waits, expected) in [
        (None, secs(60), true),
        (Some(secs(4)), secs(3), true),
        (Some(secs(4)), secs(5), false),
    ] {
        let mut builder = OutlierDetector::builder();
        if let Some(limit) = limit {
            builder = builder.fail_cancelled_after(limit);
        }
        let detector = built(builder);
        let endpoint = Endpoint::new("a");
        let (probe, handle) = Probe::new(|(): &()| ());
        handle.by_default(|()| Step::pending());
        let service = detector.layer(&endpoint).layer(probe);
        for _ in 0..5 {
            timeout(waits, service.clone().oneshot(()))
                .await
                .expect_err("no answer");
        }
        assert_eq!(endpoint.is_fit(), expected, "{limit:?} {waits:?}");
    }
}

/// A peer is blind to timeouts above it.
#[tokio::test(start_paused = true)]
async fn a_timeout_is_a_failure_below_it_and_above_it_by_choice() {
    let detector = built(OutlierDetector::builder().fail_cancelled_after(secs(4)));
    let (probe, handle) = Probe::new(|(): &()| ());
    handle.by_default(|()| Step::pending());

    let below = Endpoint::new("the timeout is below");
    let service = detector
        .layer(&below)
        .layer(TimeoutLayer::default().layer(probe.clone()));
    let above = Endpoint::new("the timeout is above");
    let other = TimeoutLayer::default().layer(detector.layer(&above).layer(probe));
    for _ in 0..5 {
        service.clone().oneshot(()).await.expect_err("no answer");
    }
    assert!(!below.is_fit());
    detector.restore_all();
    for _ in 0..5 {
        other.clone().oneshot(()).await.expect_err("no answer");
    }
    assert!(!above.is_fit());
}

#[tokio::test(start_paused = true)]
async fn what_a_layer_below_refused_counts_for_nothing() {
    for (kind, is_fit) in [
        (RejectionKind::Open, true),
        (RejectionKind::Limited, true),
        (RejectionKind::TimedOut, false),
    ] {
        let detector = OutlierDetector::default();
        let endpoint = Endpoint::new("a");
        let refuse = tower::service_fn(move |(): ()| {
            ready(Err::<(), BoxError>(Rejection::new(kind, "x").into()))
        });
        let service = detector.layer(&endpoint).layer(refuse);
        for _ in 0..5 {
            service.clone().oneshot(()).await.expect_err("refused");
        }
        assert_eq!(endpoint.is_fit(), is_fit, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_counts_is_for_the_classifier_to_say() {
    for (outcome, is_fit) in [
        (Outcome::Failure, false),
        (Outcome::Success, true),
        (Outcome::Throttled { retry_after: None }, true),
        (Outcome::Ignored, true),
    ] {
        let detector = OutlierDetector::default();
        let endpoint = Endpoint::new("a");
        let layer = detector.layer(&endpoint);
        let layer = layer.classify(move |_: Result<&(), &()>| outcome);
        let mut service = layer.layer(Obey);
        for _ in 0..5 {
            call(&mut service, true);
        }
        assert_eq!(endpoint.is_fit(), is_fit, "{outcome:?}");
    }
    // Being throttled ends a run of failures: the endpoint works.
    let detector = OutlierDetector::default();
    let endpoint = Endpoint::new("a");
    let layer = detector
        .layer(&endpoint)
        .classify(|result: Result<&(), &()>| match result {
            Ok(()) => Outcome::Throttled { retry_after: None },
            Err(()) => Outcome::Failure,
        });
    let mut service = layer.layer(Obey);
    for n in 0..20 {
        call(&mut service, n % 5 == 4);
    }
    assert!(endpoint.is_fit());
}

#[tokio::test(start_paused = true)]
async fn without_a_driver_whoever_is_polled_brings_an_endpoint_back() {
    let detector = OutlierDetector::default();
    let mut targets = targets(&detector, 2);
    let mut cx = Context::from_waker(Waker::noop());
    for polled in [0, 1] {
        calls(&mut targets[0], 0, 5);
        advance(secs(29)).await;
        let _ = targets[polled].1.poll_ready(&mut cx);
        assert_eq!(ejected(&targets), [0]);
        advance(secs(60)).await;
        assert_eq!(ejected(&targets), [0], "nothing was polled");
        let _ = targets[polled].1.poll_ready(&mut cx);
        assert_eq!(ejected(&targets), [] as [usize; 0]);
        advance(secs(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_ends_with_its_detector_and_not_before() {
    let detector = OutlierDetector::default();
    let driver = tokio::spawn(detector.driver());
    let targets = targets(&detector, 1);
    let watch = detector.watch();
    drop(detector);
    sleep(secs(100)).await;
    assert!(!driver.is_finished());
    drop(watch);
    sleep(secs(100)).await;
    assert!(!driver.is_finished());
    drop(targets);
    timeout(secs(1), driver)
        .await
        .expect("it ends at once")
        .expect("and well");
}

#[tokio::test(start_paused = true)]
async fn a_short_ejection_ends_before_the_next_sweep() {
    let detector = built(OutlierDetector::builder().base_ejection(secs(2)));
    tokio::spawn(detector.driver());
    let mut targets = targets(&detector, 1);
    sleep(secs(1)).await;
    calls(&mut targets[0], 0, 5);
    let took = fit_again(&targets[0].0).await;
    assert!((secs(2)..secs(3)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_whose_services_are_gone_leaves_and_is_ejected_no_more() {
    let detector = built(OutlierDetector::builder().max_ejected_percent(20));
    let mut targets = targets(&detector, 10);
    calls(&mut targets[0], 0, 5);
    advance(secs(1)).await;
    calls(&mut targets[1], 0, 5);
    calls(&mut targets[2], 0, 5);
    assert_eq!(ejected(&targets), [0, 1]);

    // Of nine, two are more than 20 %: the one that would be first comes back.
    targets.pop();
    assert_eq!(ejected(&targets), [1]);
    let (endpoint, service) = targets.remove(1);
    let clone = service.clone();
    drop(service);
    assert!(!endpoint.is_fit(), "a clone is left");
    drop(clone);
    assert!(endpoint.is_fit());
    assert_eq!((detector.ejected(), detector.snapshot().len()), (0, 8));

    // The others kept their places.
    calls(&mut targets[7], 0, 5);
    assert_eq!(ejected(&targets), [7]);
}

#[tokio::test(start_paused = true)]
async fn layers_of_one_endpoint_share_its_counts_and_namesakes_do_not() {
    let detector = OutlierDetector::default();
    let endpoint = Endpoint::new("a");
    let mut one = detector.layer(&endpoint).layer(Obey);
    let mut two = detector.clone().layer(&endpoint.clone()).layer(Obey);
    let mut namesake = detector.layer(&Endpoint::new("a")).layer(Obey);
    assert_eq!(detector.snapshot().len(), 2);
    for _ in 0..2 {
        call(&mut one, false);
        call(&mut two, false);
        call(&mut namesake, false);
    }
    assert!(endpoint.is_fit());
    call(&mut two, false);
    assert!(!endpoint.is_fit());
}

#[tokio::test(start_paused = true)]
async fn restoring_is_at_once_and_only_once() {
    let detector = built(OutlierDetector::builder().max_ejected_percent(100));
    let mut targets = targets(&detector, 3);
    for target in &mut targets[..2] {
        calls(target, 0, 5);
    }
    assert!(detector.restore(&targets[0].0));
    assert!(!detector.restore(&targets[0].0));
    assert!(!detector.restore(&Endpoint::new("a stranger")));
    assert_eq!(ejected(&targets), [1]);
    assert!(detector.restore_all());
    assert!(!detector.restore_all());
    assert_eq!(ejected(&targets), [] as [usize; 0]);
    // It is still marked by it.
    calls(&mut targets[0], 0, 5);
    assert_eq!(detector.snapshot()[0].remaining(), Some(secs(60)));
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_of_ejections_and_returns() {
    let detector = OutlierDetector::default();
    tokio::spawn(detector.driver());
    let mut targets = targets(&detector, 2);
    let mut watch = detector.watch();
    assert!(watch.changed().now_or_never().is_none());
    // Ignored: nothing changed.
    calls(&mut targets[0], 10, 4);
    sleep(secs(20)).await;
    assert!(watch.changed().now_or_never().is_none());

    calls(&mut targets[0], 0, 5);
    let snapshot = watch.changed().await;
    assert!(snapshot[0].is_ejected() && !snapshot[1].is_ejected());
    let started = Instant::now();
    assert!(!watch.changed().await[0].is_ejected());
    assert_eq!(started.elapsed().as_secs(), 30);
}

#[test]
fn settings_that_cannot_be_are_refused_by_name() {
    let rate = SuccessRate::default();
    let percentage = FailurePercentage::default();
    let builder = OutlierDetector::builder;
    for (builder, field) in [
        (builder().consecutive_failures(0), "consecutive_failures"),
        (
            builder().success_rate(rate.deviations(0.0)),
            "success_rate.deviations",
        ),
        (
            builder().success_rate(rate.deviations(f64::NAN)),
            "success_rate.deviations",
        ),
        (
            builder().success_rate(rate.min_endpoints(0)),
            "success_rate.min_endpoints",
        ),
        (
            builder().success_rate(rate.min_requests(0)),
            "success_rate.min_requests",
        ),
        (
            builder().failure_percentage(percentage.percent(0)),
            "failure_percentage.percent",
        ),
        (
            builder().failure_percentage(percentage.percent(101)),
            "failure_percentage.percent",
        ),
        (
            builder().failure_percentage(percentage.min_requests(0)),
            "failure_percentage.min_requests",
        ),
        (builder().interval(Duration::ZERO), "interval"),
        (builder().base_ejection(Duration::ZERO), "base_ejection"),
        (builder().max_ejection(secs(29)), "max_ejection"),
        (builder().max_ejected_percent(0), "max_ejected_percent"),
        (builder().max_ejected_percent(101), "max_ejected_percent"),
    ] {
        assert_eq!(builder.build().expect_err(field).field(), field);
    }
    // A base above the default maximum is its own maximum.
    assert!(builder().base_ejection(secs(3600)).build().is_ok());
    assert!(
        builder()
            .interval(Duration::MAX)
            .base_ejection(Duration::MAX)
            .build()
            .is_ok()
    );
}

#[test]
fn the_maximum_holds_whatever_many_threads_do() {
    let detector = built(
        OutlierDetector::builder()
            .max_ejected_percent(25)
            .base_ejection(secs(3600)),
    );
    let targets = targets(&detector, 16);
    thread::scope(|scope| {
        for offset in 0..4 {
            let mut targets = targets.clone();
            scope.spawn(move || {
                for n in 0..2_000 {
                    calls(&mut targets[(n + offset * 4) % 16], 0, 5);
                }
            });
        }
        let targets = &targets;
        let detector = &detector;
        scope.spawn(move || {
            for _ in 0..10_000 {
                assert!(ejected(targets).len() <= 4);
                assert!(detector.ejected() <= 4);
            }
        });
    });
    assert_eq!(ejected(&targets).len(), 4);
}

#[test]
fn a_call_costs_no_allocation() {
    let detector = OutlierDetector::default();
    let service = detector.layer(&Endpoint::new("a")).layer(Obey);
    let mut one = service.clone();
    call(&mut one, true);
    let ((), count) = allocations(|| {
        for n in 0..500 {
            call(&mut one, n % 3 != 0);
            call(&mut service.clone(), true);
        }
    });
    assert_eq!(count, 0);
}

#[cfg(feature = "http")]
mod http {
    use ::http::{Request, Response};
    use bartizan_core::{Body, HttpClassify, StatusSet};
    use bartizan_testing::ControlledBody;
    use http_body_util::BodyExt;

    use super::*;

    contract! {
        mod laws {
            layer: |probe| OutlierDetector::default().http_layer(&Endpoint::new("a")).layer(probe),
            request: || Request::new(Body::empty()),
            response: || Response::new(Body::from("whole")),
        }
    }

    fn answer(status: u16) -> Response<Body> {
        Response::builder()
            .status(status)
            .body(Body::empty())
            .expect("a status")
    }

    #[tokio::test(start_paused = true)]
    async fn every_5xx_is_a_failure_and_429_is_not() {
        for (status, is_fit) in [
            (500, false),
            (503, false),
            (599, false),
            (429, true),
            (404, true),
            (200, true),
        ] {
            let detector = OutlierDetector::default();
            let endpoint = Endpoint::new("a");
            let (probe, _handle) = Probe::new(move |_: &()| answer(status));
            let service = detector.http_layer(&endpoint).layer(probe);
            for _ in 0..5 {
                let response = service.clone().oneshot(()).await.expect("an answer");
                assert_eq!(response.status(), status);
            }
            assert_eq!(endpoint.is_fit(), is_fit, "{status}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_breaks_off_is_a_failure_and_one_that_is_left_is_not() {
        for (end, is_fit) in [("broken", false), ("whole", true), ("left", true)] {
            let detector = OutlierDetector::default();
            let endpoint = Endpoint::new("a");
            let layer = detector
                .http_layer(&endpoint)
                .classify(HttpClassify::new().failures(StatusSet::EMPTY));
            let service = layer.layer(tower::service_fn(move |(): ()| {
                let (body, handle) = ControlledBody::new();
                handle.data("half");
                match end {
                    "broken" => handle.fail(ProbeError::default()),
                    _ => handle.end(),
                }
                ready(Ok::<_, BoxError>(Response::new(body)))
            }));
            for _ in 0..5 {
                assert!(endpoint.is_fit());
                let response = service.clone().oneshot(()).await.expect("a head");
                let read = match end {
                    "left" => Ok(()),
                    _ => response.into_body().collect().await.map(drop),
                };
                assert_eq!(read.is_ok(), end != "broken");
            }
            assert_eq!(endpoint.is_fit(), is_fit, "{end}");
        }
    }

    /// Answers 200 without allocating.
    #[derive(Clone)]
    struct Bare;

    impl Service<bool> for Bare {
        type Response = Response<Body>;
        type Error = BoxError;
        type Future = Ready<Result<Response<Body>, BoxError>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: bool) -> Self::Future {
            ready(Ok(Response::new(Body::empty())))
        }
    }

    #[test]
    fn a_call_costs_no_allocation() {
        let detector = OutlierDetector::default();
        let service = detector.http_layer(&Endpoint::new("a")).layer(Bare);
        let mut one = service.clone();
        let ((), count) = allocations(|| {
            for _ in 0..500 {
                call(&mut one, true);
                call(&mut service.clone(), true);
            }
        });
        assert_eq!(count, 0);
    }
}
