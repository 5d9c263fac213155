use std::{future::ready, time::Duration};

use bartizan_core::{BoxError, Rejection, find};
use bartizan_resilience::{
    endpoint::{Endpoint, Unfit},
    health::{Health, HealthCheck, HealthCheckBuilder, HealthHandle},
};
use bartizan_testing::{Probe, ProbeError, ProbeHandle, Step};
use futures_util::FutureExt;
use tokio::time::{Instant, sleep};
use tower::service_fn;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn steady() -> HealthCheckBuilder {
    HealthCheck::builder().jitter(0.0)
}

struct Checked {
    endpoint: Endpoint,
    health: HealthHandle,
    probe: ProbeHandle<Endpoint, ()>,
    driver: tokio::task::JoinHandle<()>,
}

/// An endpoint whose checks pass, unless the probe is told otherwise.
fn checked(builder: HealthCheckBuilder) -> Checked {
    let (service, probe) = Probe::new(|_: &Endpoint| ());
    let endpoint = Endpoint::new("10.0.0.1:80");
    let check = builder.build().expect("valid settings");
    let (driver, health) = check.check(&endpoint, service);
    Checked {
        endpoint,
        health,
        probe,
        driver: tokio::spawn(driver),
    }
}

fn fail(probe: &ProbeHandle<Endpoint, ()>) {
    probe.by_default(|_| Step::fail(ProbeError::new("refused")));
}

#[tokio::test(start_paused = true)]
async fn three_failures_take_it_down_and_two_passes_bring_it_up() {
    let mut it = checked(steady());
    let started = Instant::now();
    fail(&it.probe);
    assert_eq!(it.health.changed().await, Some(Health::Unhealthy));
    // At 0, 10 and 20 s.
    assert_eq!((started.elapsed(), it.probe.counts().calls), (secs(20), 3));
    assert!(it.endpoint.is_unfit(Unfit::Unhealthy) && !it.endpoint.is_fit());
    let snapshot = it.health.snapshot();
    assert_eq!(
        (snapshot.health(), snapshot.checks()),
        (Health::Unhealthy, 3)
    );
    let failure = snapshot.last_failure().expect("it failed");
    assert_eq!(
        find::<ProbeError>(failure),
        Some(&ProbeError::new("refused"))
    );

    it.probe.by_default(|_| Step::respond(()));
    it.probe.until(|counts| counts.calls == 4).await;
    sleep(secs(1)).await;
    assert_eq!(
        (it.health.health(), it.health.snapshot().against()),
        (Health::Unhealthy, 1)
    );
    assert_eq!(it.health.changed().await, Some(Health::Healthy));
    assert_eq!((started.elapsed(), it.probe.counts().calls), (secs(40), 5));
    assert!(it.endpoint.is_fit());
    let asked = it.probe.take_requests();
    assert!(
        asked
            .iter()
            .all(|endpoint| endpoint.name() == "10.0.0.1:80")
    );
    assert!(!it.driver.is_finished());
}

#[tokio::test(start_paused = true)]
async fn two_failures_of_three_are_forgiven() {
    let it = checked(steady());
    for failed in [true, true, false, true, true, false] {
        it.probe.push(if failed {
            Step::fail(ProbeError::default())
        } else {
            Step::respond(())
        });
    }
    sleep(secs(65)).await;
    assert_eq!(it.probe.counts().calls, 7);
    assert!(it.endpoint.is_fit());
    assert_eq!(it.health.snapshot().against(), 0);
}

#[tokio::test(start_paused = true)]
async fn no_answer_in_time_is_a_failure_and_checks_never_overlap() {
    let mut it = checked(steady());
    it.probe.by_default(|_| Step::pending());
    let started = Instant::now();
    assert_eq!(it.health.changed().await, Some(Health::Unhealthy));
    // Three times 5 s, and two waits between them.
    assert_eq!(started.elapsed(), secs(35));
    let counts = it.probe.counts();
    assert_eq!(
        (counts.calls, counts.cancelled, counts.in_flight),
        (3, 3, 0)
    );
    let snapshot = it.health.snapshot();
    let failure = snapshot.last_failure().expect("it failed");
    let rejection = find::<Rejection>(failure).expect("a rejection");
    assert!(rejection.is_timed_out());
    assert_eq!(rejection.layer(), "health");
}

