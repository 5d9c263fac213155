//! The cost of a layer over a service that is ready and answers at once: `cargo bench -p bartizan-bench --bench layers`.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::{
    future::{Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bartizan_core::{Body, BoxError, Outcome};
use bartizan_resilience::{
    adaptive_limit::AdaptiveLimitLayer,
    balance::{Balance, BalanceLayer},
    bulkhead::BulkheadLayer,
    chaos::ChaosLayer,
    circuit_breaker::CircuitBreakerLayer,
    coalesce::CoalesceLayer,
    deadline::DeadlineLayer,
    endpoint::Endpoint,
    failover::{Failover, FailoverLayer, OnError},
    fallback::FallbackLayer,
    hedge::HedgeLayer,
    outlier::OutlierDetector,
    rate_limit::{Quota, RateLimitLayer},
    retry::RetryLayer,
    shed::ShedLayer,
    throttle::ThrottleLayer,
    timeout::{BodyTimeoutLayer, TimeoutLayer},
};
use criterion::{
    BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime,
};
use http::{Request, Response};
use tower::{Layer, Service, ServiceBuilder};

/// Answers at once.
#[derive(Clone)]
struct Bare;

impl Service<u64> for Bare {
    type Response = u64;
    type Error = BoxError;
    type Future = Ready<Result<u64, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, n: u64) -> Self::Future {
        ready(Ok(n + 1))
    }
}

impl Service<Request<Body>> for Bare {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        ready(Ok(Response::new(request.into_body())))
    }
}

/// One call, polled by hand: a runtime would cost more than what is measured.
fn call<R, S>(service: &mut S, request: R) -> S::Response
where
    S: Service<R, Error: std::fmt::Debug>,
{
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(())) = service.poll_ready(&mut cx) else {
        unreachable!("the service is always ready")
    };
    match pin!(service.call(request)).poll(&mut cx) {
        Poll::Ready(Ok(response)) => response,
        _ => unreachable!("the service answers at once"),
    }
}

/// As a caller sends it: five headers, something of the caller's own, a path and a query.
fn request() -> Request<Body> {
    Request::get("/v1/orders/1234?expand=items")
        .header("accept", "application/json")
        .header("accept-encoding", "gzip, br")
        .header("authorization", "Bearer 0123456789abcdef")
        .header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .header("user-agent", "orders/1.2.3")
        .extension(Caller(7))
        .body(Body::empty())
        .expect("a request")
}

#[derive(Clone)]
struct Caller(#[expect(dead_code, reason = "it is there to be copied")] u32);

fn plain<S>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut service: S)
where
    S: Service<u64, Error: std::fmt::Debug>,
{
    group.bench_function(name, |b| b.iter(|| call(&mut service, black_box(1))));
}

fn http<S>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut service: S)
where
    S: Service<Request<Body>, Error: std::fmt::Debug>,
{
    group.bench_function(name, |b| b.iter(|| call(&mut service, request())));
}

fn layers(c: &mut Criterion) {
    // Timers need one to exist, though none is ever armed here.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter();
    any_protocol(c).expect("every setting is a good one");
    over_http(c).expect("every setting is a good one");
}

