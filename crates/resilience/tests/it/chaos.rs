use std::{
    convert::Infallible,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bartizan_core::{BoxError, Classify, HttpClassify, Outcome, Rejection, find};
use bartizan_resilience::{
    chaos::{Chaos, ChaosBuilder, ChaosLayer, Injected},
    timeout::TimeoutLayer,
};
use bartizan_testing::{Probe, ProbeHandle, Step, allocations, contract};
use futures_util::FutureExt;
use http::Response;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};

const MS: fn(u64) -> Duration = Duration::from_millis;

contract! {
    mod laws {
        layer: |probe| ChaosLayer::builder().errors(1.0).build().expect("valid").layer(probe),
        request: || (),
        response: || (),
    }

    /// Slow, and otherwise well.
    mod laws_with_latency {
        layer: |probe| ChaosLayer::builder()
            .only(|(): &()| false)
            .latency(1.0, MS(5))
            .enabled()
            .build()
            .expect("valid")
            .layer(probe),
        request: || (),
        response: || (),
    }
}

type Chaotic = Chaos<Probe<u32, &'static str>>;

fn chaotic(builder: ChaosBuilder) -> (Chaotic, ProbeHandle<u32, &'static str>) {
    let (probe, handle) = Probe::new(|_: &u32| "fine");
    (
        builder.enabled().build().expect("valid").layer(probe),
        handle,
    )
}

