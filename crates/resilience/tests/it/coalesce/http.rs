//! Over HTTP responses.

use ::http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use bartizan_core::Body;
use bartizan_resilience::coalesce::{Coalesced, HttpCoalesceLayer, HttpPolicy};
use bartizan_testing::{BodyHandle, ControlledBody};
use futures_util::FutureExt;
use http_body::SizeHint;
use http_body_util::BodyExt;

use super::*;

contract! {
    mod laws {
        layer: |probe| HttpCoalesceLayer::new().layer(probe),
        request: || Request::new(Body::empty()),
        response: || Response::new(Body::from("hello")),
    }
}

type HttpProbe = Probe<Request<Body>, Response<Body>>;

fn http_coalescing() -> (HttpProbe, ProbeHandle<Request<Body>, Response<Body>>) {
    Probe::new(|_: &Request<Body>| Response::new(Body::empty()))
}

fn get() -> Request<Body> {
    Request::get("/").body(Body::empty()).expect("valid")
}

/// A response whose body the test sends, of a declared length.
fn streamed(length: Option<u64>) -> (Response<Body>, BodyHandle) {
    let (body, handle) = ControlledBody::new();
    if let Some(length) = length {
        handle.set_size_hint(SizeHint::with_exact(length));
    }
    (Response::new(Body::new(body)), handle)
}

async fn text(response: Response<Body>) -> String {
    let bytes = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    String::from_utf8(bytes.into()).expect("UTF-8")
}

