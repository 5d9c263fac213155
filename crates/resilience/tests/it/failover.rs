use std::{convert::Infallible, time::Duration};

use bartizan_core::{Body, BoxError, ConfigError, Rejection, StatusSet, find};
use bartizan_resilience::failover::{
    Attempt, Exhausted, Failover, FailoverHandle, FailoverLayer, HttpPolicy, OnError, Report,
};
use bartizan_testing::{ControlledBody, Probe, ProbeError, ProbeHandle, Step, contract};
use http::{Request, Response};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn, util::BoxCloneService};

contract! {
    mod laws {
        layer: |probe| Failover::builder(OnError)
            .target("a", probe.clone())
            .target("b", probe)
            .build()
            .expect("two targets"),
        request: || (),
        response: || (),
    }
}

contract! {
    mod http_laws {
        layer: |probe| FailoverLayer::builder()
            .targets(["http://a", "http://b", "http://c"])
            .build()
            .expect("three targets")
            .layer(probe),
        request: || Request::new(Body::empty()),
        response: || Response::new(Body::empty()),
    }
}

type Target = (Probe<u32, &'static str>, ProbeHandle<u32, &'static str>);

/// Targets that answer with their names.
fn targets() -> [Target; 3] {
    ["a", "b", "c"].map(|name| Probe::new(move |_| name))
}

fn failover(targets: &[Target; 3]) -> Failover<Probe<u32, &'static str>, OnError> {
    let [a, b, c] = targets;
    Failover::builder(OnError)
        .target("a", a.0.clone())
        .target("b", b.0.clone())
        .target("c", c.0.clone())
        .interval(Duration::from_millis(100))
        .build()
        .expect("three targets")
}

fn calls(targets: &[Target; 3]) -> [usize; 3] {
    [0, 1, 2].map(|i| targets[i].1.counts().calls)
}

