//! Many peers that hold their connections by saying nothing, or little.

use std::time::Duration;

use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Instant, interval},
};

use super::target::{SHORT, Target, Who};
use crate::{
    readme,
    wire::{END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, frame, head},
};

/// How many at once.
const PEERS: usize = 100;
/// What each may cost, in KiB, while it is there. A debug build's futures are large.
const MEMORY: u64 = 64;
/// When they have to be gone: much more than the times that they are given, for machines that are busy.
const TIME: Duration = Duration::from_secs(10);

struct Peers {
    name: &'static str,
    first: Vec<u8>,
    /// Again and again, much more slowly than is allowed.
    piece: &'static [u8],
}

fn peers(name: &'static str, first: impl Into<Vec<u8>>, piece: &'static [u8]) -> Peers {
    Peers {
        name,
        first: first.into(),
        piece,
    }
}

fn all() -> Vec<Peers> {
    let settled = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    let request = |flags, method, path, settings: &[u8]| {
        let mut first = PREFACE.to_vec();
        first.extend(frame(SETTINGS, 0, 0, settings));
        first.extend(frame(HEADERS, flags, 1, &head(method, path)));
        first
    };
    let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let post = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n";
    let many = "GET /bytes/1000000 HTTP/1.1\r\nhost: a\r\n\r\n".repeat(1000);
    let whole = END_HEADERS | END_STREAM;
    vec![
        peers("nothing is said", "", b""),
        peers("slow headers", "GET / HTTP/1.1\r\nhost: a\r\n", b"x: y\r\n"),
        peers("slow body", post, b"x"),
        peers("half-open behind a response", get, b""),
        peers(
            "slow read",
            "GET /bytes/8000000 HTTP/1.1\r\nhost: a\r\n\r\n",
            b"",
        ),
        peers("a thousand requests, and nothing is read", many, b""),
        peers("half-open over HTTP/2", settled, b""),
        peers(
            "half a head over HTTP/2",
            request(END_STREAM, "GET", "/", &[]),
            b"",
        ),
        peers(
            "half a body over HTTP/2",
            request(END_HEADERS, "POST", "/", &[]),
            b"",
        ),
        peers(
            "a window of nothing over HTTP/2",
            request(whole, "GET", "/bytes/1000000", &[0, 4, 0, 0, 0, 0]),
            b"",
        ),
    ]
}

/// Whether the server has let all of them go.
async fn attack(peers: &Peers, who: Who) -> bool {
    let name = format!("{}, {who:?}", peers.name);
    let target = Target::start(who).await;
    let before = target.memory();
    let start = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..PEERS {
        let mut client = TcpStream::connect(target.addr).await.expect("it listens");
        let _ = client.write_all(&peers.first).await;
        clients.push(client);
    }
    // Of hyper it is asked whether it has let go when the hasty listener would have, four times over.
    let patience = if who == Who::Hyper { SHORT * 4 } else { TIME };
    let mut drip = interval(SHORT / 10);
    let mut most = 0;
    let let_go = loop {
        drip.tick().await;
        for client in &mut clients {
            let _ = client.try_write(peers.piece);
        }
        let connections = target.connections();
        most = connections.max(most);
        if connections == 0 || start.elapsed() > patience {
            break connections == 0;
        }
    };
    let took = start.elapsed();
    assert!(most <= PEERS, "{name}: {most} descriptors");
    target.is_available().await;
    let cost = target.peak().saturating_sub(before) / PEERS as u64;
    println!("{name}: {let_go}, {took:?}, {cost} KiB for each, {most} descriptors");
    if who == Who::Hasty {
        assert!(let_go, "{name}");
        assert!(cost <= MEMORY, "{name}: {cost} KiB for each");
    }
    drop(clients);
    target.until_let_go().await;
    let_go
}

#[tokio::test]
async fn who_is_slow_is_let_go_and_costs_little_until_then() {
    let mut rows = Vec::new();
    for peers in all() {
        let outcomes = tokio::join!(attack(&peers, Who::Hasty), attack(&peers, Who::Hyper));
        let mut row = vec![peers.name.to_owned()];
        let outcomes = <[bool; 2]>::from(outcomes);
        row.extend(outcomes.map(|let_go| if let_go { "let go" } else { "held" }.to_owned()));
        rows.push(row);
    }
    readme::table("slow", &["Peers", "The listener", "Bare hyper"], || rows);
}
