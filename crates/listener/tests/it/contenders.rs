//! The listener and bare hyper, with one service and both with their defaults.

use std::{convert::Infallible, net::SocketAddr, sync::LazyLock};

use bartizan_core::{Body, BoxError};
use bartizan_listener::Listener;
use bartizan_testing::RawServer;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tower::service_fn;

use crate::support::Server;

/// Serves one connection as hyper-util's examples do: either protocol, no timer, and no limit but hyper's own.
pub(crate) async fn serve_by_hyper(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
    let service = hyper::service::service_fn(repeat);
    // What goes wrong is the client's to see.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(io), service)
        .await;
}

pub(crate) struct Contenders {
    ours: Server,
    hyper: RawServer,
}

impl Contenders {
    pub(crate) async fn start() -> Self {
        let listener = Listener::bind("127.0.0.1:0").await.expect("a free port");
        Self {
            ours: Server::start(listener, service_fn(repeat)),
            hyper: RawServer::start(serve_by_hyper).await,
        }
    }

    /// Ours first.
    pub(crate) fn addrs(&self) -> [SocketAddr; 2] {
        [self.ours.addr, self.hyper.addr()]
    }

    pub(crate) async fn shutdown(self) {
        self.ours.handle.cut();
        self.ours.ended().await;
    }
}

/// What the service is asked never to answer.
pub(crate) const NEVER: &str = "/never";

/// Where there are as many bytes as the rest of the path says.
pub(crate) const BYTES: &str = "/bytes/";

/// Shared, so that what a response costs is not the service's doing.
pub(crate) static XS: LazyLock<Bytes> = LazyLock::new(|| vec![b'x'; 8 << 20].into());

/// Says what it was asked when it has read all of it: `(POST / a 5)`, method, path, host and length.
///
/// Takes any body, so that both can have it.
pub(crate) async fn repeat<B>(request: Request<B>) -> Result<Response<Body>, BoxError>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    if request.uri().path() == NEVER {
        let never: Infallible = std::future::pending().await;
        match never {}
    }
    if let Some(bytes) = request.uri().path().strip_prefix(BYTES) {
        let bytes: usize = bytes.parse()?;
        return Ok(Response::new(Body::from(XS.slice(..bytes))));
    }
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(Into::into)?.to_bytes();
    let host = head.headers.get(http::header::HOST);
    let host = String::from_utf8_lossy(host.map_or(b"", |host| host.as_bytes()));
    // Its beginning is enough.
    let path: String = head.uri.path().chars().take(20).collect();
    let said = format!("({} {path} {host} {})", head.method, body.len());
    Ok(Response::new(Body::from(said)))
}
