//! From a request to the wire, and back to a response.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use bartizan_core::{BoxError, ConfigError};
use http::{Request, Response};
use tower_service::Service;

#[cfg(feature = "tls")]
use crate::connect::TlsLayer;
use crate::{
    Error, Timeouts,
    connect::{Connector, ConnectorBuilder},
    pool::{Config, Pool, PoolBuilder, PoolFuture, ResponseBody},
};

/// Sends requests over TCP, and keeps the connections for the next ones. The innermost service of a client stack.
///
/// Takes a request with any body; a [`Body`](bartizan_core::Body) goes as it is, and any other streaming body is boxed once. Clones share the
/// connections and are cheap. Needs a tokio runtime with I/O and time when it is called.
///
/// # Connections
///
/// A [`Pool`] over a [`Connector`], each with its defaults: see [`pool`](crate::pool) for how connections are kept and shared, and
/// the connector for how they are made. For other parts, give a [`Pool`] a connector of your own.
///
/// # Readiness and cancellation
///
/// Always ready. There is no limit on requests or connections unless [one is set](TransportBuilder::pool).
///
/// Dropping the response future gives up the call. Once the request is being sent, HTTP/1.1 closes its connection and HTTP/2 resets
/// its stream and keeps the connection. Before that, nothing is sent; a connection that is being made is finished and kept.
///
/// # Errors
///
/// [`Error`]. [`is_builder`](Error::is_builder) for what cannot be sent: a URI without scheme and host, or one with user information
/// (RFC 9110 section 4.2.4). [`is_tls`](Error::is_tls) for `https`, unless it is [given TLS](TransportBuilder). The error of a request body that
/// fails is among the sources.
///
/// # Examples
///
/// ```
/// use bartizan_client::{RequestExt, ResponseExt, Transport};
/// use bartizan_core::Body;
/// use bartizan_testing::Loopback;
/// use http::{Request, Response};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Loopback::start(|_: Request<Body>| async { Response::new(Body::from("hello")) }).await;
///
/// let transport = Transport::new();
/// let response = transport.get(server.uri("/greeting")).send().await?;
/// assert_eq!(response.text().await?, "hello");
/// # Ok(())
/// # }
/// ```
///
/// HTTP/2 with prior knowledge, a shorter wait for a connection, and a plain tower call:
///
/// ```
/// use bartizan_client::{Protocol, Transport};
/// use bartizan_core::Body;
/// use bartizan_testing::Loopback;
/// use http::{Request, Response, Version};
/// use std::time::Duration;
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Loopback::start(|_: Request<Body>| async { Response::new(Body::empty()) }).await;
///
/// let transport = Transport::builder()
///     .protocol(Protocol::Http2)
///     .connect_timeout(Duration::from_secs(1))
///     .build()?;
/// let request = Request::get(server.uri("/")).body(Body::empty())?;
/// let response = transport.oneshot(request).await?;
/// assert_eq!(response.version(), Version::HTTP_2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Transport {
    pool: Pool,
}

impl Transport {
    /// A transport with every default of [`TransportBuilder`].
    pub fn new() -> Self {
        Self {
            pool: Pool::of(Config::default(), Connector::new()),
        }
    }

    /// Changes some of the defaults.
    pub fn builder() -> TransportBuilder {
        TransportBuilder::new()
    }

    /// Its connections: figures, prewarming, draining, a service for one origin.
    pub const fn pool(&self) -> &Pool {
        &self.pool
    }
}

impl Default for Transport {
    fn default() -> Self {
        Self::new()
    }
}

impl<B> Service<Request<B>> for Transport
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Error;
    type Future = TransportFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Service::<Request<B>>::poll_ready(&mut self.pool, cx)
    }

    fn call(&mut self, request: Request<B>) -> TransportFuture {
        self.pool.call(request)
    }
}

/// The response of a [`Transport`], once its head is there.
pub type TransportFuture = PoolFuture;

/// Which HTTP is spoken.
///
/// HTTP/1.0 is understood, and never sent: whoever serves it answers HTTP/1.1 (RFC 9110 section 2.5), and with it there would be no body
/// whose length is not known, and no `Host` to count on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// What the TLS handshake agrees on, and HTTP/1.1 where there is none: in cleartext nobody says what a server speaks, and they
    /// all speak that.
    #[default]
    Auto,
    /// HTTP/1.1, which every server understands.
    Http1,
    /// HTTP/2 without asking first ("prior knowledge", RFC 9113 section 3.3). A server without it answers with an error, or not
    /// at all.
    Http2,
}

