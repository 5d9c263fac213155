//! The layer that tells the peer.

use std::task::{Context, Poll};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use super::{Deadline, DeadlineHeader};

/// Writes what is left until a request's [`Deadline`] into a header, for the peer to know. It has no state to share. See the
/// [module](super).
///
/// A request without a deadline goes as it is. One whose deadline has passed says the shortest time there is; giving up on it is the
/// business of the [`DeadlineLayer`](super::DeadlineLayer) above.
#[derive(Clone, Debug, Default)]
pub struct SendDeadlineLayer {
    header: DeadlineHeader,
}

impl SendDeadlineLayer {
    /// Writes that header.
    pub const fn new(header: DeadlineHeader) -> Self {
        Self { header }
    }
}

impl<S> Layer<S> for SendDeadlineLayer {
    type Service = SendDeadline<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SendDeadline {
            inner,
            header: self.header.clone(),
        }
    }
}

/// Writes what is left until a request's [`Deadline`] into a header. See the [module](super).
#[derive(Clone, Debug)]
pub struct SendDeadline<S> {
    inner: S,
    header: DeadlineHeader,
}

inner_accessors!(SendDeadline<S>);

impl<S, B> Service<Request<B>> for SendDeadline<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if let Some(deadline) = request.extensions().get::<Deadline>() {
            let remaining = deadline.remaining();
            self.header.write(request.headers_mut(), remaining);
        }
        self.inner.call(request)
    }
}
