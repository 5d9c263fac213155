//! Limits on responses, progress, and an end to the whole call.

use bartizan_client::{
    CallTimeout, CallTimeoutLayer, ProgressBody, RequestExt, ResponseExt, ResponseLimits,
    ResponseLimitsLayer, Transport,
};
use bartizan_core::{Body, BoxError};
use bartizan_testing::{ControlledBody, RawServer, contract};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use std::{convert::Infallible, future, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

fn get() -> Request<Body> {
    Request::get("http://h/")
        .body(Body::empty())
        .expect("a request")
}

#[tokio::test]
async fn a_long_status_line_and_many_headers_are_refused() {
    let server = RawServer::start(|mut stream| async move {
        let mut request = [0; 1024];
        let length = stream.read(&mut request).await.expect("a request");
        let is_long = request[..length].starts_with(b"GET /reason");
        let reason = if is_long {
            "r".repeat(5_000)
        } else {
            "OK".into()
        };
        let headers = if is_long {
            String::new()
        } else {
            "x: y\r\n".repeat(99)
        };
        let head = format!("HTTP/1.1 200 {reason}\r\n{headers}content-length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("a reader");
    })
    .await;
    let limits = ResponseLimits::new().header_count(99);
    let client = ServiceBuilder::new()
        .layer(ResponseLimitsLayer::new(limits))
        .service(Transport::new());
    for (path, problem) in [
        (
            "/reason",
            "the status line has 5013 bytes, and the limit is 4096 bytes; raise `status_line`",
        ),
        (
            "/headers",
            "it has 100 headers, and the limit is 99; raise `header_count`",
        ),
    ] {
        let error = client
            .get(server.uri(path))
            .send()
            .await
            .expect_err("too large");
        assert!(error.is_too_large() && !error.is_unsent());
        assert!(error.to_string().contains(problem), "{error}");
    }
}

#[tokio::test]
async fn a_body_is_cut_where_it_passes_the_limit() {
    let (body, handle) = ControlledBody::new();
    let body = std::sync::Mutex::new(Some(body));
    let server = service_fn(move |_: Request<Body>| {
        let body = body.lock().expect("no panic").take().expect("one call");
        async { Ok::<_, Infallible>(Response::new(body)) }
    });
    let layer = ResponseLimitsLayer::new(ResponseLimits::new().body(Some(5)));
    let mut client = layer.layer(server);
    let mut body = client.call(get()).await.expect("a head").into_body();
    handle.data("hello");
    let frame = body
        .frame()
        .await
        .expect("a frame")
        .expect("within the limit");
    assert_eq!(frame.into_data().expect("data"), "hello");
    handle.data("!");
    let error = body
        .frame()
        .await
        .expect("a frame")
        .expect_err("beyond the limit");
    assert!(error.is_too_large() && error.is_body());
    assert!(body.is_end_stream() && body.frame().await.is_none());
}

#[tokio::test]
async fn trailers_have_limits_too() {
    let (body, handle) = ControlledBody::new();
    let body = std::sync::Mutex::new(Some(body));
    let server = service_fn(move |_: Request<Body>| {
        let body = body.lock().expect("no panic").take().expect("one call");
        async { Ok::<_, Infallible>(Response::new(body)) }
    });
    let mut client = ResponseLimitsLayer::new(ResponseLimits::new().headers(10)).layer(server);
    let mut body = client.call(get()).await.expect("a head").into_body();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-trailer", HeaderValue::from_static("12"));
    handle.trailers(trailers);
    let error = body.frame().await.expect("a frame").expect_err("11 bytes");
    assert!(error.is_too_large(), "{error}");
}

#[tokio::test]
async fn progress_is_told_and_the_rest_forwarded() {
    let (body, handle) = ControlledBody::new();
    handle.data("he");
    handle.data("");
    handle.data("llo");
    let mut trailers = HeaderMap::new();
    trailers.insert("x", HeaderValue::from_static("y"));
    handle.trailers(trailers.clone());
    let mut told = Vec::new();
    let body = ProgressBody::new(body, |progress| told.push(progress));
    let read = body.collect().await.expect("a body");
    assert_eq!(read.trailers(), Some(&trailers));
    let told: Vec<_> = told
        .iter()
        .map(|progress| (progress.transferred(), progress.total()))
        .collect();
    assert_eq!(told, [(2, None), (5, None)]);

    let body = ProgressBody::new(Body::from("hello"), |_| {});
    assert_eq!(body.size_hint().exact(), Some(5));
    assert!(ProgressBody::new(Body::empty(), |_| {}).is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn the_total_covers_the_head_and_the_body() {
    let (body, handle) = ControlledBody::new();
    let body = std::sync::Mutex::new(Some(body));
    let server = service_fn(move |_: Request<Body>| {
        let body = body.lock().expect("no panic").take().expect("one call");
        async {
            tokio::time::sleep(Duration::from_secs(6)).await;
            Ok::<_, Infallible>(Response::new(body))
        }
    });
    let layer = CallTimeoutLayer::try_new(Duration::from_secs(10)).expect("a limit");
    let started = Instant::now();
    let response = layer.layer(server).call(get()).await.expect("in time");
    let mut body = Box::pin(response.into_body());
    handle.data("some");
    assert!(body.frame().await.expect("a frame").is_ok());
    let error = body
        .frame()
        .await
        .expect("an error")
        .expect_err("nothing more comes");
    assert!(error.is_timeout());
    assert_eq!(started.elapsed(), Duration::from_secs(10));
    assert!(
        handle.counts().dropped,
        "its connection is given up at once"
    );
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_stops_is_stopped() {
    let endless = Body::from_stream(futures_util::stream::unfold((), |()| async {
        tokio::time::advance(Duration::from_secs(1)).await;
        Some((Ok::<_, BoxError>("more"), ()))
    }));
    let endless = std::sync::Mutex::new(Some(endless));
    let server = service_fn(move |_: Request<Body>| {
        let body = endless.lock().expect("no panic").take().expect("one call");
        async { Ok::<_, Infallible>(Response::new(body)) }
    });
    let layer = CallTimeoutLayer::try_new(Duration::from_secs(10)).expect("a limit");
    let response = layer.layer(server).call(get()).await.expect("a head");
    assert!(response.bytes().await.expect_err("no end").is_timeout());
}

#[tokio::test(start_paused = true)]
async fn a_request_has_its_own_total() {
    let hangs =
        service_fn(|_: Request<Body>| future::pending::<Result<Response<Body>, BoxError>>());
    let client = ServiceBuilder::new()
        .layer(CallTimeoutLayer::default())
        .service(hangs);
    let started = Instant::now();
    let timeout = CallTimeout(Duration::from_secs(1));
    let request = Request::get("http://h/").extension(timeout);
    let request = request.body(Body::empty()).expect("a request");
    let error = client.oneshot(request).await.expect_err("late");
    assert!(error.is_timeout());
    assert_eq!(started.elapsed(), Duration::from_secs(1));

    let call = client.get("http://h/").timeout(Duration::MAX).send();
    let hour = Duration::from_secs(3600);
    assert!(tokio::time::timeout(hour, call).await.is_err(), "no limit");

    let error = CallTimeoutLayer::try_new(Duration::ZERO).expect_err("no time");
    assert_eq!(
        error.to_string(),
        "invalid call timeout `0ns`: expected more than zero"
    );
}

contract! {
    mod response_limits {
        layer: |probe| ResponseLimitsLayer::default().layer(probe),
        request: get,
        response: || Response::new(Body::empty()),
    }

    mod call_timeout {
        layer: |probe| CallTimeoutLayer::default().layer(probe),
        request: get,
        response: || Response::new(Body::empty()),
    }
}
