//! What happens to connections, for those who want to know.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bartizan_core::Attempt;
use http::{Method, Uri, Version};

use super::{
    connection::{Conn, Control},
    core::Why,
};
use crate::{connect::Destination, error::Call};

/// Something that happened to a connection, or to a request that wanted one.
#[derive(Debug)]
#[non_exhaustive]
pub enum PoolEvent<'a> {
    /// A connection was made, which took so long.
    Opened {
        /// Where to.
        destination: &'a Destination,
        /// Its number in the pool.
        id: u64,
        /// The protocol that it speaks.
        version: Version,
        /// How long that took, handshakes included.
        took: Duration,
    },
    /// A connection could not be made.
    OpenFailed {
        /// Where to.
        destination: &'a Destination,
        /// Why.
        error: &'a crate::Error,
        /// How long that took.
        took: Duration,
    },
    /// A request got a connection that had carried others.
    Reused {
        /// Where to.
        destination: &'a Destination,
        /// Its number in the pool.
        id: u64,
        /// How many it had carried.
        carried: u64,
    },
    /// A request got a connection for which it had waited: for one to come free, or to be made.
    Waited {
        /// Where to.
        destination: &'a Destination,
        /// How long.
        waited: Duration,
    },
    /// A request got none: too many wait already.
    QueueFull {
        /// Where to.
        destination: &'a Destination,
    },
    /// A request got none within its time.
    AcquireTimeout {
        /// Where to.
        destination: &'a Destination,
        /// How long it had waited.
        waited: Duration,
    },
    /// A connection was of no use any more when a request was sent on it, and the request is sent on another.
    Stale {
        /// Where to.
        destination: &'a Destination,
        /// Its number in the pool.
        id: u64,
    },
    /// The socket of a connection is gone.
    Closed {
        /// Where to.
        destination: &'a Destination,
        /// Its number in the pool.
        id: u64,
        /// Why.
        why: ClosedBy,
    },
}

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClosedBy {
    /// It was unused for longer than the idle timeout.
    IdleTimeout,
    /// It was too old, had carried enough requests, or its peer was going away.
    Retired,
    /// There were unused ones enough, or another origin needed its place.
    Room,
    /// It could not carry another request: its last one was given up, or failed.
    Spent,
    /// The pool was told to close it.
    Asked,
    /// The peer or the network.
    Peer,
}

impl ClosedBy {
    pub(super) const fn of(why: Option<Why>) -> Self {
        match why {
            Some(Why::Idle) => Self::IdleTimeout,
            Some(Why::Retired) => Self::Retired,
            Some(Why::Room) => Self::Room,
            Some(Why::Spent) => Self::Spent,
            Some(Why::Asked | Why::Cut) => Self::Asked,
            None => Self::Peer,
        }
    }
}

/// Whom to tell.
#[derive(Clone, Default)]
pub(super) struct Observer(pub(super) Option<Arc<Observe>>);

type Observe = dyn Fn(&PoolEvent<'_>) + Send + Sync;

impl Observer {
    /// Makes the event only if somebody wants it.
    pub(super) fn tell<'a>(&self, event: impl FnOnce() -> PoolEvent<'a>) {
        if let Some(observe) = &self.0 {
            observe(&event());
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observer").field(&self.0.is_some()).finish()
    }
}

/// Which connection carried a request: in the extensions of its response, and in the errors of a call that had one.
///
/// ```
/// use bartizan_client::{ConnectionInfo, RequestExt, ResponseExt, Transport};
/// use bartizan_core::Body;
/// use bartizan_testing::Loopback;
/// use http::{Request, Response};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Loopback::start(|_: Request<Body>| async { Response::new(Body::empty()) }).await;
/// let transport = Transport::new();
/// for carried in 0..3 {
///     let response = transport.get(server.uri("/")).send().await?;
///     let connection = response.extensions().get::<ConnectionInfo>().expect("a transport's response");
///     assert_eq!(connection.peer_addr(), Some(server.addr()));
///     assert_eq!(connection.carried(), carried);
///     response.discard().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ConnectionInfo {
    control: Arc<Control>,
    carried: u64,
    /// What the request was, for the errors of reading its response. Here, as each extension costs an allocation.
    call: Option<(Method, Uri, Attempt)>,
}

impl ConnectionInfo {
    pub(super) fn new(conn: &Conn, carried: u64) -> Self {
        Self {
            call: None,
            control: conn.control.clone(),
            carried,
        }
    }

    pub(super) fn with_call(mut self, method: Method, uri: Uri, attempt: Attempt) -> Self {
        self.call = Some((method, uri, attempt));
        self
    }

    pub(crate) fn take_call(&mut self) -> Option<Call> {
        let (method, uri, attempt) = self.call.take()?;
        Some(Call::new(method, uri).with_attempt(attempt))
    }

    /// Its number in the pool, which no other connection of that pool ever has.
    pub fn id(&self) -> u64 {
        self.control.id.serial
    }

    /// The protocol that it speaks.
    pub fn version(&self) -> Version {
        self.control.version()
    }

    /// The address of this end.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.control.connected.local_addr()
    }

    /// The address of the other end: the proxy's, over a proxy.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.control.connected.peer_addr()
    }

    /// How many requests it was given before this one. 0 says that it was made for it, or at least not used before.
    pub const fn carried(&self) -> u64 {
        self.carried
    }

    /// How old it is.
    pub fn age(&self) -> Duration {
        self.control.opened.elapsed()
    }

    /// Keeps the connection from being used again: its answers cannot be trusted, or it leads to an instance that should be left. This
    /// request, and HTTP/2 streams that are under way, go on.
    pub fn poison(&self) {
        self.control.is_poisoned.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for ConnectionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionInfo")
            .field("id", &self.id())
            .field("version", &self.version())
            .field("local_addr", &self.local_addr())
            .field("peer_addr", &self.peer_addr())
            .field("carried", &self.carried)
            .finish_non_exhaustive()
    }
}