#[tokio::test(start_paused = true)]
async fn it_is_off_until_it_is_turned_on_and_then_until_it_is_turned_off() {
    let (probe, _handle) = Probe::new(|_: &u32| "fine");
    let layer = ChaosLayer::builder().errors(1.0).build().expect("valid");
    let (switch, service) = (layer.handle(), layer.layer(probe));
    assert!(!switch.is_enabled());
    assert!(service.clone().oneshot(1).await.is_ok());
    switch.enable();
    assert!(service.clone().oneshot(1).await.is_err());
    switch.disable();
    assert!(service.clone().oneshot(1).await.is_ok());
    assert_eq!(service.handle().counts().failed, 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_a_failure_of_the_peer_that_never_saw_the_call() {
    let (service, probe) = chaotic(ChaosLayer::builder().errors(1.0));
    let error = service.oneshot(1).await.expect_err("injected");
    assert_eq!(
        find::<Injected>(&*error).map(Injected::was_sent),
        Some(false)
    );
    assert_eq!(probe.counts().calls, 0);
    // A breaker or a retry takes it for the peer's.
    let judged =
        Classify::<(), Response<()>, BoxError>::head(&HttpClassify::new(), (), Err(&error));
    assert_eq!(judged.so_far(), Outcome::Failure);
}

#[tokio::test(start_paused = true)]
async fn latency_is_added_to_what_the_call_takes() {
    let (service, probe) = chaotic(ChaosLayer::builder().latency(1.0, MS(100)));
    let started = Instant::now();
    assert_eq!(
        service.clone().oneshot(1).await.expect("a response"),
        "fine"
    );
    assert_eq!(started.elapsed(), MS(100));
    probe.push(Step::fail("refused"));
    assert_eq!(
        service
            .clone()
            .oneshot(1)
            .await
            .expect_err("its own")
            .to_string(),
        "refused"
    );
    assert_eq!(service.handle().counts().delayed, 2);
}

#[tokio::test(start_paused = true)]
async fn latency_goes_before_errors() {
    let (service, _probe) = chaotic(ChaosLayer::builder().latency(1.0, MS(100)).errors(1.0));
    let started = Instant::now();
    assert!(service.oneshot(1).await.is_err());
    assert_eq!(started.elapsed(), MS(100));
}

#[tokio::test(start_paused = true)]
async fn a_cut_call_is_made_and_its_answer_lost() {
    let (service, probe) = chaotic(ChaosLayer::builder().cuts(1.0));
    probe.push(Step::respond("lost").after(MS(30)));
    let started = Instant::now();
    let error = service.clone().oneshot(7).await.expect_err("cut");
    assert_eq!(
        find::<Injected>(&*error).map(Injected::was_sent),
        Some(true)
    );
    assert!(!find::<Rejection>(&*error).expect("a rejection").is_unsent());
    assert_eq!(started.elapsed(), MS(30));
    assert_eq!(probe.take_requests(), [7]);
    assert_eq!(service.handle().counts().cut, 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_is_only_ended_by_a_timeout() {
    let (service, probe) = chaotic(ChaosLayer::builder().hangs(1.0));
    let switch = service.handle();
    let error = TimeoutLayer::new(MS(5000)).layer(service).oneshot(1).await;
    let error = error.expect_err("it hangs");
    assert!(find::<Rejection>(&*error).is_some_and(Rejection::is_timed_out));
    assert_eq!((probe.counts().calls, switch.counts().hung), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_spared_is_spared() {
    let (probe, _handle) = Probe::new(|_: &u32| "fine");
    let layer = ChaosLayer::builder()
        .errors(1.0)
        .only(|n: &u32| n % 2 == 0)
        .enabled();
    let service = layer.build().expect("valid").layer(probe);
    for n in 0..10 {
        assert_eq!(service.clone().oneshot(n).await.is_ok(), n % 2 == 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_does_the_same_and_another_does_not() {
    async fn failures(seed: u64) -> Vec<bool> {
        let (service, _probe) = chaotic(ChaosLayer::builder().errors(0.3).seed(seed));
        let mut failures = Vec::new();
        for _ in 0..200 {
            failures.push(service.clone().oneshot(1).await.is_err());
        }
        failures
    }
    let once = failures(7).await;
    assert_eq!(once, failures(7).await);
    assert_ne!(once, failures(8).await);
    let share = once.iter().filter(|&&failed| failed).count();
    assert!((40..80).contains(&share), "{share} of 200");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_on_purpose_leaves_the_inner_service_ready() {
    let (mut service, probe) = chaotic(ChaosLayer::builder().errors(1.0));
    assert!(service.ready().await.expect("ready").call(1).await.is_err());
    service.handle().disable();
    // Readiness was granted before, and stays granted, as it is for every service.
    probe.hold_ready();
    assert!(
        service
            .ready()
            .await
            .expect("still ready")
            .call(1)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn where_errors_cannot_be_it_answers() {
    let bare = service_fn(|(): ()| std::future::ready(Ok::<_, Infallible>(200)));
    let layer = ChaosLayer::builder()
        .errors(1.0)
        .enabled()
        .build()
        .expect("valid");
    let service = layer.reject_with(|_| 503).layer(bare);
    assert_eq!(service.oneshot(()).now_or_never(), Some(Ok(503)));
}

#[test]
fn what_cannot_be_is_refused() {
    let builder = ChaosLayer::builder;
    for (built, field) in [
        (builder().errors(1.5).build(), "error rate"),
        (builder().errors(f64::NAN).build(), "error rate"),
        (builder().cuts(-0.1).build(), "cut rate"),
        (builder().hangs(2.0).build(), "hang rate"),
        (builder().latency(7.0, MS(1)).build(), "latency rate"),
        (builder().latency(0.1, MS(2)..=MS(1)).build(), "latency"),
        (
            builder().errors(0.5).cuts(0.3).hangs(0.3).build(),
            "sum of the rates of errors, cuts and hangs",
        ),
    ] {
        assert_eq!(built.expect_err("refused").field(), field);
    }
    assert!(
        builder()
            .errors(0.7)
            .cuts(0.2)
            .hangs(0.1)
            .latency(1.0, MS(1))
            .build()
            .is_ok()
    );
}

#[tokio::test]
async fn a_call_allocates_nothing_whether_it_is_off_or_on() {
    let bare = service_fn(|n: u32| std::future::ready(Ok::<_, BoxError>(n)));
    let layer = ChaosLayer::builder().errors(0.0).build().expect("valid");
    let (switch, mut service) = (layer.handle(), layer.layer(bare));
    let mut cx = Context::from_waker(Waker::noop());
    for enabled in [false, true] {
        switch.set_enabled(enabled);
        let ((), count) = allocations(|| {
            for _ in 0..500 {
                assert!(Service::<u32>::poll_ready(&mut service, &mut cx).is_ready());
                let answered = pin!(service.clone().call(7)).poll(&mut cx);
                assert!(matches!(answered, Poll::Ready(Ok(7))));
            }
        });
        assert_eq!(count, 0);
    }
}
