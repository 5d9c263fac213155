//! A circuit breaker over real sockets, with Ballerina's numbers.
//!
//! No test waits for a circuit's reset time: it is 5 s, as the facts have it, and the handle says when it is over.

use std::time::Duration;

use bartizan::{
    client::{self, RequestExt, ResponseExt, Transport},
    core::{Body, HttpClassify, Rejection, RejectionKind, StatusSet, find},
    resilience::{
        circuit_breaker::{
            AtEnd, CircuitBreaker, CircuitBreakerBuilder, CircuitBreakerHandle,
            CircuitBreakerLayer, State,
        },
        timeout::{Timeout, TimeoutLayer},
    },
};
use bartizan_testing::{Loopback, RawServer, refused_addr};
use http::{Response, StatusCode};
use tower::ServiceBuilder;

/// Long enough that a good answer is never too late on a busy machine; each timeout costs its test this much.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
const RESET: Duration = Duration::from_secs(5);

type Client = CircuitBreaker<Timeout<Transport>, HttpClassify, AtEnd>;

fn client(builder: CircuitBreakerBuilder<HttpClassify, AtEnd>) -> (Client, CircuitBreakerHandle) {
    let breaker = builder.build().expect("valid");
    let handle = breaker.handle();
    let client = ServiceBuilder::new()
        .layer(breaker)
        .layer(TimeoutLayer::new(ATTEMPT_TIMEOUT))
        .service(Transport::new());
    (client, handle)
}

/// Ballerina's breaker, which trips on more than 0.3 of at least `volume` calls, and fails on `statuses` besides errors.
fn ballerina(volume: u32, statuses: StatusSet) -> CircuitBreakerBuilder<HttpClassify, AtEnd> {
    CircuitBreakerLayer::ballerina(0.3, RESET)
        .failure_ratio((0.3, volume))
        .classify(HttpClassify::new().failures(statuses))
}

async fn answering(status: u16) -> Loopback {
    Loopback::start(move |request| async move {
        if request.uri().path() == "/stuck" {
            std::future::pending::<()>().await;
        }
        Response::builder()
            .status(status)
            .header("x-origin", "here")
            .body(Body::from("from the origin"))
            .expect("valid")
    })
    .await
}

/// The status, once all of the body is there: a call is over when its body is.
async fn get(client: &Client, url: impl ToString) -> Result<StatusCode, client::Error> {
    let response = client.get(url.to_string()).send().await?;
    let status = response.status();
    response.discard().await?;
    Ok(status)
}

#[track_caller]
fn assert_rejected(result: Result<StatusCode, client::Error>) {
    let error = result.expect_err("the circuit is open");
    let rejection = find::<Rejection>(&error).expect("a rejection");
    assert_eq!(rejection.kind(), RejectionKind::Open);
    assert!(
        rejection
            .retry_after()
            .is_some_and(|delay| delay <= RESET && delay > RESET / 2)
    );
}

/// The next call is a probe.
fn end_reset_time(handle: &CircuitBreakerHandle) {
    handle.force_open(Duration::ZERO);
}

#[tokio::test]
async fn a_third_of_the_calls_times_out_and_it_opens_for_its_reset_time() {
    let server = answering(200).await;
    let (client, handle) = client(ballerina(1, StatusSet::SERVER_ERRORS));
    let ok = || get(&client, server.uri("/"));
    assert_eq!(ok().await.expect("the first"), 200);
    assert_eq!(ok().await.expect("the second"), 200);
    let late = get(&client, server.uri("/stuck")).await;
    assert!(late.expect_err("it is stuck").is_timeout());
    assert_rejected(ok().await);
    assert_rejected(ok().await);
    assert_eq!(server.requests(), 3, "what is rejected is not sent");

    end_reset_time(&handle);
    assert_eq!(ok().await.expect("the probe"), 200);
    assert_eq!(handle.state(), State::Closed);
    assert_eq!(ok().await.expect("the next"), 200);
}

#[tokio::test]
async fn of_a_volume_of_six_six_failures_pass_and_the_seventh_call_is_rejected() {
    let url = format!("http://{}/", refused_addr());
    let (client, handle) = client(ballerina(6, StatusSet::SERVER_ERRORS));
    for _ in 0..6 {
        assert_eq!(handle.state(), State::Closed);
        let error = get(&client, &url).await.expect_err("nobody there");
        assert!(error.is_connect(), "{error}");
    }
    assert_rejected(get(&client, &url).await);
    assert_eq!(handle.snapshot().rejected, 1);
}

#[tokio::test]
async fn listed_statuses_reach_the_caller_unchanged_and_a_failed_trial_reopens() {
    let server = answering(503).await;
    let (client, handle) = client(ballerina(3, StatusSet::range(503, 503)));
    let passes_unchanged = || async {
        let response = client.get(server.uri("/").to_string()).send().await;
        let response = response.expect("it is let through");
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["x-origin"], "here");
        assert_eq!(response.text().await.expect("a body"), "from the origin");
    };
    for _ in 0..3 {
        passes_unchanged().await;
    }
    assert_rejected(get(&client, server.uri("/")).await);

    end_reset_time(&handle);
    passes_unchanged().await;
    assert_eq!(handle.state(), State::Open, "for its whole time again");
    assert_rejected(get(&client, server.uri("/")).await);
    assert_eq!(server.requests(), 4);
}

#[tokio::test]
async fn with_no_statuses_a_500_never_trips_and_a_refused_connect_does() {
    let server = answering(500).await;
    let (client, handle) = client(ballerina(1, StatusSet::EMPTY));
    for _ in 0..10 {
        assert_eq!(get(&client, server.uri("/")).await.expect("an answer"), 500);
    }
    assert_eq!(handle.state(), State::Closed);
    assert_eq!(handle.snapshot().succeeded, 10);

    let dead = format!("http://{}/", refused_addr());
    // Four of fourteen are less than 0.3, and five of fifteen are more.
    for _ in 0..5 {
        assert_eq!(handle.state(), State::Closed);
        let error = get(&client, &dead).await.expect_err("nobody there");
        assert!(error.is_connect());
    }
    assert_rejected(get(&client, server.uri("/")).await);
}

#[tokio::test]
async fn a_body_that_breaks_off_half_way_is_a_failure() {
    let server = RawServer::start(|stream| async move {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            stream.readable().await.expect("a request");
            // A wake for nothing is no error.
            drop(stream.try_read_buf(&mut request));
        }
        let half = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf";
        stream.writable().await.expect("a peer");
        assert_eq!(stream.try_write(half).expect("room for it"), half.len());
    })
    .await;
    let (client, handle) = client(CircuitBreakerLayer::http().consecutive_failures(2));
    for failed in 1..=2 {
        let response = client.get(server.uri("/").to_string()).send().await;
        let response = response.expect("a head, and that is a 200");
        assert_eq!(response.status(), 200);
        assert_eq!(handle.snapshot().failed, failed - 1, "nothing is known yet");
        response.text().await.expect_err("half of it is missing");
        if failed == 1 {
            assert_eq!(handle.snapshot().failed, 1);
        }
    }
    assert_eq!(handle.state(), State::Open);
    let error = client.get(server.uri("/").to_string()).send().await;
    assert!(find::<Rejection>(&error.expect_err("it is open")).is_some_and(Rejection::is_unsent));
}
