//! The cost of a layer over a service that is ready and answers at once: `cargo bench -p bartizan-bench --bench layers`.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::{
    future::{Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bartizan_core::{Body, BoxError};
use bartizan_resilience::{
    failover::{Failover, FailoverLayer, OnError},
    timeout::TimeoutLayer,
};
use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use tower::{Layer, Service};

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

fn request() -> Request<Body> {
    Request::new(Body::empty())
}

fn layers(c: &mut Criterion) {
    // Timers need one to exist, though none is ever armed here.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter();
    let limit = Duration::from_secs(5);

    let mut group = c.benchmark_group("any protocol");
    let mut bare = Bare;
    group.bench_function("bare", |b| b.iter(|| call(&mut bare, black_box(1))));
    let mut timeout = TimeoutLayer::new(limit).layer(Bare);
    group.bench_function("timeout", |b| b.iter(|| call(&mut timeout, black_box(1))));
    let mut tower = tower::timeout::Timeout::new(Bare, limit);
    group.bench_function("tower's timeout", |b| {
        b.iter(|| call(&mut tower, black_box(1)));
    });
    let failover = Failover::builder(OnError)
        .target("a", Bare)
        .target("b", Bare)
        .build();
    let mut failover = failover.expect("two targets");
    group.bench_function("failover", |b| b.iter(|| call(&mut failover, black_box(1))));
    group.finish();

    let mut group = c.benchmark_group("http");
    let mut bare = Bare;
    group.bench_function("bare", |b| b.iter(|| call(&mut bare, request())));
    let failover = FailoverLayer::builder()
        .targets(["http://a", "http://b", "http://c"])
        .build();
    let failover = failover.expect("three targets");
    let mut stack = failover.layer(Bare);
    group.bench_function("failover", |b| b.iter(|| call(&mut stack, request())));
    let mut stack = failover.layer(TimeoutLayer::new(limit).layer(Bare));
    group.bench_function("failover over timeout", |b| {
        b.iter(|| call(&mut stack, request()));
    });
    group.finish();
}

criterion_group!(benches, layers);
criterion_main!(benches);
