//! Does to calls what networks do: slows them, fails them, loses their answers, or leaves them without one.
//!
//! A stack that was never seen to fail is a stack nobody knows. Put this below the layers that are to cope with it, in a test or in a
//! deployment that is watched, and see whether they do. It is off until [`ChaosHandle::enable`], and costs one atomic load per call
//! while it is.
//!
//! | what happens | what it tells |
//! |---|---|
//! | [`latency`](ChaosBuilder::latency): the call waits, and then goes on | whether limits on time are what they should be |
//! | [`errors`](ChaosBuilder::errors): the call fails and is not made | whether retries, breakers and fallbacks work |
//! | [`cuts`](ChaosBuilder::cuts): the call is made, and its answer is lost | whether trying again does things twice |
//! | [`hangs`](ChaosBuilder::hangs): there is no answer, ever | whether there is a timeout |
//!
//! Each happens at a rate. A call meets at most one of the last three, and latency besides.
//!
//! # Placement
//!
//! At the bottom, right above the transport, where the network would do it. In a test, above a service that answers by itself.
//!
//! # State
//!
//! The switch, the counts and the sequence of a [`seed`](ChaosBuilder::seed) belong to the layer: all services of one layer, and all
//! their clones, share them. So a seeded sequence repeats if the calls are made in the same order.
//!
//! # Readiness and cancellation
//!
//! Readiness is the inner service's. A call that is failed on purpose leaves it ready for the next. One that is delayed is handed to
//! the inner service at once, with what that reserved for it, and first polled after the delay, as over a slow network. Dropping the
//! response future ends whatever was to happen.
//!
//! # Errors
//!
//! A [`Rejection`](bartizan_core::Rejection) whose source is [`Injected`]. Its kind is
//! [`Exhausted`](bartizan_core::RejectionKind::Exhausted), so that classifications take it for a failure of the peer, which is what
//! it plays, and not for a layer's refusal. [`reject_with`](ChaosLayer::reject_with) makes it a response: a 503, say.
//!
//! # Differences from `tower-resilience-chaos`
//!
//! - It can be turned on and off while it runs, and is off at first.
//! - Answers can be lost, or never come; there it is latency and errors.
//! - It knows which requests to spare.
//! - A seed's sequence is not shifted by a change of rates.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::{BoxError, find};
//! use bartizan_resilience::chaos::{ChaosLayer, Injected};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let chaos = ChaosLayer::builder().errors(0.5).seed(7).build()?;
//! let switch = chaos.handle();
//! let mut service = ServiceBuilder::new()
//!     .layer(chaos)
//!     .service(tower::service_fn(|(): ()| async { Ok::<_, BoxError>("fine") }));
//! assert_eq!(service.ready().await?.call(()).await?, "fine");
//!
//! switch.enable();
//! let mut failures = 0;
//! for _ in 0..100 {
//!     if let Err(error) = service.ready().await?.call(()).await {
//!         assert!(find::<Injected>(&*error).is_some());
//!         failures += 1;
//!     }
//! }
//! assert_eq!(switch.counts().failed, failures);
//! assert!((35..65).contains(&failures));
//! # Ok(())
//! # }
//! ```
//!
//! As a 503, and only below one path:
//!
//! ```
//! use bartizan_core::{Body, BoxError};
//! use bartizan_resilience::chaos::ChaosLayer;
//! use http::{Request, Response};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let chaos = ChaosLayer::builder()
//!     .errors(1.0)
//!     .only(|request: &Request<Body>| request.uri().path().starts_with("/orders"))
//!     .enabled()
//!     .build()?
//!     .reject_with(|_| {
//!         let mut response = Response::new(Body::empty());
//!         *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
//!         response
//!     });
//! let mut service = ServiceBuilder::new().layer(chaos).service(tower::service_fn(|_: Request<Body>| async {
//!     Ok::<_, BoxError>(Response::new(Body::empty()))
//! }));
//!
//! let mut status = async |path: &str| -> Result<u16, BoxError> {
//!     let request = Request::get(path).body(Body::empty())?;
//!     Ok(service.ready().await?.call(request).await?.status().as_u16())
//! };
//! assert_eq!(status("/orders/1").await?, 503);
//! assert_eq!(status("/health").await?, 200);
//! # Ok(())
//! # }
//! ```

mod layer;
mod service;

pub use self::{
    layer::{ChaosBuilder, ChaosCounts, ChaosHandle, ChaosLayer, Everything, Latency, Target},
    service::{Chaos, Injected, ResponseFuture},
};
