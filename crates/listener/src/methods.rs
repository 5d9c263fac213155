//! Answers `OPTIONS` and methods that are not there, by saying which are.
//!
//! - [`MethodsLayer`] is for a service of one resource: it lets the methods through that are listed, answers `OPTIONS` with 204, and
//!   every other with 405, each with `Allow`.
//! - [`AutoOptionsLayer`] is for a router that answers 405 with `Allow` by itself, as axum's does: it makes a 204 of the 405 that
//!   `OPTIONS` gets, and adds `OPTIONS` to `Allow`.
//!
//! `HEAD` goes with `GET` (RFC 9110 section 9.1), and `OPTIONS` with all. [`cors`](crate::cors) answers preflights; these answer the rest.
//!
//! # Placement
//!
//! [`MethodsLayer`] directly above the service. [`AutoOptionsLayer`] round the whole router, below [`cors`](crate::cors): what it works
//! on is the router's answer. `Router::layer` and `Router::route_layer` of axum put a layer *within* the router, round each handler, and
//! axum writes `Allow` outside of that; there it would see a 405 without `Allow`, and do nothing. So it is
//! `AutoOptionsLayer::new().layer(router)`, or `.service(router)` of a `ServiceBuilder`. Where that has to be a `Router` again, to
//! nest it, it is the `fallback_service` of an empty one.
//!
//! # State
//!
//! None but the list, which clones share.
//!
//! # Readiness and cancellation
//!
//! Readiness is the inner service's. Dropping the future drops the inner call.
//!
//! # Errors
//!
//! The inner service's. A 405 has problem details (RFC 9457).
//!
//! # Differences from axum and Ballerina
//!
//! axum answers `OPTIONS` on a route with 405, unless it has a handler for it. Ballerina answers it with 204 and `Allow`, as here.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::Body;
//! use bartizan_listener::methods::MethodsLayer;
//! use http::{Method, Request, Response};
//! use std::convert::Infallible;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = ServiceBuilder::new()
//!     .layer(MethodsLayer::new([Method::GET, Method::PUT]))
//!     .service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::from("here"))) });
//!
//! let response = service.clone().oneshot(Request::options("/").body(Body::empty())?).await?;
//! assert_eq!(response.status(), 204);
//! assert_eq!(response.headers()["allow"], "GET, HEAD, PUT, OPTIONS");
//! let response = service.oneshot(Request::delete("/").body(Body::empty())?).await?;
//! assert_eq!(response.status(), 405);
//! # Ok(())
//! # }
//! ```
//!
//! Round an axum router:
//!
//! ```
//! use axum::{Router, body::Body, routing::get};
//! use bartizan_listener::methods::AutoOptionsLayer;
//! use http::Request;
//! use tower::{Layer, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let router: Router = Router::new().route("/", get(|| async { "here" }));
//! let service = AutoOptionsLayer::new().layer(router);
//!
//! let response = service.oneshot(Request::options("/").body(Body::empty())?).await?;
//! assert_eq!(response.status(), 204);
//! assert_eq!(response.headers()["allow"], "GET,HEAD,OPTIONS");
//! # Ok(())
//! # }
//! ```

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bartizan_core::problem;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE},
};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

pub use crate::reply::ResponseFuture;

/// Lets through the methods that are listed, and answers the rest. See the [module](self).
#[derive(Clone, Debug)]
pub struct MethodsLayer {
    allowed: Arc<Allowed>,
}

#[derive(Debug)]
struct Allowed {
    methods: Vec<Method>,
    listed: HeaderValue,
}

impl MethodsLayer {
    /// Lets these through, and `HEAD` with `GET`. `OPTIONS` too is let through only if it is listed. With none listed, there is none.
    #[expect(
        clippy::missing_panics_doc,
        reason = "methods are tokens, so a list of them is a value"
    )]
    pub fn new(methods: impl IntoIterator<Item = Method>) -> Self {
        let mut allowed: Vec<Method> = Vec::new();
        let with_head = methods.into_iter().flat_map(|method| {
            let head = (method == Method::GET).then_some(Method::HEAD);
            [Some(method), head].into_iter().flatten()
        });
        for method in with_head {
            if !allowed.contains(&method) {
                allowed.push(method);
            }
        }
        let mut listed: Vec<_> = allowed.iter().map(Method::as_str).collect();
        if !allowed.contains(&Method::OPTIONS) {
            listed.push("OPTIONS");
        }
        let listed = HeaderValue::try_from(listed.join(", ")).expect("methods are tokens");
        Self {
            allowed: Arc::new(Allowed {
                methods: allowed,
                listed,
            }),
        }
    }
}

