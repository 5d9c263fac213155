//! Writing a request, and sending it with any service.
//!
//! # Options of one request
//!
//! Everything that a layer reads for one request is a value in the request's extensions, under a type that the layer documents.
//! [`CallOptions`] holds any number of them, to be used for many requests; [`RequestBuilder::extension`] sets one; the most common
//! have a method of their own. There is no struct with a field for each, because it would have to know every layer, and nobody else
//! could add one. A redirect copies the extensions to the next request, so options hold for a call and not for a hop.

mod body;
mod builder;
mod forward;
mod head;
mod options;
mod uri;

#[cfg(feature = "fs")]
mod file;
mod sized;

use bartizan_core::{Body, BoxError};
use http::{Method, Request, Response};
use tower_service::Service;

#[cfg(feature = "fs")]
pub(crate) use self::file::FileBody;
pub(crate) use self::forward::end_to_end;
use self::forward::{Received, of_request, one_hop_less};
pub use self::{builder::RequestBuilder, options::CallOptions, uri::IntoUri};
pub(crate) use self::{options::CallClock, sized::Sized as SizedBody};

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

    /// A request that was made elsewhere, to be sent as it is or with what is added to it.
    ///
    /// ```
    /// # use bartizan_client::RequestExt;
    /// # use bartizan_core::{Body, BoxError};
    /// # use http::{Request, Response};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = tower::service_fn(|request: Request<Body>| async { Ok::<_, BoxError>(Response::new(request)) });
    /// let request = Request::put("/users/7").body(Body::from("ann"))?;
    /// let response = client.execute(request).bearer("t0ken").send().await?;
    /// # assert_eq!(response.body().uri(), "/users/7");
    /// # assert!(response.body().headers().contains_key("authorization"));
    /// # Ok(())
    /// # }
    /// ```
    fn execute(&self, request: Request<Body>) -> RequestBuilder<Self>;

    /// A request that was received, to be sent on to `uri`: as a gateway does.
    ///
    /// Method, headers, body and trailers are kept, and the body is streamed. Left out is what was meant for this hop alone (RFC 9110
    /// section 7.6.1): `Connection` and every header that it names, `Keep-Alive`, `Proxy-Connection`, `TE`, `Transfer-Encoding`,
    /// `Upgrade`, and what is between a client and its proxy; `Content-Length`, which follows from the body; `Host`, which follows
    /// from the URI (set it again by [`header`](RequestBuilder::header) where the origin is to see the old one); and the extensions,
    /// which describe the connection that it came by. So an upgrade is not forwarded.
    ///
    /// `Max-Forwards` of `TRACE` and `OPTIONS` is made one less (RFC 9110 section 7.6.2). Where it is 0, the gateway is who has to
    /// answer, and the request is [a mistake](crate::Error::is_builder). Nothing is added: [`via`](RequestBuilder::via) says that the
    /// gateway was there, and a [`ForwardedLayer`](crate::ForwardedLayer) for whom. For what comes back there is
    /// [`ResponseExt::end_to_end`](crate::ResponseExt::end_to_end).
    ///
    /// ```
    /// # use bartizan_client::RequestExt;
    /// # use bartizan_core::{Body, BoxError};
    /// # use http::{Request, Response};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = tower::service_fn(|request: Request<Body>| async { Ok::<_, BoxError>(Response::new(request)) });
    /// let received = Request::get("/a?b=1").header("connection", "x-hop").header("x-hop", "1").header("x-end", "2");
    /// let received = received.body(Body::empty())?;
    ///
    /// let response = client.forward(received.uri().clone(), received).send().await?;
    /// let sent = response.into_body();
    /// assert_eq!(sent.uri(), "/a?b=1");
    /// assert_eq!(sent.headers().keys().collect::<Vec<_>>(), ["x-end"]);
    /// # Ok(())
    /// # }
    /// ```
    fn forward<B>(&self, uri: impl IntoUri, received: Request<B>) -> RequestBuilder<Self>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<BoxError>;
}

impl<S, RB> RequestExt for S
where
    S: Service<Request<Body>, Response = Response<RB>> + Clone,
{
    fn request(&self, method: Method, uri: impl IntoUri) -> RequestBuilder<Self> {
        RequestBuilder::new(self.clone(), method, uri)
    }

    fn execute(&self, request: Request<Body>) -> RequestBuilder<Self> {
        RequestBuilder::from_request(self.clone(), request)
    }

    fn forward<B>(&self, uri: impl IntoUri, received: Request<B>) -> RequestBuilder<Self>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (head, body) = received.into_parts();
        RequestBuilder::new(self.clone(), head.method, uri)
            .headers(of_request(head.headers))
            .and_then(|request| {
                let method = request.method().clone();
                one_hop_less(&method, request.headers_mut())
            })
            .extension(Received(head.version))
            .body(Body::new(body))
    }
}
