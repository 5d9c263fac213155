//! Proxies above a connector.

use std::{
    borrow::Cow,
    fmt, io,
    net::{IpAddr, SocketAddr},
    task::{Context, Poll, ready},
};

use bartizan_core::BoxError;
use bytes::Bytes;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use super::{Proxied, Proxies, Proxy, http_tunnel, server::Protocol, socks, socks::Target};
use crate::{
    Error, Phase,
    connect::{
        Connecting, Connection, Destination, Unresolved, error_of, limited, literal, resolve,
    },
    dns::{Answer, Name, SystemResolver},
    error::Kind,
};

/// Leads connections through [`Proxies`].
///
/// Over an HTTP proxy, requests of plain http are sent to the proxy itself, with absolute URIs and its credentials: the connection [says
/// so](crate::connect::Connected::is_proxied), and the pool does it. Everything else goes through a tunnel, which the proxy does not read.
///
/// # Placement
///
/// Above a connector that reaches the proxies as well as what goes directly. TLS to the origin is a layer above, and TLS to an `https`
/// proxy one below, as the [module](super) shows.
///
/// # State
///
/// None.
///
/// # Readiness and cancellation
///
/// Readiness is the inner connector's. Dropping the future closes the connection to the proxy.
///
/// # Errors
///
/// [`Error`], which [is of a proxy](Error::is_proxy) where one cannot be reached, refuses, answers with something else, or does not answer
/// within the connect timeout, which begins anew when the proxy is connected. What fails without a proxy is as it was. Whatever the
/// proxy sends, at most 16 KiB of it are kept.
///
/// # Differences from hyper-util
///
/// Its `Tunnel` throws away what comes right after the proxy's answer, takes 200 for the only success, and does not tell the status. Its
/// SOCKS blocks the runtime where names are resolved here. Its `Matcher` knows no ports, and goes directly where a variable is misspelt.
///
/// # Examples
///
/// ```
/// use bartizan_client::{connect::{Connection, Destination, SocketConnector}, proxy::{Proxies, ProxyLayer}};
/// use bartizan_testing::RawServer;
/// use tower::{Layer, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let proxy = RawServer::start(|_stream| async {}).await;
/// let proxies = Proxies::new().all(format!("http://me:secret@{}", proxy.addr()).parse()?);
/// let connector = ProxyLayer::new(proxies).layer(SocketConnector::new());
///
/// let destination = Destination::of(&"http://origin.example/".parse()?).unwrap();
/// let connected = connector.oneshot(destination).await?.connected();
/// assert!(connected.is_proxied() && connected.proxy_authorization().is_some());
/// assert_eq!(connected.peer_addr(), Some(proxy.addr()));
/// # Ok(())
/// # }
/// ```
///
/// A proxy that refuses:
///
/// ```
/// use bartizan_client::{connect::{Destination, SocketConnector}, proxy::{Proxies, ProxyLayer}};
/// use bartizan_testing::Loopback;
/// use http::Response;
/// use tower::{Layer, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let proxy = Loopback::start(|_| async { Response::builder().status(403).body("no".into()).unwrap() }).await;
/// let proxies = Proxies::new().all(format!("http://{}", proxy.addr()).parse()?);
/// let connector = ProxyLayer::new(proxies).layer(SocketConnector::new());
///
/// // What a layer that makes TLS calls it with.
/// let destination = Destination::of(&"https://origin.example/".parse()?).unwrap().with_tls_above();
/// let error = connector.oneshot(destination).await.unwrap_err();
/// assert!(error.is_proxy());
/// assert_eq!(
///     error.to_string(),
///     format!("tunnel to origin.example:443 failed: the proxy http://{} refused with 403 Forbidden", proxy.addr())
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ProxyLayer<R = SystemResolver> {
    proxies: Proxies,
    resolver: R,
}

impl ProxyLayer {
    /// With these proxies, and the resolver of the system where a SOCKS proxy is sent addresses.
    pub fn new(proxies: Proxies) -> Self {
        Self {
            proxies,
            resolver: SystemResolver::new(),
        }
    }
}

impl<R> ProxyLayer<R> {
    /// Sets what resolves the origin's name for `socks4` and `socks5`. Of its addresses the first is used, or the first of IPv4 for
    /// `socks4`.
    #[must_use]
    pub fn resolver<R2>(self, resolver: R2) -> ProxyLayer<R2> {
        ProxyLayer {
            proxies: self.proxies,
            resolver,
        }
    }
}

impl<C, R: Clone> Layer<C> for ProxyLayer<R> {
    type Service = ProxyConnector<C, R>;

    fn layer(&self, inner: C) -> ProxyConnector<C, R> {
        ProxyConnector {
            inner,
            proxies: self.proxies.clone(),
            resolver: self.resolver.clone(),
        }
    }
}

/// A connector that leads through proxies, by a [`ProxyLayer`].
#[derive(Clone, Debug)]
pub struct ProxyConnector<C, R = SystemResolver> {
    inner: C,
    proxies: Proxies,
    resolver: R,
}

