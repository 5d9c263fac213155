//! Keeps calls from a peer that fails, and lets a few through from time to time to see whether it has recovered.
//!
//! A peer that is down answers slowly or not at all, and each call that waits for it holds what it holds. A circuit breaker counts
//! how calls end. While it is *closed*, calls go through. When there is reason to, it *opens*: calls are refused at once. After its
//! open time it is *half open*: a probe goes through, and decides whether it closes or opens again, for longer.
//!
//! Any of these is a reason to open, as the layer is set up: the share of failures in a rolling window, their number in it, how
//! many there were in a row, the share of slow calls.
//!
//! # What counts
//!
//! | outcome | counts as |
//! |---|---|
//! | success | a success |
//! | failure | a failure |
//! | throttled (429) | a failure, for the ratio only: the peer is up, and in no state to be called more |
//! | ignored: refused by a layer below, before it was sent | nothing |
//! | cancelled: the caller dropped the call | a failure if it had waited for `fail_cancelled_after`, and else only itself |
//!
//! For HTTP, a body that breaks off makes a failure of the call.
//!
//! # Placement
//!
//! Above the attempt timeout, to see timeouts. Below retries, so that a refusal is a cheap attempt that goes elsewhere or waits. One
//! layer per peer: below a balancer or failover, one for each endpoint.
//!
//! # State
//!
//! The circuit belongs to the layer: all services that one layer makes, and all their clones, share it. For a circuit per endpoint, make
//! a layer per endpoint. A call through a closed circuit takes no lock and allocates nothing; counts are striped over threads. Its cost
//! does not depend on how many calls there are.
//!
//! Each change of state begins a new *generation*, with nothing counted. A result of an earlier one, however late, is ignored.
//!
//! # Readiness and cancellation
//!
//! Readiness is the inner service's. A refused call fails in the response future, and leaves the inner service as ready as it was.
//! With [`gate`](CircuitBreakerBuilder::gate), readiness waits instead, on a real waker, while no call would be let through.
//!
//! A probe whose future is dropped gives its place to another. So does one that takes longer than
//! [`longest_probe_wait`](CircuitBreakerBuilder::longest_probe_wait).
//!
//! # Errors
//!
//! A [`Rejection`](bartizan_core::Rejection) of kind [`Open`](bartizan_core::RejectionKind::Open), with the time until the next probe as its
//! retry delay. The call was never sent.
//!
//! # Differences
//!
//! From resilience4j: windows are of time only; a count-based one never forgets at low rates. From Polly: there are four reasons to open
//! where Polly has the ratio, and results of an earlier state never count. From `tower-resilience`: a call costs the same at any rate,
//! nothing is boxed, and the error stays the service's own.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::{BoxError, Rejection, find};
//! use bartizan_resilience::circuit_breaker::{CircuitBreakerLayer, State};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let layer = CircuitBreakerLayer::builder().consecutive_failures(3).build()?;
//! let handle = layer.handle();
//! let mut service = ServiceBuilder::new()
//!     .layer(layer)
//!     .service(tower::service_fn(|(): ()| async { Err::<(), BoxError>("down".into()) }));
//!
//! for _ in 0..3 {
//!     assert_eq!(service.ready().await?.call(()).await.unwrap_err().to_string(), "down");
//! }
//! assert_eq!(handle.state(), State::Open);
//! let error = service.ready().await?.call(()).await.unwrap_err();
//! assert!(find::<Rejection>(&*error).is_some_and(Rejection::is_unsent));
//! # Ok(())
//! # }
//! ```
//!
//! For HTTP, with a reason of one's own, in front of a service that cannot fail:
//!
//! ```
//! use bartizan_core::{Body, HttpClassify, Rejection, StatusSet};
//! use bartizan_resilience::circuit_breaker::CircuitBreakerLayer;
//! use http::{Request, Response};
//! use std::{convert::Infallible, time::Duration};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Five 502s within ten seconds.
//! let layer = CircuitBreakerLayer::http()
//!     .classify(HttpClassify::new().failures(StatusSet::range(502, 502)))
//!     .failures(5)
//!     .window(Duration::from_secs(10), Duration::from_secs(1))
//!     .build()?
//!     .reject_with(Rejection::into_response);
//! let mut service = ServiceBuilder::new().layer(layer).service(tower::service_fn(|_: Request<Body>| async {
//!     Ok::<_, Infallible>(Response::builder().status(502).body(Body::empty()).unwrap())
//! }));
//!
//! for call in 1..=6 {
//!     let response = service.ready().await?.call(Request::new(Body::empty())).await?;
//!     assert_eq!(response.status(), if call <= 5 { 502 } else { 503 });
//! }
//! # Ok(())
//! # }
//! ```

mod core;
mod handle;
mod layer;
mod policy;
mod run;
mod service;
mod state;

#[cfg(feature = "http")]
pub use crate::classify::AtEnd;
pub use crate::classify::{AtHead, OnError};

pub use self::{
    core::Permit,
    handle::{CircuitBreakerHandle, Snapshot, StateWatch},
    layer::{CircuitBreakerBuilder, CircuitBreakerLayer},
    service::{CircuitBreaker, ResponseFuture},
    state::State,
};
