//! What a response knows of its way.

use std::{fmt, sync::Arc};

use http::{Method, StatusCode, Uri};

use crate::error::redacted;

/// Where a response came from in the end: in the extensions of each response of a [`RedirectService`](super::RedirectService), of those
/// that were not redirected too.
#[derive(Clone, PartialEq, Eq)]
pub struct FinalUri {
    uri: Uri,
    fragment: Option<Arc<str>>,
}

impl FinalUri {
    pub(super) const fn new(uri: Uri, fragment: Option<Arc<str>>) -> Self {
        Self { uri, fragment }
    }

    /// The URI of the last request.
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The fragment, without its `#`, of the last `Location` that had one. One without inherits that before it (RFC 9110 section
    /// 10.2.2). That of the first URI is the caller's: an [`http::Uri`] has none.
    pub fn fragment(&self) -> Option<&str> {
        self.fragment.as_deref()
    }
}

impl fmt::Debug for FinalUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A query may be secret, and fragments carry tokens.
        f.debug_tuple("FinalUri")
            .field(&redacted(&self.uri))
            .finish()
    }
}

/// The redirects that a response came by, the first one first: in its extensions if there was one.
///
/// ```
/// use bartizan_client::{RedirectHistory, RedirectLayer, RequestExt};
/// use bartizan_core::{Body, BoxError};
/// use http::{Request, Response, StatusCode};
/// use tower::{ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let submitted = service_fn(|request: Request<Body>| async move {
///     let response = match request.method().as_str() {
///         "POST" => Response::builder().status(303).header("location", "/thanks"),
///         _ => Response::builder(),
///     };
///     response.body(Body::empty()).map_err(BoxError::from)
/// });
/// let client = ServiceBuilder::new().layer(RedirectLayer::new()).service(submitted);
/// let response = client.post("http://h.example/form").send().await?;
///
/// let [hop] = response.extensions().get::<RedirectHistory>().unwrap().hops() else { panic!() };
/// assert_eq!(hop.status(), StatusCode::SEE_OTHER);
/// assert_eq!((hop.method().as_str(), hop.uri().path()), ("POST", "/form"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RedirectHistory(pub(super) Arc<[RedirectHop]>);

impl RedirectHistory {
    /// Each request that was redirected.
    pub fn hops(&self) -> &[RedirectHop] {
        &self.0
    }
}

/// One request that was redirected, and by what.
#[derive(Clone)]
pub struct RedirectHop {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) status: StatusCode,
    /// Whether the same request would be another one now: cookies were set, or headers left behind.
    pub(super) changed: bool,
}

impl RedirectHop {
    /// The method of the request.
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// Where the request went.
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The status of its response.
    pub const fn status(&self) -> StatusCode {
        self.status
    }
}

impl fmt::Debug for RedirectHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, status, .. } = self;
        write!(f, "{method} {}: {status}", redacted(&self.uri))
    }
}
