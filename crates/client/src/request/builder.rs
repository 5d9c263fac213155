//! The request as it is being written, and its sending.

use std::{fmt, future::poll_fn, pin::pin};

use bartizan_core::{Body, BoxError};
use http::{HeaderMap, Method, Request, Response, Version};
use tower_service::Service;

use super::{IntoUri, body::with_trailers};
use crate::{
    BodyLimit, Error,
    call_timeout::Deadline,
    error::{Call, Kind},
    response::Stopwatch,
};

/// A request that is being written, and the service that will send it.
///
/// The first mistake is kept and returned by [`send`](Self::send) or [`build`](Self::build); what is set after it has no effect.
#[must_use = "a request does nothing until it is sent"]
pub struct RequestBuilder<S> {
    service: S,
    pub(super) request: Result<Request<Body>, Error>,
    /// Kept apart until the body is known for good: what has trailers is a stream.
    pub(super) trailers: HeaderMap,
}

impl<S> RequestBuilder<S> {
    /// A request without headers or body, which `service` will send: one that is owned, or `&mut service`.
    ///
    /// ```
    /// use bartizan_client::RequestBuilder;
    /// use bartizan_core::{Body, BoxError};
    /// use http::{HeaderMap, Method, Request, Response};
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
        Self {
            service,
            request,
            trailers: HeaderMap::new(),
        }
    }

    /// A request that was made elsewhere, which `service` will send.
    pub fn from_request(service: S, request: Request<Body>) -> Self {
        Self {
            service,
            request: Ok(request),
            trailers: HeaderMap::new(),
        }
    }

    /// Sets the version, for a service that asks for it. A [`Transport`](crate::Transport) does not: it speaks one protocol.
    pub fn version(self, version: Version) -> Self {
        self.and_then(|request| {
            *request.version_mut() = version;
            Ok(())
        })
    }

    /// The request alone, without sending it.
    ///
    /// # Errors
    ///
    /// The first mistake: a URI, a header, a query or a body that cannot be.
    pub fn build(self) -> Result<Request<Body>, Error> {
        finish(self.request, self.trailers)
    }

    pub(crate) fn into_service_and_request(self) -> (S, Result<Request<Body>, Error>) {
        (self.service, finish(self.request, self.trailers))
    }

    /// Waits until the service is ready, and calls it.
    ///
    /// Every response is `Ok`, whatever its status: see [`error_for_status`](crate::ResponseExt::error_for_status). The future is
    /// `Send` if the service and its future are. Dropping it drops the call; what that does is up to the service.
    ///
    /// # Errors
    ///
    /// The first mistake in the request, or the service's error: as it is if that is an [`Error`] or can be seen to be a
    /// [`Rejection`](bartizan_core::Rejection), and else as the source of one. [`Error::is_timeout`] after the
    /// [`timeout`](Self::timeout).
    pub async fn send<RB>(self) -> Result<Response<RB>, Error>
    where
        S: Service<Request<Body>, Response = Response<RB>>,
        S::Error: Into<BoxError>,
    {
        let (mut service, request) = self.into_service_and_request();
        let request = request?;
        let mut call = Call::of(&request);
        let options = request.extensions();
        call.deadline = options.get().copied().and_then(Deadline::new);
        let limit: Option<BodyLimit> = options.get().copied();
        let stopwatch = Stopwatch::start(options.get().cloned());

        let fail = |error: S::Error, kind| Error::of_service(error.into(), kind);
        let exchange = async {
            poll_fn(|cx| service.poll_ready(cx))
                .await
                .map_err(|error| fail(error, Kind::NotReady))?;
            let response = service.call(request).await;
            response.map_err(|error| fail(error, Kind::Service))
        };
        // Pinned here, as it is large, and would be moved.
        let exchange = pin!(exchange);
        let mut response = match Deadline::within(call.deadline, exchange).await {
            Ok(response) => response,
            Err(error) => return Err(error.with_call(Some(call))),
        };
        let learnt = response.extensions_mut();
        if let Some(limit) = limit {
            learnt.insert(limit);
        }
        // For the errors of reading it, unless the transport has said what was really called.
        let deadline = call.deadline;
        let mut call = Call::answered_by(learnt).unwrap_or(call);
        call.deadline = deadline;
        call.times = Some(stopwatch.stop());
        learnt.insert(call);
        Ok(response)
    }

    pub(super) fn and_then(
        mut self,
        change: impl FnOnce(&mut Request<Body>) -> Result<(), Error>,
    ) -> Self {
        self.request = self.request.and_then(|mut request| {
            change(&mut request).map_err(|error| error.with_call(Some(Call::of(&request))))?;
            Ok(request)
        });
        self
    }
}

fn finish(
    request: Result<Request<Body>, Error>,
    trailers: HeaderMap,
) -> Result<Request<Body>, Error> {
    let mut request = request?;
    if !trailers.is_empty() {
        with_trailers(&mut request, trailers);
    }
    Ok(request)
}

impl<S> fmt::Debug for RequestBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither headers nor query, which may be secret.
        f.debug_struct("RequestBuilder")
            .field("request", &self.request.as_ref().map(Call::of))
            .finish_non_exhaustive()
    }
}
