//! One name for each request, in every log that it passes.
//!
//! [`RequestIdLayer`] gives each request an id, as a [`RequestId`] in its extensions and as a header, and puts the same header on the
//! response. An id that comes with the request is replaced, unless [`accept`](RequestIdLayer::accept) says to keep it, and it looks
//! like one.
//!
//! # What is accepted
//!
//! Up to 128 characters of letters, digits and `-_.:+/=~@`: what ids in use are made of, and what breaks no log line, no quoting
//! and no index. Of several, none. Accept ids only where the client is trusted to choose them: behind a proxy that sets the field
//! itself. Anybody else can make two requests look like one.
//!
//! An id that is generated has 128 random bits, in hexadecimal. They make it unique and no more: it is no secret.
//!
//! # Placement
//!
//! Outermost, above logs and traces, so that all of them see it; below [`forwarded`](crate::forwarded) if that decides who is trusted.
//!
//! # State
//!
//! None.
//!
//! # Readiness and cancellation
//!
//! Readiness is the inner service's. Dropping the future drops the inner call. An error of the service carries no header.
//!
//! # Errors
//!
//! The inner service's.
//!
//! # Differences from tower-http's `request_id`
//!
//! One layer and not two. tower-http keeps whatever the client sent, of any length, and passes on the header of a response if it
//! has one; here the response says what the request was called, and the id is checked.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::Body;
//! use bartizan_listener::request_id::{RequestId, RequestIdLayer};
//! use http::{Request, Response};
//! use std::convert::Infallible;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = ServiceBuilder::new()
//!     .layer(RequestIdLayer::new())
//!     .service_fn(|request: Request<Body>| async move {
//!         let id = request.extensions().get::<RequestId>().unwrap().to_string();
//!         Ok::<_, Infallible>(Response::new(Body::from(id)))
//!     });
//!
//! let request = Request::get("/").header("x-request-id", "mine").body(Body::empty())?;
//! let response = service.oneshot(request).await?;
//! let id = response.headers()["x-request-id"].to_str()?;
//! assert_eq!(id.len(), 32);
//! assert_eq!(response.body().whole().unwrap(), id);
//! # Ok(())
//! # }
//! ```
//!
//! Behind a proxy that sets it, in axum:
//!
//! ```
//! use axum::{Extension, Router, routing::get};
//! use bartizan_listener::request_id::{RequestId, RequestIdLayer};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let router: Router = Router::new()
//!     .route("/", get(|Extension(id): Extension<RequestId>| async move { id.to_string() }))
//!     .layer(RequestIdLayer::try_named("x-correlation-id")?.accept(true));
//!
//! let request = http::Request::get("/").header("x-correlation-id", "abc-1").body(axum::body::Body::empty())?;
//! assert_eq!(router.oneshot(request).await?.headers()["x-correlation-id"], "abc-1");
//! # Ok(())
//! # }
//! ```

use std::{
    fmt,
    task::{Context, Poll},
};

use bartizan_core::ConfigError;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::hex;
pub use crate::reply::ResponseFuture;

/// The longest id that is accepted, in bytes.
const MAX_LEN: usize = 128;

/// Names each request. See the [module](self).
#[derive(Clone, Debug)]
pub struct RequestIdLayer {
    name: HeaderName,
    accept: bool,
}

impl RequestIdLayer {
    /// Generates an id for each request, and tells it in `X-Request-Id`, which most software calls it.
    pub const fn new() -> Self {
        Self {
            name: HeaderName::from_static("x-request-id"),
            accept: false,
        }
    }

    /// The same, in a header of that name.
    ///
    /// # Errors
    ///
    /// If a header cannot be called that.
    pub fn try_named(name: &str) -> Result<Self, ConfigError> {
        let parsed = name.parse::<HeaderName>();
        let name = parsed.map_err(|error| {
            ConfigError::new("request id header", name, "the name of a header").with_source(error)
        })?;
        Ok(Self {
            name,
            accept: false,
        })
    }

    /// Keeps the id that a request comes with. Default: no, since anybody can send one.
    #[must_use]
    pub const fn accept(mut self, accept: bool) -> Self {
        self.accept = accept;
        self
    }

    fn id_of(&self, headers: &HeaderMap) -> RequestId {
        if self.accept {
            let mut values = headers.get_all(&self.name).iter();
            if let (Some(value), None) = (values.next(), values.next()) {
                if is_acceptable(value.as_bytes()) {
                    return RequestId(value.clone());
                }
            }
        }
        RequestId::generate()
    }
}

impl Default for RequestIdLayer {
    fn default() -> Self {
        Self::new()
    }
}

fn is_acceptable(id: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+/=~@".contains(byte);
    (1..=MAX_LEN).contains(&id.len()) && id.iter().all(is_allowed)
}

/// The id of a request: in its extensions, below a [`RequestIdLayer`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(HeaderValue);

impl RequestId {
    fn generate() -> Self {
        // One allocation, and none for its clones. Bytes copied from somewhere would take another with the first of them.
        let text = Bytes::from_owner(hex::digits(fastrand::u128(..)));
        Self(HeaderValue::from_maybe_shared(text).expect("hexadecimal digits"))
    }

    /// The id.
    #[expect(
        clippy::missing_panics_doc,
        reason = "ids are checked when they are made"
    )]
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("an id is ASCII")
    }

    /// The id, to send it on.
    pub const fn header_value(&self) -> &HeaderValue {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<S> Layer<S> for RequestIdLayer {
    type Service = SetRequestId<S>;

    fn layer(&self, inner: S) -> SetRequestId<S> {
        SetRequestId {
            inner,
            layer: self.clone(),
        }
    }
}

/// Names each request. See the [module](self).
#[derive(Clone, Debug)]
pub struct SetRequestId<S> {
    inner: S,
    layer: RequestIdLayer,
}

inner_accessors!(SetRequestId<S>);

impl<S, B, RB> Service<Request<B>> for SetRequestId<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
{
    type Response = Response<RB>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let id = self.layer.id_of(request.headers());
        let name = &self.layer.name;
        request.headers_mut().insert(name, id.0.clone());
        let header = id.0.clone();
        request.extensions_mut().insert(id);
        ResponseFuture::inner(self.inner.call(request)).with_header(name.clone(), header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_accepted() {
        for (id, is) in [
            (&b"a"[..], true),
            (b"0123-abc_DEF.:+/=~@", true),
            (&[b'a'; MAX_LEN], true),
            (&[b'a'; MAX_LEN + 1], false),
            (b"", false),
            (b"a b", false),
            (b"a\tb", false),
            (b"\"a\"", false),
            (b"a,b", false),
            (b"\xff", false),
        ] {
            assert_eq!(is_acceptable(id), is, "{id:?}");
        }
    }

    #[test]
    fn no_two_are_the_same() {
        assert_ne!(RequestId::generate(), RequestId::generate());
    }
}
