//! Asks the next target when one fails, and stays with the one that answered.
//!
//! Targets stand in an order. The first call starts with the first of them; when a target fails, the call goes on to the next, and
//! past the last it goes round to the first, until one answers or each was asked once. The target that answered is where the next
//! calls start. So a dead target costs the calls that find it dead, and nobody after them.
//!
//! A target fails by an error — of any kind: it does not resolve, refuses, resets, takes too long, or a layer below rejects the
//! call — or by a response that the [`Policy`] does not take for an answer. For HTTP those are the statuses 501 to 504, unless set
//! otherwise.
//!
//! # Back to an earlier target
//!
//! A target that recovers is used again when the present one fails, and not before: whoever answers is as good as another. Where it is
//! not — the first target is near, or costs less — `fail_back(interval)` has one call per interval try an earlier target first, each of
//! them in turn. If that one answers, it is the current target again; if it fails, the call goes on where it would have begun, and has
//! paid for the news with the time that took, during which it keeps what it made ready there. So put a timeout below. An earlier target that is not ready at once is passed by, and a
//! request that can be sent only once tries nobody. It is off by default, so that no call pays for a preference that nobody stated.
//!
//! # Placement
//!
//! Above the timeout, the breaker and the limits that are there per target, and below retries, which then repeat the whole round.
//! Without a timeout below it, a target that never answers is never left.
//!
//! # State
//!
//! The current target is one atomic word. It is owned by the layer: all services made by one layer, and all their clones, share
//! it, and [`FailoverHandle`] reads it. A call moves it only if it still stands where that call found it, so a call that was slow
//! to fail never undoes what faster ones have learned since.
//!
//! # Readiness and cancellation
//!
//! Readiness is that of the current target. A target whose readiness fails has failed, and the call goes on to the next. Dropping
//! the response future drops the one attempt that is under way; the current target stays as it was.
//!
//! # Requests are sent more than once
//!
//! Failover repeats a request whatever its method: a target that took a `POST` and then answered 503 is followed by another that
//! gets the same `POST`. Put it over targets where that is sound. The request is copied before it is sent, headers included,
//! unless there is no other target left. A request that cannot be copied because its body is a stream goes to the current target only,
//! and if that fails, [`Exhausted::is_unreplayable`] says so.
//!
//! The copy is made although most calls never need it, since the first target consumes the request. Over HTTP a whole body is
//! shared and costs nothing; the head costs what cloning its maps does: two allocations for the headers and one for each value that is
//! not static yet, two for the extensions and one for each of them, and one for the path. That is eight for a `GET` with a path, three
//! headers and an extension, and none for a head that is empty. With a single target nothing is copied.
//!
//! # Errors
//!
//! When no target answered: a [`Rejection`](bartizan_core::Rejection) of kind
//! [`Exhausted`](bartizan_core::RejectionKind::Exhausted), whose source is [`Exhausted`], which carries what each target did.
//! With `return_last_response`, a last target that did respond has its response returned as it is, [`Report`] in its extensions.
//!
//! # Examples
//!
//! Over one client, between URLs:
//!
//! ```
//! use bartizan_core::{Body, BoxError};
//! use bartizan_resilience::failover::{FailoverLayer, Report};
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! // Stands for any HTTP client.
//! let client = tower::service_fn(|request: Request<Body>| async move {
//!     let status = if request.uri().host() == Some("good.example") { 200 } else { 503 };
//!     Ok::<_, BoxError>(Response::builder().status(status).body(Body::empty())?)
//! });
//!
//! let failover = FailoverLayer::builder()
//!     .target("http://bad.example")
//!     .target("http://good.example")
//!     .build()?;
//! let handle = failover.handle();
//! let service = ServiceBuilder::new().layer(failover).service(client);
//!
//! let response = service.oneshot(Request::get("/fo").body(Body::empty())?).await?;
//! assert_eq!(response.status(), 200);
//! assert_eq!(handle.current(), 1);
//!
//! let report = response.extensions().get::<Report>().expect("there was a failure to report");
//! assert_eq!(report.attempts()[0].fault(), Some("503 Service Unavailable"));
//! # Ok(())
//! # }
//! ```
//!
//! Over services that differ, of any protocol:
//!
//! ```
//! use bartizan_core::BoxError;
//! use bartizan_resilience::failover::{Failover, OnError};
//! use std::time::Duration;
//! use tower::{ServiceExt, util::BoxCloneSyncService};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let primary = tower::service_fn(|_: u32| async { Err::<u32, BoxError>("down for maintenance".into()) });
//! let replica = tower::service_fn(|n: u32| async move { Ok::<u32, BoxError>(n + 1) });
//!
//! let service = Failover::builder(OnError)
//!     .target("primary", BoxCloneSyncService::new(primary))
//!     .target("replica", BoxCloneSyncService::new(replica))
//!     .interval(Duration::from_millis(1))
//!     .build()?;
//! assert_eq!(service.clone().oneshot(1).await?, 2);
//! assert_eq!(service.handle().name(), "replica");
//! # Ok(())
//! # }
//! ```

mod future;
#[cfg(feature = "http")]
mod http;
mod policy;
mod report;
mod route;
mod service;
mod shared;

#[cfg(feature = "http")]
pub use self::http::{FailoverLayer, FailoverLayerBuilder, HttpPolicy};
pub use self::{
    future::ResponseFuture,
    policy::Policy,
    report::{Attempt, Exhausted, Report},
    route::FailoverHandle,
    service::{Failover, FailoverBuilder},
};
pub use crate::classify::OnError;
