//! How slowly bodies may come, and how slowly responses may be read.

use std::{convert::Infallible, time::Duration};

use axum::body::Bytes;
use bartizan_core::Body;
use bartizan_listener::MinRate;
use http::Response;
use http_body_util::StreamBody;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};
use tower::service_fn;

use super::{SHORT, answer, read, settings, with};
use crate::{
    support::{LARGE, Server, get, h1, h2, hello, large, raw, rest, text, within},
    wire::{self, END_HEADERS, HEADERS, PING, Wire, frame},
};

fn quick(bytes_per_second: u32) -> MinRate {
    MinRate::try_new(bytes_per_second, SHORT).expect("valid")
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
