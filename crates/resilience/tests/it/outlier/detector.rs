//! Drivers, members and handles.

use super::*;

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
fn it_prints_itself_and_what_it_knows_once() {
    let detector = OutlierDetector::default();
    let targets = targets(&detector, 2);
    let text = format!("{detector:?} {targets:?}");
    assert!(text.contains("endpoint 1"));
    assert!(!text.contains("locked"), "a cycle: {text}");
}
