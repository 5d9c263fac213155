//! A TCP proxy that breaks connections as its script says.

mod pump;
mod script;
mod wire;

use std::{
    collections::VecDeque,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use http::Uri;
use tokio::{net::TcpStream, sync::watch};

use self::wire::Ending;
pub use self::wire::{Flow, Wire};
use crate::{host::Host, panics};

/// A TCP proxy on a port of 127.0.0.1 that the system chose, which breaks connections as its script says.
///
/// It stands between a client and a real upstream, and knows nothing of what they say to each other. It forwards everything unharmed
/// until it is told otherwise. The script gives every connection a [`Wire`]: the first pushed to the first accepted, and the default
/// once none is left.
///
/// | to see | say |
/// |---|---|
/// | latency | [`Wire::latency`], [`Flow::latency`] |
/// | a message cut short | [`Flow::close_at`], [`Flow::reset_at`] |
/// | a peer that is gone without a word | [`Flow::stall_at`], [`Wire::silent`] |
/// | a slow drip | [`Flow::drip`] |
/// | bytes that nobody sent | [`Flow::inject`] |
/// | a server that hangs up | [`Wire::closed`], [`Wire::reset`], [`Wire::close_after_idle`], [`close_all`](Self::close_all) |
/// | a server that is down, and comes back | [`refuse`](Self::refuse), [`listen`](Self::listen) |
///
/// If the upstream does not accept, the client's connection is reset. If one side resets, so does the other.
///
/// # Time
///
/// All delays are tokio's. Under paused time they cost nothing; but paused time runs ahead as soon as every task waits for something,
/// a socket too, so a limit of the code under test may then be over before the peer's bytes, which take real time, have arrived.
/// Where sockets race with limits, use real time and small delays.
///
/// # Cancellation
///
/// It runs on the runtime that [`start`](Self::start) was called on. Dropping it closes the port and all connections.
///
/// # Examples
///
/// The first connection breaks off within the answer, the second works:
///
/// ```
/// use bartizan_core::Body;
/// use bartizan_testing::{FaultProxy, Flow, Loopback, Wire};
/// use http::Response;
/// use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpStream};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// let server = Loopback::start(|_| async { Response::new(Body::from("hello")) }).await;
/// let proxy = FaultProxy::start(server.addr()).await;
/// proxy.push(Wire::new().to_client(Flow::new().close_at(12)));
///
/// let mut answers = Vec::new();
/// for _ in 0..2 {
///     let mut stream = TcpStream::connect(proxy.addr()).await?;
///     stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await?;
///     let mut answer = String::new();
///     stream.read_to_string(&mut answer).await?;
///     answers.push(answer);
/// }
/// assert_eq!(answers[0], "HTTP/1.1 200");
/// assert!(answers[1].ends_with("hello"));
/// assert_eq!(proxy.counts().accepted, 2);
/// # Ok(()) }
/// ```
///
/// A server that goes down, and comes back:
///
/// ```
/// use bartizan_testing::{FaultProxy, RawServer};
/// use std::io::ErrorKind;
/// use tokio::net::TcpStream;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// let server = RawServer::start(|stream| async move { drop(stream) }).await;
/// let proxy = FaultProxy::start(server.addr()).await;
///
/// proxy.refuse();
/// let refused = TcpStream::connect(proxy.addr()).await.unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
///
/// proxy.listen();
/// assert!(TcpStream::connect(proxy.addr()).await.is_ok());
/// # Ok(()) }
/// ```
pub struct FaultProxy {
    host: Host,
    shared: Arc<Shared>,
}

/// What went through a [`FaultProxy`], so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyCounts {
    /// Connections accepted, those included that the script ended at once.
    pub accepted: usize,
    /// Connections that are open.
    pub open: usize,
    /// The clients' bytes that were forwarded. Garbage is not counted.
    pub to_server: u64,
    /// The upstream's bytes that were forwarded. Garbage is not counted.
    pub to_client: u64,
}

struct Shared {
    script: Mutex<Script>,
    counts: Counts,
    cut: watch::Sender<Option<Ending>>,
}

type Otherwise = Arc<dyn Fn(usize) -> Wire + Send + Sync>;

struct Script {
    wires: VecDeque<Wire>,
    otherwise: Otherwise,
}

#[derive(Clone, Default)]
struct Counts(Arc<watch::Sender<ProxyCounts>>);

#[derive(Clone, Copy)]
enum Way {
    ToServer,
    ToClient,
}

