//! Keeps the queue in front of a limited service short, by shedding what has waited in it for too long.
//!
//! A service can work on so many calls at once; those that come beyond it wait. A queue that a burst left behind goes away by itself,
//! and waiting in it is right. A queue that never goes away adds its delay to every call and serves nobody better, and when it is longer
//! than the patience of the callers, all the work is for people who have left. So this layer watches how long calls wait:
//!
//! - *Calm*, which is as long as the wait falls below the target (5 ms) at least once per interval (100 ms): first come, first served,
//!   and nobody waits for longer than the interval.
//! - *Overloaded*, which is when it has not: nobody who comes waits for longer than the target, and who came last is served first,
//!   because who came first is about to be shed. A place never stays free for that: the last one in the queue gets it. Some calls are answered fast, and the others are refused fast, where in turn all of them would be
//!   late. It is over when no call has been late for an interval.
//!
//! The condition is that of `CoDel` (RFC 8289), what follows from it that of "Fail at Scale" (Maurer, ACM Queue 13(8), 2015). Nobody has
//! to know the capacity in calls per second: time is the measure.
//!
//! # Placement
//!
//! On a server, above whatever does the work and below what refuses calls for better reasons: authentication, rate limits. In a client,
//! below retries, which must have a budget, or they bring back what was shed. The layer limits the concurrency itself: who decides in
//! which order calls go must own the places that they wait for.
//!
//! # State
//!
//! The places and the queue belong to the layer: all services that one layer makes, and all their clones, share them, and
//! [`ShedHandle`] reads them. Free places are counted in one word for all threads, as a limit on all of them has to be.
//!
//! # Readiness and cancellation
//!
//! `poll_ready` waits for a place, and then for the inner service, so that nothing of the inner service is reserved by a call that
//! queues. What is shed becomes ready too, and fails in its response future. While nobody waits, a place costs two atomic exchanges and no
//! allocation; who waits costs a lock and a timer.
//!
//! An instance that was made ready holds a place until its response is there, or its future, or the instance itself, is dropped. An
//! instance that waits leaves the queue when it is dropped; what was granted to it meanwhile goes to the next. One that waits and is
//! never polled again keeps what is granted to it, as with every service of tower's.
//!
//! # Errors
//!
//! A [`Rejection`](bartizan_core::Rejection) of kind [`Shed`](bartizan_core::RejectionKind::Shed), with [`Overload`] as its source. The
//! call was never sent.
//!
//! # Differences from tower
//!
//! `tower::limit::ConcurrencyLimit` lets calls wait for ever, in turn. `tower::load_shed` refuses every call that would have to wait at
//! all, bursts included.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::{BoxError, Rejection, find};
//! use bartizan_resilience::shed::ShedLayer;
//! use std::time::Duration;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let work = tower::service_fn(|seconds: u64| async move {
//!     tokio::time::sleep(Duration::from_secs(seconds)).await;
//!     Ok::<_, BoxError>(seconds)
//! });
//! let service = ServiceBuilder::new().layer(ShedLayer::try_new(1)?).service(work);
//!
//! let first = tokio::spawn(service.clone().oneshot(60));
//! tokio::task::yield_now().await;
//! let error = service.oneshot(1).await.unwrap_err();
//! assert!(find::<Rejection>(&*error).is_some_and(Rejection::is_unsent));
//! assert_eq!(error.source().unwrap().to_string(), "no place came free within 100ms");
//! assert_eq!(first.await??, 60);
//! # Ok(())
//! # }
//! ```
//!
//! Other times, and a response instead of an error:
//!
//! ```
//! use bartizan_core::{Body, Rejection};
//! use bartizan_resilience::shed::ShedLayer;
//! use http::{Request, Response};
//! use std::{convert::Infallible, time::Duration};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), bartizan_core::ConfigError> {
//! let stuck = tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, Infallible>>());
//! let layer = ShedLayer::builder(1)
//!     .target(Duration::from_millis(20))
//!     .interval(Duration::from_millis(400))
//!     .queue(10)
//!     .build()?
//!     .reject_with(Rejection::into_response);
//! let handle = layer.handle();
//! let service = ServiceBuilder::new().layer(layer).service(stuck);
//!
//! let _stuck = tokio::spawn(service.clone().oneshot(Request::new(Body::empty())));
//! tokio::task::yield_now().await;
//! let Ok(response) = service.oneshot(Request::new(Body::empty())).await;
//! assert_eq!(response.status(), 503);
//! assert_eq!((handle.in_use(), handle.shed()), (1, 1));
//! # Ok(())
//! # }
//! ```

mod codel;
mod layer;
mod places;
mod queue;
mod service;

pub use self::{
    layer::{ShedHandle, ShedLayer, ShedLayerBuilder},
    service::{Overload, ResponseFuture, Shed},
};
