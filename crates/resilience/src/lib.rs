//! Ways to stay up when others do not: failover between targets, and time limits.
//!
//! Each is a [`tower_layer::Layer`] over any service: our own transport, hyper-util's client, reqwest, a tonic channel, an axum
//! router, or a service that never heard of HTTP. Over a service that answers, none of them allocates.
//!
//! | module | what it does |
//! |---|---|
//! | [`budget`] | bounds the load that retries add |
//! | [`deadline`] | limits a whole call, and tells everybody below how much time is left |
//! | [`balance`] | spreads calls over endpoints, away from those that are slow, failing or unfit |
//! | [`failover`] | asks the next target when one fails, and stays with the one that answered |
//! | [`health`] | asks endpoints whether they are well |
//! | [`outlier`] | ejects the endpoints that do worse than the others |
//! | [`adaptive_limit`] | finds out how many calls the peer bears at a time, and lets through no more |
//! | [`bulkhead`] | limits how many calls are under way at a time, all together or per key |
//! | [`failover`] | asks the next target when one fails, and stays with the one that answered |
//! | [`rate_limit`] | lets through so many calls in such a time, all together or per client |
//! | [`chaos`] | does to calls what networks do, to see whether the rest copes |
//! | [`coalesce`] | makes one call of several that ask for the same |
//! | [`failover`] | asks the next target when one fails, and stays with the one that answered |
//! | [`fallback`] | answers instead of a call that failed |
//! | [`hedge`] | makes a second attempt at calls that take long, and takes the first answer |
//! | [`timeout`] | gives up on a response that does not come |
//! | [`shed`] | keeps a queue short by refusing what has waited in it for too long |
//! | [`throttle`] | holds calls back from a peer that accepts too few of them |
//! | [`retry`] | makes another attempt when one fails, if it can help and cannot do harm |
//! | [`timeout`] | gives up on a response that does not come, or that stops coming |
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
//! `http` (default) adds what reads statuses and rewrites URIs. Without it the patterns are there for any protocol.

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
pub mod stack;
pub mod throttle;
pub mod timeout;

mod random;
mod sync;
mod window;
