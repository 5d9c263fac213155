#[cfg(feature = "http")]
mod http;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bartizan_core::{BoxError, RejectionKind, find};
use bartizan_resilience::bulkhead::{Bulkhead, BulkheadLayer, BulkheadSnapshot, Full};
use bartizan_testing::{Probe, ProbeError, ProbeHandle, Step, contract};
use futures_util::{FutureExt, future::join_all};
use tokio::{sync::Semaphore, time::Instant};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::limits::{Bare, Reserving, of_calls, rejection};

contract! {
    mod laws {
        layer: |probe| BulkheadLayer::default().layer(probe),
        request: || (),
        response: || (),
    }

    /// Eight of the calls that the laws make at once wait in line.
    mod laws_with_a_queue {
        layer: |probe| BulkheadLayer::builder()
            .limit(2)
            .queue(100, Duration::from_secs(60))
            .build()
            .expect("valid")
            .layer(probe),
        request: || (),
        response: || (),
    }

    mod laws_per_key {
        layer: |probe| BulkheadLayer::builder()
            .build_per_key(|key: &u32| Some(*key))
            .expect("valid")
            .layer(probe),
        request: || 7,
        response: || (),
    }
}

const SECOND: Duration = Duration::from_secs(1);

type Limited = Bulkhead<Probe<u32, u32>>;

/// A bulkhead over a probe whose calls end when they are released.
fn bulkhead(limit: u32, queue: u32) -> (BulkheadLayer, Limited, ProbeHandle<u32, u32>) {
    let (probe, handle) = Probe::new(|n: &u32| *n);
    handle.by_default(|n| Step::respond(*n).when_released());
    let layer = BulkheadLayer::builder()
        .limit(limit)
        .queue(queue, 10 * SECOND)
        .build()
        .expect("valid");
    let service = layer.layer(probe);
    (layer, service, handle)
}

fn snapshot(layer: &BulkheadLayer) -> (u32, u32) {
    let BulkheadSnapshot {
        in_flight, waiting, ..
    } = layer.handle().snapshot();
    (in_flight, waiting)
}

