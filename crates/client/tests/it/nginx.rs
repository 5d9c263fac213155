//! nginx, as it is installed, on a Unix socket, so that it needs no port.

use bartizan_client::{
    Error, Jar, Protocol, RequestExt, ResponseExt, Transport, compression::Decompressed,
    connect::ConnectOptions, pool::Pool, stack,
};
use bartizan_testing::skipped;
use futures_util::{StreamExt, stream};
use http::{StatusCode, Version};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tokio::net::UnixStream;

use crate::temporary;

/// Killed with the test.
struct Nginx {
    child: Child,
    socket: PathBuf,
}

impl Nginx {
    /// `None`, and a message, where there is no nginx.
    async fn start(test: &str) -> Option<Self> {
        let directory = temporary(test);
        // Shorter than the path of the test: a socket's may have 107 bytes.
        let sockets = tempdir();
        let socket = sockets.join("s");
        fs::write(directory.join("large"), vec![b'x'; 1024 * 1024]).expect("a file");
        fs::write(directory.join("text.txt"), "a line of text\n".repeat(1_000)).expect("a file");
        let config = directory.join("nginx.conf");
        fs::write(&config, configuration(&directory, &socket)).expect("a configuration");
        let child = Command::new("nginx")
            .args([
                "-c".as_ref(),
                config.as_os_str(),
                "-e".as_ref(),
                "stderr".as_ref(),
            ])
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            skipped(test, "nginx is not installed");
            return None;
        };
        let nginx = Self { child, socket };
        // It listens when it says so, which is by the socket.
        while UnixStream::connect(&nginx.socket).await.is_err() {
            tokio::task::yield_now().await;
        }
        Some(nginx)
    }

    fn options(&self) -> ConnectOptions {
        ConnectOptions::new().unix_socket(&*self.socket)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(directory) = self.socket.parent() {
            let _ = fs::remove_dir_all(directory);
        }
    }
}

fn tempdir() -> PathBuf {
    let name = format!("bartizan-{}-{:x}", std::process::id(), fastrand::u32(..));
    let directory = std::env::temp_dir().join(name);
    fs::create_dir(&directory).expect("a directory");
    directory
}

fn configuration(directory: &Path, socket: &Path) -> String {
    let (directory, socket) = (directory.display(), socket.display());
    format!(
        "daemon off; master_process off; pid {directory}/pid; error_log /dev/null;
        events {{ worker_connections 256; }}
        http {{
            access_log off; root {directory}; keepalive_requests 7; gzip on; gzip_types text/plain; gzip_min_length 100;
            client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
            uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
            types {{ text/plain txt; }}
            server {{
                listen unix:{socket}; server_name nginx.example; absolute_redirect off;
                location = /hello {{ return 200 'hello'; }}
                location = /old {{ return 301 /hello; }}
                location = /slam {{ return 444; }}
            }}
        }}"
    )
}

/// It closes each connection after seven requests, with others on their way.
#[tokio::test]
async fn connections_that_nginx_closes_cost_no_request() {
    let Some(nginx) = Nginx::start("nginx-keep-alive").await else {
        return;
    };
    let pool = Pool::builder()
        .protocol(Protocol::Http1)
        .max_connections_per_origin(4);
    let transport = Transport::builder()
        .pool(pool)
        .build()
        .expect("a transport");
    let calls = (0..200).map(|_| async {
        let request = transport.get("http://nginx.example/hello");
        let response = request.connect_options(nginx.options()).send().await?;
        response.text().await
    });
    let answers: Vec<Result<String, Error>> =
        stream::iter(calls).buffer_unordered(20).collect().await;
    for answer in answers {
        assert_eq!(answer.expect("an answer"), "hello");
    }
    let stats = transport.pool().stats();
    assert!(stats.reused >= 150, "{stats:?}");
}

#[tokio::test]
async fn everything_that_a_person_expects_works_with_nginx() {
    let Some(nginx) = Nginx::start("nginx-everything").await else {
        return;
    };
    let client = stack::full(Transport::new(), Jar::new());
    let get = |path: &str| {
        client
            .get(format!("http://nginx.example{path}"))
            .connect_options(nginx.options())
    };
    let response = get("/old").send().await.expect("a response");
    assert_eq!(response.version(), Version::HTTP_11);
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

    let error = get("/slam").send().await.expect_err("no response");
    assert!(!error.is_timeout() && !error.is_unsent(), "{error:?}");
}
