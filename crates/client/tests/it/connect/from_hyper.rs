//! Connectors that were made for hyper.

use std::{
    future, io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bartizan_client::{
    Timeouts,
    connect::{ConnectOptions, Connection, Destination, FromHyper},
};
use bartizan_core::{BoxError, find};
use bartizan_testing::{RawServer, refused_addr};
use http::Uri;
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};
use tower::ServiceExt;

use super::http;

const S: fn(u64) -> Duration = Duration::from_secs;

type Io = TokioIo<TcpStream>;

#[tokio::test]
async fn it_connects_and_carries_bytes() {
    let server = RawServer::start(|mut stream| async move {
        let mut asked = [0; 4];
        stream.read_exact(&mut asked).await.expect("read");
        stream.write_all(&asked).await.expect("written");
    })
    .await;
    let connector = FromHyper::new(HttpConnector::new());
    let mut stream = connector
        .oneshot(http(server.addr()))
        .await
        .expect("a connection");
    assert_eq!(stream.connected().peer_addr(), Some(server.addr()));
    assert!(stream.connected().local_addr().is_some());
    stream.write_all(b"ping").await.expect("written");
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await.expect("read");
    assert_eq!(back, b"ping");
}

#[tokio::test]
async fn its_errors_are_of_connecting() {
    let addr = refused_addr();
    let connector = FromHyper::new(HttpConnector::new());
    let error = connector
        .oneshot(http(addr))
        .await
        .expect_err("nothing listens there");
    assert!(error.is_connect() && error.is_unsent() && !error.is_timeout());
    assert_eq!(
        error.to_string(),
        format!("connection failed: tried http://{addr}")
    );
    let cause = find::<io::Error>(&error).expect("the system's error");
    assert_eq!(cause.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test(start_paused = true)]
async fn its_limits_count_together() {
    let mut timeouts = Timeouts::new();
    (timeouts.resolve, timeouts.connect) = (Some(S(2)), Some(S(3)));
    timeouts.tls = Some(S(4));
    for (uri, limit) in [("http://a.example/", 5), ("https://a.example/", 9)] {
        let hangs = tower::service_fn(|_: Uri| future::pending::<Result<Io, BoxError>>());
        let destination = Destination::of(&uri.parse().expect("a URI"))
            .expect("a destination")
            .with_timeouts(&timeouts);
        let started = Instant::now();
        let error = FromHyper::new(hangs)
            .oneshot(destination)
            .await
            .expect_err("late");
        assert!(error.is_timeout() && error.is_connect());
        assert_eq!(started.elapsed(), S(limit));
    }
}

#[tokio::test]
async fn it_is_told_of_tls_unless_a_layer_above_makes_it() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&seen);
    let connector = FromHyper::new(tower::service_fn(move |uri: Uri| {
        asked.lock().expect("no panic").push(uri.to_string());
        future::ready(Err::<Io, BoxError>("no".into()))
    }));
    let uri = "https://a.example/path".parse().expect("a URI");
    let destination = Destination::of(&uri).expect("a destination");
    for destination in [destination.clone(), destination.with_tls_above()] {
        let result = connector.clone().oneshot(destination).await;
        result.expect_err("it never connects");
    }
    let options = ConnectOptions::new().tls_profile("mine");
    let destination = http("a.example").with_options(Some(options));
    let error = connector.oneshot(destination).await.expect_err("refused");
    assert!(error.is_builder() && error.is_unsent());
    let seen = seen.lock().expect("no panic").clone();
    assert_eq!(seen, ["https://a.example:443/", "http://a.example:443/"]);
}
