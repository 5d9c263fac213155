use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bartizan_core::{Body, BoxError};
use http::{Method, Response, header};
use http_body_util::BodyExt;
use tokio::{io::AsyncReadExt, net::TcpStream, sync::oneshot, time::Instant};
use tower::service_fn;

use crate::support::{
    LARGE, Server, bind, call, feeding, gate, get, h1, h2, hello, large, raw, rest, text, within,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

#[tokio::test]
async fn without_connections_it_ends_at_once() {
    let server = Server::start(bind().await, service_fn(hello));
    assert!(!server.handle.is_draining());
    server.handle.shutdown();
    server.handle.shutdown();
    assert!(server.handle.is_draining());
    assert_eq!(server.ended().await, (0, 0));
}

#[tokio::test]
async fn it_can_be_shut_down_before_it_serves() {
    let listener = bind().await;
    listener.handle().shutdown();
    assert_eq!(
        Server::start(listener, service_fn(hello)).ended().await,
        (0, 0)
    );
}

#[tokio::test]
async fn it_can_be_shut_down_by_a_future() {
    let (stop, stopped) = oneshot::channel::<()>();
    let listener = bind().await.shutdown_when(async {
        let _ = stopped.await;
    });
    let server = Server::start(
        listener.shutdown_when(std::future::pending()),
        service_fn(hello),
    );
    let response = h1(server.addr)
        .await
        .send_request(get("/"))
        .await
        .expect("a response");
    assert_eq!(text(response).await, "hello");
    drop(stop);
    assert_eq!(server.ended().await, (0, 0));
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let server = Server::start(bind().await, service_fn(hello));
    let (mut one, mut two) = (h1(server.addr).await, h2(server.addr).await);
    text(one.send_request(get("/")).await.expect("a response")).await;
    text(two.send_request(get("/")).await.expect("a response")).await;
    assert_eq!(server.shutdown().await, (0, 0));
    one.send_request(get("/")).await.expect_err("it is closed");
    two.send_request(get("/")).await.expect_err("it is closed");
}

/// What it was answered has long been read: there is nothing to wait for.
#[tokio::test]
async fn an_idle_connection_whose_peer_does_not_close_does_not_hold_the_drain() {
    let server = Server::start(bind().await, service_fn(hello));
    let mut client = raw(server.addr, b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let mut answer = vec![0; 1024];
    let read = within(client.read(&mut answer)).await.expect("an answer");
    assert!(answer[..read].ends_with(b"hello"));
    let start = Instant::now();
    assert_eq!(server.shutdown().await, (0, 0));
    assert!(start.elapsed() < Duration::from_secs(2), "it lingered");
    drop(client);
}

#[tokio::test]
async fn requests_in_flight_are_answered_and_end_the_drain() {
    let (service, mut keeper) = gate();
    let server = Server::start(bind().await, service);
    let (mut one, mut two) = (h1(server.addr).await, h2(server.addr).await);
    let one = tokio::spawn(async move { one.send_request(get("/")).await });
    let two = tokio::spawn(async move { two.send_request(get("/")).await });
    keeper.arrived().await;
    keeper.arrived().await;
    assert_eq!(server.handle.in_flight(), 2);

    server.handle.shutdown();
    keeper.let_through(2);
    let response = within(one).await.expect("no panic").expect("a response");
    assert_eq!(response.headers()[header::CONNECTION], "close");
    assert_eq!(text(response).await, "let through");
    let response = within(two).await.expect("no panic").expect("a response");
    assert_eq!(text(response).await, "let through");
    // An hour is left.
    assert_eq!(server.ended().await, (2, 0));
}

#[tokio::test]
async fn new_connections_are_refused() {
    let (service, mut keeper) = gate();
    let server = Server::start(bind().await, service);
    let mut client = h1(server.addr).await;
    let in_flight = tokio::spawn(async move { client.send_request(get("/")).await });
    keeper.arrived().await;
    server.handle.shutdown();
    within(async {
        while TcpStream::connect(server.addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(server.handle.in_flight(), 1);
    keeper.let_through(1);
    within(in_flight)
        .await
        .expect("no panic")
        .expect("a response");
    assert_eq!(server.ended().await, (1, 0));
}

#[tokio::test]
async fn connections_in_the_backlog_are_served_what_they_sent() {
    let listener = bind().await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(
            raw(
                listener.local_addr(),
                b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n",
            )
            .await,
        );
    }
    listener.handle().shutdown();
    let server = Server::start(listener, service_fn(hello));
    for client in &mut clients {
        assert!(rest(client).await.ends_with(b"hello"));
    }
    assert_eq!(server.ended().await, (20, 0));
}

#[tokio::test]
async fn a_response_is_in_flight_until_its_end() {
    for version in [1, 2] {
        let (service, mut feeds) = feeding();
        let server = Server::start(bind().await, service);
        let mut body = call(version, server.addr).await.into_body();
        let feed = feeds.recv().await.expect("it is served");

        server.handle.shutdown();
        for part in ["one", "two"] {
            feed.send(part).expect("it is read");
            let frame = within(body.frame())
                .await
                .expect("a frame")
                .expect("intact");
            assert_eq!(frame.into_data().expect("data"), part);
            assert_eq!(server.handle.in_flight(), 1);
        }
        drop(feed);
        let rest = within(body.collect()).await.expect("intact");
        assert!(rest.to_bytes().is_empty());
        assert_eq!(server.ended().await, (1, 0), "HTTP/{version}");
    }
}

#[tokio::test]
async fn a_whole_response_is_in_flight_until_it_is_read() {
    for version in [1, 2] {
        let server = Server::start(bind().await, service_fn(large));
        let response = call(version, server.addr).await;
        server.handle.shutdown();
        assert_eq!(server.handle.in_flight(), 1, "HTTP/{version}");
        assert_eq!(text(response).await.len(), LARGE);
        assert_eq!(server.ended().await, (1, 0), "HTTP/{version}");
    }
}

#[tokio::test]
async fn a_response_to_head_is_finished_though_nobody_reads_its_body() {
    let (service, mut keeper) = gate();
    let server = Server::start(bind().await, service);
    let mut client = h1(server.addr).await;
    let mut head = get("/");
    *head.method_mut() = Method::HEAD;
    let in_flight = tokio::spawn(async move { client.send_request(head).await });
    keeper.arrived().await;
    server.handle.shutdown();
    keeper.let_through(1);
    let response = within(in_flight)
        .await
        .expect("no panic")
        .expect("a response");
    assert_eq!(response.headers()[header::CONTENT_LENGTH], "11");
    assert_eq!(server.ended().await, (1, 0));
}

#[tokio::test]
async fn a_client_that_went_away_is_neither_drained_nor_cut() {
    let (service, mut keeper) = gate();
    let server = Server::start(bind().await, service);
    let client = raw(server.addr, b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let mut other = h2(server.addr).await;
    let other = tokio::spawn(async move { other.send_request(get("/")).await });
    keeper.arrived().await;
    keeper.arrived().await;
    server.handle.shutdown();
    drop(client);
    other.abort();
    assert_eq!(server.ended().await, (0, 0));
}

#[tokio::test]
async fn a_part_of_a_head_does_not_hold_the_drain() {
    let server = Server::start(bind().await, service_fn(hello));
    let mut client = raw(
        server.addr,
        b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\nGET /",
    )
    .await;
    // It has been read once the first request, in the same packet, is answered.
    let mut answer = vec![0; 1024];
    let read = within(client.read(&mut answer)).await.expect("an answer");
    assert!(answer[..read].ends_with(b"hello"));
    assert_eq!(server.shutdown().await, (0, 0));
    assert_eq!(rest(&mut client).await, b"");
}

#[tokio::test]
async fn a_peer_that_ignores_goaway_does_not_hold_the_drain() {
    let server = Server::start(bind().await, service_fn(hello));
    let mut client = raw(server.addr, &[PREFACE, SETTINGS].concat()).await;
    // The server's own settings: it has read ours.
    let mut frame = [0; 9];
    within(client.read_exact(&mut frame))
        .await
        .expect("a frame");
    assert_eq!(frame[3], 4);
    assert_eq!(server.shutdown().await, (0, 0));
    rest(&mut client).await;
}

#[tokio::test]
async fn a_connection_that_said_nothing_does_not_hold_the_drain() {
    let server = Server::start(bind().await, service_fn(hello));
    let mut clients = Vec::new();
    for said in [&b""[..], b"PRI * HT", PREFACE] {
        clients.push(raw(server.addr, said).await);
    }
    assert_eq!(server.shutdown().await, (0, 0));
    for mut client in clients {
        rest(&mut client).await;
    }
}

#[tokio::test]
async fn a_request_that_failed_by_itself_is_not_cut() {
    let (release, released) = oneshot::channel::<()>();
    let released = Arc::new(Mutex::new(Some(released)));
    let service = service_fn(move |_| {
        let released = released.lock().expect("no panic").take();
        async move {
            released.expect("one request").await?;
            Err::<Response<Body>, BoxError>("no".into())
        }
    });
    let server = Server::start(bind().await, service);
    let mut client = raw(server.addr, b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    within(async {
        while server.handle.in_flight() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.handle.shutdown();
    release.send(()).expect("it waits");
    assert!(rest(&mut client).await.starts_with(b"HTTP/1.1 500 "));
    drop(client);
    assert_eq!(server.ended().await, (1, 0));
}

#[cfg(unix)]
#[tokio::test]
async fn the_first_signal_drains_and_the_second_cuts() {
    let (service, mut keeper) = gate();
    let server = Server::start(bind().await.shutdown_on_signals(), service);
    let mut client = raw(server.addr, b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    // Whoever serves has been polled, and has its handlers installed.
    keeper.arrived().await;
    let kill = |signal| {
        let command = format!("kill -{signal} {}", std::process::id());
        let status = std::process::Command::new("sh")
            .args(["-c", &command])
            .status();
        assert!(status.expect("there is a shell").success());
    };
    kill("TERM");
    within(async {
        while !server.handle.is_draining() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(server.handle.in_flight(), 1);
    kill("INT");
    assert_eq!(server.ended().await, (0, 1));
    assert_eq!(rest(&mut client).await, b"");
}
