//! Which connection a request came on.

use std::{
    fmt,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// The number of a connection: unique within the process, from 1, in the order in which connections were accepted.
///
/// It ties the lines of a log that belong to one connection together. It says nothing about the peer, and starts again with the
/// process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

impl ConnectionId {
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Relaxed))
    }

    /// The number itself.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The connection that a request came on: in the extensions of every request that a [`Listener`](crate::Listener) serves.
///
/// In an axum handler, `Extension<ConnectInfo>` extracts it. It is not axum's own `ConnectInfo<T>`, which needs a make-service.
///
/// ```
/// use bartizan_listener::ConnectInfo;
/// use http::Request;
///
/// fn who<B>(request: &Request<B>) -> String {
///     match request.extensions().get::<ConnectInfo>() {
///         Some(info) => format!("{} on connection {}", info.peer(), info.id()),
///         None => "nobody: this request did not come through a listener".to_owned(),
///     }
/// }
/// # assert!(who(&Request::new(())).starts_with("nobody"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectInfo {
    pub(crate) id: ConnectionId,
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
}

impl ConnectInfo {
    /// The connection's number.
    pub const fn id(&self) -> ConnectionId {
        self.id
    }

    /// The address that the peer connected to. More telling than the listener's own, which may be `0.0.0.0`.
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// The address at the other end of the connection. Behind a proxy that is the proxy's.
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }
}
