//! A tonic channel: its body is its own and cannot be copied, its error needs `box_errors`, and its failures are in `grpc-status`.

use ::tonic::{
    body::Body,
    transport::{Channel, Endpoint},
};
use bartizan_resilience::{
    adaptive_limit::AdaptiveLimitLayer,
    balance::Balance,
    bulkhead::BulkheadLayer,
    chaos::ChaosLayer,
    circuit_breaker::CircuitBreakerLayer,
    deadline::DeadlineLayer,
    failover::FailoverLayer,
    fallback::{Failed, FallbackLayer},
    hedge::HedgeLayer,
    outlier::OutlierDetector,
    rate_limit::RateLimitLayer,
    retry::RetryLayer,
    shed::ShedLayer,
    stack,
    throttle::ThrottleLayer,
    timeout::{BodyTimeoutLayer, TimeoutLayer},
};
use http::{Request, Response};
use tower::{Layer, ServiceBuilder};

use crate::{LIMIT, failures, quota, works, works_boxed};

type Req = Request<Body>;
type Ours = Request<bartizan_core::Body>;

fn channel() -> Channel {
    Endpoint::from_static("http://127.0.0.1:1").connect_lazy()
}

#[tokio::test]
async fn each_layer_goes_over_it() {
    works_boxed::<Req, _>(TimeoutLayer::new(LIMIT).box_errors().layer(channel()));
    works_boxed::<Req, _>(DeadlineLayer::new(LIMIT).box_errors().layer(channel()));
    works_boxed::<Req, _>(BulkheadLayer::default().box_errors().layer(channel()));
    works_boxed::<Req, _>(RateLimitLayer::new(quota()).box_errors().layer(channel()));
    works_boxed::<Req, _>(
        ShedLayer::try_new(9)
            .expect("valid")
            .box_errors()
            .layer(channel()),
    );
    works_boxed::<Req, _>(ThrottleLayer::default().box_errors().layer(channel()));
    let limit = AdaptiveLimitLayer::builder().build().expect("valid");
    works_boxed::<Req, _>(limit.classify(failures()).box_errors().layer(channel()));
    let breaker = CircuitBreakerLayer::http().build().expect("valid");
    works_boxed::<Req, _>(breaker.box_errors().layer(channel()));
    let chaos = ChaosLayer::builder().build().expect("valid");
    works_boxed::<Req, _>(chaos.box_errors().layer(channel()));
    works::<Req, _>(BodyTimeoutLayer::new().layer(channel()));
    works::<Req, _>(
        OutlierDetector::default()
            .layer(&bartizan_resilience::endpoint::Endpoint::new("a"))
            .layer(channel()),
    );

    let balance =
        Balance::builder().endpoint(bartizan_resilience::endpoint::Endpoint::new("a"), channel());
    works_boxed::<Req, _>(balance.build().expect("an endpoint").box_errors());
    let fallback =
        FallbackLayer::function(Failed::<Response<Body>, ::tonic::transport::Error>::into_result);
    works::<Req, _>(fallback.layer(channel()));

    // The rest copies requests, as ours can be and tonic's cannot: so the adaptor makes ours tonic's, next to the channel.
    let adapted = || {
        ServiceBuilder::new()
            .map_request(|request: Ours| request.map(Body::new))
            .service(channel())
    };
    let retry = RetryLayer::builder().build().expect("valid");
    // It takes any body, and sends ours.
    works::<Req, _>(retry.layer(adapted()));
    let hedge = HedgeLayer::http().build().expect("valid");
    works::<Ours, _>(hedge.layer(adapted()));
    let failover = FailoverLayer::builder().target("http://a").build();
    works_boxed::<Ours, _>(failover.expect("a URL").box_errors().layer(adapted()));
    works_boxed::<Ours, _>(stack::client(adapted()));
}
