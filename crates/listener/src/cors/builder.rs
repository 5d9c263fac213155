//! What is allowed, checked.

use std::{fmt, sync::Arc, time::Duration};

use bartizan_core::ConfigError;
use http::{HeaderName, HeaderValue, Method, Uri};

use super::{
    CorsLayer,
    rules::{Headers, Origins, Rules},
};

/// Builds a [`CorsLayer`].
///
/// By default no origin is allowed; `GET`, `HEAD` and `POST` are, which browsers send without asking anyway; no header beyond those
/// that are always allowed, none exposed, no credentials.
pub struct Builder {
    origins: Vec<String>,
    any: bool,
    predicate: Option<super::rules::Predicate>,
    methods: Vec<Method>,
    headers: Vec<HeaderName>,
    any_header: bool,
    exposed: Vec<HeaderName>,
    credentials: bool,
    private_network: bool,
    max_age: Option<Duration>,
    refuse_others: bool,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("origins", &self.origins)
            .field("methods", &self.methods)
            .finish_non_exhaustive()
    }
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            origins: Vec::new(),
            any: false,
            predicate: None,
            methods: vec![Method::GET, Method::HEAD, Method::POST],
            headers: Vec::new(),
            any_header: false,
            exposed: Vec::new(),
            credentials: false,
            private_network: false,
            max_age: None,
            refuse_others: false,
        }
    }

    /// Allows these origins besides those before: `https://app.example.com`, with a port if it is not the scheme's own.
    #[must_use]
    pub fn origins<I>(mut self, origins: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.origins.extend(origins.into_iter().map(Into::into));
        self
    }

    /// Allows every origin, as `*`. Not together with [`credentials`](Self::credentials), which browsers refuse.
    #[must_use]
    pub fn any_origin(mut self) -> Self {
        self.any = true;
        self
    }

    /// Allows the origins for which this is true, besides those listed. It sees `null`, too, which is what sandboxed pages and
    /// local files send, and anybody can arrange to.
    #[must_use]
    pub fn origins_where(
        mut self,
        predicate: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.predicate = Some(Box::new(predicate));
        self
    }

    /// Allows these methods, instead of `GET`, `HEAD` and `POST`.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = methods.into_iter().collect();
        self
    }

    /// Allows requests to have these headers, besides those that are always allowed.
    #[must_use]
    pub fn headers(mut self, headers: impl IntoIterator<Item = HeaderName>) -> Self {
        self.headers.extend(headers);
        self
    }

    /// Allows requests to have any header: those that a preflight asks for. `Authorization` too.
    #[must_use]
    pub fn any_header(mut self) -> Self {
        self.any_header = true;
        self
    }

    /// Lets pages read these headers of responses, besides those that they always may.
    #[must_use]
    pub fn expose(mut self, headers: impl IntoIterator<Item = HeaderName>) -> Self {
        self.exposed.extend(headers);
        self
    }

    /// Lets pages send cookies and other credentials, and read what was answered to them. Default: no.
    #[must_use]
    pub fn credentials(mut self, allow: bool) -> Self {
        self.credentials = allow;
        self
    }

    /// Lets pages from the public internet ask a service in a private network, if their preflight says so (Private Network
    /// Access). Default: no.
    #[must_use]
    pub fn private_network(mut self, allow: bool) -> Self {
        self.private_network = allow;
        self
    }

    /// How long a browser may remember the answer to a preflight, in whole seconds. Default: it is not said, which browsers take for 5 s.
    /// They cut it to 2 h, or 24 h.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Answers 403 to every request of another origin that is not allowed, instead of only keeping the response from the page. Default:
    /// no.
    #[must_use]
    pub fn refuse_others(mut self) -> Self {
        self.refuse_others = true;
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// If an origin is none, or `*` stands beside other origins or with credentials.
    pub fn build(self) -> Result<CorsLayer, ConfigError> {
        for (i, origin) in self.origins.iter().enumerate() {
            if !is_origin(origin) {
                let expected = "a scheme and a host in lower case, with a port if it is not the scheme's own, and nothing \
                                behind it, such as `https://app.example.com`";
                return Err(ConfigError::new(format!("origins[{i}]"), origin, expected));
            }
        }
        let has_others = !self.origins.is_empty() || self.predicate.is_some();
        if self.any && has_others {
            let expected = "either any origin or some, not both";
            return Err(ConfigError::new("origins", "*", expected));
        }
        if self.any && self.credentials {
            let expected = "a list of origins, because browsers refuse `*` with credentials";
            return Err(ConfigError::new("origins", "*", expected));
        }
        let origins = if self.any {
            Origins::Any
        } else {
            Origins::Some {
                listed: self.origins,
                predicate: self.predicate,
            }
        };
        let methods = join(self.methods.iter().map(Method::as_str));
        Ok(CorsLayer {
            rules: Arc::new(Rules {
                origins,
                methods: self.methods,
                methods_value: methods,
                headers: if self.any_header {
                    Headers::Any
                } else {
                    Headers::Some(self.headers.clone())
                },
                headers_value: join(self.headers.iter().map(HeaderName::as_str)),
                exposed: join(self.exposed.iter().map(HeaderName::as_str)),
                credentials: self.credentials,
                private_network: self.private_network,
                max_age: self.max_age.map(|age| HeaderValue::from(age.as_secs())),
                refuse_others: self.refuse_others,
            }),
        })
    }
}

fn join(tokens: impl Iterator<Item: AsRef<str>>) -> Option<HeaderValue> {
    let value = HeaderValue::try_from(crate::reply::joined(tokens)).expect("tokens and commas");
    (!value.is_empty()).then_some(value)
}

/// Whether a browser would ever send it: it compares byte by byte with what browsers serialise (RFC 6454 section 6.2).
fn is_origin(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let own_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let is_bare = !rest.is_empty() && !rest.contains(['/', '?', '#', '@', '*']);
    let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    let has_own_port = !own_port.is_empty() && rest.ends_with(own_port);
    is_bare
        && is_lower
        && !has_own_port
        && text.parse::<Uri>().is_ok_and(|uri| uri.host().is_some())
}
