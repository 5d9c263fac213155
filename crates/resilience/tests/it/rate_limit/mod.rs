#[cfg(feature = "http")]
mod http;

use std::{
    collections::HashMap,
    future::{Ready, ready},
    sync::{Arc, Mutex},
    time::Duration,
};

use bartizan_core::{BoxError, RejectionKind};
use bartizan_resilience::rate_limit::{Decision, Quota, RateLimitLayer, Store};
use bartizan_testing::{Probe, ProbeError, Step, contract};
use futures_util::{FutureExt, future::join_all};
use tokio::{
    sync::Semaphore,
    time::{Instant, advance},
};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::limits::{Bare, Reserving, of_calls, rejection};

fn quota(limit: u32, burst: u32) -> Quota {
    Quota::try_per_second(limit)
        .and_then(|quota| quota.try_burst(burst))
        .expect("valid")
}

contract! {
    mod laws {
        layer: |probe| RateLimitLayer::new(quota(1000, 1000)).layer(probe),
        request: || (),
        response: || (),
    }

    mod laws_waiting {
        layer: |probe| RateLimitLayer::builder(quota(1000, 1000))
            .wait(Duration::from_secs(1))
            .build()
            .layer(probe),
        request: || (),
        response: || (),
    }

    mod laws_per_key {
        layer: |probe| RateLimitLayer::builder(quota(1000, 1000))
            .build_per_key(|key: &u32| Some(*key))
            .expect("valid")
            .layer(probe),
        request: || 7,
        response: || (),
    }

    mod laws_with_a_store {
        layer: |probe| RateLimitLayer::builder(quota(1000, 1000))
            .build_stored(Elsewhere::default(), |key: &u32| Some(*key))
            .layer(probe),
        request: || 7,
        response: || (),
    }
}

const MS: fn(u64) -> Duration = Duration::from_millis;

const SECOND: Duration = Duration::from_secs(1);

/// Stands for a database: one step for everybody, at one clock.
#[derive(Clone, Default)]
struct Elsewhere(Arc<Mutex<HashMap<u32, u64>>>);

impl Store<u32> for Elsewhere {
    type Future = Ready<Result<Decision, BoxError>>;

