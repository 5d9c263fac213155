//! The probe for HTTP: `GET` a path, and look at the status.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_core::{BaseUrl, Body, BoxError, ConfigError, StatusSet};
use http::{Request, Response, StatusCode, Uri};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::endpoint::Endpoint;

/// A probe over an HTTP client: `GET` of one path on the endpoint, which has to answer with a status that is expected.
///
/// The endpoint's name is its `host:port`, or the URL below which its path is: `https://host:port/prefix`. The client is any service
/// from [`http::Request<Body>`](http::Request) to [`http::Response`]; one without retries and breakers, so that the check
/// sees what is there. The body of the response is dropped unread: one that has not arrived by then costs an HTTP/1.1 connection.
///
/// ```
/// use bartizan_core::{Body, BoxError};
/// use bartizan_resilience::{endpoint::Endpoint, health::HttpProbe};
/// use http::{Request, Response};
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// // Stands for any HTTP client.
/// let client = tower::service_fn(|request: Request<Body>| async move {
///     assert_eq!(request.uri().path(), "/healthz");
///     let status = if request.uri().host() == Some("10.0.0.1") { 204 } else { 503 };
///     Ok::<_, BoxError>(Response::builder().status(status).body(Body::empty())?)
/// });
///
/// let probe = HttpProbe::try_new(client, "/healthz")?;
/// probe.clone().oneshot(Endpoint::new("10.0.0.1:8080")).await?;
/// let error = probe.oneshot(Endpoint::new("https://10.0.0.2")).await.unwrap_err();
/// assert_eq!(error.to_string(), "the answer was 503 Service Unavailable");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HttpProbe<S> {
    inner: S,
    path: Uri,
    statuses: StatusSet,
}

impl<S> HttpProbe<S> {
    /// Asks for `path`, a query included, and expects 2xx.
    ///
    /// # Errors
    ///
    /// If the path is none that starts with `/`.
    pub fn try_new(client: S, path: &str) -> Result<Self, ConfigError> {
        let invalid = || ConfigError::new("path", path, "a path such as `/healthz`");
        if !path.starts_with('/') {
            return Err(invalid());
        }
        Ok(Self {
            inner: client,
            path: path
                .parse()
                .map_err(|error: http::uri::InvalidUri| invalid().with_source(error))?,
            statuses: StatusSet::range(200, 299),
        })
    }

    /// Sets the statuses that are expected. Default: every 2xx, because a redirect leads to something else.
    #[must_use]
    pub const fn statuses(mut self, statuses: StatusSet) -> Self {
        self.statuses = statuses;
        self
    }

    fn request(&self, endpoint: &Endpoint) -> Result<Request<Body>, BoxError> {
        let name = endpoint.name();
        let base: BaseUrl = if name.contains("://") {
            name.parse()?
        } else {
            format!("http://{name}").parse()?
        };
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = base.join(&self.path)?;
        Ok(request)
    }
}

inner_accessors!(HttpProbe<S>);

impl<S, B> Service<Endpoint> for HttpProbe<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
{
    type Response = ();
    type Error = BoxError;
    type Future = HttpProbeFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, endpoint: Endpoint) -> Self::Future {
        let (response, error) = match self.request(&endpoint) {
            Ok(request) => (Some(self.inner.call(request)), None),
            Err(error) => (None, Some(error)),
        };
        HttpProbeFuture {
            response,
            error,
            statuses: self.statuses,
        }
    }
}

pin_project! {
    /// Nothing, if the endpoint answered as expected.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct HttpProbeFuture<F> {
        // `None` if the endpoint's name makes no URL, which `error` says then.
        #[pin]
        response: Option<F>,
        error: Option<BoxError>,
        statuses: StatusSet,
    }
}

impl<F, B, E> Future for HttpProbeFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<(), BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(response) = this.response.as_pin_mut() else {
            let error = this.error.take().expect("polled after it answered");
            return Poll::Ready(Err(error));
        };
        let status = ready!(response.poll(cx)).map_err(Into::into)?.status();
        Poll::Ready(if this.statuses.contains(status) {
            Ok(())
        } else {
            Err(UnexpectedStatus { status }.into())
        })
    }
}

/// The endpoint answered a check with a status that was not expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnexpectedStatus {
    status: StatusCode,
}

impl UnexpectedStatus {
    /// The status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }
}

impl fmt::Display for UnexpectedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the answer was {}", self.status)
    }
}

impl Error for UnexpectedStatus {}
