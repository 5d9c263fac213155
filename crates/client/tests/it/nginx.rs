//! nginx, as it is installed, on Unix sockets, so that it needs no port: HTTP/1.1, HTTP/2 in cleartext, and HTTP/2 by TLS.

use bartizan_client::{
    Client, ConnectionInfo, Error, Jar, Protocol, RequestBuilder, RequestExt, ResponseExt,
    Transport, compression::Decompressed, connect::ConnectOptions, pool::Pool, stack,
};
use bartizan_core::Body;
use bartizan_testing::{Loopback, skipped};
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tokio::net::UnixStream;

use crate::{
    temporary,
    tls::{authority, layer, trusting},
};

/// Stopped with the test.
struct Nginx {
    child: Child,
    config: PathBuf,
    sockets: PathBuf,
    /// Who has signed its certificate.
    authority: CertifiedIssuer<'static, KeyPair>,
    /// Whom `/upstream` asks.
    _upstream: Loopback,
}

impl Nginx {
    /// `None`, and a message, where there is no nginx.
    async fn start(test: &str) -> Option<Self> {
        let directory = temporary(test);
        // Shorter than the path of the test: a socket's may have 107 bytes.
        let sockets = tempdir();
        fs::write(directory.join("large"), vec![b'x'; 1024 * 1024]).expect("a file");
        fs::write(directory.join("text.txt"), "a line of text\n".repeat(1_000)).expect("a file");
        let upstream = Loopback::start(|request: Request<Body>| async {
            let sent = request.into_body().collect().await;
            Response::new(Body::from(sent.expect("a body").to_bytes()))
        })
        .await;
        let config = directory.join("nginx.conf");
        fs::write(&config, configuration(&directory, &sockets)).expect("a configuration");
        let locations = locations(&upstream.addr().to_string());
        fs::write(directory.join("locations"), locations).expect("a configuration");
        let authority = authority();
        let params = CertificateParams::new(["nginx.example".to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &authority).expect("a certificate");
        fs::write(directory.join("cert.pem"), certificate.pem()).expect("a file");
        fs::write(directory.join("key.pem"), key.serialize_pem()).expect("a file");
        let child = nginx(&config).spawn();
        let Ok(child) = child else {
            skipped(test, "nginx is not installed");
            return None;
        };
        let nginx = Self {
            child,
            config,
            sockets,
            authority,
            _upstream: upstream,
        };
        // It listens when it says so, which is by the sockets.
        for socket in ["h1", "h2", "tls"] {
            while UnixStream::connect(nginx.sockets.join(socket))
                .await
                .is_err()
            {
                tokio::task::yield_now().await;
            }
        }
        Some(nginx)
    }

    /// Reads its configuration again: new workers serve, and the old ones finish what they have.
    fn reload(&self) {
        let told = nginx(&self.config).args(["-s", "reload"]).status();
        assert!(told.expect("nginx is there").success());
    }

    /// A way to the server that speaks `protocol`.
    fn options(&self, protocol: Protocol) -> ConnectOptions {
        let name = match protocol {
            Protocol::Http2 => "h2",
            _ => "h1",
        };
        ConnectOptions::new().unix_socket(self.sockets.join(name))
    }

    fn get(&self, transport: &Transport, protocol: Protocol) -> RequestBuilder<Transport> {
        let request = transport.get("http://nginx.example/hello");
        request.connect_options(self.options(protocol))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers would outlive a master that is killed.
        if !nginx(&self.config)
            .args(["-s", "stop"])
            .status()
            .is_ok_and(|told| told.success())
        {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.sockets);
    }
}

fn nginx(config: &Path) -> Command {
    let mut command = Command::new("nginx");
    command
        .args(["-e", "stderr", "-c"])
        .arg(config)
        .stderr(Stdio::null());
    command
}

fn tempdir() -> PathBuf {
    let name = format!("bartizan-{}-{:x}", std::process::id(), fastrand::u32(..));
    let directory = std::env::temp_dir().join(name);
    fs::create_dir(&directory).expect("a directory");
    directory
}

fn configuration(directory: &Path, sockets: &Path) -> String {
    let (directory, sockets) = (directory.display(), sockets.display());
    // Its workers are whoever runs the test: the directories are theirs alone. Without privileges, the line is of no effect.
    format!(
        "daemon off; user root; worker_processes 2; pid {directory}/pid; error_log /dev/null;
        events {{ worker_connections 256; }}
        http {{
            access_log off; root {directory}; gzip on; gzip_types text/plain; gzip_min_length 100;
            client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
            uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
            types {{ text/plain txt; }}
            server {{ listen unix:{sockets}/h1; keepalive_requests 7; include {directory}/locations; }}
            server {{ listen unix:{sockets}/h2 http2; keepalive_requests 50; include {directory}/locations; }}
            server {{
                listen unix:{sockets}/tls ssl http2; include {directory}/locations;
                ssl_certificate {directory}/cert.pem; ssl_certificate_key {directory}/key.pem;
            }}
        }}"
    )
}

fn locations(upstream: &str) -> String {
    format!(
        "server_name nginx.example; absolute_redirect off;
                location = /hello {{ return 200 'hello'; }}
                location = /old {{ return 301 /hello; }}
                location = /slam {{ return 444; }}
                location = /upstream {{ proxy_pass http://{upstream}; }}
                location = /trailed {{ try_files /text.txt =404; add_trailer x-sum 7; }}"
    )
}

fn transport(protocol: Protocol) -> Transport {
    let pool = Pool::builder()
        .protocol(protocol)
        .max_connections_per_origin(4);
    let transport = Transport::builder().pool(pool).build();
    transport.expect("a transport")
}

const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// It closes each connection after so many requests, with others on their way: over HTTP/2 by a GOAWAY, and refuses what is beyond.
#[tokio::test]
async fn connections_that_nginx_closes_cost_no_request() {
    let Some(nginx) = Nginx::start("nginx-keep-alive").await else {
        return;
    };
    for (protocol, most) in [(Protocol::Http1, 7), (Protocol::Http2, 50)] {
        let transport = transport(protocol);
        let calls = (0..400).map(|n| {
            // Half of them are not idempotent, and sent again only if nginx has not looked at them. HTTP/1.1 has no way to say that.
            let request = match n % 2 == 0 || protocol == Protocol::Http1 {
                true => transport.get("http://nginx.example/hello"),
                false => transport
                    .post("http://nginx.example/upstream")
                    .body("hello"),
            };
            let request = request.connect_options(nginx.options(protocol));
            async {
                let response = request.send().await?;
                let connection: &ConnectionInfo = response.extensions().get().expect("one");
                let id = connection.id();
                Ok((id, response.text().await?))
            }
        });
        let answers: Vec<Result<(u64, String), Error>> =
            stream::iter(calls).buffer_unordered(20).collect().await;
        let mut connections = HashMap::new();
        for answer in answers {
            let (id, text) = answer.unwrap_or_else(|error| panic!("{protocol:?}: {error:?}"));
            assert_eq!(text, "hello");
            *connections.entry(id).or_insert(0) += 1;
        }
        let busiest = connections.values().max().copied();
        assert_eq!(busiest, Some(most), "{protocol:?}: {connections:?}");
    }
}

/// All of them are GETs: what a connection took with it is asked for again.
#[tokio::test]
async fn a_reload_under_load_loses_nothing() {
    let Some(nginx) = Nginx::start("nginx-reload").await else {
        return;
    };
    for protocol in PROTOCOLS {
        let transport = transport(protocol);
        let done = AtomicUsize::new(0);
        let callers = stream::iter(0..8).for_each_concurrent(None, |_| async {
            // Until the last reload is well over.
            while done.load(Ordering::Relaxed) < 3_000 {
                let response = nginx.get(&transport, protocol).send().await;
                let response = response.unwrap_or_else(|error| panic!("{protocol:?}: {error:?}"));
                assert_eq!(response.text().await.expect("a text"), "hello");
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
        let reloads = async {
            for after in [500, 1_000, 1_500] {
                while done.load(Ordering::Relaxed) < after {
                    tokio::task::yield_now().await;
                }
                nginx.reload();
            }
        };
        let both = futures_util::future::join(callers, reloads);
        let ended = tokio::time::timeout(Duration::from_secs(60), both).await;
        assert!(
            ended.is_ok(),
            "{protocol:?}: {:?}",
            transport.pool().stats()
        );
    }
}

async fn everything(client: &Client, origin: &str, options: &ConnectOptions, version: Version) {
    let get = |path: &str| {
        client
            .get(format!("{origin}{path}"))
            .connect_options(options.clone())
    };
    let response = get("/old").send().await.expect("a response");
    assert_eq!(response.version(), version);
    assert_eq!(response.text().await.expect("a text"), "hello");

    let response = get("/text.txt").send().await.expect("a response");
    assert!(response.extensions().get::<Decompressed>().is_some());
    assert_eq!(response.text().await.expect("a text").len(), 15_000);

    let response = get("/large").send().await.expect("a response");
    assert_eq!(response.bytes().await.expect("a body").len(), 1024 * 1024);

    let part = get("/large").header("range", "bytes=10-19");
    let response = part.send().await.expect("a response");
    assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(response.bytes().await.expect("a part").len(), 10);

    let response = get("/nowhere").send().await.expect("a response");
    assert!(response.error_for_status().expect_err("404").is_status());

    let head = client.head(format!("{origin}/large"));
    let head = head.header("accept-encoding", "identity");
    let response = head.connect_options(options.clone()).send().await;
    let response = response.expect("a response");
    assert_eq!(response.headers()["content-length"], "1048576");
    assert!(response.bytes().await.expect("no body").is_empty());

    // More than a window and a frame, of a length that is known and of one that is not.
    for is_whole in [true, false] {
        let pieces = stream::iter((0..100).map(|_| Ok::<_, std::io::Error>(vec![b'y'; 3_000])));
        let post = client.post(format!("{origin}/upstream"));
        let post = match is_whole {
            true => post.body(vec![b'y'; 300_000]),
            false => post.stream(pieces),
        };
        let response = post.connect_options(options.clone()).send().await;
        let echoed = response.expect("a response").bytes().await.expect("a body");
        assert_eq!(echoed, vec![b'y'; 300_000], "whole {is_whole}");
    }

    // Over HTTP/1.1 only who asks for trailers gets them.
    let trailed = get("/trailed")
        .header("te", "trailers")
        .header("accept-encoding", "identity");
    let response = trailed.send().await.expect("a response");
    let (bytes, trailers) = response.bytes_and_trailers().await.expect("a body");
    assert_eq!(bytes.len(), 15_000);
    if version == Version::HTTP_2 {
        assert_eq!(trailers["x-sum"], "7");
    }

    let error = get("/slam").send().await.expect_err("no response");
    assert!(!error.is_timeout() && !error.is_unsent(), "{error:?}");
}

#[tokio::test]
async fn everything_that_a_person_expects_works_with_nginx() {
    let Some(nginx) = Nginx::start("nginx-everything").await else {
        return;
    };
    for (protocol, version) in [
        (Protocol::Http1, Version::HTTP_11),
        (Protocol::Http2, Version::HTTP_2),
    ] {
        let client = stack::full(transport(protocol), Jar::new());
        let options = nginx.options(protocol);
        everything(&client, "http://nginx.example", &options, version).await;
    }
    // By TLS, which agrees on what is spoken.
    for (protocol, version) in [
        (Protocol::Auto, Version::HTTP_2),
        (Protocol::Http1, Version::HTTP_11),
    ] {
        let transport = Transport::builder()
            .protocol(protocol)
            .tls(layer(trusting(&nginx.authority)))
            .build()
            .expect("a transport");
        let client = stack::full(transport, Jar::new());
        let options = ConnectOptions::new().unix_socket(nginx.sockets.join("tls"));
        everything(&client, "https://nginx.example", &options, version).await;
    }
}
