//! A delay that is learned.

use super::*;

/// A service whose calls take what the test says, by percentile.
fn by_percentile(percentile: f64) -> (Hedged, ProbeHandle<u32, &'static str>, HedgeHandle) {
    let (probe, handle) = Probe::new(|_: &u32| "at once");
    handle.by_default(|&ms| Step::respond("late").after(MS(ms.into())));
    let layer = HedgeLayer::builder(OnError)
        .after_percentile(percentile)
        .budget(1.0, 1000)
        .build()
        .expect("valid");
    let hedge = layer.handle();
    (layer.layer(probe), handle, hedge)
}

#[tokio::test(start_paused = true)]
async fn the_percentile_is_learned_and_then_used() {
    let (service, probe, hedge) = by_percentile(95.0);
    for i in 0..200 {
        // Nine in a hundred take 200 ms, the others 20.
        let ms = if i % 11 == 0 { 200 } else { 20 };
        service.clone().oneshot(ms).await.expect("a response");
        if i < 100 {
            assert_eq!(hedge.sent(), 0, "nothing is known yet");
        }
    }
    let delay = hedge.delay().expect("by now it is known");
    assert!(delay >= MS(170) && delay <= MS(230), "{delay:?}");

    probe.push(Step::pending());
    probe.push(Step::respond("second"));
    let started = Instant::now();
    assert_eq!(service.oneshot(20).await.expect("a response"), "second");
    // tokio's timers round up to a millisecond.
    assert!(
        started.elapsed() - delay <= MS(1),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_first_attempt_that_was_overtaken_counts_so_the_percentile_stays() {
    let (service, probe, hedge) = by_percentile(90.0);
    for i in 0..500 {
        let ms = if i % 5 == 0 { 400 } else { 20 };
        service.clone().oneshot(ms).await.expect("a response");
    }
    let before = hedge.delay().expect("known");
    assert!(before > MS(300), "{before:?}");
    // From now on every slow one is overtaken, at a time above the percentile. If that did not count, all that were seen would be fast,
    // and the percentile would fall to 20 ms.
    for i in 0..5000 {
        if i % 5 == 0 {
            probe.push(Step::pending());
        }
        service.clone().oneshot(20).await.expect("a response");
    }
    assert!(hedge.won() > 900);
    let after = hedge.delay().expect("known");
    assert!(
        after > before / 2 && after < before * 2,
        "{before:?}, then {after:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn failures_that_come_fast_do_not_pull_the_percentile_down() {
    let (service, probe, hedge) = by_percentile(50.0);
    for i in 0..2000 {
        if i % 4 != 0 {
            probe.push(Step::fail("refused").after(MS(1)));
        }
        let _ = service.clone().oneshot(100).await;
    }
    let delay = hedge.delay().expect("known");
    assert!(delay > MS(80), "{delay:?}");
}
