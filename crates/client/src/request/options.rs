//! Options of one request, in its extensions.

use std::{fmt, mem, sync::Arc, time::Duration};

use bartizan_core::Clock;
use http::Extensions;

use super::RequestBuilder;
use crate::{BodyLimit, CallTimeout, Timeouts, connect::ConnectOptions};

/// Options for any number of requests, each under its type: what [`RequestBuilder::options`] sets at once.
///
/// Any type is an option if a layer reads it: [`Timeouts`], [`ConnectOptions`], [`BodyLimit`], [`CallTimeout`], the deadline, retry
/// or cache policy of another crate, a type of yours. They are the extensions of a request, and go along with it: through retries,
/// and through redirects.
///
/// ```
/// use bartizan_client::{BodyLimit, CallOptions, CallTimeout, RequestBuilder};
/// use http::Method;
/// use std::time::Duration;
///
/// let patient = CallOptions::new().with(CallTimeout(Duration::from_secs(300))).with(BodyLimit(1 << 30));
///
/// let report = RequestBuilder::new((), Method::GET, "/report").options(&patient).build()?;
/// assert_eq!(report.extensions().get(), Some(&BodyLimit(1 << 30)));
/// # Ok::<(), bartizan_client::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct CallOptions(Extensions);

impl CallOptions {
    /// No options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one, in place of any of its type.
    #[must_use]
    pub fn with<T: Clone + Send + Sync + 'static>(mut self, option: T) -> Self {
        self.0.insert(option);
        self
    }

    /// The option of this type, if it is set.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.get()
    }

    /// Adds those that `given` has not.
    pub(crate) fn complete(&self, given: &mut Extensions) {
        if !self.0.is_empty() {
            let given_first = mem::replace(given, self.0.clone());
            given.extend(given_first);
        }
    }
}

/// The clock of one request.
#[derive(Clone)]
pub(crate) struct CallClock(pub(crate) Arc<dyn Clock>);

impl fmt::Debug for CallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CallClock").finish_non_exhaustive()
    }
}

impl<S> RequestBuilder<S> {
    /// Sets an option for this request, by its type, which a layer of the stack reads.
    pub fn extension<T: Clone + Send + Sync + 'static>(self, extension: T) -> Self {
        self.and_then(|request| {
            request.extensions_mut().insert(extension);
            Ok(())
        })
    }

    /// Sets options for this request, each in place of any of its type.
    pub fn options(self, options: &CallOptions) -> Self {
        self.and_then(|request| {
            request.extensions_mut().extend(options.0.clone());
            Ok(())
        })
    }

    /// Sets how long the call may take: from [`send`](Self::send), through waiting for the service, retries and redirects, until
    /// [`ResponseExt`](crate::ResponseExt) has read the body. Default: no limit.
    ///
    /// It holds over any service. A body that is read by other means than `ResponseExt` is not limited by it. Dropped when the time is
    /// up is what would be dropped with the future; the error [is a timeout](crate::Error::is_timeout), and not unsent.
    ///
    /// ```
    /// # use bartizan_client::RequestExt;
    /// # use bartizan_core::{Body, BoxError};
    /// # use http::{Request, Response};
    /// # use std::{future, time::Duration};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let silent = tower::service_fn(|_: Request<Body>| future::pending::<Result<Response<Body>, BoxError>>());
    /// let error = silent.get("/").timeout(Duration::from_secs(5)).send().await.unwrap_err();
    /// assert!(error.is_timeout() && !error.is_unsent());
    /// assert_eq!(error.to_string(), "GET /: the call took longer than 5s: allow it more by `.timeout(…)`");
    /// # }
    /// ```
    pub fn timeout(self, timeout: Duration) -> Self {
        self.extension(CallTimeout(timeout))
    }

    /// Sets how long each phase of the call may take, for a transport that reads [`Timeouts`], in place of all of its own.
    pub fn timeouts(self, timeouts: Timeouts) -> Self {
        self.extension(timeouts)
    }

    /// Sets how the origin is reached, for a transport that reads [`ConnectOptions`].
    pub fn connect_options(self, options: ConnectOptions) -> Self {
        self.extension(options)
    }

    /// Sets how many bytes of the response body are read into memory at most.
    pub fn body_limit(self, bytes: usize) -> Self {
        self.extension(BodyLimit(bytes))
    }

    /// Sets the clock of the [`Times`](crate::Times) of the response. Default: the machine's.
    pub fn clock(self, clock: impl Clock + 'static) -> Self {
        self.extension(CallClock(Arc::new(clock)))
    }
}
