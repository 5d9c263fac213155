//! How large a response may be.
//!
//! # Placement
//!
//! Right above the transport, below decompression: it counts what came over the wire. What that expands to is limited by the
//! [`DecompressionLayer`](crate::compression::DecompressionLayer), and what is read into memory by a [`BodyLimit`](crate::BodyLimit).
//!
//! # State
//!
//! None between calls.
//!
//! # Readiness and cancellation
//!
//! Ready when the inner service is. A response that is too large is dropped when that is known, and its connection with it.
//!
//! # Errors
//!
//! [`Error`]: [`is_too_large`](Error::is_too_large) holds, and the message names the limit.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_core::BoxError;
use bytes::Buf;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Error,
    error::{Call, Kind},
};

/// How large a response may be on the wire: for a whole stack by the [`ResponseLimitsLayer`], and for one request as its extension, which
/// then replaces the layer's.
///
/// The transport has limits of its own on what it keeps in memory while it reads a head. These are the caller's: what a response may be
/// to be handed on.
///
/// ```
/// use bartizan_client::ResponseLimits;
///
/// let limits = ResponseLimits::new().headers(8 * 1024).body(None);
/// assert_ne!(limits, ResponseLimits::default());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseLimits {
    status_line: usize,
    headers: usize,
    header_count: usize,
    body: Option<u64>,
}

impl ResponseLimits {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            status_line: 4096,
            headers: 64 * 1024,
            header_count: 256,
            body: Some(4 * 1024 * 1024 * 1024),
        }
    }

    /// Sets how many bytes the status line may have: version, code and reason.
    ///
    /// Default: 4096, of which a sensible one needs 30. Only HTTP/1.1 has a reason.
    #[must_use]
    pub const fn status_line(mut self, bytes: usize) -> Self {
        self.status_line = bytes;
        self
    }

    /// Sets how many bytes the headers may have together, names and values, and the trailers again.
    ///
    /// Default: 64 KiB. Servers stop at 8 to 32 KiB in what they accept, and send less.
    #[must_use]
    pub const fn headers(mut self, bytes: usize) -> Self {
        self.headers = bytes;
        self
    }

    /// Sets how many headers there may be, and trailers again.
    ///
    /// Default: 256.
    #[must_use]
    pub const fn header_count(mut self, count: usize) -> Self {
        self.header_count = count;
        self
    }

    /// Sets how many bytes the body may have on the wire. `None` is no limit.
    ///
    /// Default: 4 GiB. The body is a stream, so this costs no memory; it ends what has no end.
    #[must_use]
    pub const fn body(mut self, bytes: Option<u64>) -> Self {
        self.body = bytes;
        self
    }

    fn check_head<B>(&self, response: &Response<B>) -> Result<(), Error> {
        // `HTTP/1.1 200 ` and the reason.
        let line = 13
            + response
                .extensions()
                .get::<hyper::ext::ReasonPhrase>()
                .map_or(0, |reason| reason.as_bytes().len());
        if line > self.status_line {
            return Err(too_large(
                Kind::HeadTooLarge,
                format_args!("the status line has {line} bytes"),
                format_args!("{} bytes", self.status_line),
                "status_line",
            ));
        }
        self.check_headers("headers", response.headers())
    }

    fn check_headers(&self, which: &str, headers: &HeaderMap) -> Result<(), Error> {
        if headers.len() > self.header_count {
            return Err(too_large(
                Kind::HeadTooLarge,
                format_args!("it has {} {which}", headers.len()),
                format_args!("{}", self.header_count),
                "header_count",
            ));
        }
        let size: usize = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        if size > self.headers {
            return Err(too_large(
                Kind::HeadTooLarge,
                format_args!("its {which} have {size} bytes"),
                format_args!("{} bytes", self.headers),
                "headers",
            ));
        }
        Ok(())
    }

    fn check_body(&self, length: u64) -> Result<(), Error> {
        match self.body {
            Some(limit) if length > limit => Err(too_large(
                Kind::TooLarge,
                format_args!("its body has {length} bytes or more"),
                format_args!("{limit} bytes"),
                "body",
            )),
            _ => Ok(()),
        }
    }
}

impl Default for ResponseLimits {
    fn default() -> Self {
        Self::new()
    }
}

fn too_large(
    kind: Kind,
    what: std::fmt::Arguments<'_>,
    limit: std::fmt::Arguments<'_>,
    setting: &str,
) -> Error {
    Error::new(
        kind,
        format!(
            "the response is too large: {what}, and the limit is {limit}; raise `{setting}` of the ResponseLimits"
        ),
    )
}

