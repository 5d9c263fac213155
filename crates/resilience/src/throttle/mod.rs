//! Holds calls back from a peer that accepts too few of them, so that it does not spend itself on refusing the rest.
//!
//! A peer over its capacity refuses calls, and refusing is work too; past a point it does nothing else. This layer keeps count of the
//! calls that were made and of those that the peer accepted, over the last two minutes, and once there are more than twice as many calls
//! as accepted ones it fails some itself, without sending them. Which ones is up to chance, with the probability
//!
//! ```text
//! max(0, (calls - K × accepted) / (calls + 1))
//! ```
//!
//! from "Site Reliability Engineering" (Beyer et al., 2016), chapter 21, "Handling Overload". The calls that it fails count as calls, so
//! the worse it gets the more it holds back, and as soon as the peer accepts more it holds back less. With the K of 2 a peer gets to refuse
//! one call for each that it accepts: this is how the layer finds out that it has recovered.
//!
//! Unlike a circuit breaker, which stops all calls to a peer that is down, it lets a peer that is overloaded have just what it can take.
//! The two go together.
//!
//! # What counts as accepted
//!
//! What the [`Classify`](bartizan_core::Classify) finds at the head of the response:
//!
//! | outcome | counts as |
//! |---|---|
//! | success | accepted |
//! | failure, throttled | refused |
//! | cancelled: the caller dropped the call, as a time limit above does | refused |
//! | ignored: refused by a layer of our own, or a mistake of the caller's | nothing |
//!
//! A body that breaks off changes nothing: the peer had accepted. A call counts at the time it was made, and when its outcome is known,
//! so that a peer which is slow and well is left alone.
//!
//! # Placement
//!
//! Below retries, so that each attempt counts, and what is held back is an attempt that costs nothing. Above the attempt timeout, to see
//! timeouts. One layer per peer, as for a circuit breaker.
//!
//! # State
//!
//! The counts belong to the layer: all services that one layer makes, and all their clones, share them, and [`ThrottleHandle`] reads them.
//! They are striped, so that cores do not fight over them, and the probability is worked out anew once per twelve-hundredth of the
//! window and not at every call.
//!
//! # Readiness and cancellation
//!
//! Readiness is the inner service's. What is held back fails in the response future, and leaves the inner service as ready as it was. A
//! future that is dropped counts as refused, once.
//!
//! # Errors
//!
//! A [`Rejection`](bartizan_core::Rejection) of kind [`Shed`](bartizan_core::RejectionKind::Shed), with [`HeldBack`] as its source. The
//! call was never sent.
//!
//! # Differences from the book
//!
//! Below twenty calls in the window nothing is held back, or the first failure of a quiet client would halve its calls. And at most nine
//! calls of ten are, or a client with one call per second would send a peer that was down one call in two minutes and find out as late
//! that it is back.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::{Body, BoxError};
//! use bartizan_resilience::throttle::ThrottleLayer;
//! use http::{Request, Response};
//! use std::time::Duration;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let overloaded = tower::service_fn(|_: Request<Body>| async {
//!     Ok::<_, BoxError>(Response::builder().status(503).body(Body::empty())?)
//! });
//! let layer = ThrottleLayer::default();
//! let handle = layer.handle();
//! let mut service = ServiceBuilder::new().layer(layer).service(overloaded);
//!
//! for _ in 0..1000 {
//!     // An error for what is held back, and the peer's 503 for the rest.
//!     let _ = service.ready().await?.call(Request::new(Body::empty())).await;
//!     tokio::time::advance(Duration::from_millis(10)).await;
//! }
//! assert_eq!((handle.calls(), handle.accepted()), (1000, 0));
//! assert_eq!(format!("{:.2}", handle.chance()), "0.90");
//! # Ok(())
//! # }
//! ```
//!
//! Stricter, for a protocol that is not HTTP:
//!
//! ```
//! use bartizan_core::{BoxError, Outcome};
//! use bartizan_resilience::throttle::ThrottleLayer;
//! use std::time::Duration;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let layer = ThrottleLayer::builder()
//!     .classify(|result: Result<&u32, &BoxError>| match result {
//!         Ok(_) => Outcome::Success,
//!         Err(_) => Outcome::Failure,
//!     })
//!     .multiplier(1.1)
//!     .window(Duration::from_secs(30))
//!     .build()?;
//! let service = ServiceBuilder::new()
//!     .layer(layer)
//!     .service(tower::service_fn(|n: u32| async move { Ok::<_, BoxError>(n + 1) }));
//! assert_eq!(service.oneshot(1).await?, 2);
//! # Ok(())
//! # }
//! ```

mod layer;
mod service;
mod state;

pub use self::{
    layer::{ThrottleHandle, ThrottleLayer, ThrottleLayerBuilder},
    service::{HeldBack, ResponseFuture, Throttle},
};
