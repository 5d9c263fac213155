use std::{convert::Infallible, time::Duration};

use bartizan_core::{Body, BoxError, Rejection, StatusSet, find};
use bartizan_resilience::{
    balance::{BalanceLayer, Endpoints, RoundRobin},
    endpoint::{Endpoint, Unfit},
};
use bartizan_testing::{ControlledBody, Loopback, Probe, Step, allocations, contract};
use http::{Request, Response, header::HOST};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt, service_fn};

contract! {
    mod laws {
        layer: |probe| BalanceLayer::builder()
            .urls(["http://a", "http://b/v1", "http://c"])
            .build()
            .expect("three endpoints")
            .layer(probe),
        request: || Request::new(Body::empty()),
        response: || Response::new(Body::empty()),
    }

    mod body_laws {
        layer: |probe| BalanceLayer::builder()
            .urls(["http://a", "http://b"])
            .until_body_end()
            .build()
            .expect("two endpoints")
            .layer(probe),
        request: || Request::new(Body::empty()),
        response: || Response::new(Body::empty()),
    }
}

fn request(uri: &str) -> Request<Body> {
    let mut request = Request::get(uri).body(Body::empty()).expect("a request");
    request
        .headers_mut()
        .insert(HOST, "front".parse().expect("a host"));
    request
}

#[tokio::test(start_paused = true)]
async fn requests_go_below_the_urls() {
    let (probe, handle) = Probe::new(|_: &Request<Body>| Response::new(Body::empty()));
    let layer = BalanceLayer::builder()
        .picker(RoundRobin::new())
        .urls(["http://a:81/v1", "https://b"])
        .build()
        .expect("two endpoints");
    // All that a layer makes takes turns together.
    for service in [layer.layer(probe.clone()), layer.layer(probe)] {
        service
            .oneshot(request("/x?y=z"))
            .await
            .expect("a response");
    }
    let seen = handle.take_requests();
    let uris: Vec<_> = seen.iter().map(|seen| seen.uri().to_string()).collect();
    assert_eq!(uris, ["http://a:81/v1/x?y=z", "https://b/x?y=z"]);
    assert!(seen.iter().all(|seen| !seen.headers().contains_key(HOST)));
}

#[tokio::test(start_paused = true)]
async fn statuses_count_as_failures() {
    let client = service_fn(|request: Request<Body>| async move {
        let status = match request.uri().host() {
            Some("a") => 500,
            _ => 200,
        };
        Ok::<_, BoxError>(Response::builder().status(status).body(Body::empty())?)
    });
    let classify = bartizan_core::HttpClassify::new().failures(StatusSet::range(501, 599));
    for (layer, most) in [
        (BalanceLayer::builder(), 1),
        (BalanceLayer::builder().classify(classify), 100),
    ] {
        let layer = layer.urls(["http://a", "http://b"]).seed(5).build();
        let mut service = layer.expect("two endpoints").layer(client);
        let mut failures = 0;
        for _ in 0..100 {
            let response = service.ready().await.expect("ready").call(request("/"));
            failures += usize::from(response.await.expect("a response").status() == 500);
        }
        assert!(
            failures <= most && (most == 1 || failures > 10),
            "{failures}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn load_lasts_until_the_body_ends_where_that_is_asked_for() {
    let (body, sender) = ControlledBody::new();
    let slot = std::sync::Arc::new(std::sync::Mutex::new(Some(body)));
    let client = service_fn(move |_: Request<Body>| {
        let body = slot.lock().expect("no panic").take().expect("one call");
        async move { Ok::<_, BoxError>(Response::new(body)) }
    });
    let layer = BalanceLayer::builder().url("http://a").until_body_end();
    let layer = layer.build().expect("an endpoint");
    let endpoints = layer.endpoints();
    let response = layer.layer(client).oneshot(request("/")).await;
    let response = response.expect("a head");
    assert_eq!(endpoints.snapshot()[0].in_flight(), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(endpoints.snapshot()[0].latency(), None);
    sender.fail("reset");
    assert!(response.into_body().collect().await.is_err());
    let snapshot = &endpoints.snapshot()[0];
    assert_eq!(snapshot.in_flight(), 0);
    // It broke off, which is a failure: the penalty.
    assert_eq!(snapshot.latency(), Some(Duration::from_secs(5)));
}

#[tokio::test(start_paused = true)]
async fn a_list_of_urls_can_change_under_its_services() {
    let (probe, handle) = Probe::new(|_: &Request<Body>| Response::new(Body::empty()));
    let list = Endpoints::new();
    let layer = BalanceLayer::builder().endpoints(list.clone()).build();
    let layer = layer.expect("it may be empty");
    let service = layer.layer(probe);
    // The layer may go.
    drop(layer);
    assert!(service.clone().oneshot(request("/")).await.is_err());
    list.insert(Endpoint::new("a"), "http://a".parse().expect("a URL"));
    service
        .clone()
        .oneshot(request("/1"))
        .await
        .expect("a response");
    list.insert(Endpoint::new("a"), "http://other".parse().expect("a URL"));
    service.oneshot(request("/2")).await.expect("a response");
    let seen = handle.take_requests();
    let uris: Vec<_> = seen.iter().map(|seen| seen.uri().to_string()).collect();
    assert_eq!(uris, ["http://a/1", "http://other/2"]);
}

#[tokio::test(start_paused = true)]
async fn where_errors_cannot_be_it_answers() {
    let client =
        service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::empty())) });
    let endpoint = Endpoint::new("a");
    let layer = BalanceLayer::builder()
        .endpoint(endpoint.clone(), format!("http://a/{}", "p".repeat(40_000)))
        .panic_threshold(0.0)
        .build()
        .expect("an endpoint")
        .reject_with(Rejection::into_response);
    let service = layer.layer(client);
    let long = format!("/{}", "q".repeat(40_000));
    let Ok(response) = service.clone().oneshot(request(&long)).await;
    assert_eq!(response.status(), 400, "too long below that URL");
    endpoint.set_unfit(Unfit::Disabled, true);
    let Ok(response) = service.oneshot(request("/")).await;
    assert_eq!(response.status(), 503);
}

