//! Sends each request to the service of the host that it asks for.
//!
//! A [`HostRouter`] holds one service for each host, for hosts with a wildcard, and for all others. [`requested`] tells which host a
//! request asks for, and [`Authority::parse`] reads one.
//!
//! # The rules
//!
//! - The host is the authority of the request's target, if it has one, or else the one `Host` (RFC 9112 section 3.2.2, RFC 9113 section
//!   8.3.1). A `Host` that says something else than the target is answered with 400, and so are several, and none.
//! - Names are compared without regard to case, and without the dot that may end them. IPv6 literals are compared as addresses.
//! - `*.example.com` is one label before `example.com`, no more and no less. An exact name wins over a wildcard.
//! - A name with a port, `example.com:8443`, is for requests that name this port. One without is for any port. The port wins: a
//!   client that connects to the default port leaves it out, so name no port that is a default.
//! - What matches nothing goes to the [default](Builder::otherwise), or is answered with 421, which has clients with a connection that was
//!   meant for another host try on a new one (RFC 9110 section 15.5.20), or with 404 by [choice](Builder::not_found).
//!
//! # Placement
//!
//! It is a service: the outermost one, or the fallback of an axum router. Layers that all hosts share go above it, others round the
//! service of their host.
//!
//! # State
//!
//! The services, of which each request clones one.
//!
//! # Readiness and cancellation
//!
//! It is always ready, because nobody knows yet which service will be called; that one's readiness is waited for in the future. Dropping the
//! future drops the inner call.
//!
//! # Errors
//!
//! Those of the services. A host that cannot be read, or has no service, is answered with problem details (RFC 9457).
//!
//! # Differences from axum and Ballerina
//!
//! axum has no host routing; its `Host` extractor, now in axum-extra, believes `X-Forwarded-Host` of anybody. Ballerina's listener
//! dispatches by exact host only.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::Body;
//! use bartizan_listener::host::HostRouter;
//! use http::{Request, Response};
//! use std::convert::Infallible;
//! use tower::{ServiceExt, util::BoxCloneSyncService};
//!
//! # type Answers = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let says = |text: &'static str| -> Answers {
//!     BoxCloneSyncService::new(tower::service_fn(move |_: Request<Body>| async move {
//!         Ok(Response::new(Body::from(text)))
//!     }))
//! };
//! let router = HostRouter::builder()
//!     .host("example.com", says("the site"))
//!     .host("*.example.com", says("a tenant"))
//!     .build()?;
//!
//! for (host, expected) in [("Example.COM:8080", "the site"), ("acme.example.com.", "a tenant")] {
//!     let request = Request::get("/").header("host", host).body(Body::empty())?;
//!     assert_eq!(router.clone().oneshot(request).await?.body().whole().unwrap(), expected);
//! }
//! let request = Request::get("/").header("host", "elsewhere.net").body(Body::empty())?;
//! assert_eq!(router.oneshot(request).await?.status(), 421);
//! # Ok(())
//! # }
//! ```
//!
//! Of axum routers:
//!
//! ```
//! use axum::{Router, body::Body, routing::get};
//! use bartizan_listener::host::HostRouter;
//! use http::Request;
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let api: Router = Router::new().route("/", get(|| async { "the API" }));
//! let site: Router = Router::new().route("/", get(|| async { "the site" }));
//! let router = HostRouter::builder().host("api.example.com", api).otherwise(site).build()?;
//!
//! let request = Request::get("http://api.example.com/").body(Body::empty())?;
//! let body = axum::body::to_bytes(router.oneshot(request).await?.into_body(), 100).await?;
//! assert_eq!(body, "the API");
//! # Ok(())
//! # }
//! ```

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    future::Future,
    net::Ipv6Addr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bartizan_core::{ConfigError, problem};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header::HOST};
use pin_project_lite::pin_project;
use tower_service::Service;

/// The longest name of the DNS (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 253;

