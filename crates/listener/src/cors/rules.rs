//! Whether a request of another origin is allowed: the decision, without I/O.

use std::fmt;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD,
        ORIGIN, VARY,
    },
};

use crate::host;

const REQUEST_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-allow-private-network");

/// The headers that need no leave (Fetch, "CORS-safelisted request-header"). With unusual values browsers do ask for them.
const SAFELISTED: [&str; 4] = [
    "accept",
    "accept-language",
    "content-language",
    "content-type",
];

pub(super) type Predicate = Box<dyn Fn(&str) -> bool + Send + Sync>;

pub(super) enum Origins {
    Any,
    Some {
        listed: Vec<String>,
        predicate: Option<Predicate>,
    },
}

#[derive(Debug)]
pub(super) enum Headers {
    Any,
    Some(Vec<HeaderName>),
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("Any"),
            Self::Some { listed, predicate } => f
                .debug_struct("Some")
                .field("listed", listed)
                .field("has_predicate", &predicate.is_some())
                .finish(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Rules {
    pub(super) origins: Origins,
    pub(super) methods: Vec<Method>,
    pub(super) methods_value: Option<HeaderValue>,
    pub(super) headers: Headers,
    pub(super) headers_value: Option<HeaderValue>,
    pub(super) exposed: Option<HeaderValue>,
    pub(super) credentials: bool,
    pub(super) private_network: bool,
    pub(super) max_age: Option<HeaderValue>,
    pub(super) refuse_others: bool,
}

/// What becomes of a request.
pub(super) enum Decision {
    /// It goes on, and these headers go on its response. Of `Vary`, to what is there.
    Pass(HeaderMap),
    /// A preflight that is answered with these headers.
    Grant(HeaderMap),
    /// 403, with these headers, and why.
    Refuse(HeaderMap, &'static str),
}

impl Rules {
    pub(super) fn decide<B>(&self, request: &Request<B>) -> Decision {
        let headers = request.headers();
        let mut marks = HeaderMap::new();
        if matches!(self.origins, Origins::Some { .. }) {
            marks.insert(VARY, HeaderValue::from_static("origin"));
        }
        let Some(origin) = headers.get(ORIGIN) else {
            return Decision::Pass(marks);
        };
        let asked = headers.get(ACCESS_CONTROL_REQUEST_METHOD);
        let preflight = asked.filter(|_| request.method() == Method::OPTIONS);
        if !self.allows_origin(origin) {
            let detail = "this origin may not use the service";
            return match preflight {
                Some(_) => Decision::Refuse(marks, detail),
                None if self.refuse_others && !is_own(request, origin) => {
                    Decision::Refuse(marks, detail)
                }
                None => Decision::Pass(marks),
            };
        }
        let Some(method) = preflight else {
            self.mark(&mut marks, origin);
            if let Some(exposed) = &self.exposed {
                marks.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
            }
            return Decision::Pass(marks);
        };
        if !self
            .methods
            .iter()
            .any(|own| own.as_str().as_bytes() == method.as_bytes())
        {
            return Decision::Refuse(marks, "pages may not use this method here");
        }
        if !self.allows_headers(headers) {
            return Decision::Refuse(marks, "pages may not send these headers here");
        }
        self.grant(headers, &mut marks);
        self.mark(&mut marks, origin);
        Decision::Grant(marks)
    }

    fn allows_origin(&self, origin: &HeaderValue) -> bool {
        match &self.origins {
            Origins::Any => true,
            Origins::Some { listed, predicate } => origin.to_str().is_ok_and(|origin| {
                listed.iter().any(|own| own == origin)
                    || predicate
                        .as_ref()
                        .is_some_and(|predicate| predicate(origin))
            }),
        }
    }

    fn allows_headers(&self, headers: &HeaderMap) -> bool {
        let Headers::Some(allowed) = &self.headers else {
            return true;
        };
        requested_headers(headers).all(|name| {
            let is_it = |own: &str| name.eq_ignore_ascii_case(own.as_bytes());
            SAFELISTED.iter().any(|own| is_it(own)) || allowed.iter().any(|own| is_it(own.as_str()))
        })
    }

    fn mark(&self, marks: &mut HeaderMap, origin: &HeaderValue) {
        let allowed = match self.origins {
            Origins::Any => HeaderValue::from_static("*"),
            Origins::Some { .. } => origin.clone(),
        };
        marks.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if self.credentials {
            marks.insert(
                ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            );
        }
    }

    fn grant(&self, headers: &HeaderMap, grants: &mut HeaderMap) {
        if let Some(methods) = &self.methods_value {
            grants.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
        }
        let allowed = match &self.headers {
            Headers::Some(_) => self.headers_value.clone(),
            // Those asked for, and not `*`: that is no wildcard with credentials, and never means `Authorization`.
            Headers::Any => {
                let varied = HeaderValue::from_static("access-control-request-headers");
                grants.append(VARY, varied);
                let asked: Vec<_> = requested_headers(headers).collect();
                let asked = HeaderValue::from_bytes(&asked.join(&b", "[..])).ok();
                asked.filter(|asked| !asked.is_empty())
            }
        };
        if let Some(allowed) = allowed {
            grants.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        }
        if let Some(max_age) = &self.max_age {
            grants.insert(ACCESS_CONTROL_MAX_AGE, max_age.clone());
        }
        let asks = headers.get(REQUEST_PRIVATE_NETWORK);
        if self.private_network && asks.is_some_and(|asks| asks == "true") {
            grants.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
        }
    }
}

fn requested_headers(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let values = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    values
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty())
}

/// Whether the origin has the host, and the port, that the request asks for. The scheme is not known behind a proxy.
fn is_own<B>(request: &Request<B>, origin: &HeaderValue) -> bool {
    let of_origin = origin.to_str().ok().and_then(|origin| {
        let (_, authority) = origin.split_once("://")?;
        host::Authority::parse(authority)
    });
    of_origin.is_some() && of_origin == host::requested(request)
}
