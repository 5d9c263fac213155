use std::{future::poll_fn, time::Duration};

use bartizan_listener::{
    Accept, AcceptError, Accepted, AtLimit, ConnectionLimit, Listener, PeerLimit, Refusal, memory,
};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tower::{Layer, service_fn};

use crate::support::{HOUR, Server, answer, bind, gate, get, h1, hello, raw, rest, text, within};

async fn accept<A: Accept>(accept: &mut A) -> Result<Accepted<A::Io>, AcceptError> {
    within(poll_fn(|cx| accept.poll_accept(cx))).await
}

const CLOSING: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn further_connections_wait_until_one_is_closed() {
    let limit = ConnectionLimit::new(1);
    let server = Server::start(bind().await.layer(limit.clone()), service_fn(hello));
    let mut first = h1(server.addr).await;
    let response = first.send_request(get("/")).await.expect("a response");
    assert_eq!(text(response).await, "hello");
    assert_eq!(limit.open(), 1);

    // In the backlog, with its request.
    let mut second = raw(server.addr, CLOSING).await;
    drop(first);
    assert!(rest(&mut second).await.ends_with(b"hello"));
    drop(second);
    server.shutdown().await;
    assert_eq!(limit.open(), 0);
}

#[tokio::test]
async fn or_they_are_refused_and_counted() {
    let limit = ConnectionLimit::new(1).at_limit(AtLimit::Refuse);
    let (service, mut keeper) = gate();
    let server = Server::start(bind().await.layer(limit), service);
    let mut first = raw(server.addr, CLOSING).await;
    keeper.arrived().await;
    let mut second = raw(server.addr, CLOSING).await;
    assert_eq!(rest(&mut second).await, b"");
    let stats = server.handle.stats();
    assert_eq!(
        (stats.refused, stats.accepted, stats.connections),
        (1, 1, 1)
    );
    keeper.let_through(1);
    assert!(rest(&mut first).await.ends_with(b"let through"));
    drop(first);
    server.shutdown().await;
}

#[tokio::test]
async fn one_peer_does_not_take_the_places_of_all() {
    let limit = PeerLimit::new(2);
    let (service, mut keeper) = gate();
    let server = Server::start(bind().await.layer(limit.clone()), service);
    let (_one, _two) = (
        raw(server.addr, CLOSING).await,
        raw(server.addr, CLOSING).await,
    );
    keeper.arrived().await;
    keeper.arrived().await;
    let mut third = raw(server.addr, CLOSING).await;
    assert_eq!(rest(&mut third).await, b"");
    // The whole of 127.0.0.0/8 is this machine: another client.
    let other = tokio::net::TcpSocket::new_v4().expect("a socket");
    if other.bind("127.0.0.2:0".parse().expect("valid")).is_ok() {
        let mut other = other.connect(server.addr).await.expect("it listens");
        other.write_all(CLOSING).await.expect("it reads");
        keeper.arrived().await;
        assert_eq!(limit.peers(), 2);
    }
    server.handle.cut();
    server.ended().await;
    assert_eq!(limit.peers(), 0);
}

/// A place is given back by the transport, wherever that went.
#[tokio::test]
async fn an_upgraded_connection_keeps_its_place() {
    let limit = ConnectionLimit::new(1);
    let (incoming, connector) = memory();
    let mut limited = limit.layer(incoming);
    let _client = connector.connect().await.expect("it listens");
    let accepted = accept(&mut limited).await.expect("a connection");
    let moved = tokio::spawn(async move {
        let io = accepted.io;
        tokio::task::yield_now().await;
        drop(io);
    });
    assert_eq!(limit.open(), 1);
    moved.await.expect("no panic");
    assert_eq!(limit.open(), 0);
}

#[tokio::test]
async fn layers_work_over_each_other_without_a_listener() {
    let (incoming, connector) = memory();
    let total = ConnectionLimit::new(2).at_limit(AtLimit::Refuse);
    let mut limited = PeerLimit::new(1).layer(total.layer(incoming));
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(connector.connect().await.expect("it listens"));
    }
    let (one, two) = (accept(&mut limited).await, accept(&mut limited).await);
    assert!(
        one.is_ok() && two.is_ok(),
        "peers without an address are not limited"
    );
    let error = accept(&mut limited).await.expect_err("two is the limit");
    assert_eq!(error.refusal().map(|(why, _)| why), Some(Refusal::Full));
    drop(one);
    clients.push(connector.connect().await.expect("it listens"));
    assert!(accept(&mut limited).await.is_ok());
}

#[tokio::test]
async fn an_accept_loop_for_each_socket() {
    let listener = bartizan_listener::Bind::new()
        .to("127.0.0.1:0")
        .to("127.0.0.1:0")
        .listen()
        .await
        .expect("free ports")
        .drain_timeout(HOUR);
    let addrs: Vec<_> = listener.local_addrs().to_vec();
    assert_ne!(addrs[0], addrs[1]);
    let limit = ConnectionLimit::new(10);
    let server = Server::start(listener.layer(limit), service_fn(hello));
    for addr in &addrs {
        let addr = addr.socket_addr().expect("over TCP");
        let answered = answer(addr, CLOSING).await;
        assert!(answered.ends_with(b"hello"));
    }
    assert_eq!(server.handle.stats().accepted, 2);
    server.shutdown().await;
    for addr in &addrs {
        let addr = addr.socket_addr().expect("over TCP");
        TcpStream::connect(addr).await.expect_err("it is closed");
    }
}

#[tokio::test]
async fn serves_connections_from_anywhere() {
    let (incoming, connector) = memory();
    let listener = Listener::from_accept(incoming);
    let handle = listener.handle();
    let serving = tokio::spawn(listener.serve(service_fn(hello)));
    let mut io = connector.connect().await.expect("it listens");
    io.write_all(CLOSING).await.expect("it reads");
    let mut answer = Vec::new();
    within(tokio::io::AsyncReadExt::read_to_end(&mut io, &mut answer))
        .await
        .expect("an answer");
    assert!(answer.ends_with(b"hello"));
    drop(io);
    handle.shutdown();
    within(serving).await.expect("no panic");
}

/// No real time passes: connections within the process have no other.
#[tokio::test(start_paused = true)]
async fn time_can_be_paused_over_memory() {
    let (listener, connector) = Listener::in_memory();
    let listener = listener.header_read_timeout(Duration::from_secs(3000));
    let handle = listener.handle();
    let serving = tokio::spawn(listener.serve(service_fn(hello)));
    let mut silent = connector.connect().await.expect("it listens");
    let start = tokio::time::Instant::now();
    let mut answer = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut answer)
        .await
        .expect("the end");
    assert_eq!(start.elapsed().as_secs(), 3000);
    handle.shutdown();
    serving.await.expect("no panic");
}
