//! Where connections come from, and how they are to be served.

use std::{fmt, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use bartizan_core::{Body, BoxError};
use http::{Request, Response};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, ToSocketAddrs},
};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Accept, Accepted, Address, BindError, ConnectInfo, Connector, HttpSettings, Memory, Metered,
    Observer, Plain, ProxyProtocol, Serving, ShutdownHandle, Socket, Then, TlsHandshake,
    bind::{self, AcceptedOptions},
    drain::{Drain, Owner},
    handshake::Gate,
    http::{FOREVER, capped},
    place::Protocol,
    serve::{Server, Trigger, run},
    signal,
};

/// Bound sockets, or another source of connections, with the settings for serving it.
///
/// Peers can connect as soon as it is bound; they wait until it [serves](Self::serve). Dropped before that, it closes the sockets.
///
/// `A` is where connections come from, with its [layers](crate::accept), and `H` what is said on them [before HTTP](crate::handshake).
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
pub struct Listener<A = Socket, H = Plain> {
    sources: Vec<A>,
    handshake: H,
    settings: Settings,
}

/// All that does not depend on where connections come from.
struct Settings {
    local_addrs: Vec<Address>,
    owner: Owner,
    observer: Option<Arc<dyn Observer>>,
    triggers: Vec<Trigger>,
    gate: Gate,
    http: HttpSettings,
    drain_timeout: Duration,
}

impl Listener {
    /// Binds a TCP socket. Port 0 lets the system choose one: [`local_addr`](Self::local_addr) tells which.
    ///
    /// If `addr` resolves to several addresses, the first that can be bound is. `SO_REUSEADDR` is set on Unix, so that a restarted
    /// process need not wait for the connections of its predecessor to be forgotten. Has to be called within a tokio runtime.
    /// Dropping the future binds nothing. For several sockets, other kinds and other options there is [`Bind`](crate::Bind).
    ///
    /// # Errors
    ///
    /// If `addr` cannot be resolved, or none of its addresses be bound: the error is that of the last one.
    pub async fn bind(
        addr: impl ToSocketAddrs + fmt::Debug + Send + Sync,
    ) -> Result<Self, BindError> {
        let sockets = bind::bind_first(addr, &bind::Options::DEFAULT).await?;
        Ok(Self::from_sockets(sockets))
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

    /// Takes over a socket of tokio's, such as one with options that [`Bind`](crate::Bind) does not set.
    ///
    /// # Errors
    ///
    /// If the system does not tell its address.
    pub fn from_tokio(socket: TcpListener) -> Result<Self, BindError> {
        let socket = Socket::tcp(socket, AcceptedOptions::DEFAULT).map_err(BindError::adopt)?;
        Ok(Self::from_sockets(vec![socket]))
    }

    pub(crate) fn from_sockets(sockets: Vec<Socket>) -> Self {
        let addrs = sockets.iter().map(|socket| socket.local_addr().clone());
        Self::new(addrs.collect(), sockets)
    }
}

impl Listener<Memory> {
    /// Listens within the process, and gives what connects to it. For tests: see [`memory`](crate::memory()).
    pub fn in_memory() -> (Self, Connector) {
        let (memory, connector) = bind::memory();
        (Self::new(vec![Address::Memory], vec![memory]), connector)
    }
}

impl<A: Accept> Listener<A> {
    /// Serves connections from anywhere.
    ///
    /// ```
    /// use bartizan_listener::{ConnectionLimit, Listener, memory};
    /// use tower::Layer;
    ///
    /// let (incoming, _connector) = memory();
    /// let listener = Listener::from_accept(ConnectionLimit::new(10).layer(incoming));
    /// assert!(listener.local_addrs().is_empty(), "it does not know");
    /// ```
    pub fn from_accept(source: A) -> Self {
        Self::new(Vec::new(), vec![source])
    }
}

impl<A> Listener<A> {
    fn new(local_addrs: Vec<Address>, sources: Vec<A>) -> Self {
        Self {
            sources,
            handshake: Plain::default(),
            settings: Settings {
                local_addrs,
                owner: Owner(Drain::new()),
                observer: None,
                triggers: Vec::new(),
                gate: Gate::new(),
                http: HttpSettings::default(),
                drain_timeout: Duration::from_secs(25),
            },
        }
    }
}

impl<H> Listener<Socket, H> {
    /// Whether small writes go out at once (`TCP_NODELAY`). The default is `true`.
    ///
    /// hyper writes a response in as few pieces as it can, so there is nothing to gain from holding the last one back until the peer
    /// has acknowledged the one before, and up to 40 ms to lose. To be set before [layers](Self::layer) are added.
    #[must_use]
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        for socket in &mut self.sources {
            socket.options_mut().nodelay = nodelay;
        }
        self
    }

