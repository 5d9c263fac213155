//! The server that is attacked. Its memory and its descriptors are Linux's to tell.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::LazyLock,
    time::Duration,
};

use bartizan_listener::{HttpSettings, Listener, MinRate};
use bartizan_testing::RawServer;
use tokio::time::sleep;
use tower::service_fn;

use crate::{
    contenders::{XS, repeat, serve_by_hyper},
    support::{get, h1, text, within},
};

/// Who serves, in the child.
const SERVES: &str = "BARTIZAN_SERVES";
/// The test in this file, by which the child is started.
const TEST: &str = "abuse::target::what_a_server_holds_can_be_told";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// The listener with its defaults.
    Ours,
    /// The listener with the times that a test can wait for.
    Hasty,
    Hyper,
}

pub(super) struct Target {
    child: Child,
    pub(super) addr: SocketAddr,
    /// Descriptors without any connection.
    base: usize,
}

impl Target {
    /// Started, and warm: what the first requests make it allocate for good is there.
    pub(super) async fn start(who: Who) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this test is a file"))
            .args(["--exact", "--nocapture", TEST])
            .env(SERVES, format!("{who:?}"))
            // It ends when this end of it does.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let addr = lines.find_map(|line| {
            let line = line.expect("text");
            line.split_once("listening on ")
                .map(|(_, addr)| addr.to_owned())
        });
        let addr = addr.expect("it listens").parse().expect("an address");
        let mut target = Self {
            child,
            addr,
            base: 0,
        };
        // All that it opens for itself is open by now.
        target.base = target.descriptors();
        for _ in 0..3 {
            target.is_available().await;
        }
        target.until_let_go().await;
        fs::write(target.proc("clear_refs"), "5").expect("the peak begins anew");
        target
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
    }

    pub(super) fn descriptors(&self) -> usize {
        fs::read_dir(self.proc("fd")).expect("it runs").count()
    }

    /// Those of connections.
    pub(super) fn connections(&self) -> usize {
        self.descriptors().saturating_sub(self.base)
    }

    /// The most memory there was since the start, in KiB.
    pub(super) fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The memory there is now, in KiB.
    pub(super) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    fn status(&self, field: &str) -> u64 {
        let status = fs::read_to_string(self.proc("status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
        number.expect("Linux says so").parse().expect("a number")
    }

    /// Serves somebody who has done nothing wrong.
    pub(super) async fn is_available(&self) {
        let response = within(async { h1(self.addr).await.send_request(get("/")).await }).await;
        let said = text(response.expect("a response")).await;
        assert_eq!(said, "(GET / localhost 0)");
    }

    /// Waits until no connection is left. Nothing tells of another process's descriptors, so they are counted again and again.
    pub(super) async fn until_let_go(&self) {
        within(async {
            while self.connections() > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // It is our own, and may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The times of a hasty listener.
pub(super) const SHORT: Duration = Duration::from_millis(500);

fn hasty() -> HttpSettings {
    let rate = MinRate::try_new(100_000, SHORT).expect("valid");
    HttpSettings::builder()
        .header_read_timeout(SHORT)
        .idle_timeout(SHORT)
        .http2_keep_alive(SHORT / 2)
        .min_request_rate(rate)
        .min_response_rate(rate)
        .linger(SHORT / 5)
        .build()
        .expect("valid")
}

async fn serve(who: &str) {
    // No request is to pay for it.
    LazyLock::force(&XS);
    if who == "Hyper" {
        let server = RawServer::start(serve_by_hyper).await;
        println!("listening on {}", server.addr());
        std::future::pending::<()>().await;
    }
    let listener = Listener::bind("127.0.0.1:0").await.expect("a free port");
    let listener = if who == "Hasty" {
        listener.http(hasty())
    } else {
        listener
    };
    println!("listening on {}", listener.local_addr());
    listener.serve(service_fn(repeat)).await;
}

#[test]
fn what_a_server_holds_can_be_told() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    if let Ok(who) = std::env::var(SERVES) {
        // With its parent, however that ended.
        std::thread::spawn(|| {
            let _ = std::io::stdin().read(&mut [0]);
            std::process::exit(0);
        });
        runtime.block_on(serve(&who));
        return;
    }
    runtime.block_on(async {
        for who in [Who::Ours, Who::Hyper] {
            let target = Target::start(who).await;
            assert_eq!(target.connections(), 0);
            let before = target.memory();
            let mut clients = Vec::new();
            for _ in 0..20 {
                let mut client = h1(target.addr).await;
                let response = within(client.send_request(get("/bytes/100000"))).await;
                assert_eq!(text(response.expect("a response")).await.len(), 100_000);
                clients.push(client);
            }
            assert_eq!(target.connections(), 20, "{who:?}");
            assert!(target.peak() >= before && before > 1000, "in KiB");
            drop(clients);
            target.until_let_go().await;
        }
    });
}