/// A host, and a port if there is one, as a request names them: in lower case, without a final dot.
///
/// ```
/// use bartizan_listener::host::Authority;
///
/// let authority = Authority::parse("Example.com.:8080").unwrap();
/// assert_eq!((authority.host(), authority.port()), ("example.com", Some(8080)));
/// assert_eq!(Authority::parse("[0:0::1]:80").unwrap().host(), "[::1]");
/// assert!(Authority::parse("user@example.com").is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority<'a> {
    host: Cow<'a, str>,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads a host with or without a port. `None` if it is neither a name, an IPv4 address nor an IPv6 address in brackets.
    ///
    /// A name has letters, digits, hyphens, dots and underscores, and up to 253 bytes: what the DNS has, in the form that goes over
    /// the wire.
    pub fn parse(text: &'a str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix('[') {
            let (ip, rest) = rest.split_once(']')?;
            let ip = ip.parse::<Ipv6Addr>().ok()?;
            let port = if rest.is_empty() {
                None
            } else {
                port(rest.strip_prefix(':')?)?
            };
            return Some(Self {
                host: format!("[{ip}]").into(),
                port,
            });
        }
        let (name, port) = match text.split_once(':') {
            Some((name, digits)) => (name, port(digits)?),
            None => (text, None),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_name = !name.is_empty()
            && name.len() <= MAX_NAME
            && name.bytes().all(is_allowed)
            && name.split('.').all(|label| !label.is_empty());
        let host = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            name.to_ascii_lowercase().into()
        } else {
            name.into()
        };
        is_name.then_some(Self { host, port })
    }

    /// The name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if it is named.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }
}

/// `Some(None)` for an empty port, which RFC 3986 section 3.2.3 allows.
fn port(digits: &str) -> Option<Option<u16>> {
    if digits.is_empty() {
        return Some(None);
    }
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    are_digits.then(|| digits.parse().ok())?.map(Some)
}

/// The host that a request asks for. `None` if it names none, several, or one that is malformed.
pub fn requested<B>(request: &Request<B>) -> Option<Authority<'_>> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return None,
        (Some(host), None) => Some(Authority::parse(host.to_str().ok()?)?),
        (None, None) => None,
    };
    match request.uri().authority() {
        None => host,
        Some(target) => {
            let target = Authority::parse(target.as_str())?;
            let agree = host.is_none_or(|host| host.host == target.host);
            agree.then_some(target)
        }
    }
}

/// Sends each request to the service of its host. See the [module](self).
pub struct HostRouter<S> {
    routes: Arc<Routes<S>>,
}

/// Names as they are looked up, with their port if it matters.
type Names<S> = HashMap<String, Vec<(Option<u16>, S)>>;

struct Routes<S> {
    exact: Names<S>,
    /// Without the `*.`.
    wildcard: Names<S>,
    otherwise: Option<S>,
    unknown: StatusCode,
}

impl<S> HostRouter<S> {
    /// A router without hosts.
    pub const fn builder() -> Builder<S> {
        Builder {
            hosts: Vec::new(),
            otherwise: None,
            unknown: StatusCode::MISDIRECTED_REQUEST,
        }
    }
}

impl<S> Routes<S> {
    fn find(&self, authority: &Authority<'_>) -> Option<&S> {
        let of = |names: &'_ Names<S>, name: &str| -> Option<usize> {
            let services = names.get(name)?;
            let of_port = services
                .iter()
                .position(|(port, _)| port.is_some() && *port == authority.port);
            of_port.or_else(|| services.iter().position(|(port, _)| port.is_none()))
        };
        let host = authority.host();
        if let Some(at) = of(&self.exact, host) {
            return self.exact.get(host).map(|services| &services[at].1);
        }
        let parent = host.split_once('.').map_or("", |(_, parent)| parent);
        if let Some(at) = of(&self.wildcard, parent) {
            return self.wildcard.get(parent).map(|services| &services[at].1);
        }
        self.otherwise.as_ref()
    }
}

/// Builds a [`HostRouter`].
pub struct Builder<S> {
    hosts: Vec<(String, S)>,
    otherwise: Option<S>,
    unknown: StatusCode,
}

impl<S> Builder<S> {
    /// The service of a host: `example.com`, `*.example.com`, `192.0.2.1`, `[2001:db8::1]`, each with or without a port.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>, service: S) -> Self {
        self.hosts.push((host.into(), service));
        self
    }

    /// The service of all other hosts. Default: none.
    #[must_use]
    pub fn otherwise(mut self, service: S) -> Self {
        self.otherwise = Some(service);
        self
    }

    /// Answers 404 for a host without a service. Default: 421.
    #[must_use]
    pub fn not_found(mut self) -> Self {
        self.unknown = StatusCode::NOT_FOUND;
        self
    }

    /// The router.
    ///
    /// # Errors
    ///
    /// If a host is malformed, or named twice.
    pub fn build(self) -> Result<HostRouter<S>, ConfigError> {
        let mut routes = Routes {
            exact: Names::new(),
            wildcard: Names::new(),
            otherwise: self.otherwise,
            unknown: self.unknown,
        };
        for (i, (text, service)) in self.hosts.into_iter().enumerate() {
            let (names, rest) = match text.strip_prefix("*.") {
                Some(rest) => (&mut routes.wildcard, rest),
                None => (&mut routes.exact, text.as_str()),
            };
            let wrong = |expected: &str| ConfigError::new(format!("host[{i}]"), &text, expected);
            let authority = Authority::parse(rest).ok_or_else(|| {
                wrong("a name, `*.` and a name, or an address, with or without a port")
            })?;
            let services = names.entry(authority.host.into_owned()).or_default();
            if services.iter().any(|(port, _)| *port == authority.port) {
                return Err(wrong("a host that is not among those before"));
            }
            services.push((authority.port, service));
        }
        Ok(HostRouter {
            routes: Arc::new(routes),
        })
    }
}