    /// The sockets once more, to be passed to another process: the next version of this one. Unix only.
    ///
    /// Both accept from the same backlog then, so no connection is refused in between. Given to a child as its standard input
    /// (`Stdio::from`), the child takes it over by [`ListenAddr::Stdin`](crate::ListenAddr::Stdin). In the order of
    /// [`local_addrs`](Self::local_addrs).
    ///
    /// # Errors
    ///
    /// If the process may not open more files.
    #[cfg(unix)]
    pub fn try_clone_fds(&self) -> std::io::Result<Vec<std::os::fd::OwnedFd>> {
        self.sources.iter().map(Socket::try_clone_fd).collect()
    }
}

impl<A, H> Listener<A, H> {
    /// The first TCP address it is bound to, with the port that was chosen.
    ///
    /// # Panics
    ///
    /// If it listens on no TCP socket: then there is only [`local_addrs`](Self::local_addrs).
    pub fn local_addr(&self) -> SocketAddr {
        let mut addrs = self.settings.local_addrs.iter();
        addrs
            .find_map(Address::socket_addr)
            .expect("a listener without a TCP socket has no socket address")
    }

    /// Everything it is bound to, with the ports that were chosen. One address for each socket, so several times the same if it has
    /// several [accept loops](crate::Bind::accept_loops).
    pub fn local_addrs(&self) -> &[Address] {
        &self.settings.local_addrs
    }

    /// A handle that shuts it down, now or later.
    pub fn handle(&self) -> ShutdownHandle {
        ShutdownHandle(Arc::clone(&self.settings.owner.0))
    }

    /// Puts a layer over the accept stream of each socket. The last one added is asked first.
    ///
    /// Such as a [`ConnectionLimit`](crate::ConnectionLimit), or a [`PeerLimit`](crate::PeerLimit).
    #[must_use]
    pub fn layer<L: Layer<A>>(self, layer: L) -> Listener<L::Service, H> {
        let sources = self.sources.into_iter();
        Listener {
            sources: sources.map(|source| layer.layer(source)).collect(),
            handshake: self.handshake,
            settings: self.settings,
        }
    }

    /// Adds what has to be done on a connection before HTTP begins, after what was added before: see
    /// [`handshake`](crate::handshake).
    #[must_use]
    pub fn handshake<S>(self, handshake: S) -> Listener<A, Then<H, S>> {
        Listener {
            sources: self.sources,
            handshake: Then::new(self.handshake, handshake),
            settings: self.settings,
        }
    }

    /// Reads the PROXY headers of a load balancer. To be added before [`tls`](Self::tls): see
    /// [`proxy_protocol`](crate::proxy_protocol).
    #[must_use]
    pub fn proxy_protocol(self, proxy: ProxyProtocol) -> Listener<A, Then<H, ProxyProtocol>> {
        self.handshake(proxy)
    }

