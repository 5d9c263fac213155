//! What works: reuse, both protocols, bodies in both directions.

use std::{sync::Arc, time::Duration};

use bartizan_client::{Protocol, RequestExt, ResponseExt, Transport};
use bartizan_core::Body;
use bartizan_testing::{ControlledBody, Loopback};
use futures_util::{StreamExt, future};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version, header};
use http_body_util::BodyExt;
use tokio::sync::Barrier;

pub(crate) const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

pub(crate) fn transport(protocol: Protocol) -> Transport {
    Transport::builder()
        .protocol(protocol)
        .build()
        .expect("valid settings")
}

async fn echo() -> Loopback {
    Loopback::start(|request: Request<Body>| async { Response::new(request.into_body()) }).await
}

#[test]
fn a_transport_can_be_shared() {
    fn check<T: Clone + Send + Sync + 'static>() {}
    fn check_send<T: Send>(_: T) {}
    check::<Transport>();
    check_send(Transport::new().get("/").send());
    check_send(async { Transport::new().get("/").send().await?.text().await });
}

#[tokio::test]
async fn sequential_requests_share_a_connection() {
    for protocol in PROTOCOLS {
        let server = echo().await;
        let client = transport(protocol);
        for i in 0..5 {
            let text = format!("call {i}");
            let response = client.post(server.uri("/")).text(&text).send().await;
            let answer = response.expect("a response").text().await;
            assert_eq!(answer.expect("a text"), text);
        }
        assert_eq!(
            (server.requests(), server.connections()),
            (5, 1),
            "{protocol:?}"
        );
    }
}

#[tokio::test]
async fn clones_share_their_connections() {
    let server = echo().await;
    let client = Transport::new();
    for client in [client.clone(), client] {
        let response = client.get(server.uri("/")).send().await;
        response
            .expect("a response")
            .discard()
            .await
            .expect("the end");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn idle_connections_may_be_kept_for_ever() {
    let server = echo().await;
    let client = Transport::builder()
        .connect_timeout(Duration::MAX)
        .idle_timeout(Duration::MAX)
        .build()
        .expect("valid settings");
    for _ in 0..2 {
        let response = client.get(server.uri("/")).send().await;
        response
            .expect("a response")
            .discard()
            .await
            .expect("the end");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn nothing_is_kept_where_nothing_may_be_idle() {
    let server = echo().await;
    let client = Transport::builder()
        .max_idle_per_host(0)
        .build()
        .expect("valid settings");
    for _ in 0..3 {
        let response = client.get(server.uri("/")).send().await;
        response
            .expect("a response")
            .discard()
            .await
            .expect("the end");
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn concurrent_http2_requests_share_a_connection() {
    const CALLS: usize = 20;
    let all_here = Arc::new(Barrier::new(CALLS));
    let server = Loopback::start(move |_: Request<Body>| {
        let all_here = all_here.clone();
        async move {
            all_here.wait().await;
            Response::new(Body::empty())
        }
    })
    .await;
    let client = transport(Protocol::Http2);
    let calls = (0..CALLS).map(|_| client.get(server.uri("/")).send());
    for response in future::join_all(calls).await {
        assert_eq!(response.expect("a response").version(), Version::HTTP_2);
    }
    assert_eq!((server.requests(), server.connections()), (CALLS, 1));
}

#[tokio::test]
async fn bodies_stream_in_both_directions_at_once() {
    for protocol in PROTOCOLS {
        let server = echo().await;
        let (body, upload) = ControlledBody::new();
        upload.data("first");
        let request = transport(protocol)
            .post(server.uri("/"))
            .body(Body::new(body));
        let mut download = request.send().await.expect("a response").stream();

        assert_eq!(download.next().await.expect("data").expect("data"), "first");
        upload.data("second");
        assert_eq!(
            download.next().await.expect("data").expect("data"),
            "second"
        );
        upload.end();
        assert!(download.next().await.is_none(), "{protocol:?}");
    }
}

#[tokio::test]
async fn trailers_arrive() {
    let server = Loopback::start(|_: Request<Body>| async {
        let (body, handle) = ControlledBody::new();
        handle.data("data");
        handle.trailers(HeaderMap::from_iter([(
            header::ETAG,
            HeaderValue::from_static("sum"),
        )]));
        let mut response = Response::new(Body::new(body));
        // HTTP/1.1 sends no trailers unannounced, and none that are not asked for.
        let trailer = HeaderValue::from_static("etag");
        response.headers_mut().insert(header::TRAILER, trailer);
        response
    })
    .await;
    for protocol in PROTOCOLS {
        let request = transport(protocol)
            .get(server.uri("/"))
            .header("te", "trailers");
        let response = request.send().await.expect("a response");
        let body = response.into_body().collect().await.expect("a body");
        let trailers = body.trailers().expect("trailers");
        assert_eq!(trailers[header::ETAG], "sum", "{protocol:?}");
        assert_eq!(body.to_bytes(), "data");
    }
}

#[tokio::test]
async fn the_server_sees_host_and_path_and_the_version_is_ours() {
    let server = Loopback::start(|request: Request<Body>| async move {
        let host = match request.headers().get(header::HOST) {
            Some(host) => host.to_str().expect("text").to_owned(),
            None => request.uri().authority().expect("a host").to_string(),
        };
        let path = request.uri().path_and_query().expect("a path");
        let answer = format!("{:?} {host} {path}", request.version());
        Response::new(answer.into())
    })
    .await;
    for (protocol, version) in PROTOCOLS.into_iter().zip(["HTTP/1.1", "HTTP/2.0"]) {
        for asked in [
            Version::HTTP_10,
            Version::HTTP_11,
            Version::HTTP_2,
            Version::HTTP_3,
        ] {
            let request = transport(protocol).get(server.uri("/a?b")).version(asked);
            let answer = request.send().await.expect("a response").text().await;
            let expected = format!("{version} {} /a?b", server.addr());
            assert_eq!(answer.expect("a text"), expected);
        }
    }
}

#[tokio::test]
async fn localhost_is_this_machine() {
    let server = echo().await;
    let port = server.addr().port();
    for host in ["localhost", "app.localhost"] {
        let uri = format!("http://{host}:{port}/");
        let response = Transport::new().post(&uri).text("here").send().await;
        assert_eq!(
            response.expect("a response").text().await.expect("a text"),
            "here"
        );
    }
}

#[tokio::test]
async fn a_response_to_head_has_a_length_and_no_body() {
    let server = Loopback::start(|_: Request<Body>| async {
        let mut response = Response::new(Body::empty());
        let length = HeaderValue::from(5);
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length);
        response
    })
    .await;
    for protocol in PROTOCOLS {
        let response = transport(protocol).head(server.uri("/")).send().await;
        let response = response.expect("a response").body_limit(4);
        assert_eq!(response.headers()[header::CONTENT_LENGTH], "5");
        assert_eq!(response.text().await.expect("no body"), "");
    }
}

#[tokio::test]
async fn any_body_can_be_sent() {
    let server = echo().await;
    let request = Request::builder()
        .method(Method::PUT)
        .uri(server.uri("/"))
        .body(http_body_util::Full::new(bytes::Bytes::from("full")))
        .expect("a request");
    let response = tower::ServiceExt::oneshot(Transport::new(), request).await;
    assert_eq!(
        response.expect("a response").text().await.expect("a text"),
        "full"
    );
}
