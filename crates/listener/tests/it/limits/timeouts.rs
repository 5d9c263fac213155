//! How long a head may take to come, and a service to answer.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};
use tower::service_fn;

use super::{SHORT, settings, with};
use crate::support::{Server, gate, get, h1, h2, hello, raw, rest, text, within};

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
