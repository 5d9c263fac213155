//! The probe does what it is told, counts what is done to it, and panics when its contract is broken.

use std::{
    future::poll_fn,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bartizan_core::{BoxError, find};
use bartizan_testing::{Probe, ProbeError, ProbeHandle, Step};
use tokio::time::Instant;
use tower_service::Service;

use crate::panic_of;

fn echo() -> (Probe<u32, u32>, ProbeHandle<u32, u32>) {
    Probe::new(|request: &u32| *request)
}

async fn call(probe: &mut Probe<u32, u32>, request: u32) -> Result<u32, BoxError> {
    poll_fn(|cx| probe.poll_ready(cx)).await?;
    probe.call(request).await
}

fn ready_now(probe: &mut Probe<u32, u32>) -> Poll<Result<(), BoxError>> {
    probe.poll_ready(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn follows_its_script_and_then_its_default() {
    let (mut probe, handle) = echo();
    handle.push(Step::respond(10));
    handle.push(Step::fail(ProbeError::new("reset")));

    assert_eq!(call(&mut probe, 1).await.unwrap(), 10);
    let error = call(&mut probe, 2).await.unwrap_err();
    assert_eq!(find(&*error), Some(&ProbeError::new("reset")));
    assert_eq!(call(&mut probe, 3).await.unwrap(), 3);

    handle.by_default(|request| Step::respond(request + 1));
    assert_eq!(call(&mut probe, 4).await.unwrap(), 5);
    assert_eq!(handle.take_requests(), [1, 2, 3, 4]);
    assert!(handle.take_requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_of_tokios_time() {
    let (mut probe, handle) = echo();
    let start = Instant::now();
    handle.push(Step::respond(7).after(Duration::from_secs(3600)));
    assert_eq!(call(&mut probe, 1).await.unwrap(), 7);
    assert_eq!(start.elapsed(), Duration::from_secs(3600));

    handle.push(Step::fail(ProbeError::default()).after(Duration::from_secs(60)));
    assert!(call(&mut probe, 1).await.is_err());
    assert_eq!(start.elapsed(), Duration::from_secs(3660));
}

#[tokio::test]
async fn held_readiness_is_granted_to_all_who_wait() {
    let (probe, handle) = echo();
    handle.hold_ready();
    let calls: Vec<_> = (0..3)
        .map(|request| {
            let mut probe = probe.clone();
            tokio::spawn(async move { call(&mut probe, request).await })
        })
        .collect();
    handle.until(|counts| counts.polls == 3).await;
    assert_eq!((handle.counts().readies, handle.counts().calls), (0, 0));

    handle.make_ready();
    for (request, call) in (0..).zip(calls) {
        assert_eq!(call.await.unwrap().unwrap(), request);
    }
    // Woken once each: nobody polled in between.
    assert_eq!(handle.counts().polls, 6);
}

#[tokio::test]
async fn failed_readiness_wakes_and_fails_all_who_wait() {
    let (mut probe, handle) = echo();
    handle.hold_ready();
    let waiting = tokio::spawn(async move { call(&mut probe, 1).await });
    handle.until(|counts| counts.polls == 1).await;
    handle.fail_ready(ProbeError::new("gone"));
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "gone");
}

#[test]
fn granted_readiness_lasts_until_the_call_and_belongs_to_one_instance() {
    let (mut probe, handle) = echo();
    assert!(ready_now(&mut probe).is_ready());
    handle.hold_ready();
    assert!(ready_now(&mut probe).is_ready());
    assert!(ready_now(&mut probe.clone()).is_pending());
    drop(probe.call(1));
    assert!(ready_now(&mut probe).is_pending());
}

#[tokio::test]
async fn a_release_is_for_the_calls_before_it() {
    let (mut probe, handle) = echo();
    handle.by_default(|request| Step::respond(*request).when_released());
    let early = tokio::spawn({
        let mut probe = probe.clone();
        async move { call(&mut probe, 1).await }
    });
    handle.until(|counts| counts.in_flight == 1).await;
    handle.release();

    assert!(ready_now(&mut probe).is_ready());
    let mut late = probe.call(2);
    assert_eq!(early.await.unwrap().unwrap(), 1);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(std::pin::pin!(&mut late).poll(&mut cx).is_pending());
    handle.release();
    assert_eq!(late.await.unwrap(), 2);
}

#[test]
fn counts_clones_drops_and_futures_dropped_before_they_answered() {
    let (mut probe, handle) = echo();
    drop(probe.clone());
    assert_eq!((handle.counts().clones, handle.counts().drops), (1, 1));

    handle.push(Step::pending());
    assert!(ready_now(&mut probe).is_ready());
    let mut future = probe.call(1);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(std::pin::pin!(&mut future).poll(&mut cx).is_pending());
    assert_eq!(handle.counts().in_flight, 1);
    drop(future);
    assert_eq!(
        (handle.counts().in_flight, handle.counts().cancelled),
        (0, 1)
    );

    assert!(ready_now(&mut probe).is_ready());
    let mut future = probe.call(2);
    assert!(std::pin::pin!(&mut future).poll(&mut cx).is_ready());
    drop(future);
    assert_eq!(
        (handle.counts().in_flight, handle.counts().cancelled),
        (0, 1)
    );
}

#[test]
fn a_call_without_readiness_panics() {
    let not_ready = "the probe was called on an instance that was not ready";
    type Misuse = fn(&mut Probe<u32, u32>);
    let misuses: [Misuse; 3] = [
        |probe| drop(probe.call(1)),
        |probe| {
            assert!(ready_now(probe).is_ready());
            drop(probe.clone().call(1));
        },
        |probe| {
            assert!(ready_now(probe).is_ready());
            drop(probe.call(1));
            drop(probe.call(2));
        },
    ];
    for misuse in misuses {
        let message = panic_of(|| {
            let (mut probe, _handle) = echo();
            misuse(&mut probe);
        });
        assert!(message.starts_with(not_ready), "{message}");
    }
}

#[test]
fn a_call_after_failed_readiness_panics() {
    let message = panic_of(|| {
        let (mut probe, handle) = echo();
        assert!(ready_now(&mut probe).is_ready());
        handle.fail_ready(ProbeError::default());
        assert!(ready_now(&mut probe).is_ready());
        drop(probe.call(1));
    });
    assert!(message.contains("not ready"), "{message}");
}

#[test]
fn a_future_that_answered_is_not_polled_again() {
    let message = panic_of(|| {
        let (mut probe, _handle) = echo();
        assert!(ready_now(&mut probe).is_ready());
        let mut future = probe.call(1);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(std::pin::pin!(&mut future).poll(&mut cx).is_ready());
        let _ = std::pin::pin!(&mut future).poll(&mut cx);
    });
    assert!(message.contains("after it had answered"), "{message}");
}

#[tokio::test]
async fn a_violation_in_a_lost_task_fails_the_test_all_the_same() {
    let (mut probe, handle) = echo();
    let lost = tokio::spawn(async move { drop(probe.call(1)) });
    assert!(lost.await.unwrap_err().is_panic());
    let message = panic_of(|| drop(handle));
    assert!(message.contains("not ready"), "{message}");
}

#[test]
fn a_default_may_own_a_handle() {
    let (mut probe, handle) = echo();
    let own = handle.clone();
    handle.by_default(move |_| Step::respond(u32::try_from(own.counts().calls).unwrap_or(0)));
    assert!(ready_now(&mut probe).is_ready());
    drop(probe.call(1));
    // Drops the handle, which looks for violations.
    handle.by_default(|_| Step::pending());
    assert_eq!(handle.counts().cancelled, 1);
}