fn any_protocol(c: &mut Criterion) -> Result<(), BoxError> {
    let limit = Duration::from_secs(5);
    // No call uses up the burst: one by one they take longer than this rate allows for them.
    let quota = Quota::try_per_second(10_000_000)?.try_burst(u32::MAX)?;
    let judge = |result: Result<&u64, &BoxError>| match result {
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::Failure,
    };
    let breaker = CircuitBreakerLayer::new();
    let bulkhead = BulkheadLayer::default();
    let retry = RetryLayer::with_policy(OnError).build()?;
    let endpoints = |n: u32| {
        let all = (0..n).map(|n| Endpoint::new(n.to_string()));
        all.fold(Balance::builder(), |builder, endpoint| {
            builder.endpoint(endpoint, Bare)
        })
        .build()
    };
    let outlier = OutlierDetector::default().layer(&Endpoint::new("a"));
    let stack = ServiceBuilder::new()
        .layer(retry.clone())
        .layer(breaker.clone())
        .layer(TimeoutLayer::new(limit))
        .layer(bulkhead.clone());

    let group = &mut c.benchmark_group("any protocol");
    plain(group, "bare", Bare);
    plain(group, "timeout", TimeoutLayer::new(limit).layer(Bare));
    plain(
        group,
        "tower's timeout",
        tower::timeout::Timeout::new(Bare, limit),
    );
    plain(group, "retry", retry.layer(Bare));
    plain(group, "circuit breaker", breaker.layer(Bare));
    plain(group, "bulkhead", bulkhead.layer(Bare));
    plain(
        group,
        "adaptive limit",
        AdaptiveLimitLayer::default().layer(Bare),
    );
    plain(group, "rate limit", RateLimitLayer::new(quota).layer(Bare));
    plain(group, "shed", ShedLayer::try_new(1000)?.layer(Bare));
    plain(
        group,
        "throttle",
        ThrottleLayer::builder()
            .classify(judge)
            .build()?
            .layer(Bare),
    );
    plain(
        group,
        "hedge",
        HedgeLayer::builder(OnError).build()?.layer(Bare),
    );
    plain(group, "outlier ejection", outlier.layer(Bare));
    plain(group, "fallback", FallbackLayer::value(0).layer(Bare));
    plain(
        group,
        "coalesce",
        CoalesceLayer::new(|n: &u64| Some(*n)).layer(Bare),
    );
    plain(
        group,
        "chaos, disabled",
        ChaosLayer::builder().errors(0.5).build()?.layer(Bare),
    );
    plain(group, "failover, 2 targets", {
        Failover::builder(OnError)
            .target("a", Bare)
            .target("b", Bare)
            .build()?
    });
    plain(group, "balance, 2 endpoints", endpoints(2)?);
    plain(group, "balance, 100 endpoints", endpoints(100)?);
    plain(
        group,
        "retry, breaker, timeout, bulkhead",
        stack.service(Bare),
    );
    Ok(())
}

fn over_http(c: &mut Criterion) -> Result<(), BoxError> {
    let limit = Duration::from_secs(5);
    let bare = || Request::new(Body::empty());
    let urls = ["http://a", "http://b", "http://c"];
    let failover = FailoverLayer::builder().targets(urls).build()?;
    let prefixed = FailoverLayer::builder()
        .targets(["http://a/shop", "http://b/shop"])
        .build()?;
    let balance = BalanceLayer::builder().urls(urls).build()?;
    let outlier = OutlierDetector::default().http_layer(&Endpoint::new("a"));
    let breaker = CircuitBreakerLayer::http().build()?;
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::default())
        .layer(RetryLayer::default())
        .layer(breaker.clone())
        .layer(TimeoutLayer::new(limit))
        .layer(BulkheadLayer::default());

    let group = &mut c.benchmark_group("http");
    let mut service = Bare;
    group.bench_function("bare, an empty request", |b| {
        b.iter(|| call(&mut service, bare()));
    });
    let mut service = failover.layer(Bare);
    group.bench_function("failover, an empty request", |b| {
        b.iter(|| call(&mut service, bare()));
    });
    http(group, "bare", Bare);
    http(group, "deadline", DeadlineLayer::default().layer(Bare));
    http(
        group,
        "body timeout",
        BodyTimeoutLayer::default().layer(Bare),
    );
    http(group, "retry", RetryLayer::default().layer(Bare));
    http(group, "hedge", HedgeLayer::http().build()?.layer(Bare));
    http(group, "circuit breaker", breaker.layer(Bare));
    http(group, "throttle", ThrottleLayer::default().layer(Bare));
    http(group, "outlier ejection", outlier.layer(Bare));
    http(group, "failover", failover.layer(Bare));
    http(group, "failover, with a path prefix", prefixed.layer(Bare));
    http(
        group,
        "failover over timeout",
        failover.layer(TimeoutLayer::new(limit).layer(Bare)),
    );
    http(group, "balance", balance.layer(Bare));
    http(
        group,
        "deadline, retry, breaker, timeout, bulkhead",
        stack.service(Bare),
    );
    Ok(())
}

criterion_group!(benches, layers);
criterion_main!(benches);
