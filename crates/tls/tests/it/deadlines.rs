//! How long a handshake may take, and how many may be under way.

use std::time::Duration;

use bartizan_tls::Stage;
use futures_util::future::{join_all, poll_immediate};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};
use tower::Service;

use crate::support::{
    Authority, acceptor, bind, client_tls, connect, connect_over, connector, listener_tls,
};

/// Time stands still but for the deadlines.
#[tokio::test(start_paused = true)]
async fn a_silent_client_is_let_go() {
    let root = Authority::root("root");
    let settings = listener_tls(&root.server(&["a.test"], |_| {}));
    let mut listener = acceptor(settings.handshake_timeout(Duration::from_secs(3)));
    let (socket, addr) = bind().await;
    let mut client = TcpStream::connect(addr).await.unwrap();
    let (io, _) = socket.accept().await.unwrap();

    let start = Instant::now();
    let error = listener.call(io).await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 3);
    assert_eq!(error.stage(), Stage::Hello);
    assert!(error.is_timeout() && error.is_retryable());
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "it is closed");

    // The first bytes of a record that never ends.
    let mut client = TcpStream::connect(addr).await.unwrap();
    client.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    let (io, _) = socket.accept().await.unwrap();
    let error = listener.call(io).await.unwrap_err();
    assert_eq!(error.stage(), Stage::Hello);
    assert!(error.is_timeout());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_was_set_earlier_counts() {
    let root = Authority::root("root");
    let listener = acceptor(listener_tls(&root.server(&["a.test"], |_| {})));
    let start = Instant::now();
    for (given, took) in [(4, 4), (60, 10)] {
        let (socket, addr) = bind().await;
        let _client = TcpStream::connect(addr).await.unwrap();
        let (io, _) = socket.accept().await.unwrap();
        let begun = Instant::now();
        let deadline = begun + Duration::from_secs(given);
        let error = listener.accept_until(io, deadline).await.unwrap_err();
        assert!(error.is_timeout());
        assert_eq!(begun.elapsed().as_secs(), took);
    }
    assert_eq!(start.elapsed().as_secs(), 14);
}

#[tokio::test(start_paused = true)]
async fn a_client_does_not_wait_for_a_silent_server_for_ever() {
    let root = Authority::root("root");
    let (socket, addr) = bind().await;
    let client = connector(client_tls(&root));
    let start = Instant::now();
    let error = connect(&client, addr, "a.test").await.unwrap_err();
    let error = bartizan_core::find::<bartizan_tls::Error>(&*error).unwrap();
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(error.stage(), Stage::Handshake);
    assert_eq!(error.peer(), Some("a.test"));
    assert!(error.is_timeout() && error.is_retryable());
    drop(socket);
}

#[tokio::test]
async fn those_who_are_silent_take_no_place_and_the_others_wait_for_one() {
    let root = Authority::root("root");
    let settings = listener_tls(&root.server(&["a.test"], |_| {})).max_handshakes(1);
    let listener = acceptor(settings);
    let (socket, addr) = bind().await;

    // Four who say nothing, and four who do.
    let silent = join_all((0..4).map(|_| TcpStream::connect(addr))).await;
    let mut waiting = Vec::new();
    for _ in &silent {
        let (io, _) = socket.accept().await.unwrap();
        let mut listener = listener.clone();
        waiting.push(tokio::spawn(async move { listener.call(io).await }));
    }
    let client = connector(client_tls(&root));
    let met = join_all((0..4).map(|_| async {
        let (socket, addr) = bind().await;
        tokio::join!(connect(&client, addr, "a.test"), async {
            let (io, _) = socket.accept().await.unwrap();
            listener.clone().call(io).await
        })
    }))
    .await;
    for (client, listener) in met {
        client.unwrap();
        listener.unwrap();
    }
    assert!(waiting.iter().all(|accept| !accept.is_finished()));
    drop(silent);
    for accept in waiting {
        let error = accept.await.unwrap().unwrap_err();
        assert_eq!(error.stage(), Stage::Hello);
        assert!(!error.is_timeout());
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_is_dropped_gives_its_place_back() {
    let root = Authority::root("root");
    let settings = listener_tls(&root.server(&["a.test"], |_| {})).max_handshakes(1);
    let listener = acceptor(settings);
    let client = connector(client_tls(&root));

    // Somebody who stops after the ClientHello holds the only place.
    let (near, mut far) = tokio::io::duplex(1 << 16);
    let stalled = {
        let (hello, keep) = tokio::io::duplex(1 << 16);
        let settings = client.handle();
        let layer = connector(settings.settings());
        let mut stuck = Box::pin(connect_over(layer, hello));
        assert!(poll_immediate(&mut stuck).await.is_none());
        (stuck, keep)
    };
    let (stuck, mut keep) = stalled;
    let mut hello = vec![0; 1 << 14];
    let n = keep.read(&mut hello).await.unwrap();
    far.write_all(&hello[..n]).await.unwrap();
    let mut holding = Box::pin(listener.clone().call(near));
    for _ in 0..5 {
        assert!(poll_immediate(&mut holding).await.is_none());
        tokio::task::yield_now().await;
    }

    let (near, far_end) = tokio::io::duplex(1 << 16);
    let mut accept = Box::pin(listener.clone().call(near));
    let mut other = Box::pin(connect_over(connector(client.handle().settings()), far_end));
    for _ in 0..5 {
        assert!(poll_immediate(&mut other).await.is_none());
        assert!(poll_immediate(&mut accept).await.is_none());
    }
    drop(holding);
    let (client, listener) = tokio::join!(other, accept);
    client.unwrap();
    listener.unwrap();
    drop(stuck);
}
