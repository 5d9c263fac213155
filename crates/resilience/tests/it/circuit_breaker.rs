use std::{
    future::{Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bartizan_core::{BoxError, Outcome, Rejection, find};
use bartizan_resilience::{
    backoff::Backoff,
    circuit_breaker::{
        CircuitBreaker, CircuitBreakerBuilder, CircuitBreakerHandle, CircuitBreakerLayer, OnError,
        State,
    },
    timeout::TimeoutLayer,
};
use bartizan_testing::{Probe, ProbeError, ProbeHandle, Step, allocations, contract};
use futures_util::FutureExt;
use tokio::time::{Instant, advance, timeout};
use tower::{Layer, Service, ServiceExt};

const SECOND: Duration = Duration::from_secs(1);
const OPEN: Duration = Duration::from_secs(5);

contract! {
    mod laws {
        // The laws script a few failures in a row.
        layer: |probe| CircuitBreakerLayer::builder().consecutive_failures(100).build().expect("valid").layer(probe),
        request: || (),
        response: || (),
    }

    mod laws_of_the_gate {
        layer: |probe| CircuitBreakerLayer::builder().consecutive_failures(100).gate().build().expect("valid").layer(probe),
        request: || (),
        response: || (),
    }
}

type Breaker = CircuitBreaker<Probe<u32, &'static str>, OnError>;
type Peer = ProbeHandle<u32, &'static str>;

fn builder() -> CircuitBreakerBuilder {
    CircuitBreakerLayer::builder().open_time(Backoff::constant(OPEN))
}

fn breaker(builder: CircuitBreakerBuilder) -> (Breaker, Peer, CircuitBreakerHandle) {
    let (probe, peer) = Probe::new(|_: &u32| "well");
    let layer = builder.build().expect("valid");
    (layer.layer(probe), peer, layer.handle())
}

async fn call(breaker: &Breaker) -> Result<&'static str, BoxError> {
    breaker.clone().oneshot(1).await
}

fn is_refused(result: &Result<&'static str, BoxError>) -> bool {
    let Err(error) = result else { return false };
    find::<Rejection>(&**error).is_some_and(Rejection::is_unsent)
}

async fn fail(breaker: &Breaker, peer: &Peer, times: usize) {
    for _ in 0..times {
        peer.push(Step::fail(ProbeError::new("down")));
        assert!(!is_refused(&call(breaker).await), "it was let through");
    }
}

async fn succeed(breaker: &Breaker, times: usize) {
    for _ in 0..times {
        call(breaker).await.expect("it is let through and well");
    }
}

#[tokio::test(start_paused = true)]
async fn by_default_seven_in_a_row_open_it() {
    let (breaker, peer, handle) = breaker(CircuitBreakerLayer::builder());
    fail(&breaker, &peer, 6).await;
    succeed(&breaker, 1).await;
    fail(&breaker, &peer, 6).await;
    assert_eq!(handle.state(), State::Closed);
    fail(&breaker, &peer, 1).await;
    assert_eq!(handle.state(), State::Open);
    let calls = peer.counts().calls;
    let refused = call(&breaker).await;
    assert!(is_refused(&refused));
    let error = refused.expect_err("refused");
    let after = find::<Rejection>(&*error)
        .and_then(Rejection::retry_after)
        .expect("a delay");
    assert!(SECOND / 2 <= after && after <= SECOND, "{after:?}");
    assert_eq!(peer.counts().calls, calls, "the peer saw nothing of it");
    assert_eq!(handle.snapshot().rejected, 1);
}

#[tokio::test(start_paused = true)]
async fn by_default_half_of_twenty_open_it() {
    let (breaker, peer, handle) = breaker(CircuitBreakerLayer::builder());
    for _ in 0..9 {
        succeed(&breaker, 1).await;
        fail(&breaker, &peer, 1).await;
    }
    succeed(&breaker, 1).await;
    assert_eq!(handle.state(), State::Closed, "19 calls are too few");
    fail(&breaker, &peer, 1).await;
    assert_eq!(handle.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn an_absolute_number_within_the_window_opens_it() {
    let builder = builder()
        .failure_ratio(None)
        .consecutive_failures(None)
        .failures(5);
    let (breaker, peer, handle) = breaker(builder.window(SECOND * 10, SECOND));
    fail(&breaker, &peer, 4).await;
    succeed(&breaker, 1000).await;
    // The window forgets.
    advance(SECOND * 11).await;
    fail(&breaker, &peer, 4).await;
    assert_eq!(handle.state(), State::Closed);
    fail(&breaker, &peer, 1).await;
    assert_eq!(handle.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn slow_calls_open_it() {
    let builder = builder().slow_ratio(SECOND, 0.5, 4);
    let (breaker, peer, handle) = breaker(builder);
    for slow in [true, false, true] {
        let delay = if slow { SECOND } else { SECOND / 2 };
        peer.push(Step::respond("late").after(delay));
        succeed(&breaker, 1).await;
    }
    assert_eq!((handle.state(), handle.snapshot().slow), (State::Closed, 2));
    peer.push(Step::respond("late").after(SECOND));
    succeed(&breaker, 1).await;
    assert_eq!(handle.state(), State::Open);
    // A slow probe has not shown that the peer is well.
    advance(OPEN).await;
    peer.push(Step::respond("late").after(SECOND));
    succeed(&breaker, 1).await;
    assert_eq!(handle.state(), State::Open);
}

/// A hole in today's crates: a window of a number of calls forgets nothing while nothing comes, and 10,000 successes then hide 10,000
/// failures.
#[tokio::test(start_paused = true)]
async fn ten_thousand_successes_do_not_hide_ten_thousand_failures() {
    let (breaker, peer, handle) = breaker(builder().consecutive_failures(None));
    succeed(&breaker, 10_000).await;
    advance(SECOND * 61).await;
    let mut failed = 0;
    while handle.state() == State::Closed {
        fail(&breaker, &peer, 1).await;
        failed += 1;
    }
    assert_eq!(failed, 20);
}

#[tokio::test(start_paused = true)]
async fn half_open_lets_probes_through_and_closes_after_enough_successes() {
    let (breaker, peer, handle) = breaker(builder().consecutive_failures(1).probes(2, 3));
    fail(&breaker, &peer, 1).await;
    advance(OPEN).await;
    peer.by_default(|_| Step::respond("probed").when_released());
    let mut probes = [0, 1].map(|_| Box::pin(breaker.clone().oneshot(1)));
    for probe in &mut probes {
        assert!(probe.as_mut().now_or_never().is_none());
    }
    assert!(is_refused(&call(&breaker).await), "both places are taken");
    peer.release();
    for probe in probes {
        assert_eq!(probe.await.expect("let through"), "probed");
    }
    assert_eq!(handle.state(), State::HalfOpen);
    peer.by_default(|_| Step::respond("well"));
    succeed(&breaker, 1).await;
    assert_eq!(handle.state(), State::Closed);
    assert_eq!(
        handle.snapshot().failed,
        0,
        "it begins with nothing counted"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_opens_it_for_longer() {
    let backoff =
        Backoff::exponential(SECOND, SECOND * 4).jitter(bartizan_resilience::backoff::Jitter::None);
    let (breaker, peer, handle) = breaker(builder().consecutive_failures(1).open_time(backoff));
    for open in [1, 2, 4, 4] {
        fail(&breaker, &peer, 1).await;
        assert_eq!(handle.snapshot().remaining, Some(SECOND * open));
        advance(SECOND * open - Duration::from_nanos(1)).await;
        assert!(is_refused(&call(&breaker).await));
        advance(Duration::from_nanos(1)).await;
    }
    succeed(&breaker, 1).await;
    fail(&breaker, &peer, 1).await;
    assert_eq!(
        handle.snapshot().remaining,
        Some(SECOND),
        "closing begins anew"
    );
}

/// A hole in today's crates: probes that never end, or are dropped, keep it half open for good.
#[tokio::test(start_paused = true)]
async fn half_open_never_wedges() {
    let (breaker, peer, handle) =
        breaker(builder().consecutive_failures(1).longest_probe_wait(SECOND));
    fail(&breaker, &peer, 1).await;
    advance(OPEN).await;
    peer.push(Step::pending());
    let dropped = timeout(Duration::from_millis(1), breaker.clone().oneshot(1)).await;
    assert!(dropped.is_err());
    assert_eq!(handle.state(), State::HalfOpen);
    // The place of the one that was dropped is free; and this one hangs for ever.
    peer.push(Step::pending());
    let mut hangs = Box::pin(breaker.clone().oneshot(1));
    assert!(hangs.as_mut().now_or_never().is_none());
    assert!(is_refused(&call(&breaker).await));
    advance(SECOND).await;
    succeed(&breaker, 1).await;
    assert_eq!(handle.state(), State::Closed);
}

/// A hole in today's crates: a result from before it opened closes it.
#[tokio::test(start_paused = true)]
async fn stale_results_change_nothing() {
    let (breaker, peer, handle) = breaker(builder().consecutive_failures(1));
    peer.push(Step::respond("late").when_released());
    peer.push(Step::fail(ProbeError::new("late")).when_released());
    let mut stale = [0, 1].map(|_| Box::pin(breaker.clone().oneshot(1)));
    for call in &mut stale {
        assert!(call.as_mut().now_or_never().is_none());
    }
    fail(&breaker, &peer, 1).await;
    advance(OPEN).await;
    peer.push(Step::pending());
    let mut probe = Box::pin(breaker.clone().oneshot(1));
    assert!(probe.as_mut().now_or_never().is_none());
    assert_eq!(handle.state(), State::HalfOpen);
    peer.release();
    for call in stale {
        let _ = call.await;
    }
    assert_eq!(
        handle.state(),
        State::HalfOpen,
        "neither closed nor opened by what is old"
    );
}

/// A hole in today's crates: calls that are dropped are not seen, so that a time limit above the breaker hides every timeout.
#[tokio::test(start_paused = true)]
async fn it_is_not_blind_to_timeouts_above_it() {
    let (breaker, peer, handle) = breaker(builder().consecutive_failures(3));
    peer.by_default(|_| Step::pending());
    let limited = TimeoutLayer::new(SECOND * 5).layer(breaker.clone());
    for _ in 0..3 {
        assert!(limited.clone().oneshot(1).await.is_err());
    }
    assert_eq!(handle.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_early_is_seen_and_is_no_failure() {
    let (breaker, peer, handle) = breaker(builder().consecutive_failures(1));
    peer.by_default(|_| Step::pending());
    for _ in 0..3 {
        assert!(timeout(SECOND, breaker.clone().oneshot(1)).await.is_err());
    }
    assert_eq!(
        (handle.state(), handle.snapshot().cancelled),
        (State::Closed, 3)
    );
}

#[tokio::test(start_paused = true)]
async fn refusals_below_say_nothing_and_throttling_counts_in_the_ratio_only() {
    let outcomes = |result: Result<&&str, &BoxError>| match result {
        Ok(&"throttled") => Outcome::Throttled { retry_after: None },
        Ok(&"ignored") => Outcome::Ignored,
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::Failure,
    };
    let layer = CircuitBreakerLayer::builder()
        .classify(outcomes)
        .consecutive_failures(2)
        .failures(3)
        .failure_ratio((0.5, 10))
        .build()
        .expect("valid");
    let (probe, peer) = Probe::new(|_: &u32| "well");
    let breaker = layer.layer(probe);
    let handle = layer.handle();
    for (answer, times) in [("ignored", 100), ("throttled", 4), ("well", 5)] {
        for _ in 0..times {
            peer.push(Step::respond(answer));
            breaker.clone().oneshot(1).await.expect("let through");
        }
    }
    assert_eq!(handle.state(), State::Closed);
    peer.push(Step::respond("throttled"));
    breaker.clone().oneshot(1).await.expect("let through");
    assert_eq!(handle.state(), State::Open, "5 of 10");
}

#[tokio::test(start_paused = true)]
async fn it_can_be_overruled_and_watched() {
    let (breaker, peer, handle) = breaker(builder().consecutive_failures(1));
    let mut watch = handle.watch();
    handle.isolate();
    advance(OPEN * 1000).await;
    assert!(is_refused(&call(&breaker).await));
    assert_eq!(watch.changed().await, Some(State::Isolated));

    handle.force_closed();
    fail(&breaker, &peer, 50).await;
    assert_eq!(watch.changed().await, Some(State::ForcedClosed));

    handle.force_open(SECOND);
    assert!(is_refused(&call(&breaker).await));
    advance(SECOND).await;
    succeed(&breaker, 1).await;
    assert_eq!(
        watch.changed().await,
        Some(State::Closed),
        "the last of several changes"
    );

    handle.isolate();
    handle.automatic();
    succeed(&breaker, 1).await;
    drop((breaker, handle));
    watch.changed().await;
    assert_eq!(watch.changed().await, None);
}

/// A hole in today's crates: `poll_ready` that wakes itself while it is open.
#[tokio::test(start_paused = true)]
async fn the_gate_waits_and_does_not_spin() {
    let (breaker, peer, handle) = breaker(builder().consecutive_failures(1).gate());
    fail(&breaker, &peer, 1).await;
    let mut waiting = breaker.clone();
    let started = Instant::now();
    let mut polls = 0;
    std::future::poll_fn(|cx| {
        polls += 1;
        waiting.poll_ready(cx)
    })
    .await
    .expect("ready after the open time");
    assert_eq!(started.elapsed(), OPEN);
    assert!(polls <= 3, "{polls} polls");

    // It holds the only place. The next one waits until that is given back, unused.
    let mut next = breaker.clone();
    assert!(timeout(SECOND, next.ready()).await.is_err());
    drop(waiting);
    next.ready()
        .await
        .expect("the place was given back")
        .call(1)
        .await
        .expect("well");
    assert_eq!(
        (handle.state(), handle.snapshot().cancelled),
        (State::Closed, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn the_gate_opens_when_somebody_says_so() {
    let (breaker, _peer, handle) = breaker(builder().gate());
    handle.isolate();
    let mut waiting = breaker.clone();
    let ready = tokio::spawn(async move { waiting.ready().await.is_ok() });
    tokio::task::yield_now().await;
    assert!(!ready.is_finished());
    handle.automatic();
    assert!(ready.await.expect("no panic"));
}

#[test]
fn what_cannot_work_is_refused_with_its_name() {
    let builder = CircuitBreakerLayer::builder;
    for (builder, field) in [
        (builder().failure_ratio((0.0, 1)), "failure_ratio"),
        (builder().failure_ratio((1.1, 1)), "failure_ratio"),
        (builder().failure_ratio((f64::NAN, 1)), "failure_ratio"),
        (builder().failure_ratio((0.5, 0)), "failure_ratio min_calls"),
        (builder().failures(0), "failures"),
        (builder().consecutive_failures(0), "consecutive_failures"),
        (
            builder().failure_ratio(None).consecutive_failures(None),
            "rules",
        ),
        (
            builder().slow_ratio(Duration::ZERO, 0.5, 1),
            "slow_ratio limit",
        ),
        (builder().slow_ratio(SECOND, 1.5, 1), "slow_ratio"),
        (builder().window(SECOND, SECOND * 2), "window"),
        (builder().window(SECOND, Duration::ZERO), "bucket"),
        (builder().window(Duration::MAX, SECOND), "window"),
        (builder().probes(0, 1), "probes"),
        (builder().probes(1, 0), "successes"),
        (
            builder().longest_probe_wait(Duration::ZERO),
            "longest_probe_wait",
        ),
    ] {
        assert_eq!(builder.build().expect_err(field).field(), field);
    }
}

/// Answers at once, and never allocates.
#[derive(Clone)]
struct Bare;

impl Service<u32> for Bare {
    type Response = u32;
    type Error = BoxError;
    type Future = Ready<Result<u32, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, n: u32) -> Self::Future {
        ready(Ok(n))
    }
}

#[tokio::test]
async fn a_ready_call_allocates_nothing() {
    for builder in [
        builder(),
        builder().slow_ratio(SECOND, 0.5, 10),
        builder().gate(),
    ] {
        let mut breaker = builder.build().expect("valid").layer(Bare);
        let mut cx = Context::from_waker(Waker::noop());
        let ((), count) = allocations(|| {
            for _ in 0..500 {
                let mut clone = breaker.clone();
                for breaker in [&mut breaker, &mut clone] {
                    assert!(breaker.poll_ready(&mut cx).is_ready());
                    let answered = pin!(breaker.call(1)).poll(&mut cx);
                    assert!(matches!(answered, Poll::Ready(Ok(1))));
                }
            }
        });
        assert_eq!(count, 0);
    }
}
