use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bartizan_core::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
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

/// How often [`drains_under_load_lose_nothing_and_serve_nothing_twice`] drains. `BARTIZAN_DRAINS=1000` for the whole of it.
const DRAINS: usize = 20;

/// What was answered is answered in full; what was not sent, or was refused, is sent again to the listener that comes next, and no
/// request is served twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drains_under_load_lose_nothing_and_serve_nothing_twice() {
    let drains = std::env::var("BARTIZAN_DRAINS").ok();
    let drains = drains.map_or(DRAINS, |drains| drains.parse().expect("a number"));
    let served: Arc<Mutex<HashMap<usize, usize>>> = Arc::default();
    let numbers = Arc::new(AtomicUsize::new(0));
    let mut again = Vec::new();
    for drain in 0..drains {
        let record = Arc::clone(&served);
        let service = service_fn(move |request: Request<Body>| {
            let number = request.uri().path()[1..].parse().expect("a number");
            *record.lock().expect("no panic").entry(number).or_default() += 1;
            async move {
                tokio::task::yield_now().await;
                Ok::<_, Infallible>(Response::new(Body::from(
                    format!("{number:010}").repeat(100),
                )))
            }
        });
        let server = Server::start(bind().await, service);
        let answered = Arc::new(AtomicUsize::new(0));
        let mut clients = JoinSet::new();
        for client in 0..8 {
            let next = Next {
                again: again.split_off(again.len() - again.len() / (8 - client)),
                numbers: Arc::clone(&numbers),
                answered: Arc::clone(&answered),
            };
            // Connected before the first of them begins, or the last may come too late.
            let (one, two) = if client % 2 == 0 {
                (Some(h1(server.addr).await), None)
            } else {
                (None, Some(h2(server.addr).await))
            };
            clients.spawn(next.send(one, two));
        }
        within(async {
            while answered.load(SeqCst) < 20 + drain % 30 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let (_, cut) = server.shutdown().await;
        assert_eq!(cut, 0);
        again = within(clients.join_all())
            .await
            .into_iter()
            .flatten()
            .collect();
        let served = served.lock().expect("no panic");
        for number in &again {
            assert_eq!(
                served.get(number),
                None,
                "{number} was served, and not answered"
            );
        }
        assert!(served.values().all(|&times| times == 1), "served twice");
        let sent = numbers.load(SeqCst);
        assert_eq!(served.len() + again.len(), sent, "drain {drain}");
    }
}

/// Requests to be sent: those that were not served before, then new ones.
struct Next {
    again: Vec<usize>,
    numbers: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
}

impl Next {
    /// Sends until the connection is closed. What was sent in vain.
    async fn send(
        mut self,
        mut one: Option<http1::SendRequest<Full<Bytes>>>,
        mut two: Option<http2::SendRequest<Full<Bytes>>>,
    ) -> Vec<usize> {
        loop {
            let is_open = match (&mut one, &mut two) {
                (Some(one), _) => one.ready().await.is_ok(),
                (_, Some(two)) => two.ready().await.is_ok(),
                (None, None) => false,
            };
            if !is_open {
                return self.again;
            }
            let number = self.again.pop();
            let number = number.unwrap_or_else(|| self.numbers.fetch_add(1, SeqCst));
            let request = get(&format!("/{number}"));
            let response = match (&mut one, &mut two) {
                (Some(one), _) => one.send_request(request).await,
                (_, Some(two)) => two.send_request(request).await,
                (None, None) => return self.again,
            };
            if let Err(error) = &response {
                eprintln!("{number} {over_h1} {error:?}", over_h1 = one.is_some());
            }
            let Ok(response) = response else {
                self.again.push(number);
                return self.again;
            };
            let text = text(response).await;
            assert_eq!(text, format!("{number:010}").repeat(100));
            self.answered.fetch_add(1, SeqCst);
        }
    }
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
