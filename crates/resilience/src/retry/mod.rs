//! Makes another attempt when one fails, if it is likely to help and cannot do harm.
//!
//! Over HTTP, a call is tried again when
//!
//! - it **never left**: a layer below refused it, or the transport says so ([`unsent_if`](RetryLayerBuilder::unsent_if)). Whatever its
//!   method;
//! - or an **error** came, or a status that says that another time may do (408, 429, 502, 503, 504), and the call may be repeated: its
//!   method is idempotent, or it has an `Idempotency-Key`, or one [was told so](RetryOptions::repeatable).
//!
//! The caller gets what the last attempt came to, response or error, as it is. Nobody waits after the last failure.
//!
//! What stands against another attempt, in this order: the call has had its [attempts](RetryLayerBuilder::attempts) (3); the peer asks,
//! by `Retry-After`, for [more patience](RetryLayerBuilder::max_retry_after) than there is (30 s); its
//! [deadline](crate::deadline::Deadline) would pass first; the body cannot be sent again; the [budget](crate::budget) is spent (20 % of the calls, and ten per second). [`GaveUp`] says which.
//!
//! The wait is the longer of the [backoff](RetryLayerBuilder::backoff)'s and `Retry-After`'s. A date in `Retry-After` is a wait by the
//! wall clock.
//!
//! # Bodies
//!
//! A [`Body`](bartizan_core::Body) that is empty or whole is shared with its copy. A streaming body, of any type, is kept while it is
//! sent, up to [a limit](RetryLayerBuilder::body_limit) (64 KiB); a longer one passes through, and the call is not tried again. Nor is
//! one whose response comes while its body is still being sent. After an error, what was given back unsent is sent on.
//!
//! The body of a failed response is read [up to a limit](RetryLayerBuilder::drain_limit) during the wait, so that its connection can
//! be used again, and dropped then.
//!
//! # Placement
//!
//! Above what makes one attempt: the breaker, so that its rejection is an attempt that costs nothing; the attempt timeout, so that each
//! attempt has its own; failover and balancers, so that the next attempt goes elsewhere. Below what is there once per call: the total
//! deadline, the cache, the metrics of calls. Two retries above one another multiply: use one.
//!
//! # State
//!
//! The layer needs an inner service that is `Clone`. It owns the budget and the counters: all services it makes and all their clones share them. [`RetryHandle`] reads the
//! counters, and [`RetryLayer::budget`] is a handle itself.
//!
//! # Readiness and cancellation
//!
//! Readiness is the inner service's, and the first attempt goes through the instance that was made ready. Each further one takes a
//! clone, and waits for that. Dropping the future drops the attempt, or the wait; a retry that the budget granted is not given back.
//!
//! A call that succeeds at once reads no clock, and allocates for nothing but the copies of its headers and extensions, and of a
//! streaming body, if it has any.
//!
//! # Errors
//!
//! The inner service's, from the last attempt. There is none of its own: a layer that cannot try again has no more to say than what
//! went wrong. Why it did not is in [`Attempts`], in the extensions of the response; for errors, in the events at debug level and the
//! counters of [`RetryHandle::gave_up`].
//!
//! # Differences from `tower::retry`, tower-resilience, resilience4j, Polly and Ballerina
//!
//! tower brings the mechanism; its policy is for the user to write, and is cloned for each call. tower-resilience's layer and
//! Ballerina's client repeat every method, and neither reads `Retry-After`. None of the five asks whether the request left, or has
//! a budget unless it is set up; resilience4j, Polly and Ballerina have none to set up. Ballerina counts the extra attempts, where
//! we count all, and waits for the interval without jitter.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::{Body, BoxError};
//! use bartizan_resilience::retry::{Attempts, GaveUp, RetryLayer};
//! use http::{Request, Response};
//! use std::sync::{Arc, atomic::{AtomicU32, Ordering}};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let asked = Arc::new(AtomicU32::new(0));
//! let origin = Arc::clone(&asked);
//! // Stands for any HTTP client. Every other request finds it busy.
//! let client = tower::service_fn(move |_: Request<Body>| {
//!     let busy = origin.fetch_add(1, Ordering::Relaxed) % 2 == 0;
//!     async move { Ok::<_, BoxError>(Response::builder().status(if busy { 503 } else { 200 }).body(Body::empty())?) }
//! });
//! let service = ServiceBuilder::new().layer(RetryLayer::default()).service(client);
//!
//! let response = service.clone().oneshot(Request::get("/").body(Body::empty())?).await?;
//! assert_eq!(response.status(), 200);
//! assert_eq!(response.extensions().get::<Attempts>().map(|attempts| attempts.count()), Some(2));
//!
//! // The origin may have acted on a `POST` before it failed.
//! let response = service.oneshot(Request::post("/").body(Body::from("1 lamp"))?).await?;
//! assert_eq!(response.status(), 503);
//! assert_eq!(response.extensions().get::<Attempts>().unwrap().gave_up(), Some(GaveUp::NotIdempotent));
//! assert_eq!(asked.load(Ordering::Relaxed), 3);
//! # Ok(())
//! # }
//! ```
//!
//! Of any protocol, with a backoff of its own, and without a budget:
//!
//! ```
//! use bartizan_core::BoxError;
//! use bartizan_resilience::{backoff::Backoff, retry::{OnError, RetryLayer}};
//! use std::time::Duration;
//! use tokio::time::Instant;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let layer = RetryLayer::with_policy(OnError)
//!     .attempts(4)
//!     .backoff(Backoff::constant(Duration::from_secs(1)))
//!     .no_budget()
//!     .build()?;
//! let handle = layer.handle();
//! let down = tower::service_fn(|_: u32| async { Err::<u32, BoxError>("down".into()) });
//!
//! let started = Instant::now();
//! let error = ServiceBuilder::new().layer(layer).service(down).oneshot(7).await.unwrap_err();
//! assert_eq!(error.to_string(), "down");
//! assert_eq!(handle.retries(), 3);
//! assert_eq!(started.elapsed(), Duration::from_secs(3));
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "http")]
mod drain;
mod future;
#[cfg(feature = "http")]
mod http;
mod policy;
mod report;
mod service;
#[cfg(feature = "http")]
mod tee;

#[cfg(feature = "http")]
pub use self::{
    drain::Drain,
    http::{HttpPolicy, KeptRequest, RetryOptions},
};
pub use self::{
    future::ResponseFuture,
    policy::{Judgement, OnOutcome, Policy, Resend},
    report::{Attempts, GaveUp, RetryHandle},
    service::{Retry, RetryLayer, RetryLayerBuilder},
};
pub use crate::classify::OnError;
#[cfg(feature = "http")]
pub use bartizan_core::Attempt;
