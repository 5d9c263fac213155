//! The mock answers what it was told, and says what came instead.

use std::{sync::Arc, time::Duration};

use bartizan_core::{Body, BoxError, find};
use bartizan_testing::{
    Answer, ControlledBody, MockHandle, MockTransport, ProbeError, Route, Unmatched,
};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout};
use tower_service::Service;

use crate::panic_of;

fn get(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::empty()).expect("a request")
}

async fn status(transport: &MockTransport, request: Request<Body>) -> Result<u16, BoxError> {
    let response = transport.clone().call(request).await?;
    Ok(response.status().as_u16())
}

async fn text(response: Response<Body>) -> Result<String, BoxError> {
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec())?)
}

fn why(route: &Route, request: &Request<Bytes>) -> Option<String> {
    (!route.matches(request)).then(|| route.to_string())
}

#[test]
fn routes_match_what_they_say() {
    let request = Request::post("http://API.example.com:8080/users/7?page=2&q=a+b&page=3")
        .header("accept", "text/html")
        .header("accept", "application/json")
        .body(Bytes::from("hello"))
        .unwrap();
    for route in [
        Route::any("*"),
        Route::any("/users/*"),
        Route::post("/users/7"),
        Route::post("*").host("api.example.com"),
        Route::post("*").host("API.example.com:8080"),
        Route::post("*").host("*.example.com"),
        Route::post("*").header("Accept", "application/json"),
        Route::post("*").header("accept", "text/*"),
        Route::post("*").query("page", "3").query("q", "a b"),
        Route::post("*").body("hello"),
        Route::post("*").when("short", |request| request.body().len() < 9),
    ] {
        assert_eq!(why(&route, &request), None);
    }
    for route in [
        Route::get("*"),
        Route::post("/users"),
        Route::post("/users/7?page=2"),
        Route::post("*").host("example.com"),
        Route::post("*").host("api.example.com:80"),
        Route::post("*").header("accept", "text/plain"),
        Route::post("*").header("authorization", "*"),
        Route::post("*").query("page", "4"),
        Route::post("*").query("size", "*"),
        Route::post("*").body("hell"),
        Route::post("*").when("long", |request| request.body().len() > 9),
    ] {
        assert!(!route.matches(&request), "{route}");
    }
}

#[test]
fn a_host_may_be_in_the_header_and_have_brackets() {
    let request = Request::get("/")
        .header("host", "[::1]:80")
        .body(Bytes::new())
        .unwrap();
    assert!(Route::any("*").host("[::1]").matches(&request));
    assert!(Route::any("*").host("[::1]:80").matches(&request));
    let request = Request::get("http://user:pass@[::1]/")
        .body(Bytes::new())
        .unwrap();
    assert!(Route::any("*").host("[::1]").matches(&request));
    assert!(!Route::any("*").host("user*").matches(&request));
}

#[tokio::test]
async fn the_first_route_that_matches_answers_and_the_last_answer_is_repeated() {
    let (transport, mock) = MockTransport::new();
    mock.on(Route::get("/a"))
        .replies([Answer::status(201), Answer::status(202)]);
    mock.on(Route::get("*"))
        .expect(1)
        .reply(Answer::status(203));
    let mut statuses = Vec::new();
    for path in ["/a", "/a", "/a", "/b"] {
        statuses.push(status(&transport, get(path)).await.unwrap());
    }
    assert_eq!(statuses, [201, 202, 202, 203]);
}

#[tokio::test]
async fn the_history_has_all_of_a_request() {
    let (mut transport, mock) = MockTransport::new();
    mock.on(Route::any("*")).reply(Answer::status(200));
    let (body, handle) = ControlledBody::new();
    let request = Request::put("http://a/b?c=d")
        .header("x-id", "1")
        .extension("kept")
        .body(body)
        .unwrap();
    let call = tokio::spawn(async move { transport.call(request).await });
    handle.data("hel");
    handle.until(|counts| counts.frames == 1).await;
    // What has not ended was not received.
    assert!(mock.requests().is_empty());
    handle.data("lo");
    handle.end();
    mock.until_received(1).await;
    call.await.unwrap().unwrap();
    let requests = mock.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(
        (requests[0].method(), requests[0].uri()),
        (&http::Method::PUT, &"http://a/b?c=d".parse().unwrap())
    );
    assert_eq!(requests[0].headers()["x-id"], "1");
    assert_eq!(requests[0].extensions().get::<&str>(), Some(&"kept"));
    assert_eq!(requests[0].body(), "hello");
}

#[tokio::test]
async fn a_request_whose_body_fails_fails_with_it() {
    let (mut transport, mock) = MockTransport::new();
    mock.on(Route::any("*"))
        .expect(0)
        .reply(Answer::status(200));
    let (body, handle) = ControlledBody::new();
    handle.fail(ProbeError::new("no more"));
    let error = transport.call(Request::new(body)).await.unwrap_err();
    assert!(find::<ProbeError>(&*error).is_some());
    assert!(mock.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn answers_take_the_time_they_are_given() {
    let second = Duration::from_secs(1);
    let (mut transport, mock) = MockTransport::new();
    mock.on(Route::get("/late"))
        .reply(Answer::status(200).after(second * 5));
    mock.on(Route::get("/never")).reply(Answer::hang());
    mock.on(Route::get("/gaps")).reply(
        Answer::stream(
            200,
            [(Duration::ZERO, "a"), (second, "b"), (second * 2, "c")],
        )
        .after(second),
    );
    mock.on(Route::get("/open"))
        .reply(Answer::new(200, "a").never_end());

    let start = Instant::now();
    transport.call(get("/late")).await.unwrap();
    assert_eq!(start.elapsed(), second * 5);

    timeout(second * 1000, transport.call(get("/never")))
        .await
        .unwrap_err();

    let start = Instant::now();
    let mut body = transport.call(get("/gaps")).await.unwrap().into_body();
    let mut seen = Vec::new();
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        seen.push((data, start.elapsed().as_secs()));
    }
    assert_eq!(seen, [("a".into(), 1), ("b".into(), 2), ("c".into(), 4)]);

    let mut body = transport.call(get("/open")).await.unwrap().into_body();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "a"
    );
    timeout(second * 1000, body.frame()).await.unwrap_err();
}

