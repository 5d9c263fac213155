//! Which connection a request came on.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use http::Extensions;

use crate::{Address, ProxyHeader};

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
/// Cheap to clone: one count.
///
/// ```
/// use bartizan_listener::ConnectInfo;
/// use http::Request;
///
/// fn who<B>(request: &Request<B>) -> String {
///     match request.extensions().get::<ConnectInfo>() {
///         Some(info) => format!("{} on connection {}", info.client(), info.id()),
///         None => "nobody: this request did not come through a listener".to_owned(),
///     }
/// }
/// # assert!(who(&Request::new(())).starts_with("nobody"));
/// ```
///
/// Whoever accepts connections in a way of their own makes one for each, and so does a test:
///
/// ```
/// use bartizan_listener::{Address, ConnectInfo};
/// use std::net::SocketAddr;
///
/// let peer = SocketAddr::from(([192, 0, 2, 7], 4711));
/// let info = ConnectInfo::new(Address::Memory, peer.into());
/// assert_eq!(info.client().socket_addr(), Some(peer));
/// assert!(!info.is_tls());
/// ```
#[derive(Clone, Debug)]
pub struct ConnectInfo(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    id: ConnectionId,
    local: Address,
    peer: Address,
    // Boxed: few connections have one, and every connection has this.
    proxied: Option<Box<ProxyHeader>>,
    tls: bool,
    alpn: Option<Box<[u8]>>,
    extensions: Extensions,
}

impl ConnectInfo {
    /// A new connection, with a number of its own.
    pub fn new(local: Address, peer: Address) -> Self {
        Self(Arc::new(Inner {
            id: ConnectionId::next(),
            local,
            peer,
            proxied: None,
            tls: false,
            alpn: None,
            extensions: Extensions::new(),
        }))
    }

    /// The connection's number.
    pub fn id(&self) -> ConnectionId {
        self.0.id
    }

    /// The address that the peer connected to. More telling than the listener's own, which may be `0.0.0.0`.
    pub fn local(&self) -> &Address {
        &self.0.local
    }

    /// The address at the other end of the connection. Behind a proxy that is the proxy's: see [`client`](Self::client).
    pub fn peer(&self) -> &Address {
        &self.0.peer
    }

    /// What a trusted proxy said about the connection that it passes on. `None` if there was no PROXY header.
    pub fn proxied(&self) -> Option<&ProxyHeader> {
        self.0.proxied.as_deref()
    }

    /// Who opened the connection: the source that a trusted proxy named, or else the [peer](Self::peer).
    ///
    /// What headers such as `Forwarded` say is not in it: that differs from request to request.
    pub fn client(&self) -> &Address {
        self.proxied()
            .and_then(ProxyHeader::source)
            .unwrap_or_else(|| self.peer())
    }

    /// The address that the client connected to: the destination that a trusted proxy named, or else [`local`](Self::local).
    pub fn destination(&self) -> &Address {
        self.proxied()
            .and_then(ProxyHeader::destination)
            .unwrap_or_else(|| self.local())
    }

    /// Whether the connection to this listener is encrypted. What a proxy before it does is not known.
    pub fn is_tls(&self) -> bool {
        self.0.tls
    }

    /// The protocol that was agreed on in the TLS handshake (ALPN, RFC 7301), such as `h2`.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.0.alpn.as_deref()
    }

    /// What handshakes left for the requests of this connection. Each of them has a clone among its own extensions.
    pub fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }

    /// The same, for a handshake to leave something.
    ///
    /// Clones that were made before do not see it.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut Arc::make_mut(&mut self.0).extensions
    }

    /// Notes that the connection is encrypted now, and which protocol was agreed on.
    ///
    /// Clones that were made before do not see it.
    pub fn set_tls(&mut self, alpn: Option<&[u8]>) {
        let inner = Arc::make_mut(&mut self.0);
        inner.tls = true;
        inner.alpn = alpn.map(Into::into);
    }

    /// Notes what a proxy said. Whoever calls this trusts the proxy.
    ///
    /// Clones that were made before do not see it.
    pub fn set_proxied(&mut self, header: ProxyHeader) {
        Arc::make_mut(&mut self.0).proxied = Some(Box::new(header));
    }

    /// Gives a request what is known about its connection.
    pub(crate) fn attach(&self, extensions: &mut Extensions) {
        if !self.0.extensions.is_empty() {
            extensions.extend(self.0.extensions.clone());
        }
        extensions.insert(self.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_handshake_leaves_is_with_every_request() {
        let mut info = ConnectInfo::new(Address::Memory, Address::Unix(None));
        info.extensions_mut().insert("certificate");
        info.set_tls(Some(b"h2"));
        let mut extensions = Extensions::new();
        info.attach(&mut extensions);
        assert_eq!(extensions.get::<&str>(), Some(&"certificate"));
        let attached = extensions.get::<ConnectInfo>().expect("it is attached");
        assert_eq!(attached.id(), info.id());
        assert!(attached.is_tls());
        assert_eq!(attached.alpn(), Some(&b"h2"[..]));
    }

    #[test]
    fn numbers_are_of_connections_and_not_of_clones() {
        let info = ConnectInfo::new(Address::Memory, Address::Memory);
        assert_eq!(info.clone().id(), info.id());
        let next = ConnectInfo::new(Address::Memory, Address::Memory);
        assert!(next.id() > info.id());
    }
}
