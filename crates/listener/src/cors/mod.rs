//! Lets pages of other origins use a service, as far as they may (the Fetch standard, section "CORS protocol").
//!
//! [`CorsLayer`] answers preflights, and marks the other responses for the origins that are allowed.
//!
//! | request | origin allowed | not allowed |
//! |---|---|---|
//! | preflight: `OPTIONS` with `Origin` and `Access-Control-Request-Method` | 204 with what is allowed; 403 if method or headers are not | 403 |
//! | any other, with `Origin` | the service's response, marked | the service's response, unmarked; 403 if [refused](Builder::refuse_others) |
//! | without `Origin` | the service's response | the same |
//!
//! An `OPTIONS` that is no preflight goes to the service: see [`methods`](crate::methods).
//!
//! CORS is a promise to browsers, and protects their users. It is no access control: whoever is no browser sends any `Origin`, or none.
//! [Refusing](Builder::refuse_others) spares the service the work for pages that could not read the response, and stops the effects
//! of simple requests, which browsers send without asking. A request whose `Origin` has the host that it asks for is the site's
//! own, and never refused.
//!
//! # Caches
//!
//! Wherever the response depends on the origin, `Vary: Origin` is set, on every response: also where the origin is not allowed or
//! missing, or a cache would hand the unmarked response to an origin that is allowed. Not where `*` is answered, as that is the same
//! for all.
//!
//! # Placement
//!
//! Above authentication, because preflights carry no credentials. Per route in axum, by `Router::route_layer` or
//! `MethodRouter::layer`, which also see the preflights of the route. Of two, the outer one answers preflights, and the inner one's marks
//! are kept: so have one for each route.
//!
//! # State
//!
//! None but the rules, which clones share.
//!
//! # Readiness and cancellation
//!
//! Readiness is the inner service's. Dropping the future drops the inner call.
//!
//! # Errors
//!
//! The inner service's. Refusals are responses with problem details (RFC 9457), without CORS headers, so that pages cannot read them.
//!
//! # Differences from tower-http's `CorsLayer`
//!
//! tower-http's is right about the marks and about `Vary`, and has asynchronous predicates, which this one has not. But it takes each
//! `OPTIONS` for a preflight, so that a service never sees one; answers preflights with 200, whether or not anything is allowed; never
//! refuses; and panics over rules that contradict each other, which here are errors of [`build`](Builder::build).
//!
//! # Examples
//!
//! ```
//! use bartizan_core::Body;
//! use bartizan_listener::cors::CorsLayer;
//! use http::{Method, Request, Response, header};
//! use std::{convert::Infallible, time::Duration};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cors = CorsLayer::builder()
//!     .origins(["https://app.example.com"])
//!     .methods([Method::GET, Method::PUT])
//!     .headers([header::CONTENT_TYPE])
//!     .max_age(Duration::from_secs(600))
//!     .build()?;
//! let service = ServiceBuilder::new()
//!     .layer(cors)
//!     .service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::from("data"))) });
//!
//! let preflight = |origin| {
//!     Request::options("/")
//!         .header("origin", origin)
//!         .header("access-control-request-method", "PUT")
//!         .body(Body::empty())
//! };
//! let response = service.clone().oneshot(preflight("https://app.example.com")?).await?;
//! assert_eq!(response.status(), 204);
//! assert_eq!(response.headers()["access-control-allow-methods"], "GET, PUT");
//! let response = service.oneshot(preflight("https://evil.example.com")?).await?;
//! assert_eq!(response.status(), 403);
//! # Ok(())
//! # }
//! ```
//!
//! Per route in axum:
//!
//! ```
//! use axum::{Router, body::Body, routing::get};
//! use bartizan_listener::cors::CorsLayer;
//! use http::Request;
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let public = Router::new()
//!     .route("/fonts", get(|| async { "ABC" }))
//!     .route_layer(CorsLayer::builder().any_origin().build()?);
//! let router: Router = Router::new().route("/private", get(|| async { "no" })).merge(public);
//!
//! for (path, allowed) in [("/fonts", true), ("/private", false)] {
//!     let request = Request::get(path).header("origin", "https://a.example").body(Body::empty())?;
//!     let response = router.clone().oneshot(request).await?;
//!     assert_eq!(response.headers().contains_key("access-control-allow-origin"), allowed);
//! }
//! # Ok(())
//! # }
//! ```

mod builder;
mod layer;
mod rules;

pub use self::{
    builder::Builder,
    layer::{Cors, CorsLayer, ResponseFuture},
};
