//! Sockets: TCP, and those of Unix.

use std::{
    future::poll_fn,
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bartizan_core::BoxError;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tower_service::Service;

use super::{
    Attempts, ConnectOptions, Connected, Connecting, Connection, Destination, HappyEyeballs,
    SocketOptions, happy_eyeballs::race,
};
use crate::{
    Error, Phase,
    dns::{Answer, InvalidName, Name, StaticOverrides, SystemResolver},
    error::Kind,
};

/// Connects sockets: TCP to the host of a [`Destination`], or the Unix socket that its
/// [`ConnectOptions`](super::ConnectOptions::unix_socket) name. The innermost of all connectors.
///
/// A host that is a name goes to the resolver `R`, which is a `Service<Name>` with an [`Answer`]; one that is an address goes to nobody.
/// Several addresses are tried as [`HappyEyeballs`] has it.
///
/// # Placement
///
/// At the bottom. It makes no TLS, and refuses a destination that [needs it](Destination::needs_tls), so that nothing is sent in the clear
/// by mistake: TLS is a layer above.
///
/// # State
///
/// None of its own: clones share the resolver as its clones do.
///
/// # Readiness and cancellation
///
/// Always ready; a resolver that is not is waited for in the call. Dropping the future closes the sockets it has opened.
///
/// # Errors
///
/// [`Error`], which [is of DNS](Error::is_dns) until the first address is known, and then [of connecting](Error::is_connect), with
/// [`Attempts`] as its source. Both have the time limits of the destination.
///
/// # Examples
///
/// ```
/// use bartizan_client::connect::{Connection, Destination, SocketConnector};
/// use bartizan_testing::RawServer;
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = RawServer::start(|_stream| async {}).await;
/// let destination = Destination::of(&server.uri("/")).unwrap();
///
/// let socket = SocketConnector::new().oneshot(destination).await?;
/// assert_eq!(socket.connected().peer_addr(), Some(server.addr()));
/// # Ok(())
/// # }
/// ```
///
/// A resolver of one's own, and other socket options:
///
/// ```
/// use bartizan_client::{connect::{Destination, SocketConnector, SocketOptions}, dns::{Answer, Name}};
/// use bartizan_testing::RawServer;
/// use std::{convert::Infallible, net::IpAddr, time::Duration};
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = RawServer::start(|_stream| async {}).await;
/// let resolver = tower::service_fn(|name: Name| async move {
///     assert_eq!(name.as_str(), "db.internal");
///     Ok::<_, Infallible>(Answer::new(["127.0.0.1".parse().unwrap()]))
/// });
/// let connector = SocketConnector::with_resolver(resolver)
///     .socket_options(SocketOptions::new().keep_alive(Duration::from_secs(5), Duration::from_secs(5), 2));
///
/// let uri = format!("http://db.internal:{}/", server.addr().port());
/// connector.oneshot(Destination::of(&uri.parse()?).unwrap()).await?;
/// server.closed().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SocketConnector<R = SystemResolver> {
    resolver: R,
    settings: Arc<Settings>,
}

#[derive(Clone, Debug, Default)]
struct Settings {
    options: SocketOptions,
    happy_eyeballs: HappyEyeballs,
    overrides: StaticOverrides,
}

impl SocketConnector {
    /// With the resolver of the system, and nothing remembered.
    pub fn new() -> Self {
        Self::with_resolver(SystemResolver::new())
    }
}

impl Default for SocketConnector {
    fn default() -> Self {
        Self::new()
    }
}

impl<R> SocketConnector<R> {
    /// With this resolver.
    pub fn with_resolver(resolver: R) -> Self {
        Self {
            resolver,
            settings: Arc::default(),
        }
    }

    /// Sets what is set on TCP sockets.
    #[must_use]
    pub fn socket_options(mut self, options: SocketOptions) -> Self {
        Arc::make_mut(&mut self.settings).options = options;
        self
    }

    /// Sets how several addresses are tried.
    #[must_use]
    pub fn happy_eyeballs(mut self, settings: HappyEyeballs) -> Self {
        Arc::make_mut(&mut self.settings).happy_eyeballs = settings;
        self
    }

