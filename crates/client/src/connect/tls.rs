//! TLS on what a connector makes.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use bartizan_core::{BoxError, ConfigError};
use bartizan_tls::{ClientTls, ConnectorHandle, MaybeTls, Target, TlsConnectorLayer};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Alpn, ConnectOptions, Connected, Connecting, Connection, Destination, error_of,
    socket::{limited, unbracketed},
};
use crate::{Error, Phase, error::Kind};

/// Makes TLS on the connections of another connector, for the destinations that [need it](Destination::needs_tls); the others pass.
///
/// The settings are those of [`ClientTls`]. A request that [names a profile](ConnectOptions::tls_profile) gets those of that name, and
/// connections of different profiles are never shared. With a proxy, HTTP/1.1 is spoken, so nothing else is offered to it.
///
/// What came of the handshake, a [`TlsInfo`](bartizan_tls::TlsInfo), is in the extensions of every response on that connection.
///
/// # Placement
///
/// Above a `ProxyLayer`, for the origins, and below it, for proxies that are reached by TLS. The [`Connector`](super::Connector) has both.
///
/// # Readiness and cancellation
///
/// Ready when the inner connector is. Dropping the future drops the connection.
///
/// # Errors
///
/// [`is_tls`](Error::is_tls), with the [`bartizan_tls::Error`] as its source, which knows whether it is worth another try. The time for
/// the handshake is the shorter of [`Timeouts::tls`](crate::Timeouts::tls) and that of [`ClientTls`].
///
/// # Examples
///
/// ```
/// use bartizan_client::connect::{SocketConnector, TlsLayer};
/// use bartizan_tls::{ClientTls, Provider, TrustAnchors};
/// use tower::Layer;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let root = rcgen_root();
/// let trust = TrustAnchors::from_pem(&root)?;
/// let tls = TlsLayer::try_new(ClientTls::new(Provider::aws_lc(), trust))?;
/// let connector = tls.layer(SocketConnector::new());
/// # let _ = connector;
/// # Ok(())
/// # }
/// # fn rcgen_root() -> Vec<u8> {
/// #     let key = rcgen::KeyPair::generate().unwrap();
/// #     let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
/// #     parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
/// #     parameters.self_signed(&key).unwrap().pem().into_bytes()
/// # }
/// ```
///
/// Another identity for the requests that ask for it, and a change while it runs:
///
/// ```
/// use bartizan_client::connect::TlsLayer;
/// use bartizan_tls::{ClientTls, Provider, TrustAnchors};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let key = rcgen::KeyPair::generate()?;
/// # let mut parameters = rcgen::CertificateParams::new(Vec::new())?;
/// # parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
/// # let root = parameters.self_signed(&key)?.pem().into_bytes();
/// let settings = ClientTls::new(Provider::aws_lc(), TrustAnchors::from_pem(&root)?);
/// let tls = TlsLayer::try_new(settings.clone())?.profile("no-sni", settings.clone().sni(false))?;
///
/// let handle = tls.handle_of("no-sni").unwrap();
/// handle.reload(settings.sni(false).handshake_timeout(Duration::from_secs(3)))?;
/// assert!(tls.handle_of("other").is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TlsLayer {
    profiles: Arc<Profiles>,
}

#[derive(Clone, Debug, Default)]
struct Profiles {
    // `None` refuses what needs TLS.
    usual: Option<TlsConnectorLayer>,
    named: HashMap<Arc<str>, TlsConnectorLayer>,
}

impl TlsLayer {
    /// A layer with these settings.
    ///
    /// # Errors
    ///
    /// If they cannot be used together.
    pub fn try_new(settings: ClientTls) -> Result<Self, ConfigError> {
        Ok(Self {
            profiles: Arc::new(Profiles {
                usual: Some(TlsConnectorLayer::try_new(settings)?),
                named: HashMap::new(),
            }),
        })
    }

    /// One that refuses what needs TLS.
    pub(super) fn none() -> Self {
        Self {
            profiles: Arc::default(),
        }
    }

    /// Adds settings for the requests that [ask for them](ConnectOptions::tls_profile) by this name, in place of any of that name.
    ///
    /// # Errors
    ///
    /// If they cannot be used together.
    pub fn profile(
        mut self,
        name: impl Into<Arc<str>>,
        settings: ClientTls,
    ) -> Result<Self, ConfigError> {
        let layer = TlsConnectorLayer::try_new(settings)?;
        Arc::make_mut(&mut self.profiles)
            .named
            .insert(name.into(), layer);
        Ok(self)
    }

    /// A handle that changes the settings while they are in use.
    pub fn handle(&self) -> Option<ConnectorHandle> {
        self.profiles.usual.as_ref().map(TlsConnectorLayer::handle)
    }

    /// The same for the settings of that name.
    pub fn handle_of(&self, name: &str) -> Option<ConnectorHandle> {
        self.profiles.named.get(name).map(TlsConnectorLayer::handle)
    }
}

