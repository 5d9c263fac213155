//! HTTP/2 peers that send what brings no request any further. Each is ended within a bound on what it may cost.

use std::{
    convert::Infallible,
    future::{Pending, pending},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bartizan_core::Body;
use bartizan_listener::{FrameLimit, HttpSettings, Listener};
use http::{Request, Response};
use tower::service_fn;

use crate::{
    support::{HOUR, Server, bind, hello, within},
    wire::{
        CALM, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RESET,
        SETTINGS, WINDOW, Wire, field, frame, get, head,
    },
};

/// Sends `piece` again and again, numbered, until it is told to stop. How many were sent.
async fn flood(server: &Server, mut wire: Wire, mut piece: impl FnMut(u32) -> Vec<u8>) -> u32 {
    let mut sent = 0;
    // The buffers of the system take some after the end.
    while sent < 500_000 {
        let mut bytes = Vec::new();
        for _ in 0..50 {
            bytes.extend(piece(sent));
            sent += 1;
        }
        // Nobody who floods reads.
        if !wire.send(&bytes).await {
            break;
        }
        tokio::task::yield_now().await;
        if server.handle.connections().is_empty() {
            break;
        }
    }
    sent
}

/// Sends `pieces` in small steps, reads what comes, and returns the code of the GOAWAY that ends it.
async fn told(
    mut wire: Wire,
    mut piece: impl FnMut(u32) -> Vec<u8> + Send + 'static,
) -> Option<u32> {
    let mut bytes = Vec::new();
    for number in 0..3000 {
        bytes.extend(piece(number));
    }
    // All of it fits into the buffers of the system, or the server has to stop reading before the end.
    let (reader, mut writer) = wire.io.into_split();
    let writing = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        let _ = writer.write_all(&bytes).await;
        writer
    });
    wire = Wire {
        io: reader
            .reunite(within(writing).await.expect("no panic"))
            .expect("the same"),
    };
    wire.ended().await
}

pub(crate) type Piece = fn(u32) -> Vec<u8>;

fn rapid_reset(number: u32) -> Vec<u8> {
    let stream = 2 * number + 1;
    [get(stream), frame(RESET, 0, stream, &8_u32.to_be_bytes())].concat()
}

fn ping(_: u32) -> Vec<u8> {
    frame(PING, 0, 0, &[0; 8])
}

fn settings(_: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[])
}

fn priority(_: u32) -> Vec<u8> {
    frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1])
}

fn unknown(_: u32) -> Vec<u8> {
    frame(0xfa, 0, 0, b"?")
}

fn window(_: u32) -> Vec<u8> {
    frame(WINDOW, 0, 0, &1_u32.to_be_bytes())
}

fn empty_data(number: u32) -> Vec<u8> {
    if number == 0 {
        return frame(HEADERS, END_HEADERS, 1, &head("POST", "/"));
    }
    frame(DATA, 0, 1, &[])
}

/// Blocks that decode to 2,500 times as much: one long field in the table, and many references to it.
fn header_bomb(number: u32) -> Vec<u8> {
    let mut block = head("GET", "/");
    let mut bomb = field("bomb", &"x".repeat(4000));
    // With incremental indexing (RFC 7541 section 6.2.1); the first of the dynamic table is 62.
    bomb[0] = 0x40;
    block.extend(bomb);
    block.extend([0x80 | 62; 10_000]);
    frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &block)
}

/// Fields of one byte each, which count for 58.
fn tiny_fields(number: u32) -> Vec<u8> {
    let mut block = head("GET", "/");
    block.extend([0x90; 16_000]);
    frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &block)
}

/// Streams that the server has to reset (CVE-2025-8671).
fn made_to_reset(number: u32) -> Vec<u8> {
    let stream = 2 * number + 1;
    let window = frame(WINDOW, 0, stream, &0x7fff_ffff_u32.to_be_bytes());
    [get(stream), window].concat()
}

