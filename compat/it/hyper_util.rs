//! hyper-util's client: its error is its own, so rejections need `box_errors`. It takes whatever body it was built for.

use ::hyper_util::{
    client::legacy::{self, Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use bartizan_core::Body;
use bartizan_resilience::{
    adaptive_limit::AdaptiveLimitLayer,
    balance::{Balance, BalanceLayer},
    bulkhead::BulkheadLayer,
    chaos::ChaosLayer,
    circuit_breaker::CircuitBreakerLayer,
    coalesce::HttpCoalesceLayer,
    deadline::{DeadlineLayer, SendDeadlineLayer},
    endpoint::Endpoint,
    failover::FailoverLayer,
    fallback::FallbackLayer,
    hedge::HedgeLayer,
    outlier::OutlierDetector,
    rate_limit::RateLimitLayer,
    retry::RetryLayer,
    shed::ShedLayer,
    stack,
    throttle::ThrottleLayer,
    timeout::{BodyTimeoutLayer, TimeoutLayer},
};
use bartizan_testing::Loopback;
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt};

use crate::{LIMIT, failures, quota, works, works_boxed};

type Req = Request<Body>;

fn client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).build_http()
}

#[tokio::test]
async fn each_layer_goes_over_it() {
    works_boxed::<Req, _>(TimeoutLayer::new(LIMIT).box_errors().layer(client()));
    works_boxed::<Req, _>(DeadlineLayer::new(LIMIT).box_errors().layer(client()));
    works_boxed::<Req, _>(BulkheadLayer::default().box_errors().layer(client()));
    works_boxed::<Req, _>(
        BulkheadLayer::default()
            .until_body_end()
            .box_errors()
            .layer(client()),
    );
    works_boxed::<Req, _>(RateLimitLayer::new(quota()).box_errors().layer(client()));
    works_boxed::<Req, _>(
        ShedLayer::try_new(9)
            .expect("valid")
            .box_errors()
            .layer(client()),
    );
    works_boxed::<Req, _>(ThrottleLayer::default().box_errors().layer(client()));
    let limit = AdaptiveLimitLayer::builder().build().expect("valid");
    works_boxed::<Req, _>(limit.classify(failures()).box_errors().layer(client()));
    let breaker = CircuitBreakerLayer::http().build().expect("valid");
    works_boxed::<Req, _>(breaker.box_errors().layer(client()));
    let chaos = ChaosLayer::builder().build().expect("valid");
    works_boxed::<Req, _>(chaos.box_errors().layer(client()));
    let failover = FailoverLayer::builder().target("http://a").build();
    works_boxed::<Req, _>(failover.expect("a URL").box_errors().layer(client()));
    works_boxed::<Req, _>(HttpCoalesceLayer::new().box_errors().layer(client()));

    let balance = BalanceLayer::builder().urls(["http://a"]).build();
    works_boxed::<Req, _>(balance.expect("a URL").box_errors().layer(client()));
    let balance = Balance::builder().endpoint(Endpoint::new("a"), client());
    works_boxed::<Req, _>(balance.build().expect("an endpoint").box_errors());

    // These refuse nothing, and keep its error.
    let retry = RetryLayer::builder().unsent_if(legacy::Error::is_connect);
    works::<Req, _>(retry.build().expect("valid").layer(client()));
    works::<Req, _>(HedgeLayer::http().build().expect("valid").layer(client()));
    works::<Req, _>(BodyTimeoutLayer::new().layer(client()));
    works::<Req, _>(SendDeadlineLayer::default().layer(client()));
    let detector = OutlierDetector::default();
    works::<Req, _>(detector.layer(&Endpoint::new("a")).layer(client()));
    works::<Req, _>(FallbackLayer::service(client()).http().layer(client()));

    works_boxed::<Req, _>(stack::client(client()));
    works_boxed::<Req, _>(stack::ballerina(client()));
}

#[tokio::test]
async fn a_call() {
    let server = Loopback::start(|_| async { Response::new(Body::from("hello")) }).await;
    let request = Request::get(server.uri("/")).body(Body::empty());
    let response = stack::client(client())
        .oneshot(request.expect("valid"))
        .await;
    let body = response.expect("an answer").into_body().collect().await;
    assert_eq!(body.expect("a body").to_bytes(), "hello");
}
