//! Streams: how many, on which connection, and what becomes of them when their peer changes its mind.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bartizan_client::{ConnectionInfo, Protocol, ResponseExt, pool::Pool};
use bartizan_core::Body;
use bartizan_testing::ControlledBody;
use futures_util::future;
use http::{Request, Response};
use hyper::{server::conn::http2 as server, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::Notify,
    time::sleep,
};
use tower::ServiceExt;

use super::{Pipes, get, until};

const MILLISECOND: Duration = Duration::from_millis(1);

fn pool<F, Fut>(pipes: &Pipes<F>) -> Pool
where
    F: Fn(DuplexStream) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    Pool::builder()
        .protocol(Protocol::Http2)
        .build(pipes.clone())
        .expect("valid")
}

/// Serves with a limit on streams, and counts how many there are at once.
async fn limited(stream: DuplexStream, limit: u32, most: Arc<AtomicUsize>) {
    let now = Arc::new(AtomicUsize::new(0));
    let service = service_fn(move |_: Request<hyper::body::Incoming>| {
        let (now, most) = (now.clone(), most.clone());
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(45 * MILLISECOND).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, std::convert::Infallible>(Response::new(Body::from("ok")))
        }
    });
    let _ = server::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(limit)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// One connection alone would serve 220 requests a second.