#[test]
fn what_is_no_url_is_refused() {
    let refused = |url: &str| {
        let layer = BalanceLayer::builder().url("http://a").url(url).build();
        layer.expect_err("refused").to_string()
    };
    assert_eq!(
        refused("b:80"),
        "invalid endpoints[1] `b:80`: expected an absolute http:// or https:// URL"
    );
    assert_eq!(
        refused("http://a/"),
        "invalid endpoints[1] `http://a`: expected a name of its own for each"
    );
}

#[tokio::test]
async fn calls_allocate_nothing() {
    let client = service_fn(|_: Request<Body>| {
        std::future::ready(Ok::<_, BoxError>(Response::new(Body::empty())))
    });
    let layer = BalanceLayer::builder().urls(["http://a", "http://b:1"]);
    let service = layer.build().expect("two endpoints").layer(client);
    let many = || {
        for _ in 0..100 {
            let mut one = service.clone();
            let ready = std::pin::pin!(one.ready());
            let ready = futures_util::FutureExt::now_or_never(ready).expect("ready");
            let call = ready.expect("ready").call(Request::new(Body::empty()));
            let response = futures_util::FutureExt::now_or_never(call).expect("at once");
            response.expect("a response");
        }
    };
    // The first clone of an authority makes its bytes shareable, once for all calls.
    many();
    assert_eq!(allocations(many), ((), 0));
}

#[tokio::test]
async fn over_real_sockets() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let servers = [
        Loopback::start(|_| async { Response::new(Body::from("one")) }).await,
        Loopback::start(|_| async { Response::new(Body::from("two")) }).await,
    ];
    // The least client there is: the transport is another crate's.
    let client = service_fn(|request: Request<Body>| async move {
        let authority = request.uri().authority().expect("absolute").as_str();
        let mut socket = tokio::net::TcpStream::connect(authority).await?;
        let path = request.uri().path();
        let head = format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
        socket.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        Ok::<_, BoxError>(Response::new(Body::from(answer)))
    });
    let layer = BalanceLayer::builder()
        .picker(RoundRobin::new())
        .urls(servers.iter().map(|server| server.uri("/").to_string()))
        .build()
        .expect("two endpoints");
    let service = layer.layer(client);
    for wanted in ["one", "two", "one"] {
        let response = service.clone().oneshot(request("/")).await;
        let text = response.expect("a response").into_body();
        let text = text.collect().await.expect("a body").to_bytes();
        assert!(text.ends_with(wanted.as_bytes()), "{text:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejection_of_the_client_is_found() {
    let (probe, handle) = Probe::new(|_: &Request<Body>| Response::new(Body::empty()));
    handle.push(Step::fail("refused"));
    let layer = BalanceLayer::builder().url("http://a").build();
    let service = layer.expect("an endpoint").box_errors().layer(probe);
    let error = service.oneshot(request("/")).await.expect_err("refused");
    assert!(find::<Rejection>(&*error).is_none());
    assert_eq!(error.to_string(), "refused");
}
