//! How long a connection is kept: unused, by its age, and by the number of its requests.

use tokio::{io::AsyncReadExt, time::Instant};
use tower::service_fn;

use super::{SHORT, answer, settings, with};
use crate::support::{Server, gate, get, h2, hello, raw, rest, text, within};

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
