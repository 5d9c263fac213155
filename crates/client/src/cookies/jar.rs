//! The store there is by default.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use bartizan_core::{Clock, ConfigError, SystemClock};
use http::{HeaderValue, Method, Uri};

use super::{
    Cookie, CookieError, CookieRequest, CookieStore,
    state::{Limits, State},
};

/// Cookies in memory, by RFC 6265, with the public suffix list and what browsers have added since: `SameSite`, the name prefixes
/// `__Host-` and `__Secure-`, and `Secure` cookies that `http` can neither set nor hide.
///
/// Clones share the cookies. A full jar drops those that have expired, then the one that was not used for longest, first among those of
/// the same site: it never refuses. See the [module](super) for the rules and [`save`](Self::save) for keeping it.
///
/// ```
/// use bartizan_client::Jar;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let jar = Jar::new();
/// let uri = "https://shop.example/cart/".parse()?;
/// jar.add(&uri, "id=1; Path=/; Max-Age=60")?;
/// jar.add(&uri, "id=2; Path=/; Max-Age=60")?;
/// assert_eq!(jar.len(), 1);
/// assert_eq!(jar.get("shop.example", "/", "id").unwrap().value(), "2");
/// assert_eq!(jar.matching(&uri).unwrap(), "id=2");
///
/// jar.add(&uri, "id=; Path=/; Max-Age=0")?;
/// assert!(jar.is_empty());
/// # Ok(())
/// # }
/// ```
///
/// With a clock and limits of one's own:
///
/// ```
/// use bartizan_client::Jar;
/// use bartizan_testing::ManualClock;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = ManualClock::new();
/// let jar = Jar::builder().clock(clock.clone()).per_site(2).build()?;
/// let uri = "https://shop.example/".parse()?;
/// for cookie in ["a=1; Max-Age=10", "b=2", "c=3; Max-Age=10"] {
///     jar.add(&uri, cookie)?;
/// }
/// assert_eq!(jar.matching(&uri).unwrap(), "b=2; c=3");
/// clock.advance(Duration::from_secs(10));
/// assert_eq!(jar.matching(&uri).unwrap(), "b=2");
/// assert!(Jar::builder().total(0).build().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Jar(Arc<Shared>);

struct Shared {
    clock: Box<dyn Clock>,
    state: Mutex<State>,
}

/// Whether cookies go with the requests of other sites' pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ThirdParty {
    /// None is sent, and none is set. The default.
    #[default]
    Block,
    /// Those with `SameSite=None` are, as browsers had it for long.
    Allow,
}

impl Jar {
    /// An empty jar: 50 cookies for each site, 3,000 in all, each of 4,096 bytes, which RFC 6265 section 6.1 asks for at least.
    pub fn new() -> Self {
        Self::default()
    }

    /// A jar with other limits, or another clock.
    pub fn builder() -> JarBuilder {
        JarBuilder {
            clock: Box::new(SystemClock),
            limits: Limits {
                per_site: 50,
                total: 3000,
                size: 4096,
                third_party: ThirdParty::Block,
            },
        }
    }

    /// Takes a cookie, as if a response from `uri` had set it with this value of `Set-Cookie`. One that has expired deletes.
    ///
    /// # Errors
    ///
    /// If `uri` has no host or cannot set this cookie, or it is none.
    pub fn add(&self, uri: &Uri, set_cookie: &str) -> Result<(), CookieError> {
        let now = self.now();
        let request = CookieRequest::new(uri, &Method::GET);
        self.state().set(&request, set_cookie.as_bytes(), now)
    }

    /// The cookie of this domain, path and name.
    pub fn get(&self, domain: &str, path: &str, name: &str) -> Option<Cookie> {
        self.find(|cookie| cookie.is(name, domain, path)).pop()
    }

    /// All of this name, whosever they are, the oldest first.
    pub fn by_name(&self, name: &str) -> Vec<Cookie> {
        self.find(|cookie| cookie.name == name)
    }

    /// All of this very domain, the oldest first: not of those above and below it.
    pub fn by_domain(&self, domain: &str) -> Vec<Cookie> {
        self.find(|cookie| cookie.domain == domain)
    }

    /// All there are, the oldest first: what there was at this moment.
    pub fn cookies(&self) -> Vec<Cookie> {
        self.find(|_| true)
    }

    /// The value of `Cookie` for a `GET` of `uri`. Those in it count as used.
    pub fn matching(&self, uri: &Uri) -> Option<String> {
        let now = self.now();
        let request = CookieRequest::new(uri, &Method::GET);
        Some(self.state().header(&request, now)).filter(|header| !header.is_empty())
    }

