//! What errors become on their way up a stack.

use std::{error::Error as _, fmt, future, io, sync::Mutex, task::Poll};

use bartizan_client::{Error, RequestBuilder, RequestExt, ResponseExt, Transport};
use bartizan_core::{Attempt, Body, BoxError, Rejection, RejectionKind, find};
use bartizan_testing::{Loopback, RawServer};
use http::{Method, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::{Service, ServiceBuilder, service_fn};

async fn error_of<E: Into<BoxError>>(make: impl Fn() -> E + Clone) -> Error {
    let service = service_fn(move |_: Request<Body>| future::ready(Err::<Response<()>, E>(make())));
    let result = RequestBuilder::new(service, Method::GET, "/a").send().await;
    result.expect_err("it always fails")
}

fn rejection(kind: RejectionKind) -> Rejection {
    Rejection::new(kind, "a layer")
}

/// A layer's error that is not ours, around one that may be.
#[derive(Debug)]
struct Wrapped(BoxError);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wrapped")
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

#[tokio::test]
async fn ours_is_not_wrapped_again() {
    let boxed = ServiceBuilder::new()
        .map_err(BoxError::from)
        .service(Transport::new());
    let error = boxed
        .get("http://x.invalid/")
        .send()
        .await
        .expect_err("no such host");
    assert!(error.is_dns());
    let mut causes = std::iter::successors(error.source(), |&error| error.source());
    assert!(causes.all(|error| !error.is::<Error>()));
}

#[tokio::test]
async fn ours_is_seen_through_a_wrapper() {
    let wrapping = ServiceBuilder::new()
        .map_err(|error: Error| Wrapped(error.into()))
        .service(Transport::new());
    let error = wrapping
        .get("http://x.invalid/")
        .send()
        .await
        .expect_err("no such host");
    assert!(error.is_dns() && error.is_connect() && error.is_unsent());
    assert_eq!(
        error.to_string(),
        "GET http://x.invalid/: the service failed"
    );
}

#[tokio::test]
async fn a_rejection_is_ours_with_its_call() {
    for (kind, is_timeout, is_unsent) in [
        (RejectionKind::TimedOut, true, false),
        (RejectionKind::Exhausted, false, false),
        (RejectionKind::Open, false, true),
        (RejectionKind::Limited, false, true),
    ] {
        for error in [
            error_of(move || rejection(kind)).await,
            error_of(move || BoxError::from(rejection(kind))).await,
            error_of(move || Error::from(rejection(kind))).await,
            error_of(move || Wrapped(rejection(kind).into())).await,
            error_of(move || io::Error::other(rejection(kind))).await,
        ] {
            assert_eq!(error.is_timeout(), is_timeout, "{error:?}");
            assert_eq!(error.is_unsent(), is_unsent, "{error:?}");
            assert!(find::<Rejection>(&error).is_some());
            assert!(error.to_string().starts_with("GET /a: "), "{error}");
            assert!(!error.is_connect() && !error.is_builder());
        }
    }
}

#[tokio::test]
async fn the_last_attempt_does_not_speak_for_the_others() {
    let unconnected = Transport::new().get("http://x.invalid/").send().await;
    let unconnected = unconnected.expect_err("no such host");
    assert!(unconnected.is_unsent());
    let exhausted = rejection(RejectionKind::Exhausted).with_source(unconnected);
    let wrapped = Mutex::new(Some(Wrapped(exhausted.into())));
    let service = service_fn(|_: Request<Body>| {
        let error = wrapped.lock().expect("no panic").take();
        future::ready(Err::<Response<()>, _>(error.expect("one call")))
    });
    let result = RequestBuilder::new(service, Method::GET, "/a").send().await;
    let error = result.expect_err("it always fails");
    assert!(find::<Rejection>(&error).is_some());
    assert!(!error.is_unsent() && !error.is_connect() && !error.is_dns());
}

#[tokio::test]
async fn any_other_error_is_the_source() {
    let error = error_of(|| io::Error::other("broken")).await;
    assert_eq!(error.to_string(), "GET /a: the service failed");
    assert_eq!(error.source().expect("the cause").to_string(), "broken");
    assert!(!error.is_unsent() && !error.is_timeout() && !error.is_connect());
}

#[tokio::test]
async fn a_service_that_never_gets_ready_was_sent_nothing() {
    struct NeverReady;

    impl Service<Request<Body>> for NeverReady {
        type Response = Response<()>;
        type Error = io::Error;
        type Future = future::Ready<io::Result<Response<()>>>;

        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::Error::other("closed")))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            panic!("it was never ready")
        }
    }

    let result = RequestBuilder::new(NeverReady, Method::GET, "/")
        .send()
        .await;
    let error = result.expect_err("never ready");
    assert!(error.is_unsent());
    assert_eq!(error.source().expect("the cause").to_string(), "closed");
}

