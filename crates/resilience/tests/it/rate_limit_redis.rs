//! Quotas in a real Redis server, one per test, on a socket in a directory of its own.

use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use bartizan_resilience::rate_limit::{Decision, Quota, RateLimitLayer, RedisStore, Store};
use futures_util::future::join_all;
use tower::{Layer, ServiceExt};

use crate::limits::{Bare, rejection};

const HOUR: Duration = Duration::from_secs(3600);

/// A server that ends with its test.
struct Server {
    child: Child,
    directory: PathBuf,
    // Kept open, since the server writes to it.
    output: BufReader<ChildStdout>,
}

impl Server {
    /// `None` if there is no such program here, which it says.
    fn start() -> Option<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let n = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("bartizan-redis-{}-{n}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).expect("a directory");
        let spawned = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no"])
            .arg("--unixsocket")
            .arg(directory.join("socket"))
            .current_dir(&directory)
            .stdout(Stdio::piped())
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::remove_dir_all(&directory).expect("ours");
                bartizan_testing::skipped("rate limits in Redis", "redis-server is not installed");
                return None;
            }
            Err(error) => panic!("redis-server: {error}"),
        };
        let stdout = child.stdout.take().expect("piped");
        let mut server = Self {
            child,
            directory,
            output: BufReader::new(stdout),
        };
        server.until_ready();
        Some(server)
    }

    fn until_ready(&mut self) {
        let mut line = String::new();
        while !line.to_lowercase().contains("ready to accept connections") {
            line.clear();
            let read = self.output.read_line(&mut line).expect("lines");
            assert_ne!(read, 0, "it ended before it was ready");
        }
    }

    fn stop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it has ended");
    }

    fn url(&self) -> String {
        format!("redis+unix://{}/socket", self.directory.display())
    }

    fn store(&self) -> RedisStore {
        RedisStore::try_new(&self.url(), "test:").expect("valid")
    }

    async fn connect(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.url()).expect("valid");
        let connection = client.get_multiplexed_async_connection().await;
        connection.expect("it runs")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn quota(limit: u32, per: Duration, burst: u32) -> Quota {
    Quota::try_new(limit, per)
        .and_then(|quota| quota.try_burst(burst))
        .expect("valid")
}

async fn take(store: &RedisStore, key: &str, quota: &Quota, wait: Duration) -> Decision {
    let decision = store.take(key, quota, wait).await;
    decision.expect("the server runs")
}

#[tokio::test]
async fn two_processes_share_one_quota_exactly() {
    let Some(server) = Server::start() else {
        return;
    };
    let stores = [server.store(), server.store()];
    let quota = quota(1, HOUR, 10);
    let calls = (0..40).map(|n| take(&stores[n % 2], "ada", &quota, Duration::ZERO));
    let decisions = join_all(calls).await;
    let mut left: Vec<u32> = decisions
        .iter()
        .filter(|decision| decision.is_admitted())
        .map(Decision::remaining)
        .collect();
    left.sort_unstable();
    assert_eq!(left, Vec::from_iter(0..10));
    // Of another key nothing was taken.
    let other = take(&stores[0], "grace", &quota, Duration::ZERO).await;
    assert_eq!(other.remaining(), 9);
}

#[tokio::test]
async fn a_call_over_the_quota_learns_when_to_come_back() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let quota = quota(1, HOUR, 2);
    let first = take(&store, "ada", &quota, Duration::ZERO).await;
    assert_eq!((first.wait(), first.full_after()), (Duration::ZERO, HOUR));
    assert!(
        take(&store, "ada", &quota, Duration::ZERO)
            .await
            .is_admitted()
    );

    let refused = take(&store, "ada", &quota, Duration::ZERO).await;
    let retry = refused.retry_after().expect("over the quota");
    assert!(
        retry <= HOUR && retry > HOUR - Duration::from_secs(60),
        "{retry:?}"
    );
    assert_eq!(refused.full_after(), retry + HOUR);

    // Who would wait that long is let wait.
    let waiting = take(&store, "ada", &quota, HOUR).await;
    assert!(waiting.is_admitted());
    assert!(waiting.wait() <= retry && !waiting.wait().is_zero());
}

