//! One service for each host.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bartizan_core::{ConfigError, problem};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Authority, requested};

/// Sends each request to the service of its host. See the [module](super).
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
        let (host, port) = (authority.host(), authority.port());
        let parent = host.split_once('.').map_or("", |(_, parent)| parent);
        named(&self.exact, host, port)
            .or_else(|| named(&self.wildcard, parent, port))
            .or(self.otherwise.as_ref())
    }
}

/// The service of that name: the one of the port, or the one of any.
fn named<'a, S>(names: &'a Names<S>, name: &str, port: Option<u16>) -> Option<&'a S> {
    let services = names.get(name)?;
    let of = |wanted: Option<u16>| services.iter().find(|(port, _)| *port == wanted);
    of(port).or_else(|| of(None)).map(|(_, service)| service)
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
            let services = names.entry(authority.host().to_owned()).or_default();
            if services.iter().any(|(port, _)| *port == authority.port()) {
                return Err(wrong("a host that is not among those before"));
            }
            services.push((authority.port(), service));
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
                    let request = request.take().expect("it is there until the call");
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
