//! What calls count for.

use super::*;

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
