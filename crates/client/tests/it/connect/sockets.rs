//! TCP and Unix sockets, and several addresses.

use std::{
    convert::Infallible,
    error::Error as _,
    future,
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use bartizan_client::{
    Error, Timeouts,
    connect::{Attempts, ConnectOptions, Connection, SocketConnector, SocketOptions},
    dns::{Answer, Name},
};
use bartizan_core::{BoxError, find};
use bartizan_testing::{RawServer, refused_addr};
use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    time::Instant,
};
use tower::{Service, ServiceExt};

use super::http;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A resolver that knows one answer.
fn resolving(
    addresses: &'static [&'static str],
) -> impl Service<Name, Response = Answer, Error = Infallible, Future = impl Send> + Clone + Send {
    let addresses: Vec<IpAddr> = addresses
        .iter()
        .map(|address| address.parse().expect("an address"))
        .collect();
    tower::service_fn(move |_: Name| future::ready(Ok(Answer::new(addresses.clone()))))
}

fn timeouts(resolve: u64, connect: u64) -> Timeouts {
    let mut timeouts = Timeouts::new();
    timeouts.resolve = Some(MS(resolve));
    timeouts.connect = Some(MS(connect));
    timeouts
}

/// A listener on 127.0.0.1 whose backlog is full, so that it does not answer, and what fills it.
async fn black_hole() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind((Ipv4Addr::LOCALHOST, 0).into())
        .expect("a free port");
    let listener = socket.listen(1).expect("a listener");
    let addr = listener.local_addr().expect("an address");
    let filling = (0..8).map(|_| tokio::time::timeout(MS(300), TcpStream::connect(addr)));
    let streams: Vec<_> = join_all(filling)
        .await
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    assert!(streams.len() < 8, "the backlog is not full");
    (listener, streams, addr)
}

#[tokio::test]
async fn both_families_and_names_connect() {
    let server = RawServer::start(|_| async {}).await;
    let connector = SocketConnector::new();
    let socket = connector
        .clone()
        .oneshot(http(server.addr()))
        .await
        .expect("by address");
    assert_eq!(socket.connected().peer_addr(), Some(server.addr()));
    assert!(socket.connected().local_addr().is_some());

    // `localhost` is ::1 first, where nothing listens on this port, or another of this machine's tests does.
    let port = server.addr().port();
    connector
        .clone()
        .oneshot(http(format_args!("localhost:{port}")))
        .await
        .expect("by name");

    let Ok(listener) = TcpListener::bind("[::1]:0").await else {
        bartizan_testing::skipped("a socket of IPv6", "there is no IPv6 on this machine");
        return;
    };
    let addr = listener.local_addr().expect("an address");
    let socket = connector.oneshot(http(addr)).await.expect("IPv6");
    assert_eq!(socket.connected().peer_addr(), Some(addr));
}

#[tokio::test]
async fn a_refused_address_costs_nothing_if_another_answers() {
    let server = RawServer::start(|_| async {}).await;
    // 127.0.0.2 is this machine too, and nothing listens on that port there.
    let connector = SocketConnector::with_resolver(resolving(&["127.0.0.2", "127.0.0.1"]));
    let destination = http(format_args!("two.example:{}", server.addr().port()));
    let socket = connector.oneshot(destination).await.expect("the second");
    assert_eq!(socket.connected().peer_addr(), Some(server.addr()));
}

#[tokio::test]
async fn every_address_that_failed_is_told() {
    let port = refused_addr().port();
    let connector = SocketConnector::with_resolver(resolving(&["127.0.0.1", "127.0.0.3"]));
    let destination = http(format_args!("two.example:{port}"));
    let error = connector.oneshot(destination).await.expect_err("nothing");
    assert!(error.is_connect() && error.is_unsent() && !error.is_dns() && !error.is_timeout());
    assert_eq!(
        error.to_string(),
        format!("connection failed: tried two.example:{port}; check that something listens there")
    );
    let attempts = find::<Attempts>(&error).expect("the attempts");
    let told: Vec<_> = attempts
        .iter()
        .map(|(addr, error)| (addr.to_string(), error.map(io::Error::kind)))
        .collect();
    assert_eq!(
        told,
        [
            (
                format!("127.0.0.1:{port}"),
                Some(ErrorKind::ConnectionRefused)
            ),
            (
                format!("127.0.0.3:{port}"),
                Some(ErrorKind::ConnectionRefused)
            ),
        ]
    );
    let cause = find::<io::Error>(&error).expect("the system's error");
    assert_eq!(cause.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn an_address_that_does_not_answer_costs_250_ms() {
    let (_listener, _streams, hole) = black_hole().await;
    let server = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 4), hole.port())).await;
    let _server = server.expect("nobody else uses 127.0.0.4");
    let connector = SocketConnector::with_resolver(resolving(&["127.0.0.1", "127.0.0.4"]));
    let started = Instant::now();
    let socket = connector
        .oneshot(http(format_args!("two.example:{}", hole.port())))
        .await
        .expect("the second");
    assert!(started.elapsed() >= MS(250));
    let peer = socket.connected().peer_addr().expect("an address");
    assert_eq!(peer.ip(), IpAddr::from([127, 0, 0, 4]));
}

