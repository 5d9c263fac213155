//! The layer that spells paths.

use std::{
    borrow::Cow,
    task::{Context, Poll},
};

use bartizan_core::problem;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header::LOCATION, uri::PathAndQuery};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    EncodedSlash, ResponseFuture,
    canonical::{Unfit, canonical},
};

/// Spells each path one way. See the [module](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct CanonicalPathLayer {
    slash: EncodedSlash,
    redirect: bool,
}

impl CanonicalPathLayer {
    /// Rewrites paths, and refuses encoded slashes.
    pub const fn new() -> Self {
        Self {
            slash: EncodedSlash::Refuse,
            redirect: false,
        }
    }

    /// What becomes of encoded slashes. Default: [`EncodedSlash::Refuse`].
    #[must_use]
    pub const fn encoded_slash(mut self, slash: EncodedSlash) -> Self {
        self.slash = slash;
        self
    }

    /// Redirects to the one spelling, with 308, instead of rewriting. Default: no, as it costs a round trip.
    #[must_use]
    pub const fn redirect(mut self, redirect: bool) -> Self {
        self.redirect = redirect;
        self
    }

    /// The target in its one spelling, if it is in another.
    fn respelled(self, uri: &Uri) -> Result<Option<PathAndQuery>, Unfit> {
        // `*`, the authority of a CONNECT, and the empty path have no spelling.
        if !uri.path().starts_with('/') {
            return Ok(None);
        }
        let path = match canonical(uri.path(), self.slash)? {
            Cow::Borrowed(_) => return Ok(None),
            Cow::Owned(path) => path,
        };
        let target = match uri.query() {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        // It is made of what was a target before, and of percent-encoding.
        PathAndQuery::try_from(target)
            .map(Some)
            .map_err(|_| Unfit::Encoding)
    }
}

impl<S> Layer<S> for CanonicalPathLayer {
    type Service = CanonicalPath<S>;

    fn layer(&self, inner: S) -> CanonicalPath<S> {
        CanonicalPath {
            inner,
            layer: *self,
        }
    }
}

/// Spells each path one way. See the [module](super).
#[derive(Clone, Copy, Debug)]
pub struct CanonicalPath<S> {
    inner: S,
    layer: CanonicalPathLayer,
}

inner_accessors!(CanonicalPath<S>);

impl<S, B, RB> Service<Request<B>> for CanonicalPath<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    RB: From<Bytes>,
{
    type Response = Response<RB>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.layer.respelled(request.uri()) {
            Ok(None) => {}
            Ok(Some(target)) if self.layer.redirect => {
                return ResponseFuture::answered(redirect_to(&target));
            }
            Ok(Some(target)) => {
                let mut parts = request.uri().clone().into_parts();
                parts.path_and_query = Some(target);
                let uri = Uri::from_parts(parts);
                *request.uri_mut() = uri.expect("only the path is another");
            }
            Err(unfit) => {
                let detail = match unfit {
                    Unfit::Encoding => "the path is not percent-encoded as it should be",
                    Unfit::Slash => "the path has an encoded slash or a backslash in it",
                };
                return ResponseFuture::answered(problem(StatusCode::BAD_REQUEST, detail));
            }
        }
        ResponseFuture::inner(self.inner.call(request))
    }
}

fn redirect_to<RB: From<Bytes>>(target: &PathAndQuery) -> Response<RB> {
    let mut response = Response::new(RB::from(Bytes::new()));
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    // Never `//elsewhere`, which would be another host: there are no empty segments left.
    if let Ok(location) = HeaderValue::try_from(target.as_str()) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}
