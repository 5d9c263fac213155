//! Ejects the endpoints that do worse than the others, for a while.
//!
//! One [`OutlierDetector`] stands for a set of endpoints. Each endpoint's services get a layer of it, which tells it how their calls
//! end. An endpoint is ejected when
//!
//! - five calls in a row failed, at once;
//! - its success rate is more than 1.9 standard deviations below the mean, at a sweep, which is every 10 s ([`SuccessRate`]);
//! - too many of its calls failed, at a sweep, if that is turned on ([`FailurePercentage`]).
//!
//! Ejected means that [`Endpoint::is_fit`](crate::endpoint::Endpoint::is_fit) is false: whoever picks endpoints picks others. The first
//! ejection lasts 30 s, the nth n times as long, up to 300 s; each interval of service takes one off n. Never more than 10 % of the
//! endpoints are ejected at a time, though one always may be. Where more have earned it, the worst go first.
//!
//! # Placement
//!
//! Directly below whatever picks endpoints, and above the attempt timeout of each: a detector below it would see no timeout, only
//! calls that were dropped. Where it has to be below, [`fail_cancelled_after`](OutlierDetectorBuilder::fail_cancelled_after) counts
//! those. Above or below a circuit breaker is the same: what a breaker refuses counts for nothing.
//!
//! # State
//!
//! The counts are the detector's. Clones of it are the same detector, and so are all layers made by it; the layers of one endpoint
//! share that endpoint's counts. An endpoint leaves the set when its last layer and service is gone.
//!
//! A call writes to a line of its own thread, or of few threads, and nothing else; only failures write to the one word that counts
//! them in a row. An ejection and a return begin a new generation, in which the results of calls from before count for nothing.
//!
//! # Sweeps
//!
//! Nothing is spawned. Spawn [`OutlierDetector::driver`], and sweeps and returns are in time. Without it, calls do them: each failure
//! looks whether a sweep is due, every 32nd success does, and while something is ejected `poll_ready` does. So without a driver an
//! endpoint comes back only if somebody polls any service of the set.
//!
//! # Readiness and cancellation
//!
//! Readiness is the inner service's, and one that fails counts for nothing, as there was no call. The layer refuses nothing and delays nothing: a balancer that finds too few endpoints fit
//! uses all of them, and the calls have to get through. Dropping a call counts for nothing, unless set otherwise. A body that the caller
//! stops reading counts as its head did.
//!
//! # Errors
//!
//! Those of the inner service, as they are.
//!
//! # Differences from Envoy's outlier detection
//!
//! - An ejected endpoint comes back when its time is up, and not at the next sweep after that.
//! - When more are outliers than may be ejected, the worst are, and not the first in the list.
//! - When endpoints leave and too many of the rest are ejected, those come back that would be first. Envoy waits for their time.
//! - Results of calls that began before an ejection or a return are ignored.
//! - Gateway errors and local errors are not counted apart: [`OutlierLayer::classify`] says what a failure is.
//! - Nothing is ejected only with some probability, and the end of an ejection has no jitter.
//! - A passed health check does not end an ejection; [`OutlierDetector::restore`] does, if you call it then.
//!
//! # Differences from `tower-resilience-outlier`
//!
//! That ejects on consecutive errors, unless you write a strategy; up to 50 %, and never a single endpoint; looks up endpoints by
//! name under one lock for all calls; and by default holds calls to an ejected endpoint back by a `poll_ready` that wakes itself.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::BoxError;
//! use bartizan_resilience::{endpoint::Endpoint, outlier::{EjectionCause, OutlierDetector}};
//! use std::time::Duration;
//! use tower::{Layer, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let detector = OutlierDetector::default();
//! tokio::spawn(detector.driver());
//!
//! let endpoint = Endpoint::new("10.0.0.1:80");
//! let broken = tower::service_fn(|_: u32| async { Err::<u32, BoxError>("out of memory".into()) });
//! let service = detector.layer(&endpoint).layer(broken);
//! for n in 0..5 {
//!     assert!(endpoint.is_fit());
//!     service.clone().oneshot(n).await.unwrap_err();
//! }
//! assert!(!endpoint.is_fit());
//! assert_eq!(detector.snapshot()[0].cause(), Some(EjectionCause::ConsecutiveFailures));
//!
//! tokio::time::sleep(Duration::from_secs(31)).await;
//! assert!(endpoint.is_fit());
//! # }
//! ```
//!
//! For HTTP, where a response whose body breaks off is a failure too, and with other numbers:
//!
//! ```
//! # #[cfg(feature = "http")] {
//! use bartizan_core::{Body, BoxError, HttpClassify, StatusSet};
//! use bartizan_resilience::{endpoint::Endpoint, outlier::{FailurePercentage, OutlierDetector}};
//! use http::{Request, Response};
//! use std::time::Duration;
//! use tower::{Layer, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let detector = OutlierDetector::builder()
//!     .consecutive_failures(3)
//!     .success_rate(None)
//!     .failure_percentage(FailurePercentage::default().percent(50))
//!     .base_ejection(Duration::from_secs(5))
//!     .max_ejected_percent(50)
//!     .build()?;
//!
//! let endpoint = Endpoint::new("10.0.0.1:80");
//! let layer = detector
//!     .http_layer(&endpoint)
//!     .classify(HttpClassify::new().failures(StatusSet::range(502, 504)));
//! let busy = tower::service_fn(|_: Request<Body>| async {
//!     Ok::<_, BoxError>(Response::builder().status(503).body(Body::empty())?)
//! });
//! let service = layer.layer(busy);
//! for _ in 0..3 {
//!     let response = service.clone().oneshot(Request::new(Body::empty())).await?;
//!     assert_eq!(response.status(), 503);
//! }
//! assert!(!endpoint.is_fit());
//!
//! // Somebody restarted it, and knows.
//! assert!(detector.restore(&endpoint));
//! assert!(endpoint.is_fit());
//! # Ok(())
//! # }
//! # main().unwrap();
//! # }
//! ```

mod detector;
mod driver;
mod layer;
mod policy;
mod record;
mod service;
mod shared;
mod state;
#[cfg(test)]
mod tests;

pub use self::{
    detector::{OutlierDetector, OutlierDetectorBuilder, OutlierStatus},
    driver::{OutlierDriver, OutlierWatch},
    layer::OutlierLayer,
    policy::{EjectionCause, FailurePercentage, SuccessRate},
    service::{Outlier, Report, ResponseFuture},
};
#[cfg(feature = "http")]
pub use crate::classify::AtEnd;
pub use crate::classify::{AtHead, OnError};