    /// Sets the hosts whose addresses are known already.
    #[must_use]
    pub fn overrides(mut self, overrides: StaticOverrides) -> Self {
        Arc::make_mut(&mut self.settings).overrides = overrides;
        self
    }
}

impl<R> Service<Destination> for SocketConnector<R>
where
    R: Service<Name, Response = Answer> + Clone + Send + 'static,
    R::Error: Into<BoxError>,
    R::Future: Send,
{
    type Response = Socket;
    type Error = Error;
    type Future = Connecting<Socket>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, destination: Destination) -> Connecting<Socket> {
        let resolver = self.resolver.clone();
        let settings = Arc::clone(&self.settings);
        Connecting::new(async move {
            if destination.needs_tls() {
                return Err(Error::new(
                    Kind::Tls,
                    "https needs TLS, and this connector has none: put a TLS layer above it",
                ));
            }
            let unix_socket = destination
                .options()
                .and_then(ConnectOptions::get_unix_socket);
            match unix_socket {
                Some(path) => {
                    let began = Instant::now();
                    let socket = connect_unix(path, destination.connect_timeout()).await?;
                    destination.record(Phase::Connect, began.elapsed());
                    Ok(socket)
                }
                None if destination.needs_proxy() => Err(Error::new(
                    Kind::Proxy,
                    "the request asks for a proxy, and this connector knows none: put a ProxyLayer above it",
                )),
                None => {
                    let stream = connect_tcp(&destination, resolver, &settings).await?;
                    Ok(Socket(Kinds::Tcp(stream)))
                }
            }
        })
    }
}

async fn connect_tcp<R>(
    destination: &Destination,
    resolver: R,
    settings: &Settings,
) -> Result<TcpStream, Error>
where
    R: Service<Name, Response = Answer> + Send,
    R::Error: Into<BoxError>,
    R::Future: Send,
{
    let (host, port) = (destination.host(), destination.port());
    // So far ahead as to be no limit, where a limit is.
    let now = Instant::now();
    let resolve_until = destination
        .resolve_timeout()
        .and_then(|limit| now.checked_add(limit));
    let (answer, port) = match settings.overrides.get(host, port) {
        Some((addresses, port)) => (Answer::new(addresses), port),
        None => {
            let answer = resolve(host, resolver, resolve_until).await;
            let answer = answer.map_err(|error| error.explained(destination))?;
            if literal(host).is_none() {
                destination.record(Phase::Resolve, now.elapsed());
            }
            (answer, port)
        }
    };
    let resolved = Instant::now();
    let local = destination
        .options()
        .and_then(ConnectOptions::get_local_address);
    let mut attempts = Attempts::default();
    let racing = race(
        settings.happy_eyeballs,
        answer,
        resolve_until,
        port,
        |peer| settings.options.connect(peer, local),
        &mut attempts,
    );
    match limited(destination.connect_timeout(), racing).await {
        Ok(Some(stream)) => {
            destination.record(Phase::Connect, resolved.elapsed());
            Ok(stream)
        }
        Ok(None) => Err(Error::new(
            Kind::Connect,
            format!("connection failed: tried {host}:{port}; check that something listens there"),
        )
        .with_source(attempts)),
        Err(limit) => Err(Error::new(
            Kind::ConnectTimeout,
            format!(
                "no connection within {limit:?}: tried {host}:{port}; check that it is reachable, or raise `connect_timeout`"
            ),
        )
        .with_source(attempts)),
    }
}

/// Why there is no address.
pub(crate) enum Unresolved {
    TimedOut,
    Failed(BoxError),
}

impl Unresolved {
    pub(crate) fn explained(self, destination: &Destination) -> Error {
        let host = destination.host();
        match self {
            Self::Failed(source) => Error::new(
                Kind::Dns,
                format!("`{host}` does not resolve; check the name"),
            )
            .with_source(source),
            Self::TimedOut => Error::new(
                Kind::DnsTimeout,
                format!(
                    "`{host}` did not resolve within {:?}; check the name servers, or raise the `resolve` timeout",
                    destination.resolve_timeout().unwrap_or_default()
                ),
            ),
        }
    }
}

