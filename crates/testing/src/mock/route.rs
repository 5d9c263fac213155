//! Which requests an answer is for.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header::HOST};

use super::glob;

/// Which requests an answer is for: a method, a path, and whatever else has to be so.
///
/// In paths, hosts, header values and query values `*` stands for any characters, slashes included, or none.
///
/// ```
/// use bartizan_testing::Route;
/// use bytes::Bytes;
/// use http::Request;
///
/// let route = Route::post("/users/*/orders")
///     .host("api.example.com")
///     .header("authorization", "Bearer *")
///     .query("dry-run", "1")
///     .when("an order of lamps", |request| request.body().starts_with(b"lamp"));
///
/// let request = Request::post("http://api.example.com/users/7/orders?dry-run=1")
///     .header("authorization", "Bearer abc")
///     .body(Bytes::from("lamp x 2"))?;
/// assert!(route.matches(&request));
/// # Ok::<_, http::Error>(())
/// ```
#[derive(Clone)]
pub struct Route {
    method: Option<Method>,
    path: String,
    conditions: Vec<Condition>,
}

#[derive(Clone)]
enum Condition {
    Host(String),
    Header(HeaderName, String),
    Query(String, String),
    Body(Bytes),
    When(String, Arc<Predicate>),
}

type Predicate = dyn Fn(&Request<Bytes>) -> bool + Send + Sync;

macro_rules! verbs {
    ($($name:ident $method:ident)*) => {$(
        #[doc = concat!("`", stringify!($method), "` requests to that path, which may have a `*`.")]
        pub fn $name(path: impl Into<String>) -> Self {
            Self::new(Method::$method, path)
        }
    )*};
}

impl Route {
    /// Requests of that method to that path.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method: Some(method),
            ..Self::any(path)
        }
    }

    /// Requests of any method to that path: `Route::any("*")` is every request.
    pub fn any(path: impl Into<String>) -> Self {
        Self {
            method: None,
            path: path.into(),
            conditions: Vec::new(),
        }
    }

    verbs! {
        get GET
        head HEAD
        post POST
        put PUT
        patch PATCH
        delete DELETE
    }

    /// Only to that host, in any case, as the URI names it or else the `Host` header. With a port, only to that port; without, to any.
    #[must_use]
    pub fn host(self, host: impl Into<String>) -> Self {
        self.and(Condition::Host(host.into().to_ascii_lowercase()))
    }

    /// Only with that header, one of whose values is `value`.
    ///
    /// # Panics
    ///
    /// If `name` is no header's name.
    #[must_use]
    pub fn header(self, name: &str, value: impl Into<String>) -> Self {
        let Ok(name) = name.parse() else {
            panic!("`{name}` is not the name of a header");
        };
        self.and(Condition::Header(name, value.into()))
    }

    /// Only with that parameter in the query, one of whose values is `value`; both decoded.
    #[must_use]
    pub fn query(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.and(Condition::Query(name.into(), value.into()))
    }

    /// Only with exactly that body.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        self.and(Condition::Body(body.into()))
    }

    /// Only if `predicate` says so. `what` is for messages: "an order of lamps".
    #[must_use]
    pub fn when(
        self,
        what: impl Into<String>,
        predicate: impl Fn(&Request<Bytes>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.and(Condition::When(what.into(), Arc::new(predicate)))
    }

    fn and(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Whether the request is one of these.
    pub fn matches(&self, request: &Request<Bytes>) -> bool {
        self.mismatch(request).is_none()
    }

    /// The first thing about the request that is not as it has to be.
    pub(super) fn mismatch(&self, request: &Request<Bytes>) -> Option<String> {
        if let Some(method) = self.method.as_ref().filter(|&m| m != request.method()) {
            return Some(format!("the method is {}, not {method}", request.method()));
        }
        let path = request.uri().path();
        if !glob::matches(&self.path, path) {
            return Some(format!("the path is {path}, not {}", self.path));
        }
        self.conditions
            .iter()
            .find_map(|condition| condition.mismatch(request))
    }
}

impl Condition {
    fn mismatch(&self, request: &Request<Bytes>) -> Option<String> {
        match self {
            Self::Host(expected) => {
                let Some(host) = authority(request) else {
                    return Some(format!("there is no host, and it is not {expected}"));
                };
                let named = host.to_ascii_lowercase();
                let without_port = named.rsplit_once(':').map_or(&*named, |(name, port)| {
                    // Not the last group of an IPv6 address.
                    if port.ends_with(']') { &named } else { name }
                });
                let same = glob::matches(expected, &named) || glob::matches(expected, without_port);
                (!same).then(|| format!("the host is {host}, not {expected}"))
            }
            Self::Header(name, expected) => {
                let values = || request.headers().get_all(name).iter();
                let same = |value: &HeaderValue| {
                    glob::matches(expected, &String::from_utf8_lossy(value.as_bytes()))
                };
                if values().any(same) {
                    return None;
                }
                let found: Vec<_> = values().map(|value| format!("{value:?}")).collect();
                Some(if found.is_empty() {
                    format!("there is no header {name}")
                } else {
                    format!("the header {name} is {}, not {expected}", found.join(", "))
                })
            }
            Self::Query(name, expected) => {
                let found: Vec<_> = values_of(request.uri(), name);
                if found.iter().any(|value| glob::matches(expected, value)) {
                    return None;
                }
                Some(if found.is_empty() {
                    format!("there is no {name} in the query")
                } else {
                    format!(
                        "{name} in the query is {}, not {expected}",
                        found.join(", ")
                    )
                })
            }
            Self::Body(expected) => (request.body() != expected).then(|| {
                format!(
                    "the body is {}, not {}",
                    text(request.body()),
                    text(expected)
                )
            }),
            Self::When(what, predicate) => {
                (!predicate(request)).then(|| format!("it is not {what}"))
            }
        }
    }
}

fn authority(request: &Request<Bytes>) -> Option<&str> {
    match request.uri().authority() {
        Some(authority) => {
            let authority = authority.as_str();
            Some(
                authority
                    .rsplit_once('@')
                    .map_or(authority, |(_, host)| host),
            )
        }
        None => request.headers().get(HOST)?.to_str().ok(),
    }
}

fn values_of(uri: &Uri, name: &str) -> Vec<String> {
    form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .collect()
}

/// A body as far as a message has room for it.
fn text(body: &Bytes) -> String {
    const ROOM: usize = 200;
    let shown = format!(
        "{:?}",
        String::from_utf8_lossy(&body[..body.len().min(ROOM)])
    );
    if body.len() > ROOM {
        format!("{shown}… ({} bytes)", body.len())
    } else {
        shown
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.method {
            Some(method) => write!(f, "{method} {}", self.path)?,
            None => write!(f, "any method {}", self.path)?,
        }
        for condition in &self.conditions {
            match condition {
                Condition::Host(host) => write!(f, ", host {host}")?,
                Condition::Header(name, value) => write!(f, ", {name}: {value}")?,
                Condition::Query(name, value) => write!(f, ", query {name}={value}")?,
                Condition::Body(body) => write!(f, ", body {}", text(body))?,
                Condition::When(what, _) => write!(f, ", {what}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Route").field(&self.to_string()).finish()
    }
}
