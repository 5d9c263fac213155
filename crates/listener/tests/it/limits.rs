//! What a peer may ask of the listener, and what it is told where that is too much.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{Router, body::Bytes, routing};
use bartizan_core::{Body, BoxError};
use bartizan_listener::{HttpSettings, HttpSettingsBuilder, Listener, MinRate, Protocols};
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};
use tower::service_fn;

use crate::{
    support::{LARGE, Server, bind, gate, get, h1, h2, hello, large, raw, rest, text, within},
    wire::{self, DATA, END_HEADERS, HEADERS, PING, Wire, frame},
};

/// Short enough for a test, and long enough for a machine under load to be faster.
const SHORT: Duration = Duration::from_millis(100);

async fn with(settings: HttpSettingsBuilder) -> Listener {
    bind().await.http(settings.build().expect("valid settings"))
}

fn settings() -> HttpSettingsBuilder {
    HttpSettings::builder()
}

fn quick(bytes_per_second: u32) -> MinRate {
    MinRate::try_new(bytes_per_second, SHORT).expect("valid")
}

/// Reads the whole body, and passes its error on.
async fn read(request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let length = request.into_body().collect().await?.to_bytes().len();
    Ok(Response::new(Body::from(length.to_string())))
}

async fn answer(server: &Server, request: &[u8]) -> String {
    let mut client = raw(server.addr, request).await;
    String::from_utf8(rest(&mut client).await).expect("UTF-8")
}

#[tokio::test]
async fn a_target_that_is_too_long_is_a_414() {
    let server = Server::start(bind().await, service_fn(hello));
    let longest = format!("/{}", "x".repeat(4095));
    let mut one = h1(server.addr).await;
    let mut two = h2(server.addr).await;
    for (path, status) in [(&longest[..], 200), (&format!("{longest}x"), 414)] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = answer(&server, request.as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert_eq!(answer.contains("application/problem+json"), status == 414);
    }
    // A client sends the authority with it over HTTP/2: 16 bytes.
    for (path, status) in [(&longest[15..], 414), (&longest[16..], 200)] {
        let path = format!("/{}", &path[1..]);
        let response = two.send_request(get(&path)).await.expect("a response");
        assert_eq!(response.status(), status);
    }
    assert_eq!(
        one.send_request(get("/"))
            .await
            .expect("a response")
            .status(),
        200
    );
    // hyper's own answer, before all of it is read.
    let answer = answer(&server, format!("GET /{}", "x".repeat(70_000)).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    drop((one, two));
    server.shutdown().await;
}

#[tokio::test]
async fn a_header_section_that_is_too_large_is_a_431() {
    let server = Server::start(bind().await, service_fn(hello));
    let request =
        |fields: &str| format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{fields}\r\n");
    let rest = "hosta".len() + "connectionclose".len() + 2 * 4;
    let fits = "x".repeat(8192 - rest - "x".len() - 4);
    for (fields, status, is_ours) in [
        (format!("x: {fits}\r\n"), 200, false),
        (format!("x: {fits}x\r\n"), 431, true),
        (format!("x: {}\r\n", "x".repeat(30_000)), 431, false),
        ("x: y\r\n".repeat(98), 200, false),
        ("x: y\r\n".repeat(99), 431, false),
    ] {
        let answer = answer(&server, request(&fields).as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert_eq!(answer.contains("application/problem+json"), is_ours);
    }
    let mut two = h2(server.addr).await;
    for (length, status) in [(8000, 200), (8300, 431), (15_900, 431)] {
        let mut request = get("/");
        request.headers_mut().insert(
            "x",
            HeaderValue::from_bytes(&vec![b'x'; length]).expect("valid"),
        );
        let response = two.send_request(request).await.expect("a response");
        assert_eq!(response.status(), status, "{length}");
    }
    let mut request = get("/");
    for _ in 0..100 {
        request
            .headers_mut()
            .append("x", HeaderValue::from_static("y"));
    }
    let response = two.send_request(request).await.expect("a response");
    assert_eq!(response.status(), 431);
    drop(two);
    server.shutdown().await;
}

#[tokio::test]
async fn a_body_that_says_it_is_too_long_is_refused_before_it_is_sent() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let service = service_fn(move |request| {
        counter.fetch_add(1, SeqCst);
        read(request)
    });
    let server = Server::start(with(settings().max_body_bytes(5)).await, service);
    let request = |length| {
        format!(
            "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let answer = answer(&server, request(6).as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 413 "),
        "nobody is to continue: {answer}"
    );
    assert!(answer.contains("\r\nconnection: close\r\n"));
    let mut two = h2(server.addr).await;
    for (body, status) in [("12345", 200), ("123456", 413)] {
        let mut post = get("/").map(|_| Full::from(body));
        *post.method_mut() = Method::POST;
        let response = two.send_request(post).await.expect("a response");
        assert_eq!(response.status(), status);
    }
    assert_eq!(calls.load(SeqCst), 1);
    // What is allowed is asked for.
    let mut client = raw(server.addr, request(5).as_bytes()).await;
    let mut asked = [0; 25];
    within(client.read_exact(&mut asked))
        .await
        .expect("an answer");
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"12345").await.expect("it reads");
    let mut begin = [0; 15];
    within(client.read_exact(&mut begin))
        .await
        .expect("an answer");
    assert_eq!(&begin, b"HTTP/1.1 200 OK");
    drop((client, two));
    server.shutdown().await;
}

