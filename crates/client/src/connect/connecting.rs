//! The future of this module's connectors.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::Error;

/// A connection being made. Dropping it gives up.
// Boxed: once per connection, which costs a round trip at least.
#[must_use = "futures do nothing unless polled"]
pub struct Connecting<T>(Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>);

impl<T> Connecting<T> {
    pub(crate) fn new(connecting: impl Future<Output = Result<T, Error>> + Send + 'static) -> Self {
        Self(Box::pin(connecting))
    }

    pub(crate) fn map<U: 'static>(self, wrap: fn(T) -> U) -> Connecting<U>
    where
        T: 'static,
    {
        Connecting::new(async move { self.await.map(wrap) })
    }
}

impl<T> Future for Connecting<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<T> fmt::Debug for Connecting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting").finish_non_exhaustive()
    }
}
