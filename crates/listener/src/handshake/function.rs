//! A handshake that is a function.

use std::{
    fmt,
    future::Future,
    task::{Context, Poll},
};

use tower_service::Service;

use crate::Accepted;

/// A handshake of one's own, from an async function.
///
/// The same as tower's `service_fn`, and clearer about the types: with that one, closures over [`Accepted`] are hard to infer.
pub const fn handshake_fn<F>(function: F) -> HandshakeFn<F> {
    HandshakeFn(function)
}

/// See [`handshake_fn`].
#[derive(Clone, Copy)]
pub struct HandshakeFn<F>(F);

impl<F, IO, T, E, Fut> Service<Accepted<IO>> for HandshakeFn<F>
where
    F: FnMut(Accepted<IO>) -> Fut,
    Fut: Future<Output = Result<Accepted<T>, E>>,
{
    type Response = Accepted<T>;
    type Error = E;
    type Future = Fut;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, accepted: Accepted<IO>) -> Fut {
        (self.0)(accepted)
    }
}

impl<F> fmt::Debug for HandshakeFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakeFn").finish_non_exhaustive()
    }
}
