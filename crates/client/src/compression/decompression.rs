//! Responses, decompressed.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bartizan_core::{BoxError, ConfigError};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    body::{DecodedBody, Limits},
    coding::{Coding, Encoded, MOST_CODINGS, accept, encoded},
};
use crate::{
    Error,
    error::{Call, Kind},
};

/// Asks for compressed responses, and decompresses them as they are read.
///
/// A request that has an `Accept-Encoding` or a `Range` of its own passes untouched, and so does its response: who asks for bytes of the
/// wire shall have them. [`Decompression`] in the request's extensions says otherwise.
///
/// Of what was decompressed, `Content-Encoding` and `Content-Length` are gone, as they are those of the wire; [`Decompressed`] in the
/// extensions has them. A coding that is not known leaves the response as it is, its header too.
///
/// # Examples
///
/// ```
/// use bartizan_client::{RequestExt, ResponseExt, compression::DecompressionLayer};
/// use bartizan_core::{Body, BoxError};
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = service_fn(|request: Request<Body>| async move {
///     assert_eq!(request.headers()["accept-encoding"], "zstd, br, gzip, deflate");
///     // "hello", as gzip has it.
///     let body = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\x48\xcd\xc9\xc9\x07\0\x86\xa6\x10\x36\x05\0\0\0";
///     let response = Response::builder().header("content-encoding", "gzip");
///     Ok::<_, BoxError>(response.body(Body::from(&body[..])).unwrap())
/// });
/// let client = ServiceBuilder::new().layer(DecompressionLayer::new()).service(server);
///
/// let response = client.get("http://h/").send().await?;
/// assert!(response.headers().get("content-encoding").is_none());
/// assert_eq!(response.text().await?, "hello");
/// # Ok(())
/// # }
/// ```
///
/// Only gzip, and no more than 1 MiB:
///
/// ```
/// use bartizan_client::compression::{Coding, DecompressionLayer};
///
/// let layer = DecompressionLayer::builder()
///     .codings([Coding::Gzip])
///     .max_decoded(1024 * 1024)
///     .build()?;
/// # let _ = layer;
///
/// let error = DecompressionLayer::builder().max_ratio(0).build().unwrap_err();
/// assert_eq!(error.to_string(), "invalid max_ratio `0`: expected 1 or more");
/// # Ok::<(), bartizan_core::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct DecompressionLayer {
    settings: Arc<Settings>,
}

#[derive(Debug)]
struct Settings {
    accept: Option<HeaderValue>,
    limits: Limits,
}

impl DecompressionLayer {
    /// A layer with every default of [`builder`](Self::builder).
    pub fn new() -> Self {
        Self::builder().layer()
    }

    /// Changes some of the defaults.
    pub fn builder() -> DecompressionBuilder {
        DecompressionBuilder {
            codings: Coding::ALL.to_vec(),
            limits: Limits {
                size: 4 * 1024 * 1024 * 1024,
                ratio: 200,
                free: 1024 * 1024,
            },
        }
    }
}

impl Default for DecompressionLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for DecompressionLayer {
    type Service = DecompressionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DecompressionService {
            inner,
            settings: Arc::clone(&self.settings),
        }
    }
}

/// Settings of a [`DecompressionLayer`].
#[derive(Clone, Debug)]
pub struct DecompressionBuilder {
    codings: Vec<Coding>,
    limits: Limits,
}

impl DecompressionBuilder {
    /// Sets which codings are asked for, the one to prefer first. What arrives in another one that is known is decoded all the same.
    ///
    /// Default: [`Coding::ALL`].
    #[must_use]
    pub fn codings(mut self, codings: impl IntoIterator<Item = Coding>) -> Self {
        self.codings = codings.into_iter().collect();
        self
    }

    /// Sets how many bytes a body may have once it is decoded.
    ///
    /// Default: 4 GiB. Nothing is kept in memory here, so this only ends what has no end; what is read whole has a
    /// [`BodyLimit`](crate::BodyLimit) besides.
    #[must_use]
    pub const fn max_decoded(mut self, bytes: u64) -> Self {
        self.limits.size = bytes;
        self
    }