#[tokio::test(start_paused = true)]
async fn a_limit_of_ten_streams_opens_ten_connections_for_a_hundred_requests() {
    let most = Arc::new(AtomicUsize::new(0));
    let pipes = Pipes::new({
        let most = most.clone();
        move |stream| limited(stream, 10, most.clone())
    });
    let pool = pool(&pipes);
    let began = tokio::time::Instant::now();
    let calls = (0..1_000).map(|_| {
        let pool = pool.clone();
        async move {
            let response = pool.oneshot(get("http://h/")).await.expect("a response");
            response.discard().await.expect("the end");
        }
    });
    let calls = futures_util::stream::iter(calls);
    futures_util::StreamExt::count(futures_util::StreamExt::buffer_unordered(calls, 100)).await;
    assert_eq!(pipes.count(), 10);
    assert_eq!(most.load(Ordering::SeqCst), 10);
    // Ten rounds of a hundred, and a little for the connections to find out.
    assert!(began.elapsed() < 700 * MILLISECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn strictly_one_connection_stays_one() {
    let pipes = Pipes::new(|stream| limited(stream, 5, Arc::default()));
    let pool = Pool::builder()
        .protocol(Protocol::Http2)
        .http2_max_connections_per_origin(1)
        .build(pipes.clone())
        .expect("valid");
    let calls = (0..50).map(|_| async {
        let response = pool.clone().oneshot(get("http://h/")).await;
        response
            .expect("a response")
            .discard()
            .await
            .expect("the end");
    });
    future::join_all(calls).await;
    assert_eq!(pipes.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn our_own_cap_on_streams_holds_where_the_peer_has_none() {
    let most = Arc::new(AtomicUsize::new(0));
    let pipes = Pipes::new({
        let most = most.clone();
        move |stream| limited(stream, 1_000, most.clone())
    });
    let pool = Pool::builder()
        .protocol(Protocol::Http2)
        .http2_max_streams(7)
        .build(pipes.clone())
        .expect("valid");
    let calls = (0..21).map(|_| pool.clone().oneshot(get("http://h/")));
    for response in future::join_all(calls).await {
        drop(response.expect("a response"));
    }
    assert_eq!((pipes.count(), most.load(Ordering::SeqCst)), (3, 7));
}

#[tokio::test]
async fn a_peer_that_goes_away_finishes_what_it_has_begun() {
    let (stop, served) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let pipes = Pipes::new({
        let (stop, served) = (stop.clone(), served.clone());
        move |stream| {
            let (stop, served) = (stop.clone(), served.clone());
            async move {
                let service = service_fn(|_: Request<hyper::body::Incoming>| {
                    let (body, handle) = ControlledBody::new();
                    handle.data("begun, ");
                    let served = served.clone();
                    tokio::spawn(async move {
                        served.notified().await;
                        handle.data("ended");
                        handle.end();
                    });
                    future::ok::<_, std::convert::Infallible>(Response::new(Body::new(body)))
                });
                let connection = server::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service);
                let mut connection = std::pin::pin!(connection);
                tokio::select! {
                    _ = connection.as_mut() => return,
                    () = stop.notified() => connection.as_mut().graceful_shutdown(),
                }
                let _ = connection.await;
            }
        }
    });
    let pool = pool(&pipes);
    let old = pool
        .clone()
        .oneshot(get("http://h/"))
        .await
        .expect("a head");
    stop.notify_one();
    let id = |response: &Response<_>| {
        response
            .extensions()
            .get::<ConnectionInfo>()
            .expect("one")
            .id()
    };
    let old_id = id(&old);
    // Until the pool has seen the GOAWAY, the old connection takes requests, and they are not lost.
    let new = loop {
        let new = pool
            .clone()
            .oneshot(get("http://h/"))
            .await
            .expect("a head");
        if id(&new) != old_id {
            break new;
        }
        served.notify_one();
        new.discard().await.expect("the end");
        tokio::task::yield_now().await;
    };
    served.notify_one();
    served.notify_one();
    served.notify_waiters();
    let (old, new) = tokio::join!(
        async {
            served.notify_waiters();
            old.text().await
        },
        async {
            served.notify_one();
            new.text().await
        },
    );
    assert_eq!(old.expect("text"), "begun, ended");
    assert_eq!(new.expect("text"), "begun, ended");
    assert_eq!(pipes.count(), 2);
}

/// Frames by hand (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

fn settings(streams: u32) -> Vec<u8> {
    let mut payload = vec![0, 3];
    payload.extend_from_slice(&streams.to_be_bytes());
    frame(4, 0, 0, &payload)
}

/// Reads the client's preface, and then its frames: kinds, flags and streams.
struct Frames(DuplexStream);

impl Frames {
    async fn begin(mut stream: DuplexStream) -> Self {
        stream.read_exact(&mut [0; 24]).await.expect("a preface");
        Self(stream)
    }

    async fn write(&mut self, frame: &[u8]) {
        // The client may be gone.
        let _ = self.0.write_all(frame).await;
    }

    async fn read(&mut self) -> Option<(u8, u8, u32)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let length = usize::from(head[1]) << 8 | usize::from(head[2]);
        self.0.read_exact(&mut vec![0; length]).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some((head[3], head[4], stream))
    }

    /// The next request's stream.
    async fn request(&mut self) -> Option<u32> {
        loop {
            match self.read().await? {
                (1, _, stream) => return Some(stream),
                (4, 0, _) => self.write(&frame(4, 1, 0, &[])).await,
                _ => {}
            }
        }
    }

    /// A 200 without a body: `:status: 200` is 8 in HPACK's static table.
    async fn answer(&mut self, stream: u32) {
        self.write(&frame(1, 5, stream, &[0x88])).await;
    }
}

#[tokio::test]
async fn a_refused_stream_is_asked_for_again_but_not_for_ever() {
    for (often, asked) in [(1, 2), (2, 3), (usize::MAX, 3)] {
        let requests = Arc::new(AtomicUsize::new(0));
        let pipes = Pipes::new({
            let requests = requests.clone();
            move |stream| {
                let requests = requests.clone();
                async move {
                    let mut peer = Frames::begin(stream).await;
                    peer.write(&settings(10)).await;
                    while let Some(stream) = peer.request().await {
                        if requests.fetch_add(1, Ordering::SeqCst) < often {
                            // REFUSED_STREAM.
                            peer.write(&frame(3, 0, stream, &[0, 0, 0, 7])).await;
                        } else {
                            peer.answer(stream).await;
                        }
                    }
                }
            }
        });
        // Not idempotent, but the peer says that it has not looked at it.
        let request = Request::post("http://h/").body(Body::from("once"));
        let response = pool(&pipes).oneshot(request.expect("a request")).await;
        match response {
            Ok(response) => assert_eq!(response.status(), 200),
            Err(error) => assert!(often == usize::MAX && error.is_unsent(), "{error:?}"),
        }
        assert_eq!(requests.load(Ordering::SeqCst), asked);
    }
}

#[tokio::test]
async fn requests_beyond_a_goaway_are_sent_elsewhere() {
    let connections = Arc::new(AtomicUsize::new(0));
    let pipes = Pipes::new({
        let connections = connections.clone();
        move |stream| {
            let is_first = connections.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                let mut peer = Frames::begin(stream).await;
                peer.write(&settings(10)).await;
                while let Some(stream) = peer.request().await {
                    if is_first {
                        // It has not looked at any: the last one that it has is 0.
                        peer.write(&frame(7, 0, 0, &[0; 8])).await;
                    } else {
                        peer.answer(stream).await;
                    }
                }
            }
        }
    });
    let pool = pool(&pipes);
    let request = Request::post("http://h/").body(Body::from("once"));
    let response = pool.clone().oneshot(request.expect("a request")).await;
    assert_eq!(response.expect("a response").status(), 200);
    assert_eq!(connections.load(Ordering::SeqCst), 2);
    until(&pool, |stats| stats.connections() == 1).await;
}

#[tokio::test]
async fn a_stream_that_is_reset_fails_alone() {
    let pipes = Pipes::new(|stream| async move {
        let mut peer = Frames::begin(stream).await;
        peer.write(&settings(10)).await;
        while let Some(stream) = peer.request().await {
            if stream == 1 {
                // INTERNAL_ERROR.
                peer.write(&frame(3, 0, stream, &[0, 0, 0, 2])).await;
            } else {
                peer.answer(stream).await;
            }
        }
    });
    let pool = pool(&pipes);
    let error = pool
        .clone()
        .oneshot(get("http://h/"))
        .await
        .expect_err("reset");
    assert!(!error.is_unsent(), "{error:?}");
    until(&pool, |stats| stats.in_flight == 0).await;
}

#[tokio::test]
async fn a_peer_may_change_its_limit_on_streams() {
    let open = Arc::new(Mutex::new(HashSet::new()));
    let most_after = Arc::new(AtomicUsize::new(0));
    let pipes = Pipes::new({
        let (open, most_after) = (open.clone(), most_after.clone());
        move |stream| {
            let (open, most_after) = (open.clone(), most_after.clone());
            async move {
                let mut peer = Frames::begin(stream).await;
                peer.write(&settings(1)).await;
                let first = peer.request().await.expect("a request");
                // From one to four, while the first is under way.
                peer.write(&settings(4)).await;
                open.lock().expect("a set").insert(first);
                for _ in 0..3 {
                    let stream = peer.request().await.expect("a request");
                    open.lock().expect("a set").insert(stream);
                }
                most_after.store(open.lock().expect("a set").len(), Ordering::SeqCst);
                let all: Vec<_> = open.lock().expect("a set").drain().collect();
                for stream in all {
                    peer.answer(stream).await;
                }
                while let Some(stream) = peer.request().await {
                    peer.answer(stream).await;
                }
            }
        }
    });
    let pool = Pool::builder()
        .protocol(Protocol::Http2)
        .http2_max_connections_per_origin(1)
        .build(pipes.clone())
        .expect("valid");
    let calls = (0..6).map(|_| pool.clone().oneshot(get("http://h/")));
    for response in future::join_all(calls).await {
        drop(response.expect("a response"));
    }
    assert_eq!(most_after.load(Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_gone_without_a_word_is_noticed() {
    let pipes = Pipes::new(|stream| async move {
        let mut peer = Frames::begin(stream).await;
        peer.write(&settings(10)).await;
        // Reads, and answers neither requests nor pings.
        while peer.read().await.is_some() {}
    });
    let pool = pool(&pipes);
    let began = tokio::time::Instant::now();
    let error = pool.clone().oneshot(get("http://h/")).await;
    error.expect_err("nobody is there");
    assert!(
        began.elapsed() >= Duration::from_secs(50),
        "{:?}",
        began.elapsed()
    );
    assert!(
        began.elapsed() <= Duration::from_secs(110),
        "{:?}",
        began.elapsed()
    );
    until(&pool, |stats| stats.connections() == 0).await;
}

#[tokio::test]
async fn a_host_header_is_the_authority() {
    let pipes = Pipes::new(|stream| {
        super::serve(stream, |request: Request<Body>| async move {
            let host = request.headers().get("host").cloned();
            Response::new(Body::from(format!("{} {host:?}", request.uri())))
        })
    });
    let pool = pool(&pipes);
    let request = Request::get("http://h/a").header("host", "virtual:81");
    let response = pool
        .clone()
        .oneshot(request.body(Body::empty()).expect("a request"))
        .await;
    let text = response.expect("a response").text().await.expect("text");
    assert_eq!(text, "http://virtual:81/a None");
}