#[tokio::test(start_paused = true)]
async fn an_answer_at_the_very_limit_has_passed() {
    let it = checked(steady());
    it.probe.by_default(|_| Step::respond(()).after(secs(5)));
    sleep(secs(100)).await;
    assert!(it.endpoint.is_fit());
    assert_eq!(it.health.snapshot().against(), 0);
    assert_eq!(it.probe.counts().cancelled, 0);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_not_ready_has_failed_and_the_next_is_a_new_one() {
    let mut it = checked(steady());
    it.probe.fail_ready(ProbeError::new("closed"));
    assert_eq!(it.health.changed().await, Some(Health::Unhealthy));
    assert_eq!(it.probe.counts().calls, 0);
    let snapshot = it.health.snapshot();
    assert_eq!(
        snapshot.last_failure().expect("it failed").to_string(),
        "closed"
    );

    // Nor is there time to wait for it for ever.
    it.probe.hold_ready();
    let checks = it.health.snapshot().checks();
    sleep(secs(31)).await;
    assert_eq!(it.health.snapshot().checks(), checks + 2);
    it.probe.make_ready();
    assert_eq!(it.health.changed().await, Some(Health::Healthy));
}

#[tokio::test(start_paused = true)]
async fn it_can_have_to_show_first_that_it_is_well() {
    let mut it = checked(steady().initial(Health::Unhealthy).up(1));
    assert!(!it.endpoint.is_fit(), "before any check");
    assert_eq!(it.health.health(), Health::Unhealthy);
    assert_eq!(it.health.changed().await, Some(Health::Healthy));
    assert_eq!(it.health.snapshot().checks(), 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_driver_stops_the_checks_and_lifts_the_mark() {
    let mut it = checked(steady().down(1));
    fail(&it.probe);
    assert_eq!(it.health.changed().await, Some(Health::Unhealthy));
    assert!(!it.health.is_stopped());
    it.probe.by_default(|_| Step::pending());
    it.probe.until(|counts| counts.in_flight == 1).await;

    it.driver.abort();
    assert_eq!(it.health.changed().await, None);
    assert!(it.health.is_stopped());
    assert_eq!(it.health.health(), Health::Unhealthy, "what it was last");
    assert!(it.endpoint.is_fit());
    let counts = it.probe.counts();
    assert_eq!((counts.in_flight, counts.cancelled), (0, 1));
    sleep(secs(100)).await;
    assert_eq!(it.probe.counts().calls, counts.calls);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_was_never_polled_lifts_its_mark_too() {
    let check = steady().initial(Health::Unhealthy).build().expect("valid");
    let endpoint = Endpoint::new("a");
    let (driver, health) = check.check(
        &endpoint,
        service_fn(|_: Endpoint| ready(Ok::<_, BoxError>(()))),
    );
    assert!(!endpoint.is_fit());
    drop(driver);
    assert!(endpoint.is_fit() && health.is_stopped());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_change_hears_of_each_and_may_stop_waiting() {
    let mut it = checked(steady().up(1).down(1));
    let mut other = it.health.clone();
    assert!(it.health.changed().now_or_never().is_none());
    for expected in [Health::Unhealthy, Health::Healthy, Health::Unhealthy] {
        if expected.is_healthy() {
            it.probe.by_default(|_| Step::respond(()));
        } else {
            fail(&it.probe);
        }
        assert_eq!(it.health.changed().await, Some(expected));
        assert_eq!(it.health.health(), expected);
    }
    // This one was not listening, and is told what is.
    assert_eq!(other.changed().await, Some(Health::Unhealthy));
}

#[tokio::test(start_paused = true)]
async fn waits_are_spread_within_the_jitter_and_repeat_by_seed_only() {
    /// When each of the first checks was made.
    async fn times(builder: HealthCheckBuilder) -> Vec<Duration> {
        let it = checked(builder);
        let started = Instant::now();
        let mut times = Vec::new();
        for n in 1..=50 {
            it.probe.until(|counts| counts.calls == n).await;
            times.push(started.elapsed());
        }
        it.driver.abort();
        times
    }
    let unseeded = times(HealthCheck::builder()).await;
    assert!(unseeded[0] <= secs(1), "within a tenth of an interval");
    let waits: Vec<_> = unseeded.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Timers are of whole milliseconds, rounded up.
    assert!(
        waits
            .iter()
            .all(|wait| (secs(9)..=secs(11) + Duration::from_millis(1)).contains(wait))
    );
    let spread = *waits.iter().max().expect("some") - *waits.iter().min().expect("some");
    assert!(spread > secs(1), "{spread:?}");

    assert_ne!(times(HealthCheck::builder()).await, unseeded);
    let seeded = || HealthCheck::builder().seed(7);
    assert_eq!(times(seeded()).await, times(seeded()).await);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_is_fit_when_nobody_finds_it_unfit() {
    let mut it = checked(steady().up(1).down(1));
    it.endpoint.set_unfit(Unfit::Ejected, true);
    fail(&it.probe);
    assert_eq!(it.health.changed().await, Some(Health::Unhealthy));
    it.endpoint.set_unfit(Unfit::Ejected, false);
    assert!(!it.endpoint.is_fit());
    it.endpoint.set_unfit(Unfit::Ejected, true);
    it.probe.by_default(|_| Step::respond(()));
    assert_eq!(it.health.changed().await, Some(Health::Healthy));
    assert!(!it.endpoint.is_fit());
}

#[test]
fn settings_that_cannot_be_are_refused_by_name() {
    let builder = HealthCheck::builder;
    for (builder, field) in [
        (builder().interval(Duration::ZERO), "interval"),
        (builder().timeout(Duration::ZERO), "timeout"),
        (builder().up(0), "up"),
        (builder().down(0), "down"),
        (builder().jitter(-0.1), "jitter"),
        (builder().jitter(1.1), "jitter"),
        (builder().jitter(f64::NAN), "jitter"),
    ] {
        assert_eq!(builder.build().expect_err(field).field(), field);
    }
    assert!(
        builder()
            .interval(Duration::MAX)
            .timeout(Duration::MAX)
            .build()
            .is_ok()
    );
}

#[cfg(feature = "http")]
mod http {
    use ::http::{Request, Response};
    use bartizan_core::{Body, ConfigError, StatusSet};
    use bartizan_resilience::health::{HttpProbe, UnexpectedStatus};
    use tower::ServiceExt;

    use super::*;

    type Client = Probe<Request<Body>, Response<Body>>;

    fn client(status: u16) -> (Client, ProbeHandle<Request<Body>, Response<Body>>) {
        Probe::new(move |_| {
            let response = Response::builder().status(status).body(Body::empty());
            response.expect("a status")
        })
    }

    #[tokio::test]
    async fn it_gets_its_path_on_the_endpoint() {
        for (name, uri) in [
            ("10.0.0.1:80", "http://10.0.0.1:80/healthz?deep=1"),
            ("[::1]:8080", "http://[::1]:8080/healthz?deep=1"),
            (
                "https://api.example.com/v2",
                "https://api.example.com/v2/healthz?deep=1",
            ),
        ] {
            let (client, handle) = client(200);
            let probe = HttpProbe::try_new(client, "/healthz?deep=1").expect("a path");
            probe.oneshot(Endpoint::new(name)).await.expect("well");
            let requests = handle.take_requests();
            assert_eq!(requests[0].uri(), uri);
            assert_eq!(requests[0].method(), "GET");
        }
    }

    #[tokio::test]
    async fn it_expects_2xx_unless_told_otherwise() {
        for (status, expected, passes) in [
            (204, None, true),
            (301, None, false),
            (500, None, false),
            (418, Some(StatusSet::range(418, 418)), true),
            (200, Some(StatusSet::range(418, 418)), false),
        ] {
            let (client, _handle) = client(status);
            let mut probe = HttpProbe::try_new(client, "/").expect("a path");
            if let Some(expected) = expected {
                probe = probe.statuses(expected);
            }
            let result = probe.oneshot(Endpoint::new("a:1")).await;
            let answered = result.as_ref().err().map(|error| {
                let error = find::<UnexpectedStatus>(&**error).expect("it says which");
                error.status().as_u16()
            });
            assert_eq!(answered, (!passes).then_some(status));
        }
    }

    #[tokio::test]
    async fn a_name_that_makes_no_url_fails_the_check_and_says_so() {
        let (client, handle) = client(200);
        let probe = HttpProbe::try_new(client, "/").expect("a path");
        for name in ["", "no host", "ftp://a"] {
            let error = probe.clone().oneshot(Endpoint::new(name)).await;
            let error = error.expect_err("no URL");
            assert!(find::<ConfigError>(&*error).is_some(), "{error}");
        }
        assert_eq!(handle.counts().calls, 0);
    }

    #[tokio::test]
    async fn an_error_of_the_client_is_kept() {
        let (client, handle) = client(200);
        handle.push(Step::fail(ProbeError::new("reset")));
        let probe = HttpProbe::try_new(client, "/").expect("a path");
        let error = probe
            .oneshot(Endpoint::new("a:1"))
            .await
            .expect_err("reset");
        assert_eq!(find(&*error), Some(&ProbeError::new("reset")));
    }

    #[test]
    fn a_path_that_is_none_is_refused() {
        for path in ["", "healthz", "http://a/b", "/a b"] {
            let (client, _handle) = client(200);
            let error = HttpProbe::try_new(client, path).expect_err("no path");
            assert_eq!((error.field(), error.value()), ("path", path));
        }
    }
}
