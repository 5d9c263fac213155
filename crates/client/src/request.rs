//! Writing a request, and sending it with any service.

use std::{borrow::Borrow, fmt, future::poll_fn};

use bartizan_core::{Body, BoxError};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version, header,
    uri::PathAndQuery,
};
use tower_service::Service;

use crate::{
    Error,
    error::{Call, Kind, redacted_text},
};

/// HTTP verbs on every service that takes a `Request<Body>`: our [`Transport`](crate::Transport), a stack of layers over it, an axum
/// `Router`, a `service_fn` in a test.
///
/// They take `&self`, so that one client can be shared, and clone the service: a call needs a service of its own to make ready, and
/// services are made to be cheap to clone. For one that cannot be cloned, or whose readiness must stay in one place, there is
/// [`RequestBuilder::new`], which also takes `&mut service`.
///
/// # Examples
///
/// ```
/// use bartizan_client::{RequestExt, ResponseExt};
/// use bartizan_core::Body;
/// use http::{Request, Response};
/// use std::convert::Infallible;
/// use tower::service_fn;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = service_fn(|request: Request<Body>| async move {
///     let answer = format!("{} {}", request.method(), request.uri());
///     Ok::<_, Infallible>(Response::new(Body::from(answer)))
/// });
///
/// let response = client.get("/search").query([("q", "a b&c")]).send().await?;
/// assert_eq!(response.text().await?, "GET /search?q=a+b%26c");
/// # Ok(())
/// # }
/// ```
///
/// A mistake in the request is kept, and comes out where the request is sent:
///
/// ```
/// # use bartizan_client::{RequestExt, Transport};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let error = Transport::new().get("/users").header("x-id", "1\n2").send().await.unwrap_err();
/// assert!(error.is_builder());
/// assert_eq!(error.to_string(), "GET /users: the value of header `x-id` is not one that HTTP allows");
/// # }
/// ```
pub trait RequestExt: Sized {
    /// A request of any method.
    fn request(&self, method: Method, uri: impl IntoUri) -> RequestBuilder<Self>;

    /// A `GET` request.
    fn get(&self, uri: impl IntoUri) -> RequestBuilder<Self> {
        self.request(Method::GET, uri)
    }

    /// A `HEAD` request. Its response has no body, whatever its `Content-Length` says.
    fn head(&self, uri: impl IntoUri) -> RequestBuilder<Self> {
        self.request(Method::HEAD, uri)
    }

    /// A `POST` request.
    fn post(&self, uri: impl IntoUri) -> RequestBuilder<Self> {
        self.request(Method::POST, uri)
    }

    /// A `PUT` request.
    fn put(&self, uri: impl IntoUri) -> RequestBuilder<Self> {
        self.request(Method::PUT, uri)
    }

    /// A `PATCH` request.
    fn patch(&self, uri: impl IntoUri) -> RequestBuilder<Self> {
        self.request(Method::PATCH, uri)
    }

    /// A `DELETE` request.
    fn delete(&self, uri: impl IntoUri) -> RequestBuilder<Self> {
        self.request(Method::DELETE, uri)
    }

    /// An `OPTIONS` request.
    fn options(&self, uri: impl IntoUri) -> RequestBuilder<Self> {
        self.request(Method::OPTIONS, uri)
    }
}

impl<S, RB> RequestExt for S
where
    S: Service<Request<Body>, Response = Response<RB>> + Clone,
{
    fn request(&self, method: Method, uri: impl IntoUri) -> RequestBuilder<Self> {
        RequestBuilder::new(self.clone(), method, uri)
    }
}

/// What names a request's URI: `&str`, `String`, [`Uri`], and references to them.
pub trait IntoUri {
    /// The URI.
    ///
    /// # Errors
    ///
    /// If it is none. The error names it, without its query.
    fn into_uri(self) -> Result<Uri, Error>;
}

impl<T> IntoUri for T
where
    // The copy is for the message. That of a `&str` or a `Uri` costs nothing.
    T: TryInto<Uri, Error: Into<http::Error>> + fmt::Display + Clone,
{
    fn into_uri(self) -> Result<Uri, Error> {
        let text = self.clone();
        self.try_into().map_err(|error| {
            let text = redacted_text(&text.to_string());
            Error::new(Kind::Builder, format!("`{text}` is not a URI")).with_source(error.into())
        })
    }
}

