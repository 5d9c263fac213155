//! Moves the bytes of one connection.

use std::{
    collections::VecDeque,
    future::{pending, poll_fn},
    io::{self, ErrorKind},
    net::Shutdown,
    pin::pin,
    sync::Mutex,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use socket2::SockRef;
use tokio::{
    io::Interest,
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::{
    Counts, Way,
    script::Next,
    wire::{Ending, Flow, Wire},
};
use crate::{
    panics,
    socket::{read, write},
};

/// How much is read at once.
const PIECE: usize = 16 * 1024;

/// How many pieces may be on their way: the memory that latency can take.
const PIECES: usize = 64;

/// Forwards between `client` and the upstream until the script, the peers, or `cut` end it.
pub(super) async fn run(
    client: TcpStream,
    upstream: impl Future<Output = io::Result<TcpStream>>,
    wire: &Wire,
    counts: &Counts,
    mut cut: watch::Receiver<Option<Ending>>,
) {
    let cut = async move {
        match cut.changed().await {
            Ok(()) => (*cut.borrow()).unwrap_or(Ending::Close),
            // The proxy is gone, and this task goes with it.
            Err(_) => pending().await,
        }
    };
    let mut server = None;
    let ending = tokio::select! {
        ending = cut => ending,
        ending = async {
            if let Some(ending) = wire.at_once {
                if ending == Ending::Stall {
                    departed(&client).await;
                }
                return ending;
            }
            match upstream.await {
                Ok(stream) => forward(&client, server.insert(stream), wire, counts).await,
                // Nobody is there: the client learns as much as it would over a network.
                Err(_) => Ending::Reset,
            }
        } => ending,
    };
    for stream in [Some(client), server].into_iter().flatten() {
        match ending {
            Ending::Reset => reset(&stream),
            Ending::Close | Ending::Stall => close(&stream),
        }
    }
}

async fn forward(client: &TcpStream, server: &TcpStream, wire: &Wire, counts: &Counts) -> Ending {
    // So that what drips leaves as it drips. A socket that is gone already says so when it is used.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let active = Mutex::new(Instant::now());
    let moved = |way, bytes| {
        *panics::lock(&active) = Instant::now();
        counts.moved(way, bytes);
    };
    let mut up = pin!(async {
        let over = pump(client, server, &wire.to_server, |n| {
            moved(Way::ToServer, n);
        });
        match over.await {
            // Nothing reads from the client any more, so somebody has to see it leave.
            Over::Stalled => {
                departed(client).await;
                Over::Ended(Ending::Close)
            }
            over => over,
        }
    });
    let mut down = pin!(pump(server, client, &wire.to_client, |n| {
        moved(Way::ToClient, n);
    }));
    let mut idle = pin!(idle(wire.idle, &active));
    let (mut up_done, mut down_done) = (false, false);
    poll_fn(|cx| {
        if !up_done {
            if let Poll::Ready(over) = up.as_mut().poll(cx) {
                match over {
                    Over::Ended(ending) => return Poll::Ready(ending),
                    Over::Finished | Over::Stalled => up_done = true,
                }
            }
        }
        if !down_done {
            if let Poll::Ready(over) = down.as_mut().poll(cx) {
                match over {
                    Over::Ended(ending) => return Poll::Ready(ending),
                    // A client that sends no more will not wait for an answer that never comes: that is how it is seen to leave.
                    Over::Finished | Over::Stalled => down_done = true,
                }
            }
        }
        if up_done && down_done {
            return Poll::Ready(Ending::Close);
        }
        idle.as_mut().poll(cx).map(|()| Ending::Close)
    })
    .await
}

/// How one direction came to its end.
enum Over {
    /// The sender has finished, and the receiver was told.
    Finished,
    /// The script says so: nothing more is forwarded.
    Stalled,
    /// The connection has to end.
    Ended(Ending),
}

async fn pump(from: &TcpStream, to: &TcpStream, flow: &Flow, moved: impl Fn(usize)) -> Over {
    match try_pump(from, to, flow, moved).await {
        Ok(over) => over,
        // A peer that is gone: the other is told as rudely.
        Err(_) => Over::Ended(Ending::Reset),
    }
}

async fn try_pump(
    from: &TcpStream,
    to: &TcpStream,
    flow: &Flow,
    moved: impl Fn(usize),
) -> io::Result<Over> {
    let mut cursor = flow.script.start();
    let mut buffer = vec![0; PIECE];
    // What was read, and when it is due. The end is a piece of no bytes.
    let mut line = VecDeque::from([(None, Bytes::new())]);
    let mut finished = false;
    let mut first = true;
    loop {
        let due = line.front().map(|(due, _)| *due);
        tokio::select! {
            biased;
            () = until(due) => {
                let (_, mut bytes) = line.pop_front().unwrap_or_default();
                let last = bytes.is_empty() && !std::mem::take(&mut first);
                while let Some(next) = cursor.next(&mut bytes) {
                    match next {
                        Next::Genuine(bytes) => {
                            for piece in pieces(&bytes, flow) {
                                write(to, piece).await?;
                                moved(piece.len());
                                rest(flow).await;
                            }
                        }
                        Next::Garbage(bytes) => {
                            for piece in pieces(&bytes, flow) {
                                write(to, piece).await?;
                                rest(flow).await;
                            }
                        }
                        Next::End(Ending::Stall) => return Ok(Over::Stalled),
                        Next::End(ending) => return Ok(Over::Ended(ending)),
                    }
                }
                if last {
                    // It may be gone already.
                    let _ = SockRef::from(to).shutdown(Shutdown::Write);
                    return Ok(Over::Finished);
                }
            }
            read = read(from, &mut buffer), if !finished && line.len() < PIECES => {
                let n = read?;
                finished = n == 0;
                let due = (!flow.latency.is_zero()).then(|| Instant::now() + flow.latency);
                line.push_back((due, Bytes::copy_from_slice(&buffer[..n])));
            }
        }
    }
}

/// Waits until the first piece is due. One without an instant is due at once: tokio's timer would round that up to a millisecond.
async fn until(due: Option<Option<Instant>>) {
    match due {
        Some(Some(instant)) => sleep_until(instant).await,
        Some(None) => {}
        None => pending().await,
    }
}

fn pieces<'a>(bytes: &'a Bytes, flow: &Flow) -> std::slice::Chunks<'a, u8> {
    bytes.chunks(flow.pace.map_or(PIECE, |(most, _)| most))
}

