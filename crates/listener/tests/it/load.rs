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
use http::{Request, Response, Version};
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::{body::Incoming, client::conn::http1};
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet};
use tower::service_fn;

use crate::{
    support::{Server, bind, gate, get, h1, h2, hello, rest, text, within},
    wire::{self, Wire},
};

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
///
/// Counted over HTTP/1.1 only, beside load over HTTP/2: hyper's HTTP/2 client gives up some responses that are still to come when it
/// reads a GOAWAY, whoever sent it. [`drains_under_load_lose_nothing_and_serve_nothing_twice`] does without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_reaches_the_service_is_answered() {
    let called = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&called);
    let service = service_fn(move |request: Request<Body>| {
        if request.version() != Version::HTTP_2 {
            counting.fetch_add(1, SeqCst);
        }
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
        clients.spawn(call_over_h2(server.addr, Arc::default()));
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
            if client % 2 == 0 {
                clients.spawn(next.send_over_h1(h1(server.addr).await));
            } else {
                clients.spawn(next.send_over_h2(Wire::connect(server.addr, &[]).await));
            }
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
    fn number(&mut self) -> usize {
        let again = self.again.pop();
        again.unwrap_or_else(|| self.numbers.fetch_add(1, SeqCst))
    }

    /// Sends until the connection is closed. What was sent in vain.
    async fn send_over_h1(mut self, mut client: http1::SendRequest<Full<Bytes>>) -> Vec<usize> {
        while client.ready().await.is_ok() {
            let number = self.number();
            match client.send_request(get(&format!("/{number}"))).await {
                Ok(response) => {
                    let text = text(response).await;
                    assert_eq!(text, format!("{number:010}").repeat(100));
                    self.answered.fetch_add(1, SeqCst);
                }
                Err(_) => {
                    self.again.push(number);
                    break;
                }
            }
        }
        self.again
    }

    /// The same, four at a time. Frame by frame, because hyper's client gives up responses that are still to come when it reads a
    /// GOAWAY.
    async fn send_over_h2(mut self, mut wire: Wire) -> Vec<usize> {
        let mut streams = HashMap::new();
        let (mut stream, mut last) = (1, u32::MAX);
        loop {
            while last == u32::MAX && streams.len() < 4 {
                let number = self.number();
                streams.insert(stream, (number, 0));
                let head = wire::head("GET", &format!("/{number}"));
                let flags = wire::END_HEADERS | wire::END_STREAM;
                wire.send(&wire::frame(wire::HEADERS, flags, stream, &head))
                    .await;
                stream += 2;
            }
            let Some(frame) = wire.frame().await else {
                break;
            };
            match (frame.kind, frame.flags) {
                (wire::PING, 0) => {
                    wire.send(&wire::frame(wire::PING, 1, 0, &frame.payload))
                        .await;
                }
                (wire::GOAWAY, _) => {
                    let id = frame.payload[..4].try_into().expect("four bytes");
                    // The first says only that there will be another.
                    last = u32::from_be_bytes(id);
                }
                (wire::DATA, flags) => {
                    let (_, length) = streams.get_mut(&frame.stream).expect("it was asked for");
                    *length += frame.payload.len();
                    let read = u32::try_from(frame.payload.len()).expect("short");
                    if read > 0 {
                        let update = wire::frame(wire::WINDOW, 0, 0, &read.to_be_bytes());
                        wire.send(&update).await;
                    }
                    if flags & wire::END_STREAM != 0 {
                        assert_eq!(*length, 1000);
                        streams.remove(&frame.stream);
                        self.answered.fetch_add(1, SeqCst);
                    }
                }
                _ => {}
            }
        }
        for (stream, (number, _)) in streams {
            // Without a GOAWAY nothing was looked at, and the caller sees to it that nothing was served.
            assert!(
                last == u32::MAX || stream > last,
                "stream {stream} is within {last}, and was not answered"
            );
            self.again.push(number);
        }
        self.again
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
