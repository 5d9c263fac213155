mod fitness;
mod hashing;
mod lists;
mod pickers;
mod readiness;

use std::{
    future::{Ready, ready},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bartizan_core::{BoxError, ConfigError, Outcome, Rejection, find};
use bartizan_resilience::{
    balance::{
        Balance, BalanceBuilder, Candidates, Change, EndpointSnapshot, Endpoints, HashRing,
        LeastRequest, Maglev, NoEndpoint, PeakEwma, Picker, Prepare, RandomPick, Refresh,
        RoundRobin, WeightedRoundRobin, stable_hash,
    },
    endpoint::{Endpoint, Unfit},
    failover::Failover,
};
use bartizan_testing::{Probe, ProbeError, ProbeHandle, Step, allocations, contract};
use futures_util::FutureExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tower::{Service, ServiceExt};

use crate::balance_sim as sim;

contract! {
    mod laws {
        layer: |probe| Balance::builder()
            .endpoint(Endpoint::new("a"), probe.clone())
            .endpoint(Endpoint::new("b"), probe)
            .build()
            .expect("two endpoints"),
        request: || (),
        response: || (),
    }

    mod round_robin_laws {
        layer: |probe| Balance::builder()
            .picker(RoundRobin::new())
            .slow_start(Duration::from_secs(1))
            .zone("here")
            .endpoint(Endpoint::new("a").zone("here"), probe.clone())
            .endpoint(Endpoint::new("b"), probe.clone())
            .endpoint(Endpoint::new("c").zone("here"), probe)
            .build()
            .expect("three endpoints"),
        request: || (),
        response: || (),
    }

    /// A picker that reads the request waits in the response future.
    mod hash_laws {
        layer: |probe| Balance::builder()
            .picker(Maglev::new(|request: &u64| *request))
            .endpoint(Endpoint::new("a"), probe.clone())
            .endpoint(Endpoint::new("b"), probe)
            .build()
            .expect("two endpoints"),
        request: || 7,
        response: || (),
    }
}

/// Answers with its name, at once, and never allocates.
#[derive(Clone, Debug)]
struct Named(usize);

impl<R> Service<R> for Named {
    type Response = usize;
    type Error = BoxError;
    type Future = Ready<Result<usize, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: R) -> Self::Future {
        ready(Ok(self.0))
    }
}

fn endpoints(weights: &[u32]) -> Vec<Endpoint> {
    let endpoint = |(i, &weight)| Endpoint::new(format!("e{i}")).weight(weight);
    weights.iter().enumerate().map(endpoint).collect()
}

fn named<P: Prepare + Send + Sync + 'static>(
    picker: P,
    endpoints: &[Endpoint],
) -> Balance<Named, P> {
    let builder = Balance::builder().picker(picker).seed(7);
    let builder = endpoints
        .iter()
        .enumerate()
        .fold(builder, |builder, (i, e)| {
            builder.endpoint(e.clone(), Named(i))
        });
    builder.build().expect("endpoints")
}

fn call<R, S>(service: &mut S, request: R) -> S::Response
where
    S: Service<R, Error = BoxError>,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    match pin!(service.call(request)).poll(&mut cx) {
        Poll::Ready(Ok(response)) => response,
        Poll::Ready(Err(error)) => panic!("it failed: {error}"),
        Poll::Pending => panic!("it is pending"),
    }
}

/// Who answered so many calls, one after the other.
fn answers<S>(service: &S, calls: usize) -> Vec<usize>
where
    S: Service<(), Response = usize, Error = BoxError> + Clone,
{
    let mut one = service.clone();
    (0..calls)
        .map(|n| match n % 2 {
            0 => call(&mut one, ()),
            _ => call(&mut service.clone(), ()),
        })
        .collect()
}

fn shares(answers: &[usize], endpoints: usize) -> Vec<f64> {
    let count = |i| answers.iter().filter(|&&answer| answer == i).count();
    (0..endpoints)
        .map(|i| count(i) as f64 / answers.len() as f64)
        .collect()
}

type Target = (Probe<u32, &'static str>, ProbeHandle<u32, &'static str>);

fn targets() -> [Target; 3] {
    ["a", "b", "c"].map(|name| Probe::new(move |_| name))
}

type Targets = Endpoints<Probe<u32, &'static str>>;

fn over<P: Prepare + Send + Sync + 'static>(
    picker: P,
    targets: &[Target; 3],
) -> (Balance<Probe<u32, &'static str>, P>, Targets) {
    let list: Endpoints<_> = ["a", "b", "c"]
        .into_iter()
        .zip(targets)
        .map(|(name, target)| (Endpoint::new(name), target.0.clone()))
        .collect();
    let builder = Balance::builder().picker(picker).seed(7);
    let service = builder.endpoints(list.clone()).build();
    (service.expect("three endpoints"), list)
}

