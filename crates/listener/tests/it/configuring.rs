use std::{error::Error, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use bartizan_listener::{AtLimit, BindError, Listener, ListenerConfig, config};
use tower::service_fn;

use crate::support::{Server, answer, hello, raw, rest};

const CLOSING: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

fn proxies() -> [ipnet::IpNet; 1] {
    ["127.0.0.0/8".parse().expect("a network")]
}

#[tokio::test]
async fn presets_serve() {
    for preset in [
        config::internet_facing(),
        config::internal(),
        ListenerConfig::default(),
    ] {
        let mut config = preset;
        config.listen = vec!["127.0.0.1:0".into()];
        let server = Server::start(config.bind().await.expect("a free port"), service_fn(hello));
        let answered = answer(server.addr, CLOSING).await;
        assert!(answered.ends_with(b"hello"));
        server.shutdown().await;
    }
}

#[tokio::test]
async fn behind_a_proxy_the_header_is_required() {
    let mut config = config::behind_proxy(proxies());
    config.listen = vec!["127.0.0.1:0".into()];
    // Nobody has to notice.
    config.timeouts.drain_delay = Duration::ZERO;
    let server = Server::start(config.bind().await.expect("a free port"), service_fn(hello));
    let answered = answer(server.addr, CLOSING).await;
    assert_eq!(answered, b"");
    let answered = answer(server.addr, &[b"PROXY UNKNOWN\r\n", CLOSING].concat()).await;
    assert!(answered.ends_with(b"hello"));
    server.shutdown().await;
}

#[tokio::test]
async fn clients_are_limited_as_configured() {
    let mut config = config::internal();
    config.listen = vec!["127.0.0.1:0".into()];
    config.limits.connections_per_client = Some(1);
    let server = Server::start(config.bind().await.expect("a free port"), service_fn(hello));
    let _first = raw(server.addr, b"").await;
    let mut second = raw(server.addr, CLOSING).await;
    assert_eq!(rest(&mut second).await, b"");
    assert_eq!(server.handle.stats().refused, 1);
    server.shutdown().await;
}

#[tokio::test]
async fn who_finds_no_place_is_refused_if_that_is_configured() {
    let mut config = config::internal();
    config.listen = vec!["127.0.0.1:0".into()];
    config.limits.connections = Some(1);
    config.limits.at_limit = AtLimit::Refuse;
    let server = Server::start(config.bind().await.expect("a free port"), service_fn(hello));
    let first = raw(server.addr, b"").await;
    let mut second = raw(server.addr, CLOSING).await;
    assert_eq!(rest(&mut second).await, b"");
    assert_eq!(server.handle.stats().refused, 1);
    drop(first);
    server.shutdown().await;
}

#[tokio::test]
async fn the_drain_is_delayed_as_configured() {
    let mut config = config::internal();
    config.listen = vec!["127.0.0.1:0".into()];
    config.timeouts.drain_delay = Duration::from_secs(3600);
    let server = Server::start(config.bind().await.expect("a free port"), service_fn(hello));
    server.handle.shutdown();
    assert!(!server.handle.is_draining());
    let answered = answer(server.addr, CLOSING).await;
    assert!(answered.ends_with(b"hello"));
    server.handle.cut();
    server.ended().await;
}

#[tokio::test]
async fn an_address_that_cannot_be_bound_is_named_with_its_place() {
    let taken = Listener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = taken.local_addr();
    let mut config = ListenerConfig::default();
    config.listen = vec!["127.0.0.1:0".into(), addr.into()];
    let error = config.bind().await.expect_err("it is taken");
    assert_eq!(
        (error.field(), error.value()),
        ("listen[1]", &*addr.to_string())
    );
    let source = error
        .source()
        .and_then(|source| source.downcast_ref::<BindError>());
    assert!(source.is_some_and(BindError::is_in_use));
}

#[tokio::test]
async fn settings_of_http_reach_the_connections() {
    let mut config = ListenerConfig::default();
    config.listen = vec!["127.0.0.1:0".into()];
    config.http.max_uri_bytes = 10;
    config.http.server_header = Some("configured".into());
    let listener = config.bind().await.expect("a free port");
    let (addr, handle) = (listener.local_addr(), listener.handle());
    let serving = tokio::spawn(listener.serve(service_fn(
        |_: http::Request<bartizan_core::Body>| async {
            Ok::<_, std::convert::Infallible>(http::Response::new(bartizan_core::Body::empty()))
        },
    )));
    let mut client = tokio::net::TcpStream::connect(addr)
        .await
        .expect("a connection");
    let request = b"GET /0123456789 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    client.write_all(request).await.expect("room");
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 414 "), "{answer}");
    assert!(answer.contains("server: configured"), "{answer}");
    handle.shutdown();
    serving.await.expect("no panic");
}

#[test]
fn every_field_that_can_be_wrong_is_named() {
    type Change = fn(&mut ListenerConfig);
    let wrong: [(&str, Change); 16] = [
        ("listen", |config| config.listen.clear()),
        ("sockets.backlog", |config| config.sockets.backlog = 0),
        ("sockets.accept_loops", |config| {
            config.sockets.accept_loops = 0;
        }),
        ("sockets.unix_mode", |config| {
            config.sockets.unix_mode = Some(0o1000);
        }),
        ("limits.connections", |config| {
            config.limits.connections = Some(0);
        }),
        ("limits.connections_per_client", |config| {
            config.limits.connections_per_client = Some(0);
        }),
        ("limits.ipv4_prefix", |config| {
            config.limits.ipv4_prefix = 33;
        }),
        ("limits.ipv6_prefix", |config| {
            config.limits.ipv6_prefix = 129;
        }),
        ("limits.handshakes", |config| config.limits.handshakes = 0),
        ("timeouts.handshake", |config| {
            config.timeouts.handshake = Duration::ZERO;
        }),
        ("timeouts.header_read", |config| {
            config.timeouts.header_read = Some(Duration::ZERO);
        }),
        ("http.max_uri_bytes", |config| config.http.max_uri_bytes = 0),
        ("http.max_requests", |config| {
            config.http.max_requests = Some(0);
        }),
        ("http.server_header", |config| {
            config.http.server_header = Some("a\nb".into());
        }),
        ("http.min_request_rate.bytes_per_second", |config| {
            let rate = config.http.min_request_rate.as_mut();
            rate.expect("a default").bytes_per_second = 0;
        }),
        ("http.http2_frame_limit.burst", |config| {
            let limit = config.http.http2_frame_limit.as_mut();
            limit.expect("a default").burst = 1;
        }),
    ];
    for (field, change) in wrong {
        let mut config = config::internet_facing();
        config.check().expect("the preset is right");
        change(&mut config);
        assert_eq!(config.check().expect_err(field).field(), field);
    }
    let mut config = config::behind_proxy([]);
    let error = config.check().expect_err("nobody is trusted");
    assert_eq!(error.field(), "proxy_protocol.trusted");
    config.proxy_protocol.as_mut().expect("set").trust_local = true;
    config.check().expect("those on Unix sockets are");
}

#[cfg(feature = "serde")]
mod files {
    use super::*;

    fn read(text: &str) -> Result<ListenerConfig, bartizan_core::ConfigError> {
        ListenerConfig::read(&mut serde_json::Deserializer::from_str(text))
    }

    #[test]
    fn what_is_written_is_read() {
        for config in [
            ListenerConfig::default(),
            config::internet_facing(),
            config::behind_proxy(proxies()),
            config::internal(),
        ] {
            let mut config = config;
            config.listen.push("unix:/run/app.sock".into());
            config.sockets.unix_mode = Some(0o660);
            config.limits.at_limit = AtLimit::Refuse;
            config.http.http2_frame_limit = None;
            config.timeouts.header_read = None;
            config.timeouts.drain_delay = Duration::from_secs(7);
            config.timeouts.drain = Duration::from_millis(90_250);
            let text = serde_json::to_string(&config).expect("it can be written");
            assert!(text.contains(r#""unix_mode":"0660""#), "{text}");
            assert!(text.contains(r#""at_limit":"refuse""#), "{text}");
            assert!(text.contains(r#""protocols":"both""#), "{text}");
            assert!(text.contains(r#""drain_delay":"7s""#), "{text}");
            assert!(text.contains(r#""drain":"1m 30s 250ms""#), "{text}");
            assert_eq!(read(&text).expect("it can be read"), config);
        }
        assert_eq!(read("{}").expect("all defaults"), ListenerConfig::default());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        for (text, field) in [
            (r#"{ "lisen": [] }"#, "lisen"),
            (r#"{ "limits": { "conections": 1 } }"#, "limits.conections"),
            (
                r#"{ "limits": { "connections": "many" } }"#,
                "limits.connections",
            ),
            (r#"{ "listen": ["127.0.0.1:1", 7] }"#, "listen[1]"),
            (r#"{ "timeouts": { "drain": "soon" } }"#, "timeouts.drain"),
            (r#"{ "timeouts": { "drain": 5 } }"#, "timeouts.drain"),
            (
                r#"{ "sockets": { "unix_mode": "rw" } }"#,
                "sockets.unix_mode",
            ),
            (r#"{ "proxy_protocol": {} }"#, "proxy_protocol"),
            (r#"{ "http": { "max_uri": 1 } }"#, "http.max_uri"),
            (
                r#"{ "http": { "max_uri_bytes": 0 } }"#,
                "http.max_uri_bytes",
            ),
            (
                r#"{ "proxy_protocol": { "trusted": ["10.0.0.0/33"] } }"#,
                "proxy_protocol.trusted[0]",
            ),
            // Read, and then checked.
            (
                r#"{ "limits": { "ipv4_prefix": 33 } }"#,
                "limits.ipv4_prefix",
            ),
        ] {
            let error = read(text).expect_err(text);
            assert_eq!(error.field(), field, "{text}");
        }
    }
}
