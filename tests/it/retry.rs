//! Retries over real HTTP.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan::{
    client::{self, RequestExt, ResponseExt, Transport},
    core::{Body, BoxError},
    resilience::{
        backoff::Backoff,
        retry::{Attempts, GaveUp, HttpPolicy, RetryLayer, RetryLayerBuilder},
    },
};
use bartizan_testing::{ControlledBody, Loopback};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Layer, ServiceBuilder, ServiceExt};

fn layer() -> RetryLayerBuilder<HttpPolicy> {
    RetryLayer::builder()
        .backoff(Backoff::constant(Duration::from_millis(1)))
        .unsent_if(|error: &client::Error| error.is_unsent() && !error.is_builder())
}

/// A server that answers 503, with a page to read, to as many requests as that. It keeps their bodies.
async fn busy(times: usize) -> (Loopback, Arc<Mutex<Vec<String>>>) {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let log = bodies.clone();
    let server = Loopback::start(move |request| {
        let log = log.clone();
        async move {
            let body = request
                .into_body()
                .collect()
                .await
                .expect("a body")
                .to_bytes();
            let mut log = log.lock().expect("unpoisoned");
            log.push(String::from_utf8_lossy(&body).into_owned());
            let status = if log.len() > times { 200 } else { 503 };
            let page = vec![b'x'; 20_000];
            Response::builder()
                .status(status)
                .body(page.into())
                .expect("valid")
        }
    })
    .await;
    (server, bodies)
}

fn count(response: &Response<impl Sized>) -> Option<u32> {
    let attempts = response.extensions().get::<Attempts>()?;
    Some(attempts.count())
}

#[tokio::test]
async fn whole_bodies_and_streams_are_sent_again_over_one_connection() {
    let (server, bodies) = busy(2).await;
    // Time enough to read what is drained.
    let backoff = Backoff::constant(Duration::from_millis(50));
    let layer = layer().backoff(backoff).build().expect("valid");
    let client = layer.layer(Transport::new());
    let response = client
        .put(server.uri("/").to_string())
        .text("whole")
        .send()
        .await;
    assert_eq!(count(&response.expect("the third")), Some(3));
    assert_eq!(*bodies.lock().expect("unpoisoned"), ["whole"; 3]);
    assert_eq!(server.connections(), 1);

    let (server, bodies) = busy(2).await;
    let (body, frames) = ControlledBody::new();
    let request = Request::put(server.uri("/")).body(body).expect("valid");
    let call = tokio::spawn(client.oneshot(request));
    frames.data("str");
    frames.data("eam");
    frames.end();
    let response = call.await.expect("no panic").expect("the third");
    assert_eq!(count(&response), Some(3));
    response.into_body().collect().await.expect("the page");
    assert_eq!(*bodies.lock().expect("unpoisoned"), ["stream"; 3]);
}

#[tokio::test]
async fn over_hyper_utils_client_a_refused_connect_is_tried_again_whatever_the_method() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let uri = format!("http://{}/", listener.local_addr().expect("bound"));
    drop(listener);
    let inner: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let layer = layer()
        .unsent_if(hyper_util::client::legacy::Error::is_connect)
        .build()
        .expect("valid");
    let handle = layer.handle();
    let service = ServiceBuilder::new().layer(layer).service(inner);
    for body in [Body::from("whole"), Body::new(ControlledBody::new().0)] {
        let before = handle.gave_up(GaveUp::Attempts);
        let request = Request::post(&uri).body(body).expect("valid");
        let error = service
            .clone()
            .oneshot(request)
            .await
            .expect_err("nobody there");
        assert!(error.is_connect(), "as it is: {error}");
        assert_eq!(handle.gave_up(GaveUp::Attempts), before + 1);
    }
    assert_eq!(handle.retries(), 4);
}

#[tokio::test]
async fn our_transport_says_by_itself_what_was_not_sent() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let uri = format!("http://{}/", listener.local_addr().expect("bound"));
    drop(listener);
    let layer = layer().build().expect("valid");
    let client = layer.layer(Transport::new());
    let error = client
        .post(&uri)
        .text("an order")
        .send()
        .await
        .expect_err("nobody there");
    assert!(error.is_connect());
    assert_eq!(layer.handle().retries(), 2);
    // A request that is none is not tried again.
    let error = client.post("nowhere").send().await.expect_err("no URL");
    assert!(error.is_builder());
    assert_eq!(layer.handle().retries(), 2);
}

/// An axum router takes any body and cannot fail.
#[tokio::test]
async fn over_and_within_an_axum_router() {
    let calls = Arc::new(AtomicUsize::new(0));
    let app =
        axum::Router::new().route(
            "/",
            axum::routing::get(move || {
                let n = calls.fetch_add(1, Ordering::Relaxed);
                async move {
                    http::StatusCode::from_u16(if n % 2 == 0 { 503 } else { 200 }).expect("valid")
                }
            }),
        );
    let layer = layer().build().expect("valid");
    let response = layer.layer(app.clone()).get("/").send().await;
    assert_eq!(count(&response.expect("the second")), Some(2));
    let response = app.layer(layer).get("/").send().await.expect("the second");
    assert_eq!(count(&response), Some(2));
}

/// A proxy: hyper's own body comes in, and goes on, more than once.
#[tokio::test]
async fn over_a_hyper_body() {
    let (origin, bodies) = busy(1).await;
    let uri = origin.uri("/");
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let service = layer().build().expect("valid").layer(client);
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let addr = proxy.local_addr().expect("bound");
    tokio::spawn(async move {
        let app = tower::service_fn(move |mut request: Request<axum::body::Body>| {
            *request.uri_mut() = uri.clone();
            let service = service.clone();
            async move { Ok::<_, BoxError>(service.oneshot(request).await?.map(axum::body::Body::new)) }
        });
        let app = axum::Router::new().fallback_service(axum::error_handling::HandleError::new(
            app,
            |error: BoxError| async move { (http::StatusCode::BAD_GATEWAY, error.to_string()) },
        ));
        axum::serve(proxy, app).await
    });
    let response = Transport::new()
        .put(format!("http://{addr}/"))
        .text("through")
        .send()
        .await;
    let response = response.expect("a response");
    assert_eq!(response.status(), 200);
    response.discard().await.expect("the page");
    assert_eq!(*bodies.lock().expect("unpoisoned"), ["through"; 2]);
}
