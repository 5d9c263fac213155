//! One spelling for each path, before anybody decides by it.
//!
//! `/a/../admin`, `//admin`, `/%61dmin` and `/./admin` are `/admin` to some servers and not to others. Where a proxy or a layer decides
//! by one spelling and the router by another, the decision is worth nothing. [`CanonicalPathLayer`] makes one of all of them:
//!
//! - `.` and `..` segments go, written plainly or in percent-encoding (RFC 3986 section 5.2.4). `..` at the root stays at the root.
//! - Empty segments go: `//a///b` is `/a/b`. A slash at the end stays.
//! - Percent-encoded letters, digits and `-._~` are decoded, since they mean the same (section 6.2.2.2). In what stays encoded, the
//!   digits are upper case (section 6.2.2.1).
//! - An encoded slash (`%2F`), a backslash, and an encoded one, are refused, by default: half of the world takes them for a slash after
//!   all. [`EncodedSlash`] has the other choices.
//! - An encoded NUL, and a `%` without two digits after it, are refused always.
//!
//! A path in another spelling is rewritten, or redirected to with a 308, which keeps the method and the body.
//!
//! # Placement
//!
//! Above everything that decides by the path. In axum, layers of a `Router` run after it has chosen the route, so this one goes round
//! the whole router, as in the second example. The query is left alone, and so are `*` and the target of a `CONNECT`.
//!
//! # State
//!
//! None.
//!
//! # Readiness and cancellation
//!
//! Readiness is the inner service's. Dropping the future drops the inner call. A path that is canonical costs one look at its bytes.
//!
//! # Errors
//!
//! The inner service's. A path that is refused is answered with 400 and problem details (RFC 9457).
//!
//! # Differences from tower-http's `NormalizePath`
//!
//! That one trims or adds the slash at the end, and those at the start; it knows neither dot segments nor percent-encoding. The two
//! go together, this one above.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::Body;
//! use bartizan_listener::path::CanonicalPathLayer;
//! use http::{Request, Response};
//! use std::convert::Infallible;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = ServiceBuilder::new()
//!     .layer(CanonicalPathLayer::new())
//!     .service_fn(|request: Request<Body>| async move {
//!         Ok::<_, Infallible>(Response::new(Body::from(request.uri().to_string())))
//!     });
//!
//! let request = Request::get("/a//b/%2e%2e/%63?d=%2e").body(Body::empty())?;
//! assert_eq!(service.clone().oneshot(request).await?.body().whole().unwrap(), "/a/c?d=%2e");
//! let request = Request::get("/a/..%2fadmin").body(Body::empty())?;
//! assert_eq!(service.oneshot(request).await?.status(), 400);
//! # Ok(())
//! # }
//! ```
//!
//! Round an axum router, by redirection:
//!
//! ```
//! use axum::{Router, body::Body, routing::get};
//! use bartizan_listener::path::CanonicalPathLayer;
//! use http::Request;
//! use tower::{Layer, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let router: Router = Router::new().route("/a", get(|| async { "here" }));
//! let service = CanonicalPathLayer::new().redirect(true).layer(router);
//!
//! let response = service.oneshot(Request::get("//a?b=c").body(Body::empty())?).await?;
//! assert_eq!(response.status(), 308);
//! assert_eq!(response.headers()["location"], "/a?b=c");
//! # Ok(())
//! # }
//! ```

mod canonical;
mod layer;

pub use self::{
    canonical::EncodedSlash,
    layer::{CanonicalPath, CanonicalPathLayer},
};
pub use crate::reply::ResponseFuture;

pub(crate) use self::canonical::canonical;
