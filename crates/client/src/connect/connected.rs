//! What a connection is.

use std::net::SocketAddr;

use http::{Extensions, HeaderValue};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::TcpStream,
};

/// Bytes both ways, and what is known of their peer. What a connector makes.
pub trait Connection: AsyncRead + AsyncWrite {
    /// What is known of the connection, asked once, when it is made.
    fn connected(&self) -> Connected;
}

/// What is known of a connection that was made.
#[derive(Clone, Debug, Default)]
pub struct Connected {
    alpn: Option<Alpn>,
    local_addr: Option<SocketAddr>,
    peer_addr: Option<SocketAddr>,
    is_proxied: bool,
    proxy_authorization: Option<HeaderValue>,
    extensions: Extensions,
}

impl Connected {
    /// A connection of which nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the protocol that the TLS handshake agreed on.
    #[must_use]
    pub fn with_alpn(mut self, alpn: Option<Alpn>) -> Self {
        self.alpn = alpn;
        self
    }

    /// Sets the addresses of both ends. Over a proxy, that of the peer is the proxy's.
    #[must_use]
    pub fn with_addrs(mut self, local: Option<SocketAddr>, peer: Option<SocketAddr>) -> Self {
        self.local_addr = local;
        self.peer_addr = peer;
        self
    }

    /// Says that the peer is a proxy which reads absolute URIs (RFC 9112 section 3.2.2), and no tunnel.
    #[must_use]
    pub fn with_proxied(mut self, is_proxied: bool) -> Self {
        self.is_proxied = is_proxied;
        self
    }

    /// Sets what the proxy is to be sent as `Proxy-Authorization` with every request (RFC 9110 section 11.7.2).
    #[must_use]
    pub fn with_proxy_authorization(mut self, credentials: Option<HeaderValue>) -> Self {
        self.proxy_authorization = credentials.map(|mut credentials| {
            credentials.set_sensitive(true);
            credentials
        });
        self
    }

    /// What else is known, such as the peer's certificates. It is copied into the extensions of every response.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// The protocol that the TLS handshake agreed on, if there was one and it did.
    pub const fn alpn(&self) -> Option<Alpn> {
        self.alpn
    }

    /// The address of this end.
    pub const fn local_addr(&self) -> Option<SocketAddr> {
        self.local_addr
    }

    /// The address of the other end: the proxy's, over a proxy.
    pub const fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer_addr
    }

    /// Whether requests go to a proxy, which reads absolute URIs. Not so in a tunnel.
    pub const fn is_proxied(&self) -> bool {
        self.is_proxied
    }

    /// What to send as `Proxy-Authorization`, if requests [go to a proxy](Self::is_proxied) that wants credentials.
    pub const fn proxy_authorization(&self) -> Option<&HeaderValue> {
        self.proxy_authorization.as_ref()
    }

    /// What else is known.
    pub const fn extensions(&self) -> &Extensions {
        &self.extensions
    }
}

/// A protocol that a TLS handshake agrees on (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Alpn {
    /// `http/1.1`.
    Http1,
    /// `h2`.
    Http2,
}

/// So that a connector can choose among kinds of connections.
impl<C: Connection + Unpin + ?Sized> Connection for Box<C> {
    fn connected(&self) -> Connected {
        (**self).connected()
    }
}

/// A connection within the process, for tests: a connector of them is a `tower::service_fn`.
impl Connection for DuplexStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Connection for TcpStream {
    fn connected(&self) -> Connected {
        Connected::new().with_addrs(self.local_addr().ok(), self.peer_addr().ok())
    }
}
