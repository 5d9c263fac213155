//! Makes one call of several that ask for the same at the same time.
//!
//! The first call for a key leads: it goes to the inner service. Calls with an equal key that come before its answer wait, and get a
//! copy of that. When a thousand callers miss the same cache entry at once, the peer is asked once.
//!
//! Nothing is remembered: a call that comes after the answer begins anew. That is a cache's business.
//!
//! - **A leader that is dropped** before it has an answer, because its caller went away or ran out of time, hands over to the first
//!   who still waits, who makes the call again, with its own request.
//! - **An answer that cannot be shared** goes to the leader, and those who waited ask for themselves.
//! - **An error** is shared as well, whatever its type.
//! - **Keys are bounded**: past 10,000 of them at a time a call is made as if this layer were not there.
//!
//! For HTTP, [`HttpCoalesceLayer`] shares the responses of GET and HEAD between requests of equal URI and headers, credentials
//! included. Bodies of a declared length, up to 256 KiB, are collected and shared; the responses of those who waited carry
//! [`Coalesced`].
//!
//! # Placement
//!
//! Near the top, above retries, so that they too are made once. Below whatever gives each caller its own limit on time: a caller that
//! gives up then hands over, and does not fail the others. A deadline that is read from the request below this layer is the leader's.
//!
//! The key has to hold everything that the answer depends on. [`HttpPolicy`] has the URI and the headers, and not the extensions: a
//! layer that makes a token of who is in the extensions belongs above this one, or one user gets another's answer.
//!
//! # State
//!
//! Each service that a layer makes has its own calls, as it may be another peer's; the clones of a service share them. They are kept
//! by the hash of their key, in 16 tables with a lock each, which is held for a lookup. A leader that nobody waits for allocates
//! nothing.
//!
//! # Readiness and cancellation
//!
//! The service is always ready, and a leader waits for the inner service within its response future. So one who waits for somebody
//! else's answer reserves nothing, and can wait while the inner service is full. Those who wait are woken when there is something for
//! them to do, and only then. Dropping one of them gives up its place.
//!
//! # Errors
//!
//! An error that nobody else waited for is passed on as it is. One that was shared is, for all of them, a
//! [`Rejection`](bartizan_core::Rejection) with [`SharedError`] as its source, and the error itself below that. Its kind is that of
//! the rejection within, if there is one, and else [`Exhausted`](bartizan_core::RejectionKind::Exhausted).
//!
//! # Differences from `tower-resilience-coalesce`
//!
//! - There, a leader that is dropped fails all who wait.
//! - Errors need not be `Clone`, and nor need keys.
//! - Responses need not be: HTTP bodies are shared.
//! - Waiting reserves nothing of the inner service.
//! - Locks are many, and nothing is boxed.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::BoxError;
//! use bartizan_resilience::coalesce::CoalesceLayer;
//! use std::{sync::atomic::{AtomicU32, Ordering}, time::Duration};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! static LOOKUPS: AtomicU32 = AtomicU32::new(0);
//! let users = tower::service_fn(|id: u32| async move {
//!     LOOKUPS.fetch_add(1, Ordering::Relaxed);
//!     tokio::time::sleep(Duration::from_millis(10)).await;
//!     Ok::<_, BoxError>(format!("user {id}"))
//! });
//!
//! let service = ServiceBuilder::new()
//!     .layer(CoalesceLayer::new(|id: &u32| Some(*id)))
//!     .service(users);
//! let (a, b, c) = tokio::join!(
//!     service.clone().oneshot(7),
//!     service.clone().oneshot(7),
//!     service.clone().oneshot(8),
//! );
//! assert_eq!((a?, b?, c?), ("user 7".to_owned(), "user 7".to_owned(), "user 8".to_owned()));
//! assert_eq!(LOOKUPS.load(Ordering::Relaxed), 2);
//! # Ok(())
//! # }
//! ```
//!
//! Over HTTP:
//!
//! ```
//! use bartizan_core::{Body, BoxError};
//! use bartizan_resilience::coalesce::{Coalesced, HttpCoalesceLayer};
//! use http::{Request, Response};
//! use std::time::Duration;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! // Stands for any HTTP client.
//! let client = tower::service_fn(|_: Request<Body>| async {
//!     tokio::time::sleep(Duration::from_millis(10)).await;
//!     Ok::<_, BoxError>(Response::new(Body::from("hello")))
//! });
//! let service = ServiceBuilder::new().layer(HttpCoalesceLayer::new()).service(client);
//!
//! let get = || Request::get("/greeting").body(Body::empty());
//! let (leader, waiter) = tokio::join!(service.clone().oneshot(get()?), service.clone().oneshot(get()?));
//! assert!(leader?.extensions().get::<Coalesced>().is_none());
//! let waiter = waiter?;
//! assert!(waiter.extensions().get::<Coalesced>().is_some());
//! assert_eq!(waiter.body().whole().map(|bytes| &bytes[..]), Some(&b"hello"[..]));
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "http")]
mod collect;
mod error;
mod flights;
mod future;
#[cfg(feature = "http")]
mod http;
mod policy;
mod service;

#[cfg(feature = "http")]
pub use self::{
    collect::{Collect, CollectFuture},
    http::{Coalesced, HttpCoalesceLayer, HttpKey, HttpPolicy},
};
pub use self::{
    error::SharedError,
    future::ResponseFuture,
    policy::Policy,
    service::{Coalesce, CoalesceLayer},
};
