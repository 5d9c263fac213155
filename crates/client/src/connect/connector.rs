//! The usual stack of connectors.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bartizan_core::BoxError;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower_layer::Layer;
use tower_service::Service;

#[cfg(feature = "tls")]
use super::TlsLayer;
use super::{
    Connected, Connecting, Connection, Destination, HappyEyeballs, Socket, SocketConnector,
    SocketOptions,
};
#[cfg(feature = "proxy")]
use crate::proxy::{Proxied, Proxies, ProxyConnector, ProxyLayer};
use crate::{
    Error,
    dns::{Answer, CacheLayer, Cached, Name, StaticOverrides, SystemResolver},
};

// Each part is there with its feature, and no type at all without.
#[cfg(not(feature = "tls"))]
type Tls<C> = C;
#[cfg(feature = "tls")]
type Tls<C> = super::TlsService<C>;
#[cfg(not(feature = "proxy"))]
type Inner<R> = Tls<SocketConnector<R>>;
#[cfg(feature = "proxy")]
type Inner<R> = Tls<ProxyConnector<Tls<SocketConnector<R>>, R>>;

#[cfg(not(feature = "tls"))]
type TlsIo<IO> = IO;
#[cfg(feature = "tls")]
type TlsIo<IO> = bartizan_tls::MaybeTls<IO>;
#[cfg(not(feature = "proxy"))]
type InnerStream = TlsIo<Socket>;
#[cfg(feature = "proxy")]
type InnerStream = TlsIo<Proxied<TlsIo<Socket>>>;

/// Connects to whatever a [`Destination`] says, by the usual stack.
///
/// From the outside in: TLS with the origin, if it is given the settings for that (feature `tls`); the proxies, if there are any (feature
/// `proxy`), by TLS where they want it; then names, by a resolver whose answers are [remembered](CacheLayer); then their addresses, by
/// [`HappyEyeballs`]; then TCP or a Unix socket.
///
/// Without settings for TLS, a destination that needs it is refused, unless a layer above makes it.
///
/// # State
///
/// The names that are remembered, which clones share.
///
/// # Readiness and cancellation
///
/// Always ready. Dropping the future closes whatever it has opened.
///
/// # Errors
///
/// Those of [`SocketConnector`], and of `ProxyLayer` with the feature `proxy`.
///
/// # Examples
///
/// ```
/// use bartizan_client::connect::{Connection, Connector, Destination};
/// use bartizan_testing::RawServer;
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = RawServer::start(|_stream| async {}).await;
/// let destination = Destination::of(&server.uri("/")).unwrap();
///
/// let stream = Connector::new().oneshot(destination).await?;
/// assert_eq!(stream.connected().peer_addr(), Some(server.addr()));
/// # Ok(())
/// # }
/// ```
///
/// With other parts:
///
/// ```
/// use bartizan_client::{
///     connect::{Connector, Destination, SocketOptions},
///     dns::{CacheLayer, StaticOverrides, SystemResolver},
/// };
/// use bartizan_testing::RawServer;
/// use std::time::Duration;
/// use tower::{Layer, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = RawServer::start(|_stream| async {}).await;
/// let connector = Connector::builder()
///     .socket_options(SocketOptions::new().nodelay(false))
///     .overrides(StaticOverrides::new().try_host_port("api.example", 80, [server.addr()])?)
///     .resolver(CacheLayer::new().ttl(Duration::from_secs(5)).layer(SystemResolver::new()))
///     .build();
///
/// connector.oneshot(Destination::of(&"http://api.example/".parse()?).unwrap()).await?;
/// server.closed().await;
/// assert_eq!(server.connections(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Connector<R = Cached<SystemResolver>>(Inner<R>);

impl Connector {
    /// With every default of the builder.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Changes some of the defaults.
    pub fn builder() -> ConnectorBuilder {
        ConnectorBuilder {
            resolver: CacheLayer::new().layer(SystemResolver::new()),
            socket_options: SocketOptions::new(),
            happy_eyeballs: HappyEyeballs::new(),
            overrides: StaticOverrides::new(),
            #[cfg(feature = "proxy")]
            proxies: Proxies::new(),
            #[cfg(feature = "tls")]
            tls: TlsLayer::none(),
        }
    }
}