#[tokio::test]
async fn a_status_names_its_call() {
    let server = Loopback::start(|_: Request<Body>| async {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = http::StatusCode::NOT_FOUND;
        response
    })
    .await;
    let response = Transport::new()
        .delete(server.uri("/a?secret"))
        .send()
        .await;
    let error = response
        .expect("a response")
        .error_for_status()
        .expect_err("404");
    let message = format!(
        "DELETE {}: the server answered 404 Not Found",
        server.uri("/a")
    );
    assert_eq!(error.to_string(), message);
}

#[tokio::test]
async fn a_length_that_is_not_that_of_the_body_is_refused() {
    let server =
        Loopback::start(|request: Request<Body>| async { Response::new(request.into_body()) })
            .await;
    let transport = Transport::new();
    for length in ["3", "30", "five"] {
        let request = transport
            .post(server.uri("/"))
            .header("content-length", length)
            .body("hello");
        let error = request.send().await.expect_err("it is not five");
        assert!(error.is_builder() && error.is_unsent());
        assert!(error.to_string().contains(length), "{error}");
    }
    let request = transport
        .post(server.uri("/"))
        .header("content-length", "5")
        .body("hello");
    let response = request.send().await.expect("it is true");
    assert_eq!(response.text().await.expect("a body"), "hello");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn only_what_is_safe_and_may_help_is_retryable() {
    let error_of = |method: Method, make: fn() -> BoxError| async move {
        let service =
            service_fn(move |_: Request<Body>| future::ready(Err::<Response<()>, _>(make())));
        let result = RequestBuilder::new(service, method, "/a").send().await;
        result.expect_err("it always fails")
    };
    let late = || BoxError::from(rejection(RejectionKind::TimedOut));
    let open = || BoxError::from(rejection(RejectionKind::Open));
    let exhausted = || BoxError::from(rejection(RejectionKind::Exhausted));
    let foreign = || BoxError::from("broken");
    for (method, make, is_retryable) in [
        (Method::GET, late as fn() -> BoxError, true),
        (Method::DELETE, late, true),
        (Method::POST, late, false),
        (Method::PATCH, late, false),
        // It never left.
        (Method::POST, open, true),
        (Method::GET, exhausted, false),
        (Method::GET, foreign, false),
    ] {
        let error = error_of(method, make).await;
        assert_eq!(error.is_retryable(), is_retryable, "{error:?}");
    }
    let unresolved = Transport::new().post("http://x.invalid/").send().await;
    assert!(unresolved.expect_err("no such host").is_retryable());
    let mistake = Transport::new()
        .get("a b")
        .send()
        .await
        .expect_err("a mistake");
    assert!(mistake.is_unsent() && !mistake.is_retryable());
    let status = Response::builder().status(503).body(Body::empty());
    let status = status.expect("a response").error_for_status();
    assert!(!status.expect_err("503").is_retryable());
}

/// Whoever sends it again counts, above the transport.
#[tokio::test]
async fn an_error_knows_which_attempt_it_was() {
    let gone = bartizan_testing::refused_addr();
    let request = Transport::new().get(format!("http://{gone}/"));
    let error = request.send().await.expect_err("nothing listens there");
    assert_eq!(error.attempt().map(Attempt::number), Some(1));

    let again = Transport::new().get(format!("http://{gone}/"));
    let error = again.extension(Attempt::new(3)).send().await;
    let error = error.expect_err("nothing listens there");
    assert_eq!(error.attempt().map(Attempt::number), Some(3));

    let nowhere = Transport::new().get("/").extension(Attempt::new(2));
    let error = nowhere.send().await.expect_err("no host");
    assert_eq!(error.attempt().map(Attempt::number), Some(2));

    // In the body too.
    let server = RawServer::start(|mut stream| async move {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
        drop(stream.read(&mut [0; 1024]).await);
        stream.write_all(answer).await.expect("written");
    })
    .await;
    let response = Transport::new()
        .get(server.uri("/"))
        .extension(Attempt::new(2));
    let response = response.send().await.expect("a head");
    let error = response.bytes().await.expect_err("half");
    assert_eq!(error.attempt().map(Attempt::number), Some(2));

    // Nobody has counted.
    assert_eq!(error_of(|| "it fails").await.attempt(), None);
}