    /// How many there are that have not expired.
    pub fn len(&self) -> usize {
        let now = self.now();
        self.state().count(now)
    }

    /// Whether there is none that has not expired.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes the cookie of this domain, path and name.
    pub fn remove(&self, domain: &str, path: &str, name: &str) -> Option<Cookie> {
        let now = self.now();
        let (cookie, _) = self.state().remove(domain, path, name)?;
        Some(cookie).filter(|cookie| !cookie.is_expired(now))
    }

    /// Removes all of this very domain. How many there were.
    pub fn remove_domain(&self, domain: &str) -> usize {
        self.state().retain(|cookie| cookie.domain != domain)
    }

    /// Removes those that have expired, which are never sent anyway. How many there were.
    pub fn remove_expired(&self) -> usize {
        let now = self.now();
        self.state().remove_expired(now)
    }

    /// Removes those of the session, as closing a browser does. How many there were.
    pub fn end_session(&self) -> usize {
        self.state().retain(|cookie| cookie.expires.is_some())
    }

    /// Removes all.
    pub fn clear(&self) {
        self.state().retain(|_| false);
    }

    fn find(&self, wanted: impl Fn(&Cookie) -> bool) -> Vec<Cookie> {
        let now = self.now();
        self.state().all(now, wanted)
    }

    /// Before the lock, as a clock may be anybody's code.
    pub(super) fn now(&self) -> SystemTime {
        self.0.clock.now()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in there leaves it half-done.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Jar {
    fn default() -> Self {
        let JarBuilder { clock, limits } = Self::builder();
        Self::of(clock, limits)
    }
}

impl Jar {
    fn of(clock: Box<dyn Clock>, limits: Limits) -> Self {
        Self(Arc::new(Shared {
            clock,
            state: Mutex::new(State::new(limits)),
        }))
    }
}

impl CookieStore for Jar {
    fn cookie_header(&self, request: &CookieRequest<'_>) -> Option<HeaderValue> {
        let now = self.now();
        let header = self.state().header(request, now);
        if header.is_empty() {
            return None;
        }
        // What came in a header goes into one.
        HeaderValue::try_from(header).ok()
    }

    fn set_cookies(
        &self,
        request: &CookieRequest<'_>,
        values: &mut dyn Iterator<Item = &HeaderValue>,
    ) {
        let now = self.now();
        let mut state = self.state();
        for value in values {
            // Who sends what cannot be set has nobody to hear of it; `add` says why.
            let _ = state.set(request, value.as_bytes(), now);
        }
    }
}

impl fmt::Debug for Jar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jar").finish_non_exhaustive()
    }
}

/// Builds a [`Jar`].
pub struct JarBuilder {
    clock: Box<dyn Clock>,
    limits: Limits,
}

impl JarBuilder {
    /// Tells the time by this clock. Default: the machine's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// How many cookies one site may have: all hosts of one owner together, as the public suffix list tells owners apart, so that
    /// nobody fills the jar with hosts of theirs. Default: 50.
    #[must_use]
    pub const fn per_site(mut self, cookies: usize) -> Self {
        self.limits.per_site = cookies;
        self
    }

    /// How many cookies there may be in all. Default: 3,000.
    #[must_use]
    pub const fn total(mut self, cookies: usize) -> Self {
        self.limits.total = cookies;
        self
    }

    /// How many bytes name and value may have together. Default: 4,096.
    #[must_use]
    pub const fn max_size(mut self, bytes: usize) -> Self {
        self.limits.size = bytes;
        self
    }

    /// Whether cookies go with the requests of other sites' pages, which [`SiteForCookies`](super::SiteForCookies) tells. Default: no.
    #[must_use]
    pub const fn third_party(mut self, third_party: ThirdParty) -> Self {
        self.limits.third_party = third_party;
        self
    }

    /// An empty jar.
    ///
    /// # Errors
    ///
    /// If a limit is 0, which is better said by leaving the layer out.
    pub fn build(self) -> Result<Jar, ConfigError> {
        let Limits {
            per_site,
            total,
            size,
            ..
        } = self.limits;
        for (field, limit) in [("per_site", per_site), ("total", total), ("max_size", size)] {
            if limit == 0 {
                return Err(ConfigError::new(field, limit, "at least 1"));
            }
        }
        Ok(Jar::of(self.clock, self.limits))
    }
}

impl fmt::Debug for JarBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JarBuilder")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
