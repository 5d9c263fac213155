//! A client of one type, whatever it is stacked of.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bartizan_core::{Body, BoxError};
use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{Error, Transport, error::Kind};

/// A stack of layers over a transport, whose type can be written down: what an application keeps in a struct.
///
/// A `Service<Request<Body>>` like any other, with [`RequestExt`](crate::RequestExt) for its verbs, and layers can go over it. Where
/// the type of the stack does not matter, it is not needed: everything works on the stack itself, without the box.
///
/// # State
///
/// Clones share what the layers share: connections, cookies, circuit breakers. A clone costs as much as that of an `Arc`.
///
/// # Readiness and cancellation
///
/// Ready when the stack is: each clone makes an instance of the stack ready and calls that one. A call costs one box, which holds that
/// instance first, and its future then. Dropping the future drops the stack's.
///
/// # Errors
///
/// The stack's: as it is if that is an [`Error`], or can be seen to be a [`Rejection`](bartizan_core::Rejection), and else as the
/// source of one.
///
/// # Examples
///
/// The default: a [`Transport`] with all of its defaults.
///
/// ```
/// use bartizan_client::{Client, RequestExt, ResponseExt};
/// use bartizan_core::Body;
/// use bartizan_testing::Loopback;
/// use http::{Request, Response};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Loopback::start(|_: Request<Body>| async { Response::new(Body::from("hello")) }).await;
///
/// struct Greeter { client: Client }
///
/// let greeter = Greeter { client: Client::new() };
/// let response = greeter.client.get(server.uri("/greeting")).send().await?.error_for_status()?;
/// assert_eq!(response.text().await?, "hello");
/// # Ok(())
/// # }
/// ```
///
/// A stack of one's own. With a `ServiceBuilder` it is boxed once, whatever its height:
///
/// ```
/// use bartizan_client::{BaseUrlLayer, Client, RequestExt, ResponseExt, Transport};
/// use bartizan_core::Body;
/// use bartizan_testing::Loopback;
/// use http::{Request, Response};
/// use tower::ServiceBuilder;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = Loopback::start(|request: Request<Body>| async move { Response::new(Body::from(request.uri().to_string())) }).await;
/// let api: Client = Client::from_service(
///     ServiceBuilder::new()
///         // Above the limit, so that a call that waits has its URI already.
///         .layer(BaseUrlLayer::try_new(&server.uri("/v2"))?)
///         .concurrency_limit(100)
///         .service(Transport::new()),
/// );
/// assert_eq!(api.get("/users").send().await?.text().await?, "/v2/users");
/// # Ok(())
/// # }
/// ```
pub struct Client {
    stack: Arc<dyn Stack>,
    /// An instance that is being made ready. Never locked: it is there to make the client `Sync`, which what is in it need not be.
    instance: Mutex<Option<Pin<Box<dyn Exchange + Send>>>>,
}

impl Client {
    /// A client over a [`Transport`] with all of its defaults, and nothing between them.
    pub fn new() -> Self {
        Self::from_service(Transport::new())
    }

    /// A client that calls clones of `service`. It may be any stack whose requests have a [`Body`], and whose responses have any body
    /// of bytes; that of a response is boxed, unless it is a [`Body`] already.
    pub fn from_service<S, RB>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<RB>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        RB: http_body::Body<Data = Bytes> + Send + 'static,
        RB::Error: Into<BoxError>,
    {
        Self::of(Arc::new(service))
    }

    /// This client below a layer. Each costs a box per call: of more than one, make a `ServiceBuilder`, and
    /// [`from_service`](Self::from_service).
    ///
    /// ```
    /// use bartizan_client::{BaseUrlLayer, Client};
    ///
    /// let client = Client::new();
    /// // Both share their connections.
    /// let users: Client = client.clone().layer(BaseUrlLayer::try_new("http://users.example/v2")?);
    /// # Ok::<(), bartizan_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn layer<L, RB>(self, layer: L) -> Self
    where
        L: Layer<Self>,
        L::Service: Service<Request<Body>, Response = Response<RB>> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request<Body>>>::Error: Into<BoxError>,
        <L::Service as Service<Request<Body>>>::Future: Send + 'static,
        RB: http_body::Body<Data = Bytes> + Send + 'static,
        RB::Error: Into<BoxError>,
    {
        Self::from_service(layer.layer(self))
    }

    fn of(stack: Arc<dyn Stack>) -> Self {
        Self {
            stack,
            instance: Mutex::new(None),
        }
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Client {
    fn clone(&self) -> Self {
        // A clone starts unready: what is reserved is reserved for one.
        Self::of(Arc::clone(&self.stack))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Service<Request<Body>> for Client {
    type Response = Response<Body>;
    type Error = Error;
    type Future = ClientFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let slot = self
            .instance
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let instance = slot.get_or_insert_with(|| self.stack.instance());
        instance.as_mut().poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> ClientFuture {
        let slot = self
            .instance
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let mut instance = slot
            .take()
            .expect("`poll_ready` must be ready before each call");
        instance.as_mut().start(request);
        ClientFuture(instance)
    }
}

/// The response of a [`Client`], once its head is there.
#[must_use = "futures do nothing unless polled"]
pub struct ClientFuture(Pin<Box<dyn Exchange + Send>>);

impl Future for ClientFuture {
    type Output = Result<Response<Body>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll_response(cx)
    }
}

impl fmt::Debug for ClientFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientFuture").finish_non_exhaustive()
    }
}

/// What makes instances of a stack.
trait Stack: Send + Sync {
    fn instance(&self) -> Pin<Box<dyn Exchange + Send>>;
}

impl<S, RB> Stack for S
where
    S: Service<Request<Body>, Response = Response<RB>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    RB: http_body::Body<Data = Bytes> + Send + 'static,
    RB::Error: Into<BoxError>,
{
    fn instance(&self) -> Pin<Box<dyn Exchange + Send>> {
        Box::pin(Instance {
            service: Some(self.clone()),
            future: None,
        })
    }
}

/// One call: readiness, then the request, then the response. One box from beginning to end.
trait Exchange {
    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>>;
    fn start(self: Pin<&mut Self>, request: Request<Body>);
    fn poll_response(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<Body>, Error>>;
}

pin_project! {
    struct Instance<S, F> {
        // Until it is called.
        service: Option<S>,
        #[pin]
        future: Option<F>,
    }
}

impl<S, RB> Exchange for Instance<S, S::Future>
where
    S: Service<Request<Body>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    RB: http_body::Body<Data = Bytes> + Send + 'static,
    RB::Error: Into<BoxError>,
{
    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let service = self.project().service.as_mut();
        let service = service.expect("an instance is called once");
        let ready = service.poll_ready(cx);
        ready.map_err(|error| Error::of_service(error.into(), Kind::NotReady))
    }

    fn start(self: Pin<&mut Self>, request: Request<Body>) {
        let mut this = self.project();
        let mut service = this.service.take().expect("an instance is called once");
        this.future.set(Some(service.call(request)));
    }

    fn poll_response(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<Body>, Error>> {
        let future = self.project().future.as_pin_mut();
        let result = ready!(future.expect("the future was started").poll(cx));
        Poll::Ready(match result {
            Ok(response) => Ok(response.map(Body::new)),
            Err(error) => Err(Error::of_service(error.into(), Kind::Service)),
        })
    }
}
