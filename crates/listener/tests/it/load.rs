use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bartizan_core::Body;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet};
use tower::service_fn;

use crate::support::{Server, bind, gate, get, h1, h2, hello, rest, text, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_requests_in_flight_are_all_answered() {
    let (service, mut keeper) = gate();
    let server = Server::start(bind().await, service);
    let mut clients = JoinSet::new();
    for _ in 0..100 {
        let mut client = h1(server.addr).await;
        clients.spawn(async move { client.send_request(get("/")).await });
    }
    for _ in 0..4 {
        let client = h2(server.addr).await;
        for _ in 0..25 {
            let mut client = client.clone();
            clients.spawn(async move { client.send_request(get("/")).await });
        }
    }
    for _ in 0..200 {
        keeper.arrived().await;
    }
    assert_eq!(server.handle.in_flight(), 200);
    server.handle.shutdown();
    keeper.let_through(200);
    while let Some(response) = within(clients.join_next()).await {
        let response = response.expect("no panic").expect("a response");
        assert_eq!(text(response).await, "let through");
    }
    assert_eq!(server.ended().await, (200, 0));
}

/// Requests race with the shutdown. Whatever reached the service is answered in full; whatever did not has failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_reaches_the_service_is_answered() {
    let called = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&called);
    let service = service_fn(move |_: Request<Body>| {
        counting.fetch_add(1, SeqCst);
        async {
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(Response::new(Body::from("x".repeat(100_000))))
        }
    });
    let server = Server::start(bind().await, service);

    let answered = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        clients.spawn(call_over_h1(server.addr, Arc::clone(&answered)));
        clients.spawn(call_over_h2(server.addr, Arc::clone(&answered)));
    }
    within(async {
        while answered.load(SeqCst) < 500 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let (_, cut) = server.shutdown().await;
    within(clients.join_all()).await;
    assert_eq!(cut, 0);
    assert_eq!(called.load(SeqCst), answered.load(SeqCst));
}

/// Connections race with the shutdown. None is left waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_connects_is_served_or_closed() {
    let server = Server::start(bind().await, service_fn(hello));
    let mut clients = JoinSet::new();
    for _ in 0..100 {
        let addr = server.addr;
        clients.spawn(async move {
            // Refused, if it comes too late.
            let mut client = TcpStream::connect(addr).await.ok()?;
            let request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            // It may be closed already.
            let _ = client.write_all(request).await;
            Some(rest(&mut client).await)
        });
    }
    clients.join_next().await;
    let (_, cut) = server.shutdown().await;
    assert_eq!(cut, 0);
    for answer in within(clients.join_all()).await.into_iter().flatten() {
        assert!(answer.is_empty() || answer.ends_with(b"hello"));
    }
}

/// Calls until the connection is closed.
async fn call_over_h1(addr: SocketAddr, answered: Arc<AtomicUsize>) {
    let mut client = h1(addr).await;
    while client.ready().await.is_ok() {
        match client.send_request(get("/")).await {
            Ok(response) => count(response, &answered).await,
            Err(_) => break,
        }
    }
}

async fn call_over_h2(addr: SocketAddr, answered: Arc<AtomicUsize>) {
    let client = h2(addr).await;
    let mut streams = JoinSet::new();
    for _ in 0..4 {
        let (mut client, answered) = (client.clone(), Arc::clone(&answered));
        streams.spawn(async move {
            while let Ok(response) = client.send_request(get("/")).await {
                count(response, &answered).await;
            }
        });
    }
    streams.join_all().await;
}

async fn count(response: Response<Incoming>, answered: &AtomicUsize) {
    let body = response.into_body().collect().await.expect("a whole body");
    assert_eq!(body.to_bytes().len(), 100_000);
    answered.fetch_add(1, SeqCst);
}
