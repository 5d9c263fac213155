//! Proxies that the tests play themselves, well and badly.

use std::{
    error::Error as _,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bartizan_client::{
    Error, Timeouts,
    connect::{ConnectOptions, Connection, Connector, Destination, SocketConnector, Stream},
    dns::{Answer, Name},
    proxy::{Proxied, Proxies, Proxy, ProxyLayer},
};
use bartizan_core::{BoxError, find};
use bartizan_testing::{RawServer, contract, refused_addr};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, copy_bidirectional},
    net::TcpStream,
    time::Instant,
};
use tower::{Layer, Service, ServiceExt};

use super::http;

const MS: fn(u64) -> Duration = Duration::from_millis;

contract! {
    mod no_proxy {
        layer: |probe| ProxyLayer::new(Proxies::new()).layer(probe),
        request: || http("origin.example"),
        response: || tokio::io::duplex(64).0,
    }

    mod a_proxy_that_forwards {
        layer: |probe| ProxyLayer::new(all("http://proxy.example")).layer(probe),
        request: || http("origin.example"),
        response: || tokio::io::duplex(64).0,
    }

    mod a_tunnel {
        layer: |probe| ProxyLayer::new(all("socks5h://proxy.example")).layer(probe),
        request: || http("origin.example"),
        response: socks_that_grants,
    }
}

/// One end of a connection on whose other end a SOCKS5 proxy has answered already.
fn socks_that_grants() -> DuplexStream {
    let (here, mut there) = tokio::io::duplex(256);
    let answers = b"\x05\0\x05\0\0\x01\0\0\0\0\0\0";
    tokio::spawn(async move {
        there.write_all(answers).await.expect("room for it");
        // Until the other end goes.
        let _ = there.read_to_end(&mut Vec::new()).await;
    });
    here
}

fn all(proxy: impl std::fmt::Display) -> Proxies {
    let proxy: Proxy = proxy.to_string().parse().expect("a proxy");
    Proxies::new().all(proxy)
}

/// The destination of `https://{authority}/`, as a layer that makes TLS asks for it.
fn https(authority: &str) -> Destination {
    let uri = format!("https://{authority}/").parse().expect("a URI");
    Destination::of(&uri)
        .expect("a destination")
        .with_tls_above()
}

async fn connect(proxies: Proxies, destination: Destination) -> Result<Stream, Error> {
    let connector = Connector::builder().proxies(proxies).build();
    connector.oneshot(destination).await
}

async fn head<S: AsyncRead + Unpin + Send>(stream: &mut S) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("more of a head"));
    }
    String::from_utf8(head).expect("ASCII")
}

/// Says `text` and reads it back.
async fn echo<S: AsyncRead + AsyncWrite + Unpin + Send>(stream: &mut S, text: &str) {
    stream.write_all(text.as_bytes()).await.expect("written");
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).await.expect("read");
    assert_eq!(back, text.as_bytes());
}

