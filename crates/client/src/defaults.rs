//! Headers and options that each request has unless it says otherwise.
//!
//! # Placement
//!
//! At the top, above the redirect layer: what a redirect leaves behind is not to be added again. [`BaseUrlLayer`](crate::BaseUrlLayer)
//! is the default for where a request goes.
//!
//! # State
//!
//! The defaults, shared by all clones and never changed.
//!
//! # Readiness and cancellation
//!
//! Those of the inner service, whose future it returns.
//!
//! # Errors
//!
//! Those of the inner service. What cannot be a header is found out when the layer is made.
//!
//! # Differences from reqwest and Ktor
//!
//! - reqwest sends no `User-Agent` unless told to; Ktor sends its engine's. Servers that refuse requests without one are many, and none
//!   refuses `bartizan/0.1.0`.
//! - A default is for a name, not for a value: a request that has the header, with whatever value, is left as it is. To send none at
//!   all, leave it out of the defaults.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bartizan_core::ConfigError;
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use tower_layer::Layer;
use tower_service::Service;

use crate::CallOptions;

/// Sets headers and [options](CallOptions) that a request does not have. See the [module](self) for where it goes.
///
/// What is set goes with each request, wherever that leads: a token that is for one host is better kept with that host's client.
///
/// # Examples
///
/// ```
/// use bartizan_client::{DefaultsLayer, RequestExt};
/// use bartizan_core::{Body, BoxError};
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let echo = service_fn(|request: Request<Body>| async move {
///     Ok::<_, BoxError>(Response::new(request.headers().clone()))
/// });
/// let client = ServiceBuilder::new().layer(DefaultsLayer::new()).service(echo);
///
/// let headers = client.get("/").header("accept", "text/html").send().await?.into_body();
/// assert_eq!(headers["user-agent"], concat!("bartizan/", env!("CARGO_PKG_VERSION")));
/// assert_eq!(headers["accept"], "text/html");
/// # Ok(())
/// # }
/// ```
///
/// Headers of one's own:
///
/// ```
/// use bartizan_client::{DefaultsLayer, RequestExt};
/// use bartizan_core::{Body, BoxError};
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let echo = service_fn(|request: Request<Body>| async move {
///     Ok::<_, BoxError>(Response::new(request.headers().clone()))
/// });
/// let defaults = DefaultsLayer::empty().try_header("user-agent", "shop/2")?.try_header("x-region", "eu")?;
/// let client = ServiceBuilder::new().layer(defaults).service(echo);
///
/// let headers = client.get("/").send().await?.into_body();
/// assert_eq!((headers.len(), &headers["x-region"]), (2, &"eu".parse()?));
///
/// let error = DefaultsLayer::empty().try_header("x region", "eu").unwrap_err();
/// assert_eq!(error.to_string(), "invalid header `x region`: expected a name of letters, digits and dashes");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DefaultsLayer {
    defaults: Arc<All>,
}

#[derive(Clone, Debug, Default)]
struct All {
    headers: HeaderMap,
    options: CallOptions,
}

impl DefaultsLayer {
    /// `User-Agent: bartizan/<version>` and `Accept: */*`, which some servers want, and which means the same as none.
    pub fn new() -> Self {
        const USER_AGENT: &str = concat!("bartizan/", env!("CARGO_PKG_VERSION"));
        Self::empty()
            .header(header::USER_AGENT, HeaderValue::from_static(USER_AGENT))
            .header(header::ACCEPT, HeaderValue::from_static("*/*"))
    }

    /// No defaults yet.
    pub fn empty() -> Self {
        Self {
            defaults: Arc::default(),
        }
    }

    /// Sets a header by default, in place of the default it had.
    #[must_use]
    pub fn header(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        mark(&name, &mut value);
        Arc::make_mut(&mut self.defaults)
            .headers
            .insert(name, value);
        self
    }

    /// The same, of text.
    ///
    /// # Errors
    ///
    /// If `name` or `value` is not what HTTP allows. The error does not show the value.
    pub fn try_header(self, name: &str, value: &str) -> Result<Self, ConfigError> {
        let expected = "a name of letters, digits and dashes";
        let parsed = name
            .parse::<HeaderName>()
            .map_err(|error| ConfigError::new("header", name, expected).with_source(error))?;
        let value = value.parse::<HeaderValue>().map_err(|error| {
            ConfigError::new(format!("value of header {name}"), "…", "visible ASCII")
                .with_source(error)
        })?;
        Ok(self.header(parsed, value))
    }

    /// Sets headers by default, each in place of the default it had. One that occurs more than once in `headers` is sent as often.
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        let defaults = &mut Arc::make_mut(&mut self.defaults).headers;
        let mut current = None;
        for (name, mut value) in headers {
            // An iteration names a header once, before the first of its values.
            let is_first = name.is_some();
            current = name.or(current);
            let Some(name) = &current else { continue };
            mark(name, &mut value);
            if is_first {
                defaults.insert(name, value);
            } else {
                defaults.append(name, value);
            }
        }
        self
    }

    /// Sets the options that each request has by default, in place of all that were set before. Of a type that a request has itself, its own
    /// counts.
    ///
    /// They are for what stands below: [`send`](crate::RequestBuilder::send) and the layers above have looked already. A request pays for
    /// copying them, so what a layer or the transport can be told when it is made is better told there.
    ///
    /// ```
    /// use bartizan_client::{CallOptions, DefaultsLayer, RequestExt, connect::ConnectOptions};
    /// use bartizan_core::{Body, BoxError};
    /// use http::{Request, Response};
    /// use tower::{ServiceBuilder, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let echo = service_fn(|request: Request<Body>| async move {
    ///     Ok::<_, BoxError>(Response::new(request.extensions().get().cloned()))
    /// });
    /// let of = |tenant: &str| ConnectOptions::new().isolation(tenant);
    /// let defaults = DefaultsLayer::empty().options(CallOptions::new().with(of("everybody")));
    /// let client = ServiceBuilder::new().layer(defaults).service(echo);
    ///
    /// let usual: Option<ConnectOptions> = client.get("/").send().await?.into_body();
    /// assert_eq!(usual, Some(of("everybody")));
    /// let own = client.get("/").connect_options(of("ann")).send().await?.into_body();
    /// assert_eq!(own, Some(of("ann")));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn options(mut self, options: CallOptions) -> Self {
        Arc::make_mut(&mut self.defaults).options = options;
        self
    }
}

/// [`DefaultsLayer::new`].
impl Default for DefaultsLayer {
    fn default() -> Self {
        Self::new()
    }
}

/// Keeps secrets out of `Debug`, out of HTTP/2's compression tables, and from other origins.
fn mark(name: &HeaderName, value: &mut HeaderValue) {
    let is_secret = [
        header::AUTHORIZATION,
        header::COOKIE,
        header::PROXY_AUTHORIZATION,
    ]
    .contains(name);
    if is_secret {
        value.set_sensitive(true);
    }
}

impl<S> Layer<S> for DefaultsLayer {
    type Service = Defaults<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Defaults {
            inner,
            defaults: Arc::clone(&self.defaults),
        }
    }
}

/// The service of a [`DefaultsLayer`].
#[derive(Clone, Debug)]
pub struct Defaults<S> {
    inner: S,
    defaults: Arc<All>,
}

impl<S, B> Service<Request<B>> for Defaults<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let headers = request.headers_mut();
        let defaults = &*self.defaults;
        for name in defaults.headers.keys() {
            if headers.contains_key(name) {
                continue;
            }
            for value in defaults.headers.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        defaults.options.complete(request.extensions_mut());
        self.inner.call(request)
    }
}
