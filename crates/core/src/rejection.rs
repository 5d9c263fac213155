//! What a layer says when it refuses a call, and what becomes of it.

use std::{error::Error, fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::{BoxError, problem};

/// A layer of our own refused a call, or gave up on it: which kind of refusal, by which layer, and when to come back.
///
/// Layers keep the error of the service they wrap, and ask only that it can be made from a `Rejection`. [`BoxError`] can, so it
/// just works; an error type of yours can by one `From`. Over somebody else's error, `.box_errors()` makes it a `BoxError`. Where a
/// service cannot fail at all, as in axum, `.reject_with(…)` turns the rejection into a response instead: see
/// [`Rejection::into_response`].
///
/// ```
/// use bartizan_core::{BoxError, Rejection, RejectionKind, find};
/// use std::time::Duration;
///
/// let rejection = Rejection::new(RejectionKind::Limited, "rate limit").with_retry_after(Duration::from_secs(2));
/// assert_eq!(rejection.to_string(), "rate limit: too many requests, retry after 2s");
///
/// let error: BoxError = rejection.into();
/// assert_eq!(find::<Rejection>(&*error).and_then(Rejection::retry_after), Some(Duration::from_secs(2)));
/// ```
#[derive(Debug)]
pub struct Rejection {
    kind: RejectionKind,
    layer: &'static str,
    retry_after: Option<Duration>,
    source: Option<BoxError>,
}

/// Why a layer refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// There was no response in the time allowed.
    TimedOut,
    /// A circuit is open: the peer failed too often to be asked now.
    Open,
    /// All places, and all places in the queue for them, are taken.
    Full,
    /// The caller is over its rate.
    Limited,
    /// Dropped on purpose to keep the rest of the load fast.
    Shed,
    /// Everything that could be tried was tried, and failed. The source says what.
    Exhausted,
    /// The request cannot be sent as the layer would have to send it. The source says why.
    Unsendable,
}

impl RejectionKind {
    const fn phrase(self) -> &'static str {
        match self {
            Self::TimedOut => "no response in the time allowed",
            Self::Open => "the circuit is open",
            Self::Full => "no free place",
            Self::Limited => "too many requests",
            Self::Shed => "load was shed",
            Self::Exhausted => "every attempt failed",
            Self::Unsendable => "the request cannot be sent",
        }
    }

    /// The status that tells an HTTP client the same.
    const fn status(self) -> StatusCode {
        match self {
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::Open | Self::Full | Self::Shed => StatusCode::SERVICE_UNAVAILABLE,
            Self::Limited => StatusCode::TOO_MANY_REQUESTS,
            Self::Exhausted => StatusCode::BAD_GATEWAY,
            Self::Unsendable => StatusCode::BAD_REQUEST,
        }
    }
}

impl Rejection {
    /// A rejection by the layer of that name. The name is the layer's module: `"timeout"`, `"failover"`.
    pub const fn new(kind: RejectionKind, layer: &'static str) -> Self {
        Self {
            kind,
            layer,
            retry_after: None,
            source: None,
        }
    }