#[tokio::test]
async fn it_decides_as_the_quota_itself_does() {
    let Some(server) = Server::start() else {
        return;
    };
    let (store, mut peek) = (server.store(), server.connect().await);
    let (mut admitted, mut refused, mut waited) = (0, 0, 0);
    // About as fast as calls come over a socket, and so slow that the burst is all there is.
    for (key, interval, burst) in [
        ("fast", 200, 3),
        ("medium", 2_000, 5),
        ("slow", 3_600_000_000, 20),
    ] {
        let quota = quota(1, Duration::from_micros(interval), burst);
        let mut state = 0;
        for n in 0..200_u64 {
            let wait = Duration::from_micros([0, 0, interval / 2, 2 * interval][(n % 4) as usize]);
            let decision = take(&store, key, &quota, wait).await;
            let stored: Option<u64> = redis::cmd("GET")
                .arg(format!("test:{key}"))
                .query_async(&mut peek)
                .await
                .expect("a number");
            // The server's clock, from what it answered. Of a key that has expired since, there is no telling.
            let full_after = u64::try_from(decision.full_after().as_nanos()).expect("it fits");
            let Some(next) = stored.map(|micros| micros * 1000) else {
                state = 0;
                continue;
            };
            let now = next - full_after;
            let (expected, changed) = quota.decide(state, now, wait);
            assert_eq!(decision.is_admitted(), expected.is_admitted(), "{key} {n}");
            assert_eq!(decision.wait(), expected.wait(), "{key} {n}");
            assert_eq!(decision.retry_after(), expected.retry_after(), "{key} {n}");
            assert_eq!(decision.remaining(), expected.remaining(), "{key} {n}");
            assert_eq!(decision.full_after(), expected.full_after(), "{key} {n}");
            assert_eq!(changed.unwrap_or(state), next, "{key} {n}");
            state = next;
            match (decision.is_admitted(), decision.wait().is_zero()) {
                (true, true) => admitted += 1,
                (true, false) => waited += 1,
                (false, _) => refused += 1,
            }
        }
    }
    assert!(
        admitted >= 20 && refused >= 100 && waited >= 1,
        "{admitted} {refused} {waited}"
    );
}

#[tokio::test]
async fn a_key_is_gone_when_its_quota_is_full() {
    let Some(server) = Server::start() else {
        return;
    };
    let (store, mut peek) = (server.store(), server.connect().await);
    take(&store, "ada", &quota(1, HOUR, 1), Duration::ZERO).await;
    let left: u64 = redis::cmd("PTTL")
        .arg("test:ada")
        .query_async(&mut peek)
        .await
        .expect("a time");
    assert!((3_540_000..=3_600_001).contains(&left), "{left}");

    take(
        &store,
        "grace",
        &quota(1, Duration::from_millis(5), 1),
        Duration::ZERO,
    )
    .await;
    let gone = async {
        while redis::cmd("EXISTS")
            .arg("test:grace")
            .query_async(&mut peek)
            .await
            .expect("an answer")
        {}
    };
    tokio::time::timeout(Duration::from_secs(10), gone)
        .await
        .expect("it expires");
}

#[tokio::test]
async fn without_the_server_calls_are_let_through_or_refused_as_you_say() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let builder = RateLimitLayer::builder(quota(1, HOUR, 1));
    let open = builder
        .build_stored(server.store(), |key: &u32| Some(*key))
        .layer(Bare);
    let closed = builder
        .fail_closed()
        .build_stored(server.store(), |key: &u32| Some(*key))
        .layer(Bare);
    assert!(open.clone().oneshot(1).await.is_ok());
    let over = closed.clone().oneshot(1).await;
    assert!(rejection(&over).retry_after().is_some());

    server.stop();
    // The first of them finds the connection broken, the others no server.
    for _ in 0..3 {
        assert!(open.clone().oneshot(1).await.is_ok());
        let result = closed.clone().oneshot(1).await;
        let refused = rejection(&result);
        assert_eq!(refused.retry_after(), None);
        let source = std::error::Error::source(refused).expect("the store's error");
        assert!(source.is::<redis::RedisError>(), "{source}");
    }
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    let error = RedisStore::try_new("redis://:s3cret@host:port/", "test:").unwrap_err();
    assert_eq!(error.field(), "url");
    assert!(!format!("{error} {error:?}").contains("s3cret"));
    for prefix in ["", "a b", "a\n"] {
        let error = RedisStore::try_new("redis://127.0.0.1/", prefix).unwrap_err();
        assert_eq!(error.field(), "prefix");
    }
    let store = RedisStore::try_new("redis://:s3cret@host/", "test:").expect("valid");
    assert!(!format!("{store:?}").contains("s3cret"));
}
