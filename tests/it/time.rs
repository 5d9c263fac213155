//! Deadlines, timeouts, shedding and throttling, over real sockets and over what people have.

use std::time::Duration;

use axum::{Extension, Router, routing::get};
use bartizan::{
    client::{RequestExt, ResponseExt, Transport},
    core::{Body, Rejection, RejectionKind, find},
    resilience::{
        deadline::{Deadline, DeadlineHeader, DeadlineLayer, SendDeadlineLayer},
        shed::ShedLayer,
        throttle::ThrottleLayer,
        timeout::{BodyElapsed, BodyTimeoutLayer, TimeoutLayer},
    },
};
use bartizan_testing::{ControlledBody, Loopback};
use http::{Request, Response};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::ServiceBuilder;

/// What is left of the time, as the server was told.
async fn told(request: Request<Body>) -> Response<Body> {
    let left = DeadlineHeader::default().read(request.headers());
    let millis = left.expect("the header").as_millis();
    Response::new(Body::from(millis.to_string()))
}

#[tokio::test]
async fn all_of_them_over_hyper_utils_client() {
    let server = Loopback::start(told).await;
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::default().box_errors())
        .layer(ThrottleLayer::default().box_errors())
        .layer(TimeoutLayer::default().box_errors())
        .layer(BodyTimeoutLayer::new().until_deadline())
        .layer(ShedLayer::try_new(4).expect("valid").box_errors())
        .layer(SendDeadlineLayer::default())
        .service(client);
    let response = stack.get(server.uri("/").to_string()).send().await;
    let text = response.expect("an answer").text().await.expect("a body");
    let left: u64 = text.parse().expect("milliseconds");
    assert!((20_000..=30_000).contains(&left), "{left}");
}

#[tokio::test]
async fn all_of_them_over_an_axum_router() {
    async fn left(Extension(deadline): Extension<Deadline>) -> String {
        deadline.remaining().as_secs().to_string()
    }
    let app: Router = Router::new()
        .route("/left", get(left))
        .route("/stuck", get(std::future::pending::<()>))
        .layer(BodyTimeoutLayer::new())
        .layer(
            ShedLayer::try_new(4)
                .expect("valid")
                .reject_with(Rejection::into_response),
        )
        .layer(ThrottleLayer::default().reject_with(Rejection::into_response))
        .layer(
            DeadlineLayer::default()
                .accept_header(DeadlineHeader::default())
                .reject_with(Rejection::into_response),
        );
    let call = |path| app.get(path).header("x-request-timeout-ms", "50").send();
    let response = app.get("/left").send().await.expect("a response");
    let text = response.text().await.expect("a body");
    assert!(["29", "30"].contains(&text.as_str()), "{text}");
    let response = call("/stuck").await.expect("a response");
    assert_eq!(response.status(), 504);
}

#[tokio::test]
async fn a_body_that_stops_on_the_wire_fails_with_its_reason() {
    let server = Loopback::start(|_| async {
        let (body, handle) = ControlledBody::new();
        handle.data("half");
        // It says no more while the connection lasts.
        tokio::spawn(async move { handle.until(|counts| counts.dropped).await });
        Response::new(Body::new(body))
    })
    .await;
    let stack = ServiceBuilder::new()
        .layer(BodyTimeoutLayer::new().idle(Duration::from_millis(50)))
        .service(Transport::new());
    let response = stack.get(server.uri("/").to_string()).send().await;
    let error = response
        .expect("a head")
        .text()
        .await
        .expect_err("half of it is missing");
    assert!(find::<Rejection>(&error).is_some_and(Rejection::is_timed_out));
    assert!(find::<BodyElapsed>(&error).is_some_and(BodyElapsed::is_idle));
}

#[tokio::test]
async fn an_overloaded_server_is_spared() {
    let server = Loopback::start(|_| async {
        let response = Response::builder().status(503).body(Body::empty());
        response.expect("valid")
    })
    .await;
    let throttle = ThrottleLayer::builder()
        .window(Duration::from_secs(1))
        .seed(7)
        .build()
        .expect("valid");
    let stack = ServiceBuilder::new()
        .layer(throttle)
        .service(Transport::new());
    let mut held_back = 0;
    // How much is held back is worked out anew about every millisecond.
    for _ in 0..600 {
        let result = stack.get(server.uri("/").to_string()).send().await;
        if let Err(error) = result {
            let rejection = find::<Rejection>(&error).expect("a rejection");
            assert_eq!(rejection.kind(), RejectionKind::Shed);
            held_back += 1;
        }
    }
    assert!(held_back > 300, "{held_back}");
    assert_eq!(server.requests() + held_back, 600);
}
