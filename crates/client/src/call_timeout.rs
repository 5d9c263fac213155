//! How long a whole call may take.

use std::{future::Future, pin::pin, time::Duration};

use tokio::time::{Instant, timeout_at};

use crate::{Error, error::Kind};

/// How long a call may take, from [`send`](crate::RequestBuilder::send) to the end of its body: an option of one request, read from
/// its extensions by `send`, and by [`ResponseExt`](crate::ResponseExt) from what `send` left in the response.
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
