//! `Cache-Control` of responses (RFC 9111 section 5.2.2, RFC 5861, RFC 8246).

use std::{
    fmt::{self, Write},
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, Request, Response, header::CACHE_CONTROL};
use pin_project_lite::pin_project;
use std::{future::Future, pin::Pin, task::ready};
use tower_layer::Layer;
use tower_service::Service;

/// The directives of a response. Empty by default; durations go in whole seconds, rounded down.
///
/// ```
/// use bartizan_listener::caching::CacheControl;
/// use std::time::Duration;
///
/// let assets = CacheControl::new().public().max_age(Duration::from_secs(31_536_000)).immutable();
/// assert_eq!(assets.to_string(), "public, max-age=31536000, immutable");
/// assert_eq!(CacheControl::no_store().to_string(), "no-store");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheControl {
    flags: u16,
    max_age: Option<u64>,
    s_maxage: Option<u64>,
    stale_while_revalidate: Option<u64>,
    stale_if_error: Option<u64>,
}

const FLAGS: [&str; 8] = [
    "no-store",
    "public",
    "private",
    "no-cache",
    "must-revalidate",
    "proxy-revalidate",
    "no-transform",
    "must-understand",
];
/// Behind the durations, where people look for it.
const IMMUTABLE: u16 = 1 << 8;

macro_rules! flags {
    ($($(#[$doc:meta])* $method:ident: $bit:literal,)+) => {$(
        $(#[$doc])*
        #[must_use]
        pub const fn $method(mut self) -> Self {
            self.flags |= 1 << $bit;
            self
        }
    )+};
}

macro_rules! durations {
    ($($(#[$doc:meta])* $method:ident,)+) => {$(
        $(#[$doc])*
        #[must_use]
        pub const fn $method(mut self, duration: Duration) -> Self {
            self.$method = Some(duration.as_secs());
            self
        }
    )+};
}

impl CacheControl {
    /// No directive: caches decide for themselves.
    pub const fn new() -> Self {
        Self {
            flags: 0,
            max_age: None,
            s_maxage: None,
            stale_while_revalidate: None,
            stale_if_error: None,
        }
    }

    /// `no-store`, and nothing else: no cache keeps the response.
    pub const fn no_store() -> Self {
        let mut control = Self::new();
        control.flags = 1;
        control
    }

    flags! {
        /// `public`: shared caches may keep it, even with `Authorization`.
        public: 1,
        /// `private`: only the user's own cache may keep it.
        private: 2,
        /// `no-cache`: kept, but asked about each time.
        no_cache: 3,
        /// `must-revalidate`: never used stale.
        must_revalidate: 4,
        /// `proxy-revalidate`: the same, for shared caches.
        proxy_revalidate: 5,
        /// `no-transform`: nobody on the way may recode it.
        no_transform: 6,
        /// `must-understand`: kept only by caches that know the status.
        must_understand: 7,
        /// `immutable`: it does not change while it is fresh, so a reload need not ask (RFC 8246).
        immutable: 8,
    }

    durations! {
        /// `max-age`: how long it is fresh.
        max_age,
        /// `s-maxage`: the same, in shared caches.
        s_maxage,
        /// `stale-while-revalidate`: how long after that it may be used while it is fetched again (RFC 5861).
        stale_while_revalidate,
        /// `stale-if-error`: how long after that it may be used if it cannot be fetched again (RFC 5861).
        stale_if_error,
    }

    /// The field value. `None` without a directive.
    #[expect(clippy::missing_panics_doc, reason = "directives are ASCII")]
    pub fn to_header(self) -> Option<HeaderValue> {
        let text = self.to_string();
        let value = HeaderValue::try_from(text).expect("directives are ASCII");
        (!value.is_empty()).then_some(value)
    }
}

impl fmt::Display for CacheControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for (bit, flag) in FLAGS.iter().enumerate() {
            if self.flags & (1 << bit) != 0 {
                write!(text, ", {flag}")?;
            }
        }
        for (name, seconds) in [
            ("max-age", self.max_age),
            ("s-maxage", self.s_maxage),
            ("stale-while-revalidate", self.stale_while_revalidate),
            ("stale-if-error", self.stale_if_error),
        ] {
            if let Some(seconds) = seconds {
                write!(text, ", {name}={seconds}")?;
            }
        }
        if self.flags & IMMUTABLE != 0 {
            text.push_str(", immutable");
        }
        f.write_str(text.strip_prefix(", ").unwrap_or_default())
    }
}

/// Puts `Cache-Control` on successful responses that have none. See the [module](super).
///
/// Errors are left alone, so that none outlives its cause in a cache.
#[derive(Clone, Debug)]
pub struct CacheControlLayer {
    value: Option<HeaderValue>,
}

impl CacheControlLayer {
    /// Says so on every response with a 2xx or a 304.
    pub fn new(control: CacheControl) -> Self {
        Self {
            value: control.to_header(),
        }
    }
}

impl<S> Layer<S> for CacheControlLayer {
    type Service = CacheControlled<S>;

    fn layer(&self, inner: S) -> CacheControlled<S> {
        CacheControlled {
            inner,
            value: self.value.clone(),
        }
    }
}

/// Puts `Cache-Control` on successful responses that have none. See the [module](super).
#[derive(Clone, Debug)]
pub struct CacheControlled<S> {
    inner: S,
    value: Option<HeaderValue>,
}

inner_accessors!(CacheControlled<S>);

impl<S, B, RB> Service<Request<B>> for CacheControlled<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
{
    type Response = Response<RB>;
    type Error = S::Error;
    type Future = ControlFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ControlFuture {
            future: self.inner.call(request),
            value: self.value.clone(),
        }
    }
}

pin_project! {
    /// The response, with its `Cache-Control`.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ControlFuture<F> {
        #[pin]
        future: F,
        value: Option<HeaderValue>,
    }
}

impl<F, RB, E> Future for ControlFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.future.poll(cx))?;
        let status = response.status();
        if status.is_success() || status == http::StatusCode::NOT_MODIFIED {
            if let Some(value) = this.value.take() {
                response.headers_mut().entry(CACHE_CONTROL).or_insert(value);
            }
        }
        Poll::Ready(Ok(response))
    }
}