/// Fails a response that is larger than its [`ResponseLimits`]: at its head, or where its body passes the limit.
///
/// # Examples
///
/// ```
/// use bartizan_client::{RequestExt, ResponseLimits, ResponseLimitsLayer};
/// use bartizan_core::{Body, BoxError};
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = service_fn(|_: Request<Body>| async {
///     let response = Response::builder().header("x-long", "a".repeat(100));
///     Ok::<_, BoxError>(response.body(Body::empty()).unwrap())
/// });
/// let limits = ResponseLimits::new().headers(64);
/// let client = ServiceBuilder::new().layer(ResponseLimitsLayer::new(limits)).service(server);
///
/// let error = client.get("http://h/").send().await.unwrap_err();
/// assert!(error.is_too_large());
/// assert_eq!(
///     error.to_string(),
///     "GET http://h/: the response is too large: its headers have 106 bytes, and the limit is 64 bytes; raise `headers` of the ResponseLimits"
/// );
///
/// // For one request.
/// client.get("http://h/").extension(ResponseLimits::new()).send().await?;
/// # Ok(())
/// # }
/// ```
///
/// A body that is known to be too large fails before any of it is read; another where it gets too large:
///
/// ```
/// use bartizan_client::{RequestExt, ResponseExt, ResponseLimits, ResponseLimitsLayer};
/// # use bartizan_core::{Body, BoxError};
/// # use http::{Request, Response};
/// # use tower::{ServiceBuilder, service_fn};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = service_fn(|_: Request<Body>| async {
///     Ok::<_, BoxError>(Response::new(Body::from("hello")))
/// });
/// let limits = ResponseLimits::new().body(Some(4));
/// let client = ServiceBuilder::new().layer(ResponseLimitsLayer::new(limits)).service(server);
/// assert!(client.get("http://h/").send().await.unwrap_err().is_too_large());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponseLimitsLayer {
    limits: ResponseLimits,
}

impl ResponseLimitsLayer {
    /// A layer with these limits.
    pub const fn new(limits: ResponseLimits) -> Self {
        Self { limits }
    }
}

impl<S> Layer<S> for ResponseLimitsLayer {
    type Service = ResponseLimitsService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ResponseLimitsService {
            inner,
            limits: self.limits,
        }
    }
}

/// The service of a [`ResponseLimitsLayer`].
#[derive(Clone, Copy, Debug)]
pub struct ResponseLimitsService<S> {
    inner: S,
    limits: ResponseLimits,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for ResponseLimitsService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    S::Error: Into<BoxError>,
    ResBody: Body,
{
    type Response = Response<LimitedBody<ResBody>>;
    type Error = Error;
    type Future = ResponseLimitsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner
            .poll_ready(cx)
            .map_err(|error| Error::of_service(error.into(), Kind::NotReady))
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let limits = request.extensions().get().copied().unwrap_or(self.limits);
        ResponseLimitsFuture {
            inner: self.inner.call(request),
            limits,
        }
    }
}

pin_project! {
    /// The response of a [`ResponseLimitsService`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseLimitsFuture<F> {
        #[pin]
        inner: F,
        limits: ResponseLimits,
    }
}

impl<F, B, E> Future for ResponseLimitsFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    B: Body,
{
    type Output = Result<Response<LimitedBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))
            .map_err(|error| Error::of_service(error.into(), Kind::Service))?;
        let limits = *this.limits;
        // A response to `HEAD` has ended, whatever length it tells.
        let length = match response.body().is_end_stream() {
            true => 0,
            false => response.body().size_hint().lower(),
        };
        let checked = limits
            .check_head(&response)
            .and_then(|()| limits.check_body(length));
        Poll::Ready(match checked {
            Ok(()) => Ok(response.map(|inner| LimitedBody {
                inner,
                limits,
                length: 0,
                is_over: false,
            })),
            // Of the transport, if it is ours; else of whoever sent the request.
            Err(error) => Err(error.with_call(Call::answered_by(response.extensions_mut()))),
        })
    }
}

pin_project! {
    /// A response body that fails where it gets larger than its [`ResponseLimits`].
    #[derive(Debug)]
    pub struct LimitedBody<B> {
        #[pin]
        inner: B,
        limits: ResponseLimits,
        length: u64,
        is_over: bool,
    }
}

impl<B> Body for LimitedBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Error>>> {
        let this = self.project();
        if *this.is_over {
            return Poll::Ready(None);
        }
        let Some(frame) = ready!(this.inner.poll_frame(cx)) else {
            return Poll::Ready(None);
        };
        let frame = frame.map_err(|error| Error::of_body(error.into()))?;
        let checked = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => {
                *this.length += data.remaining() as u64;
                this.limits.check_body(*this.length)
            }
            (None, Some(trailers)) => this.limits.check_headers("trailers", trailers),
            (None, None) => Ok(()),
        };
        *this.is_over = checked.is_err();
        Poll::Ready(Some(checked.map(|()| frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