fn calls(targets: &[Target; 3]) -> [usize; 3] {
    [0, 1, 2].map(|i| targets[i].1.counts().calls)
}

#[test]
fn what_cannot_be_used_is_refused() {
    let message = |error: ConfigError| error.to_string();
    let build = |builder: BalanceBuilder<Named>| message(builder.build().expect_err("refused"));
    let a = || Balance::builder().endpoint(Endpoint::new("a"), Named(0));
    assert_eq!(
        build(Balance::builder()),
        "invalid endpoints `[]`: expected at least one endpoint"
    );
    assert_eq!(
        build(a().endpoint(Endpoint::new("a"), Named(1))),
        "invalid endpoints[1] `a`: expected a name of its own for each"
    );
    assert_eq!(
        build(Balance::builder().endpoint(Endpoint::new("a").weight(0), Named(0))),
        "invalid endpoints `weights of 0`: expected an endpoint with a weight"
    );
    for share in [-0.1, 1.1, f64::NAN] {
        assert!(build(a().panic_threshold(share)).contains("a share from 0 to 1"));
    }
    let key = |key: &u64| *key;
    assert!(Maglev::new(key).table_size(65_536).is_err());
    assert!(Maglev::new(key).table_size(0).is_err());
    assert!(Maglev::new(key).table_size(251).is_ok());
    assert!(HashRing::new(key).points(0).is_err());
}

/// The allocations of a thousand calls, on one instance and on clones.
fn allocations_of<P>(picker: P) -> u64
where
    P: Picker<u64> + Send + Sync + 'static,
{
    let service = named(picker, &endpoints(&[1, 2, 1, 1, 1, 1, 1, 1, 1, 3]));
    let mut one = service.clone();
    let ((), count) = allocations(|| {
        for key in 0..500 {
            call(&mut one, key);
            call(&mut service.clone(), key);
        }
    });
    count
}

#[tokio::test]
async fn calls_allocate_nothing() {
    assert_eq!(allocations_of(PeakEwma::new()), 0);
    assert_eq!(allocations_of(LeastRequest::new()), 0);
    assert_eq!(allocations_of(RoundRobin::new()), 0);
    assert_eq!(allocations_of(WeightedRoundRobin::new()), 0);
    assert_eq!(allocations_of(RandomPick::new()), 0);
    assert_eq!(allocations_of(Maglev::new(|key: &u64| *key)), 0);
    assert_eq!(allocations_of(HashRing::new(|key: &u64| *key)), 0);
}

#[test]
fn simulated_stuck_backend_hurts_one_call_in_a_thousand_at_most() {
    let outcome = sim::run(&sim::STUCK, 1, PeakEwma::new);
    let within = outcome.within(Duration::from_secs(1));
    assert!(within >= 0.999, "{within}");
    let p999 = outcome.quantile(0.999);
    assert!(p999 <= Duration::from_millis(190), "{p999:?}");
    // What it is measured against.
    let outcome = sim::run(&sim::STUCK, 1, RoundRobin::new);
    let within = outcome.within(Duration::from_secs(1));
    assert!((0.94..0.97).contains(&within), "{within}");
}

#[test]
fn simulated_slow_backend_is_not_felt_by_callers() {
    let outcome = sim::run(&sim::SLOW, 2, PeakEwma::new);
    let p99 = outcome.quantile(0.99);
    assert!(p99 <= Duration::from_millis(60), "{p99:?}");
    let p99 = sim::run(&sim::SLOW, 2, RoundRobin::new).quantile(0.99);
    assert!(p99 >= Duration::from_millis(80), "{p99:?}");
}

#[test]
fn simulated_failing_backend_draws_no_calls() {
    let errors = sim::run(&sim::FAILING, 3, PeakEwma::new).error_share();
    assert!(errors > 0.0 && errors <= 0.001, "{errors}");
    let errors = sim::run(&sim::FAILING, 3, RoundRobin::new).error_share();
    assert!((0.09..0.11).contains(&errors), "{errors}");
    let errors = sim::run(&sim::FAILING, 3, LeastRequest::new).error_share();
    assert!(errors > 0.15, "{errors}");
}

#[test]
fn it_can_be_sent_shared_and_looked_at() {
    fn check<T: Send + Sync + Clone + std::fmt::Debug>(_: &T) {}
    let service = named(PeakEwma::new(), &endpoints(&[1]));
    check(&service);
    assert!(format!("{service:?}").contains("e0"));
}