#[tokio::test]
async fn one_limit_covers_all_addresses() {
    let (_listener, _streams, hole) = black_hole().await;
    let destination = http(hole).with_timeouts(&timeouts(1, 400));
    let started = Instant::now();
    let error = SocketConnector::new()
        .oneshot(destination)
        .await
        .expect_err("no answer");
    assert!(started.elapsed() >= MS(400) && started.elapsed() < MS(4000));
    assert!(error.is_timeout() && error.is_connect() && !error.is_dns());
    assert_eq!(
        error.to_string(),
        format!(
            "no connection within 400ms: tried {hole}; check that it is reachable, or raise `connect_timeout`"
        )
    );
    let attempts = find::<Attempts>(&error).expect("the attempts");
    assert_eq!(attempts.to_string(), format!("{hole}: no answer"));
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_hangs_has_a_limit_of_its_own() {
    let never = tower::service_fn(|_: Name| future::pending::<Result<Answer, Infallible>>());
    let destination = http("slow.example").with_timeouts(&timeouts(700, 9_000));
    let started = Instant::now();
    let error = SocketConnector::with_resolver(never)
        .oneshot(destination)
        .await
        .expect_err("no address");
    assert_eq!(started.elapsed(), MS(700));
    assert!(error.is_dns() && error.is_timeout() && error.is_connect() && error.is_unsent());
    assert!(error.to_string().contains("within 700ms"), "{error}");
}

#[tokio::test]
async fn a_resolver_that_fails_or_is_not_ready_is_told() {
    let failing =
        tower::service_fn(|_: Name| future::ready(Err::<Answer, BoxError>("SERVFAIL".into())));
    let fail = |error: Error| {
        assert!(error.is_dns() && !error.is_timeout());
        assert_eq!(
            error.to_string(),
            "`a.example` does not resolve; check the name"
        );
        error.source().expect("a cause").to_string()
    };
    let connector = SocketConnector::with_resolver(failing);
    let error = connector.oneshot(http("a.example")).await.expect_err("no");
    assert_eq!(fail(error), "SERVFAIL");

    let empty = SocketConnector::with_resolver(resolving(&[]));
    let error = empty.oneshot(http("a.example")).await.expect_err("no");
    assert_eq!(fail(error), "the name has no address");
}

#[tokio::test]
async fn what_looks_like_an_address_reaches_no_resolver() {
    let asked = tower::service_fn(|name: Name| async move {
        panic!("{name} was looked up");
        #[allow(unreachable_code)]
        Ok::<Answer, Infallible>(Answer::new([]))
    });
    for host in ["127.1", "0x7f000001", "2130706433"] {
        let connector = SocketConnector::with_resolver(asked);
        let error = connector.oneshot(http(host)).await.expect_err("no name");
        assert!(error.is_dns(), "{error}");
    }
}

#[tokio::test]
async fn https_is_refused_without_tls() {
    let uri = "https://a.example/".parse().expect("a URI");
    let destination = bartizan_client::connect::Destination::of(&uri).expect("a destination");
    let connector = SocketConnector::with_resolver(resolving(&["127.0.0.1"]));
    let error = connector.oneshot(destination).await.expect_err("no TLS");
    assert!(error.is_tls() && error.is_unsent());
}

#[tokio::test]
async fn it_connects_from_where_it_is_told_to() {
    let server = RawServer::start(|_| async {}).await;
    let from = |n| IpAddr::from([127, 0, 0, n]);
    let options = SocketOptions::new()
        .local_address(from(5))
        .reuse_address(true)
        .send_buffer(64 * 1024)
        .receive_buffer(64 * 1024)
        .without_keep_alive()
        .nodelay(false);
    let connector = SocketConnector::new().socket_options(options);
    let local = |socket: &dyn Connection| socket.connected().local_addr().map(|addr| addr.ip());

    let socket = connector.clone().oneshot(http(server.addr())).await;
    assert_eq!(local(&socket.expect("a socket")), Some(from(5)));

    let options = ConnectOptions::new().local_address(from(6));
    let destination = http(server.addr()).with_options(Some(options));
    let socket = connector.clone().oneshot(destination).await;
    assert_eq!(local(&socket.expect("a socket")), Some(from(6)));

    let options = ConnectOptions::new().local_address("::1".parse().expect("an address"));
    let destination = http(server.addr()).with_options(Some(options));
    let error = connector
        .oneshot(destination)
        .await
        .expect_err("a mismatch");
    assert!(error.is_connect());
    let cause = find::<io::Error>(&error).expect("a cause");
    assert_eq!(cause.kind(), ErrorKind::AddrNotAvailable);
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_instead_of_the_host() {
    let path = std::env::temp_dir().join(format!("bartizan-client-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let at = |path: &std::path::Path| {
        http("nowhere.invalid").with_options(Some(ConnectOptions::new().unix_socket(path)))
    };
    let error = SocketConnector::new().oneshot(at(&path)).await;
    let error = error.expect_err("nothing listens yet");
    assert!(
        error.is_connect() && error.to_string().contains(".sock"),
        "{error}"
    );

    let listener = tokio::net::UnixListener::bind(&path).expect("a listener");
    let mut socket = SocketConnector::new()
        .oneshot(at(&path))
        .await
        .expect("a socket");
    let (mut peer, _) = listener.accept().await.expect("a peer");
    std::fs::remove_file(&path).expect("there");
    peer.write_all(b"hello").await.expect("written");
    let mut read = [0; 5];
    socket.read_exact(&mut read).await.expect("read");
    assert_eq!(&read, b"hello");
    assert_eq!(socket.connected().peer_addr(), None);
}
