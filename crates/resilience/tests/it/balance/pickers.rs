//! Who is picked.

use super::*;

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
