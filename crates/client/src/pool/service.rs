//! The pool as a service.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bartizan_core::BoxError;
use http::{Request, Response, Uri, header::CONTENT_LENGTH, uri::Scheme};
use tower_service::Service;

use super::{
    body::ResponseBody,
    call::{Flying, again, send, send_on},
    config::{Config, PoolBuilder},
    inner::Inner,
    origin::OriginService,
    send_body::SendBody,
    stats::PoolStats,
};
use crate::{
    Error, Timeouts,
    connect::{ConnectOptions, Connection, Destination},
    error::{Call, Kind, redacted},
};

/// Connections to any number of origins, each used again and again. See the [module](super).
#[derive(Clone, Debug)]
pub struct Pool {
    inner: Arc<Inner>,
}

impl Pool {
    /// A pool with every default of [`PoolBuilder`] over `connector`.
    pub fn new<C>(connector: C) -> Self
    where
        C: Service<Destination> + Clone + Send + Sync + 'static,
        C::Response: Connection + Send + Unpin + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send,
    {
        Self::of(Config::default(), connector)
    }

    /// Changes some of the defaults.
    pub fn builder() -> PoolBuilder {
        PoolBuilder::new()
    }

    pub(crate) fn of<C>(config: Config, connector: C) -> Self
    where
        C: Service<Destination> + Clone + Send + Sync + 'static,
        C::Response: Connection + Send + Unpin + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send,
    {
        Self {
            inner: Inner::new(config, connector),
        }
    }

    /// A service for one destination, whose readiness is a connection: for balancers, which ask who is ready, and for load shedding.
    pub fn origin(&self, destination: Destination) -> OriginService {
        OriginService::new(self.inner.clone(), destination)
    }

    /// The pool's figures now.
    pub fn stats(&self) -> PoolStats {
        self.inner.stats()
    }

    /// Opens connections ahead of need, until `destination` has that many in every state, or as many as the limits allow. Answers how
    /// many were begun, and waits for none of them. Failures are only [observed](PoolBuilder::observer).
    ///
    /// Within a tokio runtime, or after the first request.
    pub fn prewarm(&self, destination: &Destination, connections: usize) -> usize {
        self.inner.prewarm(destination, connections)
    }

    /// Closes every connection that carries no request. Answers how many.
    pub fn close_idle(&self) -> usize {
        self.inner.close_idle()
    }

    /// Takes no more requests, and waits for those under way: until the end of their responses, but no longer than `deadline`. Then
    /// every connection is closed. Answers how many requests were cut off by that.
    ///
    /// Those that wait for a connection fail at once. There is no way back. Dropping the future leaves the pool closed to new
    /// requests, and cuts nobody off. Upgraded connections are not cut, and are waited for.
    pub async fn drain(&self, deadline: Duration) -> usize {
        self.inner.drain(deadline).await
    }
}

impl<B> Service<Request<B>> for Pool
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Error;
    type Future = PoolFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> PoolFuture {
        let inner = &self.inner;
        if let Err(error) = check_length(&request) {
            return PoolFuture::failed(&request, error);
        }
        if let Some(lease) = again(inner, &request) {
            return PoolFuture::of(send_on(lease, request.map(SendBody::new)));
        }
        match destination(&request, &inner.config.timeouts) {
            Ok(to) => PoolFuture::of(send(inner, &to, request.map(SendBody::new))),
            Err(error) => PoolFuture::failed(&request, error),
        }
    }
}

/// Where a request goes, if it can be sent there.
pub(super) fn destination<B>(
    request: &Request<B>,
    timeouts: &Timeouts,
) -> Result<Destination, Error> {
    let (uri, given) = (request.uri(), request.extensions());
    let options = given.get::<ConnectOptions>().cloned();
    let timeouts = given.get().unwrap_or(timeouts);
    match Destination::of_request(uri, options, timeouts) {
        Some(destination) if !destination.has_user_information() => Ok(destination),
        _ => Err(unsendable(uri)),
    }
}

/// What is wrong with a URI that leads nowhere.
fn unsendable(uri: &Uri) -> Error {
    const NO_HOST: &str = "has no host: use an absolute URL or a BaseUrlLayer";
    let problem = match (uri.scheme(), uri.authority()) {
        (None, _) | (_, None) => NO_HOST,
        (Some(scheme), _) if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS => {
            "is not http: this transport sends nothing else"
        }
        // RFC 9110 section 4.2.4.
        (_, Some(authority)) if authority.as_str().contains('@') => {
            "had user information, which is not sent: set the `authorization` header"
        }
        (_, Some(authority)) if authority.host().is_empty() => NO_HOST,
        _ => "has no usable port: give one from 1 to 65535, or none for that of the scheme",
    };
    let uri = redacted(uri);
    Error::new(Kind::Builder, format!("request URI `{uri}` {problem}"))
}

/// Whether a `Content-Length` that somebody has set is true. If it is not, the peer waits for more, or takes the rest for another
/// request.
pub(super) fn check_length<B: http_body::Body>(request: &Request<B>) -> Result<(), Error> {
    let Some(told) = request.headers().get(CONTENT_LENGTH) else {
        return Ok(());
    };
    match request.body().size_hint().exact() {
        Some(length) if told.as_bytes() != length.to_string().as_bytes() => Err(Error::new(
            Kind::Builder,
            format!(
                "the header `content-length` is {told:?}, and the body has {length} bytes: leave the header out"
            ),
        )),
        _ => Ok(()),
    }
}

/// The response of a [`Pool`], once its head is there.
#[must_use = "futures do nothing unless polled"]
pub struct PoolFuture(State);

enum State {
    Failed(Option<Error>),
    Flying(Flying),
}

impl PoolFuture {
    pub(super) const fn of(flying: Flying) -> Self {
        Self(State::Flying(flying))
    }

    pub(super) fn failed<B>(request: &Request<B>, error: Error) -> Self {
        let call = Call::of(request);
        let attempt = call.attempt.unwrap_or_default();
        let error = error.with_call(Some(call.with_attempt(attempt)));
        Self(State::Failed(Some(error)))
    }
}

impl Future for PoolFuture {
    type Output = Result<Response<ResponseBody>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Failed(error) => {
                Poll::Ready(Err(error.take().expect("polled after completion")))
            }
            State::Flying(flying) => flying.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for PoolFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolFuture").finish_non_exhaustive()
    }
}
