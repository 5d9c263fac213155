//! Limits how many calls are under way at a time, all together or per key.
//!
//! A peer that hangs fills whatever is not limited: tasks, sockets, memory. A bulkhead keeps that within its places. A call that finds
//! none is refused at once. With a [`queue`](BulkheadBuilder::queue) it waits in line, first come first served, up to a
//! longest time.
//!
//! # Placement
//!
//! Of a client: below retries and failover, per endpoint, so that a refusal is a cheap attempt elsewhere; above the timeout of an
//! attempt if waiting in line should not count, and below it if it should. Of a server: outside of whatever costs.
//!
//! # State
//!
//! The places are one atomic word: so many taken, so many waiting. They belong to the layer: all services that one layer makes, and
//! all their clones, share them, and [`BulkheadLayer::handle`] reads them. While nobody waits, a place costs one exchange of the word
//! to take and one to give back. Only those who wait, and who gives a place to them, take a lock. That one word is all that threads
//! which do not wait get in each other's way with: a limit on all of them cannot do without. Per key, they share the key's word.
//!
//! Per key, each key has its own places. A key without calls is forgotten as new keys come. When as many keys as are
//! [allowed](BulkheadBuilder::max_keys) have calls under way, new ones share one more set of places; none pushes out another.
//!
//! # Readiness and cancellation
//!
//! Readiness is the inner service's: a full bulkhead is ready, and refuses in the response future. A call takes its place when it is
//! made, and gives it back when its future ends or is dropped; with [`until_body_end`](BulkheadLayer::until_body_end), when the body of
//! the response does. A call that has to wait stands in line from the first poll of its future, and holds nothing of the inner service
//! meanwhile: what that had reserved is given back, and it is made ready anew when there is a place. Who gives up leaves the line, and
//! a place that it was just given goes to the next.
//!
//! # Errors
//!
//! A [`Rejection`](bartizan_core::Rejection) of kind [`Full`](bartizan_core::RejectionKind::Full), with [`Full`] as its source. The
//! call was not sent.
//!
//! # Differences from …
//!
//! `tower::limit::ConcurrencyLimit` queues without bounds, in `poll_ready`, and never refuses; use it where that back-pressure is
//! wanted, under a balancer. tower-resilience's bulkhead boxes every call, and its line has no bound. resilience4j's has a longest wait
//! and no bound for the line, Polly's a bound and no longest wait; this one has both.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::{BoxError, Rejection, RejectionKind, find};
//! use bartizan_resilience::bulkhead::{BulkheadLayer, Full};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let bulkhead = BulkheadLayer::try_new(1)?;
//! let places = bulkhead.handle();
//! let mut service = ServiceBuilder::new()
//!     .layer(bulkhead)
//!     .service_fn(|(): ()| std::future::pending::<Result<(), BoxError>>());
//!
//! let hangs = service.ready().await?.call(());
//! assert_eq!(places.snapshot().in_flight, 1);
//! let error = service.ready().await?.call(()).await.unwrap_err();
//! let rejection = find::<Rejection>(&*error).expect("refused");
//! assert_eq!(rejection.kind(), RejectionKind::Full);
//! assert_eq!(find::<Full>(rejection).unwrap().to_string(), "all 1 places are taken");
//!
//! drop(hangs);
//! assert_eq!(places.snapshot().in_flight, 0);
//! # Ok(())
//! # }
//! ```
//!
//! A line of two for each tenant:
//!
//! ```
//! use bartizan_core::BoxError;
//! use bartizan_resilience::bulkhead::BulkheadLayer;
//! use std::time::Duration;
//! use tokio::time::{Instant, sleep};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let service = ServiceBuilder::new()
//!     .layer(
//!         BulkheadLayer::builder()
//!             .limit(1)
//!             .queue(2, Duration::from_secs(5))
//!             .build_per_key(|tenant: &&'static str| Some(*tenant))?,
//!     )
//!     .service_fn(|tenant: &'static str| async move {
//!         sleep(Duration::from_secs(1)).await;
//!         Ok::<_, BoxError>(tenant)
//!     });
//!
//! let started = Instant::now();
//! let call = |tenant| service.clone().oneshot(tenant);
//! let (first, second, other) = tokio::join!(call("red"), call("red"), call("blue"));
//! assert_eq!((first?, second?, other?), ("red", "red", "blue"));
//! // The second waited for the first. The other tenant waited for nobody.
//! assert_eq!(started.elapsed(), Duration::from_secs(2));
//! # Ok(())
//! # }
//! ```

mod admission;
mod hold;
mod keys;
mod layer;
mod places;
mod service;

#[cfg(feature = "http")]
pub use self::hold::{HeldBody, UntilBodyEnd};
pub use self::{
    admission::Full,
    hold::{Hold, Place, UntilHead},
    layer::{
        BulkheadBuilder, BulkheadHandle, BulkheadLayer, BulkheadSnapshot, KeyedBulkheadHandle,
        PerKey, Shared,
    },
    service::{Bulkhead, ResponseFuture},
};
pub(crate) use self::{
    admission::{Admission, Admitted, Call, Gate},
    keys::Keys,
    places::Places,
};
