//! Ways to stay up when others do not: retries, failover, balancing, limits, time limits and the rest, each a layer of its own.
//!
//! They go over any service of the right shape, and most of them over services that never heard of HTTP; those that send a request
//! again need one that can be copied. Over a service that answers at once they take no lock that all calls share, and allocate
//! nothing of their own; what a layer needs besides, such as a copy of a request's head, its docs say. Threads get in each other's way
//! only where a number has to be right for all of them, as that of the calls under way: those layers say so.
//!
//! | to | use |
//! |---|---|
//! | limit the time of a call | [`deadline`], [`timeout`] |
//! | try again | [`retry`] with its [`budget`] and [`backoff`], [`hedge`] |
//! | go elsewhere | [`failover`], [`balance`] over [`endpoint`]s, [`fallback`] |
//! | know who is unfit | [`circuit_breaker`], [`outlier`], [`health`] |
//! | limit what is under way | [`bulkhead`], [`adaptive_limit`], [`coalesce`] |
//! | limit what comes in | [`rate_limit`], [`shed`], [`throttle`] |
//! | see whether it all works | [`chaos`] |
//! | have them in their order, as a client or as Ballerina has them | `stack`, with feature `http` |
//!
//! # What they share
//!
//! A layer keeps the error type of the service it wraps, and refuses a call with a [`Rejection`](bartizan_core::Rejection). So over
//! a service whose error is [`BoxError`](bartizan_core::BoxError), or an error of yours with a `From<Rejection>`, nothing nests:
//! [`find`](bartizan_core::find) tells who refused and why. Over an error that is neither, `.box_errors()` makes it a `BoxError`. Where
//! the error is `Infallible`, as in axum, `.reject_with(…)` answers instead.
//!
//! # The order of a stack
//!
//! Failover above the timeout: each target gets its own time, and a target that is too slow is a target that failed.
//!
//! ```
//! use bartizan_core::{Body, BoxError};
//! use bartizan_resilience::{failover::FailoverLayer, timeout::TimeoutLayer};
//! use http::{Request, Response};
//! use std::time::Duration;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let client = tower::service_fn(|request: Request<Body>| async move {
//!     if request.uri().host() == Some("slow") {
//!         std::future::pending::<()>().await;
//!     }
//!     Ok::<_, BoxError>(Response::new(Body::from("hello")))
//! });
//!
//! let failover = FailoverLayer::builder().target("http://slow").target("http://good").build()?;
//! let current = failover.handle();
//! let stack = ServiceBuilder::new()
//!     .layer(failover)
//!     .layer(TimeoutLayer::new(Duration::from_secs(5)))
//!     .service(client);
//!
//! stack.oneshot(Request::get("/").body(Body::empty())?).await?;
//! assert_eq!(current.name(), "http://good");
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! `http` (default) adds what reads statuses and rewrites URIs. Without it the patterns are there for any protocol. `redis`
//! adds a store for the quotas of [`rate_limit`], which several processes share.

// What `http` adds has no page without it. The docs that people read are built with all features, where every link is checked.
#![cfg_attr(not(feature = "http"), allow(rustdoc::broken_intra_doc_links))]

#[macro_use]
mod macros;

pub mod adaptive_limit;
pub mod backoff;
pub mod balance;
pub mod budget;
pub mod bulkhead;
pub mod chaos;
pub mod circuit_breaker;
pub mod coalesce;
pub mod deadline;
pub mod endpoint;
pub mod failover;
pub mod fallback;
pub mod health;
pub mod hedge;
pub mod outlier;
pub mod rate_limit;
pub mod retry;
pub mod shed;
#[cfg(feature = "http")]
pub mod stack;
pub mod throttle;
pub mod timeout;

mod classify;
mod random;
mod stripes;
mod sync;
mod window;
