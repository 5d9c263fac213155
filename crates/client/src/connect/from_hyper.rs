//! Connectors that were made for hyper.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_core::BoxError;
use http::{Extensions, Uri};
use hyper_util::{
    client::legacy::connect::{Connection as HyperConnection, HttpInfo},
    rt::TokioIo,
};
use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};
use tower_service::Service;

use super::{Alpn, Connected, Connecting, Connection, Destination, error_of, limited};
use crate::{Error, Phase, error::Kind};

/// A connector that was made for hyper-util's client, as one of ours: a `Service<Uri>`, such as hyper-rustls' `HttpsConnector`.
///
/// It is called with scheme, host and port. TLS is its business: a destination of `https` goes to it as such, unless a layer above makes
/// TLS.
///
/// # Readiness and cancellation
///
/// Those of the connector.
///
/// # Errors
///
/// [`Error`], which [is of connecting](Error::is_connect), with the connector's own as its source. The limits for resolving, connecting
/// and TLS count together, since nobody can tell here which of them it is at. A request whose
/// [`ConnectOptions`](super::ConnectOptions) ask for a local address, a Unix socket, a proxy or TLS settings of their own is refused: a `Uri` cannot say that.
///
/// # Examples
///
/// ```
/// use bartizan_client::connect::{Connection, Destination, FromHyper};
/// use bartizan_testing::RawServer;
/// use hyper_util::client::legacy::connect::HttpConnector;
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = RawServer::start(|_stream| async {}).await;
/// let destination = Destination::of(&server.uri("/")).unwrap();
///
/// let stream = FromHyper::new(HttpConnector::new()).oneshot(destination).await?;
/// assert_eq!(stream.connected().peer_addr(), Some(server.addr()));
/// # Ok(())
/// # }
/// ```
///
/// What it cannot do, it says:
///
/// ```
/// use bartizan_client::connect::{ConnectOptions, Destination, FromHyper};
/// use hyper_util::client::legacy::connect::HttpConnector;
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let options = ConnectOptions::new().local_address("127.0.0.2".parse()?);
/// let destination = Destination::of(&"http://127.0.0.1:1/".parse()?).unwrap().with_options(Some(options));
///
/// let error = FromHyper::new(HttpConnector::new()).oneshot(destination).await.unwrap_err();
/// assert!(error.is_builder());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FromHyper<C>(C);

impl<C> FromHyper<C> {
    /// Uses `connector`.
    pub const fn new(connector: C) -> Self {
        Self(connector)
    }
}

impl<C> Service<Destination> for FromHyper<C>
where
    C: Service<Uri>,
    C::Response: HyperConnection + hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = HyperStream<C::Response>;
    type Error = Error;
    type Future = Connecting<HyperStream<C::Response>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let ready = ready!(self.0.poll_ready(cx));
        Poll::Ready(ready.map_err(|error| Error::of_service(error.into(), Kind::NotReady)))
    }

    fn call(&mut self, destination: Destination) -> Connecting<HyperStream<C::Response>> {
        let uri = match uri_of(&destination) {
            Ok(uri) => uri,
            Err(error) => return Connecting::new(std::future::ready(Err(error))),
        };
        let connecting = self.0.call(uri);
        Connecting::new(async move {
            let limits = [
                destination.resolve_timeout(),
                destination.connect_timeout(),
                destination
                    .tls_timeout()
                    .filter(|_| destination.needs_tls()),
            ];
            let has_limit = limits[0].is_some() && limits[1].is_some();
            let limit = limits
                .into_iter()
                .flatten()
                .reduce(std::time::Duration::saturating_add)
                .filter(|_| has_limit);
            let began = Instant::now();
            match limited(limit, connecting).await {
                Ok(Ok(connection)) => {
                    // All of it is one to whoever looks from here.
                    destination.record(Phase::Connect, began.elapsed());
                    Ok(HyperStream {
                        io: TokioIo::new(connection),
                    })
                }
                Ok(Err(error)) => Err(error_of(error.into(), &destination)),
                Err(limit) => Err(Error::new(
                    Kind::ConnectTimeout,
                    format!(
                        "no connection within {limit:?}: tried {destination}; check that it is reachable"
                    ),
                )),
            }
        })
    }
}

fn uri_of(destination: &Destination) -> Result<Uri, Error> {
    let asks_too_much = destination.options().is_some_and(|options| {
        options.get_local_address().is_some()
            || options.get_unix_socket().is_some()
            || options.get_tls_profile().is_some()
    });
    if asks_too_much || destination.needs_proxy() {
        return Err(Error::new(
            Kind::Builder,
            "a connector made for hyper takes neither a local address, nor a Unix socket, nor TLS settings, nor a proxy: leave them out of the `ConnectOptions`",
        ));
    }
    let scheme = if destination.needs_tls() {
        "https"
    } else {
        "http"
    };
    let (host, port) = (destination.host(), destination.port());
    format!("{scheme}://{host}:{port}/")
        .parse()
        .map_err(|error: http::uri::InvalidUri| {
            Error::new(Kind::Builder, format!("`{host}` makes no URI")).with_source(error)
        })
}

pin_project! {
    /// A connection of a connector that was made for hyper.
    #[derive(Debug)]
    pub struct HyperStream<T> {
        #[pin]
        io: TokioIo<T>,
    }
}

impl<T> Connection for HyperStream<T>
where
    T: HyperConnection + hyper::rt::Read + hyper::rt::Write,
{
    fn connected(&self) -> Connected {
        let theirs = self.io.inner().connected();
        let mut extensions = Extensions::new();
        theirs.get_extras(&mut extensions);
        let info = extensions.remove::<HttpInfo>();
        let mut connected = Connected::new()
            .with_alpn(theirs.is_negotiated_h2().then_some(Alpn::Http2))
            .with_proxied(theirs.is_proxied())
            .with_addrs(
                info.as_ref().map(HttpInfo::local_addr),
                info.as_ref().map(HttpInfo::remote_addr),
            );
        connected.extensions_mut().extend(extensions);
        connected
    }
}

impl<T: hyper::rt::Read> AsyncRead for HyperStream<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.project().io.poll_read(cx, buffer)
    }
}

impl<T: hyper::rt::Write> AsyncWrite for HyperStream<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().io.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().io.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_shutdown(cx)
    }
}
