//! Asks endpoints whether they are well, and marks those that are not.
//!
//! A driver calls a probe every ten seconds or so. After three failures in a row the endpoint is unhealthy, after two passes in a row
//! it is healthy again, and [`Endpoint::is_fit`](crate::endpoint::Endpoint::is_fit) says so to whoever picks endpoints. The probe is any
//! service that is called with the [`Endpoint`](crate::endpoint::Endpoint): a closure that opens a connection, or `HttpProbe`, which
//! gets a path. Its answer means well, and its error, or no answer in five seconds, does not.
//!
//! Checks find what calls cannot: that an endpoint which nobody calls is back. Outlier ejection finds what checks cannot: that an
//! endpoint answers its checks and fails its calls. They know nothing of each other, and an endpoint is fit when both say so.
//!
//! # Placement
//!
//! Beside the stack, not in it. The probe's client stands below retries and breakers, so that it sees what is there; it may share
//! its transport with the calls, and then tests the very connections that they use.
//!
//! # State
//!
//! One endpoint's driver owns its counts. What they come to is in the endpoint itself, at one atomic load, and in the
//! [`HealthHandle`]. When the driver is dropped, the endpoint is no longer unhealthy, as nobody would find it mended.
//!
//! # Readiness and cancellation
//!
//! Each check makes a new clone of the probe ready and calls it, and the time limit is for both. Checks never overlap: the wait
//! for the next begins when one has ended. Nothing is spawned; a driver that is not polled checks nothing. Dropping it drops the check
//! that is under way.
//!
//! The time is that of `tokio::time`, so a wall clock that jumps changes nothing.
//!
//! # Errors
//!
//! [`HealthSnapshot::last_failure`] has the probe's own error, or a [`Rejection`](bartizan_core::Rejection) of kind
//! [`TimedOut`](bartizan_core::RejectionKind::TimedOut).
//!
//! # Differences from …
//!
//! - `tower-resilience-healthcheck`: the probe is a tower service and not a trait of its own; nothing is spawned; a threshold counts
//!   checks in a row, with no third state that skips it; waits have jitter; who picks is a balancer's business.
//! - Envoy: there an endpoint starts as unhealthy, and its first passed check is enough; here the start is set by
//!   [`initial`](HealthCheckBuilder::initial), and the thresholds hold from the first. The same interval holds for healthy and
//!   unhealthy endpoints. A passed check does not end an ejection, for which there is
//!   [`OutlierDetector::restore`](crate::outlier::OutlierDetector::restore).
//! - Kubernetes: the interval is from the end of a check to the next, and not from start to start.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::BoxError;
//! use bartizan_resilience::{endpoint::Endpoint, health::{Health, HealthCheck}};
//! use std::time::Duration;
//! use tokio::time::Instant;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! // Would be `TcpStream::connect(endpoint.name())`.
//! let probe = tower::service_fn(|endpoint: Endpoint| async move {
//!     Err::<(), BoxError>(format!("nobody listens at {}", endpoint.name()).into())
//! });
//!
//! let endpoint = Endpoint::new("10.0.0.1:80");
//! let (driver, mut health) = HealthCheck::default().check(&endpoint, probe);
//! tokio::spawn(driver);
//!
//! assert!(endpoint.is_fit());
//! assert_eq!(health.changed().await, Some(Health::Unhealthy));
//! assert!(!endpoint.is_fit());
//! assert_eq!(health.snapshot().last_failure().unwrap().to_string(), "nobody listens at 10.0.0.1:80");
//! # Ok(())
//! # }
//! ```
//!
//! Not to be called before it has shown that it is well:
//!
//! ```
//! use bartizan_core::BoxError;
//! use bartizan_resilience::{endpoint::Endpoint, health::{Health, HealthCheck}};
//! use std::time::Duration;
//! use tokio::time::Instant;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let probe = tower::service_fn(|_: Endpoint| async { Ok::<_, BoxError>("well") });
//! let check = HealthCheck::builder()
//!     .initial(Health::Unhealthy)
//!     .interval(Duration::from_secs(1))
//!     .jitter(0.0)
//!     .up(3)
//!     .build()?;
//!
//! let endpoint = Endpoint::new("10.0.0.1:80");
//! let (driver, mut health) = check.check(&endpoint, probe);
//! assert!(!endpoint.is_fit());
//!
//! let started = Instant::now();
//! tokio::spawn(driver);
//! assert_eq!(health.changed().await, Some(Health::Healthy));
//! assert!(endpoint.is_fit());
//! assert_eq!((health.snapshot().checks(), started.elapsed().as_secs()), (3, 2));
//! # Ok(())
//! # }
//! ```

mod check;
mod driver;
#[cfg(feature = "http")]
mod http;
mod state;

#[cfg(feature = "http")]
pub use self::http::{HttpProbe, HttpProbeFuture, UnexpectedStatus};
pub use self::{
    check::{HealthCheck, HealthCheckBuilder, HealthHandle, HealthSnapshot},
    driver::HealthDriver,
    state::Health,
};
