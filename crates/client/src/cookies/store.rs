//! What a cookie layer asks of whoever keeps the cookies.

use std::sync::Arc;

use http::{HeaderValue, Method, Uri};

/// Keeps cookies: a [`Jar`](super::Jar), or your own.
///
/// It is called for each request before it is sent, and for each response that sets cookies, and must not block. Nothing here can fail:
/// a store that cannot say what cookies there are sends none.
pub trait CookieStore: Send + Sync {
    /// The value of `Cookie` for this request: `name=value` pairs with `; ` between them. `None` for none.
    fn cookie_header(&self, request: &CookieRequest<'_>) -> Option<HeaderValue>;

    /// Takes what the response to this request sets: each value of `Set-Cookie`, in order.
    fn set_cookies(
        &self,
        request: &CookieRequest<'_>,
        values: &mut dyn Iterator<Item = &HeaderValue>,
    );
}

impl<T: CookieStore + ?Sized> CookieStore for Arc<T> {
    fn cookie_header(&self, request: &CookieRequest<'_>) -> Option<HeaderValue> {
        (**self).cookie_header(request)
    }

    fn set_cookies(
        &self,
        request: &CookieRequest<'_>,
        values: &mut dyn Iterator<Item = &HeaderValue>,
    ) {
        (**self).set_cookies(request, values);
    }
}

/// What of a request decides which cookies go with it.
#[derive(Clone, Copy, Debug)]
pub struct CookieRequest<'a> {
    pub(super) uri: &'a Uri,
    pub(super) method: &'a Method,
    pub(super) site: Option<&'a SiteForCookies>,
}

impl<'a> CookieRequest<'a> {
    /// A request by this method, of no other site than its own: for a test of a store.
    pub const fn new(uri: &'a Uri, method: &'a Method) -> Self {
        Self {
            uri,
            method,
            site: None,
        }
    }

    /// The same, made for this site.
    #[must_use]
    pub const fn for_site(self, site: &'a SiteForCookies) -> Self {
        Self {
            site: Some(site),
            ..self
        }
    }

    /// Where it goes.
    pub const fn uri(&self) -> &'a Uri {
        self.uri
    }

    /// Its method.
    pub const fn method(&self) -> &'a Method {
        self.method
    }

    /// For whom it is made. `None` if the program makes it for itself.
    pub const fn site(&self) -> Option<&'a SiteForCookies> {
        self.site
    }
}

/// For which page a request is made: an extension of one, for programs that act for pages as a browser does.
///
/// Without it each request is its own first party, which is right for a program that calls what it was written to call. With it, a
/// request to another site is a third party's.
///
/// ```
/// use bartizan_client::{CookieLayer, Jar, RequestExt, SiteForCookies};
/// use bartizan_core::{Body, BoxError};
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let jar = Jar::new();
/// jar.add(&"https://tracker.example/".parse()?, "seen=1")?;
/// let echo = service_fn(|request: Request<Body>| async move {
///     Ok::<_, BoxError>(Response::new(request.headers().contains_key("cookie")))
/// });
/// let client = ServiceBuilder::new().layer(CookieLayer::new(jar)).service(echo);
///
/// let page = SiteForCookies::new("https://news.example/today".parse()?);
/// let response = client.get("https://tracker.example/dot.png").extension(page).send().await?;
/// assert_eq!(response.into_body(), false);
/// let response = client.get("https://tracker.example/dot.png").send().await?;
/// assert_eq!(response.into_body(), true);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SiteForCookies {
    pub(super) uri: Uri,
    pub(super) is_navigation: bool,
}

impl SiteForCookies {
    /// The page at this URI asks for something: an image, data.
    pub const fn new(uri: Uri) -> Self {
        Self {
            uri,
            is_navigation: false,
        }
    }

    /// The page at this URI leads to another, which takes its place: a link, a form. That one is no third party, and only
    /// [`SameSite`](super::SameSite) keeps cookies from it.
    pub const fn navigation(uri: Uri) -> Self {
        Self {
            uri,
            is_navigation: true,
        }
    }
}

/// The extension of a request that takes no cookies along and lets none be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoCookies;