/// A request that is being written, and the service that will send it.
///
/// The first mistake is kept and returned by [`send`](Self::send) or [`build`](Self::build); what is set after it has no effect.
#[must_use = "a request does nothing until it is sent"]
pub struct RequestBuilder<S> {
    service: S,
    request: Result<Request<Body>, Error>,
}

impl<S> RequestBuilder<S> {
    /// A request without headers or body, which `service` will send: one that is owned, or `&mut service`.
    ///
    /// ```
    /// use bartizan_client::RequestBuilder;
    /// use bartizan_core::{Body, BoxError};
    /// use http::{Method, Request, Response};
    /// use tower::service_fn;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut calls = 0;
    /// let mut counting = service_fn(|_: Request<Body>| {
    ///     calls += 1;
    ///     async { Ok::<_, BoxError>(Response::new(())) }
    /// });
    /// RequestBuilder::new(&mut counting, Method::GET, "/").send().await?;
    /// RequestBuilder::new(&mut counting, Method::PUT, "/").send().await?;
    /// assert_eq!(calls, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(service: S, method: Method, uri: impl IntoUri) -> Self {
        let request = uri.into_uri().map(|uri| {
            let mut request = Request::new(Body::empty());
            *request.method_mut() = method;
            *request.uri_mut() = uri;
            request
        });
        Self { service, request }
    }

    /// Sets a header, in place of any value it had. For several values of one name, see [`headers`](Self::headers).
    ///
    /// The values of `Authorization`, `Proxy-Authorization` and `Cookie` are marked as sensitive, which keeps them out of `Debug`
    /// output and of the compression tables of HTTP/2. No header's value is ever part of an error.
    pub fn header<K, V>(self, name: K, value: V) -> Self
    where
        K: TryInto<HeaderName, Error: Into<http::Error>> + fmt::Display + Clone,
        V: TryInto<HeaderValue, Error: Into<http::Error>>,
    {
        self.and_then(|request| {
            let shown = name.clone();
            let name = name.try_into().map_err(|error| {
                Error::new(
                    Kind::Builder,
                    format!("`{shown}` is not the name of a header"),
                )
                .with_source(error.into())
            })?;
            let mut value = value.try_into().map_err(|error| {
                Error::new(
                    Kind::Builder,
                    format!("the value of header `{name}` is not one that HTTP allows"),
                )
                .with_source(error.into())
            })?;
            if is_secret(&name) {
                value.set_sensitive(true);
            }
            request.headers_mut().insert(name, value);
            Ok(())
        })
    }

    /// Sets headers, each in place of the values it had. One that occurs more than once in `headers` keeps all of those.
    pub fn headers(self, headers: HeaderMap) -> Self {
        self.and_then(|request| {
            let mut current = None;
            for (name, mut value) in headers {
                // An iteration names a header once, before the first of its values.
                let is_first = name.is_some();
                current = name.or(current);
                let Some(name) = &current else { continue };
                if is_secret(name) {
                    value.set_sensitive(true);
                }
                if is_first {
                    request.headers_mut().insert(name, value);
                } else {
                    request.headers_mut().append(name, value);
                }
            }
            Ok(())
        })
    }

    /// Adds pairs to the query, encoded as `application/x-www-form-urlencoded`. What the query holds already stays as it is.
    ///
    /// ```
    /// # use bartizan_client::RequestBuilder;
    /// # use http::Method;
    /// let request = RequestBuilder::new((), Method::GET, "/search?page=2")
    ///     .query([("q", "ü&=")])
    ///     .query(&[("tag", "a b"), ("tag", "c")])
    ///     .build()?;
    /// assert_eq!(request.uri(), "/search?page=2&q=%C3%BC%26%3D&tag=a+b&tag=c");
    /// # Ok::<(), bartizan_client::Error>(())
    /// ```
    pub fn query<I, K, V>(self, pairs: I) -> Self
    where
        I: IntoIterator<Item: Borrow<(K, V)>>,
        K: AsRef<str>,
        V: AsRef<str>,
    {
        self.and_then(|request| {
            let mut parts = request.uri().clone().into_parts();
            let (path, query) = match &parts.path_and_query {
                Some(path) => (path.path(), path.query().unwrap_or_default()),
                None => ("/", ""),
            };
            let start = path.len() + 1;
            let mut encoder =
                form_urlencoded::Serializer::for_suffix(format!("{path}?{query}"), start);
            encoder.extend_pairs(pairs);
            let extended = encoder.finish();
            if extended.len() == start {
                return Ok(());
            }
            let fail = |error: http::Error| {
                Error::new(Kind::Builder, "the URI cannot take this query").with_source(error)
            };
            let path = PathAndQuery::try_from(extended).map_err(|error| fail(error.into()))?;
            parts.path_and_query = Some(path);
            *request.uri_mut() = Uri::from_parts(parts).map_err(|error| fail(error.into()))?;
            Ok(())
        })
    }

    /// Sets the version, for a service that asks for it. A [`Transport`](crate::Transport) does not: it speaks one protocol.
    pub fn version(self, version: Version) -> Self {
        self.and_then(|request| {
            *request.version_mut() = version;
            Ok(())
        })
    }

    /// Sets an option for this request, by its type, which a layer of the stack reads.
    pub fn extension<T: Clone + Send + Sync + 'static>(self, extension: T) -> Self {
        self.and_then(|request| {
            request.extensions_mut().insert(extension);
            Ok(())
        })
    }

    /// Sets the body, and no `Content-Type`.
    pub fn body(self, body: impl Into<Body>) -> Self {
        self.and_then(|request| {
            *request.body_mut() = body.into();
            Ok(())
        })
    }

    /// Sets a body of text, as `text/plain; charset=utf-8` unless a `Content-Type` is set already.
    pub fn text(self, text: impl Into<String>) -> Self {
        self.typed_body("text/plain; charset=utf-8", || Ok(text.into().into()))
    }

    /// Sets a body of JSON, as `application/json` unless a `Content-Type` is set already.
    ///
    /// A value that cannot be serialised, such as a map with keys that are not strings, is a mistake in the request.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(self, value: &T) -> Self {
        self.typed_body("application/json", || {
            let json = serde_json::to_vec(value).map_err(|error| {
                Error::new(Kind::Builder, "the body cannot be written as JSON").with_source(error)
            })?;
            Ok(json.into())
        })
    }

    /// The request alone, without sending it.
    ///
    /// # Errors
    ///
    /// The first mistake: a URI, a header, a query or a body that cannot be.
    pub fn build(self) -> Result<Request<Body>, Error> {
        self.request
    }

    /// Waits until the service is ready, and calls it.
    ///
    /// Every response is `Ok`, whatever its status: see [`error_for_status`](crate::ResponseExt::error_for_status). The future is
    /// `Send` if the service and its future are. Dropping it drops the call; what that does is up to the service.
    ///
    /// # Errors
    ///
    /// The first mistake in the request, or the service's error: as it is if that is an [`Error`] or can be seen to be a
    /// [`Rejection`](bartizan_core::Rejection), and else as the source of one.
    pub async fn send<RB>(self) -> Result<Response<RB>, Error>
    where
        S: Service<Request<Body>, Response = Response<RB>>,
        S::Error: Into<BoxError>,
    {
        let Self {
            mut service,
            request,
        } = self;
        let request = request?;
        let call = Call::of(&request);
        let fail = |error: S::Error, kind| {
            Error::of_service(error.into(), kind).with_call(Some(call.clone()))
        };
        poll_fn(|cx| service.poll_ready(cx))
            .await
            .map_err(|error| fail(error, Kind::NotReady))?;
        let mut response = service
            .call(request)
            .await
            .map_err(|error| fail(error, Kind::Service))?;
        // For the errors of reading it, unless the transport has said what was really called.
        response.extensions_mut().get_or_insert(call);
        Ok(response)
    }

    fn typed_body(
        self,
        content_type: &'static str,
        body: impl FnOnce() -> Result<Body, Error>,
    ) -> Self {
        self.and_then(|request| {
            *request.body_mut() = body()?;
            request
                .headers_mut()
                .entry(header::CONTENT_TYPE)
                .or_insert(HeaderValue::from_static(content_type));
            Ok(())
        })
    }

    fn and_then(mut self, change: impl FnOnce(&mut Request<Body>) -> Result<(), Error>) -> Self {
        self.request = self.request.and_then(|mut request| {
            change(&mut request).map_err(|error| error.with_call(Some(Call::of(&request))))?;
            Ok(request)
        });
        self
    }
}

impl<S> fmt::Debug for RequestBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither headers nor query, which may be secret.
        f.debug_struct("RequestBuilder")
            .field("request", &self.request.as_ref().map(Call::of))
            .finish_non_exhaustive()
    }
}

fn is_secret(name: &HeaderName) -> bool {
    [
        header::AUTHORIZATION,
        header::PROXY_AUTHORIZATION,
        header::COOKIE,
    ]
    .contains(name)
}
