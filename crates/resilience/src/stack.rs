//! Whole stacks, in their order, as plain functions.
//!
//! They are short so that they can be read, copied and changed: a stack of one's own starts as the text of one of these. Each returns
//! a type that has a name, for a field, a state of axum, or a task. What it takes is any HTTP client that can be cloned: that of
//! `bartizan-client`, hyper-util's, or one under more layers.
//!
//! Every call of such a function makes state of its own: a circuit, a retry budget, places. Clones of what it returns share it. So make
//! one per peer, and clone that.
//!
//! # Errors
//!
//! [`BoxError`](bartizan_core::BoxError), whatever the transport's own is: [`find`](bartizan_core::find) tells a
//! [`Rejection`](bartizan_core::Rejection) by a layer from an error of the transport, which is in there as it was.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::{Body, BoxError};
//! use bartizan_resilience::{retry::Attempts, stack};
//! use http::{Request, Response};
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! static CALLS: AtomicU32 = AtomicU32::new(0);
//! // Stands for a transport.
//! let transport = tower::service_fn(|_: Request<Body>| async {
//!     if CALLS.fetch_add(1, Ordering::Relaxed) == 0 {
//!         // Longer than one attempt may take.
//!         std::future::pending::<()>().await;
//!     }
//!     Ok::<_, std::io::Error>(Response::new(Body::from("hello")))
//! });
//!
//! let client = stack::client(transport);
//! let response = client.oneshot(Request::get("http://peer/").body(Body::empty())?).await?;
//! assert_eq!(response.extensions().get::<Attempts>().map(|attempts| attempts.count()), Some(2));
//! # Ok(())
//! # }
//! ```

use std::{io, time::Duration};

use bartizan_core::{BoxErrors, HttpClassify, StatusSet};
use tower_layer::Layer;

use crate::{
    bulkhead::{self, Bulkhead, BulkheadLayer},
    circuit_breaker::{AtEnd, CircuitBreaker, CircuitBreakerLayer},
    deadline::{DeadlineLayer, Deadlined},
    retry::{HttpPolicy, Retry, RetryLayer},
    timeout::{Timeout, TimeoutLayer},
};

/// What [`client()`] returns.
pub type Client<S> = Deadlined<
    Retry<
        CircuitBreaker<
            Timeout<Bulkhead<S, bulkhead::Shared, bulkhead::UntilHead, BoxErrors>>,
            HttpClassify,
            AtEnd,
        >,
        HttpPolicy,
    >,
>;

/// The stack for calls to one peer: a deadline, retries with a budget, a circuit breaker, a time limit for each attempt, and a limit of
/// calls under way. Each with its defaults.
///
/// A request whose connection was refused is tried again whatever its method. What else a transport knows of requests that it never
/// sent, [`unsent_if`](crate::retry::RetryLayerBuilder::unsent_if) teaches the retry of a stack of one's own.
#[expect(clippy::missing_panics_doc, reason = "the defaults are valid")]
pub fn client<S: Clone>(transport: S) -> Client<S> {
    // From the transport up: each line wraps what is above it.

    // Next to the transport, so that only calls that go out take a place: an open circuit takes none. From here up all is `BoxError`.
    let service = BulkheadLayer::default().box_errors().layer(transport);
    // One attempt, the wait for a place included. Below the retries, or the first slow attempt uses up the time of all.
    let service = TimeoutLayer::default().layer(service);
    // Above the timeout, or it is blind to the peer that never answers.
    let breaker = CircuitBreakerLayer::http().build();
    let service = breaker.expect("the defaults").layer(service);
    // Above the breaker, which so counts attempts, and whose refusal is an attempt that costs nothing. Its budget is its own.
    let retry = RetryLayer::builder().unsent_if(was_refused).build();
    let service = retry.expect("the defaults").layer(service);
    // All attempts and the waits between them. Nothing above can be kept waiting.
    DeadlineLayer::default().layer(service)
}

fn was_refused(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

/// What [`ballerina()`] returns.
pub type Ballerina<S> = CircuitBreaker<Timeout<S, BoxErrors>, HttpClassify, AtEnd>;

/// The stack with the numbers of Ballerina's HTTP client: 30 s for a call, and a breaker that opens for 5 s when more than 0.3 of at
/// least 10 calls in 60 s failed, by an error and not by a status.
///
/// Threshold and reset time are an example's, because it has no breaker unless it is given them. No retries are
/// here for the same reason: it makes none unless it is told how many. Where they are wanted, [`client()`] has them in their place,
/// above the breaker; Ballerina has them below, where a call of three attempts that fail is one failure.
///
/// ```
/// use bartizan_core::{Body, BoxError, Rejection, find};
/// use bartizan_resilience::stack;
/// use http::{Request, Response};
/// use tower::{Service, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let dead = tower::service_fn(|_: Request<Body>| async { Err::<Response<Body>, BoxError>("down".into()) });
/// let mut client = stack::ballerina(dead);
/// for call in 1..=11 {
///     let error = client.ready().await.unwrap().call(Request::new(Body::empty())).await.unwrap_err();
///     assert_eq!(find::<Rejection>(&*error).is_some(), call == 11);
/// }
/// # }
/// ```
#[expect(clippy::missing_panics_doc, reason = "the numbers are valid")]
pub fn ballerina<S>(transport: S) -> Ballerina<S> {
    // Each call, which here is one attempt.
    let timeout = TimeoutLayer::new(Duration::from_secs(30)).box_errors();
    let service = timeout.layer(transport);
    // Above the timeout, to see it. No status is listed, so none is a failure.
    let breaker = CircuitBreakerLayer::ballerina(0.3, Duration::from_secs(5))
        .classify(
            HttpClassify::new()
                .failures(StatusSet::EMPTY)
                .throttled(StatusSet::EMPTY),
        )
        .build();
    breaker.expect("valid numbers").layer(service)
}
