//! What a response says to caches, and the 304 that spares a body (RFC 9110 section 13, RFC 9111 section 5.2).
//!
//! - [`CacheControl`] is the field, as a type, and [`CacheControlLayer`] puts it on responses that have none.
//! - [`ConditionalLayer`] answers `If-None-Match` and `If-Modified-Since` by the validators that the service sets on its responses, and
//!   makes weak ones, if [asked to](ConditionalLayer::hash_up_to), for bodies that are short.
//! - [`Preconditions`] are all four conditions without a layer, for a handler that has to know before it acts: `If-Match` on a `PUT`.
//!
//! It is the origin's side, and needs no cache. A cache in front of a service, of another crate or another process, asks with the same
//! conditions, and gets the same 304.
//!
//! # Placement
//!
//! [`ConditionalLayer`] above whatever sets validators, and above [`CacheControlLayer`], whose field belongs on the 304 as well. Below
//! compression: a coded response is another representation, with another validator; a weak one serves for both.
//!
//! # State
//!
//! None.
//!
//! # Readiness and cancellation
//!
//! Readiness is the inner service's. The service is called in any case, and its body dropped where a 304 is enough: this spares the network, and
//! not the service. Dropping the future drops the inner call.
//!
//! # Errors
//!
//! The inner service's. A field that does not parse is as good as absent, as RFC 9110 section 13.1.3 has it for dates.
//!
//! # Differences from Ballerina and tower-http
//!
//! The annotation of Ballerina has the directives, a hash as `ETag`, and the time of the response as `Last-Modified`, which says nothing of
//! the content; so here `Last-Modified` is the service's to set. tower-http answers conditions for files only.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::Body;
//! use bartizan_listener::caching::{CacheControl, CacheControlLayer, ConditionalLayer};
//! use http::{Request, Response};
//! use std::{convert::Infallible, time::Duration};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = ServiceBuilder::new()
//!     .layer(ConditionalLayer::new().hash_up_to(65_536))
//!     .layer(CacheControlLayer::new(CacheControl::new().public().max_age(Duration::from_secs(60))))
//!     .service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::from("data"))) });
//!
//! let response = service.clone().oneshot(Request::get("/").body(Body::empty())?).await?;
//! assert_eq!(response.headers()["cache-control"], "public, max-age=60");
//! let tag = response.headers()["etag"].clone();
//!
//! let request = Request::get("/").header("if-none-match", tag).body(Body::empty())?;
//! let response = service.oneshot(request).await?;
//! assert_eq!(response.status(), 304);
//! assert_eq!(response.headers()["cache-control"], "public, max-age=60");
//! # Ok(())
//! # }
//! ```
//!
//! Before a `PUT` overwrites what somebody else has written, in axum:
//!
//! ```
//! use axum::{Router, body::Body, http::{HeaderMap, Method, StatusCode}, routing::put};
//! use bartizan_listener::caching::{EntityTag, Precondition, Preconditions};
//! use http::Request;
//! use tower::ServiceExt;
//!
//! async fn store(headers: HeaderMap, _document: String) -> StatusCode {
//!     let stored = EntityTag::try_strong("v7").unwrap();
//!     match Preconditions::of(&headers).check(&Method::PUT, Some(&stored), None) {
//!         Precondition::Holds => StatusCode::NO_CONTENT,
//!         Precondition::NotModified | Precondition::Failed => StatusCode::PRECONDITION_FAILED,
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let router: Router = Router::new().route("/document", put(store));
//! for (seen, status) in [("\"v7\"", 204), ("\"v6\"", 412)] {
//!     let request = Request::put("/document").header("if-match", seen).body(Body::from("text"))?;
//!     assert_eq!(router.clone().oneshot(request).await?.status(), status);
//! }
//! # Ok(())
//! # }
//! ```

mod control;
mod layer;
mod preconditions;
mod tag;

pub use self::{
    control::{CacheControl, CacheControlLayer, CacheControlled, ControlFuture},
    layer::{Conditional, ConditionalLayer, ResponseFuture},
    preconditions::{Precondition, Preconditions},
    tag::EntityTag,
};

pub(crate) use self::tag::tags;
