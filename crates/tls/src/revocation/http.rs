//! The fetcher for those who bring none.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use ::http::{HeaderValue, Request, StatusCode, Uri, header};
use bartizan_core::{Body, BoxError};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::FetchRequest;

/// Fetches lists and answers over plain HTTP/1.1: a connection for each, no redirects, no proxy, no cookies.
///
/// A responder is asked by [GET](FetchRequest::to_get) where that is possible, and by POST if it does not understand that.
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

/// `malformedRequest`, in DER: what a responder says that does not take a GET for a question.
const MALFORMED_REQUEST: &[u8] = &[0x30, 3, 0x0a, 1, 1];

async fn fetch(request: FetchRequest) -> Result<Bytes, BoxError> {
    let answer = match request.to_get() {
        None => ask(request.to_http(), request.max_size).await?,
        Some(get) => match ask(get, request.max_size).await? {
            // It does not know the address, or not the method; one that has failed is not asked twice.
            Err(status) if status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED => {
                ask(request.to_http(), request.max_size).await?
            }
            Ok(answer) if answer == MALFORMED_REQUEST => {
                ask(request.to_http(), request.max_size).await?
            }
            answer => answer,
        },
    };
    // Redirects too: they could lead anywhere.
    answer.map_err(|status| invalid(format!("the answer is {status}")))
}

/// What the answer has in it, or its status if that is not 200.
async fn ask(
    mut http: Request<Body>,
    max_size: usize,
) -> Result<Result<Bytes, StatusCode>, BoxError> {
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
        if response.status() != StatusCode::OK {
            return Ok(Err(response.status()));
        }
        collect(response.into_body(), max_size).await.map(Ok)
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
