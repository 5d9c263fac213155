//! Makes a second attempt at calls that take long, and takes the answer that comes first.
//!
//! Most slow calls are slow by bad luck: a pause, a queue, a lost packet. Asked again, the peer usually answers at once. So when the
//! first attempt has taken longer than nearly all calls do, a second is sent, and the first to succeed is the answer. The other is
//! dropped. ("The Tail at Scale", Dean and Barroso, CACM 56(2), 2013.)
//!
//! - **When**: after the 95th percentile of what the first attempts took lately, or after a fixed delay.
//! - **How many**: one, and no more than 5 % of the calls. When everything is slow, sending it all twice makes it slower.
//! - **Which**: requests that may be done twice. A [`Policy`] says so, by the copy it makes; for HTTP, the method.
//! - **Who wins**: the first *success*, as [`Classify`](bartizan_core::Classify) sees the head of the response. When one attempt
//!   fails, the other is waited for, and what comes last is the answer, whatever it is. A first attempt that fails before there is a
//!   second ends the call: trying again is the business of retries.
//!
//! # Placement
//!
//! Above a balancer, so that the second attempt goes to another endpoint, and above whatever counts attempts: breaker, attempt
//! timeout, limits. Below retries, so that each retry has its second attempt.
//!
//! # State
//!
//! The percentile and the budget belong to the layer: all services of one layer, and all their clones, share them. Latencies are
//! counted in buckets an eighth wide, striped over the threads so that cores seldom write the same line, and fade with a half-life of
//! 30 s. Once a second one of the calls computes the percentile. [`HedgeHandle`] reads it.
//!
//! What is measured is the first attempt, from the first poll that finds it pending. One that the second overtook counts with the
//! time it had taken by then: that is above the percentile, so the percentile stays where it is. A failure that came before the delay
//! does not count.
//!
//! # Readiness and cancellation
//!
//! Readiness is the inner service's. The second attempt is made on a clone, which is waited for until it is ready; if it never is, or
//! its readiness fails, the first attempt goes on alone and the budget has its token back. The loser is dropped at the moment the
//! other wins, and dropping the response future drops both.
//!
//! A first attempt that answers at once costs no timer and no look at the clock. The copy of the request is made before that:
//! an `http::Request` with headers has to copy them.
//!
//! # Errors
//!
//! Those of the inner service. It refuses nothing by itself.
//!
//! # Differences from `tower::hedge` and `tower-resilience-hedge`
//!
//! - Both attempts are made by one kind of service, and the error is its own, not `BoxError`; it need not be `Clone`.
//! - In tower an error of one attempt ends the call; here the other may still save it.
//! - tower's percentile needs a lock per call; `tower-resilience-hedge` has none, and a delay that is set.
//! - There is a budget, and at most one second attempt. `tower-resilience-hedge` makes up to a number, for every call that is slow.
//! - Nothing is boxed.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::{Body, BoxError};
//! use bartizan_resilience::hedge::HedgeLayer;
//! use http::{Request, Response};
//! use std::{sync::atomic::{AtomicU32, Ordering}, time::Duration};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! // Stands for any HTTP client. Its first call hangs.
//! static CALLS: AtomicU32 = AtomicU32::new(0);
//! let client = tower::service_fn(|_: Request<Body>| async {
//!     if CALLS.fetch_add(1, Ordering::Relaxed) == 0 {
//!         std::future::pending::<()>().await;
//!     }
//!     Ok::<_, BoxError>(Response::new(Body::from("hello")))
//! });
//!
//! let hedge = HedgeLayer::http().after(Duration::from_millis(50)).build()?;
//! let handle = hedge.handle();
//! let service = ServiceBuilder::new().layer(hedge).service(client);
//!
//! let response = service.oneshot(Request::get("/").body(Body::empty())?).await?;
//! assert_eq!(response.status(), 200);
//! assert_eq!((handle.sent(), handle.won()), (1, 1));
//! # Ok(())
//! # }
//! ```
//!
//! Over a service of another protocol, by percentile, with a policy and a judgement of its own:
//!
//! ```
//! use bartizan_core::{BoxError, Outcome};
//! use bartizan_resilience::hedge::HedgeLayer;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let store = tower::service_fn(|key: String| async move { Ok::<_, BoxError>(key.len()) });
//!
//! let hedge = HedgeLayer::builder(|key: &String| (!key.starts_with("write ")).then(|| key.clone()))
//!     .classify(|result: Result<&usize, &BoxError>| match result {
//!         Ok(0) | Err(_) => Outcome::Failure,
//!         Ok(_) => Outcome::Success,
//!     })
//!     .after_percentile(99.0)
//!     .budget(0.02, 5)
//!     .build()?;
//! let handle = hedge.handle();
//! let service = ServiceBuilder::new().layer(hedge).service(store);
//!
//! assert_eq!(service.oneshot("read 7".to_owned()).await?, 6);
//! assert_eq!(handle.delay(), None, "one call is too few to tell");
//! assert_eq!(handle.tokens(), 5);
//! # Ok(())
//! # }
//! ```

mod budget;
mod delay;
mod future;
mod histogram;
#[cfg(feature = "http")]
mod http;
mod layer;
mod policy;
mod service;
mod state;

#[cfg(feature = "http")]
pub use self::http::Idempotent;
pub use self::{
    future::ResponseFuture,
    layer::{HedgeBuilder, HedgeLayer},
    policy::Policy,
    service::Hedge,
    state::HedgeHandle,
};
pub use crate::classify::OnError;
