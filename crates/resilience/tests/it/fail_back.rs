//! Failover: back to an earlier target.

use std::{collections::HashMap, time::Duration};

use bartizan_core::{Body, BoxError, find};
use bartizan_resilience::failover::{Exhausted, Failover, FailoverLayer, OnError, Report};
use bartizan_testing::{ControlledBody, Probe, ProbeError, ProbeHandle, Step, contract};
use http::{Request, Response};
use tokio::time::{Instant, advance};
use tower::{
    Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn, util::BoxCloneService,
};

const INTERVAL: Duration = Duration::from_secs(30);

contract! {
    mod laws {
        layer: |probe| Failover::builder(OnError)
            .target("a", probe.clone())
            .target("b", probe)
            .fail_back(Duration::from_nanos(1))
            .build()
            .expect("two targets"),
        request: || (),
        response: || (),
    }
}

type Target = (Probe<u32, &'static str>, ProbeHandle<u32, &'static str>);
type Targets = Failover<Probe<u32, &'static str>, OnError>;

/// Targets of which only the last answers at first, and a service that has found that out.
async fn at_the_last() -> ([Target; 3], Targets) {
    let targets = ["a", "b", "c"].map(|name| Probe::new(move |_| name));
    let service = targets
        .iter()
        .zip(["a", "b", "c"])
        .fold(Failover::builder(OnError), |builder, (target, name)| {
            builder.target(name, target.0.clone())
        })
        .fail_back(INTERVAL)
        .build()
        .expect("three targets");
    for target in &targets[..2] {
        target.1.by_default(|_| Step::fail(ProbeError::new("down")));
    }
    let answer = service.clone().oneshot(0).await;
    assert_eq!(answer.expect("an answer"), "c");
    (targets, service)
}

fn calls(targets: &[Target; 3]) -> [usize; 3] {
    [0, 1, 2].map(|i| targets[i].1.counts().calls)
}