    /// Says after how long the call may be tried again.
    #[must_use]
    pub const fn with_retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Keeps the error behind it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Why.
    pub const fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// The layer that refused.
    pub const fn layer(&self) -> &'static str {
        self.layer
    }

    /// After how long the call may be tried again, if the layer knows.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether a time limit ran out. The call may have reached the peer.
    pub const fn is_timed_out(&self) -> bool {
        matches!(self.kind, RejectionKind::TimedOut)
    }

    /// Whether everything was tried, and all of it failed. The calls did reach their peers.
    pub const fn is_exhausted(&self) -> bool {
        matches!(self.kind, RejectionKind::Exhausted)
    }

    /// Whether the call never left: trying it elsewhere, or later, cannot do anything twice.
    pub const fn is_unsent(&self) -> bool {
        !self.is_timed_out() && !self.is_exhausted()
    }

    /// The rejection as an HTTP response with problem details (RFC 9457), for services that cannot fail.
    ///
    /// | kind | status |
    /// |---|---|
    /// | [`TimedOut`](RejectionKind::TimedOut) | 504 |
    /// | [`Exhausted`](RejectionKind::Exhausted) | 502 |
    /// | [`Open`](RejectionKind::Open), [`Full`](RejectionKind::Full), [`Shed`](RejectionKind::Shed) | 503 |
    /// | [`Limited`](RejectionKind::Limited) | 429 |
    /// | [`Unsendable`](RejectionKind::Unsendable) | 400 |
    ///
    /// A retry delay becomes `Retry-After`, in whole seconds, rounded up. The body says no more than the kind: sources name hosts
    /// and addresses, which are nobody's business outside. The [`RejectionKind`] is in the response's extensions, for the layers
    /// above.
    ///
    /// ```
    /// use bartizan_core::{Body, Rejection, RejectionKind};
    /// use http::{Response, header::CONTENT_TYPE};
    ///
    /// let response: Response<Body> = Rejection::new(RejectionKind::TimedOut, "timeout").into_response();
    /// assert_eq!(response.status(), 504);
    /// assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    /// ```
    pub fn into_response<B: From<Bytes>>(self) -> Response<B> {
        self.to_response()
    }

    /// The same, of a rejection that is part of an error.
    pub fn to_response<B: From<Bytes>>(&self) -> Response<B> {
        let mut response = problem(self.kind.status(), self.kind.phrase());
        if let Some(delay) = self.retry_after {
            let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self.kind);
        response
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.layer, self.kind.phrase())?;
        match self.retry_after {
            Some(delay) => write!(f, ", retry after {delay:?}"),
            None => Ok(()),
        }
    }
}

impl Error for Rejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// What becomes of a [`Rejection`]: an error, or a response.
///
/// Layers take one as their last type parameter: [`Propagate`], unless `.reject_with(…)` or `.box_errors()` sets another. Their own
/// error is [`Reject::Error`].
pub trait Reject<Res, Err> {
    /// The error of the layer, over a service whose error is `Err`.
    type Error;

    /// Answers the call that was refused.
    ///
    /// # Errors
    ///
    /// If a rejection becomes an error.
    fn reject(&self, rejection: Rejection) -> Result<Res, Self::Error>;

    /// Passes on an error of the service.
    fn pass(&self, error: Err) -> Self::Error;
}

/// The default [`Reject`]: the service's own error, made from the rejection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Propagate;

impl<Res, Err: From<Rejection>> Reject<Res, Err> for Propagate {
    type Error = Err;

    fn reject(&self, rejection: Rejection) -> Result<Res, Err> {
        Err(rejection.into())
    }

    fn pass(&self, error: Err) -> Err {
        error
    }
}

/// A [`Reject`] for services whose error cannot be made from a rejection, as those of reqwest, tonic and hyper-util cannot: both
/// become a [`BoxError`]. What `.box_errors()` of a layer sets. An error that is boxed already is not boxed again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BoxErrors;

impl<Res, Err: Into<BoxError>> Reject<Res, Err> for BoxErrors {
    type Error = BoxError;

    fn reject(&self, rejection: Rejection) -> Result<Res, BoxError> {
        Err(rejection.into())
    }

    fn pass(&self, error: Err) -> BoxError {
        error.into()
    }
}

/// A [`Reject`] that makes a response of the rejection: what `.reject_with(…)` of a layer sets.
#[derive(Clone, Copy)]
pub struct RespondWith<F>(pub F);

impl<F, Res, Err> Reject<Res, Err> for RespondWith<F>
where
    F: Fn(Rejection) -> Res,
{
    type Error = Err;

    fn reject(&self, rejection: Rejection) -> Result<Res, Err> {
        Ok((self.0)(rejection))
    }

    fn pass(&self, error: Err) -> Err {
        error
    }
}

impl<F> fmt::Debug for RespondWith<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RespondWith").finish_non_exhaustive()
    }
}
