//! Agrees on media types: refuses what the service cannot read, and what the client cannot.
//!
//! [`ConsumesLayer`] answers 415 to a request whose content is of a type that is not listed. [`ProducesLayer`] answers 406 where none
//! of the types that are offered is acceptable, and otherwise tells the handler which one to send, as [`Negotiated`] in the
//! request's extensions. What they decide by is [`negotiate`] and [`MediaRange::matches`], which do no I/O.
//!
//! # The rules
//!
//! RFC 9110 sections 8.3.1, 12.4.2 and 12.5.1. Of the ranges in `Accept` that match a type, the most specific one has the say: first
//! those with parameters, by how many, then `type/subtype`, then `type/*`, then `*/*`. The offer with the highest weight wins; among
//! equals the one listed first, so list what you prefer first. A weight of 0 means "anything but this".
//!
//! Names are compared without regard to case, parameter values exactly, quoted or not.
//!
//! A request without `Accept` takes anything. An element of `Accept` that does not parse is passed over, as is what follows the first
//! 64; where nothing is left, it is as if there was no `Accept`: a client that speaks nonsense is better served than refused.
//!
//! # Placement
//!
//! Below authentication: what a service speaks is nobody's business who may not ask. Per route in axum, by `route_layer`. Above a cache
//! there is nothing to do: `Vary: Accept` is set on every response of [`ProducesLayer`], refusals too.
//!
//! # State
//!
//! None but the lists, which clones share.
//!
//! # Readiness and cancellation
//!
//! Readiness is the inner service's. A refusal does not call it, and leaves it ready. Dropping the future drops the inner call.
//!
//! # Errors
//!
//! The inner service's. Refusals are responses, with problem details (RFC 9457). A 415 says in `Accept` what would have been taken (RFC
//! 9110 section 15.5.16), and in `Accept-Patch` (RFC 5789) or `Accept-Post` as well, by the method.
//!
//! # Differences from others
//!
//! tower-http's `ValidateRequestHeaderLayer::accept` knows one type, and neither weights nor precedence. axum's extractors refuse a
//! content type when they read the body, which is after everything above them has run.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::Body;
//! use bartizan_listener::negotiation::{Negotiated, ProducesLayer};
//! use http::{Request, Response};
//! use std::convert::Infallible;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = ServiceBuilder::new()
//!     .layer(ProducesLayer::try_new(["application/json", "text/csv"])?)
//!     .service_fn(|request: Request<Body>| async move {
//!         let negotiated = request.extensions().get::<Negotiated>().unwrap();
//!         Ok::<_, Infallible>(Response::new(Body::from(negotiated.media_type().to_string())))
//!     });
//!
//! let request = Request::get("/").header("accept", "text/*, application/json;q=0.5").body(Body::empty())?;
//! let response = service.clone().oneshot(request).await?;
//! assert_eq!(response.body().whole().unwrap(), "text/csv");
//!
//! let request = Request::get("/").header("accept", "image/png").body(Body::empty())?;
//! assert_eq!(service.oneshot(request).await?.status(), 406);
//! # Ok(())
//! # }
//! ```
//!
//! What a service reads, per route of an axum router:
//!
//! ```
//! use axum::{Router, body::Body, routing::post};
//! use bartizan_listener::negotiation::ConsumesLayer;
//! use http::Request;
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let router: Router = Router::new()
//!     .route("/orders", post(|body: String| async { body }))
//!     .route_layer(ConsumesLayer::try_new(["application/json"])?);
//!
//! let request = Request::post("/orders").header("content-type", "text/xml").body(Body::from("<order/>"))?;
//! let response = router.oneshot(request).await?;
//! assert_eq!(response.status(), 415);
//! assert_eq!(response.headers()["accept-post"], "application/json");
//! # Ok(())
//! # }
//! ```

mod accept;
mod consumes;
mod media_type;
mod parameters;
mod produces;

pub use self::{
    accept::negotiate,
    consumes::{Consumes, ConsumesLayer},
    media_type::{MediaRange, MediaType},
    produces::{Negotiated, Produces, ProducesLayer},
};
pub use crate::reply::ResponseFuture;

#[cfg(feature = "multipart")]
pub(crate) use self::parameters::Parameters;
pub(crate) use self::{
    accept::elements,
    media_type::{Parts, parts},
    parameters::{Twice, Value, parameter},
};