impl<C> Layer<C> for TlsLayer {
    type Service = TlsService<C>;

    fn layer(&self, inner: C) -> TlsService<C> {
        TlsService {
            inner,
            profiles: Arc::clone(&self.profiles),
        }
    }
}

impl Profiles {
    fn of(&self, destination: &Destination) -> Result<&TlsConnectorLayer, Error> {
        let name = destination
            .options()
            .and_then(ConnectOptions::get_tls_profile);
        match name {
            Some(name) => self.named.get(name).ok_or_else(|| {
                Error::new(
                    Kind::Tls,
                    format!("there is no TLS profile `{name}`: add it by `TlsLayer::profile`"),
                )
            }),
            None => self.usual.as_ref().ok_or_else(|| {
                Error::new(
                    Kind::Tls,
                    "https needs TLS, and there is none: give the transport some by `TransportBuilder::tls`",
                )
            }),
        }
    }
}

/// The connector of a [`TlsLayer`].
#[derive(Clone, Debug)]
pub struct TlsService<C> {
    inner: C,
    profiles: Arc<Profiles>,
}

impl<C> Service<Destination> for TlsService<C>
where
    C: Service<Destination>,
    C::Response: Connection + Send + Unpin + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = MaybeTls<C::Response>;
    type Error = Error;
    type Future = Connecting<MaybeTls<C::Response>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner
            .poll_ready(cx)
            .map_err(|error| Error::of_service(error.into(), Kind::NotReady))
    }

    fn call(&mut self, destination: Destination) -> Self::Future {
        let layer = match destination.needs_tls() {
            true => match self.profiles.of(&destination) {
                Ok(layer) => Some(layer.clone()),
                // Before anything is connected.
                Err(error) => return Connecting::new(ready(Err(error))),
            },
            false => None,
        };
        let connecting = match layer {
            Some(_) => self.inner.call(destination.clone().with_tls_above()),
            None => self.inner.call(destination.clone()),
        };
        Connecting::new(async move {
            let connection = connecting
                .await
                .map_err(|error| error_of(error.into(), &destination))?;
            let Some(layer) = layer else {
                return Ok(MaybeTls::plain(connection));
            };
            let began = Instant::now();
            let handshake = layer.layer(Given(Some(connection))).call(&destination);
            let (host, port) = (destination.host(), destination.port());
            match limited(destination.tls_timeout(), handshake).await {
                Ok(Ok(connection)) => {
                    let phase = match destination.is_proxy() {
                        true => Phase::Proxy,
                        false => Phase::Tls,
                    };
                    destination.record(phase, began.elapsed());
                    Ok(connection)
                }
                Ok(Err(error)) => Err(failed(error, host, port)),
                Err(limit) => Err(Error::new(
                    Kind::TlsTimeout,
                    format!(
                        "no TLS within {limit:?}: tried {host}:{port}; check that it speaks TLS, or raise the `tls` timeout"
                    ),
                )),
            }
        })
    }
}

fn failed(error: BoxError, host: &str, port: u16) -> Error {
    let is_timeout = bartizan_core::find::<bartizan_tls::Error>(&*error)
        .is_some_and(bartizan_tls::Error::is_timeout);
    let kind = if is_timeout {
        Kind::TlsTimeout
    } else {
        Kind::Tls
    };
    Error::new(kind, format!("TLS with {host}:{port} failed")).with_source(error)
}

/// A connector that has connected already, so that the time for the handshake is the handshake's alone.
struct Given<IO>(Option<IO>);

impl<IO> Service<&Destination> for Given<IO> {
    type Response = IO;
    type Error = Infallible;
    type Future = Ready<Result<IO, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: &Destination) -> Self::Future {
        ready(Ok(self.0.take().expect("called once")))
    }
}

impl Target for &Destination {
    fn server_name(&self) -> &str {
        unbracketed(self.host())
    }

    fn is_tls(&self) -> bool {
        self.needs_tls()
    }

    fn alpn(&self) -> Option<Vec<Vec<u8>>> {
        let only = if self.is_proxy() {
            Some(Alpn::Http1)
        } else {
            self.only_protocol()
        };
        only.map(|protocol| {
            vec![match protocol {
                Alpn::Http1 => b"http/1.1".to_vec(),
                Alpn::Http2 => b"h2".to_vec(),
            }]
        })
    }
}

impl<IO: Connection + Unpin> Connection for MaybeTls<IO> {
    fn connected(&self) -> Connected {
        let connected = self.get_ref().connected();
        let Some(info) = self.tls_info() else {
            return connected;
        };
        let alpn = match info.alpn() {
            Some(b"h2") => Some(Alpn::Http2),
            Some(b"http/1.1") => Some(Alpn::Http1),
            _ => None,
        };
        let mut connected = connected.with_alpn(alpn);
        connected.extensions_mut().insert(info.clone());
        connected
    }
}