impl<C, R> Service<Destination> for ProxyConnector<C, R>
where
    C: Service<Destination>,
    C::Response: Connection + Send + Unpin + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
    R: Service<Name, Response = Answer> + Clone + Send + 'static,
    R::Error: Into<BoxError>,
    R::Future: Send,
{
    type Response = Proxied<C::Response>;
    type Error = Error;
    type Future = Connecting<Proxied<C::Response>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let ready = ready!(self.inner.poll_ready(cx));
        Poll::Ready(ready.map_err(|error| Error::of_service(error.into(), Kind::NotReady)))
    }

    fn call(&mut self, destination: Destination) -> Connecting<Proxied<C::Response>> {
        let Some(proxy) = self.proxies.for_destination(&destination) else {
            let connecting = self.inner.call(destination.clone());
            return Connecting::new(async move {
                match connecting.await {
                    Ok(connection) => Ok(Proxied::direct(connection)),
                    Err(error) => Err(error_of(error.into(), &destination)),
                }
            });
        };
        let is_http = matches!(proxy.protocol(), Protocol::Http | Protocol::Https);
        let is_forwarded = is_http && !destination.is_https() && !proxy.tunnels_all();
        if destination.needs_tls() {
            return Connecting::new(std::future::ready(Err(Error::new(
                Kind::Tls,
                "https through a proxy needs TLS above the ProxyLayer, and there is none",
            ))));
        }
        let connecting = self.inner.call(proxy.destination(&destination));
        let resolver = self.resolver.clone();
        Connecting::new(async move {
            let target = if is_http {
                None
            } else {
                Some(target(&proxy, &destination, resolver).await?)
            };
            let mut connection = connecting
                .await
                .map_err(|error| unreached(&proxy, error.into()))?;
            if is_forwarded {
                return Ok(Proxied::forwarded(connection, proxy.authorization()));
            }
            let began = Instant::now();
            let opening = open(&mut connection, &proxy, target, &destination);
            let (host, port) = (destination.host(), destination.port());
            match limited(destination.connect_timeout(), opening).await {
                Ok(Ok(early)) => {
                    destination.record(Phase::Proxy, began.elapsed());
                    Ok(Proxied::tunnel(connection, early))
                }
                Ok(Err(failure)) => Err(failure.explained(&proxy, host, port)),
                Err(limit) => Err(Error::new(
                    Kind::ProxyTimeout,
                    format!(
                        "tunnel to {host}:{port} failed: the proxy {proxy} did not answer within {limit:?}; check that it reaches {host}, or raise the `connect` timeout"
                    ),
                )),
            }
        })
    }
}

async fn open<C: Connection + Send + Unpin>(
    connection: &mut C,
    proxy: &Proxy,
    target: Option<Target>,
    destination: &Destination,
) -> Result<Bytes, Failure> {
    let credentials = proxy.credentials().cloned();
    let handshake = match (target, proxy.protocol()) {
        (Some(target), Protocol::Socks4 | Protocol::Socks4a) => {
            socks::Handshake::v4(target, credentials)
        }
        (Some(target), _) => socks::Handshake::v5(target, credentials),
        (None, _) => {
            let (host, port) = (destination.host(), destination.port());
            let authorization = proxy.authorization();
            return http_tunnel::open(connection, host, port, authorization.as_ref()).await;
        }
    };
    socks::open(connection, handshake).await?;
    Ok(Bytes::new())
}

/// What a SOCKS proxy is told of the destination.
async fn target<R>(proxy: &Proxy, destination: &Destination, resolver: R) -> Result<Target, Error>
where
    R: Service<Name, Response = Answer> + Send,
    R::Error: Into<BoxError>,
    R::Future: Send,
{
    let (host, port) = (destination.host(), destination.port());
    if let Some(address) = literal(host) {
        return Ok(Target::Address(SocketAddr::new(address, port)));
    }
    let is_socks4 = match proxy.protocol() {
        Protocol::Socks4 => true,
        Protocol::Socks5 => false,
        _ => return Ok(Target::Name(host.to_owned(), port)),
    };
    let until = destination
        .resolve_timeout()
        .and_then(|limit| Instant::now().checked_add(limit));
    let began = Instant::now();
    let mut answer = resolve(host, resolver, until)
        .await
        .map_err(|error| error.explained(destination))?;
    destination.record(Phase::Resolve, began.elapsed());
    if is_socks4 && !answer.addresses().iter().any(IpAddr::is_ipv4) {
        // The IPv4 addresses may still be on their way.
        let whole = limited(destination.resolve_timeout(), answer.complete()).await;
        answer = match whole {
            Ok(Ok(whole)) => whole,
            Ok(Err(source)) => return Err(Unresolved::Failed(source).explained(destination)),
            Err(_) => return Err(Unresolved::TimedOut.explained(destination)),
        };
    }
    let mut addresses = answer.addresses().iter().copied();
    let address = if is_socks4 {
        addresses.find(IpAddr::is_ipv4)
    } else {
        addresses.next()
    };
    match address {
        Some(address) => Ok(Target::Address(SocketAddr::new(address, port))),
        None => Err(Error::new(
            Kind::Dns,
            format!("`{host}` has no IPv4 address, and socks4 has no other: use socks5 or socks4a"),
        )),
    }
}

fn unreached(proxy: &Proxy, error: BoxError) -> Error {
    let is_timeout = error.downcast_ref().is_some_and(Error::is_timeout);
    let (kind, problem) = if is_timeout {
        (Kind::ProxyTimeout, "did not answer in time")
    } else {
        (Kind::Proxy, "cannot be reached")
    };
    Error::new(kind, format!("the proxy {proxy} {problem}")).with_source(error)
}

/// Why a proxy made no tunnel: what follows its name in a sentence.
#[derive(Debug)]
pub(crate) struct Failure {
    problem: Cow<'static, str>,
    source: Option<BoxError>,
}

impl Failure {
    pub(crate) fn refused(problem: impl Into<Cow<'static, str>>) -> Self {
        Self {
            problem: problem.into(),
            source: None,
        }
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    fn explained(self, proxy: &Proxy, host: &str, port: u16) -> Error {
        let error = Error::new(
            Kind::Proxy,
            format!("tunnel to {host}:{port} failed: the proxy {proxy} {self}"),
        );
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::refused("broke off").with_source(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}
