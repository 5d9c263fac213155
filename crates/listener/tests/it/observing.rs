use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bartizan_listener::{
    Address, AtLimit, ConnectInfo, ConnectionLimit, Drained, HandshakeError, Observer,
    ProxyProtocol, Refusal, RequestEnd, Traffic,
};
use tower::service_fn;

use crate::support::{Server, bind, gate, get, h1, hello, raw, rest, text};

/// Writes down what it is told.
#[derive(Debug, Default)]
struct Diary(Mutex<Vec<String>>);

impl Diary {
    fn write(&self, what: impl Into<String>) {
        self.0.lock().expect("no panic").push(what.into());
    }

    fn read(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}

impl Observer for Diary {
    fn accepted(&self, info: &ConnectInfo) {
        assert!(info.proxied().is_none());
        self.write("accepted");
    }

    fn refused(&self, peer: &Address, why: Refusal) {
        self.write(format!("refused {:?} {why:?}", peer.ip().is_some()));
    }

    fn handshake_ended(
        &self,
        info: &ConnectInfo,
        result: Result<(), &HandshakeError>,
        _: Duration,
    ) {
        self.write(format!("handshake {} {}", info.is_tls(), result.is_ok()));
    }

    fn request_started(&self, _: &ConnectInfo) {
        self.write("request");
    }

    fn request_ended(&self, _: &ConnectInfo, end: RequestEnd) {
        self.write(format!("{end:?}"));
    }

    fn closed(&self, _: &ConnectInfo, traffic: Traffic) {
        self.write(format!("closed {} {}", traffic.read, traffic.written > 0));
    }

    fn draining(&self, in_flight: usize) {
        self.write(format!("draining {in_flight}"));
    }

    fn drained(&self, drained: Drained) {
        self.write(format!("drained {} {}", drained.drained, drained.cut));
    }
}

const CLOSING: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn the_life_of_a_connection_in_order() {
    let diary = Arc::new(Diary::default());
    let listener = bind().await.observe(Arc::clone(&diary));
    let server = Server::start(listener, service_fn(hello));
    let mut client = raw(server.addr, CLOSING).await;
    let answer = rest(&mut client).await;
    drop(client);
    let handle = server.handle.clone();
    server.shutdown().await;
    let mut told = diary.read();
    // Whether it is closed before or after the drain begins is up to the scheduler.
    let closed = format!("closed {} true", CLOSING.len());
    let at = told.iter().position(|event| *event == closed);
    told.remove(at.expect("it is closed once"));
    assert_eq!(
        told,
        [
            "accepted",
            "handshake false true",
            "request",
            "Finished",
            "draining 0",
            "drained 0 0"
        ]
    );
    let stats = handle.stats();
    assert_eq!(
        (stats.accepted, stats.requests, stats.connections),
        (1, 1, 0)
    );
    assert_eq!(stats.traffic.read, CLOSING.len() as u64);
    assert_eq!(stats.traffic.written, answer.len() as u64);
}

#[tokio::test]
async fn stats_are_of_now() {
    let (service, mut keeper) = gate();
    let server = Server::start(bind().await, service);
    let mut client = h1(server.addr).await;
    let in_flight = tokio::spawn(async move {
        let response = client.send_request(get("/")).await;
        (client, response)
    });
    keeper.arrived().await;
    let stats = server.handle.stats();
    assert_eq!(
        (stats.connections, stats.requests, stats.in_flight),
        (1, 1, 1)
    );
    assert!(stats.traffic.read > 0 && stats.traffic.written == 0);
    keeper.let_through(1);
    let (_client, response) = in_flight.await.expect("no panic");
    assert_eq!(text(response.expect("a response")).await, "let through");
    assert!(server.handle.stats().traffic.written > 0);
    server.shutdown().await;
}

#[tokio::test]
async fn what_is_cut_is_told() {
    let diary = Arc::new(Diary::default());
    let (service, mut keeper) = gate();
    let server = Server::start(bind().await.observe(Arc::clone(&diary)), service);
    let _client = raw(server.addr, CLOSING).await;
    keeper.arrived().await;
    let handle = server.handle.clone();
    server.handle.cut();
    server.ended().await;
    let told = diary.read();
    for event in ["request", "Cut", "drained 0 1"] {
        assert_eq!(
            told.iter().filter(|told| *told == event).count(),
            1,
            "{told:?}"
        );
    }
    assert_eq!(handle.stats().drained.cut, 1);
}

#[tokio::test]
async fn refusals_and_failures_are_told() {
    let diary = Arc::new(Diary::default());
    let (service, mut keeper) = gate();
    let listener = bind()
        .await
        .layer(ConnectionLimit::new(1).at_limit(AtLimit::Refuse))
        .proxy_protocol(ProxyProtocol::trusting([]))
        .observe(Arc::clone(&diary));
    let server = Server::start(listener, service);
    let first = raw(server.addr, CLOSING).await;
    keeper.arrived().await;
    let mut second = raw(server.addr, CLOSING).await;
    assert_eq!(rest(&mut second).await, b"");
    assert!(diary.read().contains(&"refused true Full".to_owned()));
    drop(first);
    server.handle.cut();
    server.ended().await;

    let diary = Arc::new(Diary::default());
    let listener = bind()
        .await
        .proxy_protocol(ProxyProtocol::trusting([]))
        .observe(Arc::clone(&diary));
    let server = Server::start(listener, service_fn(hello));
    let mut client = raw(server.addr, b"PROXY UNKNOWN\r\n").await;
    assert_eq!(rest(&mut client).await, b"");
    server.shutdown().await;
    let told = diary.read();
    assert_eq!(told[0], "accepted");
    assert!(
        told.contains(&"handshake false false".to_owned()),
        "{told:?}"
    );
    assert!(told.contains(&"closed 15 false".to_owned()), "{told:?}");
}
