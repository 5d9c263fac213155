//! reqwest: its request and response are types of its own, so layers that speak HTTP need an adaptor, and the others none.

use ::reqwest::{Client, Error, Request, Response};
use std::{
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bartizan_client::{CookieLayer, Jar, RedirectLayer, RequestExt, ResponseExt};
use bartizan_core::{Body, BoxError, ConfigError, Outcome};
use bartizan_resilience::{
    adaptive_limit::AdaptiveLimitLayer,
    balance::{Balance, BalanceLayer},
    bulkhead::BulkheadLayer,
    chaos::ChaosLayer,
    circuit_breaker::CircuitBreakerLayer,
    coalesce::HttpCoalesceLayer,
    deadline::DeadlineLayer,
    endpoint::Endpoint,
    failover::{Failover, Policy},
    fallback::{Failed, FallbackLayer},
    hedge::HedgeLayer,
    outlier::OutlierDetector,
    rate_limit::RateLimitLayer,
    retry::{OnOutcome, RetryLayer},
    shed::ShedLayer,
    stack,
    throttle::ThrottleLayer,
    timeout::{BodyTimeoutLayer, TimeoutLayer},
};
use bartizan_testing::Loopback;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use crate::{LIMIT, quota, works, works_boxed};

fn outcome(result: Result<&Response, &Error>) -> Outcome {
    match result {
        Ok(response) if !response.status().is_server_error() => Outcome::Success,
        Ok(_) | Err(_) => Outcome::Failure,
    }
}

/// For a list of clients, each with a server of its own.
#[derive(Clone)]
struct OnStatus;

impl Policy<Request, Response> for OnStatus {
    fn copy(&self, request: &Request) -> Option<Request> {
        request.try_clone()
    }

    fn fault(&self, response: &Response) -> Option<std::borrow::Cow<'static, str>> {
        let status = response.status();
        status.is_server_error().then(|| status.to_string().into())
    }
}

/// reqwest wants a body that is `Sync`, as a lock makes everything.
struct Shareable(Mutex<Body>);

impl http_body::Body for Shareable {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let body = self.get_mut().0.get_mut();
        Pin::new(body.unwrap_or_else(PoisonError::into_inner)).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().is_ok_and(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.0.lock().map(|body| body.size_hint());
        hint.unwrap_or_default()
    }
}

/// The adaptor for layers that speak HTTP, and so for `stack::client`.
fn over_http(
    client: Client,
) -> impl Service<
    http::Request<Body>,
    Response = http::Response<::reqwest::Body>,
    Error = Error,
    Future: Send,
> + Clone
+ Send
+ 'static {
    tower::service_fn(move |request: http::Request<Body>| {
        let client = client.clone();
        async move {
            let request = Request::try_from(
                request.map(|body| ::reqwest::Body::wrap(Shareable(body.into()))),
            )?;
            client.execute(request).await.map(http::Response::from)
        }
    })
}

#[tokio::test]
async fn each_layer_goes_over_it() {
    let client = Client::new;
    works_boxed::<Request, _>(TimeoutLayer::new(LIMIT).box_errors().layer(client()));
    works_boxed::<Request, _>(BulkheadLayer::default().box_errors().layer(client()));
    works_boxed::<Request, _>(RateLimitLayer::new(quota()).box_errors().layer(client()));
    works_boxed::<Request, _>(
        ShedLayer::try_new(9)
            .expect("valid")
            .box_errors()
            .layer(client()),
    );
    let limit = AdaptiveLimitLayer::builder().build().expect("valid");
    works_boxed::<Request, _>(limit.classify(outcome).box_errors().layer(client()));
    let breaker = CircuitBreakerLayer::builder().classify(outcome).build();
    works_boxed::<Request, _>(breaker.expect("valid").box_errors().layer(client()));
    let throttle = ThrottleLayer::builder().classify(outcome).build();
    works_boxed::<Request, _>(throttle.expect("valid").box_errors().layer(client()));
    let chaos = ChaosLayer::builder().build().expect("valid");
    works_boxed::<Request, _>(chaos.box_errors().layer(client()));
    let failover = Failover::builder(OnStatus)
        .target("a", client())
        .target("b", client())
        .build();
    works_boxed::<Request, _>(failover.expect("targets").box_errors());

    let balance = Balance::builder()
        .endpoint(Endpoint::new("a"), client())
        .classify(outcome);
    works_boxed::<Request, _>(balance.build().expect("an endpoint").box_errors());

    let fallback = FallbackLayer::function(Failed::<Response, Error>::into_result);
    works::<Request, _>(fallback.classify(outcome).layer(client()));
    let retry = RetryLayer::with_policy(OnOutcome::new(outcome, Request::try_clone));
    works::<Request, _>(retry.build().expect("valid").layer(client()));
    let hedge = HedgeLayer::builder(Request::try_clone).classify(outcome);
    works::<Request, _>(hedge.build().expect("valid").layer(client()));
    works::<Request, _>(
        OutlierDetector::default()
            .layer(&Endpoint::new("a"))
            .layer(client()),
    );

    type Http = http::Request<Body>;
    let adapted = || over_http(client());
    works_boxed::<Http, _>(DeadlineLayer::new(LIMIT).box_errors().layer(adapted()));
    works::<Http, _>(BodyTimeoutLayer::new().layer(adapted()));
    works_boxed::<Http, _>(HttpCoalesceLayer::new().box_errors().layer(adapted()));
    let balance = BalanceLayer::builder().urls(["http://a"]).build();
    works_boxed::<Http, _>(balance.expect("a URL").box_errors().layer(adapted()));
}

