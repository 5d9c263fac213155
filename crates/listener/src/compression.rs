//! Compresses responses where it pays, and reads compressed requests without the danger, through tower-http's layers.
//!
//! [`responses`] is tower-http's `CompressionLayer` with a [`Worthwhile`] predicate. [`requests`] is its
//! `RequestDecompressionLayer` above its `RequestBodyLimitLayer`, in the order that limits what comes *out* of the decoder.
//!
//! # What is compressed
//!
//! A response of a type that compresses: `text/*` but not `text/event-stream`, whose events would wait in the encoder; JSON, XML and what is
//! written in them (`+json`, `+xml`), JavaScript, WebAssembly, SVG, and some fonts. It has to be 1 KiB or longer, or of unknown
//! length: below that, it hardly gets smaller than a packet. Not one with a strong `ETag`, which names the bytes that compression
//! changes (RFC 9110 section 8.8.3.3), nor with `Cache-Control: no-transform`, nor with [`NoCompression`] in its extensions.
//! tower-http itself leaves alone what is encoded already, and ranges.
//!
//! # BREACH
//!
//! A compressed response that has a secret *and* something that the requester chose, such as a token and a search term, tells the secret by its
//! length, in spite of TLS (CVE-2013-3587). Mark such responses with [`NoCompression`], or mask the secret anew for each response, or keep
//! the two apart. A service whose responses are all of that kind is better without this layer.
//!
//! # Bombs
//!
//! A thousand bytes can be a million. [`requests`] limits the decoded body, not the encoded one, and fails at the limit, so no more than
//! it is ever produced. tower-http's decoders hand out some 4 KiB at a time, and their windows are 32 KiB for gzip and deflate,
//! and up to 16 MiB for brotli. zstd is left out: its decoder takes windows of up to 128 MiB on the word of the sender. One encoding
//! is decoded; several upon each other are answered with 415.
//!
//! # Placement
//!
//! Compression above whatever sets `ETag`, so below a cache that stores encoded responses, and below logs that count bytes on the
//! wire. Decompression above whatever reads bodies.
//!
//! # State, readiness, cancellation, errors
//!
//! tower-http's: no state; readiness of the inner service; dropping the future or the body drops what is within. A client that refuses
//! `identity` and accepts no encoding that there is gets a 406, after the service has run. A body that is too long fails with
//! `http_body_util::LengthLimitError`, of which axum's extractors make a 413.
//!
//! # Differences from tower-http's defaults
//!
//! Its default predicate compresses all types but images, gRPC and events, from 32 bytes on, with any `ETag`.
//!
//! # Examples
//!
//! ```
//! use axum::{Router, body::Body, routing::get};
//! use bartizan_listener::compression;
//! use http::Request;
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let router: Router = Router::new()
//!     .route("/long", get(|| async { "hello ".repeat(1000) }))
//!     .route("/short", get(|| async { "hello" }))
//!     .layer(compression::responses());
//!
//! for (path, is_compressed) in [("/long", true), ("/short", false)] {
//!     let request = Request::get(path).header("accept-encoding", "gzip").body(Body::empty())?;
//!     let response = router.clone().oneshot(request).await?;
//!     assert_eq!(response.headers().contains_key("content-encoding"), is_compressed);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Requests, with a limit on what is decoded:
//!
//! ```
//! use axum::{Router, body::Body, routing::post};
//! use bartizan_listener::compression;
//! use http::Request;
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (decompress, limit) = compression::requests(1 << 20);
//! let router: Router = Router::new()
//!     .route("/", post(|body: String| async move { body }))
//!     // axum runs the last one first.
//!     .layer(limit)
//!     .layer(decompress);
//!
//! let request = Request::post("/").header("content-encoding", "zstd").body(Body::from("..."))?;
//! let response = router.oneshot(request).await?;
//! assert_eq!(response.status(), 415);
//! # Ok(())
//! # }
//! ```

use http::{
    HeaderMap, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG},
};
use http_body::Body;
use tower_http::{
    compression::{CompressionLayer, Predicate},
    decompression::RequestDecompressionLayer,
    limit::RequestBodyLimitLayer,
};

/// The shortest response that is compressed, in bytes. With its headers, one of 1 KiB fits a packet anyway.
const MIN_SIZE: u64 = 1024;

