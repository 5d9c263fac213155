//! Who decides whether a redirect is followed.

use bartizan_core::BoxError;
use http::{HeaderMap, Method, StatusCode, Uri};

use super::{history::RedirectHop, location::Target};

/// Decides on one redirect, after it was read and before anything is sent.
///
/// A closure is one. What the layer does not follow by its own rules, no policy makes it follow; the limit and the loop are asked
/// after it.
///
/// ```
/// use bartizan_client::{Redirect, RedirectDecision, Redirects};
///
/// let only_our_hosts = Redirects::limited(5).policy(|redirect: &Redirect<'_>| {
///     match redirect.to().host() {
///         Some(host) if host.ends_with(".example.com") => RedirectDecision::Follow,
///         _ => RedirectDecision::Stop,
///     }
/// });
/// # let _ = only_our_hosts;
/// ```
pub trait RedirectPolicy: Send + Sync {
    /// What to do.
    fn decide(&self, redirect: &Redirect<'_>) -> RedirectDecision;
}

impl<F> RedirectPolicy for F
where
    F: Fn(&Redirect<'_>) -> RedirectDecision + Send + Sync,
{
    fn decide(&self, redirect: &Redirect<'_>) -> RedirectDecision {
        self(redirect)
    }
}

/// What a [`RedirectPolicy`] says.
#[derive(Debug)]
#[non_exhaustive]
pub enum RedirectDecision {
    /// Go there.
    Follow,
    /// Return the response that redirects.
    Stop,
    /// Fail, with this as the reason.
    Refuse(BoxError),
}

/// A redirect that could be followed.
#[derive(Clone, Copy, Debug)]
pub struct Redirect<'a> {
    pub(super) status: StatusCode,
    pub(super) headers: &'a HeaderMap,
    pub(super) method: &'a Method,
    pub(super) next_method: &'a Method,
    pub(super) from: &'a Uri,
    pub(super) target: &'a Target,
    pub(super) history: &'a [RedirectHop],
}

impl<'a> Redirect<'a> {
    /// The status of the response.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers of the response.
    pub const fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// The method of the request.
    pub const fn method(&self) -> &'a Method {
        self.method
    }

    /// The method of the next request.
    pub const fn next_method(&self) -> &'a Method {
        self.next_method
    }

    /// Where the request went.
    pub const fn from(&self) -> &'a Uri {
        self.from
    }

    /// Where the next request would go.
    pub const fn to(&self) -> &'a Uri {
        &self.target.uri
    }

    /// Whether that is another scheme, host or port.
    pub const fn is_cross_origin(&self) -> bool {
        self.target.is_cross_origin
    }

    /// The redirects that were followed before, the first one first.
    pub const fn history(&self) -> &'a [RedirectHop] {
        self.history
    }
}

/// Refuses what leads to another scheme, host or port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SameOrigin;

impl RedirectPolicy for SameOrigin {
    fn decide(&self, redirect: &Redirect<'_>) -> RedirectDecision {
        if redirect.is_cross_origin() {
            RedirectDecision::Refuse("only the same origin is allowed".into())
        } else {
            RedirectDecision::Follow
        }
    }
}

/// Refuses what leads to anything but `https`, from `http` too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpsOnly;

impl RedirectPolicy for HttpsOnly {
    fn decide(&self, redirect: &Redirect<'_>) -> RedirectDecision {
        // A relative target is where the request is, which no redirect changes.
        match redirect.to().scheme_str() {
            None | Some("https") => RedirectDecision::Follow,
            Some(_) => RedirectDecision::Refuse("only https is allowed".into()),
        }
    }
}