#[tokio::test(start_paused = true)]
async fn when_it_is_full_the_call_fails_and_not_its_readiness() {
    let (layer, service, probe) = bulkhead(2, 0);
    let mut held = [1, 2].map(|n| Box::pin(service.clone().oneshot(n)));
    for call in &mut held {
        assert!(call.as_mut().now_or_never().is_none());
    }
    let mut third = service.clone();
    let third = third.ready().await.expect("it is ready all the same");
    let result = third.call(3).await;
    let rejection = rejection(&result);
    assert_eq!(rejection.kind(), RejectionKind::Full);
    assert_eq!(rejection.layer(), "bulkhead");
    assert!(rejection.is_unsent());
    let full = find::<Full>(rejection).expect("the reason");
    assert_eq!(full.to_string(), "all 2 places are taken");
    assert_eq!((full.limit(), full.queue(), full.waited()), (2, 0, None));
    assert_eq!(probe.counts().calls, 2);

    probe.release();
    for call in held {
        assert!(call.await.is_ok());
    }
    assert_eq!(snapshot(&layer), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_place_is_free_after_a_response_an_error_and_a_drop() {
    let (layer, mut service, probe) = bulkhead(1, 0);
    probe.push(Step::respond(1));
    probe.push(Step::fail(ProbeError::new("refused")));
    assert!(service.ready().await.expect("ready").call(1).await.is_ok());
    assert!(service.ready().await.expect("ready").call(2).await.is_err());
    for polls in [0, 1] {
        let mut call = Box::pin(service.ready().await.expect("ready").call(3));
        assert_eq!(snapshot(&layer), (1, 0));
        for _ in 0..polls {
            assert!(call.as_mut().now_or_never().is_none());
        }
        drop(call);
        assert_eq!(snapshot(&layer), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_line_is_served_in_its_order_and_is_bounded() {
    let (layer, service, probe) = bulkhead(1, 3);
    let mut calls: Vec<_> = (0..5)
        .map(|n| Box::pin(service.clone().oneshot(n)))
        .collect();
    for call in &mut calls[..4] {
        assert!(call.as_mut().now_or_never().is_none());
    }
    assert_eq!(snapshot(&layer), (1, 3));
    let refused = calls.pop().expect("the fifth").await;
    let full = find::<Full>(rejection(&refused)).expect("the reason");
    assert_eq!(
        full.to_string(),
        "all 1 places are taken, and 3 callers wait"
    );

    let calls: Vec<_> = calls.into_iter().map(tokio::spawn).collect();
    for (n, call) in (0..).zip(calls) {
        probe
            .until(|counts| counts.in_flight == 1 && counts.calls == n as usize + 1)
            .await;
        probe.release();
        let answer = call.await.expect("no panic");
        assert_eq!(answer.expect("an answer"), n);
    }
    assert_eq!(probe.take_requests(), [0, 1, 2, 3]);
    assert_eq!(snapshot(&layer), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_refused_at_that_very_time_and_leaves_the_line() {
    let (layer, service, probe) = bulkhead(1, 2);
    let mut held = Box::pin(service.clone().oneshot(1));
    assert!(held.as_mut().now_or_never().is_none());
    let started = Instant::now();
    let result = service.oneshot(2).await;
    assert_eq!(started.elapsed(), 10 * SECOND);
    let full = find::<Full>(rejection(&result)).expect("the reason");
    assert_eq!(full.waited(), Some(10 * SECOND));
    assert_eq!(full.to_string(), "none of 1 places became free within 10s");
    assert_eq!(snapshot(&layer), (1, 0));
    assert_eq!(probe.counts().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_waiter_hands_its_place_on() {
    let (layer, service, probe) = bulkhead(1, 3);
    let mut calls: Vec<_> = (0..4)
        .map(|n| Box::pin(service.clone().oneshot(n)))
        .collect();
    for call in &mut calls {
        assert!(call.as_mut().now_or_never().is_none());
    }
    let mut calls = calls.into_iter();
    let (held, before, after, last) = (
        calls.next().expect("four"),
        calls.next().expect("four"),
        calls.next().expect("four"),
        calls.next().expect("four"),
    );
    // One leaves before it was given a place, one after.
    drop(before);
    drop(held);
    assert_eq!(snapshot(&layer), (1, 1), "the place is that of `after` now");
    drop(after);
    assert_eq!(snapshot(&layer), (1, 0), "and now it is that of `last`");
    let last = tokio::spawn(last);
    probe.until(|counts| counts.in_flight == 1).await;
    probe.release();
    assert_eq!(last.await.expect("no panic").expect("an answer"), 3);
    assert_eq!(snapshot(&layer), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn who_waits_holds_no_reservation_of_the_inner_service() {
    let pool = Arc::new(Semaphore::new(1));
    let (probe, handle) = Probe::new(|n: &u32| *n);
    handle.by_default(|n| Step::respond(*n).when_released());
    let layer = BulkheadLayer::builder()
        .limit(1)
        .queue(1, 10 * SECOND)
        .build()
        .expect("valid");
    let mut service = layer.layer(Reserving::new(probe, pool.clone()));
    let mut held = Box::pin(service.ready().await.expect("ready").call(1));
    assert!(held.as_mut().now_or_never().is_none());

    let mut waiting = service.clone();
    let mut call = Box::pin(waiting.ready().await.expect("ready").call(2));
    assert!(call.as_mut().now_or_never().is_none());
    assert_eq!(snapshot(&layer), (1, 1));
    // Neither the call nor the service that made it.
    assert_eq!(pool.available_permits(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_place_waits_for_the_inner_service_and_is_free_if_that_fails() {
    let (layer, service, probe) = bulkhead(1, 1);
    let mut held = Box::pin(service.clone().oneshot(1));
    assert!(held.as_mut().now_or_never().is_none());
    let mut waiting = Box::pin(service.oneshot(2));
    assert!(waiting.as_mut().now_or_never().is_none());
    probe.hold_ready();
    drop(held);
    assert!(waiting.as_mut().now_or_never().is_none());
    assert_eq!(snapshot(&layer), (1, 0));
    probe.fail_ready(ProbeError::new("gone"));
    let error = waiting.await.expect_err("the inner service's error");
    assert!(find::<ProbeError>(&*error).is_some());
    assert_eq!(snapshot(&layer), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn all_services_of_one_layer_share_its_places() {
    let layer = BulkheadLayer::try_new(1).expect("valid");
    let stuck = || service_fn(|(): ()| std::future::pending::<Result<(), BoxError>>());
    let mut held = Box::pin(layer.layer(stuck()).oneshot(()));
    assert!(held.as_mut().now_or_never().is_none());
    let result = layer.clone().layer(stuck()).oneshot(()).await;
    assert_eq!(rejection(&result).kind(), RejectionKind::Full);
}

#[tokio::test(start_paused = true)]
async fn each_key_has_its_own_places_and_hostile_keys_take_none_of_them() {
    let (probe, _probe) = Probe::new(|key: &Option<u32>| *key);
    _probe.by_default(|key| Step::respond(*key).when_released());
    let layer = BulkheadLayer::builder()
        .limit(2)
        .max_keys(3)
        .build_per_key(|key: &Option<u32>| *key)
        .expect("valid");
    let service = layer.layer(probe);
    let handle = layer.handle();
    let mut held = Vec::new();
    let mut call = |key| {
        let mut call = Box::pin(service.clone().oneshot(key));
        let result = call.as_mut().now_or_never();
        held.push((key, call));
        result.map(|result| rejection(&result).kind())
    };
    for key in [1, 1, 2, 3] {
        assert_eq!(call(Some(key)), None);
    }
    assert_eq!(call(Some(1)), Some(RejectionKind::Full));
    // There is no room for more keys: all of them together get what one gets.
    let hostile: Vec<_> = (100..200).map(|key| call(Some(key))).collect();
    assert_eq!(hostile.iter().filter(|result| result.is_none()).count(), 2);
    assert_eq!(handle.others().in_flight, 2);
    assert_eq!(
        call(Some(2)),
        None,
        "a key that is known has what is its own"
    );
    for _ in 0..5 {
        assert_eq!(call(None), None, "without a key, without a limit");
    }
    assert_eq!(handle.snapshot(2).expect("known").in_flight, 2);
    assert!(handle.snapshot(100).is_none());
    assert_eq!(handle.keys(), 3);

    // When the calls of a key have ended, there is room for another.
    held.retain(|(key, _)| *key != Some(3));
    let mut fourth = Box::pin(service.clone().oneshot(Some(4)));
    assert!(fourth.as_mut().now_or_never().is_none());
    assert!(handle.snapshot(4).is_some() && handle.snapshot(3).is_none());
    assert_eq!(handle.keys(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_line_per_key() {
    let (probe, handle) = Probe::new(|key: &u32| *key);
    handle.by_default(|key| Step::respond(*key).after(SECOND));
    let service = BulkheadLayer::builder()
        .limit(1)
        .queue(10, 10 * SECOND)
        .build_per_key(|key: &u32| Some(*key))
        .expect("valid")
        .layer(probe);
    let started = Instant::now();
    let calls = [1, 1, 1, 2, 3].map(|key| service.clone().oneshot(key));
    assert!(join_all(calls).await.iter().all(Result::is_ok));
    assert_eq!(started.elapsed(), 3 * SECOND);
}

#[test]
fn what_cannot_be_is_refused() {
    assert_eq!(
        BulkheadLayer::try_new(0).expect_err("refused").to_string(),
        "invalid limit `0`: expected at least 1"
    );
    let error = BulkheadLayer::builder()
        .max_keys(0)
        .build_per_key(|key: &u32| Some(*key))
        .expect_err("refused");
    assert_eq!(error.field(), "max_keys");
    let default = BulkheadLayer::default().handle().snapshot();
    assert_eq!(default.limit, 1000);
}

#[tokio::test]
async fn a_call_that_finds_a_place_allocates_nothing() {
    let layer = BulkheadLayer::builder().limit(10).queue(10, SECOND);
    assert_eq!(
        of_calls(&layer.build().expect("valid").layer(Bare), || ()),
        0
    );
    let keyed = layer.build_per_key(|key: &u32| Some(*key)).expect("valid");
    assert_eq!(of_calls(&keyed.layer(Bare), || 7), 0);
}

/// Many threads, few places, and callers that give up: never more inside than places, and in the end all of them free.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_contention_there_are_never_more_inside_than_places() {
    let inside = Arc::new(AtomicU32::new(0));
    let most = Arc::new(AtomicU32::new(0));
    let layer = BulkheadLayer::builder()
        .limit(3)
        .queue(10_000, Duration::MAX)
        .build()
        .expect("valid");
    let handle = layer.handle();
    let service = layer.layer(service_fn({
        let (inside, most) = (inside.clone(), most.clone());
        move |yields: usize| {
            let (inside, most) = (inside.clone(), most.clone());
            async move {
                let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                for _ in 0..yields {
                    tokio::task::yield_now().await;
                }
                inside.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, BoxError>(())
            }
        }
    }));
    let tasks = (0..2000_usize).map(|n| {
        let service = service.clone();
        tokio::spawn(async move {
            if n % 5 == 0 {
                // Gives up after one poll, in line or before: what is inside never does.
                let mut call = Box::pin(service.oneshot(0));
                let _ = call.as_mut().now_or_never();
            } else {
                service.oneshot(n % 3).await.expect("an answer");
            }
        })
    });
    for task in join_all(tasks).await {
        task.expect("no panic");
    }
    assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
    let BulkheadSnapshot {
        in_flight, waiting, ..
    } = handle.snapshot();
    assert_eq!((in_flight, waiting), (0, 0));
}