/// Settings of a [`Transport`].
///
/// ```
/// use bartizan_client::Transport;
/// use std::time::Duration;
///
/// let error = Transport::builder().connect_timeout(Duration::ZERO).build().unwrap_err();
/// assert_eq!(error.to_string(), "invalid connect_timeout `0ns`: expected more than zero");
/// ```
///
/// Limits are the pool's:
///
/// ```
/// use bartizan_client::{Transport, pool::Pool};
///
/// let transport = Transport::builder().pool(Pool::builder().max_connections_per_origin(50)).build()?;
/// assert_eq!(transport.pool().stats().connections(), 0);
/// # Ok::<_, bartizan_core::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TransportBuilder {
    pool: PoolBuilder,
    connector: ConnectorBuilder,
}

impl TransportBuilder {
    fn new() -> Self {
        Self {
            pool: PoolBuilder::new(),
            connector: Connector::builder(),
        }
    }

    /// Sets how long a connection may take: so long for the name lookup, and so long for TCP to all of the host's addresses together.
    ///
    /// Default: 5 s. That leaves room for two lost packets, which TCP sends again after 1 s and 2 s more, and is well below what
    /// a caller waits for.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        let timeouts = self.pool.timeouts_mut();
        timeouts.resolve = Some(timeout);
        timeouts.connect = Some(timeout);
        self
    }

    /// Sets how long each phase may take, those of connecting included. Default: [`Timeouts::new`].
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.pool = self.pool.timeouts(timeouts);
        self
    }

    /// Sets `TCP_NODELAY`: whether small writes leave at once.
    ///
    /// Default: `true`. Without it, a request of two small writes can wait 40 ms and more for the peer's delayed acknowledgement.
    #[must_use]
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.connector = self.connector.nodelay(nodelay);
        self
    }

    /// Sets how TLS is made. Default: not at all, and `https` is refused: whom to trust is for the caller to say.
    ///
    /// ```
    /// use bartizan_client::{Transport, connect::TlsLayer};
    /// use bartizan_tls::{ClientTls, Provider, TrustAnchors};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let trust = TrustAnchors::platform()?;
    /// let tls = TlsLayer::try_new(ClientTls::new(Provider::aws_lc(), trust))?;
    /// let transport = Transport::builder().tls(tls).build()?;
    /// # let _ = transport;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: TlsLayer) -> Self {
        self.connector = self.connector.tls(tls);
        self
    }

    /// Sets the proxies. Default: none, those of the environment neither; for them, give it
    /// [`Proxies::try_from_env`](crate::proxy::Proxies::try_from_env).
    #[cfg(feature = "proxy")]
    #[must_use]
    pub fn proxies(mut self, proxies: crate::proxy::Proxies) -> Self {
        self.connector = self.connector.proxies(proxies);
        self
    }

    /// Sets everything about reaching the peer: sockets, names, happy eyeballs, proxies, TLS. Replaces what was set before of those. For a
    /// resolver or a connector of another type, make a [`Pool`] of it.
    #[must_use]
    pub fn connector(mut self, connector: ConnectorBuilder) -> Self {
        self.connector = connector;
        self
    }

    /// Sets how long an unused connection is kept: [`PoolBuilder::idle_timeout`].
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.pool = self.pool.idle_timeout(timeout);
        self
    }

    /// Sets how many unused connections to one origin are kept: [`PoolBuilder::max_idle_per_origin`].
    #[must_use]
    pub fn max_idle_per_host(mut self, connections: usize) -> Self {
        self.pool = self.pool.max_idle_per_origin(connections);
        self
    }

    /// Sets which HTTP is spoken, to every host. The version of a request is not asked.
    ///
    /// Default: [`Protocol::Auto`].
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.pool = self.pool.protocol(protocol);
        self
    }

    /// Sets everything about connections that are there: limits, waiting, retirement. Replaces what was set before of those.
    #[must_use]
    pub fn pool(mut self, pool: PoolBuilder) -> Self {
        self.pool = pool;
        self
    }

    /// The transport. It connects when it is called.
    ///
    /// # Errors
    ///
    /// If a timeout is zero, or a limit that must not be.
    pub fn build(mut self) -> Result<Transport, ConfigError> {
        let timeouts = self.pool.timeouts_mut();
        if timeouts.connect.is_some_and(|timeout| timeout.is_zero()) {
            return Err(ConfigError::new("connect_timeout", "0ns", "more than zero"));
        }
        Ok(Transport {
            pool: self.pool.build(self.connector.build())?,
        })
    }
}

impl Default for TransportBuilder {
    fn default() -> Self {
        Self::new()
    }
}
