//! Sends each request to the service of the host that it asks for.
//!
//! A [`HostRouter`] holds one service for each host, for hosts with a wildcard, and for all others. [`requested`] tells which host a
//! request asks for, and [`Authority::parse`] reads one.
//!
//! # The rules
//!
//! - The host is the authority of the request's target, if it has one, or else the one `Host` (RFC 9112 section 3.2.2, RFC 9113 section
//!   8.3.1). Several are answered with 400, and so is none. So is a `Host` that says something else than the target, which RFC 9112
//!   would have us pass over: whoever decided by it before us, a proxy or a firewall, was deceived.
//! - Names are compared without regard to case, and without the dot that may end them. IPv6 literals are compared as addresses.
//! - `*.example.com` is one label before `example.com`, no more and no less. An exact name wins over a wildcard.
//! - A name with a port, `example.com:8443`, is for requests that name this port. One without is for any port. The port wins: a
//!   client that connects to the default port leaves it out, so name no port that is a default.
//! - What matches nothing goes to the [default](Builder::otherwise), or is answered with 421, which has clients with a connection that was
//!   meant for another host try on a new one (RFC 9110 section 15.5.20), or with 404 by [choice](Builder::not_found).
//!
//! # Placement
//!
//! It is a service: the outermost one, or the fallback of an axum router. Layers that all hosts share go above it, others round the
//! service of their host.
//!
//! # State
//!
//! The services, of which each request clones one.
//!
//! # Readiness and cancellation
//!
//! It is always ready, because nobody knows yet which service will be called; that one's readiness is waited for in the future. Dropping the
//! future drops the inner call.
//!
//! # Errors
//!
//! Those of the services. A host that cannot be read, or has no service, is answered with problem details (RFC 9457).
//!
//! # Differences from axum and Ballerina
//!
//! axum has no host routing; its `Host` extractor, now in axum-extra, believes `X-Forwarded-Host` of anybody. Ballerina's listener
//! dispatches by exact host only.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::Body;
//! use bartizan_listener::host::HostRouter;
//! use http::{Request, Response};
//! use std::convert::Infallible;
//! use tower::{ServiceExt, util::BoxCloneSyncService};
//!
//! # type Answers = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let says = |text: &'static str| -> Answers {
//!     BoxCloneSyncService::new(tower::service_fn(move |_: Request<Body>| async move {
//!         Ok(Response::new(Body::from(text)))
//!     }))
//! };
//! let router = HostRouter::builder()
//!     .host("example.com", says("the site"))
//!     .host("*.example.com", says("a tenant"))
//!     .build()?;
//!
//! for (host, expected) in [("Example.COM:8080", "the site"), ("acme.example.com.", "a tenant")] {
//!     let request = Request::get("/").header("host", host).body(Body::empty())?;
//!     assert_eq!(router.clone().oneshot(request).await?.body().whole().unwrap(), expected);
//! }
//! let request = Request::get("/").header("host", "elsewhere.net").body(Body::empty())?;
//! assert_eq!(router.oneshot(request).await?.status(), 421);
//! # Ok(())
//! # }
//! ```
//!
//! Of axum routers:
//!
//! ```
//! use axum::{Router, body::Body, routing::get};
//! use bartizan_listener::host::HostRouter;
//! use http::Request;
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let api: Router = Router::new().route("/", get(|| async { "the API" }));
//! let site: Router = Router::new().route("/", get(|| async { "the site" }));
//! let router = HostRouter::builder().host("api.example.com", api).otherwise(site).build()?;
//!
//! let request = Request::get("http://api.example.com/").body(Body::empty())?;
//! let body = axum::body::to_bytes(router.oneshot(request).await?.into_body(), 100).await?;
//! assert_eq!(body, "the API");
//! # Ok(())
//! # }
//! ```

mod authority;
mod router;

pub use self::{
    authority::{Authority, requested},
    router::{Builder, HostRouter, ResponseFuture},
};
