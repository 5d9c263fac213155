//! Peers that send without end, as fast as they can, and read what they are told.

use std::{net::SocketAddr, time::Duration};

use bartizan_testing::http2::Frame;
use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    select,
    time::{Instant, timeout},
};

use super::target::{Target, Who};
use crate::{
    floods::{FLOODS, Piece},
    readme,
    wire::{PING, PREFACE, SETTINGS, frame, name},
};

/// No flood has to send so much before it is ended.
const PIECES: u32 = 20_000;

/// What one flood may cost, beside what is said of it below.
const TIME: Duration = Duration::from_secs(10);
const MEMORY: u64 = 4 << 10;

struct Flood {
    name: &'static str,
    first: Vec<u8>,
    piece: Piece,
    /// How it is ended.
    ended: &'static str,
}

fn http2((name, piece): (&'static str, Piece)) -> Flood {
    let mut first = PREFACE.to_vec();
    first.extend(frame(SETTINGS, 0, 0, &[]));
    first.extend(frame(SETTINGS, 1, 0, &[]));
    Flood {
        name,
        first,
        piece,
        ended: "ENHANCE_YOUR_CALM",
    }
}

fn http1(name: &'static str, first: &str, piece: Piece, ended: &'static str) -> Flood {
    Flood {
        name,
        first: first.into(),
        piece,
        ended,
    }
}

fn all() -> Vec<Flood> {
    let text: Piece = |_| vec![b'x'; 256];
    let lines: Piece = |_| b"x: y\r\n".repeat(40);
    let chunked = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut floods: Vec<Flood> = FLOODS.into_iter().map(http2).collect();
    floods.extend([
        http1("a target without end", "GET /", text, "431"),
        http1("a field without end", "GET / HTTP/1.1\r\nx: ", text, "431"),
        http1("fields without end", "GET / HTTP/1.1\r\n", lines, "431"),
        http1(
            "empty lines without end",
            "",
            |_| b"\r\n".repeat(128),
            "431",
        ),
        http1(
            "an extension of a chunk without end",
            &format!("{chunked}5;"),
            text,
            "400",
        ),
        http1(
            "trailers without end",
            &format!("{chunked}0\r\n"),
            lines,
            "400",
        ),
        http1(
            "chunks of a byte, with extensions",
            chunked,
            |_| b"1;xxxxxxxx\r\nx\r\n".repeat(16),
            "400",
        ),
    ]);
    floods
}

/// No flood's own.
const ARE_YOU_THERE: [u8; 8] = *b"anybody?";

/// Sends until the other side has ended it. How it did; `None` if it has not.
async fn send(addr: SocketAddr, flood: &Flood) -> Option<String> {
    let io = TcpStream::connect(addr).await.expect("it listens");
    let (mut reader, mut writer) = io.into_split();
    let sending = async {
        // It may be closed at any time; the reader knows why.
        let _ = writer.write_all(&flood.first).await;
        let mut number = 0;
        while number < PIECES {
            let mut bytes = Vec::new();
            for _ in 0..50 {
                bytes.extend((flood.piece)(number));
                number += 1;
            }
            if writer.write_all(&bytes).await.is_err() {
                break;
            }
        }
        let _ = writer.write_all(&frame(PING, 0, 0, &ARE_YOU_THERE)).await;
        std::future::pending::<Option<String>>().await
    };
    let reading = async {
        let mut told = String::from("closed");
        let mut received = BytesMut::new();
        while reader
            .read_buf(&mut received)
            .await
            .is_ok_and(|read| read > 0)
        {
            if received.starts_with(b"HTTP/1.1 ") {
                told = String::from_utf8_lossy(&received[9..12]).into_owned();
                continue;
            }
            while let Some(frame) = Frame::take(&mut received) {
                match frame {
                    Frame::GoAway { code, .. } => name(code).clone_into(&mut told),
                    Frame::Ping {
                        ack: true,
                        payload: ARE_YOU_THERE,
                    } => return None,
                    _ => {}
                }
            }
        }
        Some(told)
    };
    select! {
        ended = reading => ended,
        never = sending => never,
    }
}

#[tokio::test]
async fn a_flood_is_ended_soon_and_costs_little() {
    let mut rows = Vec::new();
    for flood in all() {
        let mut outcomes = Vec::new();
        let mut peaks = Vec::new();
        for who in [Who::Ours, Who::Hyper] {
            let case = format!("{}, {who:?}", flood.name);
            let target = Target::start(who).await;
            let before = target.memory();
            let start = Instant::now();
            let ended = timeout(TIME, send(target.addr, &flood)).await;
            let took = start.elapsed();
            let ended = ended.unwrap_or_else(|_| panic!("{case}: it hangs"));
            // Whatever became of the flood, others are served.
            target.is_available().await;
            target.until_let_go().await;
            let peak = target.peak().saturating_sub(before);
            println!("{case}: {ended:?}, {took:?}, {peak} KiB");
            if who == Who::Ours {
                assert_eq!(ended.as_deref(), Some(flood.ended), "{case}");
                assert!(peak <= MEMORY, "{case}: {peak} KiB");
            }
            outcomes.push(ended);
            peaks.push(peak);
        }
        let [ours, hyper] = &peaks[..] else {
            unreachable!("two contenders")
        };
        // A page here or there is the allocator's.
        assert!(*ours <= hyper + 1024, "{}: {peaks:?} KiB", flood.name);
        let mut row = vec![flood.name.to_owned()];
        row.extend(
            outcomes
                .into_iter()
                .map(|ended| ended.unwrap_or("goes on".to_owned())),
        );
        rows.push(row);
    }
    readme::table("floods", &["Flood", "The listener", "Bare hyper"], || rows);
}