#[tokio::test]
async fn a_body_that_turns_out_too_long_is_a_413() {
    let post = |length: usize| {
        let body = format!("{length:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(length));
        format!(
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n{body}"
        )
    };
    let server = Server::start(with(settings().max_body_bytes(5)).await, service_fn(read));
    for (length, status) in [(5, 200), (6, 413)] {
        let answer = answer(&server, post(length).as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
    server.shutdown().await;

    // axum knows the error, too.
    let router = Router::new().route(
        "/",
        routing::post(|body: Bytes| async move { body.len().to_string() }),
    );
    let listener = with(settings().max_body_bytes(5)).await;
    let (addr, handle) = (listener.local_addr(), listener.handle());
    let serving = tokio::spawn(listener.serve(router));
    for (length, status) in [(5, 200), (6, 413)] {
        let mut client = raw(addr, post(length).as_bytes()).await;
        let answer = rest(&mut client).await;
        assert!(answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()));
    }
    handle.shutdown();
    within(serving).await.expect("no panic");
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_a_408() {
    let server = Server::start(
        with(settings().min_request_rate(quick(100_000))).await,
        service_fn(read),
    );
    let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n";
    // Nothing at all, and a little now and then.
    let start = Instant::now();
    let answer = answer(&server, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"));
    assert!(start.elapsed() >= SHORT);
    let client = raw(server.addr, head.as_bytes()).await;
    let (mut reader, mut writer) = client.into_split();
    let dripping = tokio::spawn(async move {
        while writer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let mut answer = [0; 12];
    within(reader.read_exact(&mut answer))
        .await
        .expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 408");
    drop(reader);
    dripping.abort();

    let mut wire = Wire::connect(server.addr, &[]).await;
    wire.send(&frame(HEADERS, END_HEADERS, 1, &wire::head("POST", "/")))
        .await;
    wire.until(HEADERS).await.expect("an answer");
    drop(wire);
    server.shutdown().await;
}

#[tokio::test]
async fn silence_in_a_stream_of_messages_is_no_slowness() {
    let server = Server::start(
        with(settings().min_request_rate(quick(100_000))).await,
        service_fn(read),
    );
    let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc+proto\r\ncontent-length: 1\r\nconnection: close\r\n\r\n";
    let mut client = raw(server.addr, head.as_bytes()).await;
    let early = tokio::time::timeout(SHORT * 3, client.read_u8()).await;
    early.expect_err("it waits");
    client.write_all(b"x").await.expect("it reads");
    assert!(rest(&mut client).await.starts_with(b"HTTP/1.1 200 "));
    drop(client);
    server.shutdown().await;
}

#[tokio::test]
async fn who_does_not_read_is_closed() {
    for version in [1, 2] {
        let server = Server::start(
            with(settings().min_response_rate(quick(1 << 30))).await,
            service_fn(large),
        );
        let mut wire = None;
        let mut client = None;
        if version == 1 {
            client = Some(raw(server.addr, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await);
        } else {
            let mut peer = Wire::connect(server.addr, &[]).await;
            peer.send(&wire::get(1)).await;
            wire = Some(peer);
        }
        within(async {
            loop {
                let connections = server.handle.connections();
                if connections.is_empty() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        drop((wire, client));
        assert_eq!(server.shutdown().await, (0, 0), "HTTP/{version}");
    }
}

/// The window of the stream is shut, and acknowledgements are written all the time.
#[tokio::test]
async fn pings_do_not_make_up_for_reading() {
    let listener = with(settings().min_response_rate(quick(1000))).await;
    let server = Server::start(listener, service_fn(hello));
    let mut wire = Wire::connect(server.addr, &[(4, 0)]).await;
    wire.send(&wire::get(1)).await;
    let start = Instant::now();
    // 17 bytes every 2 ms are more than the least rate.
    while wire.send(&frame(PING, 0, 0, &[0; 8])).await && start.elapsed() < SHORT * 50 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(start.elapsed() < SHORT * 50, "it is kept");
    server.shutdown().await;
}

#[tokio::test]
async fn who_reads_slowly_enough_is_served() {
    let listener = with(settings().min_response_rate(quick(1000))).await;
    let server = Server::start(listener, service_fn(large));
    let mut client = raw(
        server.addr,
        b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    )
    .await;
    let (mut read, mut buffer) = (0, vec![0; LARGE / 16]);
    loop {
        let now = within(client.read(&mut buffer)).await.expect("it writes");
        if now == 0 {
            break;
        }
        read += now;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(read > LARGE);
    drop(client);
    server.shutdown().await;
}

#[tokio::test]
async fn a_service_that_is_slow_to_send_makes_no_slow_reader() {
    let service = service_fn(|_| async {
        let frames = futures_util::stream::unfold(0, |number| async move {
            tokio::time::sleep(SHORT).await;
            let frame = http_body::Frame::data(Bytes::from_static(b"event"));
            (number < 4).then_some((Ok::<_, Infallible>(frame), number + 1))
        });
        Ok::<_, Infallible>(Response::new(Body::new(StreamBody::new(frames))))
    });
    let listener = with(
        settings()
            .min_response_rate(quick(1 << 30))
            .min_request_rate(quick(1 << 30)),
    )
    .await;
    let server = Server::start(listener, service);
    for response in [
        h1(server.addr).await.send_request(get("/")).await,
        h2(server.addr).await.send_request(get("/")).await,
    ] {
        assert_eq!(
            text(response.expect("a response")).await,
            "eventeventeventevent"
        );
    }
    server.shutdown().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_busy_one_kept() {
    let (service, mut keeper) = gate();
    let server = Server::start(with(settings().idle_timeout(SHORT)).await, service);
    let mut client = raw(server.addr, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    keeper.arrived().await;
    let early = tokio::time::timeout(SHORT * 3, client.read_u8()).await;
    early.expect_err("the request is in flight");
    keeper.let_through(1);
    let answered = Instant::now();
    assert!(rest(&mut client).await.ends_with(b"let through"));
    assert!(answered.elapsed() >= SHORT);
    assert_eq!(server.shutdown().await, (0, 0));
}

#[tokio::test]
async fn a_further_head_has_less_time_than_an_idle_connection() {
    let server = Server::start(
        with(settings().header_read_timeout(SHORT)).await,
        service_fn(hello),
    );
    let mut client = raw(server.addr, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut answer = vec![0; 1024];
    within(client.read(&mut answer)).await.expect("an answer");
    // Longer than a head may take.
    tokio::time::timeout(SHORT * 3, client.read_u8())
        .await
        .expect_err("it is kept");
    client.write_all(b"GET / HT").await.expect("it reads");
    let begun = Instant::now();
    assert_eq!(rest(&mut client).await, b"");
    assert!(begun.elapsed() >= SHORT);
    server.shutdown().await;
}

#[tokio::test]
async fn a_head_that_drips_has_no_more_time() {
    let server = Server::start(
        with(settings().header_read_timeout(SHORT)).await,
        service_fn(hello),
    );
    let client = raw(server.addr, b"GET / HTTP/1.1\r\n").await;
    let (mut reader, mut writer) = client.into_split();
    let dripping = tokio::spawn(async move {
        while writer.write_all(b"x: y\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let mut answer = Vec::new();
    let _ = within(reader.read_to_end(&mut answer)).await;
    assert!(answer.is_empty(), "{answer:?}");
    drop(reader);
    within(dripping).await.expect("no panic");
    server.shutdown().await;
}

/// It is a setting of no use, and not a way to hang or to crash.
#[tokio::test]
async fn no_time_at_all_for_a_head_is_too_little() {
    let server = Server::start(
        with(settings().header_read_timeout(Duration::ZERO)).await,
        service_fn(hello),
    );
    let mut client = raw(server.addr, b"").await;
    assert_eq!(rest(&mut client).await, b"");
    server.shutdown().await;
}

#[tokio::test]
async fn a_connection_has_its_number_of_requests() {
    let server = Server::start(with(settings().max_requests(3)).await, service_fn(hello));
    let requests = "GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(5);
    let answer = answer(&server, requests.as_bytes()).await;
    assert_eq!(answer.matches("hello").count(), 3);
    assert_eq!(answer.matches("connection: close").count(), 1);
    let (_, last) = answer.rsplit_once("HTTP/1.1").expect("a response");
    assert!(
        last.contains("connection: close"),
        "the last one says so: {last}"
    );

    // What comes after it does not cost the last response: such a connection is not reset.
    let mut sent = "GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(3).into_bytes();
    sent.resize(2 << 20, b'x');
    let mut client = raw(server.addr, &sent).await;
    assert!(rest(&mut client).await.ends_with(b"hello"));
    drop(client);

    let mut two = h2(server.addr).await;
    let mut answered = 0;
    while let Ok(response) = two.send_request(get("/")).await {
        assert_eq!(text(response).await, "hello");
        answered += 1;
    }
    // The client may have sent one more before it knew.
    assert!((3..=4).contains(&answered), "{answered}");
    server.shutdown().await;
}

#[tokio::test]
async fn an_old_connection_ends_with_its_requests() {
    let (service, mut keeper) = gate();
    let server = Server::start(with(settings().max_age(SHORT)).await, service);
    let mut client = raw(server.addr, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut two = h2(server.addr).await;
    let other = tokio::spawn(async move {
        let response = two.send_request(get("/")).await.expect("a response");
        let text = text(response).await;
        while two.ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
        text
    });
    keeper.arrived().await;
    keeper.arrived().await;
    tokio::time::timeout(SHORT * 3, client.read_u8())
        .await
        .expect_err("the request is in flight");
    keeper.let_through(2);
    let answer = String::from_utf8(rest(&mut client).await).expect("UTF-8");
    assert!(
        answer.contains("connection: close") && answer.ends_with("let through"),
        "{answer}"
    );
    assert_eq!(within(other).await.expect("no panic"), "let through");
    drop(client);
    assert_eq!(server.shutdown().await, (0, 0));
}

#[tokio::test]
async fn a_service_that_takes_too_long_is_a_503() {
    let (service, keeper) = gate();
    let server = Server::start(with(settings().request_timeout(SHORT)).await, service);
    for response in [
        h1(server.addr).await.send_request(get("/")).await,
        h2(server.addr).await.send_request(get("/")).await,
    ] {
        let response = response.expect("a response");
        assert_eq!(response.status(), 503);
        assert!(text(response).await.contains("too long"));
    }
    server.shutdown().await;
    keeper.all_dropped().await;
}

#[tokio::test]
async fn responses_say_when_and_by_whom_as_it_is_set() {
    let own = service_fn(|request: Request<Body>| async move {
        let mut response = Response::new(Body::empty());
        if request.uri().path() == "/own" {
            response
                .headers_mut()
                .insert(header::SERVER, HeaderValue::from_static("own"));
        }
        Ok::<_, Infallible>(response)
    });
    for (settings, path, server_header, date) in [
        (settings(), "/", None, true),
        (
            settings().server_header("it").date_header(false),
            "/",
            Some("it"),
            false,
        ),
        (settings().server_header("it"), "/own", Some("own"), true),
    ] {
        let server = Server::start(with(settings).await, own);
        for response in [
            h1(server.addr).await.send_request(get(path)).await,
            h2(server.addr).await.send_request(get(path)).await,
        ] {
            let headers = response.expect("a response").headers().clone();
            assert_eq!(
                headers.get(header::SERVER).map(HeaderValue::as_bytes),
                server_header.map(str::as_bytes)
            );
            assert_eq!(headers.contains_key(header::DATE), date);
        }
        server.shutdown().await;
    }
}

#[tokio::test]
async fn only_what_is_to_be_spoken_is() {
    let server = Server::start(
        with(settings().protocols(Protocols::Http1)).await,
        service_fn(hello),
    );
    assert_eq!(
        text(
            h1(server.addr)
                .await
                .send_request(get("/"))
                .await
                .expect("a response")
        )
        .await,
        "hello"
    );
    let mut wire = Wire::connect(server.addr, &[]).await;
    wire.send(&wire::get(1)).await;
    let answer = rest(&mut wire.io).await;
    assert!(!answer.starts_with(&[0, 0]), "no frames: {answer:?}");
    server.shutdown().await;

    let listener = with(settings().protocols(Protocols::Http2).linger(SHORT)).await;
    let server = Server::start(listener, service_fn(hello));
    assert_eq!(
        text(
            h2(server.addr)
                .await
                .send_request(get("/"))
                .await
                .expect("a response")
        )
        .await,
        "hello"
    );
    let mut client = raw(server.addr, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let answer = rest(&mut client).await;
    assert!(!answer.starts_with(b"HTTP/1"), "{answer:?}");
    server.shutdown().await;
}

#[tokio::test]
async fn trailers_go_both_ways() {
    let echo = service_fn(|request: Request<Body>| async move {
        let collected = request.into_body().collect().await?;
        let trailers = collected.trailers().cloned();
        let body = Full::new(collected.to_bytes()).with_trailers(async { trailers.map(Ok) });
        Ok::<_, BoxError>(Response::new(Body::new(body)))
    });
    let server = Server::start(bind().await, echo);
    let request = "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntransfer-encoding: chunked\r\ntrailer: x\r\nconnection: close\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n";
    let answer = answer(&server, request.as_bytes()).await;
    // HTTP/1.1 sends those that a response has announced.
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

    let mut wire = Wire::connect(server.addr, &[]).await;
    wire.send(&frame(HEADERS, END_HEADERS, 1, &wire::head("POST", "/")))
        .await;
    wire.send(&frame(DATA, 0, 1, b"hello")).await;
    wire.send(&frame(HEADERS, END_HEADERS | 1, 1, &wire::field("x", "y")))
        .await;
    let head = wire.until(HEADERS).await.expect("a head");
    assert_eq!(head.flags & 1, 0);
    let data = wire.until(DATA).await.expect("a body");
    assert_eq!(data.payload, b"hello");
    let trailers = wire.until(HEADERS).await.expect("trailers");
    assert_eq!(trailers.flags & 1, 1, "they end the stream");
    drop(wire);
    server.shutdown().await;
}
