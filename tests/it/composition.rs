//! The layers go over what people have.

use std::time::Duration;

use axum::{Router, routing::get};
use bartizan::{
    client::{BaseUrlLayer, RequestExt, ResponseExt},
    core::{Body, BoxError, Rejection, find},
    resilience::{failover::FailoverLayer, timeout::TimeoutLayer},
};
use bartizan_testing::Loopback;
use http::Response;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::ServiceBuilder;

#[tokio::test]
async fn over_hyper_utils_client() {
    let server = Loopback::start(|_| async { Response::new(Body::from("hello")) }).await;
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let failover = FailoverLayer::builder()
        .target(server.uri("/").to_string())
        .build();
    let stack = ServiceBuilder::new()
        .layer(failover.expect("a URL"))
        // hyper-util's error is its own, and cannot be made from a rejection.
        .layer(TimeoutLayer::new(Duration::from_secs(30)).box_errors())
        .service(client);
    let response = stack.get("/").send().await.expect("an answer");
    assert_eq!(response.text().await.expect("a body"), "hello");
}

#[tokio::test(start_paused = true)]
async fn over_an_axum_router() {
    let app: Router = Router::new()
        .route("/v1/hello", get(|| async { "hello" }))
        .route("/v1/stuck", get(std::future::pending::<()>))
        .layer(TimeoutLayer::new(Duration::from_secs(5)).reject_with(Rejection::into_response));
    assert_eq!(
        app.get("/v1/stuck")
            .send()
            .await
            .expect("a response")
            .status(),
        504
    );
    assert_eq!(
        app.get("/v1/hello")
            .send()
            .await
            .expect("a response")
            .status(),
        200
    );
}

#[tokio::test(start_paused = true)]
async fn over_a_function() {
    let stack = ServiceBuilder::new()
        .layer(BaseUrlLayer::try_new("http://h/v1").expect("a URL"))
        .layer(TimeoutLayer::default())
        .service_fn(|request: http::Request<Body>| async move {
            match request.uri().path() {
                "/v1/stuck" => std::future::pending().await,
                path => Ok::<_, BoxError>(Response::new(Body::from(path.to_owned()))),
            }
        });
    let response = stack.get("/hello").send().await.expect("a response");
    assert_eq!(response.text().await.expect("a body"), "/v1/hello");
    let error = stack.get("/stuck").send().await.expect_err("it is stuck");
    assert!(error.is_timeout());
    assert!(find::<Rejection>(&error).is_some_and(Rejection::is_timed_out));
}