impl<S> Layer<S> for MethodsLayer {
    type Service = Methods<S>;

    fn layer(&self, inner: S) -> Methods<S> {
        Methods {
            inner,
            allowed: Arc::clone(&self.allowed),
        }
    }
}

/// Lets through the methods that are listed, and answers the rest. See the [module](self).
#[derive(Clone, Debug)]
pub struct Methods<S> {
    inner: S,
    allowed: Arc<Allowed>,
}

inner_accessors!(Methods<S>);

impl<S, B, RB> Service<Request<B>> for Methods<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    RB: From<Bytes>,
{
    type Response = Response<RB>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.allowed.methods.contains(request.method()) {
            return ResponseFuture::inner(self.inner.call(request));
        }
        let mut response = if request.method() == Method::OPTIONS {
            no_content()
        } else {
            let detail = "this resource does not know the method: see Allow";
            problem(StatusCode::METHOD_NOT_ALLOWED, detail)
        };
        let listed = self.allowed.listed.clone();
        response.headers_mut().insert(ALLOW, listed);
        ResponseFuture::answered(response)
    }
}

pub(crate) fn no_content<RB: From<Bytes>>() -> Response<RB> {
    let mut response = Response::new(RB::from(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// Makes the answer to `OPTIONS` of the 405 that a router gives. See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct AutoOptionsLayer(());

impl AutoOptionsLayer {
    /// Answers `OPTIONS` where the service does not.
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for AutoOptionsLayer {
    type Service = AutoOptions<S>;

    fn layer(&self, inner: S) -> AutoOptions<S> {
        AutoOptions { inner }
    }
}

/// Makes the answer to `OPTIONS` of the 405 that a router gives. See the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct AutoOptions<S> {
    inner: S,
}

inner_accessors!(AutoOptions<S>);

impl<S, B, RB> Service<Request<B>> for AutoOptions<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    RB: From<Bytes>,
{
    type Response = Response<RB>;
    type Error = S::Error;
    type Future = OptionsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        OptionsFuture {
            is_options: request.method() == Method::OPTIONS,
            future: self.inner.call(request),
        }
    }
}

pin_project! {
    /// The response, with `OPTIONS` among what is allowed.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct OptionsFuture<F> {
        #[pin]
        future: F,
        is_options: bool,
    }
}

impl<F, RB, E> Future for OptionsFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    RB: From<Bytes>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.future.poll(cx))?;
        // Without `Allow` nobody knows what there is; so it is a 405 that means something else.
        if response.status() == StatusCode::METHOD_NOT_ALLOWED
            && add_options(response.headers_mut())
            && *this.is_options
        {
            let (mut head, _) = response.into_parts();
            head.status = StatusCode::NO_CONTENT;
            head.headers.remove(CONTENT_LENGTH);
            head.headers.remove(CONTENT_TYPE);
            response = Response::from_parts(head, RB::from(Bytes::new()));
        }
        Poll::Ready(Ok(response))
    }
}

/// Adds `OPTIONS` to `Allow`, if that is there and does not have it. `false` if there is none.
fn add_options(headers: &mut HeaderMap) -> bool {
    let values = headers.get_all(ALLOW).iter();
    let mut listed: Vec<_> = values
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|method| !method.is_empty())
        .collect();
    if !headers.contains_key(ALLOW) || listed.contains(&&b"OPTIONS"[..]) {
        return headers.contains_key(ALLOW);
    }
    listed.push(b"OPTIONS");
    let value = HeaderValue::from_bytes(&listed.join(&b","[..]));
    headers.insert(ALLOW, value.expect("parts of values, and commas"));
    true
}