/// Compresses responses that are [`Worthwhile`], by what `Accept-Encoding` asks for: gzip, or brotli.
pub fn responses() -> CompressionLayer<Worthwhile> {
    CompressionLayer::new().compress_when(Worthwhile(()))
}

/// Decodes request bodies of gzip, deflate and brotli, up to so many bytes: the layer that decodes, and the one that limits, which goes below it.
///
/// Bodies that are not compressed have the same limit.
pub fn requests(max_bytes: usize) -> (RequestDecompressionLayer, RequestBodyLimitLayer) {
    (
        RequestDecompressionLayer::new(),
        RequestBodyLimitLayer::new(max_bytes),
    )
}

/// Keeps a response from being compressed, if it is in its extensions: see the [module](self) about BREACH.
#[derive(Clone, Copy, Debug)]
pub struct NoCompression;

/// Whether a response is worth compressing, and may be. See the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct Worthwhile(());

impl Predicate for Worthwhile {
    fn should_compress<B: Body>(&self, response: &Response<B>) -> bool {
        let size = response.body().size_hint().exact();
        response.extensions().get::<NoCompression>().is_none()
            && size.is_none_or(|size| size >= MIN_SIZE)
            && may_change(response.headers())
            && text(response.headers(), &CONTENT_TYPE).is_some_and(compresses)
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn may_change(headers: &HeaderMap) -> bool {
    let is_strong = text(headers, &ETAG).is_some_and(|tag| !tag.starts_with("W/"));
    let mut controls = headers.get_all(CACHE_CONTROL).iter();
    let is_fixed = controls.any(|value| {
        let mut directives = value.as_bytes().split(|&byte| byte == b',');
        directives.any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
    });
    !is_strong && !is_fixed
}

fn compresses(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    match essence.split_once('/') {
        Some(("text", sub)) => sub != "event-stream",
        Some((_, sub)) => {
            let is_written_in = |suffix| sub.ends_with(suffix);
            is_written_in("+json")
                || is_written_in("+xml")
                || matches!(
                    essence.as_str(),
                    "application/json"
                        | "application/xml"
                        | "application/javascript"
                        | "application/x-javascript"
                        | "application/wasm"
                        | "application/x-ndjson"
                        | "font/otf"
                        | "font/ttf"
                        | "image/bmp"
                )
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    fn is_worthwhile(content_type: &str, fields: &[(&'static str, &str)], size: usize) -> bool {
        let mut response = Response::builder().header(CONTENT_TYPE, content_type);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let body = Full::new(bytes::Bytes::from(vec![b'x'; size]));
        Worthwhile(()).should_compress(&response.body(body).expect("valid"))
    }

    #[test]
    fn what_is_worthwhile() {
        for (content_type, fields, size, expected) in [
            ("text/html", &[][..], 1024, true),
            ("text/html", &[], 1023, false),
            ("TEXT/HTML; charset=utf-8", &[], 2000, true),
            ("text/event-stream", &[], 2000, false),
            ("application/json", &[], 2000, true),
            ("application/problem+json", &[], 2000, true),
            ("image/svg+xml", &[], 2000, true),
            ("image/png", &[], 2000, false),
            ("application/grpc", &[], 2000, false),
            ("video/mp4", &[], 2000, false),
            ("nonsense", &[], 2000, false),
            ("text/html", &[("etag", "\"v1\"")], 2000, false),
            ("text/html", &[("etag", "W/\"v1\"")], 2000, true),
            (
                "text/html",
                &[("cache-control", "public, No-Transform")],
                2000,
                false,
            ),
            ("text/html", &[("cache-control", "public")], 2000, true),
        ] {
            let found = is_worthwhile(content_type, fields, size);
            assert_eq!(found, expected, "{content_type} {fields:?} {size}");
        }
    }

    #[test]
    fn a_marked_response_is_left_alone() {
        let mut response = Response::new(Full::new(bytes::Bytes::from(vec![b'x'; 2000])));
        let html = http::HeaderValue::from_static("text/html");
        response.headers_mut().insert(CONTENT_TYPE, html);
        assert!(Worthwhile(()).should_compress(&response));
        response.extensions_mut().insert(NoCompression);
        assert!(!Worthwhile(()).should_compress(&response));
    }
}