    /// Encrypts connections by `acceptor`: a `Service` from a transport to an encrypted one, such as `TlsAcceptor` of `bartizan-tls`.
    ///
    /// `describe` is called when the handshake is done, with the encrypted transport. What it notes in [`ConnectInfo`] is known to every
    /// request:
    ///
    /// ```
    /// use bartizan_listener::{Listener, Metered, Stream};
    /// # /// In place of a real one.
    /// # struct TlsStream<IO>(IO);
    /// # #[derive(Clone)]
    /// # struct TlsInfo;
    /// # impl TlsInfo { fn alpn(&self) -> Option<&[u8]> { None } }
    /// # impl<IO> TlsStream<IO> { fn tls_info(&self) -> &TlsInfo { &TlsInfo } }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let acceptor = tower::service_fn(|io: Metered<Stream>| async { std::io::Result::Ok(TlsStream(io)) });
    /// let listener = Listener::bind("127.0.0.1:0")
    ///     .await?
    ///     .tls(acceptor, |stream: &TlsStream<Metered<Stream>>, info| {
    ///         info.set_tls(stream.tls_info().alpn());
    ///         info.extensions_mut().insert(stream.tls_info().clone());
    ///     });
    /// # assert_ne!(listener.local_addr().port(), 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn tls<S, F, IO>(self, acceptor: S, describe: F) -> Listener<A, Then<H, TlsHandshake<S, F>>>
    where
        F: Fn(&IO, &mut ConnectInfo),
    {
        self.handshake(TlsHandshake::new(acceptor, describe))
    }