#[tokio::test(start_paused = true)]
async fn one_call_per_interval_tries_the_earlier_ones_in_turn() {
    let (targets, service) = at_the_last().await;
    let mut expected = [1, 1, 1];
    for tried in [0, 1, 0] {
        for _ in 0..5 {
            service.clone().oneshot(1).await.expect("an answer");
            expected[2] += 1;
        }
        assert_eq!(calls(&targets), expected, "it is not time yet");
        advance(INTERVAL).await;
        let answer = service.clone().oneshot(1).await;
        assert_eq!(answer.expect("where it would have begun"), "c");
        expected[tried] += 1;
        expected[2] += 1;
        assert_eq!(calls(&targets), expected);
        assert_eq!(service.handle().name(), "c");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_has_recovered_is_current_again() {
    let (targets, service) = at_the_last().await;
    targets[0].1.by_default(|_| Step::respond("a again"));
    advance(INTERVAL).await;
    for _ in 0..3 {
        let answer = service.clone().oneshot(1).await;
        assert_eq!(answer.expect("an answer"), "a again");
    }
    assert_eq!(service.handle().current(), 0);
    assert_eq!(calls(&targets), [4, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn it_is_off_unless_turned_on() {
    let (a, a_handle) = Probe::new(|_: &u32| "a");
    let (b, _b_handle) = Probe::new(|_: &u32| "b");
    let service = Failover::builder(OnError).target("a", a).target("b", b);
    let service = service.build().expect("two targets");
    a_handle.push(Step::fail(ProbeError::new("down")));
    service.clone().oneshot(1).await.expect("an answer");
    advance(INTERVAL * 1000).await;
    assert_eq!(service.oneshot(1).await.expect("an answer"), "b");
}

#[tokio::test(start_paused = true)]
async fn an_earlier_target_that_is_not_ready_is_passed_by() {
    let (targets, service) = at_the_last().await;
    targets[0].1.hold_ready();
    advance(INTERVAL).await;
    let started = Instant::now();
    let answer = service.clone().oneshot(1).await;
    assert_eq!(answer.expect("an answer"), "c");
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(calls(&targets), [1, 1, 2]);

    // It still has its turn when all others fail.
    targets[0].1.make_ready();
    targets[2]
        .1
        .by_default(|_| Step::fail(ProbeError::new("down")));
    let error = service.clone().oneshot(2).await.expect_err("all are down");
    let exhausted = find::<Exhausted>(&*error).expect("what each did");
    assert_eq!(exhausted.report().attempts().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn one_whose_readiness_fails_is_tried_once() {
    let (targets, service) = at_the_last().await;
    targets[0].1.fail_ready(ProbeError::new("closed"));
    targets[2]
        .1
        .by_default(|_| Step::fail(ProbeError::new("down")));
    advance(INTERVAL).await;
    let error = service.clone().oneshot(1).await.expect_err("all are down");
    let exhausted = find::<Exhausted>(&*error).expect("what each did");
    let asked: Vec<_> = exhausted
        .report()
        .attempts()
        .iter()
        .map(bartizan_resilience::failover::Attempt::target)
        .collect();
    assert_eq!(asked, [0, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn what_was_made_ready_is_what_is_called_when_the_earlier_one_fails() {
    // A place that is held while the earlier target is tried, and then needed: two would not fit.
    let down = service_fn(|_: u32| async { Err::<&str, BoxError>("down".into()) });
    let good = service_fn(|_: u32| async { Ok::<_, BoxError>("b") });
    let limited = |service| BoxCloneService::new(ConcurrencyLimit::new(service, 1));
    let service = Failover::builder(OnError)
        .target("a", limited(BoxCloneService::new(down)))
        .target("b", limited(BoxCloneService::new(good)))
        .fail_back(INTERVAL)
        .build()
        .expect("two targets");
    let mut one = service.clone();
    for _ in 0..3 {
        one.ready().await.expect("ready");
        let call = one.call(1);
        let answer = tokio::time::timeout(INTERVAL, call).await;
        assert_eq!(answer.expect("in time").expect("an answer"), "b");
        advance(INTERVAL).await;
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_call_that_tries_leaks_nothing_and_moves_nothing() {
    let (targets, service) = at_the_last().await;
    targets[0].1.by_default(|_| Step::pending());
    advance(INTERVAL).await;
    let call = service.clone().oneshot(1);
    let waited = tokio::time::timeout(Duration::from_secs(1), call).await;
    assert!(waited.is_err());
    assert_eq!(targets[0].1.counts().cancelled, 1);
    assert_eq!(service.handle().name(), "c");
    let answer = service.clone().oneshot(1).await;
    assert_eq!(answer.expect("an answer"), "c");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_can_be_sent_only_once_tries_nobody() {
    let client = service_fn(|request: Request<Body>| async move {
        let status = match request.uri().host() {
            Some("a") => 503,
            _ => 200,
        };
        Ok::<_, BoxError>(Response::builder().status(status).body(Body::empty())?)
    });
    let layer = FailoverLayer::builder()
        .targets(["http://a", "http://b"])
        .fail_back(INTERVAL)
        .build()
        .expect("two targets");
    let service = layer.layer(client);
    let whole = || Request::new(Body::empty());
    assert!(service.clone().oneshot(whole()).await.is_ok());
    assert_eq!(layer.handle().current(), 1);

    advance(INTERVAL).await;
    let (stream, _sender) = ControlledBody::new();
    let streamed = Request::new(Body::new(stream));
    let response = service.clone().oneshot(streamed).await.expect("an answer");
    assert!(response.extensions().get::<Report>().is_none());
    // Nor did it use up the turn.
    let response = service.clone().oneshot(whole()).await.expect("an answer");
    let report = response.extensions().get::<Report>().expect("it tried");
    assert_eq!(report.attempts()[0].target(), 0);
    assert_eq!(report.attempts()[1].target(), 1);
}

#[test]
fn an_interval_of_zero_is_refused() {
    let message = "invalid fail_back `0ns`: expected an interval longer than zero";
    let http = FailoverLayer::builder().target("http://a");
    let error = http.fail_back(Duration::ZERO).build().expect_err("refused");
    assert_eq!(error.to_string(), message);
    let (probe, _handle) = Probe::new(|_: &u32| "a");
    let any = Failover::builder(OnError).target("a", probe);
    let error = any.fail_back(Duration::ZERO).build().expect_err("refused");
    assert_eq!(error.to_string(), message);
}

/// What stands for a connection that lives on: a WebSocket client's session, a database's.
#[derive(Clone, Debug, PartialEq)]
struct Session(&'static str);

#[tokio::test(start_paused = true)]
async fn it_works_above_any_services_of_any_protocol() {
    // Neither the request nor the response is HTTP, the response is no value of one moment, and each target is of another type.
    type Connect = BoxCloneService<HashMap<&'static str, u16>, Session, BoxError>;
    let refused = service_fn(|_: HashMap<&'static str, u16>| async {
        Err::<Session, BoxError>(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into())
    });
    let (slow, slow_handle) = Probe::new(|_: &HashMap<&'static str, u16>| Session("slow"));
    slow_handle.by_default(|_| Step::pending());
    let slow = tower::timeout::Timeout::new(slow, Duration::from_secs(5));
    let good = service_fn(|options: HashMap<&'static str, u16>| async move {
        assert_eq!(options["ping"], 30);
        Ok::<_, BoxError>(Session("good"))
    });
    let service: Failover<Connect, _> = Failover::builder(OnError)
        .target("refused", BoxCloneService::new(refused))
        .target("slow", BoxCloneService::new(slow))
        .target("good", BoxCloneService::new(good))
        .fail_back(INTERVAL)
        .build()
        .expect("three targets");
    let options = HashMap::from([("ping", 30)]);
    let started = Instant::now();
    let session = service.clone().oneshot(options.clone()).await;
    assert_eq!(session.expect("a session"), Session("good"));
    assert_eq!(started.elapsed(), Duration::from_secs(5));
    assert_eq!(service.handle().name(), "good");

    slow_handle.by_default(|_| Step::respond(Session("slow no more")));
    for (session, name) in [("good", "good"), ("slow no more", "slow")] {
        advance(INTERVAL).await;
        let answer = service.clone().oneshot(options.clone()).await;
        assert_eq!(answer.expect("a session"), Session(session));
        assert_eq!(service.handle().name(), name);
    }
}
