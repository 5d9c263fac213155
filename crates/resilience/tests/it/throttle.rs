use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bartizan_core::{Body, BoxError, HttpClassify, Outcome, Rejection, RejectionKind, find};
use bartizan_resilience::throttle::{HeldBack, Throttle, ThrottleHandle, ThrottleLayer};
use bartizan_testing::{Probe, ProbeError, ProbeHandle, Step, allocations, contract};
use futures_util::FutureExt;
use http::{Request, Response};
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt, service_fn};

const MS: fn(u64) -> Duration = Duration::from_millis;

contract! {
    mod laws {
        layer: |probe| ThrottleLayer::default().layer(probe),
        request: || Request::new(()),
        response: || Response::new(()),
    }
}

fn errors<T>(result: Result<&T, &BoxError>) -> Outcome {
    match result {
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::Failure,
    }
}

type Classify = fn(Result<&u32, &BoxError>) -> Outcome;
type Throttled = Throttle<Probe<u32, u32>, Classify>;

fn throttled() -> (Throttled, ThrottleHandle, ProbeHandle<u32, u32>) {
    let (probe, handle) = Probe::new(|n: &u32| *n);
    let layer = ThrottleLayer::builder()
        .classify(errors as Classify)
        .seed(7)
        .build()
        .expect("valid");
    let throttle = layer.handle();
    (layer.layer(probe), throttle, handle)
}