#[tokio::test(start_paused = true)]
async fn over_http_a_body_is_collected_and_shared() {
    let (probe, handle) = http_coalescing();
    let service = HttpCoalesceLayer::new().layer(probe);
    let (response, body) = streamed(Some(10));
    handle.push(Step::respond(response).when_released());
    let tasks = [call(&service, get()).await, call(&service, get()).await];
    handle.release();
    body.data("hello");
    tokio::task::yield_now().await;
    body.data("world");
    body.end();
    let mut marks = Vec::new();
    for task in tasks {
        let response = ended(task).await.expect("a response");
        marks.push(response.extensions().get::<Coalesced>().is_some());
        assert!(response.body().whole().is_some());
        assert_eq!(text(response).await, "helloworld");
    }
    assert_eq!(marks, [false, true]);
    assert_eq!(handle.counts().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn over_http_what_is_too_long_goes_to_the_leader_and_the_others_ask_for_themselves() {
    for (length, undeclared) in [
        (Some(10), false),
        (None, false),
        (None, true),
        (Some(4), true),
    ] {
        let (probe, handle) = http_coalescing();
        handle.by_default(|_| Step::respond(Response::new(Body::from("own"))));
        let layer = HttpCoalesceLayer::new().body_limit(4);
        let layer = if undeclared {
            layer.undeclared_lengths()
        } else {
            layer
        };
        let service = layer.layer(probe);
        let (response, body) = streamed(length);
        handle.push(Step::respond(response).when_released());
        let (leader, waiter) = (call(&service, get()).await, call(&service, get()).await);
        handle.release();
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        // What is not collected anyway is not waited for.
        assert_eq!(leader.is_finished(), length == Some(10) || !undeclared);
        body.data("abc");
        body.data("defghij");
        assert_eq!(text(ended(waiter).await.expect("a response")).await, "own");
        let leader = ended(leader).await.expect("a response");
        body.end();
        assert_eq!(text(leader).await, "abcdefghij", "{length:?} {undeclared}");
        assert_eq!(handle.counts().calls, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn over_http_an_undeclared_length_is_collected_if_that_is_wanted_but_no_event_stream() {
    for (content_type, is_shared) in [
        ("application/json", true),
        ("text/event-stream", false),
        ("Text/Event-Stream; charset=utf-8", false),
    ] {
        let (probe, handle) = http_coalescing();
        handle.by_default(|_| Step::respond(Response::new(Body::from("own"))));
        let service = HttpCoalesceLayer::new().undeclared_lengths().layer(probe);
        let (mut response, body) = streamed(None);
        response
            .headers_mut()
            .insert("content-type", content_type.parse().expect("valid"));
        handle.push(Step::respond(response).when_released());
        let (leader, waiter) = (call(&service, get()).await, call(&service, get()).await);
        handle.release();
        body.data("data");
        if !is_shared {
            // Its head does not wait for the end that never comes.
            ended(leader).await.expect("a response");
        } else {
            body.end();
            assert_eq!(text(ended(leader).await.expect("a response")).await, "data");
        }
        let expected = if is_shared { "data" } else { "own" };
        assert_eq!(
            text(ended(waiter).await.expect("a response")).await,
            expected
        );
    }
}

#[tokio::test(start_paused = true)]
async fn over_http_a_body_that_breaks_off_is_not_shared() {
    let (probe, handle) = http_coalescing();
    handle.by_default(|_| Step::respond(Response::new(Body::from("own"))));
    let service = HttpCoalesceLayer::new().layer(probe);
    let (response, body) = streamed(Some(10));
    handle.push(Step::respond(response).when_released());
    let (leader, waiter) = (call(&service, get()).await, call(&service, get()).await);
    handle.release();
    body.data("half");
    body.fail(ProbeError::new("reset"));
    assert_eq!(text(ended(waiter).await.expect("a response")).await, "own");
    let mut leader = ended(leader).await.expect("a head").into_body();
    let first = leader.frame().await.expect("a frame").expect("data");
    assert_eq!(first.into_data().ok().as_deref(), Some(&b"half"[..]));
    let error = leader
        .frame()
        .await
        .expect("a frame")
        .expect_err("then the error");
    assert_eq!(find(&*error), Some(&ProbeError::new("reset")));
}

#[tokio::test(start_paused = true)]
async fn over_http_trailers_are_kept_and_so_the_body_is_not_shared() {
    let (probe, handle) = http_coalescing();
    let service = HttpCoalesceLayer::new().layer(probe);
    let (response, body) = streamed(Some(4));
    handle.push(Step::respond(response));
    body.data("data");
    let trailers = HeaderMap::from_iter([(
        HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    body.trailers(trailers.clone());
    let response = service.oneshot(get()).await.expect("a response");
    let collected = response.into_body().collect().await.expect("a body");
    assert_eq!(collected.trailers(), Some(&trailers));
    assert_eq!(collected.to_bytes(), "data");
}

#[tokio::test(start_paused = true)]
async fn over_http_which_requests_are_the_same() {
    type Build = fn() -> Request<Body>;
    let with = |name: &'static str, value: &'static str| {
        Request::get("/")
            .header(name, value)
            .body(Body::empty())
            .expect("valid")
    };
    let (stream, _handle) = ControlledBody::new();
    let post: Build = || Request::post("/").body(Body::empty()).expect("valid");
    let two: [Build; 2] = [
        || {
            Request::get("/")
                .header("a", "1")
                .header("b", "2")
                .body(Body::empty())
                .expect("valid")
        },
        || {
            Request::get("/")
                .header("b", "2")
                .header("a", "1")
                .body(Body::empty())
                .expect("valid")
        },
    ];
    for (one, other, are_same) in [
        (get(), get(), true),
        (two[0](), two[1](), true),
        (with("x-request-id", "1"), with("x-request-id", "2"), true),
        (with("x-my-trace", "1"), with("x-my-trace", "2"), true),
        (
            with("authorization", "ann"),
            with("authorization", "bob"),
            false,
        ),
        (with("cookie", "a=1"), get(), false),
        (
            with("upgrade", "websocket"),
            with("upgrade", "websocket"),
            false,
        ),
        (
            get(),
            Request::get("/?page=2").body(Body::empty()).expect("valid"),
            false,
        ),
        (
            get(),
            Request::head("/").body(Body::empty()).expect("valid"),
            false,
        ),
        (post(), post(), false),
        (
            Request::get("/").body(Body::from("query")).expect("valid"),
            Request::get("/").body(Body::new(stream)).expect("valid"),
            false,
        ),
    ] {
        let (probe, handle) = http_coalescing();
        handle.by_default(|_| Step::respond(Response::new(Body::empty())).when_released());
        let policy = HttpPolicy::new().ignore(HeaderName::from_static("x-my-trace"));
        let service = HttpCoalesceLayer::new().policy(policy).layer(probe);
        let described = format!("{one:?} and {other:?}");
        let _tasks = [call(&service, one).await, call(&service, other).await];
        let calls = if are_same { 1 } else { 2 };
        assert_eq!(handle.counts().calls, calls, "{described}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_above_hands_over_when_the_leader_is_out_of_time() {
    let (service, probe) = coalescing();
    let hurried = timeout(Duration::from_secs(1), service.clone().oneshot(7));
    let patient = timeout(Duration::from_secs(60), service.clone().oneshot(7));
    let release = async {
        within_an_hour(probe.until(|counts| counts.calls == 2)).await;
        probe.release();
    };
    let (hurried, patient, ()) = tokio::join!(hurried, patient, release);
    assert!(hurried.is_err());
    assert_eq!(patient.expect("in time").expect("an answer"), 1);
    assert!(service.oneshot(7).now_or_never().is_none());
}