impl<S> Clone for HostRouter<S> {
    fn clone(&self) -> Self {
        Self {
            routes: Arc::clone(&self.routes),
        }
    }
}

impl<S> fmt::Debug for HostRouter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostRouter")
            .field("hosts", &self.routes.exact.keys())
            .field("wildcards", &self.routes.wildcard.keys())
            .finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Builder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.hosts.iter().map(|(host, _)| host).collect();
        f.debug_struct("Builder")
            .field("hosts", &hosts)
            .finish_non_exhaustive()
    }
}

impl<S, B, RB> Service<Request<B>> for HostRouter<S>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    RB: From<Bytes>,
{
    type Response = Response<RB>;
    type Error = S::Error;
    type Future = ResponseFuture<S, Request<B>, RB>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let refuse = |status, detail| ResponseFuture {
            state: State::Refused {
                response: Some(Box::new(problem(status, detail))),
            },
        };
        let found = requested(&request).map(|authority| self.routes.find(&authority));
        match found {
            Some(Some(service)) => ResponseFuture {
                state: State::Waiting {
                    service: service.clone(),
                    request: Some(request),
                },
            },
            Some(None) => refuse(self.routes.unknown, "this host is not served here"),
            None => refuse(
                StatusCode::BAD_REQUEST,
                "the request does not say which host it is for",
            ),
        }
    }
}

pin_project! {
    /// The response of the host's service.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S: Service<Req>, Req, RB> {
        #[pin]
        state: State<S, Req, S::Future, RB>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, Req, F, RB> {
        Waiting { service: S, request: Option<Req> },
        Called { #[pin] future: F },
        Refused { response: Option<Box<Response<RB>>> },
    }
}

impl<S, Req, RB> Future for ResponseFuture<S, Req, RB>
where
    S: Service<Req, Response = Response<RB>>,
{
    type Output = Result<Response<RB>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let future = match state.as_mut().project() {
                // ## Waiting => Called
                StateProj::Waiting { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    let request = request.take().expect("polled after it had failed");
                    service.call(request)
                }
                StateProj::Called { future } => return future.poll(cx),
                StateProj::Refused { response } => {
                    let response = response.take().expect("polled after it had answered");
                    return Poll::Ready(Ok(*response));
                }
            };
            state.set(State::Called { future });
        }
    }
}

impl<S: Service<Req>, Req, RB> fmt::Debug for ResponseFuture<S, Req, RB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_and_ports() {
        for (text, expected) in [
            ("example.com", Some(("example.com", None))),
            ("EXAMPLE.com.", Some(("example.com", None))),
            ("example.com:80", Some(("example.com", Some(80)))),
            ("example.com:", Some(("example.com", None))),
            ("192.0.2.1:8080", Some(("192.0.2.1", Some(8080)))),
            ("[::1]", Some(("[::1]", None))),
            ("[2001:DB8:0::1]:443", Some(("[2001:db8::1]", Some(443)))),
            ("a_b.example", Some(("a_b.example", None))),
            ("", None),
            (".", None),
            ("a..b", None),
            ("a..", None),
            (":80", None),
            ("example.com:99999", None),
            ("example.com:+80", None),
            ("example.com:80:80", None),
            ("user@example.com", None),
            ("exa mple.com", None),
            ("example.com/x", None),
            ("::1", None),
            ("[::1", None),
            ("[::1]80", None),
            ("[example.com]", None),
            ("*.example.com", None),
            ("ex%61mple.com", None),
        ] {
            let parsed = Authority::parse(text);
            let parsed = parsed.as_ref().map(|a| (a.host(), a.port()));
            assert_eq!(parsed, expected, "{text:?}");
        }
        assert!(Authority::parse(&"a".repeat(MAX_NAME + 1)).is_none());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[ -~\u{e9}]{0,40}") {
            if let Some(authority) = Authority::parse(&text) {
                let again = Authority::parse(authority.host()).expect("what it was made of");
                prop_assert_eq!(again.host(), authority.host());
            }
        }
    }
}
