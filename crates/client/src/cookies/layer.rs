//! The layer and its service.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, Uri,
    header::{COOKIE, SET_COOKIE},
};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{CookieRequest, CookieStore, Jar, NoCookies, SiteForCookies};

/// Sends cookies and takes those that are set. See the [module](super).
#[derive(Clone, Debug, Default)]
pub struct CookieLayer<J = Jar> {
    store: J,
}

impl<J> CookieLayer<J> {
    /// Keeps cookies in `store`: a [`Jar`], of which a clone is the handle, or an `Arc` of your own.
    pub const fn new(store: J) -> Self {
        Self { store }
    }

    /// Where the cookies are kept.
    pub const fn store(&self) -> &J {
        &self.store
    }
}

impl<S, J: Clone> Layer<S> for CookieLayer<J> {
    type Service = CookieService<S, J>;

    fn layer(&self, inner: S) -> Self::Service {
        CookieService::new(inner, self.store.clone())
    }
}

/// The service of a [`CookieLayer`].
#[derive(Clone, Debug)]
pub struct CookieService<S, J = Jar> {
    inner: S,
    store: J,
}

impl<S, J> CookieService<S, J> {
    /// Calls `inner` with the cookies of `store`.
    pub const fn new(inner: S, store: J) -> Self {
        Self { inner, store }
    }
}

impl<S, J, B, RB> Service<Request<B>> for CookieService<S, J>
where
    S: Service<Request<B>, Response = Response<RB>>,
    J: CookieStore + Clone,
{
    type Response = Response<RB>;
    type Error = S::Error;
    type Future = CookieFuture<S::Future, J>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let sent = request
            .extensions()
            .get::<NoCookies>()
            .is_none()
            .then(|| Sent {
                store: self.store.clone(),
                uri: request.uri().clone(),
                method: request.method().clone(),
                site: request.extensions().get().cloned().map(Box::new),
            });
        if let Some(cookies) = sent
            .as_ref()
            .and_then(|sent| sent.store.cookie_header(&sent.request()))
        {
            add(request.headers_mut(), cookies);
        }
        CookieFuture {
            response: self.inner.call(request),
            sent,
        }
    }
}

/// What is asked of the store when the response is there.
#[derive(Debug)]
struct Sent<J> {
    store: J,
    uri: Uri,
    method: Method,
    /// Boxed, as few have one and all futures have its place.
    site: Option<Box<SiteForCookies>>,
}

impl<J> Sent<J> {
    fn request(&self) -> CookieRequest<'_> {
        CookieRequest {
            uri: &self.uri,
            method: &self.method,
            site: self.site.as_deref(),
        }
    }
}

pin_project! {
    /// The response, whose cookies are in the store when it is there.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct CookieFuture<F, J> {
        #[pin]
        response: F,
        sent: Option<Sent<J>>,
    }
}

impl<F, J, RB, E> Future for CookieFuture<F, J>
where
    F: Future<Output = Result<Response<RB>, E>>,
    J: CookieStore,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.response.poll(cx));
        if let (Ok(response), Some(sent)) = (&result, this.sent.take()) {
            if response.headers().contains_key(SET_COOKIE) {
                let mut values = response.headers().get_all(SET_COOKIE).iter();
                sent.store.set_cookies(&sent.request(), &mut values);
            }
        }
        Poll::Ready(result)
    }
}

/// Sets `Cookie` to what the caller has set, and what of the store has other names. One field, as RFC 6265 section 5.4 allows no more.
fn add(headers: &mut HeaderMap, stored: HeaderValue) {
    let mut cookies = Vec::new();
    for value in headers.get_all(COOKIE) {
        push(&mut cookies, value.as_bytes());
    }
    let mut value = if cookies.is_empty() {
        stored
    } else {
        let set: Vec<Vec<u8>> = pairs(&cookies).map(|pair| name(pair).to_vec()).collect();
        for pair in pairs(stored.as_bytes()) {
            if !set.iter().any(|set| set == name(pair)) {
                push(&mut cookies, pair);
            }
        }
        match HeaderValue::from_maybe_shared(bytes::Bytes::from(cookies)) {
            Ok(value) => value,
            // Made of values that were headers; what the caller has set stays.
            Err(_) => return,
        }
    };
    // Kept out of `Debug`, out of HTTP/2's compression tables, and from other origins.
    value.set_sensitive(true);
    headers.insert(COOKIE, value);
}

fn push(cookies: &mut Vec<u8>, more: &[u8]) {
    if !cookies.is_empty() {
        cookies.extend_from_slice(b"; ");
    }
    cookies.extend_from_slice(more);
}

fn pairs(cookies: &[u8]) -> impl Iterator<Item = &[u8]> {
    cookies.split(|byte| *byte == b';').map(<[u8]>::trim_ascii)
}

fn name(pair: &[u8]) -> &[u8] {
    pair.split(|byte| *byte == b'=')
        .next()
        .unwrap_or_default()
        .trim_ascii()
}