async fn rest(flow: &Flow) {
    if let Some((_, every)) = flow.pace {
        sleep(every).await;
    }
}

async fn idle(limit: Option<Duration>, active: &Mutex<Instant>) {
    let Some(limit) = limit else {
        return pending().await;
    };
    loop {
        let due = *panics::lock(active) + limit;
        sleep_until(due).await;
        if *panics::lock(active) + limit <= Instant::now() {
            return;
        }
    }
}

/// Waits until the peer has closed its side, and reads nothing: its buffers fill up as if nobody were there.
async fn departed(stream: &TcpStream) {
    loop {
        match stream.ready(Interest::READABLE).await {
            Ok(ready) if !ready.is_read_closed() => {}
            _ => return,
        }
        // Takes the readiness back, so that the next turn waits for the next event: more bytes, or the end.
        let not_read = || Err::<(), _>(ErrorKind::WouldBlock.into());
        let _ = stream.try_io(Interest::READABLE, not_read);
    }
}

/// Lets the drop of the stream, which follows, close it in order. Bytes that nobody read would make that a reset, so those that are
/// here are read.
fn close(stream: &TcpStream) {
    let _ = SockRef::from(stream).shutdown(Shutdown::Write);
    let mut buffer = [0; 1024];
    while matches!(stream.try_read(&mut buffer), Ok(1..)) {}
}

/// Lets the drop of the stream, which follows, reset it.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