async fn echo_server() -> RawServer {
    RawServer::start(|mut stream| async move {
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await
}

/// A proxy that answers whatever is asked with `answer`, at once, and stays.
async fn answering(answer: impl Into<Vec<u8>>) -> RawServer {
    let answer = answer.into();
    RawServer::start(move |mut stream| {
        let answer = answer.clone();
        async move {
            let _ = stream.write_all(&answer).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways() {
    let origin = echo_server().await;
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let proxy = RawServer::start(move |mut stream| {
        let seen = Arc::clone(&seen);
        async move {
            let head = head(&mut stream).await;
            let target = head.split(' ').nth(1).expect("a target").to_owned();
            seen.lock().expect("no panic").push(head);
            let mut origin = TcpStream::connect(target).await.expect("the origin");
            let granted = b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n";
            stream.write_all(granted).await.expect("written");
            let _ = copy_bidirectional(&mut stream, &mut origin).await;
        }
    })
    .await;
    let addr = origin.addr();
    let proxies = all(format_args!("http://me:secret@{}", proxy.addr()));
    let mut stream = connect(proxies, https(&addr.to_string()))
        .await
        .expect("a tunnel");
    echo(&mut stream, "hello").await;
    let connected = stream.connected();
    assert!(!connected.is_proxied() && connected.proxy_authorization().is_none());
    assert_eq!(connected.peer_addr(), Some(proxy.addr()));
    assert_eq!(
        heads.lock().expect("no panic")[0],
        format!(
            "CONNECT {addr} HTTP/1.1\r\nHost: {addr}\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n"
        )
    );
}

#[tokio::test]
async fn what_the_origin_sends_first_is_not_lost() {
    let proxy = answering("HTTP/1.1 200 OK\r\n\r\nSETTINGS").await;
    let proxies = all(format_args!("http://{}", proxy.addr()));
    let mut stream = connect(proxies, https("origin.example"))
        .await
        .expect("a tunnel");
    let mut early = [0; 8];
    // In pieces smaller than what is there.
    stream.read_exact(&mut early[..3]).await.expect("read");
    stream.read_exact(&mut early[3..]).await.expect("read");
    assert_eq!(&early, b"SETTINGS");
}

#[tokio::test]
async fn a_proxy_that_does_not_grant_is_told() {
    for (credentials, answer, told) in [
        (
            "",
            "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n\r\n",
            "wants credentials (407)",
        ),
        (
            "me:secret@",
            "HTTP/1.1 407 No\r\n\r\n",
            "does not accept the credentials (407)",
        ),
        (
            "",
            "HTTP/1.1 403 Forbidden\r\n\r\n",
            "refused with 403 Forbidden",
        ),
        (
            "",
            "HTTP/1.1 301 Moved\r\nLocation: http://x/\r\n\r\n",
            "refused with 301",
        ),
        ("", "SSH-2.0-OpenSSH_9\r\n\r\n", "no HTTP"),
        ("", "\0\x01\x02\n\n", "no HTTP"),
    ] {
        let proxy = answering(answer).await;
        let url = format!("http://{credentials}{}", proxy.addr());
        let error = connect(all(url), https("origin.example"))
            .await
            .expect_err("no tunnel");
        assert!(error.is_proxy() && error.is_connect() && error.is_unsent() && !error.is_timeout());
        let shown = error.to_string();
        assert!(shown.contains(told), "{shown}");
        let place = format!(
            "tunnel to origin.example:443 failed: the proxy http://{}",
            proxy.addr()
        );
        assert!(shown.starts_with(&place), "{shown}");
        assert!(!format!("{error:?}").contains("secret"));
    }
}

#[tokio::test]
async fn an_endless_head_has_an_end() {
    let proxy = RawServer::start(|mut stream| async move {
        // Until the client has had enough.
        while stream
            .write_all(b"HTTP/1.1 200 OK\r\nA: b\r\nA: b\r\n")
            .await
            .is_ok()
        {}
    })
    .await;
    let url = format!("http://{}", proxy.addr());
    let error = connect(all(url), https("origin.example"))
        .await
        .expect_err("no tunnel");
    assert!(
        error.to_string().contains("more than 16384 bytes"),
        "{error}"
    );
    proxy.closed().await;
}

#[tokio::test]
async fn a_proxy_that_drips_or_stays_silent_has_a_limit() {
    let mut timeouts = Timeouts::new();
    timeouts.connect = Some(MS(300));
    for drips in [false, true] {
        let proxy = RawServer::start(move |mut stream| async move {
            if drips {
                while stream.write_all(b"H").await.is_ok() {
                    tokio::time::sleep(MS(20)).await;
                }
            } else {
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        })
        .await;
        for scheme in ["http", "socks5h", "socks4a"] {
            let url = format!("{scheme}://{}", proxy.addr());
            let destination = https("origin.example").with_timeouts(&timeouts);
            let started = Instant::now();
            let error = connect(all(url), destination).await.expect_err("no tunnel");
            assert!(error.is_proxy() && error.is_connect(), "{error}");
            // A letter is no SOCKS, which is known at once.
            if !drips || scheme == "http" {
                assert!(error.is_timeout(), "{error}");
                assert!(started.elapsed() >= MS(300));
            }
        }
        proxy.closed().await;
    }
}

#[tokio::test]
async fn a_proxy_that_hangs_up_or_is_not_there_is_told() {
    let proxy = RawServer::start(|stream| async move { drop(stream) }).await;
    for scheme in ["http", "socks5"] {
        let url = format!("{scheme}://{}", proxy.addr());
        let error = connect(all(url), https("10.0.0.1"))
            .await
            .expect_err("no tunnel");
        assert!(error.is_proxy() && !error.is_timeout(), "{error}");
    }
    let addr = refused_addr();
    let error = connect(all(addr), https("origin.example"))
        .await
        .expect_err("no proxy");
    assert!(error.is_proxy() && error.is_connect() && error.is_unsent());
    assert_eq!(
        error.to_string(),
        format!("the proxy http://{addr} cannot be reached")
    );
    let cause = find::<std::io::Error>(&error).expect("the system's error");
    assert_eq!(cause.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn plain_http_is_for_the_proxy_to_read_unless_a_tunnel_is_asked_for() {
    let proxy = answering("HTTP/1.1 200 OK\r\n\r\n").await;
    let url = format!("http://me:secret@{}", proxy.addr());
    let stream = connect(all(&url), http("origin.example"))
        .await
        .expect("a connection");
    assert!(stream.connected().is_proxied());
    let value = stream.connected().proxy_authorization().cloned();
    assert!(value.expect("credentials").is_sensitive());
    assert!(!format!("{:?}", stream.connected()).contains("bWU6c2VjcmV0"));

    let proxy: Proxy = url.parse().expect("a proxy");
    let proxies = Proxies::new().all(proxy.tunnel_all());
    let stream = connect(proxies, http("origin.example"))
        .await
        .expect("a tunnel");
    assert!(!stream.connected().is_proxied());
}

#[tokio::test]
async fn nothing_meant_to_be_secret_goes_in_the_clear() {
    let uri = "https://origin.example/".parse().expect("a URI");
    let destination = Destination::of(&uri).expect("a destination");
    let proxy = answering("HTTP/1.1 200 OK\r\n\r\n").await;
    let proxies = all(format_args!("http://{}", proxy.addr()));
    // Without TLS above.
    let error = connect(proxies, destination.clone())
        .await
        .expect_err("no TLS");
    assert!(error.is_tls() && error.is_unsent());
    // Without TLS below, to a proxy of https.
    let proxies = all(format_args!("https://{}", proxy.addr()));
    let error = connect(proxies, destination.with_tls_above())
        .await
        .expect_err("no TLS");
    assert!(error.is_proxy());
    let cause: &Error = find(error.source().expect("a cause")).expect("ours");
    assert!(cause.is_tls());
    assert_eq!(proxy.connections(), 0);
    // Without anybody who knows proxies.
    let proxy: Proxy = "http://127.0.0.1:1".parse().expect("a proxy");
    let destination = http("127.0.0.1").with_options(Some(ConnectOptions::new().proxy(proxy)));
    let error = SocketConnector::new()
        .oneshot(destination)
        .await
        .expect_err("no ProxyLayer");
    assert!(
        error.is_proxy() && error.to_string().contains("ProxyLayer"),
        "{error}"
    );
}

#[tokio::test]
async fn one_request_goes_another_way() {
    let origin = echo_server().await;
    let proxies = all("http://nowhere.invalid");
    let options = ConnectOptions::new().direct();
    let destination = http(origin.addr()).with_options(Some(options));
    let mut stream = connect(proxies.clone(), destination)
        .await
        .expect("directly");
    echo(&mut stream, "hello").await;

    let proxy = answering("HTTP/1.1 200 OK\r\n\r\n").await;
    let own: Proxy = format!("http://{}", proxy.addr()).parse().expect("a proxy");
    let destination = http("origin.example").with_options(Some(ConnectOptions::new().proxy(own)));
    let stream = connect(proxies, destination)
        .await
        .expect("by its own proxy");
    assert_eq!(stream.connected().peer_addr(), Some(proxy.addr()));
}

#[test]
fn routes_are_part_of_what_connections_are_kept_under() {
    let proxy = |url: &str| -> Proxy { url.parse().expect("a proxy") };
    let by = |options: ConnectOptions| http("origin.example").with_options(Some(options));
    let one = by(ConnectOptions::new().proxy(proxy("http://a")));
    assert_eq!(one, by(ConnectOptions::new().proxy(proxy("HTTP://A:80"))));
    for other in [
        by(ConnectOptions::new().proxy(proxy("http://b"))),
        by(ConnectOptions::new().proxy(proxy("http://me:secret@a"))),
        by(ConnectOptions::new().direct()),
        by(ConnectOptions::new()),
    ] {
        assert_ne!(one, other);
    }
    assert!(
        !format!(
            "{:?}",
            by(ConnectOptions::new().proxy(proxy("http://me:secret@a")))
        )
        .contains("secret")
    );
}

#[tokio::test]
async fn a_proxy_is_a_destination_of_its_own() {
    let seen = Arc::new(Mutex::new(None));
    let asked = Arc::clone(&seen);
    let leg = tower::service_fn(move |destination: Destination| {
        *asked.lock().expect("no panic") = Some(destination);
        let (here, mut there) = tokio::io::duplex(1024);
        async move {
            let granted = b"HTTP/1.1 200 OK\r\n\r\n";
            there.write_all(granted).await.expect("room");
            tokio::spawn(async move { there.read_to_end(&mut Vec::new()).await });
            Ok::<_, BoxError>(here)
        }
    });
    let proxy: Proxy = "https://proxy.example".parse().expect("a proxy");
    let proxies = Proxies::new().all(proxy.tls_profile("of-the-proxy"));
    let local = IpAddr::from([127, 0, 0, 1]);
    let options = ConnectOptions::new()
        .tls_profile("of-the-origin")
        .isolation("tenant")
        .local_address(local);
    let mut timeouts = Timeouts::new();
    timeouts.tls = Some(MS(7));
    let destination = https("origin.example")
        .with_options(Some(options))
        .with_timeouts(&timeouts);
    let stream: Proxied<DuplexStream> = ProxyLayer::new(proxies)
        .layer(leg)
        .oneshot(destination)
        .await
        .expect("a tunnel");
    assert_eq!(stream.connected().alpn(), None);
    let seen = seen.lock().expect("no panic").take().expect("asked");
    assert_eq!(seen.to_string(), "https://proxy.example:443");
    // TLS is to be made with the proxy, with no protocol but HTTP/1.1, and with settings that are not the origin's.
    assert!(seen.needs_tls() && seen.is_proxy());
    assert_eq!(seen.tls_timeout(), Some(MS(7)));
    let options = seen.options().expect("options");
    assert_eq!(options.get_tls_profile(), Some("of-the-proxy"));
    assert_eq!(options.get_local_address(), Some(local));
    assert_eq!(options.get_isolation(), None);
}

/// A SOCKS proxy that grants whatever it is asked for, and tells the request.
async fn socks_server(version: u8) -> (RawServer, Arc<Mutex<Vec<u8>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let server = RawServer::start(move |mut stream| {
        let seen = Arc::clone(&seen);
        async move {
            if version == 5 {
                let mut methods = [0; 3];
                stream.read_exact(&mut methods).await.expect("methods");
                stream.write_all(b"\x05\0").await.expect("written");
            }
            let mut request = vec![0; 512];
            let n = stream.read(&mut request).await.expect("a request");
            *seen.lock().expect("no panic") = request[..n].to_vec();
            let granted: &[u8] = if version == 5 {
                b"\x05\0\0\x03\x03abc\0\0early"
            } else {
                b"\0\x5a\0\0\0\0\0\0early"
            };
            stream.write_all(granted).await.expect("written");
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    })
    .await;
    (server, asked)
}

#[tokio::test]
async fn socks_resolves_here_or_there() {
    let resolver = tower::service_fn(|name: Name| async move {
        assert_eq!(name.as_str(), "origin.example");
        let late = async {
            tokio::task::yield_now().await;
            Ok(Answer::new([IpAddr::from([10, 1, 2, 3])]))
        };
        let six = "2001:db8::1".parse().expect("an address");
        Ok::<_, BoxError>(Answer::new([six]).with_rest(late))
    });
    for (scheme, version, contains) in [
        ("socks4", 4, &b"\x0a\x01\x02\x03"[..]),
        ("socks4a", 4, b"origin.example\0"),
        ("socks5", 5, b"\x04\x20\x01\x0d\xb8"),
        ("socks5h", 5, b"\x03\x0eorigin.example"),
    ] {
        let (server, asked) = socks_server(version).await;
        let proxies = all(format_args!("{scheme}://{}", server.addr()));
        let layer = ProxyLayer::new(proxies).resolver(resolver);
        let mut connector = layer.layer(SocketConnector::new());
        let connector = connector.ready().await.expect("ready");
        let mut stream = connector.call(http("origin.example")).await.expect(scheme);
        let asked = asked.lock().expect("no panic").clone();
        let finds = asked.windows(contains.len()).any(|part| part == contains);
        assert!(finds, "{scheme}: {asked:?}");
        let mut early = [0; 5];
        stream
            .read_exact(&mut early)
            .await
            .expect("what came early");
        assert_eq!(&early, b"early");
    }
}

#[tokio::test]
async fn a_name_that_socks_cannot_resolve_here_is_of_dns() {
    let (server, _) = socks_server(5).await;
    let url = format!("socks5://{}", server.addr());
    let error = connect(all(url), http("nowhere.invalid"))
        .await
        .expect_err("no address");
    assert!(error.is_dns() && !error.is_proxy(), "{error}");
    assert_eq!(server.connections(), 0);
}