/// Makes calls, ten milliseconds apart.
async fn calls(service: &mut Throttled, n: u32) {
    for i in 0..n {
        let ready = service.ready().await.expect("ready");
        let _ = ready.call(i).await;
        advance(MS(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_accepts_everything_gets_everything() {
    let (mut service, throttle, handle) = throttled();
    calls(&mut service, 1000).await;
    assert_eq!(handle.counts().calls, 1000);
    assert_eq!((throttle.calls(), throttle.accepted()), (1000, 1000));
    assert!(throttle.chance() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_refuses_one_of_three_still_gets_everything() {
    let (mut service, _throttle, handle) = throttled();
    handle.by_default(|n| match n % 3 {
        0 => Step::fail(ProbeError::new("busy")),
        _ => Step::respond(*n),
    });
    calls(&mut service, 900).await;
    assert_eq!(handle.counts().calls, 900);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_down_gets_a_tenth() {
    let (mut service, throttle, handle) = throttled();
    handle.by_default(|_| Step::fail(ProbeError::new("down")));
    calls(&mut service, 2000).await;
    let sent = handle.counts().calls;
    assert!((150..=280).contains(&sent), "{sent}");
    assert_eq!((throttle.calls(), throttle.accepted()), (2000, 0));
}

#[tokio::test(start_paused = true)]
async fn a_peer_with_half_the_capacity_gets_about_what_it_can_take_and_its_refusals_twice() {
    // Two hundred calls per second, of which it takes fifty: one of four.
    let (mut service, throttle, handle) = throttled();
    let mut taken = 0;
    for second in 0..240 {
        let (before, mut accepts) = (handle.counts().calls, 0);
        handle.by_default(|n| match *n < 50 {
            true => Step::respond(*n),
            false => Step::fail(ProbeError::new("busy")),
        });
        for _ in 0..200 {
            // The request is its turn at the peer this second.
            let turn = u32::try_from(handle.counts().calls - before).expect("few");
            let ready = service.ready().await.expect("ready");
            accepts += u32::from(ready.call(turn).await.is_ok());
            advance(MS(5)).await;
        }
        if second >= 120 {
            assert_eq!(accepts, 50, "its capacity is used");
            taken += handle.counts().calls - before;
        }
    }
    let per_second = taken / 120;
    assert!(
        (85..=130).contains(&per_second),
        "K × accepted: {per_second}"
    );
    assert!(
        (throttle.chance() - 0.5).abs() < 0.06,
        "{}",
        throttle.chance()
    );
}

#[tokio::test(start_paused = true)]
async fn it_lets_go_when_the_peer_recovers() {
    let (mut service, throttle, handle) = throttled();
    handle.by_default(|_| Step::fail(ProbeError::new("down")));
    calls(&mut service, 1000).await;
    handle.by_default(|n| Step::respond(*n));
    // The outage leaves the window.
    calls(&mut service, 15_000).await;
    assert!(throttle.chance() < f64::EPSILON);
    let before = handle.counts().calls;
    calls(&mut service, 100).await;
    assert_eq!(handle.counts().calls - before, 100);
}

#[tokio::test(start_paused = true)]
async fn a_few_failures_hold_nothing_back() {
    let (mut service, _throttle, handle) = throttled();
    handle.by_default(|_| Step::fail(ProbeError::new("down")));
    calls(&mut service, 19).await;
    advance(MS(1000)).await;
    calls(&mut service, 1).await;
    assert_eq!(handle.counts().calls, 20);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_was_never_sent_and_says_so() {
    let (mut service, _throttle, handle) = throttled();
    handle.by_default(|_| Step::fail(ProbeError::new("down")));
    calls(&mut service, 40).await;
    let error = loop {
        let sent = handle.counts().calls;
        let ready = service.ready().await.expect("ready");
        let error = ready.call(1).await.expect_err("down");
        if handle.counts().calls == sent {
            break error;
        }
    };
    let rejection = find::<Rejection>(&*error).expect("a rejection");
    assert_eq!(rejection.kind(), RejectionKind::Shed);
    assert_eq!(rejection.layer(), "throttle");
    assert!(rejection.is_unsent());
    let held_back = find::<HeldBack>(&*error).expect("why");
    assert!((held_back.chance() - 0.9).abs() < 1e-6);
    assert_eq!(
        held_back.to_string(),
        "the peer accepts too few calls, so 90 % of them are held back"
    );
}

#[tokio::test(start_paused = true)]
async fn cancelled_calls_are_seen() {
    let (mut service, throttle, handle) = throttled();
    handle.by_default(|_| Step::pending());
    for n in 0..3 {
        let call = service.ready().await.expect("ready").call(n);
        assert!(call.now_or_never().is_none());
    }
    assert_eq!((throttle.calls(), throttle.accepted()), (3, 0));
    // Not even polled.
    drop(service.ready().await.expect("ready").call(3));
    assert_eq!(throttle.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_layers_of_ours_refuse_below_says_nothing_of_the_peer() {
    let refusing = service_fn(|_: Request<()>| async {
        let rejection = Rejection::new(RejectionKind::Full, "bulkhead");
        Err::<Response<()>, BoxError>(rejection.into())
    });
    let layer = ThrottleLayer::default();
    let throttle = layer.handle();
    let mut service = layer.layer(refusing);
    for _ in 0..100 {
        let ready = service.ready().await.expect("ready");
        assert!(ready.call(Request::new(())).await.is_err());
        advance(MS(10)).await;
    }
    assert_eq!(throttle.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn services_of_one_layer_share_what_they_count() {
    let layer = ThrottleLayer::default();
    let ok = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) });
    let layer = layer.reject_with(|_| Response::new(()));
    for service in [layer.layer(ok), layer.clone().layer(ok)] {
        assert!(service.oneshot(Request::new(())).await.is_ok());
    }
    assert_eq!(layer.handle().calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn where_errors_cannot_be_it_answers() {
    let down = service_fn(|_: Request<Body>| async {
        let response = Response::builder().status(500).body(Body::empty());
        Ok::<_, Infallible>(response.expect("valid"))
    });
    let layer = ThrottleLayer::builder().seed(1).build().expect("valid");
    let mut service = layer.reject_with(Rejection::into_response).layer(down);
    let mut seen = [0, 0];
    for _ in 0..200 {
        let Ok(ready) = service.ready().await;
        let Ok(response) = ready.call(Request::new(Body::empty())).await;
        seen[usize::from(response.status() == 503)] += 1;
        advance(MS(10)).await;
    }
    assert_eq!(seen[0] + seen[1], 200);
    assert!(seen[1] > 120, "{seen:?}");
}

#[test]
fn what_cannot_work_is_refused_with_its_name_and_value() {
    let builder = ThrottleLayer::builder;
    for (builder, message) in [
        (
            builder().multiplier(0.9),
            "invalid multiplier `0.9`: expected a finite number of at least 1",
        ),
        (
            builder().multiplier(f64::NAN),
            "invalid multiplier `NaN`: expected a finite number of at least 1",
        ),
        (
            builder().window(MS(999)),
            "invalid window `999ms`: expected at least one second",
        ),
        (
            builder().max_chance(1.1),
            "invalid max_chance `1.1`: expected a share from 0 to 1",
        ),
    ] {
        assert_eq!(builder.build().expect_err("refused").to_string(), message);
    }
}

/// Answers at once, and never allocates.
#[derive(Clone)]
struct Bare;

impl Service<()> for Bare {
    type Response = Response<()>;
    type Error = BoxError;
    type Future = Ready<Result<Response<()>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(Response::new(())))
    }
}

#[tokio::test]
async fn nothing_is_allocated() {
    let layer = ThrottleLayer::builder().classify(HttpClassify::new());
    let shared = layer.build().expect("valid").layer(Bare);
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