fn continuation(number: u32) -> Vec<u8> {
    if number == 0 {
        return frame(HEADERS, END_STREAM, 1, &head("GET", "/"));
    }
    frame(CONTINUATION, 0, 1, &field("x", &format!("{number:0>200}")))
}

fn empty_continuation(number: u32) -> Vec<u8> {
    if number == 0 {
        return frame(HEADERS, END_STREAM, 1, &head("GET", "/"));
    }
    frame(CONTINUATION, 0, 1, &[])
}

pub(crate) const FLOODS: [(&str, Piece); 12] = [
    ("rapid reset", rapid_reset),
    ("ping", ping),
    ("settings", settings),
    ("priority", priority),
    ("unknown", unknown),
    ("window update", window),
    ("empty data", empty_data),
    ("continuation", continuation),
    ("empty continuation", empty_continuation),
    ("header bomb", header_bomb),
    ("fields of a byte", tiny_fields),
    ("resets that the server is made to send", made_to_reset),
];

type Never = Pending<Result<Response<Body>, Infallible>>;

/// Never answers, and counts.
fn counting() -> (Arc<AtomicUsize>, impl Fn(Request<Body>) -> Never + Clone) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let service = move |_: Request<Body>| {
        counter.fetch_add(1, SeqCst);
        pending()
    };
    (calls, service)
}

#[tokio::test]
async fn every_flood_is_told_to_calm_down() {
    for (name, piece) in FLOODS {
        let (calls, service) = counting();
        let server = Server::start(bind().await, service_fn(service));
        let wire = Wire::connect(server.addr, &[]).await;
        let code = told(wire, piece).await;
        assert_eq!(code, Some(CALM), "{name}");
        // With the settings that a client has to send, and what h2 may take in before it is told.
        assert!(calls.load(SeqCst) <= 1001, "{name}: {calls:?}");
        server.handle.cut();
        server.ended().await;
    }
}

#[tokio::test]
async fn a_flood_of_one_who_does_not_read_is_ended_too() {
    for (name, piece) in FLOODS {
        let (_, service) = counting();
        let listener = bind().await.http(linger(Duration::from_millis(50)));
        let server = Server::start(listener, service_fn(service));
        let wire = Wire::connect(server.addr, &[]).await;
        let sent = within(flood(&server, wire, piece)).await;
        assert!(sent < 500_000, "{name}: nobody stopped it");
        server.handle.cut();
        server.ended().await;
    }
}

fn linger(linger: Duration) -> HttpSettings {
    let builder = HttpSettings::builder().linger(linger);
    builder.build().expect("valid")
}

fn strict() -> HttpSettings {
    let limit = FrameLimit {
        burst: 20,
        per_second: 0,
    };
    let builder = HttpSettings::builder().http2_frame_limit(limit);
    builder.build().expect("valid")
}

/// An answer without content is whole when it is made, whoever still wants it.
#[tokio::test]
async fn who_resets_what_is_answered_without_content_earns_nothing() {
    let server = Server::start(bind().await.http(strict()), service_fn(hello));
    let mut wire = Wire::connect(server.addr, &[]).await;
    let asked = |server: &Server| server.handle.stats().requests;
    for number in 0..100 {
        let stream = 2 * number + 1;
        let block = head("HEAD", "/");
        let given_up = [
            frame(HEADERS, END_HEADERS | END_STREAM, stream, &block),
            frame(RESET, 0, stream, &8_u32.to_be_bytes()),
        ];
        wire.send(&given_up.concat()).await;
        // One after the other: there is another limit for those that come together.
        while asked(&server) <= number.into() && !server.handle.connections().is_empty() {
            tokio::task::yield_now().await;
        }
    }
    let asked = asked(&server);
    assert!(asked < 30, "{asked}");
    assert_eq!(wire.ended().await, Some(CALM));
    server.shutdown().await;
}

