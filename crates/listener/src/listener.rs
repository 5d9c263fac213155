//! A bound socket, and how it is to be served.

use std::{fmt, future::Future, io::ErrorKind, net::SocketAddr, sync::Arc, time::Duration};

use bartizan_core::{Body, BoxError};
use http::{Request, Response};
use tokio::net::{TcpListener, ToSocketAddrs, lookup_host};
use tower_service::Service;

use crate::{
    BindError, HttpSettings, Serving, ShutdownHandle,
    connection::Protocol,
    drain::{Drain, Owner},
    http::capped,
    serve::{Tcp, Trigger, run},
    signal,
};

/// A bound socket, with the settings for serving it.
///
/// Peers can connect as soon as it is bound; they wait until it [serves](Self::serve). Dropped before that, it closes the socket.
///
/// ```
/// use bartizan_core::{Body, BoxError};
/// use bartizan_listener::Listener;
/// use http::{Request, Response};
/// use std::time::Duration;
/// use tower::service_fn;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let listener = Listener::bind("127.0.0.1:0").await?;
/// assert_ne!(listener.local_addr().port(), 0);
///
/// let drained = listener
///     .header_read_timeout(Duration::from_secs(10))
///     .drain_timeout(Duration::from_secs(5))
///     .shutdown_when(async { /* … until somebody says stop */ })
///     .serve(service_fn(|request: Request<Body>| async move {
///         Ok::<_, BoxError>(Response::new(request.into_body()))
///     }))
///     .await;
/// assert_eq!(drained.cut, 0);
/// # Ok(())
/// # }
/// ```
pub struct Listener {
    tcp: Tcp,
    local_addr: SocketAddr,
    owner: Owner,
    triggers: Vec<Trigger>,
    http: HttpSettings,
    drain_timeout: Duration,
}

impl Listener {
    /// Binds a TCP socket. Port 0 lets the system choose one: [`local_addr`](Self::local_addr) tells which.
    ///
    /// If `addr` resolves to several addresses, the first that can be bound is. `SO_REUSEADDR` is set on Unix, so that a restarted
    /// process need not wait for the connections of its predecessor to be forgotten. Has to be called within a tokio runtime.
    /// Dropping the future binds nothing.
    ///
    /// # Errors
    ///
    /// If `addr` cannot be resolved, or none of its addresses be bound: the error is that of the last one.
    pub async fn bind(
        addr: impl ToSocketAddrs + fmt::Debug + Send + Sync,
    ) -> Result<Self, BindError> {
        let candidates = lookup_host(&addr).await;
        let mut error = None;
        for candidate in candidates.map_err(|error| BindError::resolve(&addr, error))? {
            match TcpListener::bind(candidate).await {
                Ok(socket) => return Self::from_tokio(socket),
                Err(cause) => error = Some(BindError::bind(candidate, cause)),
            }
        }
        Err(error.unwrap_or_else(|| BindError::resolve(&addr, ErrorKind::NotFound.into())))
    }