impl Default for Connector {
    fn default() -> Self {
        Self::new()
    }
}

impl<R> Service<Destination> for Connector<R>
where
    R: Service<Name, Response = Answer> + Clone + Send + 'static,
    R::Error: Into<BoxError>,
    R::Future: Send,
{
    type Response = Stream;
    type Error = Error;
    type Future = Connecting<Stream>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, destination: Destination) -> Connecting<Stream> {
        self.0.call(destination).map(Stream)
    }
}

/// Settings of a [`Connector`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ConnectorBuilder<R = Cached<SystemResolver>> {
    resolver: R,
    socket_options: SocketOptions,
    happy_eyeballs: HappyEyeballs,
    overrides: StaticOverrides,
    #[cfg(feature = "proxy")]
    proxies: Proxies,
    #[cfg(feature = "tls")]
    tls: TlsLayer,
}

impl<R> ConnectorBuilder<R> {
    /// Sets what turns names into addresses. Default: that of the system, remembered as [`CacheLayer::new`] has it.
    pub fn resolver<R2>(self, resolver: R2) -> ConnectorBuilder<R2> {
        ConnectorBuilder {
            resolver,
            socket_options: self.socket_options,
            happy_eyeballs: self.happy_eyeballs,
            overrides: self.overrides,
            #[cfg(feature = "proxy")]
            proxies: self.proxies,
            #[cfg(feature = "tls")]
            tls: self.tls,
        }
    }

    /// Sets what is set on TCP sockets. Default: as [`SocketOptions::new`] has it.
    pub fn socket_options(mut self, options: SocketOptions) -> Self {
        self.socket_options = options;
        self
    }

    /// Sets how several addresses are tried. Default: as RFC 8305 recommends.
    pub const fn happy_eyeballs(mut self, settings: HappyEyeballs) -> Self {
        self.happy_eyeballs = settings;
        self
    }

    /// Sets the hosts whose addresses are known already. Default: none. They are for what is connected to: where that is a proxy, they are
    /// not asked about the origin.
    pub fn overrides(mut self, overrides: StaticOverrides) -> Self {
        self.overrides = overrides;
        self
    }

    /// Sets the proxies. Default: none, those of the environment neither; for them, give it
    /// [`Proxies::try_from_env`](crate::proxy::Proxies::try_from_env).
    #[cfg(feature = "proxy")]
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Sets how TLS is made, with the origins and with proxies that are reached by it. Default: not at all, and what needs it is refused.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: TlsLayer) -> Self {
        self.tls = tls;
        self
    }

    pub(crate) fn nodelay(mut self, nodelay: bool) -> Self {
        self.socket_options = self.socket_options.nodelay(nodelay);
        self
    }

    /// The connector.
    pub fn build(self) -> Connector<R>
    where
        R: Clone,
    {
        // Taken apart first: the resolver goes to two of the parts.
        #[cfg(feature = "proxy")]
        let proxies = ProxyLayer::new(self.proxies).resolver(self.resolver.clone());
        // Innermost: names, addresses and sockets, which depend on nothing but where to connect to.
        let connector = SocketConnector::with_resolver(self.resolver)
            .socket_options(self.socket_options)
            .happy_eyeballs(self.happy_eyeballs)
            .overrides(self.overrides);
        // With proxies that are reached by TLS.
        #[cfg(all(feature = "proxy", feature = "tls"))]
        let connector = self.tls.layer(connector);
        // Above it all: it decides where the others connect to, and resolves for SOCKS what they would.
        #[cfg(feature = "proxy")]
        let connector = proxies.layer(connector);
        // Outermost: TLS is with the origin, whatever tunnel it goes through.
        #[cfg(feature = "tls")]
        let connector = self.tls.layer(connector);
        Connector(connector)
    }
}

/// A connection of a [`Connector`].
#[derive(Debug)]
pub struct Stream(InnerStream);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.0.connected()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
