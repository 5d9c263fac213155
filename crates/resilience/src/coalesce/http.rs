//! Which HTTP calls are the same, and how their responses are shared.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use bartizan_core::{Body, ConfigError, Propagate};
use http::{HeaderMap, HeaderName, Method, Request, Response, Uri, header::UPGRADE};
use tower_layer::Layer;

use super::{
    Coalesce, Policy,
    collect::{Collect, Limits},
    service::{MAX_KEYS, check_max_keys},
};

/// Headers that tell one call from another, and not one answer from another.
const IGNORED: [&str; 6] = [
    "baggage",
    "b3",
    "traceparent",
    "tracestate",
    "x-correlation-id",
    "x-request-id",
];

/// Makes one HTTP call of several that ask for the same. See the [module](super).
///
/// Each service that the layer makes has calls of its own, because it may be another peer's. Clones of a service share them.
#[derive(Clone, Debug)]
pub struct HttpCoalesceLayer<R = Propagate> {
    policy: HttpPolicy,
    limits: Limits,
    max_keys: usize,
    reject: R,
}

impl HttpCoalesceLayer {
    /// Shares the responses of GET and HEAD, with bodies up to 256 KiB, for up to 10,000 keys at a time.
    pub fn new() -> Self {
        Self {
            policy: HttpPolicy::new(),
            limits: Limits {
                bytes: 256 * 1024,
                undeclared: false,
            },
            max_keys: MAX_KEYS,
            reject: Propagate,
        }
    }
}

impl Default for HttpCoalesceLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<R> HttpCoalesceLayer<R> {
    /// Sets which requests are the same. Default: [`HttpPolicy::new`].
    #[must_use]
    pub fn policy(mut self, policy: HttpPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets up to how many bytes of a body are shared. A longer one goes to the caller that asked for it, as it comes, and those who
    /// waited ask for themselves. Default: 256 KiB, because a shared body is waited for to its end before anybody has its head.
    #[must_use]
    pub const fn body_limit(mut self, bytes: u64) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// Shares bodies of undeclared length too, up to the limit. Default: not, because some of them trickle for ever, and their heads
    /// would be held back until they have ended. Event streams are left alone in any case.
    #[must_use]
    pub const fn undeclared_lengths(mut self) -> Self {
        self.limits.undeclared = true;
        self
    }

    /// Sets for how many keys there may be calls at a time, as [`CoalesceLayer::try_max_keys`](super::CoalesceLayer::try_max_keys)
    /// does. Default: 10,000.
    ///
    /// # Errors
    ///
    /// If it is zero.
    pub fn try_max_keys(mut self, max_keys: usize) -> Result<Self, ConfigError> {
        self.max_keys = check_max_keys(max_keys)?;
        Ok(self)
    }
}

reject_methods!(
    HttpCoalesceLayer {
        policy,
        limits,
        max_keys
    },
    "[`Rejection::into_response`](bartizan_core::Rejection::into_response) makes one with problem details."
);

impl<S, R: Clone> Layer<S> for HttpCoalesceLayer<R> {
    type Service = Coalesce<Collect<S>, HttpPolicy, HttpKey, Response<Body>, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Coalesce::new(
            Collect::new(inner, self.limits),
            Arc::new(self.policy.clone()),
            self.max_keys,
            self.reject.clone(),
        )
    }
}

/// The [`Policy`] for HTTP: GET and HEAD without a body are the same if their URIs and headers are.
///
/// All headers, because any of them may change the answer, and `Authorization` and `Cookie` say whose answer it is. Headers that trace
/// calls are left out: `traceparent`, `tracestate`, `baggage`, `b3`, `x-request-id`, `x-correlation-id`, and what is
/// [ignored](Self::ignore) besides. A request to upgrade the connection is nobody else's.
#[derive(Clone, Debug)]
pub struct HttpPolicy {
    ignored: Vec<HeaderName>,
}

impl HttpPolicy {
    /// Ignores the headers that trace calls, and no others.
    pub fn new() -> Self {
        Self {
            ignored: IGNORED.map(HeaderName::from_static).into(),
        }
    }

    /// Takes requests that differ in this header only for the same. For one that no answer depends on.
    #[must_use]
    pub fn ignore(mut self, header: HeaderName) -> Self {
        self.ignored.push(header);
        self
    }
}

impl Default for HttpPolicy {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether anybody may share the answer.
pub(super) fn is_shareable<B: http_body::Body>(request: &Request<B>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
        && request.body().is_end_stream()
        && !request.headers().contains_key(UPGRADE)
}

impl<B: http_body::Body> Policy<Request<B>, Response<Body>> for HttpPolicy {
    type Key = HttpKey;

    fn key(&self, request: &Request<B>) -> Option<HttpKey> {
        if !is_shareable(request) {
            return None;
        }
        let mut headers = request.headers().clone();
        for header in &self.ignored {
            headers.remove(header);
        }
        Some(HttpKey {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers,
        })
    }

    fn copy(&self, response: &Response<Body>) -> Option<Response<Body>> {
        let mut copy = Response::new(response.body().try_clone()?);
        *copy.status_mut() = response.status();
        *copy.version_mut() = response.version();
        *copy.headers_mut() = response.headers().clone();
        *copy.extensions_mut() = response.extensions().clone();
        copy.extensions_mut().insert(Coalesced);
        Some(copy)
    }
}

/// What two HTTP calls have to have in common: method, URI, and headers, in whatever order these stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpKey {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Hash for HttpKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.method.hash(state);
        self.uri.hash(state);
        // A sum, as the order of the names is nobody's choice.
        let headers = self.headers.iter().map(|header| {
            let mut hasher = DefaultHasher::new();
            header.hash(&mut hasher);
            hasher.finish()
        });
        state.write_u64(headers.fold(0, u64::wrapping_add));
    }
}

/// In the extensions of a response that is a copy of the one to somebody else's call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coalesced;