    fn take(&self, key: u32, quota: &Quota, longest_wait: Duration) -> Self::Future {
        if key == 13 {
            return ready(Err("the store is away".into()));
        }
        let mut states = self.0.lock().expect("not poisoned");
        let state = states.entry(key).or_default();
        // All of a test is one moment.
        let (decision, next) = quota.decide(*state, 1, longest_wait);
        *state = next.unwrap_or(*state);
        ready(Ok(decision))
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_over_the_quota_fails_with_the_exact_delay_and_its_readiness_does_not() {
    let (probe, handle) = Probe::new(|(): &()| ());
    let layer = RateLimitLayer::new(quota(10, 3));
    let mut service = layer.layer(probe);
    for _ in 0..3 {
        assert!(service.ready().await.expect("ready").call(()).await.is_ok());
    }
    advance(MS(30)).await;
    let result = service
        .ready()
        .await
        .expect("ready all the same")
        .call(())
        .await;
    let refused = rejection(&result);
    assert_eq!(refused.kind(), RejectionKind::Limited);
    assert_eq!(refused.layer(), "rate limit");
    assert!(refused.is_unsent());
    assert_eq!(refused.retry_after(), Some(MS(70)));
    assert_eq!(handle.counts().calls, 3);

    advance(MS(69)).await;
    assert!(
        service
            .ready()
            .await
            .expect("ready")
            .call(())
            .await
            .is_err()
    );
    advance(MS(1)).await;
    assert!(service.ready().await.expect("ready").call(()).await.is_ok());
    assert!(
        service
            .ready()
            .await
            .expect("ready")
            .call(())
            .await
            .is_err()
    );

    let left = layer.handle().snapshot();
    assert_eq!((left.remaining, left.full_after), (0, MS(300)));
    advance(MS(210)).await;
    assert_eq!(layer.handle().snapshot().remaining, 2);
    advance(SECOND).await;
    let left = layer.handle().snapshot();
    assert_eq!((left.remaining, left.full_after), (3, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_come_at_the_rate_and_those_who_would_wait_too_long_are_refused() {
    let layer = RateLimitLayer::builder(quota(10, 2)).wait(MS(300)).build();
    let service = layer.layer(service_fn(|started: Instant| async move {
        Ok::<_, BoxError>(started.elapsed())
    }));
    let started = Instant::now();
    let results = join_all((0..7).map(|_| service.clone().oneshot(started))).await;
    let waits: Vec<_> = results[..5]
        .iter()
        .map(|result| *result.as_ref().expect("an answer"))
        .collect();
    assert_eq!(waits, [0, 0, 100, 200, 300].map(MS));
    for result in &results[5..] {
        // By then its wait would be the longest there is.
        assert_eq!(rejection(result).retry_after(), Some(MS(100)));
    }
}

/// The hole of a crate of today: it waited while it held the inner service's reservation.
#[tokio::test(start_paused = true)]
async fn who_waits_holds_no_reservation_of_the_inner_service() {
    let pool = Arc::new(Semaphore::new(1));
    let (probe, _handle) = Probe::new(|(): &()| ());
    let layer = RateLimitLayer::builder(quota(1, 1))
        .wait(10 * SECOND)
        .build();
    let mut service = layer.layer(Reserving::new(probe, pool.clone()));
    assert!(service.ready().await.expect("ready").call(()).await.is_ok());
    let mut call = Box::pin(service.ready().await.expect("ready").call(()));
    assert!(call.as_mut().now_or_never().is_none());
    // Neither the call nor the service that made it.
    assert_eq!(pool.available_permits(), 1);
    let someone_else = pool.clone().try_acquire_owned();
    drop(someone_else.expect("there is one"));
    assert!(call.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_gives_its_turn_back_if_nobody_came_after_it() {
    let layer = RateLimitLayer::builder(quota(1, 1))
        .wait(10 * SECOND)
        .build();
    let keyed = RateLimitLayer::builder(quota(1, 1))
        .wait(10 * SECOND)
        .build_per_key(|(): &()| Some(7))
        .expect("valid");
    let crowded = RateLimitLayer::builder(quota(1, 1))
        .wait(10 * SECOND)
        .max_keys(1)
        .build_per_key(|(): &()| Some(another_key()))
        .expect("valid");
    let crowded_handle = crowded.handle();
    // Somebody else has the only room there is, and the others share what is left.
    let first = crowded.layer(Bare).oneshot(()).now_or_never();
    assert!(first.expect("at once").is_ok());
    assert_eq!(crowded_handle.keys(), 1);

    async fn check<S>(service: S)
    where
        S: Service<(), Error = BoxError> + Clone,
    {
        let started = Instant::now();
        let calls: Vec<_> = (0..4)
            .map(|_| {
                let mut call = Box::pin(service.clone().oneshot(()));
                let answer = call.as_mut().now_or_never();
                (call, answer)
            })
            .collect();
        assert_eq!(
            calls.iter().filter(|(_, answer)| answer.is_some()).count(),
            1
        );
        let mut calls = calls.into_iter().map(|(call, _)| call);
        let (_, second, third, fourth) = (calls.next(), calls.next(), calls.next(), calls.next());
        // The third is not the last in line: those behind it keep the turns they were given.
        drop(third);
        drop(fourth);
        let mut fifth = Box::pin(service.clone().oneshot(()));
        assert!(fifth.as_mut().now_or_never().is_none());
        assert!(second.expect("four").await.is_ok());
        assert_eq!(started.elapsed(), SECOND);
        assert!(fifth.await.is_ok());
        assert_eq!(started.elapsed(), 3 * SECOND, "the turn of the fourth");
    }
    // The first, while the other key is in use.
    check(crowded.layer(Bare)).await;
    check(layer.layer(Bare)).await;
    check(keyed.layer(Bare)).await;
}

/// Another key each time.
fn another_key() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn after_its_wait_the_inner_service_is_made_ready_and_its_error_is_passed_on() {
    let (probe, handle) = Probe::new(|(): &()| ());
    let layer = RateLimitLayer::builder(quota(1, 1))
        .wait(10 * SECOND)
        .build();
    let service = layer.layer(probe);
    assert!(service.clone().oneshot(()).await.is_ok());
    let mut call = Box::pin(service.oneshot(()));
    assert!(call.as_mut().now_or_never().is_none());
    handle.fail_ready(ProbeError::new("gone"));
    let error = call.await.expect_err("the inner service's error");
    assert!(bartizan_core::find::<ProbeError>(&*error).is_some());
}

#[tokio::test(start_paused = true)]
async fn all_services_of_one_layer_share_its_quota() {
    let layer = RateLimitLayer::new(quota(1, 1));
    assert!(layer.layer(Bare).oneshot(()).await.is_ok());
    assert!(layer.clone().layer(Bare).oneshot(()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn each_key_has_its_own_quota_and_hostile_keys_take_none_of_them() {
    let layer = RateLimitLayer::builder(quota(1, 2))
        .max_keys(3)
        .build_per_key(|key: &Option<u32>| *key)
        .expect("valid");
    let handle = layer.handle();
    let service = layer.layer(Bare);
    let call = |key| {
        let result = service.clone().oneshot(key).now_or_never();
        result.expect("at once").is_ok()
    };
    assert_eq!(
        [1, 1, 1, 2, 3].map(|key| call(Some(key))),
        [true, true, false, true, true]
    );
    // There is no room for more keys: all of them together get what one gets.
    let hostile = (1000..2000).filter(|&key| call(Some(key))).count();
    assert_eq!(hostile, 2);
    assert_eq!(handle.others().remaining, 0);
    assert!(call(Some(2)), "a key that is known has what is its own");
    assert!(
        (0..100).all(|_| call(None)),
        "without a key, without a limit"
    );
    assert_eq!(handle.keys(), 3);
    assert_eq!(handle.snapshot(3).expect("known").remaining, 1);
    assert!(handle.snapshot(1000).is_none());

    // A second later the quota of 3 is full, and there is room for another.
    advance(SECOND).await;
    assert!(call(Some(4)) && call(Some(4)));
    assert!(handle.snapshot(3).is_none() && handle.snapshot(4).is_some());
    advance(2 * SECOND).await;
    assert!(call(Some(5)));
    assert_eq!(handle.keys(), 1, "all the others were idle");
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_stays_bounded_whatever_keys_come() {
    let layer = RateLimitLayer::builder(quota(10, 10))
        .max_keys(1000)
        .build_per_key(|key: &u32| Some(*key))
        .expect("valid");
    let service = layer.layer(Bare);
    for key in 0..50_000 {
        let _ = service.clone().oneshot(key).now_or_never();
        if key % 100 == 0 {
            advance(MS(10)).await;
        }
        assert!(layer.handle().keys() <= 1000);
    }
    // Each key is idle after 100 ms, in which 1000 come: no more than a few times as many are remembered in quiet times.
    advance(SECOND).await;
    for key in 100_000..100_400 {
        let _ = service.clone().oneshot(key).now_or_never();
    }
    assert!(layer.handle().keys() <= 600, "{}", layer.handle().keys());
}

#[tokio::test(start_paused = true)]
async fn a_store_decides_for_all_who_use_it() {
    let store = Elsewhere::default();
    let layer =
        || RateLimitLayer::builder(quota(1, 2)).build_stored(store.clone(), |key: &u32| Some(*key));
    let (one, other) = (layer().layer(Bare), layer().layer(Bare));
    assert!(one.clone().oneshot(1).await.is_ok());
    assert!(other.clone().oneshot(1).await.is_ok());
    let result = other.clone().oneshot(1).await;
    assert_eq!(rejection(&result).retry_after(), Some(SECOND));
    assert!(other.oneshot(2).await.is_ok());

    let waiting = RateLimitLayer::builder(quota(1, 2))
        .wait(5 * SECOND)
        .build_stored(store.clone(), |key: &u32| Some(*key))
        .layer(Bare);
    let started = Instant::now();
    assert!(waiting.oneshot(1).await.is_ok());
    assert_eq!(started.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn without_its_store_calls_are_let_through_or_refused_as_you_say() {
    let builder = RateLimitLayer::builder(quota(1, 1));
    let open = builder.build_stored(Elsewhere::default(), |key: &u32| Some(*key));
    for _ in 0..3 {
        assert!(open.layer(Bare).oneshot(13).await.is_ok());
    }
    let closed = builder
        .fail_closed()
        .build_stored(Elsewhere::default(), |key: &u32| Some(*key));
    let result = closed.layer(Bare).oneshot(13).await;
    let refused = rejection(&result);
    assert_eq!(
        (refused.kind(), refused.retry_after()),
        (RejectionKind::Limited, None)
    );
    let source = std::error::Error::source(refused).expect("the store's error");
    assert_eq!(source.to_string(), "the store is away");
}

#[test]
fn what_cannot_be_is_refused() {
    let error = RateLimitLayer::builder(quota(1, 1))
        .max_keys(0)
        .build_per_key(|key: &u32| Some(*key))
        .expect_err("refused");
    assert_eq!(error.field(), "max_keys");
}

#[tokio::test]
async fn a_call_within_the_quota_allocates_nothing() {
    let builder = RateLimitLayer::builder(quota(10_000_000, 1_000_000)).wait(SECOND);
    assert_eq!(of_calls(&builder.build().layer(Bare), || ()), 0);
    let keyed = builder
        .build_per_key(|key: &u32| Some(*key))
        .expect("valid");
    assert_eq!(of_calls(&keyed.layer(Bare), || 7), 0);
}

/// What comes is what the quota says, from however many threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_never_get_more_than_the_burst_together() {
    let day = Duration::from_secs(86_400);
    let layer = RateLimitLayer::new(Quota::try_new(500, day).expect("valid"));
    let tasks = (0..8).map(|_| {
        let service = layer.layer(Bare);
        tokio::spawn(async move {
            let mut admitted = 0;
            for _ in 0..1000 {
                admitted += usize::from(service.clone().oneshot(()).await.is_ok());
            }
            admitted
        })
    });
    let admitted = join_all(tasks)
        .await
        .into_iter()
        .map(|task| task.expect("no panic"));
    assert_eq!(admitted.sum::<usize>(), 500);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_service_is_its_own() {
    let (probe, handle) = Probe::new(|(): &()| ());
    handle.push(Step::fail(ProbeError::new("refused")));
    let error = RateLimitLayer::new(quota(1, 1))
        .layer(probe)
        .oneshot(())
        .await;
    assert_eq!(error.expect_err("its own").to_string(), "refused");
}
