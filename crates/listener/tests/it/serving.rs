use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Extension, Router, routing};
use bartizan_core::{Body, BoxError, Rejection, RejectionKind};
use bartizan_listener::{ConnectInfo, HttpSettings, extract::Violations};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::{Service, service_fn};

use crate::{
    support::{Server, bind, get, h1, h2, hello, raw, rest, text, within},
    wire::{DATA, END_HEADERS, END_STREAM, HEADERS, PING, Wire, frame, head},
};

/// What the service learned of the connection, and of its body.
async fn describe(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let info = request
        .extensions()
        .get::<ConnectInfo>()
        .expect("always there");
    let is_empty = request.body().whole().is_some_and(Bytes::is_empty);
    let text = format!("{} {} {} {is_empty}", info.id(), info.peer(), info.local());
    Ok(Response::new(Body::from(text)))
}

#[tokio::test]
async fn requests_know_their_connection() {
    let server = Server::start(bind().await, service_fn(describe));
    let (mut one, mut two) = (h1(server.addr).await, h2(server.addr).await);

    let first = text(one.send_request(get("/")).await.expect("a response")).await;
    within(one.ready()).await.expect("it is kept alive");
    let again = text(one.send_request(get("/")).await.expect("a response")).await;
    assert_eq!(first, again);
    let other = text(two.send_request(get("/")).await.expect("a response")).await;
    assert_eq!(
        other,
        text(two.send_request(get("/")).await.expect("a response")).await
    );

    let parts = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let (first, other) = (parts(&first), parts(&other));
    assert_ne!(first[0], other[0], "ids are unique");
    assert_ne!(first[1], other[1]);
    for parts in [first, other] {
        assert!(parts[1].starts_with("127.0.0.1:"));
        assert_eq!(parts[2], server.addr.to_string());
        assert_eq!(parts[3], "true", "no body is an empty body");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn request_bodies_arrive() {
    let echo = |request: Request<Body>| async move {
        assert!(request.body().whole().is_none(), "it is a stream");
        Ok::<_, Infallible>(Response::new(request.into_body()))
    };
    let server = Server::start(bind().await, service_fn(echo));
    let mut post = get("/").map(|_| Full::from("a body"));
    *post.method_mut() = Method::POST;
    let response = h1(server.addr)
        .await
        .send_request(post.clone())
        .await
        .expect("a response");
    assert_eq!(text(response).await, "a body");
    let response = h2(server.addr)
        .await
        .send_request(post)
        .await
        .expect("a response");
    assert_eq!(text(response).await, "a body");
    server.shutdown().await;
}

#[tokio::test]
async fn a_response_to_head_has_the_length_of_a_body_and_no_body() {
    let server = Server::start(bind().await, service_fn(hello));
    let head = || {
        let mut request = get("/");
        *request.method_mut() = Method::HEAD;
        request
    };
    let over_h1 = h1(server.addr).await.send_request(head()).await;
    let over_h2 = h2(server.addr).await.send_request(head()).await;
    for response in [over_h1, over_h2] {
        let response = response.expect("a response");
        assert_eq!(response.headers()[header::CONTENT_LENGTH], "5");
        assert_eq!(text(response).await, "");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn no_content_is_no_content_whatever_the_service_returns() {
    let server = Server::start(
        bind().await,
        service_fn(|_| async {
            let mut response = Response::new(Body::from("not to be sent"));
            *response.status_mut() = StatusCode::NO_CONTENT;
            Ok::<_, Infallible>(response)
        }),
    );
    let over_h1 = h1(server.addr).await.send_request(get("/")).await;
    let over_h2 = h2(server.addr).await.send_request(get("/")).await;
    for response in [over_h1, over_h2] {
        let response = response.expect("a response");
        assert_eq!(response.headers().get(header::CONTENT_LENGTH), None);
        assert_eq!(text(response).await, "");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn serves_an_axum_router() {
    let router = Router::new().route(
        "/peer",
        routing::get(|Extension(info): Extension<ConnectInfo>| async move {
            info.peer().ip().expect("over TCP").to_string()
        }),
    );
    let listener = bind().await;
    let (addr, handle) = (listener.local_addr(), listener.handle());
    let serving = tokio::spawn(listener.serve(router));
    let mut client = h2(addr).await;
    let response = client.send_request(get("/peer")).await.expect("a response");
    assert_eq!(text(response).await, "127.0.0.1");
    let response = client
        .send_request(get("/nowhere"))
        .await
        .expect("a response");
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    handle.shutdown();
    within(serving).await.expect("no panic");
}

/// May be called once it was ready, and a clone is not.
#[derive(Default)]
struct Reserving {
    pending_before: bool,
    ready: bool,
}

impl Clone for Reserving {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<Body>> for Reserving {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if !self.pending_before {
            self.pending_before = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        let mut response = Response::new(Body::empty());
        if !self.ready {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        ready(Ok(response))
    }
}

#[tokio::test]
async fn calls_the_clone_that_it_made_ready() {
    let server = Server::start(bind().await, Reserving::default());
    let mut client = h1(server.addr).await;
    for _ in 0..2 {
        let response = client.send_request(get("/")).await.expect("a response");
        assert_eq!(response.status(), StatusCode::OK);
        within(client.ready()).await.expect("it is kept alive");
    }
    let response = h2(server.addr)
        .await
        .send_request(get("/"))
        .await
        .expect("a response");
    assert_eq!(response.status(), StatusCode::OK);
    server.shutdown().await;
}

async fn fail_on_request(request: Request<Body>) -> Result<Response<Body>, BoxError> {
    match request.uri().path() {
        "/fail" => Err("10.0.0.1 is down".into()),
        "/full" => {
            let rejection = Rejection::new(RejectionKind::Full, "test");
            Err(std::io::Error::other(rejection).into())
        }
        "/invalid" => {
            let mut violations = Violations::new();
            violations.add("", "is never right");
            violations.into_result()?;
            unreachable!("there is a violation");
        }
        _ => Ok(Response::new(Body::empty())),
    }
}

#[tokio::test]
async fn an_error_of_the_service_is_answered_and_the_connection_kept() {
    let server = Server::start(bind().await, service_fn(fail_on_request));
    let (mut one, mut two) = (h1(server.addr).await, h2(server.addr).await);
    for (path, status) in [
        ("/fail", 500),
        ("/full", 503),
        ("/invalid", 422),
        ("/", 200),
    ] {
        within(one.ready()).await.expect("it is kept alive");
        let responses = [
            one.send_request(get(path)).await,
            two.send_request(get(path)).await,
        ];
        for response in responses {
            let response = response.expect("a response");
            assert_eq!(response.status(), status);
            let text = text(response).await;
            assert!(!text.contains("10.0.0.1"), "errors stay inside: {text}");
            assert_eq!(
                text.contains(&format!("\"status\":{status}")),
                status != 200
            );
        }
    }
    let mut head = get("/fail");
    *head.method_mut() = Method::HEAD;
    let response = two.send_request(head).await.expect("a response");
    assert_eq!(response.status(), 500);
    assert_eq!(text(response).await, "");
    server.shutdown().await;
}

#[tokio::test]
async fn a_request_has_one_host() {
    let server = Server::start(bind().await, service_fn(hello));
    for (hosts, status) in [
        ("", "400 Bad Request"),
        ("host: a\r\nhost: a\r\n", "400 Bad Request"),
        ("host: a\r\n", "200 OK"),
    ] {
        let request = format!("GET / HTTP/1.1\r\nconnection: close\r\n{hosts}\r\n");
        let mut client = raw(server.addr, request.as_bytes()).await;
        let answer = String::from_utf8(rest(&mut client).await).expect("UTF-8");
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{answer}"
        );
    }
    // HTTP/1.0 has no such rule.
    let mut client = raw(server.addr, b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(rest(&mut client).await.starts_with(b"HTTP/1.0 200 OK\r\n"));
    drop(client);
    server.shutdown().await;
}

#[tokio::test]
async fn an_error_of_readiness_is_one_of_the_service() {
    #[derive(Clone)]
    struct Broken;

    impl Service<Request<Body>> for Broken {
        type Response = Response<Body>;
        type Error = BoxError;
        type Future = Ready<Result<Response<Body>, BoxError>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Err("broken".into()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            ready(Ok(Response::new(Body::from("called"))))
        }
    }

    let server = Server::start(bind().await, Broken);
    let response = h1(server.addr).await.send_request(get("/")).await;
    assert_eq!(response.expect("a response").status(), 500);
    server.shutdown().await;
}

/// Panics where it is told to.
#[derive(Clone, Default)]
struct Trap {
    next_is_not_ready: Arc<AtomicBool>,
    is_armed: bool,
}

impl Drop for Trap {
    fn drop(&mut self) {
        assert!(!self.is_armed || std::thread::panicking(), "on purpose");
    }
}

impl Service<Request<Body>> for Trap {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        assert!(!self.next_is_not_ready.swap(false, SeqCst), "on purpose");
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path().to_owned();
        assert_ne!(path, "/call", "on purpose");
        self.is_armed = path == "/drop";
        let next_is_not_ready = Arc::clone(&self.next_is_not_ready);
        Box::pin(async move {
            assert_ne!(path, "/first%20step", "on purpose");
            tokio::task::yield_now().await;
            assert_ne!(path, "/later", "on purpose");
            next_is_not_ready.store(path == "/next", SeqCst);
            Ok(Response::new(Body::from("fine")))
        })
    }
}

#[tokio::test]
async fn a_panic_ends_its_own_stream_wherever_it_happens() {
    let server = Server::start(bind().await, Trap::default());
    let mut client = h2(server.addr).await;
    for path in ["/call", "/first%20step", "/later", "/next", "/drop"] {
        let trapped = if path == "/next" {
            let response = client.send_request(get(path)).await.expect("a response");
            assert_eq!(text(response).await, "fine");
            client.send_request(get("/")).await
        } else {
            client.send_request(get(path)).await
        };
        trapped.expect_err(path);
        let response = client.send_request(get("/")).await.expect(path);
        assert_eq!(text(response).await, "fine", "{path}");
    }
    // Over HTTP/1.1 there is nothing but the connection to end.
    let trapped = h1(server.addr).await.send_request(get("/call")).await;
    trapped.expect_err("there is no response");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_may_block_for_its_body_where_streams_are_tasks() {
    let service = service_fn(|request: Request<Body>| async move {
        let body = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(request.into_body().collect())
        });
        let body = body.expect("the whole body").to_bytes();
        Ok::<_, Infallible>(Response::new(Body::from(body)))
    });
    let settings = HttpSettings::builder().http2_spawn_streams(true).build();
    let listener = bind().await.http(settings.expect("valid"));
    let server = Server::start(listener, service);
    let mut wire = Wire::connect(server.addr, &[]).await;
    let post = frame(HEADERS, END_HEADERS, 1, &head("POST", "/"));
    wire.send(&[post, frame(PING, 0, 0, &[0; 8])].concat())
        .await;
    // Not before the service waits for it, which the answer to a ping does not prove, but nearly.
    wire.until(PING).await.expect("an answer");
    wire.send(&frame(DATA, END_STREAM, 1, b"body")).await;
    let data = wire.until(DATA).await.expect("a response");
    assert_eq!(data.payload, b"body");
    drop(wire);
    server.shutdown().await;
}

#[tokio::test]
async fn who_says_nothing_is_closed() {
    let listener = bind().await.header_read_timeout(Duration::from_millis(20));
    let server = Server::start(listener, service_fn(hello));
    // Nothing; what may yet become HTTP/2, or a `POST`; and a part of a head.
    for said in ["", "P", "GET / HTTP/1.1\r\nhost: localhost\r\n"] {
        let mut client = raw(server.addr, said.as_bytes()).await;
        assert_eq!(rest(&mut client).await, b"", "{said}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_request_that_takes_longer_than_a_head_may_is_served() {
    let slow = |_| async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        Ok::<_, Infallible>(Response::new(Body::from("at last")))
    };
    let listener = bind().await.header_read_timeout(Duration::from_millis(20));
    let server = Server::start(listener, service_fn(slow));
    // Shorter than HTTP/2's preface.
    let mut client = raw(server.addr, b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(rest(&mut client).await.ends_with(b"at last"));
    drop(client);
    server.shutdown().await;
}

#[tokio::test]
async fn connections_can_be_upgraded() {
    let upgrade = |request: Request<Body>| async {
        tokio::spawn(async {
            let mut io = TokioIo::new(hyper::upgrade::on(request).await?);
            let mut said = [0; 4];
            io.read_exact(&mut said).await?;
            io.write_all(&said).await?;
            Ok::<_, BoxError>(())
        });
        Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "echo")
            .body(Body::empty())
    };
    let server = Server::start(bind().await, service_fn(upgrade));
    let head =
        b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nping";
    let mut client = raw(server.addr, head).await;
    let answer = rest(&mut client).await;
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    assert!(answer.ends_with(b"\r\n\r\nping"));
    server.shutdown().await;
}

#[tokio::test]
async fn a_body_left_unread_does_not_cost_the_response() {
    let refuse = |_| async { Ok::<_, Infallible>(Response::new(Body::from("x".repeat(150_000)))) };
    let server = Server::start(bind().await, service_fn(refuse));
    let head =
        "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 100000\r\n\r\n";
    let request = format!("{head}{}", "y".repeat(100_000));
    let mut client = raw(server.addr, request.as_bytes()).await;
    // The response is in the buffers of the system, which drops it if the connection is reset.
    within(async {
        while server.handle.in_flight() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(
        rest(&mut client)
            .await
            .ends_with("x".repeat(150_000).as_bytes())
    );
    drop(client);
    server.shutdown().await;
}
