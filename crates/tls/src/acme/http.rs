//! How to speak to a CA: a seam, and a client for those who bring none.

use std::{
    fmt,
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bartizan_core::{Body, BoxError, ConfigError};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse};
use tokio::net::TcpStream;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    ClientTls, TlsConnector, TlsConnectorLayer,
    revocation::{collect, drive},
};

/// More than any certificate chain, and nothing else is larger.
const MAX_SIZE: usize = 256 * 1024;
/// Nobody waits for it, and a CA under load is slow.
const TIMEOUT: Duration = Duration::from_secs(30);
const DAY: u64 = 60 * 60 * 24;

type Answering = Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>>;
type Call = dyn Fn(Request<Body>) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, BoxError>> + Send>>
    + Send
    + Sync;

/// A client of any type, with limits. Its clones are one and the same.
#[derive(Clone)]
pub(super) struct Client {
    call: Arc<Call>,
    /// How long the CA wants to be left alone: instant-acme does not hand it on.
    hold_off: Arc<Mutex<Option<Duration>>>,
}

impl Client {
    pub(super) fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: http_body::Body + Send,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        Self {
            call: Arc::new(move |request| {
                let mut service = service.clone();
                Box::pin(async move {
                    // The clone that is made ready is the one that is called.
                    poll_fn(|cx| service.poll_ready(cx))
                        .await
                        .map_err(Into::into)?;
                    let response = service.call(request).await.map_err(Into::into)?;
                    let (parts, body) = response.into_parts();
                    let body = collect(body, MAX_SIZE).await?;
                    Ok(Response::from_parts(parts, body))
                })
            }),
            hold_off: Arc::default(),
        }
    }

    /// How long the CA wanted to be left alone when it last refused, told once.
    pub(super) fn take_hold_off(&self) -> Option<Duration> {
        let mut hold_off = self.hold_off.lock().unwrap_or_else(PoisonError::into_inner);
        hold_off.take()
    }
}

impl instant_acme::HttpClient for Client {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Answering {
        let this = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let asked = async {
                let body = collect(body, MAX_SIZE).await?;
                (this.call)(Request::from_parts(parts, Body::from(body))).await
            };
            let response = match tokio::time::timeout(TIMEOUT, asked).await {
                Ok(answered) => answered,
                Err(_) => Err(invalid(format!("no answer within {TIMEOUT:?}"))),
            };
            let (mut parts, body) = response.map_err(instant_acme::Error::Other)?.into_parts();
            // A wait that has no end overflows the clock of who believes it.
            if let Some(seconds) = seconds(&parts) {
                let seconds = seconds.min(DAY);
                parts.headers.insert(header::RETRY_AFTER, seconds.into());
                if parts.status.is_client_error() || parts.status.is_server_error() {
                    let mut hold_off = this.hold_off.lock().unwrap_or_else(PoisonError::into_inner);
                    *hold_off = Some(Duration::from_secs(seconds));
                }
            }
            Ok(BytesResponse {
                parts,
                body: Box::new(body),
            })
        })
    }
}

/// The wait that a response asks for in seconds, however many.
fn seconds(parts: &http::response::Parts) -> Option<u64> {
    let text = parts
        .headers
        .get(header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Speaks to a CA over HTTP/1.1 and TLS: a connection for each request, no redirects, no proxy, no cookies.
///
/// It goes to `https` addresses only, and spawns nothing.
#[derive(Clone)]
pub struct HttpsClient {
    connector: TlsConnector<Tcp>,
}

impl HttpsClient {
    /// A client with these settings. The application protocol is `http/1.1`, whatever they say.
    ///
    /// # Errors
    ///
    /// If they cannot be used, as in [`TlsConnectorLayer::try_new`].
    pub fn try_new(settings: ClientTls) -> Result<Self, ConfigError> {
        let layer = TlsConnectorLayer::try_new(settings.alpn(["http/1.1"]))?;
        Ok(Self {
            connector: layer.layer(Tcp),
        })
    }
}

impl Service<Request<Body>> for HttpsClient {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(exchange(self.connector.clone(), request))
    }
}

async fn exchange(
    mut connector: TlsConnector<Tcp>,
    mut request: Request<Body>,
) -> Result<Response<Body>, BoxError> {
    let uri = request.uri().clone();
    let (Some("https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(invalid("the address is no https one"));
    };
    poll_fn(|cx| Service::<Uri>::poll_ready(&mut connector, cx)).await?;
    let stream = connector.call(uri.clone()).await?;

    let headers = request.headers_mut();
    headers.insert(header::HOST, HeaderValue::from_str(authority.as_str())?);
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse()?;

    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let (parts, body) = sender.send_request(request).await?.into_parts();
        // Whole, because the connection ends with this future.
        let body = collect(body, MAX_SIZE).await?;
        Ok(Response::from_parts(parts, Body::from(body)))
    };
    drive(exchange, connection).await
}

impl fmt::Debug for HttpsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpsClient").finish_non_exhaustive()
    }
}

/// TCP to where an address says.
#[derive(Clone, Copy, Debug)]
struct Tcp;

impl Service<Uri> for Tcp {
    type Response = TcpStream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(async move {
            let host = uri.host().unwrap_or_default();
            let host = host.trim_start_matches('[').trim_end_matches(']');
            TcpStream::connect((host, uri.port_u16().unwrap_or(443))).await
        })
    }
}

fn invalid(what: impl Into<BoxError>) -> BoxError {
    io::Error::new(io::ErrorKind::InvalidData, what).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_however_long() {
        for (text, expected) in [
            ("0", Some(0)),
            (" 30 ", Some(30)),
            ("18446744073709551616", Some(u64::MAX)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", None),
            ("-1", None),
            ("", None),
        ] {
            let response = Response::builder().header(header::RETRY_AFTER, text);
            let (parts, ()) = response.body(()).unwrap().into_parts();
            assert_eq!(seconds(&parts), expected, "{text}");
        }
    }
}