#[tokio::test]
async fn bodies_end_as_they_were_told() {
    let (mut transport, mock) = MockTransport::new();
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
    mock.on(Route::get("/whole"))
        .reply(Answer::new(200, "hello").version(Version::HTTP_2));
    mock.on(Route::get("/empty")).reply(Answer::status(204));
    mock.on(Route::get("/trailers"))
        .reply(Answer::new(200, "hello").trailers(trailers));
    mock.on(Route::get("/broken"))
        .reply(Answer::new(200, "he").break_off(ProbeError::new("reset")));

    let whole = transport.call(get("/whole")).await.unwrap();
    assert_eq!(whole.version(), Version::HTTP_2);
    assert_eq!(whole.body().whole().unwrap(), "hello");
    assert!(
        transport
            .call(get("/empty"))
            .await
            .unwrap()
            .body()
            .is_end_stream()
    );

    let with_trailers = transport.call(get("/trailers")).await.unwrap().into_body();
    let collected = with_trailers.collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "7");
    assert_eq!(collected.to_bytes(), "hello");

    // Twice: an answer is not used up.
    for _ in 0..2 {
        let mut body = transport.call(get("/broken")).await.unwrap().into_body();
        assert!(!body.is_end_stream());
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "he"
        );
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(find::<ProbeError>(&*error).unwrap().to_string(), "reset");
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test]
async fn an_error_and_an_answer_made_from_the_request() {
    let (mut transport, mock) = MockTransport::new();
    mock.on(Route::get("/down"))
        .reply(Answer::fail(ProbeError::new("refused")));
    mock.on(Route::post("/echo"))
        .reply_with(|request| Answer::new(200, request.body().clone()).header("x-echo", "1"));
    let error = transport.call(get("/down")).await.unwrap_err();
    assert_eq!(find::<ProbeError>(&*error).unwrap().to_string(), "refused");
    let request = Request::post("/echo").body(Body::from("hi")).unwrap();
    let response = transport.call(request).await.unwrap();
    assert_eq!(response.headers()["x-echo"], "1");
    assert_eq!(text(response).await.unwrap(), "hi");
}

#[tokio::test]
async fn a_request_without_a_route_fails_and_so_does_the_test() {
    let (mut transport, mock) = MockTransport::new();
    mock.on(Route::get("/users/*")).reply(Answer::status(200));
    mock.on(Route::post("*").header("x-id", "1"))
        .reply(Answer::status(200));
    let request = Request::post("/users/7")
        .header("x-id", "2")
        .body(Body::empty())
        .unwrap();
    let error = transport.call(request).await.unwrap_err();
    let expected = "no route for POST /users/7\
        \n  GET /users/*: the method is POST, not GET\
        \n  POST *, x-id: 1: the header x-id is \"2\", not 1";
    assert_eq!(find::<Unmatched>(&*error).unwrap().to_string(), expected);
    let message = panic_of(|| drop(mock));
    assert_eq!(
        message,
        format!("{expected}\nall requests received:\n  POST /users/7")
    );
}

#[tokio::test]
async fn a_request_without_a_route_can_be_what_the_test_is_about() {
    let (mut transport, mock) = MockTransport::new();
    transport.call(get("/a")).await.unwrap_err();
    let unmatched = mock.take_unmatched();
    assert_eq!(unmatched.len(), 1);
    assert!(
        unmatched[0]
            .to_string()
            .contains("the mock transport has none")
    );
    assert_eq!(mock.requests().len(), 1);
}

#[tokio::test]
async fn an_expectation_that_is_not_met_fails_the_test() {
    for sent in 0..=2 {
        let (mut transport, mock) = MockTransport::new();
        mock.on(Route::get("/a"))
            .expect(1)
            .reply(Answer::status(200));
        for _ in 0..sent {
            transport.call(get("/a")).await.unwrap();
        }
        if sent == 1 {
            mock.verify();
            continue;
        }
        let message = panic_of(|| drop(mock));
        let expected = format!("GET /a: expected 1 requests, received {sent}\n");
        assert!(message.starts_with(&expected), "{message}");
        assert!(
            message.ends_with(if sent == 0 { ": none" } else { "GET /a" }),
            "{message}"
        );
    }
}

#[tokio::test]
async fn a_panic_elsewhere_is_not_made_worse() {
    let (_, mock) = MockTransport::new();
    mock.on(Route::get("/a"))
        .expect(1)
        .reply(Answer::status(200));
    let message = panic_of(move || {
        let _mock = mock;
        panic!("in the test");
    });
    assert_eq!(message, "in the test");
}

#[tokio::test]
async fn a_predicate_may_look_at_the_mock() {
    let (mut transport, mock) = MockTransport::new();
    let mock = Arc::new(mock);
    let seen: Arc<MockHandle> = mock.clone();
    let weak = Arc::downgrade(&seen);
    mock.on(Route::any("*").when("the first", move |_| {
        weak.upgrade()
            .is_some_and(|mock| mock.requests().is_empty())
    }))
    .expect(1)
    .reply(Answer::status(200));
    assert!(transport.call(get("/")).await.is_ok());
    assert!(transport.call(get("/")).await.is_err());
    assert_eq!(mock.take_unmatched().len(), 1);
}
