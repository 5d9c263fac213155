//! Finds out how many calls the peer bears at a time, and lets through no more.
//!
//! A fixed limit is right on the day it was measured. This one follows the peer: calls are measured in windows of time, and after each
//! window an [`Algorithm`] computes the next limit from how long they took, how many failed, and how many there were at once.
//! [`Gradient2`] is the default and needs to know nothing of the peer; [`Vegas`] keeps closer to the least latency; [`Aimd`] looks at
//! failures and a threshold of yours. They are those of Netflix's [concurrency-limits], with what experience has added:
//!
//! - The limit moves only while it is what limits: with less than half of it under way, and no overload, it stays. Otherwise a client
//!   with one call at a time would look as if it needed ever more.
//! - The latency of an idle peer is measured anew about once a minute, with half the limit for two windows, as BBR does it for TCP. So a
//!   long overload is never taken for normal, nor a peer that became slower for an overloaded one.
//! - A window is overloaded only if more than one call in a hundred failed: some do at every peer.
//! - A call that its caller gave up counts with the time that it had, if that is longer than calls take: so a timeout above does not
//!   hide what it cuts off. Shorter ones are the losers of some race, and count for nothing.
//!
//! [concurrency-limits]: https://github.com/Netflix/concurrency-limits
//!
//! # Placement
//!
//! Per endpoint, below retries and failover, so that a refusal is a cheap attempt elsewhere, and above the transport. Beside a
//! [rate limit](crate::rate_limit) if the peer has a quota as well. Of a server: outside of the work whose latency it should follow.
//!
//! # State
//!
//! The limit, and what was measured, belong to the layer: all services that one layer makes, and all their clones, share them;
//! [`AdaptiveLimitLayer::handle`] reads them. One layer per peer. The places are those of a [bulkhead](crate::bulkhead). A call adds
//! two looks at the clock and one addition to a word. Who ends a window computes the next limit; nobody waits for it, and nothing
//! runs in the background.
//!
//! # Readiness and cancellation
//!
//! As of a [bulkhead](crate::bulkhead): readiness is the inner service's, a call without a place is refused in the response future, or
//! waits in line if there is a [queue](AdaptiveLimitBuilder::queue), and every way out of a call gives the place back. Time in line does
//! not count as latency. A call is measured, and holds its place, until its response is there; a body that follows is not.
//!
//! # Errors
//!
//! A [`Rejection`](bartizan_core::Rejection) of kind [`Full`](bartizan_core::RejectionKind::Full), with
//! [`Full`](crate::bulkhead::Full) as its source. The call was not sent.
//!
//! # Differences from …
//!
//! tower-resilience's adaptive limiter grows with each success, whatever is under way, and keeps the least latency that it ever saw. In
//! Netflix's library `Gradient2Limit` ignores drops, and Vegas takes what it happens to measure for the latency of an idle peer.
//! resilience4j and Polly have none.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::BoxError;
//! use bartizan_resilience::adaptive_limit::AdaptiveLimitLayer;
//! use std::time::Duration;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let limit = AdaptiveLimitLayer::default();
//! let handle = limit.handle();
//! let mut service = ServiceBuilder::new().layer(limit).service_fn(|n: u32| async move {
//!     tokio::time::sleep(Duration::from_millis(20)).await;
//!     Ok::<_, BoxError>(n + 1)
//! });
//!
//! for n in 0..100 {
//!     assert_eq!(service.ready().await?.call(n).await?, n + 1);
//! }
//! // One call at a time: the limit has no reason to move.
//! assert_eq!(handle.snapshot().limit, 20);
//! assert_eq!(handle.snapshot().latency, Some(Duration::from_millis(20)));
//! # Ok(())
//! # }
//! ```
//!
//! Over HTTP, where some statuses ask for less, with another algorithm and bounds:
//!
//! ```
//! use bartizan_core::{Body, BoxError, HttpClassify};
//! use bartizan_resilience::adaptive_limit::{AdaptiveLimitLayer, Aimd};
//! use http::{Request, Response};
//! use std::time::Duration;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let limit = AdaptiveLimitLayer::builder()
//!     .algorithm(Aimd::new().latency(Duration::from_millis(500)))
//!     .initial(50)
//!     .min(5)
//!     .build()?
//!     .classify(HttpClassify::new());
//! let handle = limit.handle();
//! let mut service = ServiceBuilder::new().layer(limit).service_fn(|_: Request<Body>| async {
//!     tokio::time::sleep(Duration::from_millis(20)).await;
//!     Ok::<_, BoxError>(Response::builder().status(429).body(Body::empty())?)
//! });
//!
//! for _ in 0..100 {
//!     let response = service.ready().await?.call(Request::new(Body::empty())).await?;
//!     assert_eq!(response.status(), 429);
//! }
//! assert!(handle.snapshot().limit < 25);
//! # Ok(())
//! # }
//! ```

mod algorithm;
mod control;
mod layer;
mod service;

pub use self::{
    algorithm::{Aimd, Algorithm, Gradient2, Vegas, Window},
    layer::{AdaptiveLimitBuilder, AdaptiveLimitHandle, AdaptiveLimitLayer, AdaptiveLimitSnapshot},
    service::{AdaptiveLimit, ResponseFuture},
};
pub use crate::classify::OnError;