/// The addresses of `host`, or as many of them as are known at first.
pub(crate) async fn resolve<R>(
    host: &str,
    mut resolver: R,
    until: Option<Instant>,
) -> Result<Answer, Unresolved>
where
    R: Service<Name, Response = Answer> + Send,
    R::Error: Into<BoxError>,
    R::Future: Send,
{
    if let Some(address) = literal(host) {
        return Ok(Answer::new([address]));
    }
    let name: Name = host
        .parse()
        .map_err(|error: InvalidName| Unresolved::Failed(error.into()))?;
    let looking_up = async move {
        poll_fn(|cx| resolver.poll_ready(cx)).await?;
        resolver.call(name).await
    };
    let mut answer = match until {
        Some(until) => timeout_at(until, looking_up)
            .await
            .map_err(|_| Unresolved::TimedOut)?,
        None => looking_up.await,
    }
    .map_err(|error| Unresolved::Failed(error.into()))?;
    // An answer of nothing but a promise is none yet.
    while answer.addresses.is_empty() {
        let Some(rest) = answer.rest.take() else {
            return Err(Unresolved::Failed("the name has no address".into()));
        };
        answer = match until {
            Some(until) => timeout_at(until, rest)
                .await
                .map_err(|_| Unresolved::TimedOut)?,
            None => rest.await,
        }
        .map_err(Unresolved::Failed)?;
    }
    Ok(answer)
}

/// The address that `host` is, in brackets or without.
pub(crate) fn literal(host: &str) -> Option<IpAddr> {
    unbracketed(host).parse().ok()
}

/// `host` without the brackets that an IPv6 address has in a URI.
pub(crate) fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

/// The result of `work`, or the limit that it did not keep.
pub(crate) async fn limited<T>(
    limit: Option<Duration>,
    work: impl Future<Output = T> + Send,
) -> Result<T, Duration> {
    match limit {
        Some(limit) => timeout(limit, work).await.map_err(|_| limit),
        None => Ok(work.await),
    }
}

#[cfg(unix)]
async fn connect_unix(path: &std::path::Path, limit: Option<Duration>) -> Result<Socket, Error> {
    let name = path.display();
    match limited(limit, UnixStream::connect(path)).await {
        Ok(Ok(stream)) => Ok(Socket(Kinds::Unix(stream))),
        Ok(Err(error)) => Err(Error::new(
            Kind::Connect,
            format!("connection failed: tried the Unix socket {name}; check that something listens there"),
        )
        .with_source(error)),
        Err(limit) => Err(Error::new(
            Kind::ConnectTimeout,
            format!("no connection within {limit:?}: tried the Unix socket {name}; its listener does not accept"),
        )),
    }
}

#[cfg(not(unix))]
#[expect(clippy::unused_async, reason = "as on Unix")]
async fn connect_unix(path: &std::path::Path, _: Option<Duration>) -> Result<Socket, Error> {
    let name = path.display();
    Err(Error::new(
        Kind::Connect,
        format!("this system has no Unix sockets, so not {name} either"),
    ))
}

/// A connected socket.
#[derive(Debug)]
pub struct Socket(Kinds);

#[derive(Debug)]
enum Kinds {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Calls a method of whichever socket it is.
macro_rules! either {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match &mut $self.get_mut().0 {
            Kinds::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            #[cfg(unix)]
            Kinds::Unix(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Kinds::Tcp(stream) => stream.is_write_vectored(),
            #[cfg(unix)]
            Kinds::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.poll_shutdown(cx))
    }
}

impl Connection for Socket {
    fn connected(&self) -> Connected {
        match &self.0 {
            Kinds::Tcp(stream) => stream.connected(),
            // Its addresses are paths, and most clients' have none.
            #[cfg(unix)]
            Kinds::Unix(_) => Connected::new(),
        }
    }
}
