//! A limit on a whole call: all of its redirects and retries, and its body.
//!
//! # Placement
//!
//! At the top of a stack, or wherever what stands above shall not count. A limit for each attempt is
//! [`Timeouts`](crate::Timeouts), or a timeout layer below the retries.
//!
//! # State
//!
//! None between calls.
//!
//! # Readiness and cancellation
//!
//! Ready when the inner service is. When time is up, the call is dropped: what that does is up to what stands below. The timer is armed
//! by the first poll that finds nothing, with the time that `call` was at.
//!
//! # Errors
//!
//! [`Error`]: [`is_timeout`](Error::is_timeout) holds, for the body too.
//!
//! # Differences from …
//!
//! The `deadline` of `bartizan-resilience` travels with the request, so that what is called on its behalf has no more time than is left,
//! across services too. This one is for the caller that just wants an end.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_core::{BoxError, ConfigError};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Error,
    error::{Call, Kind},
};

/// How long one call may take, body and all: an option for the extensions of a request, which replaces that of the
/// [`TotalTimeoutLayer`]. `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TotalTimeout(pub Option<Duration>);

/// Limits how long a call may take, from `call` to the end of the response body.
///
/// # Examples
///
/// ```
/// use bartizan_client::{RequestExt, TotalTimeoutLayer};
/// use bartizan_core::{Body, BoxError};
/// use http::{Request, Response};
/// use std::{future, time::Duration};
/// use tower::{ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hangs = service_fn(|_: Request<Body>| future::pending::<Result<Response<Body>, BoxError>>());
/// let layer = TotalTimeoutLayer::try_new(Duration::from_secs(10))?;
/// let client = ServiceBuilder::new().layer(layer).service(hangs);
///
/// let error = client.get("http://h/").send().await.unwrap_err();
/// assert!(error.is_timeout());
/// assert_eq!(error.to_string(), "GET http://h/: the call was not over after 10s");
/// # Ok(())
/// # }
/// ```
///
/// Another for one request, and for a body:
///
/// ```
/// use bartizan_client::{RequestBuilder, ResponseExt, TotalTimeout, TotalTimeoutLayer};
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
/// let client = ServiceBuilder::new().layer(TotalTimeoutLayer::default()).service(server);
///
/// let request = RequestBuilder::new(client, Method::GET, "http://h/");
/// let limit = TotalTimeout(Some(Duration::from_secs(1)));
/// let response = request.extension(limit).send().await?;
/// assert!(response.bytes().await.unwrap_err().is_timeout());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TotalTimeoutLayer {
    limit: Option<Duration>,
}

impl TotalTimeoutLayer {
    /// A layer that gives each call `limit`.
    ///
    /// # Errors
    ///
    /// If it is zero.
    pub fn try_new(limit: Duration) -> Result<Self, ConfigError> {
        if limit.is_zero() {
            return Err(ConfigError::new(
                "total timeout",
                format_args!("{limit:?}"),
                "more than zero",
            ));
        }
        Ok(Self { limit: Some(limit) })
    }

    /// A layer that limits only the calls which ask for it by a [`TotalTimeout`].
    pub const fn on_request() -> Self {
        Self { limit: None }
    }
}

/// 30 s: more than a caller has patience for. Who downloads for longer says so.
impl Default for TotalTimeoutLayer {
    fn default() -> Self {
        Self {
            limit: Some(Duration::from_secs(30)),
        }
    }
}

impl<S> Layer<S> for TotalTimeoutLayer {
    type Service = TotalTimeoutService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TotalTimeoutService {
            inner,
            limit: self.limit,
        }
    }
}

/// The service of a [`TotalTimeoutLayer`].
#[derive(Clone, Copy, Debug)]
pub struct TotalTimeoutService<S> {
    inner: S,
    limit: Option<Duration>,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for TotalTimeoutService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<TotalTimeoutBody<ResBody>>;
    type Error = Error;
    type Future = TotalTimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner
            .poll_ready(cx)
            .map_err(|error| Error::of_service(error.into(), Kind::NotReady))
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let limit = match request.extensions().get() {
            Some(TotalTimeout(limit)) => *limit,
            None => self.limit,
        };
        let call = Call::of(&request);
        TotalTimeoutFuture {
            inner: self.inner.call(request),
            limit: limit.and_then(Limit::from_now),
            call,
            timer: None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Limit {
    length: Duration,
    end: Instant,
}

impl Limit {
    /// `None` for one that is longer than time can be told.
    fn from_now(length: Duration) -> Option<Self> {
        let end = Instant::now().checked_add(length)?;
        Some(Self { length, end })
    }

    fn error(self) -> Error {
        let length = self.length;
        Error::new(
            Kind::Deadline,
            format!("the call was not over after {length:?}"),
        )
    }
}

/// Waits until the limit is up, by a timer that is made when it is first needed.
fn poll_limit(
    limit: Option<Limit>,
    mut timer: Pin<&mut Option<Sleep>>,
    cx: &mut Context<'_>,
) -> Poll<Error> {
    let Some(limit) = limit else {
        return Poll::Pending;
    };
    if timer.is_none() {
        timer.set(Some(tokio::time::sleep_until(limit.end)));
    }
    if let Some(timer) = timer.as_pin_mut() {
        ready!(timer.poll(cx));
    }
    Poll::Ready(limit.error())
}

pin_project! {
    /// The response of a [`TotalTimeoutService`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct TotalTimeoutFuture<F> {
        #[pin]
        inner: F,
        limit: Option<Limit>,
        call: Call,
        #[pin]
        timer: Option<Sleep>,
    }
}

impl<F, B, E> Future for TotalTimeoutFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<TotalTimeoutBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(result) = this.inner.poll(cx) {
            return Poll::Ready(match result {
                Ok(response) => Ok(response.map(|inner| TotalTimeoutBody {
                    inner: Some(inner),
                    limit: *this.limit,
                    timer: None,
                })),
                Err(error) => Err(Error::of_service(error.into(), Kind::Service)),
            });
        }
        let error = ready!(poll_limit(*this.limit, this.timer, cx));
        Poll::Ready(Err(error.with_call(Some(this.call.clone()))))
    }
}

pin_project! {
    /// A response body that fails when the time for its call is up.
    #[derive(Debug)]
    pub struct TotalTimeoutBody<B> {
        // `None` once time was up.
        #[pin]
        inner: Option<B>,
        limit: Option<Limit>,
        #[pin]
        timer: Option<Sleep>,
    }
}

impl<B> Body for TotalTimeoutBody<B>
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
            Poll::Ready(Some(frame)) => match this.limit {
                // A body that always has a frame never comes to wait for the timer.
                Some(limit) if limit.end <= Instant::now() => limit.error(),
                _ => {
                    return Poll::Ready(Some(frame.map_err(|error| Error::of_body(error.into()))));
                }
            },
            Poll::Pending => ready!(poll_limit(*this.limit, this.timer.as_mut(), cx)),
        };
        // Now, and not when the reader gets round to it: it holds a connection.
        this.inner.set(None);
        this.timer.set(None);
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
