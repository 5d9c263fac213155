//! The fetcher for those who bring none.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use ::http::{HeaderValue, StatusCode, Uri, header};
use bartizan_core::{Body, BoxError};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::FetchRequest;

/// Fetches lists and answers over plain HTTP/1.1: a connection for each, no redirects, no proxy, no cookies.
///
/// It connects wherever a certificate says that verifies. It reads no more than it is allowed to, and stops when it is dropped; the
/// time is the engine's to limit.
///
/// ```
/// # #[cfg(feature = "aws-lc")]
/// # fn main() -> Result<(), bartizan_core::ConfigError> {
/// use bartizan_tls::{Provider, revocation::{HttpFetcher, Method, Revocation}};
///
/// let provider = Provider::aws_lc();
/// let ask = || Revocation::of_clients(&provider).methods([Method::Ocsp]);
/// assert!(ask().build().unwrap_err().to_string().contains("fetcher"));
/// ask().fetcher(HttpFetcher::new()).build()?;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "aws-lc"))]
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpFetcher(());

impl HttpFetcher {
    /// A fetcher.
    pub const fn new() -> Self {
        Self(())
    }
}

impl Service<FetchRequest> for HttpFetcher {
    type Response = Bytes;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Bytes, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: FetchRequest) -> Self::Future {
        Box::pin(fetch(request))
    }
}

async fn fetch(request: FetchRequest) -> Result<Bytes, BoxError> {
    let mut http = request.to_http::<Body>();
    let uri = http.uri().clone();
    let (Some(authority), Some(host)) = (uri.authority(), uri.host()) else {
        return Err(invalid("there is no host in the address"));
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?;

    let headers = http.headers_mut();
    headers.insert(header::HOST, HeaderValue::from_str(authority.as_str())?);
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *http.uri_mut() = path.parse::<Uri>()?;

    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let response = sender.send_request(http).await?;
        // Redirects too: they could lead anywhere.
        if response.status() != StatusCode::OK {
            return Err(invalid(format!("the answer is {}", response.status())));
        }
        collect(response.into_body(), request.max_size).await
    };
    drive(exchange, connection).await
}

/// The whole body, if it is no larger than that.
pub(crate) async fn collect<B>(body: B, max_size: usize) -> Result<Bytes, BoxError>
where
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    let too_large = || invalid(format!("the answer has more than {max_size} bytes"));
    if body.size_hint().lower() > max_size as u64 {
        return Err(too_large());
    }
    let mut body = pin!(body);
    let mut collected = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(data) = frame.map_err(Into::into)?.into_data() else {
            continue;
        };
        if data.remaining() > max_size - collected.len() {
            return Err(too_large());
        }
        collected.put(data);
    }
    Ok(collected.freeze())
}

/// Polls the connection while the exchange needs it. Nothing is spawned: what drops the fetch drops the connection.
pub(crate) async fn drive<T>(
    exchange: impl Future<Output = Result<T, BoxError>>,
    connection: impl Future<Output = hyper::Result<()>>,
) -> Result<T, BoxError> {
    let (mut exchange, mut connection) = (pin!(exchange), pin!(connection));
    let mut is_open = true;
    poll_fn(|cx| {
        if let Poll::Ready(done) = exchange.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        if is_open && connection.as_mut().poll(cx).is_ready() {
            // Its error, if it is one, is the exchange's as well, which is told by now.
            is_open = false;
            return exchange.as_mut().poll(cx);
        }
        Poll::Pending
    })
    .await
}

fn invalid(what: impl Into<BoxError>) -> BoxError {
    io::Error::new(io::ErrorKind::InvalidData, what).into()
}