/// The same frames in the course of business.
#[tokio::test]
async fn who_pings_and_gives_up_in_measure_is_served_for_ever() {
    let server = Server::start(bind().await.http(strict()), service_fn(hello));
    let mut wire = Wire::connect(server.addr, &[]).await;
    for number in 0..200 {
        let stream = 2 * number + 1;
        assert!(wire.send(&[get(stream), ping(0)].concat()).await);
        wire.until(PING).await.expect("an answer");
        let last = loop {
            let data = wire.until(DATA).await.expect("a response");
            if data.flags & END_STREAM != 0 {
                break data;
            }
        };
        assert_eq!(last.stream, stream);
    }
    let connections = server.handle.connections();
    let [connection] = &connections[..] else {
        panic!("one connection: {connections:?}");
    };
    assert!(connection.is_http2);
    assert_eq!((connection.requests, connection.in_flight), (200, 0));
    let frames = connection.frames;
    assert_eq!((frames.headers, frames.pings), (200, 200));
    assert_eq!((frames.settings, frames.resets, frames.data), (2, 0, 0));
    assert!(connection.bytes_read > 0 && connection.bytes_written > 200 * 5);
    drop(wire);
    server.shutdown().await;
}

#[tokio::test]
async fn a_limit_that_is_turned_off_limits_nothing() {
    let settings = HttpSettings::builder().http2_frame_limit(None);
    let listener = bind().await.http(settings.build().expect("valid"));
    let server = Server::start(listener, service_fn(hello));
    let mut wire = Wire::connect(server.addr, &[]).await;
    for _ in 0..3000 {
        assert!(wire.send(&ping(0)).await);
        wire.until(PING).await.expect("an answer");
    }
    drop(wire);
    server.shutdown().await;
}

#[tokio::test]
async fn a_head_of_which_the_rest_never_comes_has_its_time() {
    let listener = bind().await.header_read_timeout(Duration::from_millis(50));
    let server = Server::start(listener, service_fn(hello));
    let mut wire = Wire::connect(server.addr, &[]).await;
    wire.send(&frame(HEADERS, END_STREAM, 1, &head("GET", "/")))
        .await;
    assert_eq!(wire.ended().await, None);
    assert!(server.handle.connections().is_empty());
    server.shutdown().await;
}

#[tokio::test]
async fn more_streams_than_are_allowed_are_refused() {
    let settings = HttpSettings::builder().http2_max_streams(3);
    let listener = bind().await.http(settings.build().expect("valid"));
    let (calls, service) = counting();
    let server = Server::start(listener, service_fn(service));
    let mut wire = Wire::connect(server.addr, &[]).await;
    for stream in [1, 3, 5, 7] {
        wire.send(&get(stream)).await;
    }
    let refused = wire.until(RESET).await.expect("one is refused");
    assert_eq!(refused.stream, 7);
    assert_eq!(refused.payload, 7_u32.to_be_bytes(), "REFUSED_STREAM");
    assert_eq!(calls.load(SeqCst), 3);
    server.handle.cut();
    server.ended().await;
}

#[tokio::test]
async fn a_peer_that_vanished_is_found_out() {
    let settings = HttpSettings::builder()
        .idle_timeout(HOUR)
        .http2_keep_alive(Duration::from_millis(30));
    let listener = bind().await.http(settings.build().expect("valid"));
    let server = Server::start(listener, service_fn(hello));
    let wire = Wire::connect(server.addr, &[]).await;
    // It reads, and answers nothing.
    assert_eq!(wire.ended().await, Some(0));
    server.shutdown().await;
}

#[tokio::test]
async fn an_idle_connection_is_told_to_go() {
    let settings = HttpSettings::builder().idle_timeout(Duration::from_millis(50));
    let listener: Listener = bind().await.http(settings.build().expect("valid"));
    let server = Server::start(listener, service_fn(hello));
    let mut wire = Wire::connect(server.addr, &[]).await;
    // A ping is no request.
    wire.send(&ping(0)).await;
    let goaway = wire.until(GOAWAY).await.expect("it is told");
    assert_eq!(goaway.payload[4..8], [0; 4], "NO_ERROR");
    wire.ended().await;
    server.shutdown().await;
}
