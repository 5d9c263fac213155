//! Limits a whole call, with all its attempts, and tells everybody below how much time is left.
//!
//! [`DeadlineLayer`] puts a [`Deadline`] into the extensions of each request, and gives up when it passes. A request that brings one
//! keeps it if it is the earlier: a deadline only ever shrinks. So the calls that a handler makes while it serves one can share its
//! time, however deep they nest.
//!
//! Over the wire a deadline travels as a header, as the time that is left, because no two machines agree on the time of day. On the
//! way out [`SendDeadlineLayer`] writes it; on the way in [`DeadlineLayer::accept_header`] reads it. [`DeadlineHeader`] knows the two
//! forms in use, milliseconds and gRPC's.
//!
//! # Placement
//!
//! [`DeadlineLayer`] outermost, above retries, hedging and failover: it is their time that it limits. [`SendDeadlineLayer`] below
//! them, so that each attempt tells its peer what is left by then. On a server, [`DeadlineLayer`] outermost too, so that what queues in
//! the layers below counts.
//!
//! The limit is for the head of the response. A body that should end by then is limited by
//! [`BodyTimeoutLayer::until_deadline`](crate::timeout::BodyTimeoutLayer::until_deadline), anywhere below.
//!
//! # State
//!
//! None: the deadline belongs to the request.
//!
//! # Readiness and cancellation
//!
//! Readiness is the inner service's, and waiting for it is not limited. The deadline is reckoned from `call`; the timer is armed when
//! the response is first polled and is not there yet. A request whose deadline has passed before it is called is not sent at all. When
//! the deadline passes, or the caller drops the future, the inner call is dropped. A response that comes in the same instant wins.
//!
//! The layer itself allocates nothing. What it writes does, as every extension and every header of a request may: a request that comes
//! with a [`Deadline`] has it replaced in place.
//!
//! # Errors
//!
//! A [`Rejection`](bartizan_core::Rejection) of kind [`TimedOut`](bartizan_core::RejectionKind::TimedOut), with [`DeadlinePassed`] as
//! its source. The call may have reached a peer, unless [`DeadlinePassed::is_unsent`].
//!
//! # Differences from `tower::timeout` and `tower-http`
//!
//! Theirs start anew at every layer they stand at, and nobody else can see how much is left. The deadline here is one moment, visible to
//! retries and handlers, and to peers.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::{Body, BoxError, Rejection, find};
//! use bartizan_resilience::deadline::{Deadline, DeadlineLayer};
//! use http::{Request, Response};
//! use std::time::Duration;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let stuck = tower::service_fn(|request: Request<Body>| async move {
//!     let deadline = request.extensions().get::<Deadline>().expect("the layer put it there");
//!     assert_eq!(deadline.remaining(), Duration::from_secs(30));
//!     std::future::pending::<Result<Response<Body>, BoxError>>().await
//! });
//! let service = ServiceBuilder::new().layer(DeadlineLayer::default()).service(stuck);
//!
//! let error = service.oneshot(Request::new(Body::empty())).await.unwrap_err();
//! assert!(find::<Rejection>(&*error).is_some_and(Rejection::is_timed_out));
//! # Ok(())
//! # }
//! ```
//!
//! A server that takes the time its callers allow, but never more than its own ten seconds, and passes on what is left:
//!
//! ```
//! use bartizan_core::{Body, BoxError};
//! use bartizan_resilience::deadline::{Deadline, DeadlineHeader, DeadlineLayer, SendDeadlineLayer};
//! use http::{Request, Response};
//! use std::time::Duration;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let header = DeadlineHeader::try_millis("x-request-timeout-ms")?;
//! // What it is asked, it answers.
//! let peer = tower::service_fn(|request: Request<Body>| async move {
//!     let left = request.headers()["x-request-timeout-ms"].to_str()?.to_owned();
//!     Ok::<_, BoxError>(Response::new(left))
//! });
//! let client = ServiceBuilder::new().layer(SendDeadlineLayer::new(header.clone())).service(peer);
//!
//! let handler = tower::service_fn(move |request: Request<Body>| {
//!     let client = client.clone();
//!     async move {
//!         tokio::time::sleep(Duration::from_millis(100)).await;
//!         let mut nested = Request::new(Body::empty());
//!         let deadline = request.extensions().get::<Deadline>().expect("the layer put it there");
//!         nested.extensions_mut().insert(*deadline);
//!         client.oneshot(nested).await
//!     }
//! });
//! let mut server = ServiceBuilder::new()
//!     .layer(DeadlineLayer::new(Duration::from_secs(10)).accept_header(header))
//!     .service(handler);
//!
//! let hasty = Request::get("/").header("x-request-timeout-ms", "1500").body(Body::empty())?;
//! assert_eq!(server.ready().await?.call(hasty).await?.body(), "1400");
//! let greedy = Request::get("/").header("x-request-timeout-ms", "9999999").body(Body::empty())?;
//! assert_eq!(server.ready().await?.call(greedy).await?.body(), "9900");
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "http")]
mod header;
mod instant;
#[cfg(feature = "http")]
mod layer;
#[cfg(feature = "http")]
mod send;

pub use self::instant::Deadline;
#[cfg(feature = "http")]
pub use self::{
    header::DeadlineHeader,
    layer::{DeadlineLayer, DeadlinePassed, Deadlined, ResponseFuture},
    send::{SendDeadline, SendDeadlineLayer},
};
