//! Requests, compressed.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bartizan_core::{Body, BoxError};
use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body::{Body as _, Frame};
use tower_layer::Layer;
use tower_service::Service;

use super::{coding::Coding, encoder::Encoder};
use crate::HeadersExt as _;

/// Compresses the bodies of requests by one coding.
///
/// Only for servers that are known to take it: HTTP has no way to ask first, and one that does not answers with a 415 (RFC 9110 section
/// 15.5.16). What has a `Content-Encoding` already passes as it is, and so does a body that is known to be small, or of a type that does
/// not get smaller.
///
/// A whole body is compressed at once, so it can still be sent again and its length is known. A stream is compressed as it is sent;
/// whenever it has nothing for the moment, what was held back goes out, so that the peer sees all there is.
///
/// # Examples
///
/// ```
/// use bartizan_client::{RequestExt, compression::{Coding, CompressionLayer}};
/// use bartizan_core::{Body, BoxError};
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = service_fn(|request: Request<Body>| async move {
///     assert_eq!(request.headers()["content-encoding"], "gzip");
///     Ok::<_, BoxError>(Response::new(request.into_body().whole().unwrap().len()))
/// });
/// let client = ServiceBuilder::new().layer(CompressionLayer::new(Coding::Gzip)).service(server);
///
/// let response = client.post("http://h/").text("again ".repeat(1_000)).send().await?;
/// assert!(*response.body() < 100);
/// # Ok(())
/// # }
/// ```
///
/// Small bodies pass:
///
/// ```
/// # use bartizan_client::{RequestExt, compression::{Coding, CompressionLayer}};
/// # use bartizan_core::{Body, BoxError};
/// # use http::{Request, Response};
/// # use tower::{ServiceBuilder, service_fn};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = service_fn(|request: Request<Body>| async move {
///     assert!(!request.headers().contains_key("content-encoding"));
///     Ok::<_, BoxError>(Response::new(()))
/// });
/// let layer = CompressionLayer::new(Coding::Zstd).min_size(64);
/// ServiceBuilder::new().layer(layer).service(server).post("http://h/").text("hello").send().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CompressionLayer {
    coding: Coding,
    min_size: u64,
}

impl CompressionLayer {
    /// A layer that compresses by `coding`.
    pub const fn new(coding: Coding) -> Self {
        Self {
            coding,
            min_size: 1024,
        }
    }

    /// Sets the size, in bytes, below which a body is sent as it is. One of unknown size is compressed.
    ///
    /// Default: 1 KiB, which fits into one packet as it is.
    #[must_use]
    pub const fn min_size(mut self, bytes: u64) -> Self {
        self.min_size = bytes;
        self
    }
}

impl<S> Layer<S> for CompressionLayer {
    type Service = CompressionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CompressionService {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service of a [`CompressionLayer`].
#[derive(Clone, Debug)]
pub struct CompressionService<S> {
    inner: S,
    layer: CompressionLayer,
}

impl<S> Service<Request<Body>> for CompressionService<S>
where
    S: Service<Request<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        self.inner.call(self.layer.compress(request))
    }
}

impl CompressionLayer {
    fn compress(&self, mut request: Request<Body>) -> Request<Body> {
        let hint = request.body().size_hint();
        let headers = request.headers();
        let is_small = hint.upper().is_some_and(|most| most < self.min_size);
        if is_small
            || request.body().is_end_stream()
            || headers.contains_key(header::CONTENT_ENCODING)
            || headers.media_type().is_some_and(is_compressed_type)
        {
            return request;
        }
        let encoder = Encoder::new(self.coding);
        let body = match request.body().whole() {
            Some(bytes) => match encode_whole(encoder, bytes) {
                // What has got no smaller is not worth the work of undoing it.
                Ok(encoded) if encoded.len() < bytes.len() => encoded.into(),
                _ => return request,
            },
            None => {
                let inner = std::mem::take(request.body_mut());
                Body::new(EncodedBody {
                    inner,
                    encoder: Some(encoder),
                    is_held_back: false,
                    trailers: None,
                })
            }
        };
        *request.body_mut() = body;
        let headers = request.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(
            header::CONTENT_ENCODING,
            HeaderValue::from_static(self.coding.name()),
        );
        request
    }
}

fn encode_whole(mut encoder: Encoder, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoded = encoder.encode(bytes)?;
    encoded.extend(encoder.finish()?);
    Ok(encoded)
}

/// Types that are compressed in themselves.
fn is_compressed_type(media_type: &str) -> bool {
    match media_type.to_ascii_lowercase().split_once('/') {
        Some(("image", "svg+xml" | "bmp")) => false,
        Some(("image" | "video" | "audio", _)) => true,
        Some(("font", kind)) => kind.starts_with("woff"),
        Some(("application", kind)) => matches!(
            kind,
            "gzip" | "x-gzip" | "zip" | "zstd" | "x-7z-compressed" | "x-bzip2" | "x-xz" | "pdf"
        ),
        _ => false,
    }
}

/// A body that is encoded as it is sent.
struct EncodedBody {
    inner: Body,
    // `None` once all of it is out.
    encoder: Option<Encoder>,
    is_held_back: bool,
    trailers: Option<Frame<Bytes>>,
}

impl http_body::Body for EncodedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            let Some(encoder) = &mut this.encoder else {
                return Poll::Ready(this.trailers.take().map(Ok));
            };
            let encoded = match Pin::new(&mut this.inner).poll_frame(cx) {
                Poll::Ready(Some(frame)) => match frame?.into_data() {
                    Ok(data) => {
                        this.is_held_back = true;
                        encoder.encode(&data)?
                    }
                    Err(trailers) => {
                        this.trailers = Some(trailers);
                        continue;
                    }
                },
                Poll::Ready(None) => {
                    let rest = encoder.finish()?;
                    this.encoder = None;
                    rest
                }
                Poll::Pending if this.is_held_back => {
                    this.is_held_back = false;
                    encoder.flush()?
                }
                Poll::Pending => return Poll::Pending,
            };
            if !encoded.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(encoded.into()))));
            }
        }
    }
}
