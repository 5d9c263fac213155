use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use bartizan_core::{Body, BoxError, HttpClassify, RejectionKind, find};
use bartizan_resilience::{
    adaptive_limit::{
        AdaptiveLimitBuilder, AdaptiveLimitHandle, AdaptiveLimitLayer, Aimd, Algorithm, Gradient2,
        Vegas, Window,
    },
    bulkhead::Full,
};
use bartizan_testing::{Probe, ProbeError, Step, contract};
use futures_util::FutureExt;
use http::Response;
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::limits::{Bare, of_calls, rejection};

contract! {
    mod laws {
        layer: |probe| AdaptiveLimitLayer::default().layer(probe),
        request: || (),
        response: || (),
    }

    mod laws_with_a_queue {
        layer: |probe| AdaptiveLimitLayer::builder()
            .initial(2)
            .queue(100, Duration::from_secs(60))
            .build()
            .expect("valid")
            .layer(probe),
        request: || (),
        response: || (),
    }
}

const SECOND: Duration = Duration::from_secs(1);
const MS: fn(u64) -> Duration = Duration::from_millis;

fn builders() -> [(&'static str, AdaptiveLimitBuilder); 3] {
    fn of(algorithm: impl Algorithm) -> AdaptiveLimitBuilder {
        AdaptiveLimitLayer::builder().algorithm(algorithm).seed(7)
    }
    [
        ("aimd", of(Aimd::new().latency(MS(60)))),
        ("vegas", of(Vegas::new())),
        ("gradient2", of(Gradient2::new())),
    ]
}

/// The hole of a crate of today: with one call in flight, its limit grew to 1000.
#[tokio::test(start_paused = true)]
async fn with_one_call_in_flight_the_limit_does_not_grow_to_1000() {
    for (name, builder) in builders() {
        let layer = builder.build().expect("valid");
        let handle = layer.handle();
        let mut service = layer.layer(service_fn(|(): ()| async {
            sleep(MS(20)).await;
            Ok::<_, BoxError>(())
        }));
        for _ in 0..5000 {
            service
                .ready()
                .await
                .expect("ready")
                .call(())
                .await
                .expect("an answer");
        }
        assert_eq!(handle.snapshot().limit, 20, "{name}");
        assert_eq!(handle.snapshot().latency, Some(MS(20)), "{name}");
    }
}

/// A peer that works on so many calls at a time, and shares itself among those that are more.
#[derive(Clone)]
struct Peer {
    capacity: u32,
    latency: Arc<AtomicU64>,
    in_flight: Arc<AtomicU32>,
}

impl Peer {
    fn new(capacity: u32, latency_ms: u64) -> Self {
        Self {
            capacity,
            latency: Arc::new(AtomicU64::new(latency_ms)),
            in_flight: Arc::default(),
        }
    }

    async fn work(self) -> Result<(), BoxError> {
        let in_flight = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        let share = u64::from(in_flight.max(self.capacity));
        sleep(MS(
            self.latency.load(Ordering::Relaxed) * share / u64::from(self.capacity)
        ))
        .await;
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    /// Keeps `callers` callers busy for so long. Answers how many calls were answered.
    async fn load(&self, layer: &AdaptiveLimitLayer, callers: usize, time: Duration) -> u64 {
        let answered = Arc::new(AtomicU64::new(0));
        let peer = self.clone();
        let service = layer.layer(service_fn(move |(): ()| peer.clone().work()));
        let end = Instant::now() + time;
        let tasks = (0..callers).map(|_| {
            let (service, answered) = (service.clone(), answered.clone());
            tokio::spawn(async move {
                while Instant::now() < end {
                    if service.clone().oneshot(()).await.is_ok() {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("no panic");
        }
        answered.load(Ordering::Relaxed)
    }
}

fn limit(handle: &AdaptiveLimitHandle) -> u32 {
    handle.snapshot().limit
}

#[tokio::test(start_paused = true)]
async fn it_finds_what_the_peer_bears_and_stays_there() {
    for (name, builder) in builders() {
        let layer = builder
            .initial(5)
            .queue(1000, Duration::MAX)
            .build()
            .expect("valid");
        let handle = layer.handle();
        let peer = Peer::new(15, 40);
        peer.load(&layer, 100, 30 * SECOND).await;
        // Long enough for a mean that forgets to take the overload for normal.
        for _ in 0..4 {
            let answered = peer.load(&layer, 100, 40 * SECOND).await;
            // 15 at a time, 40 ms each: 375 per second is all it can do.
            assert!(answered > 40 * 375 * 9 / 10, "{name}: {answered}");
            let snapshot = handle.snapshot();
            assert!((10..=45).contains(&snapshot.limit), "{name}: {snapshot:?}");
            assert!(snapshot.latency < Some(MS(120)), "{name}: {snapshot:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_became_slower_for_good_is_not_taken_for_an_overloaded_one_for_ever() {
    for (name, builder) in builders() {
        if name == "aimd" {
            // Its threshold is what it was told, for ever.
            continue;
        }
        let layer = builder
            .queue(1000, Duration::MAX)
            .max(50)
            .build()
            .expect("valid");
        let handle = layer.handle();
        let peer = Peer::new(100, 20);
        peer.load(&layer, 60, 20 * SECOND).await;
        assert_eq!(limit(&handle), 50, "{name}");
        peer.latency.store(200, Ordering::Relaxed);
        peer.load(&layer, 60, 10 * SECOND).await;
        let low = limit(&handle);
        assert!(low < 40, "{name}: {low}");
        peer.load(&layer, 60, 200 * SECOND).await;
        assert!(limit(&handle) > 40, "{name}: {:?}", handle.snapshot());
    }
}

#[tokio::test(start_paused = true)]
async fn failures_lower_it_and_a_few_do_not() {
    for (failures_in_200, falls) in [(1, false), (100, true)] {
        for (name, builder) in builders() {
            let layer = builder.initial(50).max(50).build().expect("valid");
            let handle = layer.handle();
            let count = Arc::new(AtomicU32::new(0));
            let service = layer.layer(service_fn(move |(): ()| {
                let fails = count.fetch_add(1, Ordering::Relaxed) % 200 < failures_in_200;
                async move {
                    sleep(MS(20)).await;
                    if fails {
                        return Err::<(), BoxError>("refused".into());
                    }
                    Ok(())
                }
            }));
            for _ in 0..400 {
                let calls = (0..50).map(|_| service.clone().oneshot(()));
                futures_util::future::join_all(calls).await;
            }
            assert_eq!(
                limit(&handle) < 25,
                falls,
                "{name}: {:?}",
                handle.snapshot()
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_a_timeout_above_cuts_off_are_not_invisible() {
    // All that it sees are cancelled calls: the timeout sits above it.
    let layer = AdaptiveLimitLayer::builder().build().expect("valid");
    let handle = layer.handle();
    let peer = Peer::new(100, 50);
    peer.load(&layer, 20, 5 * SECOND).await;
    let before = limit(&handle);
    peer.latency.store(5000, Ordering::Relaxed);
    let peer = peer.clone();
    let service = layer.layer(service_fn(move |(): ()| peer.clone().work()));
    for _ in 0..20 {
        let calls = (0..before).map(|_| timeout(SECOND, service.clone().oneshot(())));
        futures_util::future::join_all(calls).await;
    }
    let after = handle.snapshot();
    assert!(after.limit < before / 2, "{before} {after:?}");
    assert_eq!(after.in_flight, 0);

    // A loser of a race that was cut off early says nothing.
    let latency = after.latency.expect("measured");
    for _ in 0..100 {
        let _ = timeout(latency / 2, service.clone().oneshot(())).await;
    }
    assert_eq!(handle.snapshot(), after);
}

#[tokio::test(start_paused = true)]
async fn over_http_statuses_are_drops_and_refusals_of_ours_are_nothing() {
    let layer = AdaptiveLimitLayer::builder()
        .initial(40)
        .build()
        .expect("valid")
        .classify(HttpClassify::new());
    for (status, falls) in [(429, true), (500, true), (404, false), (200, false)] {
        let layer = AdaptiveLimitLayer::builder()
            .initial(40)
            .build()
            .expect("valid")
            .classify(HttpClassify::new());
        let handle = layer.handle();
        let service = layer.layer(service_fn(move |(): ()| async move {
            sleep(MS(20)).await;
            let mut response = Response::new(Body::empty());
            *response.status_mut() = http::StatusCode::from_u16(status)?;
            Ok::<_, BoxError>(response)
        }));
        for _ in 0..100 {
            let calls = (0..30).map(|_| service.clone().oneshot(()));
            futures_util::future::join_all(calls).await;
        }
        assert_eq!(
            limit(&handle) < 40,
            falls,
            "{status}: {:?}",
            handle.snapshot()
        );
    }
    let handle = layer.handle();
    let service = layer.layer(service_fn(|(): ()| async {
        let refused = bartizan_core::Rejection::new(RejectionKind::Open, "breaker");
        Err::<Response<Body>, BoxError>(refused.into())
    }));
    for _ in 0..200 {
        let calls = (0..30).map(|_| service.clone().oneshot(()));
        futures_util::future::join_all(calls).await;
        sleep(MS(20)).await;
    }
    assert_eq!(limit(&handle), 40);
}

#[tokio::test(start_paused = true)]
async fn when_it_is_full_the_call_fails_and_every_way_out_gives_the_place_back() {
    let (probe, control) = Probe::new(|(): &()| ());
    let layer = AdaptiveLimitLayer::builder()
        .initial(1)
        .build()
        .expect("valid");
    let handle = layer.handle();
    let mut service = layer.layer(probe);
    control.push(Step::pending());
    let mut held = Box::pin(service.ready().await.expect("ready").call(()));
    assert!(held.as_mut().now_or_never().is_none());
    assert_eq!(handle.snapshot().in_flight, 1);
    let result = service.ready().await.expect("ready").call(()).await;
    assert_eq!(rejection(&result).kind(), RejectionKind::Full);
    assert_eq!(rejection(&result).layer(), "adaptive limit");
    assert!(find::<Full>(rejection(&result)).is_some());
    drop(held);
    assert_eq!(handle.snapshot().in_flight, 0);

    control.push(Step::fail(ProbeError::new("refused")));
    assert!(
        service
            .ready()
            .await
            .expect("ready")
            .call(())
            .await
            .is_err()
    );
    assert!(service.ready().await.expect("ready").call(()).await.is_ok());
    assert_eq!(handle.snapshot().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn an_algorithm_of_yours() {
    #[derive(Debug)]
    struct Fixed;
    impl Algorithm for Fixed {
        fn next(&mut self, _: f64, window: &Window) -> f64 {
            f64::from(window.in_flight) + 100.0
        }
    }
    let layer = AdaptiveLimitLayer::builder()
        .algorithm(Fixed)
        .build()
        .expect("valid");
    Peer::new(100, 20).load(&layer, 20, SECOND).await;
    assert_eq!(limit(&layer.handle()), 120);
}

#[test]
fn what_cannot_be_is_refused() {
    let builder = AdaptiveLimitLayer::builder;
    for (builder, field) in [
        (builder().min(0), "min"),
        (builder().min(5).max(4), "max"),
        (builder().initial(1001), "initial"),
        (builder().initial(1).min(2), "initial"),
        (builder().windows(Duration::ZERO, SECOND), "windows"),
        (builder().windows(SECOND, MS(999)), "windows"),
        (builder().min_calls(0), "min_calls"),
        (builder().probe_interval(Duration::ZERO), "probe_interval"),
        (builder().tolerated_drops(-0.1), "tolerated_drops"),
        (builder().tolerated_drops(f64::NAN), "tolerated_drops"),
    ] {
        assert_eq!(builder.build().expect_err("refused").field(), field);
    }
    assert_eq!(
        Aimd::new().try_backoff(1.0).expect_err("refused").field(),
        "backoff"
    );
    assert_eq!(
        Gradient2::new()
            .try_tolerance(0.9)
            .expect_err("refused")
            .field(),
        "tolerance"
    );
}

#[tokio::test]
async fn a_call_that_finds_a_place_allocates_nothing() {
    assert_eq!(
        of_calls(&AdaptiveLimitLayer::default().layer(Bare), || ()),
        0
    );
}
