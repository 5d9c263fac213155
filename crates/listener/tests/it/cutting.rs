use std::time::Duration;

use http_body_util::BodyExt;
use tokio::{net::TcpStream, task::JoinSet};
use tower::{ServiceExt, service_fn};

use crate::support::{
    Server, bind, call, feeding, gate, get, h1, h2, large, raw, rest, text, within,
};

#[tokio::test]
async fn the_deadline_cuts_what_never_ends() {
    let (service, mut keeper) = gate();
    let server = Server::start(
        bind().await.drain_timeout(Duration::from_millis(20)),
        service,
    );
    let mut one = raw(server.addr, b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let mut two = h2(server.addr).await;
    let two = tokio::spawn(async move { two.send_request(get("/")).await });
    keeper.arrived().await;
    keeper.arrived().await;
    assert_eq!(server.shutdown().await, (0, 2));
    assert_eq!(rest(&mut one).await, b"");
    within(two).await.expect("no panic").expect_err("it is cut");
    keeper.all_dropped().await;
}

#[tokio::test]
async fn a_handle_cuts_at_once() {
    let (service, mut keeper) = gate();
    let server = Server::start(bind().await, service);
    let mut client = h1(server.addr).await;
    let in_flight = tokio::spawn(async move { client.send_request(get("/")).await });
    keeper.arrived().await;
    server.handle.cut();
    assert!(server.handle.is_draining());
    assert_eq!(server.ended().await, (0, 1));
    within(in_flight)
        .await
        .expect("no panic")
        .expect_err("it is cut");
}

#[tokio::test]
async fn a_drain_can_be_cut_short() {
    let (service, mut keeper) = gate();
    let server = Server::start(bind().await, service);
    let mut clients = JoinSet::new();
    for _ in 0..2 {
        let mut client = h1(server.addr).await;
        clients.spawn(async move { client.send_request(get("/")).await });
        keeper.arrived().await;
    }
    server.handle.shutdown();
    keeper.let_through(1);
    let first = within(clients.join_next())
        .await
        .expect("two")
        .expect("no panic");
    assert_eq!(text(first.expect("a response")).await, "let through");
    server.handle.cut();
    let second = within(clients.join_next())
        .await
        .expect("two")
        .expect("no panic");
    second.expect_err("it is cut");
    assert_eq!(server.ended().await, (1, 1));
}

#[tokio::test]
async fn a_response_that_is_not_read_is_cut() {
    for version in [1, 2] {
        let server = Server::start(bind().await, service_fn(large));
        let body = call(version, server.addr).await.into_body();
        server.handle.shutdown();
        server.handle.cut();
        assert_eq!(server.ended().await, (0, 1), "HTTP/{version}");
        within(body.collect()).await.expect_err("it broke off");
    }
}

#[tokio::test]
async fn a_stream_is_cut() {
    for version in [1, 2] {
        let (service, mut feeds) = feeding();
        let server = Server::start(bind().await, service);
        let mut body = call(version, server.addr).await.into_body();
        let feed = feeds.recv().await.expect("it is served");
        feed.send("begun").expect("it is read");
        within(body.frame())
            .await
            .expect("a frame")
            .expect("intact");
        server.handle.cut();
        assert_eq!(server.ended().await, (0, 1), "HTTP/{version}");
        within(body.frame())
            .await
            .expect("an error")
            .expect_err("it broke off");
        within(feed.closed()).await;
    }
}

#[tokio::test]
async fn a_panic_is_neither_drained_nor_cut() {
    let (service, mut keeper) = gate();
    let service = service.map_response(|_| panic!("on purpose"));
    let server = Server::start(bind().await, service);
    let (mut one, mut two) = (h1(server.addr).await, h2(server.addr).await);
    let one = tokio::spawn(async move { one.send_request(get("/")).await });
    let two = tokio::spawn(async move { two.send_request(get("/")).await });
    keeper.arrived().await;
    keeper.arrived().await;
    server.handle.shutdown();
    keeper.let_through(2);
    within(one)
        .await
        .expect("no panic here")
        .expect_err("no response");
    within(two)
        .await
        .expect("no panic here")
        .expect_err("no response");
    assert_eq!(server.ended().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_future_drops_everything() {
    let (service, mut keeper) = gate();
    let server = Server::start(bind().await, service);
    let mut clients = JoinSet::new();
    for _ in 0..20 {
        let (mut one, mut two) = (h1(server.addr).await, h2(server.addr).await);
        clients.spawn(async move { one.send_request(get("/")).await });
        clients.spawn(async move { two.send_request(get("/")).await });
        keeper.arrived().await;
        keeper.arrived().await;
    }
    server.serving.abort();
    let drained = within(server.handle.wait()).await;
    assert_eq!((drained.drained, drained.cut), (0, 40));
    keeper.all_dropped().await;
    for response in within(clients.join_all()).await {
        response.expect_err("it is cut");
    }
    TcpStream::connect(server.addr)
        .await
        .expect_err("it is closed");
}
