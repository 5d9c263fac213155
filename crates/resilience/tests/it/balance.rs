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

// Parity 8, with the failover that Ballerina's client has built in: a second try of whatever the balancer picks.
#[tokio::test(start_paused = true)]
async fn round_robin_goes_1_2_3_1_and_with_target_1_failing_2_3_2() {
    let targets = targets();
    let (service, _) = over(RoundRobin::new(), &targets);
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(service.clone().oneshot(1).await.expect("an answer"));
    }
    assert_eq!(seen, ["a", "b", "c", "a"]);

    let (service, _) = over(RoundRobin::new(), &targets);
    targets[0]
        .1
        .by_default(|_| Step::fail(ProbeError::new("down")));
    let twice = Failover::builder(bartizan_resilience::failover::OnError)
        .target("first", service.clone())
        .target("again", service)
        .build()
        .expect("two targets");
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(twice.clone().oneshot(1).await.expect("an answer"));
    }
    assert_eq!(seen, ["b", "c", "b"]);
}

#[tokio::test(start_paused = true)]
async fn an_unfit_neighbour_does_not_double_the_load() {
    let endpoints = endpoints(&[1, 1, 1]);
    endpoints[1].set_unfit(Unfit::Ejected, true);
    let answers = answers(&named(RoundRobin::new(), &endpoints), 6);
    assert_eq!(answers, [0, 2, 0, 2, 0, 2]);
}

#[tokio::test(start_paused = true)]
async fn weighted_shares_are_exact_in_turn_and_within_one_per_cent_by_chance() {
    let weights = [5, 1, 1, 0];
    let endpoints = endpoints(&weights);
    let service = named(WeightedRoundRobin::new(), &endpoints);
    assert_eq!(answers(&service, 7), [0, 0, 1, 0, 2, 0, 0]);
    let wanted = [5.0 / 7.0, 1.0 / 7.0, 1.0 / 7.0, 0.0];
    let check = |name: &str, shares: &[f64], tolerance: f64| {
        for (share, wanted) in shares.iter().zip(wanted) {
            assert!((share - wanted).abs() <= tolerance, "{name}: {shares:?}");
        }
    };
    check("in turn", &shares(&answers(&service, 700), 4), 0.0);
    check(
        "by chance",
        &shares(&answers(&named(RandomPick::new(), &endpoints), 100_000), 4),
        0.005,
    );
    // Nothing is under way, so nothing but the weights counts.
    check(
        "least request",
        &shares(
            &answers(&named(LeastRequest::new(), &endpoints), 100_000),
            4,
        ),
        0.005,
    );
    let round_robin = named(RoundRobin::new(), &endpoints);
    assert_eq!(answers(&round_robin, 3), [0, 1, 2], "0 gets none");
}