/// The adaptor that the cookbook shows.
#[tokio::test]
async fn a_whole_body_goes_over_as_its_bytes() {
    let server = Loopback::start(|request: http::Request<_>| async {
        let body: Bytes = BodyExt::collect(request.into_body())
            .await
            .expect("whole")
            .to_bytes();
        http::Response::new(Body::from(body))
    })
    .await;
    let client = Client::new();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let client = client.clone();
        async move {
            let (head, body) = request.into_parts();
            let bytes = body.whole().cloned().ok_or("the body is a stream")?;
            let request = ::reqwest::Request::try_from(http::Request::from_parts(head, bytes))?;
            Ok::<_, BoxError>(http::Response::from(client.execute(request).await?))
        }
    });
    let request = http::Request::post(server.uri("/")).body(Body::from("hello"));
    let response = works_boxed::<http::Request<Body>, _>(stack::client(service))
        .oneshot(request.expect("valid"))
        .await
        .expect("an answer");
    let body = response.into_body().collect().await.expect("a body");
    assert_eq!(body.to_bytes(), "hello");
}

#[tokio::test]
async fn a_call_in_its_own_types_and_one_through_the_adaptor() {
    let server = Loopback::start(|_| async { http::Response::new(Body::from("hello")) }).await;
    let url = server.uri("/").to_string();

    let service = ServiceBuilder::new()
        .layer(TimeoutLayer::new(LIMIT).box_errors())
        .service(Client::new());
    let request = Client::new().get(&url).build().expect("a URL");
    let response = service.oneshot(request).await.expect("an answer");
    assert_eq!(response.text().await.expect("a body"), "hello");

    let service = works_boxed::<http::Request<Body>, _>(stack::client(over_http(Client::new())));
    let request = http::Request::get(&url).body(Body::empty()).expect("valid");
    let response: Result<_, BoxError> = service.oneshot(request).await;
    assert_eq!(response.expect("an answer").status(), 200);
}

// ANCHOR: in_its_own_types
/// Layers that only look at how a call ends take reqwest's own requests and responses.
fn in_its_own_types(
    client: Client,
) -> Result<impl Service<Request, Response = Response, Error = BoxError> + Clone, ConfigError> {
    let breaker = CircuitBreakerLayer::builder().classify(
        |result: Result<&Response, &BoxError>| match result {
            Ok(response) if !response.status().is_server_error() => Outcome::Success,
            Ok(_) | Err(_) => Outcome::Failure,
        },
    );
    Ok(ServiceBuilder::new()
        .layer(breaker.build()?)
        // reqwest's error cannot be made from a refusal: the layer next to it boxes it, and those above need nothing.
        .layer(TimeoutLayer::new(Duration::from_secs(5)).box_errors())
        .service(client))
}
// ANCHOR_END: in_its_own_types

// ANCHOR: in_types_of_http
/// Layers that read and write HTTP need its types: an adaptor, for bodies that are whole.
fn in_types_of_http(client: Client) -> Result<bartizan_client::Client, BoxError> {
    let adaptor = tower::service_fn(move |request: http::Request<Body>| {
        let client = client.clone();
        async move {
            let (head, body) = request.into_parts();
            let bytes = body.whole().cloned().ok_or("the body is a stream")?;
            let request = Request::try_from(http::Request::from_parts(head, bytes))?;
            Ok::<_, BoxError>(http::Response::from(client.execute(request).await?))
        }
    });
    let stack = ServiceBuilder::new()
        .layer(RedirectLayer::new())
        .layer(CookieLayer::new(Jar::new()))
        .layer(RetryLayer::builder().build()?)
        .service(adaptor);
    Ok(bartizan_client::Client::from_service(stack))
}
// ANCHOR_END: in_types_of_http

#[tokio::test]
async fn the_stacks_that_the_cookbook_shows() {
    let server = Loopback::start(|request: http::Request<Body>| async move {
        let response = http::Response::builder();
        match request.headers().get("cookie") {
            None => response
                .status(302)
                .header("location", "/")
                .header("set-cookie", "seen=1")
                .body(Body::empty()),
            Some(cookie) => response.body(cookie.as_bytes().to_vec().into()),
        }
        .expect("a response")
    })
    .await;
    let client = || {
        Client::builder()
            .redirect(::reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("valid")
    };
    let url = server.uri("/").to_string();

    let service = in_its_own_types(client()).expect("valid");
    let request = client().get(&url).build().expect("a URL");
    assert_eq!(
        service.oneshot(request).await.expect("an answer").status(),
        302
    );

    let service = in_types_of_http(client()).expect("valid");
    let response = service.get(&url).send().await.expect("an answer");
    assert_eq!(response.text().await.expect("a body"), "seen=1");
}
