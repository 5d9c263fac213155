//! Why a redirect was not followed.

use std::{borrow::Cow, error, fmt};

use bartizan_core::BoxError;
use http::{StatusCode, Uri};

use crate::error::redacted;

/// Why a redirect was not followed: the source of an [`Error`](crate::Error) that [is one](crate::Error::is_redirect).
///
/// ```
/// use bartizan_client::{RedirectError, RedirectLayer, RequestExt};
/// use bartizan_core::{Body, BoxError, find};
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let to_itself = service_fn(|_: Request<Body>| async {
///     Response::builder().status(302).header("location", "/a").body(Body::empty()).map_err(BoxError::from)
/// });
/// let client = ServiceBuilder::new().layer(RedirectLayer::new()).service(to_itself);
/// let error = client.get("http://h.example/a").send().await.unwrap_err();
/// let why = find::<RedirectError>(&error).unwrap();
/// assert!(why.is_loop());
/// assert_eq!(why.to_string(), "the 302 leads to http://h.example/a, where the call has been: a loop");
/// # }
/// ```
pub struct RedirectError {
    why: Why,
    status: StatusCode,
    to: Option<Uri>,
    source: Option<BoxError>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Limit(usize),
    Loop,
    Unreplayable,
    Downgrade,
    Socket,
    Location(Cow<'static, str>),
    Policy,
}

impl RedirectError {
    pub(super) const fn new(why: Why, status: StatusCode, to: Option<Uri>) -> Self {
        Self {
            why,
            status,
            to,
            source: None,
        }
    }

    pub(super) fn refused(source: BoxError, status: StatusCode, to: Uri) -> Self {
        Self {
            source: Some(source),
            ..Self::new(Why::Policy, status, Some(to))
        }
    }

    /// The status of the response that redirected.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Where it led, if its `Location` could be read, with all that is in it. Messages leave the query out.
    pub const fn to(&self) -> Option<&Uri> {
        self.to.as_ref()
    }

    /// Whether there were more redirects than the limit.
    pub const fn is_limit(&self) -> bool {
        matches!(self.why, Why::Limit(_))
    }

    /// Whether it led to where the call had been, with nothing changed since.
    pub const fn is_loop(&self) -> bool {
        matches!(self.why, Why::Loop)
    }

    /// Whether it asked for the body again, which there was only once.
    pub const fn is_unreplayable(&self) -> bool {
        matches!(self.why, Why::Unreplayable)
    }

    /// Whether it led from `https` to `http`.
    pub const fn is_downgrade(&self) -> bool {
        matches!(self.why, Why::Downgrade)
    }

    /// Whether `Location` was nothing that can be followed.
    pub const fn is_location(&self) -> bool {
        matches!(self.why, Why::Location(_))
    }

    /// Whether a [`RedirectPolicy`](super::RedirectPolicy) refused. Its reason is the source.
    pub const fn is_policy(&self) -> bool {
        matches!(self.why, Why::Policy)
    }
}

impl fmt::Display for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { why, status, .. } = self;
        let status = status.as_u16();
        write!(f, "the {status} ")?;
        if let Some(to) = &self.to {
            write!(f, "leads to {}, ", redacted(to))?;
        }
        match why {
            Why::Limit(limit) => write!(f, "after as many redirects as the limit allows ({limit})"),
            Why::Loop => f.write_str("where the call has been: a loop"),
            Why::Unreplayable => f.write_str(
                "with the request's body, which is a stream and was sent; send a body that is whole",
            ),
            Why::Downgrade => f.write_str("which is not https; `allow_downgrade` follows it"),
            Why::Socket => f.write_str("which is not behind the request's Unix socket"),
            Why::Location(what) => write!(f, "has a `Location` that {what}"),
            Why::Policy => f.write_str("which a policy refuses"),
        }
    }
}

impl fmt::Debug for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedirectError")
            .field("why", &self.why)
            .field("status", &self.status)
            .field("to", &self.to.as_ref().map(redacted))
            .field("source", &self.source)
            .finish()
    }
}

impl error::Error for RedirectError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