impl FaultProxy {
    /// Listens, and forwards to `upstream`, to which it connects once for each connection that it accepts.
    ///
    /// # Panics
    ///
    /// If 127.0.0.1 has no free port.
    pub async fn start(upstream: SocketAddr) -> Self {
        let shared = Arc::new(Shared {
            script: Mutex::new(Script {
                wires: VecDeque::new(),
                otherwise: Arc::new(|_| Wire::new()),
            }),
            counts: Counts::default(),
            cut: watch::Sender::default(),
        });
        let serving = shared.clone();
        let serve = move |client, _| {
            // Here and not in the future below, so that connections have the order in which they were accepted.
            let index = serving.counts.0.borrow().accepted;
            let open = Open::new(serving.counts.clone());
            let cut = serving.cut.subscribe();
            let scripted = serving.next();
            async move {
                let wire = scripted.unwrap_or_else(|otherwise| otherwise(index));
                let upstream = TcpStream::connect(upstream);
                pump::run(client, upstream, &wire, &open.0, cut).await;
            }
        };
        Self {
            host: Host::start("FaultProxy", serve).await,
            shared,
        }
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.host.addr
    }

    /// `http://` its address and `path`, which starts with a slash and may have a query.
    ///
    /// # Panics
    ///
    /// If that is no URI.
    pub fn uri(&self, path: &str) -> Uri {
        self.host.uri(path)
    }

    /// Adds a connection to the script. Each connection that is accepted takes one.
    pub fn push(&self, wire: Wire) {
        panics::lock(&self.shared.script).wires.push_back(wire);
    }

    /// How a connection behaves when the script is empty. The closure is given how many were accepted before it.
    ///
    /// A closure that panics fails the test when the proxy is dropped.
    pub fn by_default(&self, wire: impl Fn(usize) -> Wire + Send + Sync + 'static) {
        let wire: Otherwise = Arc::new(wire);
        let mut script = panics::lock(&self.shared.script);
        let before = std::mem::replace(&mut script.otherwise, wire);
        // What it owns is the test's, whose `drop` may come back here.
        drop(script);
        drop(before);
    }

    /// From now on connections are refused. Those that are open stay open; those that nobody accepted yet are reset.
    pub fn refuse(&self) {
        self.host.refuse();
    }

    /// Listens again on the same port, which was kept meanwhile.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn listen(&self) {
        self.host.accept();
    }

    /// Closes, in order, all connections that are open now, as a server that restarts does: what a pool holds is stale. It happens when
    /// their tasks run next; [`until`](Self::until) none is open waits for that.
    pub fn close_all(&self) {
        self.shared.cut.send_replace(Some(Ending::Close));
    }

    /// Resets all connections that are open now, when their tasks run next.
    pub fn reset_all(&self) {
        self.shared.cut.send_replace(Some(Ending::Reset));
    }

    /// The counts, now.
    pub fn counts(&self) -> ProxyCounts {
        *self.shared.counts.0.borrow()
    }

    /// Waits until the counts are as `wanted`, woken by each change. It looks at once, and dropping it changes nothing.
    #[expect(
        clippy::missing_panics_doc,
        reason = "the sender cannot be gone while `self` holds it"
    )]
    pub async fn until(&self, mut wanted: impl FnMut(&ProxyCounts) -> bool) -> ProxyCounts {
        let mut counts = self.shared.counts.0.subscribe();
        *counts
            .wait_for(|counts| wanted(counts))
            .await
            .expect("the proxy holds the sender")
    }

    /// Waits until there was a connection and none is open any more, woken by each that ends. Dropping it changes nothing.
    pub async fn closed(&self) {
        self.until(|counts| counts.accepted > 0 && counts.open == 0)
            .await;
    }
}

impl Shared {
    /// What the script has for the next connection, or what makes it up.
    fn next(&self) -> Result<Wire, Otherwise> {
        let mut script = panics::lock(&self.script);
        match script.wires.pop_front() {
            Some(wire) => Ok(wire),
            None => Err(script.otherwise.clone()),
        }
    }
}

impl Counts {
    fn moved(&self, way: Way, bytes: usize) {
        self.0.send_modify(|counts| {
            let total = match way {
                Way::ToServer => &mut counts.to_server,
                Way::ToClient => &mut counts.to_client,
            };
            *total += bytes as u64;
        });
    }
}

/// A connection that counts as open, however it ends.
struct Open(Counts);

impl Open {
    fn new(counts: Counts) -> Self {
        counts.0.send_modify(|counts| {
            counts.accepted += 1;
            counts.open += 1;
        });
        Self(counts)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.send_modify(|counts| counts.open -= 1);
    }
}

impl fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultProxy")
            .field("addr", &self.addr())
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}
