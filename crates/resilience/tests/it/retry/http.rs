use std::{
    convert::Infallible,
    error::Error,
    fmt,
    future::ready,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use bartizan_core::{
    Body, BoxError, HttpClassify, Outcome, Rejection, RejectionKind, StatusSet, find,
};
use bartizan_resilience::{
    backoff::Backoff,
    budget::Budget,
    retry::{
        Attempt, Attempts, GaveUp, HttpPolicy, Retry, RetryLayer, RetryLayerBuilder, RetryOptions,
    },
    timeout::TimeoutLayer,
};
use bartizan_testing::{Probe, ProbeError, ProbeHandle, Step, allocations, contract};
use http::{Method, Request, Response, request};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use super::SECOND;

contract! {
    mod http_laws {
        layer: |probe| RetryLayer::default().layer(probe),
        request: || Request::get("/").body(Body::from("whole")).expect("valid"),
        response: || Response::new(Body::empty()),
    }
}

pub(super) type Handle = ProbeHandle<Request<Body>, Response<Body>>;
pub(super) type Probed<C = HttpClassify> =
    Retry<Probe<Request<Body>, Response<Body>>, HttpPolicy<C>>;

pub(super) fn layer() -> RetryLayerBuilder<HttpPolicy> {
    RetryLayer::builder().backoff(Backoff::constant(SECOND))
}

pub(super) fn over_probe<C>(builder: RetryLayerBuilder<HttpPolicy<C>>) -> (Probed<C>, Handle) {
    let (probe, handle) = Probe::new(|_| Response::new(Body::empty()));
    (builder.build().expect("valid").layer(probe), handle)
}

pub(super) fn status(code: u16) -> Response<Body> {
    Response::builder()
        .status(code)
        .body(Body::empty())
        .expect("valid")
}

pub(super) fn asking(code: u16, retry_after: &str) -> Response<Body> {
    let mut response = status(code);
    let value = retry_after.parse().expect("a header value");
    response.headers_mut().insert("retry-after", value);
    response
}

pub(super) fn push(handle: &Handle, responses: impl IntoIterator<Item = Response<Body>>) {
    for response in responses {
        handle.push(Step::respond(response));
    }
}

pub(super) fn empty(builder: request::Builder) -> Request<Body> {
    builder.body(Body::empty()).expect("valid")
}

pub(super) fn attempts(response: &Response<Body>) -> Option<(u32, Option<GaveUp>)> {
    let attempts = response.extensions().get::<Attempts>()?;
    Some((attempts.count(), attempts.gave_up()))
}

#[tokio::test(start_paused = true)]
async fn which_statuses_are_tried_again() {
    for code in [200, 304, 400, 404, 408, 425, 429, 500, 501, 502, 503, 504] {
        let (service, handle) = over_probe(layer());
        push(&handle, [status(code)]);
        let response = service
            .oneshot(empty(Request::get("/")))
            .await
            .expect("a response");
        let again = [408, 429, 502, 503, 504].contains(&code);
        assert_eq!(handle.counts().calls, 1 + usize::from(again), "{code}");
        assert_eq!(response.status(), if again { 200 } else { code });
        assert_eq!(attempts(&response), again.then_some((2, None)), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_response_is_returned_as_it_is() {
    let (service, handle) = over_probe(layer());
    push(&handle, [503, 502, 504].map(status));
    let started = Instant::now();
    let response = service
        .oneshot(empty(Request::get("/")))
        .await
        .expect("the last");
    assert_eq!(response.status(), 504);
    assert_eq!(attempts(&response), Some((3, Some(GaveUp::Attempts))));
    assert_eq!(started.elapsed(), 2 * SECOND, "no sleep after the last");
}

#[tokio::test(start_paused = true)]
async fn the_statuses_can_be_set() {
    let (service, handle) = over_probe(layer().statuses([418]));
    push(&handle, [status(418), status(503)]);
    let response = service
        .oneshot(empty(Request::get("/")))
        .await
        .expect("a response");
    assert_eq!(
        (response.status().as_u16(), handle.counts().calls),
        (503, 2)
    );

    for (builder, message) in [
        (
            layer().statuses([502, 42]).statuses([]),
            "invalid statuses `42`: expected status codes from 100 to 999, such as `502, 504` or `501-504`",
        ),
        (
            layer().statuses(StatusSet::EMPTY),
            "invalid statuses `[]`: expected at least one of the status codes from 100 to 999, such as `502, 504` or `501-504`",
        ),
    ] {
        assert_eq!(builder.build().expect_err("refused").to_string(), message);
    }
}

/// Ballerina and tower-resilience repeat every method.
#[tokio::test(start_paused = true)]
async fn only_what_is_idempotent_is_repeated() {
    for (method, idempotent) in [
        (Method::GET, true),
        (Method::HEAD, true),
        (Method::OPTIONS, true),
        (Method::PUT, true),
        (Method::DELETE, true),
        (Method::TRACE, true),
        (Method::POST, false),
        (Method::PATCH, false),
        (Method::CONNECT, false),
    ] {
        let (service, handle) = over_probe(layer());
        push(&handle, [status(503)]);
        handle.push(Step::fail(ProbeError::new("reset")));
        let request = || empty(Request::builder().method(&method).uri("/"));
        let response = service
            .clone()
            .oneshot(request())
            .await
            .expect("a response");
        if idempotent {
            assert_eq!(response.status(), 200, "{method}");
        } else {
            assert_eq!(attempts(&response), Some((1, Some(GaveUp::NotIdempotent))));
            let error = service.clone().oneshot(request()).await;
            assert!(error.is_err(), "{method}: the peer may have acted on it");
            assert_eq!(service.handle().gave_up(GaveUp::NotIdempotent), 2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_says_that_it_may_be_repeated_is() {
    let post = || Request::post("/");
    let options = RetryOptions::new();
    for (builder, request, repeated) in [
        (layer(), post().header("Idempotency-Key", "\"a\""), true),
        (layer().any_method(), post(), true),
        (layer(), post().extension(options.repeatable(true)), true),
        (
            layer(),
            Request::get("/").extension(options.repeatable(false)),
            false,
        ),
        (
            layer().any_method(),
            post().extension(options.repeatable(false)),
            false,
        ),
        (
            layer(),
            Request::get("/").extension(RetryOptions::never()),
            false,
        ),
    ] {
        let (service, handle) = over_probe(builder);
        push(&handle, [status(503)]);
        service.oneshot(empty(request)).await.expect("a response");
        assert_eq!(handle.counts().calls, 1 + usize::from(repeated));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_can_have_attempts_of_its_own() {
    for (options, calls) in [
        (RetryOptions::new().attempts(5), 5),
        (RetryOptions::new().attempts(0), 1),
        (RetryOptions::never(), 1),
        (RetryOptions::new(), 3),
    ] {
        let (service, handle) = over_probe(layer());
        handle.by_default(|_| Step::respond(status(503)));
        let request = empty(Request::get("/").extension(options));
        let response = service.oneshot(request).await.expect("the last");
        assert_eq!(handle.counts().calls, calls, "{options:?}");
        assert_eq!(
            attempts(&response),
            Some((u32::try_from(calls).expect("few"), Some(GaveUp::Attempts)))
        );
    }
}

#[derive(Debug)]
struct Transport {
    connected: bool,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connected: {}", self.connected)
    }
}

impl Error for Transport {}

#[tokio::test(start_paused = true)]
async fn what_never_left_is_repeated_whatever_its_method() {
    let unsent = |kind| BoxError::from(Rejection::new(kind, "below"));
    for (error, repeated) in [
        (unsent(RejectionKind::Open), true),
        (unsent(RejectionKind::Full), true),
        (unsent(RejectionKind::Limited), true),
        (unsent(RejectionKind::Shed), true),
        // It would never do.
        (unsent(RejectionKind::Unsendable), false),
        (unsent(RejectionKind::TimedOut), false),
        (unsent(RejectionKind::Exhausted), false),
        (Transport { connected: false }.into(), true),
        (
            std::io::Error::other(Transport { connected: false }).into(),
            true,
        ),
        (Transport { connected: true }.into(), false),
        // The target that was asked last was not there. One before it may have been.
        (
            Rejection::new(RejectionKind::Exhausted, "failover")
                .with_source(Transport { connected: false })
                .into(),
            false,
        ),
        (ProbeError::new("reset").into(), false),
    ] {
        let (service, handle) = over_probe(layer().unsent_if(|e: &Transport| !e.connected));
        let text = format!("{error:?}");
        handle.push(Step::fail(error));
        let result = service.oneshot(empty(Request::post("/"))).await;
        assert_eq!(result.is_ok(), repeated, "{text}");
        assert_eq!(handle.counts().calls, 1 + usize::from(repeated), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unboxed_error_is_looked_into() {
    let mut calls = 0;
    let service = service_fn(move |_: Request<Body>| {
        calls += 1;
        ready(match calls {
            1 => Err(Transport { connected: false }),
            _ => Ok(status(200)),
        })
    });
    let service = Arc::new(Mutex::new(service));
    let service = service_fn(move |request| service.lock().expect("unpoisoned").call(request));
    let layer = layer()
        .unsent_if(|e: &Transport| !e.connected)
        .build()
        .expect("valid");
    let response = layer
        .layer(service)
        .oneshot(empty(Request::post("/")))
        .await;
    assert_eq!(response.expect("the second").status(), 200);
}

/// Parity, fact 18.
#[tokio::test(start_paused = true)]
async fn a_spent_budget_leaves_the_response_and_says_so() {
    let budget = Budget::builder().ratio(0.0).per_second(0).burst(1);
    let budget = budget.build().expect("valid");
    let (service, handle) = over_probe(layer().budget(budget.clone()));
    handle.by_default(|_| Step::respond(status(503)));
    let response = service
        .oneshot(empty(Request::get("/")))
        .await
        .expect("503");
    assert_eq!(attempts(&response), Some((2, Some(GaveUp::Budget))));
    assert_eq!(budget.refused(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_retry_can_be_modified_and_carries_its_number() {
    let (service, handle) = over_probe(layer().modify(|request, attempt| {
        request.headers_mut().insert("x-attempt", attempt.into());
    }));
    push(&handle, [503, 503].map(status));
    let request = Request::put("/a?b=c")
        .header("x-own", "kept")
        .extension(7_u8);
    service.oneshot(empty(request)).await.expect("the third");
    let requests = handle.take_requests();
    for (n, request) in (1_u32..).zip(&requests) {
        assert_eq!(request.method(), Method::PUT);
        assert_eq!(request.uri(), "/a?b=c");
        assert_eq!(request.headers()["x-own"], "kept");
        assert_eq!(request.extensions().get(), Some(&7_u8));
        let number = request.headers().get("x-attempt").cloned();
        let extension = request.extensions().get::<Attempt>().map(|a| a.number());
        if n == 1 {
            assert_eq!((number, extension), (None, None));
        } else {
            assert_eq!(number, Some(n.into()));
            assert_eq!(extension, Some(n));
        }
    }
    assert_eq!(requests.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn calls_can_be_judged_otherwise() {
    let classify = |result: Result<&Response<Body>, &BoxError>| match result {
        Ok(response) if response.headers().contains_key("x-stale") => Outcome::Throttled {
            retry_after: Some(5 * SECOND),
        },
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::Ignored,
    };
    let (service, handle) = over_probe(layer().classify(classify));
    let mut stale = status(200);
    stale.headers_mut().insert("x-stale", 1.into());
    push(&handle, [stale, status(503)]);
    let started = Instant::now();
    let response = service
        .clone()
        .oneshot(empty(Request::get("/")))
        .await
        .expect("503");
    assert_eq!(response.status(), 503, "a success, by this judgement");
    assert_eq!(started.elapsed(), 5 * SECOND);
    handle.push(Step::fail(ProbeError::new("ignored")));
    assert!(service.oneshot(empty(Request::get("/"))).await.is_err());
    assert_eq!(handle.counts().calls, 3);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_its_own_timeout() {
    let (probe, handle) = Probe::new(|_: &Request<Body>| status(200));
    handle.push(Step::pending());
    let stack = ServiceBuilder::new()
        .layer(layer().build().expect("valid"))
        .layer(TimeoutLayer::new(5 * SECOND))
        .service(probe);
    let started = Instant::now();
    let response = stack
        .clone()
        .oneshot(empty(Request::get("/")))
        .await
        .expect("the second");
    assert_eq!(attempts(&response), Some((2, None)));
    assert_eq!(started.elapsed(), 6 * SECOND);
    // It may have reached the peer.
    handle.push(Step::pending());
    let error = stack
        .oneshot(empty(Request::post("/")))
        .await
        .expect_err("too late");
    assert!(find::<Rejection>(&*error).is_some_and(Rejection::is_timed_out));
}

#[tokio::test(start_paused = true)]
async fn over_a_service_that_cannot_fail() {
    let mut left = 1;
    let busy = Arc::new(Mutex::new(move || {
        left -= 1;
        left < 0
    }));
    let service = service_fn(move |_: Request<Body>| {
        let is_over = busy.lock().expect("unpoisoned")();
        ready(Ok::<_, Infallible>(status(if is_over { 200 } else { 503 })))
    });
    let Ok(response) = layer()
        .build()
        .expect("valid")
        .layer(service)
        .oneshot(empty(Request::get("/")))
        .await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_whole_body_costs_no_allocation() {
    #[derive(Clone)]
    struct Bare;

    impl Service<Request<Body>> for Bare {
        type Response = Response<Body>;
        type Error = BoxError;
        type Future = std::future::Ready<Result<Response<Body>, BoxError>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            ready(Ok(Response::new(Body::empty())))
        }
    }

    let service = RetryLayer::default().layer(Bare);
    let mut cx = Context::from_waker(Waker::noop());
    let mut call = || {
        let mut service = service.clone();
        assert!(Service::<Request<Body>>::poll_ready(&mut service, &mut cx).is_ready());
        let response = pin!(service.call(Request::new(Body::from("whole")))).poll(&mut cx);
        assert!(matches!(response, Poll::Ready(Ok(response)) if response.extensions().is_empty()));
    };
    call();
    let ((), count) = allocations(|| (0..500).for_each(|_| call()));
    assert_eq!(count, 0);
}