    /// Sets how many decoded bytes there may be for each byte of the wire, once there are more than 1 MiB of them.
    ///
    /// Default: 200. Text expands some 5 to 20 times, a log of equal lines perhaps 100 times; what is made to do harm expands 1,000
    /// times as gzip, and more by the others.
    #[must_use]
    pub const fn max_ratio(mut self, ratio: u64) -> Self {
        self.limits.ratio = ratio;
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// If a limit is zero.
    pub fn build(self) -> Result<DecompressionLayer, ConfigError> {
        for (field, value) in [
            ("max_decoded", self.limits.size),
            ("max_ratio", self.limits.ratio),
        ] {
            if value == 0 {
                return Err(ConfigError::new(field, value, "1 or more"));
            }
        }
        Ok(self.layer())
    }

    fn layer(self) -> DecompressionLayer {
        DecompressionLayer {
            settings: Arc::new(Settings {
                accept: accept(&self.codings),
                limits: self.limits,
            }),
        }
    }
}

/// Whether one request's response is decompressed: an option for its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Decompression {
    /// It is not, and nothing is asked for.
    Off,
    /// It is, whatever `Accept-Encoding` the request has. A part of a representation (206) never is, as it starts in its middle.
    Always,
}

/// What a response was on the wire, in its extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decompressed {
    codings: Vec<Coding>,
    wire_length: Option<u64>,
}

impl Decompressed {
    /// The codings that are undone, in the order in which the server applied them.
    pub fn codings(&self) -> &[Coding] {
        &self.codings
    }

    /// How many bytes the body has on the wire, if that is known.
    pub const fn wire_length(&self) -> Option<u64> {
        self.wire_length
    }
}

/// The service of a [`DecompressionLayer`].
#[derive(Clone, Debug)]
pub struct DecompressionService<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> DecompressionService<S> {
    /// Decompresses what `inner` answers, with every default.
    pub fn new(inner: S) -> Self {
        DecompressionLayer::new().layer(inner)
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for DecompressionService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    S::Error: Into<BoxError>,
    ResBody: Body,
{
    type Response = Response<DecodedBody<ResBody>>;
    type Error = Error;
    type Future = DecompressionFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner
            .poll_ready(cx)
            .map_err(|error| Error::of_service(error.into(), Kind::NotReady))
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let choice = request.extensions().get().copied();
        let headers = request.headers_mut();
        let is_asked_for =
            headers.contains_key(header::ACCEPT_ENCODING) || headers.contains_key(header::RANGE);
        let is_decoding = match choice {
            Some(Decompression::Always) => true,
            Some(Decompression::Off) => false,
            None => !is_asked_for,
        };
        if is_decoding && !is_asked_for {
            if let Some(accept) = &self.settings.accept {
                headers.insert(header::ACCEPT_ENCODING, accept.clone());
            }
        }
        // A response to `HEAD` has the headers of a body, and none.
        let decoding = (is_decoding && request.method() != Method::HEAD)
            .then(|| For(Arc::clone(&self.settings)));
        DecompressionFuture {
            inner: self.inner.call(request),
            decoding,
        }
    }
}

/// How a response is decoded.
#[derive(Debug)]
struct For(Arc<Settings>);

pin_project! {
    /// The response of a [`DecompressionService`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct DecompressionFuture<F> {
        #[pin]
        inner: F,
        decoding: Option<For>,
    }
}

impl<F, B, E> Future for DecompressionFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    B: Body,
{
    type Output = Result<Response<DecodedBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))
            .map_err(|error| Error::of_service(error.into(), Kind::Service))?;
        Poll::Ready(match this.decoding.take() {
            Some(decoding) => decoding.decode(response),
            None => Ok(response.map(DecodedBody::plain)),
        })
    }
}

impl For {
    fn decode<B: Body>(self, mut response: Response<B>) -> Result<Response<DecodedBody<B>>, Error> {
        // A part starts in the middle of the coding. What has ended has nothing to decode.
        if response.status() == StatusCode::PARTIAL_CONTENT || response.body().is_end_stream() {
            return Ok(response.map(DecodedBody::plain));
        }
        let codings = match encoded(response.headers()) {
            Encoded::No | Encoded::Unknown => return Ok(response.map(DecodedBody::plain)),
            Encoded::TooOften => {
                let error = format!(
                    "the response has more than {MOST_CODINGS} content codings, one on top of the other"
                );
                // Of the transport, if it is ours; else of whoever sent the request.
                let call = Call::answered_by(response.extensions_mut());
                return Err(Error::new(Kind::Decode, error).with_call(call));
            }
            Encoded::By(codings) => codings,
        };
        let (mut head, body) = response.into_parts();
        head.headers.remove(header::CONTENT_ENCODING);
        head.headers.remove(header::CONTENT_LENGTH);
        head.extensions.insert(Decompressed {
            codings: codings.clone(),
            wire_length: body.size_hint().exact(),
        });
        let body = DecodedBody::decoding(body, codings, self.0.limits);
        Ok(Response::from_parts(head, body))
    }
}
