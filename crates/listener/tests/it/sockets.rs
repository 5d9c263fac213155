use std::{
    fs,
    io::{Read, Write},
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt, net::UnixDatagram},
    },
    path::PathBuf,
    process::{Command, Stdio},
};

use bartizan_core::Body;
use bartizan_listener::{Address, Bind, ConnectInfo, ListenAddr};
use http::{Request, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};
use tower::service_fn;

use crate::support::{Server, answer, hello, rest, within};

const CLOSING: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// A directory of its own, removed with it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("bartizan-{}-{name}", std::process::id()));
        fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("app.sock")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn ask(path: &PathBuf) -> String {
    let mut io = UnixStream::connect(path).await.expect("it listens");
    io.write_all(CLOSING).await.expect("it reads");
    let mut answer = String::new();
    within(io.read_to_string(&mut answer))
        .await
        .expect("an answer");
    answer
}

#[tokio::test]
async fn serves_on_a_unix_socket_with_its_mode() {
    let directory = Directory::new("mode");
    let path = directory.socket();
    let listener = Bind::new()
        .to(path.as_path())
        .unix_mode(0o620)
        .listen()
        .await
        .expect("a free path");
    let named = Address::Unix(Some(path.as_path().into()));
    assert_eq!(listener.local_addrs(), std::slice::from_ref(&named));
    let mode = fs::metadata(&path).expect("it is there").permissions();
    assert_eq!(mode.mode() & 0o777, 0o620);

    let handle = listener.handle();
    let serving = tokio::spawn(listener.serve(service_fn(move |request: Request<Body>| {
        let info = request.extensions().get::<ConnectInfo>().expect("attached");
        assert_eq!((info.peer(), info.local()), (&Address::Unix(None), &named));
        hello(request)
    })));
    assert!(ask(&path).await.ends_with("hello"));
    handle.shutdown();
    within(serving).await.expect("no panic");
}

#[tokio::test]
async fn a_socket_that_was_left_behind_is_replaced() {
    let directory = Directory::new("stale");
    let path = directory.socket();
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a free path"));
    assert!(path.exists(), "the file stays");
    let listener = Bind::new().to(path.as_path()).listen().await;
    let listener = listener.expect("nobody listens there");
    let handle = listener.handle();
    let serving = tokio::spawn(listener.serve(service_fn(hello)));
    assert!(ask(&path).await.ends_with("hello"));
    handle.shutdown();
    within(serving).await.expect("no panic");
}

#[tokio::test]
async fn a_socket_that_somebody_listens_on_is_not() {
    let directory = Directory::new("taken");
    let path = directory.socket();
    let other = std::os::unix::net::UnixListener::bind(&path).expect("a free path");
    let error = Bind::new().to(path.as_path()).listen().await;
    let error = error.expect_err("it is taken");
    assert!(error.is_in_use());
    let named = format!("unix:{} is already in use", path.display());
    assert!(error.to_string().starts_with(&named), "{error}");
    drop(other);
}

#[tokio::test]
async fn a_file_that_is_no_socket_for_us_is_left_alone() {
    let directory = Directory::new("file");
    let path = directory.socket();
    fs::write(&path, "precious").expect("a free path");
    let bound = Bind::new().to(path.as_path()).listen().await;
    assert!(bound.expect_err("it is taken").is_in_use());
    assert_eq!(fs::read(&path).expect("still there"), b"precious");

    // A link to a stale socket is a link, and a datagram socket is somebody's.
    let stale = directory.0.join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).expect("a free path"));
    let link = directory.0.join("link.sock");
    std::os::unix::fs::symlink(&stale, &link).expect("a free path");
    let bound = Bind::new().to(link.as_path()).listen().await;
    assert!(bound.expect_err("it is taken").is_in_use());
    assert!(
        fs::symlink_metadata(&link)
            .expect("still there")
            .is_symlink()
    );

    let datagrams = directory.0.join("datagrams.sock");
    let _other = UnixDatagram::bind(&datagrams).expect("a free path");
    let bound = Bind::new().to(datagrams.as_path()).listen().await;
    assert!(bound.expect_err("it is taken").is_in_use());
    assert!(datagrams.exists());
}

#[tokio::test]
async fn a_path_that_cannot_be() {
    let error = Bind::new().to("unix:/nonexistent/app.sock").listen().await;
    let error = error.expect_err("no such directory");
    assert_eq!(
        error.to_string(),
        "cannot listen on unix:/nonexistent/app.sock"
    );
    let error = Bind::new().listen().await.expect_err("nothing");
    assert_eq!(error.to_string(), "nothing to listen on: give an address");
}

#[tokio::test]
async fn what_is_not_inherited_is_an_error() {
    // The runner of tests passes nothing.
    let error = Bind::new().to(ListenAddr::Inherited).listen().await;
    let error = error.expect_err("nothing was passed");
    assert!(error.to_string().contains("LISTEN_FDS"), "{error}");
}

#[tokio::test]
async fn several_accept_loops_share_a_port() {
    let listener = Bind::new()
        .to("127.0.0.1:0")
        .accept_loops(4)
        .listen()
        .await
        .expect("a free port");
    let addrs = listener.local_addrs().to_vec();
    assert_eq!(addrs.len(), 4);
    assert!(addrs.iter().all(|addr| addr == &addrs[0]));
    let server = Server::start(listener, service_fn(hello));
    for _ in 0..20 {
        let answered = answer(server.addr, CLOSING).await;
        assert!(answered.ends_with(b"hello"));
    }
    assert_eq!(server.handle.stats().accepted, 20);
    server.shutdown().await;
}

