//! Who is ejected, and for how long.

use super::*;

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
