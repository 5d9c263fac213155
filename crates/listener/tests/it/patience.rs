//! How long the defaults wait for peers that are slow, or silent, and never close: by a paused clock, so that an hour costs nothing.

use std::{
    convert::Infallible,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_listener::{Accept, AcceptError, Accepted, Listener, Memory, memory};
use bartizan_testing::http2::Frame;
use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex},
    select,
    sync::oneshot,
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tower::service_fn;

use crate::{
    contenders::{repeat, serve_by_hyper},
    readme,
    support::HOUR,
    wire::{self, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, SETTINGS, WINDOW},
};

/// Much more than is on its way at once.
const LARGE: &str = "/bytes/524288";
const SECOND: Duration = Duration::from_secs(1);

/// A transport; when it is let go of, so is what it holds, and somebody waits for that.
struct Noticed {
    io: DuplexStream,
    _held: Option<oneshot::Sender<Infallible>>,
}

impl AsyncRead for Noticed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Noticed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Accepts one connection.
struct One {
    memory: Memory,
    held: Option<oneshot::Sender<Infallible>>,
}

impl Accept for One {
    type Io = Noticed;

    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Accepted<Noticed>, AcceptError>> {
        let accepted = ready!(self.memory.poll_accept(cx))?;
        let io = Noticed {
            io: accepted.io,
            _held: self.held.take(),
        };
        Poll::Ready(Ok(Accepted::new(io, accepted.info)))
    }
}

/// What comes of a client against the listener, and against hyper. It never closes.
async fn outcomes(client: impl AsyncFn(DuplexStream) -> String) -> [String; 2] {
    let (memory, connector) = memory();
    let (held, gone) = oneshot::channel();
    let held = Some(held);
    let listener = Listener::from_accept(One { memory, held });
    let serving = tokio::spawn(listener.serve(service_fn(repeat)));
    let io = connector.connect().await.expect("it listens");
    let ours = outcome(client(io), gone).await;
    serving.abort();

    let (io, server) = duplex(64 << 10);
    let (held, gone) = oneshot::channel();
    let server = Noticed {
        io: server,
        _held: Some(held),
    };
    let serving = tokio::spawn(serve_by_hyper(server));
    let hypers = outcome(client(io), gone).await;
    serving.abort();
    [ours, hypers]
}

async fn outcome(
    client: impl Future<Output = String>,
    gone: oneshot::Receiver<Infallible>,
) -> String {
    let start = Instant::now();
    let mut client = pin!(client);
    let end = start + HOUR;
    let said = select! {
        // What the client saw says more.
        biased;
        said = &mut client => said,
        _ = gone => {
            let gone = start.elapsed().as_secs();
            // All of it may be on its way.
            match timeout_at(end, client).await {
                Ok(said) => said,
                Err(_) => return format!("closed after {gone} s"),
            }
        }
        () = sleep_until(end) => return String::from("there after an hour"),
    };
    format!("{said} after {} s", start.elapsed().as_secs())
}

