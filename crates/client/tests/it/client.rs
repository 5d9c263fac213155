//! The client of one type.

use std::{future, time::Duration};

use bartizan_client::{BaseUrlLayer, BodyLimit, Client, Error, RequestExt, ResponseExt, Transport};
use bartizan_core::{Body, BoxError, Clock as _, Rejection, RejectionKind, find};
use bartizan_testing::{ControlledBody, Loopback, ManualClock, allocations, contract};
use futures_util::{FutureExt, StreamExt};
use http::{Request, Response};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

contract! {
    mod a_client {
        layer: Client::from_service,
        request: || Request::new(Body::empty()),
        response: || Response::new(Body::empty()),
    }

    /// Boxed twice.
    mod a_client_below_a_layer {
        layer: |probe| Client::from_service(probe).layer(BaseUrlLayer::try_new("http://h/v2").expect("a URL")),
        request: || Request::new(Body::empty()),
        response: || Response::new(Body::empty()),
    }
}

fn echo() -> Client {
    Client::from_service(service_fn(|request: Request<Body>| async move {
        Ok::<_, BoxError>(Response::new(Body::from(request.uri().to_string())))
    }))
}

#[test]
fn a_client_can_be_shared_and_spawned() {
    fn check<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn check_send<T: Send + 'static>(_: T) {}
    let client = echo();
    check(&client);
    check_send(client.get("/").send());
    check_send(async move { client.get("/").send().await?.text().await });
}

#[tokio::test]
async fn it_calls_over_the_wire() {
    let server =
        Loopback::start(|request: Request<Body>| async { Response::new(request.into_body()) })
            .await;
    let client = Client::new();
    for client in [client.clone(), client] {
        let response = client.post(server.uri("/")).text("hello").send().await;
        assert_eq!(
            response.expect("a response").text().await.expect("text"),
            "hello"
        );
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn layers_go_over_it() {
    let api = echo().layer(BaseUrlLayer::try_new("http://h/v2").expect("a URL"));
    let response = api.get("/users").send().await.expect("a response");
    assert_eq!(response.text().await.expect("text"), "http://h/v2/users");
}

#[tokio::test]
async fn a_call_is_one_box() {
    let service =
        service_fn(|_: Request<Body>| future::ready(Ok::<_, Error>(Response::new(Body::empty()))));
    let mut client = Client::from_service(service);
    client
        .ready()
        .await
        .expect("ready")
        .call(Request::new(Body::empty()))
        .await
        .expect("a response");
    let ((), boxes) = allocations(|| {
        let request = Request::new(Body::empty());
        let call = async { client.ready().await?.call(request).await };
        let response = call.now_or_never();
        drop(response.expect("at once").expect("a response"));
    });
    assert_eq!(boxes, 1);
}

#[tokio::test]
async fn readiness_is_that_of_the_stack() {
    let limited = ServiceBuilder::new().concurrency_limit(1).service(echo());
    let client = Client::from_service(limited);
    let (mut one, mut other) = (client.clone(), client);
    one.ready().await.expect("ready");
    let waiting = tokio::spawn(async move { other.ready().await.map(|_| ()) });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    // What was reserved is given back.
    drop(one);
    waiting.await.expect("no panic").expect("ready");
}

#[tokio::test]
async fn errors_are_ours() {
    let failing = service_fn(|_: Request<Body>| {
        let open = Rejection::new(RejectionKind::Open, "breaker");
        future::ready(Err::<Response<Body>, BoxError>(open.into()))
    });
    let error = Client::from_service(failing)
        .get("/a")
        .send()
        .await
        .expect_err("open");
    assert!(error.is_unsent() && error.is_retryable());
    assert_eq!(
        find::<Rejection>(&error).map(Rejection::layer),
        Some("breaker")
    );
    assert_eq!(error.to_string(), "GET /a: refused before it was sent");

    let error = Client::from_service(Transport::new())
        .get("http://x.invalid/")
        .send()
        .await;
    assert!(error.expect_err("no such host").is_dns());
}

#[tokio::test(start_paused = true)]
async fn times_are_those_of_the_call() {
    let clock = ManualClock::new();
    let slow = service_fn({
        let clock = clock.clone();
        move |_: Request<Body>| {
            let clock = clock.clone();
            async move {
                clock.advance(Duration::from_secs(60));
                tokio::time::sleep(Duration::from_secs(2)).await;
                Ok::<_, BoxError>(Response::new(Body::empty()))
            }
        }
    });
    let response = slow
        .get("/")
        .clock(clock.clone())
        .send()
        .await
        .expect("a response");
    let times = response.times().expect("it was sent");
    let now = clock.now();
    assert_eq!(times.responded_at(), now);
    assert_eq!(times.requested_at(), now - Duration::from_secs(60));
    assert_eq!(times.elapsed(), Duration::from_secs(2));
    assert!(Response::new(Body::empty()).times().is_none());
}

#[tokio::test]
async fn options_of_a_request_reach_its_response() {
    let error = echo()
        .get("/long")
        .body_limit(4)
        .send()
        .await
        .expect("a response");
    assert_eq!(error.extensions().get(), Some(&BodyLimit(4)));
    assert!(error.text().await.expect_err("too long").is_too_large());
}

#[tokio::test(start_paused = true)]
async fn the_timeout_covers_head_and_body() {
    let silent =
        service_fn(|_: Request<Body>| future::pending::<Result<Response<Body>, BoxError>>());
    let (timeout, start) = (Duration::from_secs(5), tokio::time::Instant::now());
    let error = silent
        .get("/")
        .timeout(timeout)
        .send()
        .await
        .expect_err("late");
    assert!(error.is_timeout() && !error.is_unsent() && error.is_retryable());
    assert_eq!(start.elapsed(), timeout);
    let error = silent
        .post("/")
        .timeout(timeout)
        .send()
        .await
        .expect_err("late");
    assert!(error.is_timeout() && !error.is_retryable());

    // A body that never ends.
    let unending = service_fn(|_: Request<Body>| async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let (body, handle) = ControlledBody::new();
        handle.data("half");
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            drop(handle);
        });
        Ok::<_, BoxError>(Response::new(body))
    });
    let send = || unending.get("/").timeout(timeout).send();
    let start = tokio::time::Instant::now();
    let error = send()
        .await
        .expect("the head")
        .text()
        .await
        .expect_err("late");
    assert!(error.is_timeout() && !error.is_body());
    assert_eq!(start.elapsed(), timeout);
    assert!(
        error
            .to_string()
            .starts_with("GET /: the call took longer than 5s")
    );

    let start = tokio::time::Instant::now();
    let mut stream = send().await.expect("the head").stream();
    assert_eq!(stream.next().await.expect("data").expect("data"), "half");
    let error = stream.next().await.expect("an error").expect_err("late");
    assert!(error.is_timeout());
    assert_eq!(start.elapsed(), timeout);
    assert!(stream.next().await.is_none());
    // One that no clock will see the end of.
    let response = unending.get("/").timeout(Duration::MAX).send().await;
    assert!(response.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_an_error_and_no_invented_408() {
    let server = Loopback::start(|_: Request<Body>| future::pending()).await;
    let call = Client::new()
        .get(server.uri("/"))
        .timeout(Duration::from_secs(1));
    let error = call.send().await.expect_err("no answer");
    assert!(error.is_timeout() && error.status().is_none());
}
