//! The proxy breaks connections as it is told, and only as it is told.

use std::{io::ErrorKind, time::Duration};

use bartizan_testing::{FaultProxy, Flow, RawServer, Wire, refused_addr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::panic_of;

/// Far more than anything here takes, far less than a test's patience.
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(30);

/// Sends back what it gets, and closes when its peer does.
async fn echo() -> RawServer {
    RawServer::start(|mut stream| async move {
        let (mut from, mut to) = stream.split();
        // Broken connections are what these tests are about.
        let _ = tokio::io::copy(&mut from, &mut to).await;
        let _ = to.shutdown().await;
    })
    .await
}

async fn proxied(wire: Wire) -> (RawServer, FaultProxy, TcpStream) {
    let server = echo().await;
    let proxy = FaultProxy::start(server.addr()).await;
    proxy.push(wire);
    let stream = TcpStream::connect(proxy.addr())
        .await
        .expect("a proxy that listens");
    (server, proxy, stream)
}

/// All that comes back for `sent`, and how it ended.
async fn exchange(stream: &mut TcpStream, sent: &[u8]) -> (Vec<u8>, Result<(), ErrorKind>) {
    let mut received = Vec::new();
    let wrote = stream.write_all(sent).await;
    if wrote.is_ok() {
        let _ = stream.shutdown().await;
    }
    let read = timeout(LONG, stream.read_to_end(&mut received))
        .await
        .expect("an end");
    (received, read.map(drop).map_err(|error| error.kind()))
}

#[tokio::test]
async fn what_it_is_not_told_to_break_gets_through() {
    for wire in [Wire::new(), Wire::new().latency(Duration::from_millis(2))] {
        let (_server, proxy, stream) = proxied(wire).await;
        // More than all buffers hold.
        let sent: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
        let expected = sent.clone();
        let (mut from, mut to) = stream.into_split();
        let writer = tokio::spawn(async move {
            to.write_all(&sent).await.unwrap();
            to.shutdown().await.unwrap();
        });
        let mut received = Vec::new();
        from.read_to_end(&mut received).await.unwrap();
        writer.await.unwrap();
        assert!(received == expected, "{} bytes", received.len());
        drop(from);
        proxy.closed().await;
        let counts = proxy.counts();
        assert_eq!((counts.accepted, counts.open), (1, 0));
        assert_eq!((counts.to_server, counts.to_client), (3_000_000, 3_000_000));
    }
}

#[tokio::test]
async fn a_half_closed_connection_stays_so() {
    let (_server, _proxy, mut stream) = proxied(Wire::new()).await;
    assert_eq!(
        exchange(&mut stream, b"hello").await,
        (b"hello".to_vec(), Ok(()))
    );
}

#[tokio::test]
async fn each_connection_takes_the_next_wire_and_then_the_default() {
    let server = echo().await;
    let proxy = FaultProxy::start(server.addr()).await;
    proxy.push(Wire::new().to_client(Flow::new().close_at(1)));
    proxy.push(Wire::new().to_client(Flow::new().close_at(2)));
    proxy.by_default(|index| Wire::new().to_client(Flow::new().inject(0, index.to_string())));
    let mut received = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
        received.push(exchange(&mut stream, b"abc").await.0);
    }
    assert_eq!(received, [&b"a"[..], b"ab", b"2abc", b"3abc"]);
    proxy.closed().await;
    assert_eq!(proxy.counts().accepted, 4);
}

#[tokio::test]
async fn cut_after_so_many_bytes() {
    let (server, proxy, mut stream) = proxied(Wire::new().to_client(Flow::new().close_at(3))).await;
    assert_eq!(
        exchange(&mut stream, b"hello").await,
        (b"hel".to_vec(), Ok(()))
    );
    // The upstream is not left behind.
    server.closed().await;
    proxy.closed().await;
    assert_eq!(proxy.counts().to_client, 3);

    let (server, proxy, mut stream) = proxied(Wire::new().to_server(Flow::new().close_at(3))).await;
    stream.write_all(b"hello").await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
    server.closed().await;
    proxy.closed().await;
    assert_eq!(proxy.counts().to_server, 3);
}

