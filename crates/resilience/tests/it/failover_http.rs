//! Failover between URLs behind one client.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use bartizan_core::{Body, BoxError, ConfigError, Rejection, StatusSet, find};
use bartizan_resilience::failover::{
    Attempt, Exhausted, Failover, FailoverHandle, FailoverLayer, HttpPolicy, Report,
};
use bartizan_testing::{ControlledBody, contract};
use http::{Request, Response};
use tower::{Layer, Service, ServiceExt, service_fn};

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

/// What was sent to the client below: where, and the `Host` header.
#[derive(Clone, Debug)]
struct Echo;

impl Service<Request<Body>> for Echo {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
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
        ready(response.map_err(Into::into))
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
        "the request can be sent only once, so no other target was asked \
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
    for refused in [
        HttpPolicy::new().try_statuses(StatusSet::EMPTY),
        HttpPolicy::new().try_statuses([]),
    ] {
        assert!(
            refused
                .expect_err("empty")
                .to_string()
                .starts_with("invalid statuses `[]`")
        );
    }
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
