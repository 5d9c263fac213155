//! How redirects are followed.

use std::{fmt, sync::Arc};

use http::HeaderName;

use super::RedirectPolicy;

/// How redirects are followed: for a whole [`RedirectLayer`](super::RedirectLayer), or for one request, as its extension, which then
/// replaces all of the layer's, what it [strips](Self::strip) included.
///
/// Cheap to clone. See the [module](super) for what each rule means.
#[derive(Clone)]
pub struct Redirects(Arc<Settings>);

#[derive(Clone)]
pub(super) struct Settings {
    /// `None` follows nothing.
    pub(super) limit: Option<usize>,
    pub(super) at_limit: Ending,
    pub(super) at_loop: Ending,
    pub(super) unreplayable: Ending,
    pub(super) downgrade: bool,
    pub(super) referer: bool,
    pub(super) strip: Vec<HeaderName>,
    pub(super) keep: Vec<HeaderName>,
    pub(super) policies: Vec<Arc<dyn RedirectPolicy>>,
}

/// What the caller gets for a redirect that is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// An error, with a [`RedirectError`](super::RedirectError) as its source.
    Error,
    /// The response that redirects, with its body.
    LastResponse,
}

impl Redirects {
    /// At most `limit` redirects, then the last response. The default is 10: no honest site needs more than a handful, and a browser's
    /// 20 or curl's 50 only make a mistake dearer.
    pub fn limited(limit: usize) -> Self {
        Self(Arc::new(Settings {
            limit: Some(limit),
            at_limit: Ending::LastResponse,
            at_loop: Ending::Error,
            unreplayable: Ending::Error,
            downgrade: false,
            referer: false,
            strip: Vec::new(),
            keep: Vec::new(),
            policies: Vec::new(),
        }))
    }

    /// None at all: each response is the caller's, and no copy of the request is made.
    pub fn none() -> Self {
        Self::default().with(|settings| settings.limit = None)
    }

    /// Asks this policy as well. All have to agree: the first that does not follow decides.
    #[must_use]
    pub fn policy(self, policy: impl RedirectPolicy + 'static) -> Self {
        self.with(|settings| settings.policies.push(Arc::new(policy)))
    }

    /// What becomes of one redirect too many. Default: the last response, which the caller can look at and go on from.
    #[must_use]
    pub fn at_limit(self, ending: Ending) -> Self {
        self.with(|settings| settings.at_limit = ending)
    }

    /// What becomes of a loop. Default: an error, as a loop is never what anyone asked for.
    #[must_use]
    pub fn at_loop(self, ending: Ending) -> Self {
        self.with(|settings| settings.at_loop = ending)
    }

    /// What becomes of a redirect that asks for a body again that there was only once. Default: an error, as the response does not say
    /// that the request was not carried out.
    #[must_use]
    pub fn unreplayable(self, ending: Ending) -> Self {
        self.with(|settings| settings.unreplayable = ending)
    }

    /// Follows from `https` to `http` too. What was to be kept from whoever listens then is in the open: the path, the query, and each
    /// header that does not stay behind.
    #[must_use]
    pub fn allow_downgrade(self) -> Self {
        self.with(|settings| settings.downgrade = true)
    }

    /// Says in `Referer` where a redirect came from: the whole URI to the same origin, the origin to others, nothing from `https` to
    /// `http`. Default: no, as few APIs want to know, and a query may be secret.
    #[must_use]
    pub fn referer(self) -> Self {
        self.with(|settings| settings.referer = true)
    }

    /// Leaves this header behind where a redirect leads to another origin.
    #[must_use]
    pub fn strip(self, name: HeaderName) -> Self {
        self.with(|settings| settings.strip.push(name))
    }

    /// Takes this header along to other origins, although its name says that it is a secret: an `x-session-kind` that is none. What
    /// RFC 9110 names stays behind anyway, and what is marked as sensitive.
    #[must_use]
    pub fn keep(self, name: HeaderName) -> Self {
        self.with(|settings| settings.keep.push(name))
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.0
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

/// At most 10.
impl Default for Redirects {
    fn default() -> Self {
        Self::limited(10)
    }
}

impl fmt::Debug for Redirects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.settings();
        f.debug_struct("Redirects")
            .field("limit", &settings.limit)
            .field("at_limit", &settings.at_limit)
            .field("at_loop", &settings.at_loop)
            .field("unreplayable", &settings.unreplayable)
            .field("downgrade", &settings.downgrade)
            .field("referer", &settings.referer)
            .field("strip", &settings.strip)
            .field("keep", &settings.keep)
            .field("policies", &settings.policies.len())
            .finish()
    }
}
