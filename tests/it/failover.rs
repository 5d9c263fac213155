//! Failover over real sockets: targets that are dead, slow, broken or good.

use std::time::Duration;

use bartizan::{
    client::{self, Protocol, RequestExt, ResponseExt, Transport},
    core::{Body, Rejection, find},
    resilience::{
        failover::{Exhausted, Failover, FailoverHandle, FailoverLayer, HttpPolicy},
        timeout::{Timeout, TimeoutLayer},
    },
};
use bartizan_testing::{Loopback, RawServer, refused_addr};
use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use tower::ServiceBuilder;

/// Long enough that a good target is never too slow on a busy machine; a slow target costs a test this much.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

type Client = Failover<Timeout<Transport>, HttpPolicy>;

fn client(protocol: Protocol, targets: &[String]) -> (Client, FailoverHandle) {
    let failover = FailoverLayer::builder()
        .targets(targets)
        .build()
        .expect("URLs");
    let handle = failover.handle();
    let transport = Transport::builder()
        .protocol(protocol)
        .build()
        .expect("valid");
    let client = ServiceBuilder::new()
        .layer(failover)
        .layer(TimeoutLayer::new(ATTEMPT_TIMEOUT))
        .service(transport);
    (client, handle)
}

fn url(server: &Loopback) -> String {
    format!("http://{}", server.addr())
}

/// Answers every request with its own body and content type.
async fn echo() -> Loopback {
    Loopback::start(|request: Request<Body>| async {
        let (head, body) = request.into_parts();
        let mut response = Response::new(body);
        if let Some(content_type) = head.headers.get(CONTENT_TYPE) {
            response
                .headers_mut()
                .insert(CONTENT_TYPE, content_type.clone());
        }
        response
    })
    .await
}

async fn slow() -> Loopback {
    Loopback::start(|_| std::future::pending()).await
}

/// Reads all of the request before it says that it is unavailable.
async fn unavailable() -> Loopback {
    Loopback::start(|request: Request<Body>| async {
        let read = request.into_body().collect().await;
        let status = if read.is_ok() { 503 } else { 400 };
        Response::builder()
            .status(status)
            .body(Body::empty())
            .expect("valid")
    })
    .await
}

fn exhausted(error: &client::Error) -> &Exhausted {
    find(error).expect("what each target did")
}

async fn finds_the_good_one_and_stays(protocol: Protocol) {
    let (slow, good) = (slow().await, echo().await);
    let targets = [format!("http://{}", refused_addr()), url(&slow), url(&good)];
    let (client, handle) = client(protocol, &targets);

    let text = client
        .post("/fo")
        .text("hello")
        .send()
        .await
        .expect("an answer")
        .text()
        .await;
    assert_eq!(text.expect("a body"), "hello");
    assert_eq!(handle.current(), 2);
    assert_eq!(slow.requests(), 1);

    let text = client
        .post("/fo")
        .text("again")
        .send()
        .await
        .expect("an answer")
        .text()
        .await;
    assert_eq!(text.expect("a body"), "again");
    assert_eq!(
        (slow.requests(), good.requests()),
        (1, 2),
        "the second call went straight to it"
    );
}

#[tokio::test]
async fn a_dead_a_slow_and_a_good_target_over_http1() {
    finds_the_good_one_and_stays(Protocol::Http1).await;
}

#[tokio::test]
async fn a_dead_a_slow_and_a_good_target_over_http2() {
    finds_the_good_one_and_stays(Protocol::Http2).await;
}

#[tokio::test]
async fn when_all_time_out_the_error_says_so_of_each() {
    let servers = [slow().await, slow().await];
    let (client, handle) = client(Protocol::Http1, &servers.each_ref().map(url));
    let error = client.get("/fo").send().await.expect_err("nobody answers");
    let attempts = exhausted(&error).report().attempts();
    assert_eq!(attempts.len(), 2);
    for (attempt, server) in attempts.iter().zip(&servers) {
        assert_eq!(attempt.name(), url(server));
        let rejection = find::<Rejection>(attempt.error().expect("an error"));
        assert!(rejection.is_some_and(Rejection::is_timed_out), "{attempt}");
        assert!(attempt.waited() >= ATTEMPT_TIMEOUT);
    }
    assert_eq!(handle.current(), 0);
}

#[tokio::test]
async fn when_all_answer_503_the_error_says_so_of_each() {
    let servers = [
        unavailable().await,
        unavailable().await,
        unavailable().await,
    ];
    let (client, _) = client(Protocol::Http1, &servers.each_ref().map(url));
    let error = client.get("/fo").send().await.expect_err("nobody answers");
    let report = exhausted(&error).report();
    assert_eq!(report.attempts().len(), 3);
    for attempt in report.attempts() {
        assert_eq!(attempt.fault(), Some("503 Service Unavailable"));
    }
    assert_eq!(servers.each_ref().map(Loopback::requests), [1, 1, 1]);
}

#[tokio::test]
async fn a_connection_that_breaks_off_is_a_failure_of_its_target() {
    let broken = RawServer::start(|stream| async move {
        stream.readable().await.expect("a request");
        // Closing with the request unread resets the connection.
        drop(stream);
    })
    .await;
    let good = echo().await;
    let targets = [format!("http://{}", broken.addr()), url(&good)];
    let (client, handle) = client(Protocol::Http1, &targets);
    assert!(client.get("/fo").send().await.is_ok());
    assert_eq!(handle.current(), 1);
}

/// A form with a file, and within it a part that is multipart itself.
const MULTIPART: &str = "\
--outer\r\n\
content-disposition: form-data; name=\"note\"\r\n\
\r\n\
two files follow\r\n\
--outer\r\n\
content-disposition: form-data; name=\"files\"\r\n\
content-type: multipart/mixed; boundary=inner\r\n\
\r\n\
--inner\r\n\
content-disposition: attachment; filename=\"a.txt\"\r\n\
\r\n\
--outer is only text here\r\n\
--inner\r\n\
content-disposition: attachment; filename=\"b.bin\"\r\n\
content-type: application/octet-stream\r\n\
\r\n\
\u{0}\u{1}\u{2}\r\n\
--inner--\r\n\
--outer--\r\n";

async fn replays_a_multipart_body(protocol: Protocol) {
    const TYPE: &str = "multipart/form-data; boundary=outer";
    let (down, good) = (unavailable().await, echo().await);
    let (client, _) = client(protocol, &[url(&down), url(&good)]);
    let response = client
        .post("/upload")
        .header(CONTENT_TYPE, TYPE)
        .body(MULTIPART)
        .send()
        .await
        .expect("an answer");
    assert_eq!(down.requests(), 1, "it was read there first");
    assert_eq!(response.headers()[CONTENT_TYPE], TYPE);
    assert_eq!(response.bytes().await.expect("a body"), MULTIPART);
}

#[tokio::test]
async fn a_multipart_body_is_replayed_with_its_nested_parts_over_http1() {
    replays_a_multipart_body(Protocol::Http1).await;
}

#[tokio::test]
async fn a_multipart_body_is_replayed_with_its_nested_parts_over_http2() {
    replays_a_multipart_body(Protocol::Http2).await;
}