#[tokio::test(start_paused = true)]
async fn the_first_answers_and_nobody_else_is_asked() {
    let targets = targets();
    let service = failover(&targets);
    assert_eq!(service.clone().oneshot(1).await.expect("an answer"), "a");
    assert_eq!(calls(&targets), [1, 0, 0]);
    assert_eq!(service.handle().current(), 0);
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_until_one_answers_sticks_to_it_and_wraps_round() {
    let targets = targets();
    let service = failover(&targets);
    let handle = service.handle();
    for target in &targets[..2] {
        target.1.by_default(|_| Step::fail(ProbeError::new("down")));
    }
    let started = Instant::now();
    assert_eq!(service.clone().oneshot(7).await.expect("an answer"), "c");
    assert_eq!(
        started.elapsed(),
        Duration::from_millis(200),
        "an interval before each further target"
    );
    assert_eq!((handle.current(), handle.name()), (2, "c"));
    assert_eq!(handle.names().collect::<Vec<_>>(), ["a", "b", "c"]);

    assert_eq!(service.clone().oneshot(8).await.expect("an answer"), "c");
    assert_eq!(calls(&targets), [1, 1, 2]);

    targets[2].1.push(Step::fail(ProbeError::new("down")));
    targets[0].1.by_default(|_| Step::respond("a again"));
    assert_eq!(service.oneshot(9).await.expect("an answer"), "a again");
    assert_eq!(handle.current(), 0);
    // Every target got the request as it was.
    assert_eq!(targets[1].1.take_requests(), [7]);
    assert_eq!(targets[2].1.take_requests(), [7, 8, 9]);
}

#[tokio::test(start_paused = true)]
async fn when_none_answers_the_error_says_what_each_did() {
    let targets = targets();
    for (i, target) in targets.iter().enumerate() {
        target.1.by_default(move |_| {
            Step::fail(ProbeError::new(format!("no {i}"))).after(Duration::from_secs(i as u64))
        });
    }
    let service = failover(&targets);
    let error = service.clone().oneshot(1).await.expect_err("no answer");
    assert!(find::<Rejection>(&*error).is_some_and(Rejection::is_exhausted));
    let exhausted = find::<Exhausted>(&*error).expect("what each did");
    assert!(!exhausted.is_unreplayable());
    assert_eq!(
        exhausted.to_string(),
        "no target answered (target 0 (a): no 0, at once; target 1 (b): no 1, after 1.0s; \
         target 2 (c): no 2, after 2.0s)"
    );
    let attempts = exhausted.report().attempts();
    assert_eq!(
        attempts.iter().map(Attempt::target).collect::<Vec<_>>(),
        [0, 1, 2]
    );
    assert!(
        attempts
            .iter()
            .all(|attempt| attempt.error().is_some() && !attempt.is_answer())
    );
    // The chain goes on with the last.
    assert_eq!(find::<ProbeError>(&*error), Some(&ProbeError::new("no 2")));
    assert_eq!(service.handle().current(), 0, "nothing was learned");
}

#[tokio::test(start_paused = true)]
async fn a_target_whose_readiness_fails_has_failed() {
    let targets = targets();
    targets[0].1.fail_ready(ProbeError::new("closed"));
    targets[1].1.fail_ready(ProbeError::new("closed"));
    let mut service = failover(&targets);
    assert_eq!(
        service
            .ready()
            .await
            .expect("others are left")
            .call(1)
            .await
            .expect("an answer"),
        "c"
    );
    assert_eq!(calls(&targets), [0, 0, 1]);

    targets[2].1.fail_ready(ProbeError::new("closed"));
    let error = service.oneshot(2).await.expect_err("no answer");
    let exhausted = find::<Exhausted>(&*error).expect("what each did");
    assert_eq!(exhausted.report().attempts().len(), 3);
    assert_eq!(
        find::<ProbeError>(&*error),
        Some(&ProbeError::new("closed"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_single_target_whose_readiness_fails_is_the_end() {
    let (probe, handle) = Probe::new(|_: &u32| "a");
    handle.fail_ready(ProbeError::new("closed"));
    let service = Failover::builder(OnError)
        .target("a", probe)
        .build()
        .expect("one target");
    let error = service.oneshot(1).await.expect_err("no answer");
    let exhausted = find::<Exhausted>(&*error).expect("what it did");
    assert!(!exhausted.is_unreplayable());
    assert_eq!(
        exhausted.to_string(),
        "no target answered (target 0 (a): closed, at once)"
    );
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_waits_for_one_target_turns_to_the_one_that_became_current() {
    let targets = targets();
    let service = failover(&targets);
    targets[0].1.hold_ready();
    let mut waiting = service.clone();
    assert!(
        tokio::time::timeout(Duration::from_secs(1), waiting.ready())
            .await
            .is_err()
    );

    // Meanwhile another instance, made ready before, finds that `a` is down.
    targets[0].1.make_ready();
    targets[0].1.push(Step::fail(ProbeError::new("down")));
    assert_eq!(service.oneshot(1).await.expect("an answer"), "b");
    targets[0].1.hold_ready();
    assert_eq!(waiting.oneshot(2).await.expect("an answer"), "b");
}

#[tokio::test(start_paused = true)]
async fn what_was_made_ready_is_what_is_called() {
    let targets = targets();
    let service = failover(&targets);
    let mut ready = service.clone();
    ready.ready().await.expect("ready");
    targets[0].1.push(Step::fail(ProbeError::new("down")));
    service.clone().oneshot(1).await.expect("an answer");
    assert_eq!(service.handle().name(), "b");
    // It holds a place at `a`, and uses it.
    assert_eq!(ready.call(2).await.expect("an answer"), "a");
    assert_eq!(
        service.handle().name(),
        "b",
        "an answer where it began moves nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_a_call_moves_nothing_and_asks_nobody_else() {
    let targets = targets();
    targets[0].1.by_default(|_| Step::pending());
    let service = failover(&targets);
    let call = service.clone().oneshot(1);
    assert!(
        tokio::time::timeout(Duration::from_secs(9), call)
            .await
            .is_err()
    );
    assert_eq!(targets[0].1.counts().cancelled, 1);
    assert_eq!(calls(&targets), [1, 0, 0]);
    assert_eq!(service.handle().current(), 0);
}

#[tokio::test(start_paused = true)]
async fn where_errors_cannot_be_it_answers() {
    let down = service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(
            Response::builder()
                .status(503)
                .body(Body::empty())
                .expect("valid"),
        )
    });
    let service = FailoverLayer::builder()
        .target("http://a")
        .build()
        .expect("one target")
        .reject_with(Rejection::into_response)
        .layer(down);
    let Ok(response) = service.oneshot(Request::new(Body::empty())).await;
    assert_eq!(response.status(), 502);
}

/// What was sent to the client below: where, and the `Host` header.
#[derive(Clone, Debug)]
struct Echo;

impl Service<Request<Body>> for Echo {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Response<Body>, BoxError>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxError>> {
        std::task::Poll::Ready(Ok(()))
    }

    /// The status is the first label of the host: `http://503.example`.
    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let host = request.uri().host().unwrap_or_default();
        let status = host
            .split('.')
            .next()
            .and_then(|status| status.parse::<u16>().ok());
        let echo = format!("{} {:?}", request.uri(), request.headers().get("host"));
        let response = Response::builder()
            .status(status.unwrap_or(200))
            .body(echo.into());
        std::future::ready(response.map_err(Into::into))
    }
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().whole().cloned().expect("whole");
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn layer(targets: &[&str]) -> FailoverLayer {
    FailoverLayer::builder()
        .targets(targets.iter().copied())
        .build()
        .expect("valid")
}

#[tokio::test]
async fn a_request_goes_below_its_target_with_the_targets_host() {
    let service = layer(&["http://503.example:81/x", "https://b.example/v2/"]).layer(Echo);
    let request = Request::get("http://front/users?page=2").header("host", "front");
    let response = service
        .oneshot(request.body(Body::empty()).expect("valid"))
        .await;
    assert_eq!(
        text(response.expect("an answer")).await,
        "https://b.example/v2/users?page=2 None"
    );
}

#[tokio::test]
async fn five_hundred_one_to_four_are_no_answers_and_the_rest_are() {
    for (status, is_answer) in [
        (200, true),
        (404, true),
        (429, true),
        (500, true),
        (501, false),
        (502, false),
        (503, false),
        (504, false),
        (505, true),
    ] {
        let layer = layer(&[&format!("http://{status}.example"), "http://good.example"]);
        let handle: FailoverHandle = layer.handle();
        let response = layer
            .layer(Echo)
            .oneshot(Request::new(Body::empty()))
            .await
            .expect("an answer");
        assert_eq!(handle.current(), usize::from(!is_answer), "{status}");
        assert_eq!(
            response.extensions().get::<Report>().is_some(),
            !is_answer,
            "{status}"
        );
    }
}

#[tokio::test]
async fn the_statuses_can_be_set() {
    let layer = FailoverLayer::builder()
        .targets([
            "http://503.example",
            "http://418.example",
            "http://200.example",
        ])
        .statuses([418])
        .build()
        .expect("valid");
    let response = layer.layer(Echo).oneshot(Request::new(Body::empty())).await;
    assert_eq!(response.expect("503 is an answer now").status(), 503);
}

#[tokio::test]
async fn the_report_of_an_answer_ends_with_it() {
    let service = layer(&["http://502.example", "http://good.example"]).layer(Echo);
    let response = service
        .oneshot(Request::new(Body::empty()))
        .await
        .expect("an answer");
    let report = response.extensions().get::<Report>().expect("one failed");
    assert_eq!(
        report.to_string(),
        "target 0 (http://502.example): 502 Bad Gateway, at once; \
         target 1 (http://good.example): answered, at once"
    );
    assert!(report.attempts()[1].is_answer());
}

#[tokio::test]
async fn when_all_answer_503_the_error_says_so_of_each() {
    let service = layer(&["http://503.a", "http://503.b"]).layer(Echo);
    let error = service
        .oneshot(Request::new(Body::empty()))
        .await
        .expect_err("no answer");
    let exhausted = find::<Exhausted>(&*error).expect("what each did");
    let faults: Vec<_> = exhausted
        .report()
        .attempts()
        .iter()
        .map(Attempt::fault)
        .collect();
    assert_eq!(faults, [Some("503 Service Unavailable"); 2]);
}

#[tokio::test]
async fn the_last_response_can_be_had_instead() {
    let layer = FailoverLayer::builder()
        .targets(["http://502.a", "http://503.b"])
        .return_last_response()
        .build()
        .expect("valid");
    let handle = layer.handle();
    let response = layer
        .layer(Echo)
        .oneshot(Request::new(Body::empty()))
        .await
        .expect("the last");
    assert_eq!(response.status(), 503);
    let report = response.extensions().get::<Report>().expect("all failed");
    assert_eq!(report.attempts().len(), 2);
    assert!(!report.attempts()[1].is_answer());
    assert_eq!(handle.current(), 0);
}

#[tokio::test]
async fn a_stream_goes_to_one_target_only_and_the_error_says_so() {
    let service = layer(&["http://503.a", "http://b", "http://c"]).layer(Echo);
    let (stream, _sender) = ControlledBody::new();
    let error = service
        .clone()
        .oneshot(Request::new(Body::new(stream)))
        .await
        .expect_err("the first is down");
    let exhausted = find::<Exhausted>(&*error).expect("what it did");
    assert!(exhausted.is_unreplayable());
    assert_eq!(exhausted.report().attempts().len(), 1);
    assert!(exhausted.to_string().starts_with(
        "the request's body is a stream and can be sent only once, so one target was asked \
         (target 0 (http://503.a): 503 Service Unavailable, at once)"
    ));

    let (stream, _sender) = ControlledBody::new();
    let good = layer(&["http://good", "http://b"]).layer(Echo);
    assert!(good.oneshot(Request::new(Body::new(stream))).await.is_ok());
    // With one target there is nothing to be said of others.
    let (stream, _sender) = ControlledBody::new();
    let single = layer(&["http://503.a"]).layer(Echo);
    let error = single
        .oneshot(Request::new(Body::new(stream)))
        .await
        .expect_err("it is down");
    assert!(
        !find::<Exhausted>(&*error)
            .expect("what it did")
            .is_unreplayable()
    );
}

#[tokio::test]
async fn a_path_too_long_for_one_target_goes_to_the_next() {
    let long = format!("http://a/{}", "x".repeat(40_000));
    let service = layer(&[&long, "http://b"]).layer(Echo);
    let path = format!("/{}", "y".repeat(40_000));
    let request = Request::get(&path).body(Body::empty()).expect("valid");
    let response = service.oneshot(request).await.expect("an answer");
    assert!(text(response).await.starts_with("http://b/yyy"));
}

#[test]
fn what_cannot_work_is_refused_with_its_name_and_value() {
    let message = |result: Result<FailoverLayer, ConfigError>| {
        result.expect_err("it cannot work").to_string()
    };
    let builder = FailoverLayer::builder;
    assert_eq!(
        message(builder().build()),
        "invalid targets `[]`: expected at least one target"
    );
    assert_eq!(
        message(builder().target("http://a").target("nowhere").build()),
        "invalid targets[1] `nowhere`: expected an absolute http:// or https:// URL"
    );
    assert_eq!(
        message(builder().targets(["http://a:99999"]).build()),
        "invalid targets[0] `http://a:99999/`: expected a port from 1 to 65535"
    );
    for empty in [
        builder().target("http://a").statuses([]).build(),
        builder().target("http://a").statuses("").build(),
        builder()
            .target("http://a")
            .statuses(StatusSet::EMPTY)
            .build(),
    ] {
        assert_eq!(
            message(empty),
            "invalid statuses `[]`: expected at least one of the status codes from 100 to 999, such as `502, 504` or `501-504`"
        );
    }
    assert_eq!(
        message(builder().target("http://a").statuses([502, 42]).build()),
        "invalid statuses `42`: expected status codes from 100 to 999, such as `502, 504` or `501-504`"
    );
    // The first mistake is the one to tell.
    assert!(message(builder().target("x").statuses([1]).build()).contains("targets[0]"));
    let none: Result<Failover<Echo, HttpPolicy>, _> = Failover::builder(HttpPolicy::new()).build();
    assert_eq!(
        none.expect_err("none").to_string(),
        "invalid targets `[]`: expected at least one target"
    );
}

#[tokio::test]
async fn services_of_one_layer_share_what_it_learned() {
    let layer = layer(&["http://503.a", "http://b"]);
    let first = layer.layer(Echo);
    let second = layer.layer(Echo);
    first
        .oneshot(Request::new(Body::empty()))
        .await
        .expect("an answer");
    assert_eq!(layer.handle().current(), 1);
    let response = second
        .oneshot(Request::new(Body::empty()))
        .await
        .expect("an answer");
    assert!(
        response.extensions().get::<Report>().is_none(),
        "it went straight there"
    );
}

#[tokio::test]
async fn a_target_need_not_be_sync() {
    let target = service_fn(|n: u32| async move { Ok::<_, BoxError>(n) });
    let failover = Failover::builder(OnError)
        .target("a", BoxCloneService::new(target))
        .build()
        .expect("one target");
    // A future that cannot be spawned would not compile.
    let call = tokio::spawn(failover.oneshot(1));
    assert_eq!(call.await.expect("no panic").expect("an answer"), 1);
}
