//! Panics of services and of bodies.

use std::{convert::Infallible, panic};

use bartizan_core::{Body, BoxError, find};
use bartizan_listener::catch_panic::{BodyPanicked, CatchPanicLayer};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{request, text};
use crate::support;

/// Keeps the output clean of panics that are meant.
fn quietly() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let meant = info
            .payload()
            .downcast_ref::<&str>()
            .is_some_and(|text| *text == "meant");
        if !meant {
            before(info);
        }
    }));
}

/// Panics when it is read.
struct Panicking;

impl http_body::Body for Panicking {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        panic!("meant");
    }
}

#[tokio::test]
async fn panics_end_one_request() {
    quietly();
    let service = service_fn(|request: Request<Body>| {
        assert!(request.uri().path() != "/call" || { panic!("meant") });
        async move {
            match request.uri().path() {
                "/future" => panic!("meant"),
                "/later" => {
                    tokio::task::yield_now().await;
                    panic!("meant");
                }
                "/body" => Ok::<_, Infallible>(Response::new(Body::new(Panicking))),
                _ => Ok(Response::new(Body::from("hello"))),
            }
        }
    });
    let service = CatchPanicLayer::new().layer(service);
    for path in ["/call", "/future", "/later"] {
        let response = service.oneshot(request("GET", path, &[])).await;
        let response = response.expect("infallible");
        assert_eq!(response.status(), 500, "{path}");
        assert!(!text(response).await.contains("meant"));
    }
    let response = service.oneshot(request("GET", "/body", &[])).await;
    let mut body = response.expect("infallible").into_body();
    let error = body.frame().await.expect("a frame").expect_err("an error");
    assert!(find::<BodyPanicked>(&*error).is_some());
    assert!(body.frame().await.is_none());
    assert!(http_body::Body::is_end_stream(&body));
}

/// Says something, waits until that is written, and panics.
#[derive(Default)]
struct Breaking {
    polled: u8,
}

impl http_body::Body for Breaking {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        self.polled += 1;
        match self.polled {
            1 => std::task::Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from("begun"))))),
            2 => {
                cx.waker().wake_by_ref();
                std::task::Poll::Pending
            }
            _ => panic!("meant"),
        }
    }
}

async fn break_off(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    match request.uri().path() {
        "/call" => panic!("meant"),
        "/body" => Ok(Response::new(Body::new(Breaking::default()))),
        _ => Ok(Response::new(Body::from("hello"))),
    }
}

/// With the one body that the server of these tests takes.
fn erased<S, B>(
    service: S,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    service.map_response(|response| response.map(Body::new))
}

#[tokio::test]
async fn over_http2_the_others_on_the_connection_go_on() {
    quietly();
    let service = CatchPanicLayer::new().layer(service_fn(break_off));
    let server = support::Server::start(support::bind().await, erased(service));
    let mut sender = support::h2(server.addr).await;
    for (path, status) in [("/call", 500), ("/", 200), ("/call", 500), ("/", 200)] {
        let response = support::within(sender.send_request(support::get(path))).await;
        assert_eq!(response.expect("a response").status(), status, "{path}");
    }
    // The reset may overtake the head.
    if let Ok(response) = support::within(sender.send_request(support::get("/body"))).await {
        let collected = support::within(response.into_body().collect()).await;
        assert!(collected.is_err());
    }
    let response = support::within(sender.send_request(support::get("/"))).await;
    assert_eq!(response.expect("a response").status(), 200);
    drop(sender);
    assert_eq!(server.shutdown().await, (0, 0));
}

#[tokio::test]
async fn over_http1_the_response_breaks_off() {
    quietly();
    let service = CatchPanicLayer::new().layer(service_fn(break_off));
    let server = support::Server::start(support::bind().await, erased(service));
    let mut client = support::raw(
        server.addr,
        b"GET /body HTTP/1.1\r\nhost: localhost\r\n\r\n",
    )
    .await;
    let answer = support::rest(&mut client).await;
    let answer = String::from_utf8(answer).expect("text");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("begun"), "{answer}");
    assert!(!answer.ends_with("0\r\n\r\n"), "it looks whole: {answer}");
    drop(client);
    assert_eq!(server.shutdown().await, (0, 0));
}

/// The highest place, above layers that wrap the body in one of their own: which is not made of bytes, as ours are.
#[cfg(feature = "compression")]
#[tokio::test]
async fn it_goes_above_layers_that_change_the_body() {
    use bartizan_listener::{cors::CorsLayer, request_id::RequestIdLayer};
    use tower::ServiceBuilder;

    quietly();
    let service = ServiceBuilder::new()
        .layer(RequestIdLayer::new())
        // One that answers by itself, and needs a body made of bytes: this one is again.
        .layer(
            CorsLayer::builder()
                .any_origin()
                .build()
                .expect("valid rules"),
        )
        .layer(CatchPanicLayer::new())
        .layer(bartizan_listener::compression::responses())
        .service(service_fn(break_off));
    let response = service.clone().oneshot(request("GET", "/call", &[])).await;
    let response = response.expect("infallible");
    assert_eq!(response.status(), 500);
    assert!(response.headers().contains_key("x-request-id"));
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let whole = response.body().size_hint().exact();
    let told = text(response).await;
    assert_eq!(whole, Some(told.len() as u64));
    assert!(told.contains("\"status\":500"), "{told}");

    let response = service.clone().oneshot(request("GET", "/", &[])).await;
    assert_eq!(text(response.expect("infallible")).await, "hello");
    let response = service.oneshot(request("GET", "/body", &[])).await;
    let broken = response.expect("infallible").into_body().collect().await;
    let error = broken.expect_err("it breaks off");
    assert!(find::<BodyPanicked>(&*error).is_some());
}
