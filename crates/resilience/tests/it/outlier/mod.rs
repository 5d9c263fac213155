use std::{
    future::{Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use bartizan_core::{BoxError, Outcome, Rejection, RejectionKind};
use bartizan_resilience::{
    endpoint::{Endpoint, Unfit},
    outlier::{
        EjectionCause, FailurePercentage, OnError, Outlier, OutlierDetector,
        OutlierDetectorBuilder, SuccessRate,
    },
    timeout::TimeoutLayer,
};
use bartizan_testing::{Probe, ProbeError, Step, allocations, contract};
use futures_util::FutureExt;
use tokio::time::{Instant, advance, sleep, timeout};
use tower::{Layer, Service, ServiceExt};

mod calls;
mod detector;
mod ejection;
#[cfg(feature = "http")]
mod http;

contract! {
    mod laws {
        layer: |probe| OutlierDetector::default().layer(&Endpoint::new("a")).layer(probe),
        request: || (),
        response: || (),
    }

    /// What a peer does: an ejected endpoint's `poll_ready` wakes itself for as long as the ejection lasts.
    mod laws_while_ejected {
        layer: |probe| {
            let detector = OutlierDetector::builder().consecutive_failures(1).build();
            let endpoint = Endpoint::new("a");
            let layer = detector.expect("valid").layer(&endpoint);
            call(&mut layer.layer(Obey), false);
            assert!(!endpoint.is_fit());
            layer.layer(probe)
        },
        request: || (),
        response: || (),
    }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Succeeds or fails, as it is told, at once and without allocating.
#[derive(Clone, Debug)]
struct Obey;

impl Service<bool> for Obey {
    type Response = ();
    type Error = ();
    type Future = Ready<Result<(), ()>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, succeed: bool) -> Self::Future {
        ready(succeed.then_some(()).ok_or(()))
    }
}

type Target = (Endpoint, Outlier<Obey, OnError>);

fn call(service: &mut impl Service<bool>, succeed: bool) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let answered = pin!(service.call(succeed)).poll(&mut cx);
    assert!(answered.is_ready());
}

fn calls((_, service): &mut Target, successes: usize, failures: usize) {
    for _ in 0..successes {
        call(service, true);
    }
    for _ in 0..failures {
        call(service, false);
    }
}

fn targets(detector: &OutlierDetector, count: usize) -> Vec<Target> {
    let target = |i| {
        let endpoint = Endpoint::new(format!("endpoint {i}"));
        let service = detector.layer(&endpoint).layer(Obey);
        (endpoint, service)
    };
    (0..count).map(target).collect()
}

/// The indices of those that are ejected.
fn ejected(targets: &[Target]) -> Vec<usize> {
    let is_ejected = |i: &usize| targets[*i].0.is_unfit(Unfit::Ejected);
    (0..targets.len()).filter(is_ejected).collect()
}

fn built(builder: OutlierDetectorBuilder) -> OutlierDetector {
    builder.build().expect("valid settings")
}

/// Of the sweeps only, so that failures can come in any order.
fn sweeping() -> OutlierDetectorBuilder {
    OutlierDetector::builder().consecutive_failures(None)
}

async fn fit_again(endpoint: &Endpoint) -> Duration {
    let started = Instant::now();
    while !endpoint.is_fit() {
        sleep(Duration::from_millis(100)).await;
    }
    started.elapsed()
}