#[tokio::test]
async fn reset_after_so_many_bytes() {
    let (server, proxy, mut stream) = proxied(Wire::new().to_client(Flow::new().reset_at(3))).await;
    stream.write_all(b"hello").await.unwrap();
    let error = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    server.closed().await;
    proxy.closed().await;
}

#[tokio::test]
async fn closed_or_reset_at_once_and_the_upstream_sees_nothing() {
    let server = echo().await;
    let proxy = FaultProxy::start(server.addr()).await;
    proxy.push(Wire::closed());
    proxy.push(Wire::reset());
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    let error = stream.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    proxy.closed().await;
    assert_eq!((proxy.counts().accepted, server.connections()), (2, 0));
}

#[tokio::test]
async fn a_silent_peer_is_silent_until_the_client_leaves() {
    let (server, proxy, mut stream) = proxied(Wire::silent()).await;
    stream.write_all(b"hello").await.unwrap();
    timeout(SHORT, stream.read(&mut [0; 1])).await.unwrap_err();
    assert_eq!(proxy.counts().open, 1);
    drop(stream);
    timeout(LONG, proxy.closed()).await.unwrap();
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_silent_peer_stops_an_upload() {
    let (_server, _proxy, mut stream) = proxied(Wire::silent()).await;
    let endless = async { while stream.write_all(&[0; 65_536]).await.is_ok() {} };
    timeout(Duration::from_millis(300), endless)
        .await
        .unwrap_err();
}

#[tokio::test]
async fn a_stall_either_way_is_seen_by_nobody_until_the_client_leaves() {
    for (wire, expected) in [
        (Wire::new().to_client(Flow::new().stall_at(2)), 2),
        (Wire::new().to_server(Flow::new().stall_at(2)), 2),
        (Wire::new().to_server(Flow::new().stall_at(0)), 0),
    ] {
        let (server, proxy, mut stream) = proxied(wire).await;
        stream.write_all(b"hello").await.unwrap();
        let mut received = vec![0; expected];
        stream.read_exact(&mut received).await.unwrap();
        assert_eq!(received, b"hello"[..expected]);
        timeout(SHORT, stream.read(&mut [0; 1])).await.unwrap_err();
        // More bytes do not make it spin, nor look like the end.
        stream.write_all(b"hello again").await.unwrap();
        timeout(SHORT, proxy.closed()).await.unwrap_err();
        drop(stream);
        timeout(LONG, proxy.closed()).await.unwrap();
        server.closed().await;
    }
}

#[tokio::test]
async fn a_stalled_download_outlives_the_server() {
    let server = RawServer::start(|mut stream| async move {
        stream.write_all(b"hello").await.unwrap();
    })
    .await;
    let proxy = FaultProxy::start(server.addr()).await;
    proxy.push(Wire::new().to_client(Flow::new().stall_at(2)));
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    stream.read_exact(&mut [0; 2]).await.unwrap();
    server.closed().await;
    timeout(SHORT, stream.read(&mut [0; 1])).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn latency_is_added_each_way_and_does_not_add_up() {
    let (_server, proxy, mut stream) = proxied(Wire::new().latency(Duration::from_secs(5))).await;
    let before = Instant::now();
    stream.write_all(b"one").await.unwrap();
    proxy.until(|counts| counts.to_server == 3).await;
    let one_way = before.elapsed();
    stream.read_exact(&mut [0; 3]).await.unwrap();
    let both_ways = before.elapsed();
    // The clock may run ahead while the kernel works, never behind.
    assert!(one_way >= Duration::from_secs(5), "{one_way:?}");
    assert!(both_ways >= Duration::from_secs(10), "{both_ways:?}");
}

#[tokio::test]
async fn many_pieces_on_a_long_line_arrive_together() {
    let latency = Duration::from_millis(100);
    let (_server, _proxy, mut stream) =
        proxied(Wire::new().to_server(Flow::new().latency(latency))).await;
    stream.set_nodelay(true).unwrap();
    let before = Instant::now();
    for _ in 0..10 {
        stream.write_all(b"x").await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    stream.read_exact(&mut [0; 10]).await.unwrap();
    let took = before.elapsed();
    assert!(took >= latency, "{took:?}");
    // One after the other they would take a second.
    assert!(took < latency * 9, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drip_takes_its_time() {
    let drip = Flow::new().drip(2, Duration::from_secs(1));
    let (_server, _proxy, mut stream) = proxied(Wire::new().to_client(drip)).await;
    let before = Instant::now();
    stream.write_all(b"1234567890").await.unwrap();
    let mut received = [0; 10];
    stream.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"1234567890");
    // Five pieces, and a rest after each but the last that was read.
    let took = before.elapsed();
    assert!(took >= Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn garbage_is_put_in_where_it_was_said() {
    let garbage = Flow::new().inject(0, "<").inject(3, "!").inject(5, ">");
    let (_server, proxy, mut stream) = proxied(Wire::new().to_client(garbage)).await;
    // Before anything was sent.
    let mut first = [0; 1];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"<");
    assert_eq!(exchange(&mut stream, b"hello").await.0, b"hel!lo>");
    proxy.closed().await;
    assert_eq!(proxy.counts().to_client, 5, "only the genuine ones count");
}

#[tokio::test]
async fn idle_connections_are_closed_and_busy_ones_are_not() {
    let idle = Duration::from_millis(300);
    let (server, proxy, mut stream) = proxied(Wire::new().close_after_idle(idle)).await;
    let before = Instant::now();
    while before.elapsed() < idle * 2 {
        stream.write_all(b"x").await.unwrap();
        stream.read_exact(&mut [0; 1]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let last = Instant::now();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(last.elapsed() >= idle / 2, "{:?}", last.elapsed());
    server.closed().await;
    proxy.closed().await;
}

#[tokio::test]
async fn all_can_be_cut_at_once_and_later_ones_are_whole() {
    let server = echo().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        stream.read_exact(&mut [0; 1]).await.unwrap();
        streams.push(stream);
    }
    proxy.close_all();
    for stream in &mut streams {
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    }
    proxy.closed().await;

    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    stream.read_exact(&mut [0; 1]).await.unwrap();
    proxy.reset_all();
    let error = stream.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    proxy.closed().await;
    assert_eq!(proxy.counts().accepted, 4);
}

#[tokio::test]
async fn it_refuses_and_listens_again_on_the_same_port() {
    let server = echo().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let mut before = TcpStream::connect(proxy.addr()).await.unwrap();
    proxy.until(|counts| counts.open == 1).await;
    for _ in 0..3 {
        proxy.refuse();
        let error = TcpStream::connect(proxy.addr()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        proxy.listen();
        proxy.listen();
        let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
        assert_eq!(exchange(&mut stream, b"a").await, (b"a".to_vec(), Ok(())));
    }
    // The one that was open has not noticed.
    assert_eq!(exchange(&mut before, b"b").await, (b"b".to_vec(), Ok(())));
}

#[tokio::test]
async fn a_client_whose_upstream_is_down_is_reset() {
    let proxy = FaultProxy::start(refused_addr()).await;
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    let error = stream.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    proxy.closed().await;
}

#[tokio::test]
async fn a_script_that_panics_fails_the_test() {
    let server = echo().await;
    let proxy = FaultProxy::start(server.addr()).await;
    proxy.by_default(|index| panic!("no wire for {index}"));
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    let _ = stream.read(&mut [0; 1]).await;
    proxy.closed().await;
    let message = panic_of(|| drop(proxy));
    assert!(message.starts_with("FaultProxy at 127.0.0.1:"), "{message}");
    assert!(message.ends_with("no wire for 0"), "{message}");
}

#[tokio::test]
async fn dropping_it_ends_its_connections() {
    let (server, proxy, mut stream) = proxied(Wire::new()).await;
    stream.write_all(b"x").await.unwrap();
    stream.read_exact(&mut [0; 1]).await.unwrap();
    let addr = proxy.addr();
    assert_eq!(proxy.counts().open, 1);
    drop(proxy);
    let _ = stream.read(&mut [0; 1]).await;
    server.closed().await;
    let refused = TcpStream::connect(addr).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}
