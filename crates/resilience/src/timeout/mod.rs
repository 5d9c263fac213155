//! Gives up on a response that does not come, or that stops coming.
//!
//! [`TimeoutLayer`] limits how long the head of a response may take. [`BodyTimeoutLayer`] limits the body that follows: how long it may
//! send nothing, and, where that is wanted, how long all of it may take. They are two because a large download is not a slow answer.
//!
//! | limit | layer | default |
//! |---|---|---|
//! | one attempt, to the head of its response | [`TimeoutLayer`] | 5 s |
//! | the whole call, with all attempts | [`DeadlineLayer`](crate::deadline::DeadlineLayer) | 30 s |
//! | a response body that sends nothing | [`BodyTimeoutLayer::idle`] | 30 s |
//! | a response body, from the head to its end | [`BodyTimeoutLayer::whole`] | off |
//! | the same, by the deadline of the call | [`BodyTimeoutLayer::until_deadline`] | off |
//!
//! # Placement
//!
//! Below whatever makes several attempts — failover, retries — so that it limits each one. Below a circuit breaker too, which
//! would otherwise never see a timeout. Above a transport, or a concurrency limit whose queue should count. [`BodyTimeoutLayer`] stands
//! beside it: below the breaker, for which a body that breaks off is a failure.
//!
//! # State
//!
//! None: each call and each body has its own timer.
//!
//! # Readiness and cancellation
//!
//! Readiness is the inner service's, and waiting for it is not limited. The clock starts when the response is first polled and is
//! not there yet: a response that is there costs no timer and no look at the clock. When the limit is up, or the caller drops the
//! future, the inner call is dropped, and what that means is up to the inner service; over HTTP/1.1 it closes the connection.
//!
//! A response that comes in the same instant as the limit wins: it is polled first.
//!
//! The clock of an idle body runs only while somebody waits for its next frame, so a slow reader is not held against the peer. When a
//! limit is up the inner body is dropped at once, and with it whatever connection it holds.
//!
//! # Errors
//!
//! A [`Rejection`](bartizan_core::Rejection) of kind [`TimedOut`](bartizan_core::RejectionKind::TimedOut), with [`Elapsed`] as its source. The call may have reached the
//! peer, so it is not safe to repeat unless the request is idempotent.
//!
//! A body fails with the same rejection, as a `BoxError`, with [`BodyElapsed`] as its source. After it the body has ended.
//!
//! # Differences from `tower::timeout` and `tower-http`
//!
//! The error is the inner service's, not `BoxError`; the timer is armed when it is needed and not at every call; and
//! [`reject_with`](TimeoutLayer::reject_with) makes it fit where errors cannot be, under an axum `Router`. tower-http's `TimeoutBody`
//! looks at its timer before the body, so that it throws away a frame that was there, and forwards neither size nor end.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::{BoxError, Rejection, find};
//! use bartizan_resilience::timeout::TimeoutLayer;
//! use std::time::Duration;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let stuck = tower::service_fn(|(): ()| std::future::pending::<Result<(), BoxError>>());
//! let service = ServiceBuilder::new().layer(TimeoutLayer::new(Duration::from_secs(5))).service(stuck);
//!
//! let error = service.oneshot(()).await.unwrap_err();
//! assert!(find::<Rejection>(&*error).is_some_and(Rejection::is_timed_out));
//! assert_eq!(error.source().unwrap().to_string(), "the limit is 5s");
//! # }
//! ```
//!
//! A response instead of an error:
//!
//! ```
//! use bartizan_core::{Body, Rejection};
//! use bartizan_resilience::timeout::TimeoutLayer;
//! use http::{Request, Response};
//! use std::{convert::Infallible, time::Duration};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let stuck = tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, Infallible>>());
//! let service = ServiceBuilder::new()
//!     .layer(TimeoutLayer::default().reject_with(Rejection::into_response))
//!     .service(stuck);
//!
//! let response = service.oneshot(Request::new(Body::empty())).await.unwrap();
//! assert_eq!(response.status(), 504);
//! # }
//! ```
//!
//! A body that stops half way:
//!
//! ```
//! use bartizan_core::{Body, BoxError, find};
//! use bartizan_resilience::timeout::{BodyElapsed, BodyTimeoutLayer};
//! use http::{Request, Response};
//! use http_body_util::BodyExt;
//! use std::time::Duration;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! // Stands for a peer that went away without a word.
//! let silent = || Body::from_stream(futures_util::stream::pending::<Result<&str, BoxError>>());
//! let client = tower::service_fn(move |_: Request<Body>| async move { Ok::<_, BoxError>(Response::new(silent())) });
//! let service = ServiceBuilder::new()
//!     .layer(BodyTimeoutLayer::new().idle(Duration::from_secs(10)))
//!     .service(client);
//!
//! let response = service.oneshot(Request::new(Body::empty())).await?;
//! let error = response.into_body().collect().await.unwrap_err();
//! assert_eq!(find::<BodyElapsed>(&*error).unwrap().to_string(), "the body sent nothing for 10s");
//! # Ok(())
//! # }
//! ```

mod attempt;
#[cfg(feature = "http")]
mod body;
#[cfg(feature = "http")]
mod body_layer;

pub use self::attempt::{Elapsed, ResponseFuture, Timeout, TimeoutLayer};
#[cfg(feature = "http")]
pub use self::{
    body::{BodyElapsed, TimeoutBody},
    body_layer::{BodyResponseFuture, BodyTimeout, BodyTimeoutLayer},
};
