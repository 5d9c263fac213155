//! A listener in front of a client in front of a listener: the bodies of both ends are the same type.

use bartizan::{
    client::{Protocol, RequestExt, Transport},
    core::{Body, BoxError},
    listener::{Drained, Listener, ShutdownHandle},
    resilience::failover::FailoverLayer,
};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tokio::task::JoinHandle;
use tower::{Service, ServiceBuilder, service_fn};

struct Served {
    url: String,
    handle: ShutdownHandle,
    task: JoinHandle<Drained>,
}

async fn serve<S, RB>(service: S) -> Served
where
    S: Service<Request<Body>, Response = Response<RB>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    RB: http_body::Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let listener = Listener::bind("127.0.0.1:0").await.expect("a free port");
    Served {
        url: format!("http://{}", listener.local_addr()),
        handle: listener.handle(),
        task: tokio::spawn(listener.serve(service)),
    }
}

impl Served {
    async fn stop(self) -> Drained {
        self.handle.shutdown();
        self.task.await.expect("no panic")
    }
}

/// Passes every request on to `url`.
async fn proxy(protocol: Protocol, url: &str) -> Served {
    let transport = Transport::builder()
        .protocol(protocol)
        .build()
        .expect("valid");
    serve(
        ServiceBuilder::new()
            // Not a base URL, which leaves alone what has a host, as every request over HTTP/2 has.
            .layer(FailoverLayer::builder().target(url).build().expect("a URL"))
            .service(transport),
    )
    .await
}

/// Sends back what it gets, as it gets it, and then trailers.
async fn echo() -> Served {
    serve(service_fn(|request: Request<Body>| async {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-end", HeaderValue::from_static("reached"));
        let body = request
            .into_body()
            .with_trailers(async { Some(Ok(trailers)) });
        Ok::<_, BoxError>(Response::new(body))
    }))
    .await
}

async fn bodies_and_trailers_pass(protocol: Protocol) {
    let origin = echo().await;
    let proxy = proxy(protocol, &origin.url).await;
    let transport = Transport::builder()
        .protocol(protocol)
        .build()
        .expect("valid");

    let megabyte = "x".repeat(1 << 20);
    let response = transport
        .post(format!("{}/up", proxy.url))
        .body(megabyte.clone())
        .send()
        .await
        .expect("an answer");
    let collected = response.into_body().collect().await.expect("all of it");
    // Over HTTP/1.1, hyper sends none after a body whose length is known.
    if protocol == Protocol::Http2 {
        assert_eq!(collected.trailers().expect("trailers")["x-end"], "reached");
    }
    assert_eq!(collected.to_bytes(), megabyte);

    drop(transport);
    assert_eq!(proxy.stop().await, Drained::default());
    assert_eq!(origin.stop().await, Drained::default());
}

#[tokio::test]
async fn bodies_and_trailers_pass_over_http1() {
    bodies_and_trailers_pass(Protocol::Http1).await;
}

#[tokio::test]
async fn bodies_and_trailers_pass_over_http2() {
    bodies_and_trailers_pass(Protocol::Http2).await;
}