    /// Takes over a socket that listens already, such as one inherited from a supervisor, and makes it non-blocking.
    ///
    /// ```
    /// use bartizan_listener::Listener;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let addr = socket.local_addr()?;
    /// assert_eq!(Listener::from_std(socket)?.local_addr(), addr);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the system refuses, as it does for what is no listening socket.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn from_std(socket: std::net::TcpListener) -> Result<Self, BindError> {
        socket.set_nonblocking(true).map_err(BindError::adopt)?;
        Self::from_tokio(TcpListener::from_std(socket).map_err(BindError::adopt)?)
    }

    /// Takes over a socket of tokio's, such as one with options that [`bind`](Self::bind) does not set.
    ///
    /// # Errors
    ///
    /// If the system does not tell its address.
    pub fn from_tokio(socket: TcpListener) -> Result<Self, BindError> {
        Ok(Self {
            local_addr: socket.local_addr().map_err(BindError::adopt)?,
            tcp: Tcp {
                socket,
                nodelay: true,
            },
            owner: Owner(Drain::new()),
            triggers: Vec::new(),
            http: HttpSettings::default(),
            drain_timeout: Duration::from_secs(25),
        })
    }

    /// The address it is bound to, with the port that was chosen.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// A handle that shuts it down, now or later.
    pub fn handle(&self) -> ShutdownHandle {
        ShutdownHandle(Arc::clone(&self.owner.0))
    }

    /// Whether small writes go out at once (`TCP_NODELAY`). The default is `true`.
    ///
    /// hyper writes a response in as few pieces as it can, so there is nothing to gain from holding the last one back until the peer
    /// has acknowledged the one before, and up to 40 ms to lose.
    #[must_use]
    pub const fn nodelay(mut self, nodelay: bool) -> Self {
        self.tcp.nodelay = nodelay;
        self
    }

    /// How HTTP is spoken, and what a peer may ask of it. The default is [`HttpSettings::default`], which is meant for the open
    /// internet. All of them are replaced.
    #[must_use]
    pub fn http(mut self, settings: HttpSettings) -> Self {
        self.http = settings;
        self
    }

    /// How long a peer may take to send the head of a request: see
    /// [`HttpSettingsBuilder::header_read_timeout`](crate::HttpSettingsBuilder::header_read_timeout). The default is
    /// 30 s; `None` is no limit.
    #[must_use]
    pub fn header_read_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.http.header_read_timeout = capped(timeout);
        self
    }

    /// How long requests in flight may take to end once the drain has begun; then they are cut. The default is 25 s.
    ///
    /// That is below the 30 s that Kubernetes leaves between `SIGTERM` and `SIGKILL` unless told otherwise, and leaves 5 s for what
    /// the process does after it. A drain takes only as long as its last request, whatever is set here. Zero cuts at once.
    #[must_use]
    pub const fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// Begins the drain when `when` ends. More than one may be set; the first to end counts.
    ///
    /// It is polled by [`Serving`], and dropped with it.
    #[must_use]
    pub fn shutdown_when(mut self, when: impl Future<Output = ()> + Send + 'static) -> Self {
        let handle = self.handle();
        self.triggers.push(Box::pin(async move {
            when.await;
            handle.shutdown();
        }));
        self
    }

    /// Begins the drain at Ctrl-C or, on Unix, `SIGTERM`. A second signal cuts.
    ///
    /// From the first poll of [`Serving`] on, these signals no longer end the process by themselves, not even after the drain: that
    /// is how tokio handles signals. If they cannot be listened for, that is logged as an error, and they end the process as
    /// before.
    #[must_use]
    pub fn shutdown_on_signals(mut self) -> Self {
        self.triggers.push(Box::pin(signal::obey(self.handle())));
        self
    }

    /// Serves every connection with a clone of `service`, until it is shut down.
    ///
    /// The service may be an axum `Router` or anything else that answers requests with a [`Body`]. Every request is answered by a
    /// clone of its own, which is made ready first. Waiting for that is part of the request: it holds up neither the connection's
    /// other streams nor the accept loop. A request without a body has [`Body::empty`]. [`ConnectInfo`](crate::ConnectInfo) is in
    /// its extensions.
    ///
    /// An error of the service is logged, and answered: a [`Rejection`](bartizan_core::Rejection) anywhere in it by
    /// [its response](bartizan_core::Rejection::into_response), and any other by a 500 with problem details, which say nothing of the
    /// error. An error of a body, which comes too late for an answer, ends the connection, over HTTP/2 only the stream. So does a
    /// panic.
    ///
    /// A request over HTTP/1.1 with no `Host`, or more than one, is answered by a 400 (RFC 9112 section 3.2). If its target is
    /// absolute, `Host` is what the target says. Over HTTP/2, a `Host` that differs from `:authority` is answered by a 400.
    pub fn serve<S, RB>(self, service: S) -> Serving
    where
        S: Service<Request<Body>, Response = Response<RB>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        RB: http_body::Body + Send + 'static,
        RB::Data: Send,
        RB::Error: Into<BoxError>,
    {
        let protocol = Protocol::new(self.http);
        let run = run(self.tcp, self.owner, protocol, self.drain_timeout, service);
        Serving::new(self.triggers, run)
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("local_addr", &self.local_addr)
            .finish_non_exhaustive()
    }
}