#[tokio::test(start_paused = true)]
async fn least_request_takes_the_one_with_less_to_do_for_its_weight() {
    let targets = targets();
    for target in &targets {
        target
            .1
            .by_default(|_| Step::respond("held").when_released());
    }
    let builder = Balance::builder().picker(LeastRequest::new()).seed(1);
    let service = builder
        .endpoint(Endpoint::new("a").weight(2), targets[0].0.clone())
        .endpoint(Endpoint::new("b"), targets[1].0.clone())
        .build()
        .expect("two endpoints");
    let mut held = Vec::new();
    for _ in 0..60 {
        let mut one = service.clone();
        held.push(one.ready().await.expect("ready").call(1));
    }
    let counts = calls(&targets);
    assert!((39..=41).contains(&counts[0]), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn peak_ewma_leaves_a_slow_one_and_comes_back() {
    let targets = targets();
    targets[0]
        .1
        .by_default(|_| Step::respond("a").after(Duration::from_millis(500)));
    for target in &targets[1..] {
        target
            .1
            .by_default(|_| Step::respond("ok").after(Duration::from_millis(10)));
    }
    let (service, list) = over(PeakEwma::new(), &targets);
    for _ in 0..300 {
        service.clone().oneshot(1).await.expect("an answer");
    }
    let slow = calls(&targets)[0];
    assert!(
        (1..=2).contains(&slow),
        "{slow} of 300 calls to the slow one"
    );
    let latency = list.snapshot()[0].latency().expect("it was measured");
    assert!(latency > Duration::from_millis(300), "{latency:?}");

    targets[0]
        .1
        .by_default(|_| Step::respond("a").after(Duration::from_millis(10)));
    tokio::time::advance(Duration::from_secs(120)).await;
    for _ in 0..300 {
        service.clone().oneshot(1).await.expect("an answer");
    }
    let share = calls(&targets)[0] - slow;
    assert!(
        (60..=240).contains(&share),
        "{share} of 300 once it is fast again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_counts_as_slow_however_fast_it_was() {
    let targets = targets();
    targets[0]
        .1
        .by_default(|_| Step::fail(ProbeError::new("down")));
    let (service, list) = over(PeakEwma::new(), &targets);
    for _ in 0..100 {
        let _ = service.clone().oneshot(1).await;
    }
    assert_eq!(calls(&targets)[0], 1);
    assert_eq!(
        list.snapshot()[0]
            .latency()
            .map(|latency| latency.as_secs()),
        Some(5)
    );
}

#[tokio::test(start_paused = true)]
async fn a_rejection_below_is_a_failure_of_the_endpoint_and_a_response_that_is_ignored_is_nothing()
{
    let targets = targets();
    targets[0].1.by_default(|_| {
        Step::fail(Rejection::new(
            bartizan_core::RejectionKind::Open,
            "circuit_breaker",
        ))
    });
    let (probe, list) = (&targets, Endpoints::new());
    for (name, target) in ["a", "b", "c"].into_iter().zip(probe) {
        list.insert(Endpoint::new(name), target.0.clone());
    }
    let service = Balance::builder()
        .endpoints(list.clone())
        .classify(|_: Result<&&str, &BoxError>| Outcome::Ignored)
        .seed(3)
        .build()
        .expect("three endpoints");
    for _ in 0..100 {
        let _ = service.clone().oneshot(1).await;
    }
    let latencies: Vec<_> = list
        .snapshot()
        .iter()
        .map(EndpointSnapshot::latency)
        .collect();
    assert!(latencies[0].is_some() && latencies[1].is_none() && latencies[2].is_none());
    assert_eq!(calls(&targets)[0], 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_given_up_counts_as_one_that_took_as_long() {
    let targets = targets();
    targets[0].1.by_default(|_| Step::pending());
    let (service, list) = over(PeakEwma::new(), &targets);
    for _ in 0..100 {
        let call = service.clone().oneshot(1);
        let _ = tokio::time::timeout(Duration::from_secs(1), call).await;
    }
    assert!(calls(&targets)[0] <= 2, "{:?}", calls(&targets));
    let snapshot = &list.snapshot()[0];
    assert_eq!(snapshot.in_flight(), 0);
    assert!(snapshot.latency().is_some());
}

// The hole: tower's balancer, and those after it, call what was ready when it was asked, whatever has become of it.
#[tokio::test(start_paused = true)]
async fn an_endpoint_removed_since_it_was_ready_is_never_called() {
    let targets = targets();
    let (service, list) = over(RoundRobin::new(), &targets);
    let mut one = service.clone();
    one.ready().await.expect("ready");
    assert!(list.remove("a") && !list.remove("a"));
    assert_eq!(one.call(1).await.expect("an answer"), "c");

    // Replaced is removed, too.
    let mut one = service.clone();
    one.ready().await.expect("ready");
    let (new, new_handle) = Probe::new(|_: &u32| "new");
    for name in ["b", "c"] {
        list.insert(Endpoint::new(name), new.clone());
    }
    assert_eq!(one.call(1).await.expect("an answer"), "new");
    assert_eq!(calls(&targets), [0, 0, 1]);
    assert_eq!(new_handle.counts().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_removed_while_it_is_waited_for_is_never_called() {
    let targets = targets();
    let (service, list) = over(RoundRobin::new(), &targets);
    for target in &targets {
        target.1.hold_ready();
    }
    let mut one = service.clone();
    assert!(one.ready().now_or_never().is_none());
    list.remove("a");
    for target in &targets[..2] {
        target.1.make_ready();
    }
    assert_eq!(
        one.ready().await.expect("ready").call(1).await.unwrap(),
        "b"
    );
    assert_eq!(calls(&targets), [0, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_busy_endpoint_is_passed_over_and_all_busy_are_waited_for() {
    let targets = targets();
    let (service, list) = over(RoundRobin::new(), &targets);
    targets[0].1.hold_ready();
    targets[1].1.hold_ready();
    assert_eq!(service.clone().oneshot(1).await.expect("an answer"), "c");

    targets[2].1.hold_ready();
    let waiting = tokio::spawn(service.clone().oneshot(2));
    tokio::task::yield_now().await;
    targets[1].1.make_ready();
    assert_eq!(waiting.await.expect("no panic").expect("an answer"), "b");

    // A new one ends the waiting as well.
    targets[1].1.hold_ready();
    let waiting = tokio::spawn(service.clone().oneshot(3));
    tokio::task::yield_now().await;
    let (new, _handle) = Probe::new(|_: &u32| "new");
    list.insert(Endpoint::new("new"), new);
    assert_eq!(waiting.await.expect("no panic").expect("an answer"), "new");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_whose_readiness_fails_is_passed_over_and_asked_again_later() {
    let targets = targets();
    let (service, _) = over(RoundRobin::new(), &targets);
    targets[0].1.fail_ready(ProbeError::new("closed"));
    assert_eq!(service.clone().oneshot(1).await.expect("an answer"), "b");
    targets[0].1.make_ready();
    service.clone().oneshot(1).await.expect("an answer");
    assert_eq!(service.clone().oneshot(1).await.expect("an answer"), "a");

    for target in &targets {
        target.1.fail_ready(ProbeError::new("closed"));
    }
    let mut one = service.clone();
    let error = one.ready().await.expect("never fails").call(1).await;
    let error = error.expect_err("nobody to ask");
    let none = find::<NoEndpoint>(&*error).expect("the reason");
    assert!(none.is_failed() && !none.is_unfit() && !none.is_empty());
    assert!(find::<Rejection>(&*error).is_some_and(Rejection::is_unsent));
    assert_eq!(find(&*error), Some(&ProbeError::new("closed")));
    // That was that call. The instance goes on.
    targets[2].1.make_ready();
    assert_eq!(one.ready().await.unwrap().call(1).await.unwrap(), "c");
}

#[tokio::test(start_paused = true)]
async fn below_the_panic_threshold_fitness_counts_no_more() {
    let list = endpoints(&[1, 1, 1, 1]);
    let service = named(RoundRobin::new(), &list);
    list[0].set_unfit(Unfit::Unhealthy, true);
    list[1].set_unfit(Unfit::Ejected, true);
    assert_eq!(shares(&answers(&service, 100), 4), [0.0, 0.0, 0.5, 0.5]);
    list[2].set_unfit(Unfit::Disabled, true);
    assert_eq!(shares(&answers(&service, 100), 4), [0.25; 4]);
    list[0].set_unfit(Unfit::Unhealthy, false);
    assert_eq!(shares(&answers(&service, 100), 4), [0.5, 0.0, 0.0, 0.5]);
}

#[tokio::test(start_paused = true)]
async fn without_a_panic_threshold_nobody_fit_is_nobody() {
    let only = Endpoint::new("only");
    let service = Balance::builder()
        .endpoint(only.clone(), Named(0))
        .panic_threshold(0.0)
        .build()
        .expect("an endpoint");
    assert_eq!(service.clone().oneshot(()).await.expect("fit"), 0);
    only.set_unfit(Unfit::Disabled, true);
    let error = service.clone().oneshot(()).await.expect_err("unfit");
    assert!(find::<NoEndpoint>(&*error).is_some_and(NoEndpoint::is_unfit));
    assert_eq!(
        error.to_string(),
        "balance: no free place",
        "and the source says why"
    );
    let answered = service.reject_with(|rejection: Rejection| match rejection.is_unsent() {
        true => 503,
        false => 0,
    });
    assert_eq!(answered.oneshot(()).await.expect("a response"), 503);
}

#[tokio::test(start_paused = true)]
async fn the_preferred_zone_has_all_calls_until_too_little_of_it_is_fit() {
    let list: Vec<_> = (0..6)
        .map(|i| Endpoint::new(format!("e{i}")).zone(if i < 3 { "here" } else { "there" }))
        .collect();
    let builder = Balance::builder().picker(RoundRobin::new()).zone("here");
    let builder = list.iter().enumerate().fold(builder, |builder, (i, e)| {
        builder.endpoint(e.clone(), Named(i))
    });
    let service = builder.build().expect("six");
    let local = |answers: &[usize]| answers.iter().filter(|&&i| i < 3).count();
    assert_eq!(local(&answers(&service, 60)), 60);
    list[0].set_unfit(Unfit::Ejected, true);
    assert_eq!(shares(&answers(&service, 60), 3)[..], [0.0, 0.5, 0.5]);
    list[1].set_unfit(Unfit::Ejected, true);
    answers(&service, 6);
    // Two of six are unfit: the fit four share the calls, of which one is local.
    assert_eq!(
        shares(&answers(&service, 80), 6),
        [0.0, 0.0, 0.25, 0.25, 0.25, 0.25]
    );
    list[1].set_unfit(Unfit::Ejected, false);
    assert_eq!(local(&answers(&service, 60)), 60, "it is fit again");
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_starts_slowly() {
    for slow_start in [Duration::ZERO, Duration::from_secs(100)] {
        let list: Endpoints<Named> = (0..3)
            .map(|i| (Endpoint::new(format!("e{i}")), Named(i)))
            .collect();
        let service = Balance::builder()
            .picker(RoundRobin::new())
            .slow_start(slow_start)
            .seed(3)
            .endpoints(list.clone())
            .build()
            .expect("three");
        assert_eq!(
            answers(&service, 3),
            [0, 1, 2],
            "the first ones start at once"
        );
        list.insert(Endpoint::new("e3"), Named(3));
        let mut seen = Vec::new();
        for _ in 0..4 {
            let shares = shares(&answers(&service, 20_000), 4);
            // In per cent of what one of the others has.
            seen.push((shares[3] / shares[0] * 100.0).round());
            tokio::time::advance(Duration::from_secs(40)).await;
        }
        if slow_start.is_zero() {
            assert_eq!(seen, [100.0; 4]);
        } else {
            for (share, wanted) in seen.iter().zip([10.0, 40.0, 80.0, 100.0]) {
                assert!((share - wanted).abs() < 3.0, "{seen:?}");
            }
        }
    }
}

type Key = fn(&u64) -> u64;

fn hash_services(
    list: &[Endpoint],
) -> (Balance<Named, Maglev<Key>>, Balance<Named, HashRing<Key>>) {
    let key: Key = |key| *key;
    (
        named(Maglev::new(key), list),
        named(HashRing::new(key), list),
    )
}

fn owners<P: Picker<u64> + Send + Sync + 'static>(
    service: &Balance<Named, P>,
    list: &[Endpoint],
) -> Vec<String> {
    let mut service = service.clone();
    (0..20_000_u64)
        .map(|key| list[call(&mut service, key)].name().to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn hash_churn_is_at_most_one_and_a_half_nth() {
    for n in [2, 5, 10, 50] {
        let all = endpoints(&vec![1; n + 1]);
        let mut fewer = all.clone();
        fewer.remove(n / 2);
        // Whatever the order.
        fewer.reverse();
        let (maglev, ring) = hash_services(&all);
        let (maglev_fewer, ring_fewer) = hash_services(&fewer);
        for (name, before, after) in [
            (
                "maglev",
                owners(&maglev, &all),
                owners(&maglev_fewer, &fewer),
            ),
            ("ring", owners(&ring, &all), owners(&ring_fewer, &fewer)),
        ] {
            let moved = before.iter().zip(&after).filter(|(a, b)| a != b).count();
            let share = moved as f64 / before.len() as f64;
            let most = 1.5 / (n + 1) as f64;
            assert!(share <= most, "{name} over {}: {share} > {most}", n + 1);
            let lost = all[n / 2].name();
            let had = before.iter().filter(|owner| *owner == lost).count();
            if name == "ring" {
                assert_eq!(moved, had, "and none between two others");
            }
            let fair = before.len() as f64 / (n + 1) as f64;
            assert!(
                (had as f64 / fair - 1.0).abs() < 0.35,
                "{name}: {had} of {fair}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_keys_of_an_unfit_owner_spread_and_come_back() {
    let list = endpoints(&[1; 5]);
    let (maglev, ring) = hash_services(&list);
    let before = (owners(&maglev, &list), owners(&ring, &list));
    list[2].set_unfit(Unfit::Ejected, true);
    for (before, during) in [
        (&before.0, owners(&maglev, &list)),
        (&before.1, owners(&ring, &list)),
    ] {
        let moved: Vec<_> = before
            .iter()
            .zip(&during)
            .filter(|(_, now)| {
                assert_ne!(*now, "e2");
                true
            })
            .filter(|(a, b)| a != b)
            .collect();
        assert!(moved.iter().all(|(was, _)| *was == "e2"));
        for other in ["e0", "e1", "e3", "e4"] {
            let took = moved.iter().filter(|(_, now)| *now == other).count();
            assert!(
                took * 10 > moved.len(),
                "{other} took {took} of {}",
                moved.len()
            );
        }
    }
    list[2].set_unfit(Unfit::Ejected, false);
    assert_eq!((owners(&maglev, &list), owners(&ring, &list)), before);
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

/// Picks nonsense.
#[derive(Clone)]
struct Broken(Option<usize>);

impl Prepare for Broken {}

impl<Req> Picker<Req> for Broken {
    fn pick(&self, _: &Candidates<'_>, _: Option<&Req>) -> Option<usize> {
        self.0
    }
}

#[tokio::test(start_paused = true)]
async fn a_picker_that_picks_nonsense_hangs_nobody() {
    for nonsense in [None, Some(7), Some(1)] {
        let list = endpoints(&[1, 1, 1]);
        list[1].set_unfit(Unfit::Disabled, true);
        assert_eq!(answers(&named(Broken(nonsense), &list), 2), [0, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_not_known_yet_is_waited_for_and_an_empty_one_is_not() {
    let (changes, stream) = tokio::sync::mpsc::unbounded_channel::<Result<Change<Named>, String>>();
    let list = Endpoints::new();
    let mut stream = stream;
    list.discover(futures_util::stream::poll_fn(move |cx| {
        stream.poll_recv(cx)
    }));
    let service = Balance::builder().endpoints(list.clone()).build();
    let service = service.expect("it may be empty");
    let waiting = tokio::spawn(service.clone().oneshot(()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished());
    let send = |change| changes.send(change).expect("it listens");
    send(Ok(Change::Insert(Endpoint::new("one"), Named(1))));
    assert_eq!(waiting.await.expect("no panic").expect("an answer"), 1);

    send(Err("the registry is down".to_owned()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(service.clone().oneshot(()).await.expect("as before"), 1);

    send(Ok(Change::Remove("one".to_owned())));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let error = service.clone().oneshot(()).await.expect_err("empty");
    assert!(find::<NoEndpoint>(&*error).is_some_and(NoEndpoint::is_empty));

    // The task ends with the last that could see what it does.
    drop((service, list));
    changes.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_first_error_ends_the_waiting() {
    let list: Endpoints<Named> = Endpoints::new();
    list.discover(Refresh::new(Duration::from_secs(10), || async {
        Err::<Vec<_>, _>("the registry is down")
    }));
    let service = Balance::builder().endpoints(list).build().expect("empty");
    let error = service.oneshot(()).await.expect_err("nobody is known");
    assert!(find::<NoEndpoint>(&*error).is_some_and(NoEndpoint::is_empty));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_stays_in_the_list_keeps_what_was_measured() {
    let list = Endpoints::new();
    let set = |names: &[&str]| {
        let entry = |name: &&str| (Endpoint::new(*name), Named(0));
        list.apply(Change::Set(names.iter().map(entry).collect()));
    };
    set(&["a", "b"]);
    let service = Balance::builder().endpoints(list.clone()).seed(1).build();
    answers(&service.expect("two"), 20);
    let measured = || -> Vec<_> {
        let snapshot = list.snapshot();
        let one =
            |one: &EndpointSnapshot| (one.endpoint().name().to_owned(), one.latency().is_some());
        snapshot.iter().map(one).collect()
    };
    let entry = |name: &str, measured| (name.to_owned(), measured);
    assert_eq!(measured(), [entry("a", true), entry("b", true)]);
    set(&["c", "a", "c"]);
    assert_eq!(measured(), [entry("c", false), entry("a", true)]);
    // The same peer with another weight, or another service.
    list.insert(Endpoint::new("a").weight(3), Named(0));
    assert_eq!(measured(), [entry("c", false), entry("a", true)]);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_resolved_again_and_again() {
    let answer = Arc::new(Mutex::new(Ok(vec![1, 2])));
    let asked = Arc::new(AtomicUsize::new(0));
    let resolve = {
        let (answer, asked) = (answer.clone(), asked.clone());
        move || {
            asked.fetch_add(1, Ordering::Relaxed);
            let answer: Result<Vec<u8>, &str> = answer.lock().unwrap().clone();
            async move {
                let addrs = answer.map_err(std::io::Error::other)?;
                let addr = |n| std::net::SocketAddr::from(([10, 0, 0, n], 80));
                Ok(addrs.into_iter().map(addr).collect::<Vec<_>>())
            }
        }
    };
    let list = Endpoints::new();
    list.discover(Refresh::dns(Duration::from_secs(30), resolve, |addr| addr));
    let names = || -> Vec<String> {
        let snapshot = list.snapshot();
        let name = |one: &EndpointSnapshot| one.endpoint().name().to_owned();
        snapshot.iter().map(name).collect()
    };
    let pass = tokio::time::sleep;
    pass(Duration::from_secs(1)).await;
    assert_eq!(names(), ["10.0.0.1:80", "10.0.0.2:80"]);
    *answer.lock().unwrap() = Ok(vec![3, 2, 3]);
    pass(Duration::from_secs(28)).await;
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    pass(Duration::from_secs(2)).await;
    assert_eq!(names(), ["10.0.0.2:80", "10.0.0.3:80"]);
    // No answer, and an answer of nobody, change nothing.
    for wrong in [Err("no such host"), Ok(vec![])] {
        *answer.lock().unwrap() = wrong;
        pass(Duration::from_secs(31)).await;
        assert_eq!(names(), ["10.0.0.2:80", "10.0.0.3:80"]);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_file_is_read_when_it_changes() {
    let path = std::env::temp_dir().join(format!("bartizan-balance-{}", std::process::id()));
    let (seen, mut parsed) = tokio::sync::mpsc::unbounded_channel();
    let parse = move |text: &str| {
        seen.send(text.to_owned()).expect("the test listens");
        text.lines()
            .map(|line| Ok((Endpoint::new(line), line.parse::<u16>()?)))
            .collect::<Result<Vec<_>, std::num::ParseIntError>>()
    };
    std::fs::write(&path, "1\n2\n").expect("a file");
    let list = Endpoints::new();
    list.discover(Refresh::file(&path, Duration::from_millis(2), parse));
    let names = |list: &Endpoints<u16>| -> Vec<String> {
        let snapshot = list.snapshot();
        let names = snapshot.iter().map(|one| one.endpoint().name().to_owned());
        names.collect()
    };
    let until = async |wanted: &[&str]| {
        let asked = Instant::now();
        while names(&list) != wanted {
            assert!(
                asked.elapsed() < Duration::from_secs(20),
                "{:?}",
                names(&list)
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    until(&["1", "2"]).await;
    assert_eq!(parsed.recv().await.as_deref(), Some("1\n2\n"));
    // Of another length, because some file systems' clocks are coarse.
    std::fs::write(&path, "no numbers").expect("a file");
    while parsed.recv().await.as_deref() != Some("no numbers") {}
    assert_eq!(
        names(&list),
        ["1", "2"],
        "what cannot be parsed changes nothing"
    );
    std::fs::write(&path, "2\n3\n4\n").expect("a file");
    until(&["2", "3", "4"]).await;
    drop(list);
    std::fs::remove_file(&path).expect("it is there");
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

/// One place, reserved by whoever is ready.
struct Limited(Arc<Semaphore>, Option<OwnedSemaphorePermit>);

impl Clone for Limited {
    fn clone(&self) -> Self {
        Self(self.0.clone(), None)
    }
}

impl Service<()> for Limited {
    type Response = ();
    type Error = BoxError;
    type Future = Ready<Result<(), BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.1.is_none() {
            self.1 = self.0.clone().try_acquire_owned().ok();
        }
        // Nobody waits here, so nobody needs to be woken.
        self.1
            .as_ref()
            .map_or(Poll::Pending, |_| Poll::Ready(Ok(())))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        self.1 = None;
        ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_that_is_dropped_gives_back_every_permit() {
    let limited = || Limited(Arc::new(Semaphore::new(1)), None);
    let service = Balance::builder()
        .endpoint(Endpoint::new("a"), limited())
        .endpoint(Endpoint::new("b"), limited())
        .build()
        .expect("two");
    let (mut one, mut two, mut three) = (service.clone(), service.clone(), service.clone());
    let ready = |service: &mut Balance<_>| {
        let mut cx = Context::from_waker(Waker::noop());
        Service::<()>::poll_ready(service, &mut cx).is_ready()
    };
    // One permit each, and not one of each endpoint each: instances do not hoard.
    assert!(ready(&mut one) && ready(&mut two) && !ready(&mut three));
    drop(one);
    assert!(ready(&mut three));
}

#[test]
fn stable_hashes_are_for_bytes_and_text() {
    assert_eq!(stable_hash("ann"), stable_hash(b"ann"));
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
