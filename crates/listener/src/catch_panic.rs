//! Turns a panic into a response, so that it ends one request and not its connection.
//!
//! A handler that panics takes the task of its connection with it: over HTTP/2 that is every other request on it. [`CatchPanicLayer`]
//! answers 500 instead. A body that panics fails, which ends its own stream only.
//!
//! # Placement
//!
//! Below logs, metrics and the request id, which should see the 500; above everything that may panic. That may be layers that wrap the
//! body, such as compression and tracing: of the inner body it is asked only that its data is [`Bytes`], or made of them.
//!
//! # State
//!
//! None. What panicked may be left in any state: share only what survives that, as poisoned mutexes do not.
//!
//! # Readiness and cancellation
//!
//! Readiness is the inner service's. A panic in `poll_ready` is not caught, because there is no request yet to answer. Dropping the
//! future drops the inner call. With `panic = "abort"` there is nothing to catch.
//!
//! # Errors
//!
//! The inner service's. The response is a 500 with problem details that say nothing of the panic; that is logged, with its message, as
//! an error.
//!
//! A body that panics comes too late for a 500, since its head is sent. It fails with [`BodyPanicked`], is dropped, and is at its end.
//! The peer sees a response that breaks off: over HTTP/1.1 the connection ends before the last chunk, or before the length that was
//! said; over HTTP/2 the stream is reset, and the others go on. Panics of [`Body::size_hint`] and [`Body::is_end_stream`] are not
//! caught.
//!
//! # Differences from tower-http's `catch_panic`
//!
//! It catches panics of response bodies too, keeps the type of the body instead of boxing it, and answers with problem details. The
//! response is not customised: change it in a layer above.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::Body;
//! use bartizan_listener::catch_panic::CatchPanicLayer;
//! use http::{Request, Response};
//! use std::convert::Infallible;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # std::panic::set_hook(Box::new(|_| {}));
//! let service = ServiceBuilder::new()
//!     .layer(CatchPanicLayer::new())
//!     .service_fn(|request: Request<Body>| async move {
//!         let length: usize = request.headers()["length"].to_str().unwrap().parse().unwrap();
//!         Ok::<_, Infallible>(Response::new(Body::from(vec![b'x'; length])))
//!     });
//!
//! let response = service.oneshot(Request::new(Body::empty())).await?;
//! assert_eq!(response.status(), 500);
//! assert_eq!(response.headers()["content-type"], "application/problem+json");
//! # Ok(())
//! # }
//! ```
//!
//! In axum:
//!
//! ```
//! use axum::{Router, body::Body, routing::get};
//! use bartizan_listener::catch_panic::CatchPanicLayer;
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # std::panic::set_hook(Box::new(|_| {}));
//! async fn broken() -> String {
//!     panic!("not today");
//! }
//!
//! let router: Router = Router::new().route("/", get(broken)).layer(CatchPanicLayer::new());
//! let response = router.oneshot(http::Request::get("/").body(Body::empty())?).await?;
//! assert_eq!(response.status(), 500);
//! let body = axum::body::to_bytes(response.into_body(), 1000).await?;
//! assert!(!String::from_utf8(body.into())?.contains("not today"));
//! # Ok(())
//! # }
//! ```

use std::{
    any::Any,
    error::Error,
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_core::{BoxError, problem};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// Turns panics into responses. See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct CatchPanicLayer(());

impl CatchPanicLayer {
    /// Answers 500 where the service panics.
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for CatchPanicLayer {
    type Service = CatchPanic<S>;

    fn layer(&self, inner: S) -> CatchPanic<S> {
        CatchPanic { inner }
    }
}

/// Turns panics into responses. See the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct CatchPanic<S> {
    inner: S,
}

inner_accessors!(CatchPanic<S>);

impl<S, B, RB> Service<Request<B>> for CatchPanic<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
{
    type Response = Response<CatchPanicBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service may be left in any state, as the docs say; the layer itself keeps none.
        let future = catch_unwind(AssertUnwindSafe(|| self.inner.call(request)));
        ResponseFuture {
            future: future.map_err(|panic| log(&*panic)).ok(),
        }
    }
}

fn log(panic: &(dyn Any + Send)) {
    let message = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(message), _) => message,
        (_, Some(message)) => message.as_str(),
        _ => "of a type that is no text",
    };
    tracing::error!(panic = message, "the service panicked");
}

pin_project! {
    /// The response, or a 500 if the service panicked.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        // `None` once it panicked.
        #[pin]
        future: Option<F>,
    }
}

impl<F, RB, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
{
    type Output = Result<Response<CatchPanicBody<RB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(future) = this.future.as_mut().as_pin_mut() {
            match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
                Ok(answered) => {
                    let response = ready!(answered)?;
                    return Poll::Ready(Ok(response.map(CatchPanicBody::of_service)));
                }
                Err(panic) => {
                    log(&*panic);
                    // A future is not polled again after a panic. What it drops may panic as well.
                    let _ = catch_unwind(AssertUnwindSafe(|| this.future.set(None)));
                }
            }
        }
        let detail = "the request could not be handled";
        Poll::Ready(Ok(problem(StatusCode::INTERNAL_SERVER_ERROR, detail)))
    }
}

pin_project! {
    /// The service's body, which fails where it panics, or what is said in its place. It forwards everything else.
    ///
    /// Its data is the service's. What is said in place has to be that, too, and so [`Bytes`], which nearly all bodies are of, or
    /// something made of it.
    #[derive(Debug)]
    pub struct CatchPanicBody<B> {
        #[pin]
        content: Content<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = ContentProj]
    enum Content<B> {
        Service { #[pin] body: B },
        // Empty once it was sent, and where the service's panicked.
        Own { bytes: Bytes },
    }
}

impl<B> CatchPanicBody<B> {
    const fn of_service(body: B) -> Self {
        Self {
            content: Content::Service { body },
        }
    }
}

impl<B> From<Bytes> for CatchPanicBody<B> {
    fn from(bytes: Bytes) -> Self {
        Self {
            content: Content::Own { bytes },
        }
    }
}

impl<B> Default for CatchPanicBody<B> {
    fn default() -> Self {
        Bytes::new().into()
    }
}

impl<B> Body for CatchPanicBody<B>
where
    B: Body<Data: From<Bytes>, Error: Into<BoxError>>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let mut content = self.project().content;
        let polled = match content.as_mut().project() {
            ContentProj::Service { body } => catch_unwind(AssertUnwindSafe(|| body.poll_frame(cx))),
            ContentProj::Own { bytes } => {
                let bytes = mem::take(bytes);
                let frame = (!bytes.is_empty()).then(|| Ok(Frame::data(bytes.into())));
                return Poll::Ready(frame);
            }
        };
        match polled {
            Ok(polled) => polled.map(|frame| frame.map(|frame| frame.map_err(Into::into))),
            Err(panic) => {
                log(&*panic);
                let bytes = Bytes::new();
                // A body is not polled again after a panic. What it drops may panic as well.
                let _ = catch_unwind(AssertUnwindSafe(|| content.set(Content::Own { bytes })));
                Poll::Ready(Some(Err(BodyPanicked(()).into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Service { body } => body.is_end_stream(),
            Content::Own { bytes } => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Service { body } => body.size_hint(),
            Content::Own { bytes } => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

/// A response body panicked while it was sent.
#[derive(Debug)]
pub struct BodyPanicked(());

impl fmt::Display for BodyPanicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the response body panicked: the log has the message")
    }
}

impl Error for BodyPanicked {}
