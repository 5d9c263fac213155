//! Answers instead of a call that failed: with a value, with what a function makes of it, or with another service.
//!
//! The call is judged by [`Classify`](bartizan_core::Classify) at the head of its response. What is a
//! [`Failure`](bartizan_core::Outcome::Failure) or [`Throttled`](bartizan_core::Outcome::Throttled) is replaced, and so is every error
//! that was not judged a success: a breaker's rejection says nothing about the peer, but it is no answer either. By default errors are
//! failures and nothing else is; [`http`](FallbackLayer::http) adds 5xx and 429.
//!
//! # Placement
//!
//! Near the top: above retries, breaker and timeouts, whose errors are what it answers for. Below a cache, a fallback would be stored
//! as if it were the real thing; [`Replaced`] tells them apart.
//!
//! # State
//!
//! None. Clones of a service share the substitute, so a value is cloned only when it is needed.
//!
//! # Readiness and cancellation
//!
//! Readiness is the inner service's, and when that fails, it is not replaced: a service whose readiness failed is done. The other
//! service of [`FallbackLayer::service`] is made ready when it is needed, within the response future. Dropping that future drops the
//! call or what answers instead, whichever is under way.
//!
//! # Errors
//!
//! Those of the inner service, and those that the function or the other service fails with. It refuses nothing by itself.
//!
//! # Differences from `tower-resilience-fallback`, Polly and resilience4j
//!
//! - The error type stays as it was.
//! - Nothing is boxed, and a function may be asynchronous.
//! - The other service is a service, with readiness, and not a function that returns a future; it may fail with another error.
//! - What is replaced follows from the one classification that breakers and retries read.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::{Body, BoxError};
//! use bartizan_resilience::fallback::{Failed, FallbackLayer, Replaced};
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! // Stands for any HTTP client.
//! let prices = tower::service_fn(|_: Request<Body>| async {
//!     Ok::<_, BoxError>(Response::builder().status(503).body(Body::empty())?)
//! });
//!
//! let fallback = FallbackLayer::function(|failed: Failed<Response<Body>, BoxError>| {
//!     match failed.error() {
//!         Some(_) => failed.into_result(),
//!         None => Ok(Response::new(Body::from("yesterday's prices"))),
//!     }
//! });
//! let service = ServiceBuilder::new().layer(fallback.http()).service(prices);
//!
//! let response = service.oneshot(Request::new(Body::empty())).await?;
//! assert_eq!(response.status(), 200);
//! assert!(response.extensions().get::<Replaced>().is_some_and(|replaced| replaced.outcome().is_failure()));
//! # Ok(())
//! # }
//! ```
//!
//! Another service, and a value when that fails too:
//!
//! ```
//! use bartizan_core::BoxError;
//! use bartizan_resilience::fallback::FallbackLayer;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let primary = tower::service_fn(|(): ()| async { Err::<&str, BoxError>("down".into()) });
//! let replica = tower::service_fn(|(): ()| async { Err::<&str, BoxError>("down as well".into()) });
//!
//! let service = ServiceBuilder::new()
//!     // Outermost, because it is the last resort.
//!     .layer(FallbackLayer::value("closed for today"))
//!     .layer(FallbackLayer::service(replica))
//!     .service(primary);
//! assert_eq!(service.oneshot(()).await?, "closed for today");
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "http")]
mod http;
mod service;
mod substitute;

#[cfg(feature = "http")]
pub use self::http::{Marked, MarkedFuture, Replaced};
pub use self::{
    service::{Fallback, FallbackLayer, ResponseFuture},
    substitute::{AsyncFunction, Failed, Function, OtherFuture, OtherService, Substitute, Value},
};
pub use crate::classify::OnError;
