//! A limit on a whole call: all of its redirects and retries, and its body.
//!
//! [`CallTimeout`] is one request's, which [`timeout`](crate::RequestBuilder::timeout) sets and [`send`](crate::RequestBuilder::send)
//! keeps, whatever it calls. [`CallTimeoutLayer`] gives one to every call of a stack, and keeps it for those that are not sent by `send`.
//!
//! # Placement
//!
//! At the top of a stack, or wherever what stands above shall not count. A limit for each attempt is
//! [`Timeouts`](crate::Timeouts), or a timeout layer below the retries.
//!
//! # State
//!
//! None between calls.
//!
//! # Readiness and cancellation
//!
//! Ready when the inner service is. When time is up, the call is dropped: what that does is up to what stands below. The timer is armed
//! by the first poll that finds nothing, and counts from the call.
//!
//! # Errors
//!
//! [`Error`]: [`is_timeout`](Error::is_timeout) holds, for the body too.
//!
//! # Differences from the deadlines of `bartizan-resilience`
//!
//! Those travel with the request, so that what is called on its behalf has no more time than is left, across services too. This is for
//! the caller that just wants an end.

mod layer;

#[cfg(feature = "sse")]
pub(crate) use self::layer::poll_deadline;
pub use self::layer::{CallTimeoutBody, CallTimeoutFuture, CallTimeoutLayer, CallTimeoutService};

use std::{future::Future, pin::pin, time::Duration};

use tokio::time::{Instant, timeout_at};

use crate::{Error, error::Kind};

/// How long a call may take, from [`send`](crate::RequestBuilder::send) to the end of its body: an option of one request, read from
/// its extensions by `send`, and by [`ResponseExt`](crate::ResponseExt) from what `send` left in the response; and by a
/// [`CallTimeoutLayer`], in place of its own. [`Duration::MAX`] is no limit. Of an event source, how long each attempt may take until
/// the head of its response.
///
/// What happens to the call when time runs out is what happens when its future is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallTimeout(pub Duration);

/// When a [`CallTimeout`] runs out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    timeout: Duration,
}

impl Deadline {
    /// `None` for a timeout that no clock will see the end of.
    pub(crate) fn new(CallTimeout(timeout): CallTimeout) -> Option<Self> {
        let at = Instant::now().checked_add(timeout)?;
        Some(Self { at, timeout })
    }

    pub(crate) fn passed(self) -> Error {
        Error::new(
            Kind::Deadline,
            format!(
                "the call took longer than {:?}: allow it more by `.timeout(…)`",
                self.timeout
            ),
        )
    }

    /// Awaits `future`, until the deadline if there is one.
    pub(crate) async fn within<T>(
        deadline: Option<Self>,
        future: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        // Pinned here, so that the two ways below do not hold one each.
        let future = pin!(future);
        match deadline {
            None => future.await,
            Some(deadline) => match timeout_at(deadline.at, future).await {
                Ok(result) => result,
                Err(_) => Err(deadline.passed()),
            },
        }
    }
}