#[tokio::test]
async fn reuse_port_lets_two_listen_and_nothing_else_does() {
    let first = Bind::new().to("127.0.0.1:0").reuse_port(true).listen();
    let first = first.await.expect("a free port");
    let addr = first.local_addr();
    Bind::new()
        .to(addr)
        .reuse_port(true)
        .listen()
        .await
        .expect("it is shared");
    let error = Bind::new().to(addr).listen().await;
    assert!(error.expect_err("not by this one").is_in_use());
}

#[tokio::test]
async fn both_families_unless_told_otherwise() {
    for only in [false, true] {
        let Ok(listener) = Bind::new().to("[::]:0").only_v6(only).listen().await else {
            eprintln!("skipped: no IPv6 here");
            return;
        };
        let port = listener.local_addr().port();
        let server = Server::start(
            listener,
            service_fn(|request: Request<Body>| async move {
                let info = request.extensions().get::<ConnectInfo>().expect("attached");
                let ip = info.peer().ip().expect("over TCP").to_string();
                Ok::<_, std::convert::Infallible>(Response::new(Body::from(ip)))
            }),
        );
        let v4 = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
        assert_eq!(v4.is_err(), only);
        if let Ok(mut io) = v4 {
            io.write_all(CLOSING).await.expect("it reads");
            // Not `::ffff:127.0.0.1`.
            assert!(rest(&mut io).await.ends_with(b"\r\n\r\n127.0.0.1"));
        }
        server.shutdown().await;
    }
}

/// Accepts one connection.
async fn accept(bind: Bind) -> (tokio::net::TcpStream, tokio::net::TcpStream) {
    let sockets = bind.to("127.0.0.1:0").sockets().await;
    let mut socket = sockets.expect("a free port").remove(0);
    let addr = socket.local_addr().socket_addr().expect("over TCP");
    let client = tokio::net::TcpStream::connect(addr).await.expect("bound");
    let accepted = within(std::future::poll_fn(|cx| {
        bartizan_listener::Accept::poll_accept(&mut socket, cx)
    }));
    let bartizan_listener::Stream::Tcp(io) = accepted.await.expect("a connection").io else {
        panic!("it is TCP");
    };
    (client, io)
}

#[tokio::test]
async fn options_of_connections() {
    let bind = Bind::new()
        .nodelay(false)
        .keep_alive(std::time::Duration::from_secs(7));
    let (_client, io) = accept(bind).await;
    assert!(!io.nodelay().expect("open"));
    let socket = socket2::SockRef::from(&io);
    assert!(socket.keepalive().expect("open"));
    assert_eq!(socket.tcp_keepalive_time().expect("open").as_secs(), 7);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_system_takes_little_for_who_does_not_read() {
    let mut taken = Vec::new();
    for bind in [Bind::new(), Bind::new().notsent_lowat(0)] {
        let (_client, io) = accept(bind).await;
        let mut bytes = 0;
        // Until it takes no more for a while: the peer's system takes some first, and says so.
        while let Ok(writable) =
            tokio::time::timeout(std::time::Duration::from_millis(50), io.writable()).await
        {
            writable.expect("open");
            bytes += io.try_write(&[0; 1 << 16]).unwrap_or(0);
        }
        taken.push(bytes);
    }
    assert!(taken[0] * 2 < taken[1], "{taken:?}");
}

#[tokio::test]
async fn a_socket_is_passed_on() {
    let listener = Bind::new().to("127.0.0.1:0").listen().await.expect("free");
    let addr = listener.local_addr();
    let fd = listener.try_clone_fds().expect("a descriptor").remove(0);
    drop(listener);
    // The port is still bound: by what was passed on.
    let next = bartizan_listener::Listener::from_std(std::net::TcpListener::from(fd));
    let server = Server::start(next.expect("it listens"), service_fn(hello));
    let answered = answer(addr, CLOSING).await;
    assert!(answered.ends_with(b"hello"));
    server.shutdown().await;
}

const CHILD: &str = "BARTIZAN_INHERITS";

/// In a process of its own: the variables are of the process, and so is the standard input.
#[test]
fn sockets_are_inherited_by_number_and_as_standard_input() {
    if let Ok(from) = std::env::var(CHILD) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(serve_one(&from));
        return;
    }
    for (from, script) in [
        (
            "inherited",
            r#"exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@""#,
        ),
        ("stdin", r#"exec "$0" "$@""#),
    ] {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = socket.local_addr().expect("bound");
        let child = Command::new("sh")
            .args(["-c", script])
            .arg(std::env::current_exe().expect("this test is a file"))
            .args(["--exact", "--nocapture"])
            .arg("sockets::sockets_are_inherited_by_number_and_as_standard_input")
            .env(CHILD, from)
            .stdin(Stdio::from(OwnedFd::from(socket)))
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut io = std::net::TcpStream::connect(addr).expect("into the backlog");
        io.write_all(CLOSING).expect("it is read");
        let mut answer = String::new();
        io.read_to_string(&mut answer).expect("an answer");
        assert!(answer.ends_with("hello"), "{from}: {answer}");
        drop(io);
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{from}");
        // Or the name above is no longer right, and nothing ran.
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    }
}

async fn serve_one(from: &str) {
    let listener = Bind::new().to(from).listen().await.expect("it was passed");
    assert_ne!(listener.local_addr().port(), 0);
    let handle = listener.handle();
    let served = listener.serve(service_fn(move |request| {
        handle.shutdown();
        hello(request)
    }));
    within(served).await;
}

#[tokio::test]
async fn a_standard_input_that_is_no_socket() {
    // Unless the tests are run with one.
    let error = Bind::new().to(ListenAddr::Stdin).listen().await;
    let error = error.expect_err("no socket");
    assert!(error.to_string().starts_with("cannot take over the socket"));
}
