//! No handshake, and one after another.

use std::{
    convert::Infallible,
    future::{Future, Ready, poll_fn, ready},
    pin::Pin,
    task::{Context, Poll},
};

use bartizan_core::BoxError;
use tower_service::Service;

use crate::Accepted;

/// No handshake: HTTP begins at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain {
    _private: (),
}

impl<IO> Service<Accepted<IO>> for Plain {
    type Response = Accepted<IO>;
    type Error = Infallible;
    type Future = Ready<Result<Accepted<IO>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, accepted: Accepted<IO>) -> Self::Future {
        ready(Ok(accepted))
    }
}

/// One handshake, and then another. Made by [`Listener::handshake`](crate::Listener::handshake).
#[derive(Clone, Copy, Debug, Default)]
pub struct Then<H, S> {
    first: H,
    second: S,
}

impl<H, S> Then<H, S> {
    /// First `first`, then `second`.
    pub const fn new(first: H, second: S) -> Self {
        Self { first, second }
    }
}

impl<H, S, IO, Between, T> Service<Accepted<IO>> for Then<H, S>
where
    H: Service<Accepted<IO>, Response = Accepted<Between>>,
    H::Error: Into<BoxError>,
    H::Future: Send + 'static,
    S: Service<Accepted<Between>, Response = Accepted<T>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    Between: Send,
{
    type Response = Accepted<T>;
    type Error = BoxError;
    // Once per connection.
    type Future = Pin<Box<dyn Future<Output = Result<Accepted<T>, BoxError>> + Send>>;

    /// Of the first: the second is made ready when it is its turn.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.first.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, accepted: Accepted<IO>) -> Self::Future {
        let first = self.first.call(accepted);
        // A clone that nobody has made ready.
        let mut second = self.second.clone();
        Box::pin(async move {
            let accepted = first.await.map_err(Into::into)?;
            poll_fn(|cx| second.poll_ready(cx))
                .await
                .map_err(Into::into)?;
            second.call(accepted).await.map_err(Into::into)
        })
    }
}