/// Sends this, then a piece every second, and reads all that comes at once.
async fn drip(mut io: DuplexStream, first: impl AsRef<[u8]>, piece: &[u8]) -> String {
    let _ = io.write_all(first.as_ref()).await;
    let mut answer = Vec::new();
    let mut next = Instant::now() + SECOND;
    loop {
        match timeout_at(next, io.read_buf(&mut answer)).await {
            Ok(Ok(0) | Err(_)) => break,
            Ok(Ok(_)) => {}
            Err(_) => {
                next += SECOND;
                let _ = io.write_all(piece).await;
            }
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.strip_prefix("HTTP/1.1 ");
    match status.and_then(|rest| rest.get(..3)) {
        Some(status) => format!("{status}, closed"),
        None => String::from("closed"),
    }
}

/// Reads so many bytes of a large response every second.
async fn sip(mut io: DuplexStream, bytes: usize) -> String {
    let request = format!("GET {LARGE} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    io.write_all(request.as_bytes()).await.expect("it reads");
    let (mut read, mut buffer) = (0, vec![0; bytes]);
    loop {
        sleep(SECOND).await;
        match io.read(&mut buffer).await {
            Ok(0) => break,
            Ok(now) => read += now,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(read > 512 << 10);
    String::from("200, whole")
}

/// The same over HTTP/2: it reads at once what it has a window for, opens that by so many bytes every second, and answers pings.
async fn open_window(mut io: DuplexStream, bytes: u32) -> String {
    let mut first = PREFACE.to_vec();
    first.extend(wire::frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
    first.extend(wire::frame(SETTINGS, 1, 0, &[]));
    first.extend(wire::frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        1,
        &wire::head("GET", LARGE),
    ));
    io.write_all(&first).await.expect("it reads");
    let mut received = BytesMut::new();
    let mut next = Instant::now() + SECOND;
    loop {
        match timeout_at(next, io.read_buf(&mut received)).await {
            Ok(Ok(0) | Err(_)) => return String::from("closed"),
            Ok(Ok(_)) => {}
            Err(_) => {
                next += SECOND;
                let mut more = wire::frame(WINDOW, 0, 1, &bytes.to_be_bytes());
                more.extend(wire::frame(WINDOW, 0, 0, &bytes.to_be_bytes()));
                let _ = io.write_all(&more).await;
            }
        }
        while let Some(frame) = Frame::take(&mut received) {
            match frame {
                Frame::Ping {
                    ack: false,
                    payload,
                } => {
                    let _ = io.write_all(&wire::frame(PING, 1, 0, &payload)).await;
                }
                Frame::Data { last: true, .. } => return String::from("200, whole"),
                _ => {}
            }
        }
    }
}

/// An honest peer, at this many bytes per second: above the 240 that are the least.
const HONEST: usize = 300;

#[tokio::test(start_paused = true)]
async fn who_is_slow_is_waited_for_as_long_as_documented_and_no_longer() {
    let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let post = format!(
        "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        600 * HONEST
    );
    let settled = [PREFACE, &wire::frame(SETTINGS, 0, 0, &[])].concat();
    let then = |flags| {
        let head = wire::frame(HEADERS, flags, 1, &wire::head("POST", "/"));
        [&settled[..], &head].concat()
    };
    let byte = wire::frame(DATA, 0, 1, b"x");
    let there = "there after an hour";
    let found = [
        (
            "a connection, and nothing on it",
            outcomes(async |io| drip(io, "", b"").await).await,
            ["closed after 30 s", there],
        ),
        (
            "half a preface of HTTP/2",
            outcomes(async |io| drip(io, &PREFACE[..10], b"").await).await,
            ["closed after 30 s", there],
        ),
        (
            "a head, a field every second",
            outcomes(async |io| drip(io, &get[..25], b"x: y\r\n").await).await,
            ["closed after 30 s", there],
        ),
        (
            "a second head, a byte every second",
            outcomes(async |io| drip(io, get, b"G").await).await,
            ["200, closed after 31 s", there],
        ),
        (
            "half a second head, sent with the first request",
            outcomes(async |io| drip(io, [get, "GET"].concat(), b"").await).await,
            ["200, closed after 75 s", there],
        ),
        (
            "half a head over HTTP/2",
            outcomes(async |io| drip(io, then(0), b"").await).await,
            ["closed after 30 s", there],
        ),
        (
            "no further request",
            outcomes(async |io| drip(io, get, b"").await).await,
            ["200, closed after 75 s", there],
        ),
        (
            "a peer over HTTP/2 that has vanished",
            outcomes(async |io| drip(io, &settled, b"").await).await,
            ["closed after 40 s", there],
        ),
        (
            "a body, a byte every second",
            outcomes(async |io| drip(io, &post, b"x").await).await,
            ["408, closed after 30 s", there],
        ),
        (
            "a body over HTTP/2, a byte every second",
            outcomes(async |io| drip(io, then(END_HEADERS), &byte).await).await,
            ["closed after 70 s", there],
        ),
        (
            "a body, 300 bytes every second",
            outcomes(async |io| drip(io, &post, &[b'x'; HONEST]).await).await,
            ["200, closed after 600 s"; 2],
        ),
        (
            "a response of which a byte is read every second",
            outcomes(async |io| sip(io, 1).await).await,
            ["closed after 30 s", there],
        ),
        (
            "a response of which 300 bytes are read every second",
            outcomes(async |io| sip(io, HONEST).await).await,
            ["200, whole after 1749 s"; 2],
        ),
        (
            "a response over HTTP/2 whose window opens by a byte every second",
            outcomes(async |io| open_window(io, 1).await).await,
            ["closed after 30 s", there],
        ),
        (
            "a response over HTTP/2 whose window opens by 300 bytes every second",
            outcomes(async |io| open_window(io, 300).await).await,
            ["200, whole after 1748 s"; 2],
        ),
    ];
    for (form, outcomes, expected) in &found {
        assert_eq!(outcomes, expected, "{form}");
    }
    readme::table(
        "patience",
        &["Client", "The listener", "Bare hyper"],
        || {
            let rows = found.iter();
            rows.map(|(form, [ours, hyper], _)| vec![form.to_string(), ours.clone(), hyper.clone()])
                .collect()
        },
    );
}
