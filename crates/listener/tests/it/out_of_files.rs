//! With no file descriptors left. In a process of its own, which may have few.

use std::{
    fs::File,
    process::Command,
    task::{Context, Poll},
};

use bartizan_listener::{Accept, AcceptError, Accepted, Bind, Listener};
use tokio::{net::TcpStream, sync::mpsc, time::Instant};
use tower::service_fn;

use crate::support::{get, h1, hello, text, within};

const CHILD: &str = "BARTIZAN_OUT_OF_FILES";

/// `EMFILE`: what is open goes on, the accept loop does not spin, and it recovers by itself.
#[test]
fn an_accept_loop_survives() {
    if std::env::var_os(CHILD).is_some() {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(survive());
        return;
    }
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().expect("this test is a file"))
        .args([
            "--exact",
            "out_of_files::an_accept_loop_survives",
            "--nocapture",
        ])
        .env(CHILD, "1")
        .output()
        .expect("a shell");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    // Or the name above is no longer right, and nothing ran.
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

/// Tells of every error below it.
struct Tattling<A>(A, mpsc::UnboundedSender<Instant>);

impl<A: Accept> Accept for Tattling<A> {
    type Io = A::Io;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Accepted<A::Io>, AcceptError>> {
        let polled = self.0.poll_accept(cx);
        if let Poll::Ready(Err(error)) = &polled {
            assert!(!error.is_of_one_connection(), "{error:?}");
            self.1.send(Instant::now()).expect("the test listens");
        }
        polled
    }
}

async fn survive() {
    let (errors, mut told) = mpsc::unbounded_channel();
    let mut sockets = Bind::new().to("127.0.0.1:0").sockets().await.expect("free");
    let socket = sockets.remove(0);
    let addr = socket.local_addr().socket_addr().expect("over TCP");
    let listener = Listener::from_accept(Tattling(socket, errors));
    let handle = listener.handle();
    let serving = tokio::spawn(listener.serve(service_fn(hello)));
    let mut open = h1(addr).await;
    let response = open.send_request(get("/")).await.expect("a response");
    assert_eq!(text(response).await, "hello");

    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    // One for the client, and none for the listener.
    files.pop();
    let waiting = TcpStream::connect(addr).await.expect("into the backlog");
    let began = within(told.recv()).await.expect("it tells");
    let mut last = began;
    for _ in 0..3 {
        last = within(told.recv()).await.expect("it tells");
    }
    // 10, 20 and 40 ms between them.
    assert!((last - began).as_millis() >= 70, "it spins");
    let response = open.send_request(get("/")).await.expect("it goes on");
    assert_eq!(text(response).await, "hello");

    drop((files, waiting));
    let mut next = h1(addr).await;
    let response = within(next.send_request(get("/"))).await;
    assert_eq!(text(response.expect("it recovers")).await, "hello");
    handle.shutdown();
    within(serving).await.expect("no panic");
}
