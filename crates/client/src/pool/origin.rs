//! One destination as a service whose readiness means something.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bartizan_core::BoxError;
use http::{Request, Response};
use tower_service::Service;

use super::{
    body::ResponseBody,
    call::{acquire, send_on},
    inner::Inner,
    lease::Lease,
    send_body::SendBody,
    service::{PoolFuture, check_length, destination},
};
use crate::{Error, connect::Destination, error::Kind};

/// A [`Pool`](super::Pool) for one [`Destination`], of which `poll_ready` reserves a connection.
///
/// A request must lead there, or it fails as one that [cannot be sent](Error::is_builder).
///
/// # Readiness and cancellation
///
/// Ready when there is a connection for the next request, or none to be had: a failure to connect is the request's, and never that
/// of `poll_ready`, which would be final. A clone starts without a connection. Dropped before the request, the connection goes to the
/// next who waits.
pub struct OriginService {
    inner: Arc<Inner>,
    destination: Destination,
    readiness: Readiness,
}

enum Readiness {
    None,
    Waiting(Pin<Box<dyn Future<Output = Result<Lease, Error>> + Send>>),
    Reserved(Result<Lease, Error>),
}

impl OriginService {
    pub(super) const fn new(inner: Arc<Inner>, destination: Destination) -> Self {
        Self {
            inner,
            destination,
            readiness: Readiness::None,
        }
    }

    /// Where its requests go.
    pub const fn destination(&self) -> &Destination {
        &self.destination
    }

    fn check_destination<B>(&self, request: &Request<B>) -> Result<(), Error> {
        let ours = &self.destination;
        if ours.is_written_as(request.uri(), request.extensions().get()) {
            return Ok(());
        }
        let to = destination(request, &self.inner.config.timeouts)?;
        if to == *ours {
            return Ok(());
        }
        Err(Error::new(
            Kind::Builder,
            format!("the request leads to {to}, and this service to {ours}"),
        ))
    }
}

impl Clone for OriginService {
    /// Readiness is not cloned: there is one connection, for one request.
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.destination.clone())
    }
}

impl<B> Service<Request<B>> for OriginService
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Error;
    type Future = PoolFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            match &mut self.readiness {
                // ## None => Waiting
                Readiness::None => {
                    let (inner, destination) = (self.inner.clone(), self.destination.clone());
                    self.readiness = Readiness::Waiting(Box::pin(async move {
                        let timeout = inner.config.timeouts.acquire;
                        acquire(&inner, &destination, false, timeout).await
                    }));
                }
                // ## Waiting => Reserved
                Readiness::Waiting(waiting) => match waiting.as_mut().poll(cx) {
                    Poll::Ready(result) => self.readiness = Readiness::Reserved(result),
                    Poll::Pending => return Poll::Pending,
                },
                Readiness::Reserved(_) => return Poll::Ready(Ok(())),
            }
        }
    }

    fn call(&mut self, request: Request<B>) -> PoolFuture {
        let reserved = match mem::replace(&mut self.readiness, Readiness::None) {
            Readiness::Reserved(reserved) => reserved,
            Readiness::None | Readiness::Waiting(_) => panic!("called before it was ready"),
        };
        let sendable = check_length(&request).and_then(|()| self.check_destination(&request));
        match sendable.and(reserved) {
            Ok(lease) => PoolFuture::of(send_on(lease, request.map(SendBody::new))),
            Err(error) => PoolFuture::failed(&request, error),
        }
    }
}

impl fmt::Debug for OriginService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OriginService")
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}
