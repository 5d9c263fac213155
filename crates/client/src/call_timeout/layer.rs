//! The limit on calls, as a layer.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_core::{BoxError, ConfigError};
use http::{Method, Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tower_layer::Layer;
use tower_service::Service;

use super::{CallTimeout, Deadline};
use crate::{
    Error,
    error::{Call, Kind},
};

/// Limits how long a call may take, from `call` to the end of the response body.
///
/// # Examples
///
/// ```
/// use bartizan_client::{RequestExt, CallTimeoutLayer};
/// use bartizan_core::{Body, BoxError};
/// use http::{Request, Response};
/// use std::{future, time::Duration};
/// use tower::{ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hangs = service_fn(|_: Request<Body>| future::pending::<Result<Response<Body>, BoxError>>());
/// let layer = CallTimeoutLayer::try_new(Duration::from_secs(10))?;
/// let client = ServiceBuilder::new().layer(layer).service(hangs);
///
/// let error = client.get("http://h/").send().await.unwrap_err();
/// assert!(error.is_timeout());
/// assert_eq!(error.to_string(), "GET http://h/: the call took longer than 10s: allow it more by `.timeout(…)`");
/// # Ok(())
/// # }
/// ```
///
/// Another for one request, and for a body:
///
/// ```
/// use bartizan_client::{CallTimeoutLayer, RequestBuilder, ResponseExt};
/// use bartizan_core::Body;
/// use bartizan_testing::ControlledBody;
/// use http::{Method, Request, Response};
/// use std::{convert::Infallible, time::Duration};
/// use tower::{ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (body, _sends_nothing) = ControlledBody::new();
/// let mut body = Some(body);
/// let server = service_fn(move |_: Request<Body>| {
///     let response = Response::new(body.take().unwrap());
///     async { Ok::<_, Infallible>(response) }
/// });
/// let client = ServiceBuilder::new().layer(CallTimeoutLayer::default()).service(server);
///
/// let request = RequestBuilder::new(client, Method::GET, "http://h/");
/// let response = request.timeout(Duration::from_secs(1)).send().await?;
/// assert!(response.bytes().await.unwrap_err().is_timeout());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CallTimeoutLayer {
    timeout: CallTimeout,
}

impl CallTimeoutLayer {
    /// A layer that gives each call `timeout`.
    ///
    /// # Errors
    ///
    /// If it is zero.
    pub fn try_new(timeout: Duration) -> Result<Self, ConfigError> {
        if timeout.is_zero() {
            return Err(ConfigError::new(
                "call timeout",
                format_args!("{timeout:?}"),
                "more than zero",
            ));
        }
        Ok(Self {
            timeout: CallTimeout(timeout),
        })
    }
}

/// 30 s: more than a caller has patience for. Who downloads for longer says so.
impl Default for CallTimeoutLayer {
    fn default() -> Self {
        Self {
            timeout: CallTimeout(Duration::from_secs(30)),
        }
    }
}

impl<S> Layer<S> for CallTimeoutLayer {
    type Service = CallTimeoutService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CallTimeoutService {
            inner,
            timeout: self.timeout,
        }
    }
}

/// The service of a [`CallTimeoutLayer`].
#[derive(Clone, Copy, Debug)]
pub struct CallTimeoutService<S> {
    inner: S,
    timeout: CallTimeout,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for CallTimeoutService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<CallTimeoutBody<ResBody>>;
    type Error = Error;
    type Future = CallTimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner
            .poll_ready(cx)
            .map_err(|error| Error::of_service(error.into(), Kind::NotReady))
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let asked = request.extensions().get().copied();
        let (method, uri) = (request.method().clone(), request.uri().clone());
        CallTimeoutFuture {
            inner: self.inner.call(request),
            deadline: Deadline::new(asked.unwrap_or(self.timeout)),
            method,
            uri,
            timer: None,
        }
    }
}

/// Waits until the limit is up, by a timer that is made when it is first needed.
pub(crate) fn poll_deadline(
    deadline: Option<Deadline>,
    mut timer: Pin<&mut Option<Sleep>>,
    cx: &mut Context<'_>,
) -> Poll<Error> {
    let Some(deadline) = deadline else {
        return Poll::Pending;
    };
    if timer.is_none() {
        timer.set(Some(tokio::time::sleep_until(deadline.at)));
    }
    if let Some(timer) = timer.as_pin_mut() {
        ready!(timer.poll(cx));
    }
    Poll::Ready(deadline.passed())
}

pin_project! {
    /// The response of a [`CallTimeoutService`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct CallTimeoutFuture<F> {
        #[pin]
        inner: F,
        deadline: Option<Deadline>,
        method: Method,
        uri: Uri,
        #[pin]
        timer: Option<Sleep>,
    }
}

impl<F, B, E> Future for CallTimeoutFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<CallTimeoutBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(result) = this.inner.poll(cx) {
            return Poll::Ready(match result {
                Ok(response) => Ok(response.map(|inner| CallTimeoutBody {
                    inner: Some(inner),
                    deadline: *this.deadline,
                    timer: None,
                })),
                Err(error) => Err(Error::of_service(error.into(), Kind::Service)),
            });
        }
        let error = ready!(poll_deadline(*this.deadline, this.timer, cx));
        let call = Call::new(this.method.clone(), this.uri.clone());
        Poll::Ready(Err(error.with_call(Some(call))))
    }
}

pin_project! {
    /// A response body that fails when the time for its call is up.
    #[derive(Debug)]
    pub struct CallTimeoutBody<B> {
        // `None` once time was up.
        #[pin]
        inner: Option<B>,
        deadline: Option<Deadline>,
        // Boxed, as most bodies are there with their heads and all would carry its place along.
        timer: Option<Pin<Box<Option<Sleep>>>>,
    }
}

impl<B> Body for CallTimeoutBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Error>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let error = match inner.poll_frame(cx) {
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(frame)) => match this.deadline {
                // A body that always has a frame never comes to wait for the timer.
                Some(deadline) if deadline.at <= Instant::now() => deadline.passed(),
                _ => {
                    return Poll::Ready(Some(frame.map_err(|error| Error::of_body(error.into()))));
                }
            },
            Poll::Pending => {
                let timer = this.timer.get_or_insert_with(|| Box::pin(None));
                ready!(poll_deadline(*this.deadline, timer.as_mut(), cx))
            }
        };
        // Now, and not when the reader gets round to it: it holds a connection.
        this.inner.set(None);
        *this.timer = None;
        Poll::Ready(Some(Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}