    /// How long all that comes before HTTP may take: PROXY header, TLS, and anything else that was
    /// [added](Self::handshake). The default is 10 s: several round trips over a bad line.
    ///
    /// Waiting for a [place](Self::max_handshakes) counts. It is one deadline over all of it; the time for the first request begins
    /// after it.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.settings.gate.set_timeout(timeout.min(FOREVER));
        self
    }

    /// How many connections may perform their handshakes at once. The default is 1024; zero is taken for one.
    ///
    /// Further ones wait for a place until their time is over. A TLS handshake costs this side about a millisecond of a core, and the
    /// other side much less.
    #[must_use]
    pub fn max_handshakes(mut self, max: usize) -> Self {
        self.settings.gate.set_max(max);
        self
    }

    /// Tells `observer` what happens. One only; the default is nobody. To keep one end of it, give an `Arc`.
    #[must_use]
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.settings.observer = Some(Arc::new(observer));
        self
    }

    /// How HTTP is spoken, and what a peer may ask of it. The default is [`HttpSettings::default`], which is meant for the open
    /// internet. All of them are replaced.
    #[must_use]
    pub fn http(mut self, settings: HttpSettings) -> Self {
        self.settings.http = settings;
        self
    }

    /// How long a peer may take to send the head of a request: see
    /// [`HttpSettingsBuilder::header_read_timeout`](crate::HttpSettingsBuilder::header_read_timeout). The default is
    /// 30 s; `None` is no limit.
    #[must_use]
    pub fn header_read_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.http.header_read_timeout = capped(timeout);
        self
    }

    /// How long requests in flight may take to end once the drain has begun; then they are cut. The default is 25 s.
    ///
    /// That is below the 30 s that Kubernetes leaves between `SIGTERM` and `SIGKILL` unless told otherwise, and leaves 5 s for what
    /// the process does after it. A drain takes only as long as its last request, whatever is set here. Zero cuts at once.
    #[must_use]
    pub const fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.settings.drain_timeout = timeout;
        self
    }

    /// How long all is served as before once it is shut down, while [readiness](ShutdownHandle::readiness) says no already; then the
    /// drain begins. The default is no time.
    ///
    /// It is for those who route requests by lists that lag: on Kubernetes a pod gets `SIGTERM` when its address is taken out of the lists
    /// of nodes, proxies and balancers, which takes seconds, and who stops accepting before refuses what they still send. 5 to 10 s are
    /// usual. With the [drain timeout](Self::drain_timeout), which begins after it, it has to be less than the time until `SIGKILL`.
    /// Everywhere else, and at every Ctrl-C, there is nobody to wait for.
    ///
    /// It begins with the first poll of [`Serving`] at the earliest. [`ShutdownHandle::cut`] ends it, and so does a second signal after
    /// [`shutdown_on_signals`](Self::shutdown_on_signals).
    ///
    /// ```
    /// use bartizan_core::{Body, BoxError};
    /// use bartizan_listener::Listener;
    /// use http::Response;
    /// use std::time::Duration;
    /// use tokio::time::Instant;
    /// use tower::service_fn;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), BoxError> {
    /// let (listener, _connector) = Listener::in_memory();
    /// let listener = listener.drain_delay(Duration::from_secs(5));
    /// let handle = listener.handle();
    /// let start = Instant::now();
    /// handle.shutdown();
    /// assert!(!handle.readiness().is_ready() && !handle.is_draining());
    /// listener.serve(service_fn(|_| async { Ok::<_, BoxError>(Response::new(Body::empty())) })).await;
    /// assert_eq!(start.elapsed().as_secs(), 5);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn drain_delay(self, delay: Duration) -> Self {
        self.settings.owner.0.set_delay(delay.min(FOREVER));
        self
    }

    /// Begins the drain, after its [delay](Self::drain_delay), when `when` ends. More than one may be set; the first to end counts.
    ///
    /// It is polled by [`Serving`], and dropped with it.
    #[must_use]
    pub fn shutdown_when(mut self, when: impl Future<Output = ()> + Send + 'static) -> Self {
        let handle = self.handle();
        self.settings.triggers.push(Box::pin(async move {
            when.await;
            handle.shutdown();
        }));
        self
    }

    /// Begins the drain, after its [delay](Self::drain_delay), at Ctrl-C or, on Unix, `SIGTERM`. A second signal cuts.
    ///
    /// From the first poll of [`Serving`] on, these signals no longer end the process by themselves, not even after the drain: that
    /// is how tokio handles signals. If they cannot be listened for, that is logged as an error, and they end the process as
    /// before.
    #[must_use]
    pub fn shutdown_on_signals(mut self) -> Self {
        self.settings
            .triggers
            .push(Box::pin(signal::obey(self.handle())));
        self
    }

    /// Serves every connection with a clone of `service`, until it is shut down.
    ///
    /// The service may be an axum `Router` or anything else that answers requests with a [`Body`]. Every request is answered by a
    /// clone of its own, which is made ready first. Waiting for that is part of the request: it holds up neither the connection's
    /// other streams nor the accept loop. A request without a body has [`Body::empty`]. [`ConnectInfo`](crate::ConnectInfo) is in
    /// its extensions.
    ///
    /// It is called by the connection's task. Over HTTP/2 that task polls each answer once, and one that is not there then becomes a task of
    /// its own; where first polls take long, all do from the start. Computing for longer than some microseconds belongs into
    /// `spawn_blocking`, here as elsewhere. A service that blocks its thread, even by `block_in_place`, until something else happens on
    /// the same connection, would wait for ever: see
    /// [`http2_spawn_streams`](crate::HttpSettingsBuilder::http2_spawn_streams).
    ///
    /// An error of the service is answered: a [`Rejection`](bartizan_core::Rejection) or an
    /// [`ExtractError`](crate::extract::ExtractError) anywhere in it by its own response, and any other by a 500 with problem details,
    /// which say nothing of the error; that is logged as an error. An error of a body, which comes too late for an answer, ends the
    /// connection, over HTTP/2 only the stream. So does a panic.
    ///
    /// A request over HTTP/1.1 with no `Host`, or more than one, is answered by a 400 (RFC 9112 section 3.2). If its target is
    /// absolute, `Host` is what the target says. Over HTTP/2, a `Host` that differs from `:authority` is answered by a 400.
    pub fn serve<S, RB, IO>(self, service: S) -> Serving
    where
        A: Accept + Send + 'static,
        A::Io: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        H: Service<Accepted<Metered<A::Io>>, Response = Accepted<IO>> + Clone + Send + 'static,
        H::Error: Into<BoxError>,
        H::Future: Send,
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        S: Service<Request<Body>, Response = Response<RB>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        RB: http_body::Body + Send + 'static,
        RB::Data: Send,
        RB::Error: Into<BoxError>,
    {
        let settings = self.settings;
        let server = Server {
            protocol: Protocol::new(settings.http),
            gate: settings.gate,
            handshake: self.handshake,
            observer: settings.observer,
            service,
        };
        let run = run(self.sources, settings.owner, settings.drain_timeout, server);
        Serving::new(settings.triggers, run)
    }
}

impl<A, H> fmt::Debug for Listener<A, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("local_addrs", &self.settings.local_addrs)
            .finish_non_exhaustive()
    }
}
