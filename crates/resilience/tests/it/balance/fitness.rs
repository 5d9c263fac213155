//! Unfit endpoints, zones and newcomers.

use super::*;

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
