//! An axum `Router`: it cannot fail, so rejections become responses.

use std::convert::Infallible;

use ::axum::{Router, body::Body, routing::get};
use bartizan_core::Rejection;
use bartizan_resilience::{
    adaptive_limit::AdaptiveLimitLayer,
    bulkhead::BulkheadLayer,
    chaos::ChaosLayer,
    circuit_breaker::CircuitBreakerLayer,
    coalesce::HttpCoalesceLayer,
    deadline::DeadlineLayer,
    fallback::{Failed, FallbackLayer},
    rate_limit::RateLimitLayer,
    retry::RetryLayer,
    shed::ShedLayer,
    throttle::ThrottleLayer,
    timeout::{BodyTimeoutLayer, TimeoutLayer},
};
use http::Request;
use tower::ServiceExt;

use crate::{LIMIT, failures, quota};

#[tokio::test]
async fn each_layer_goes_over_it_and_all_of_them_at_once() {
    let answer = Rejection::into_response;
    let limit = AdaptiveLimitLayer::builder().build().expect("valid");
    let breaker = CircuitBreakerLayer::http().build().expect("valid");
    let chaos = ChaosLayer::builder().build().expect("valid");
    let app: Router = Router::new()
        .route("/", get(|| async { "hello" }))
        .layer(TimeoutLayer::new(LIMIT).reject_with(answer))
        .layer(BodyTimeoutLayer::new())
        .layer(HttpCoalesceLayer::new().reject_with(Rejection::into_response))
        .layer(FallbackLayer::function(Failed::<_, Infallible>::into_result).http())
        .layer(chaos.reject_with(answer))
        .layer(limit.classify(failures()).reject_with(answer))
        .layer(BulkheadLayer::default().reject_with(answer))
        .layer(ShedLayer::try_new(9).expect("valid").reject_with(answer))
        .layer(breaker.reject_with(answer))
        .layer(ThrottleLayer::default().reject_with(answer))
        .layer(RetryLayer::builder().build().expect("valid"))
        .layer(RateLimitLayer::new(quota()).reject_with(answer))
        .layer(DeadlineLayer::new(LIMIT).reject_with(answer));
    let Ok(response) = app.oneshot(Request::new(Body::empty())).await;
    assert_eq!(response.status(), 200);
}
