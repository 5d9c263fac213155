//! tinyproxy and microsocks, where they are installed.

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use bartizan_client::{
    Error,
    connect::{Connector, Destination, Stream},
    proxy::Proxies,
};
use bartizan_core::Body;
use bartizan_testing::Loopback;
use http::Response;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower::ServiceExt;

use super::http;

/// A process of the test's own, which ends with it.
struct Running {
    child: Child,
    addr: SocketAddr,
    file: Option<PathBuf>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(file) = &self.file {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Starts what `command` makes for a free port, and waits until it listens. `None`, and a word about it, if it is not installed.
async fn start(name: &str, command: impl Fn(u16) -> (Command, Option<PathBuf>)) -> Option<Running> {
    // Neither can be told port 0, so another may take the port first: then there are more.
    for _ in 0..5 {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let addr = free.local_addr().expect("an address");
        drop(free);
        let (mut command, file) = command(addr.port());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            bartizan_testing::skipped(name, "it is not installed");
            return None;
        };
        let mut running = Running { child, addr, file };
        while running.child.try_wait().expect("a child").is_none() {
            if TcpStream::connect(addr).await.is_ok() {
                return Some(running);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    panic!("{name} does not start");
}

async fn origin() -> Loopback {
    Loopback::start(|request| async move {
        Response::new(Body::from(format!(
            "you asked for {}",
            request.uri().path()
        )))
    })
    .await
}

async fn connect(url: String, destination: Destination) -> Result<Stream, Error> {
    let proxies = Proxies::new().all(url.parse().expect("a proxy"));
    let connector = Connector::builder().proxies(proxies).build();
    connector.oneshot(destination).await
}

/// Asks through the stream for `target`, and returns the whole answer.
async fn get(mut stream: Stream, target: &str, headers: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    answer
}

#[tokio::test]
async fn tinyproxy_tunnels_and_forwards() {
    let running = start("tinyproxy", |port| {
        let file = std::env::temp_dir().join(format!("bartizan-tinyproxy-{port}.conf"));
        let mut config = std::fs::File::create(&file).expect("a file");
        let settings = format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 10\nMaxClients 20\nAllow 127.0.0.1\nBasicAuth me secret\n"
        );
        config.write_all(settings.as_bytes()).expect("written");
        let mut command = Command::new("tinyproxy");
        command.arg("-d").arg("-c").arg(&file);
        (command, Some(file))
    });
    let Some(running) = running.await else { return };
    let origin = origin().await;
    let to_origin = || {
        let uri = format!("https://{}/", origin.addr())
            .parse()
            .expect("a URI");
        Destination::of(&uri)
            .expect("a destination")
            .with_tls_above()
    };
    let with = |credentials: &str| format!("http://{credentials}{}", running.addr);

    // What goes through a tunnel is any bytes: here, HTTP in the clear.
    let stream = connect(with("me:secret@"), to_origin())
        .await
        .expect("a tunnel");
    let answer = get(stream, "/a", "").await;
    assert!(answer.ends_with("you asked for /a"), "{answer}");

    let error = connect(with(""), to_origin())
        .await
        .expect_err("no credentials");
    assert!(
        error.is_proxy() && error.to_string().contains("407"),
        "{error}"
    );
    let error = connect(with("me:wrong@"), to_origin())
        .await
        .expect_err("wrong ones");
    assert!(error.is_proxy() && !error.is_timeout(), "{error}");

    let stream = connect(with("me:secret@"), http(origin.addr()))
        .await
        .expect("the proxy");
    let connected = bartizan_client::connect::Connection::connected(&stream);
    let value = connected.proxy_authorization().expect("credentials");
    let header = format!(
        "Proxy-Authorization: {}\r\n",
        value.to_str().expect("ASCII")
    );
    let answer = get(stream, &origin.uri("/b").to_string(), &header).await;
    assert!(answer.ends_with("you asked for /b"), "{answer}");
}

#[tokio::test]
async fn microsocks_tunnels_with_and_without_credentials() {
    let origin = origin().await;
    for (arguments, credentials) in [
        (&[][..], ""),
        (&["-u", "me", "-P", "secret"][..], "me:secret@"),
    ] {
        let running = start("microsocks", |port| {
            let mut command = Command::new("microsocks");
            command
                .args(["-i", "127.0.0.1", "-p", &port.to_string()])
                .args(arguments);
            (command, None)
        });
        let Some(running) = running.await else { return };
        for scheme in ["socks5", "socks5h"] {
            let url = format!("{scheme}://{credentials}{}", running.addr);
            let stream = connect(url, http(origin.addr())).await.expect(scheme);
            let answer = get(stream, "/a", "").await;
            assert!(answer.ends_with("you asked for /a"), "{answer}");

            // A name, for the proxy to resolve or for us.
            let url = format!("{scheme}://{credentials}{}", running.addr);
            let port = origin.addr().port();
            if scheme == "socks5h" {
                let destination = http(format_args!("localhost:{port}"));
                let stream = connect(url, destination).await.expect("a name");
                let answer = get(stream, "/b", "").await;
                assert!(answer.ends_with("you asked for /b"), "{answer}");
            }
        }
        let refused = http(bartizan_testing::refused_addr());
        let url = format!("socks5://{credentials}{}", running.addr);
        let error = connect(url, refused).await.expect_err("nothing there");
        assert!(
            error.is_proxy() && error.to_string().contains("refused"),
            "{error}"
        );
        if !credentials.is_empty() {
            let url = format!("socks5://{}", running.addr);
            let error = connect(url, http(origin.addr()))
                .await
                .expect_err("no credentials");
            assert!(error.to_string().contains("wants credentials"), "{error}");
            let url = format!("socks5://me:wrong@{}", running.addr);
            let error = connect(url, http(origin.addr()))
                .await
                .expect_err("wrong ones");
            assert!(error.to_string().contains("not accept"), "{error}");
        }
    }
}
