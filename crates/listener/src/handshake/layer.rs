//! Handshakes over any accept stream.

use std::{
    fmt,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_core::BoxError;
use tokio::task::JoinSet;
use tower_layer::Layer;
use tower_service::Service;

use super::{Gate, HandshakeError};
use crate::{Accept, AcceptError, Accepted};

/// Performs handshakes over an accept stream, in tasks of their own. See the [module](super).
///
/// A [`Listener`](crate::Listener) needs no such layer: its [`handshake`](crate::Listener::handshake) also has them counted, observed
/// and drained.
#[derive(Clone, Debug)]
pub struct HandshakeLayer<H> {
    handshake: H,
    gate: Gate,
}

impl<H> HandshakeLayer<H> {
    /// Performs clones of `handshake`, at most 1024 at once, each within 10 s.
    pub fn new(handshake: H) -> Self {
        Self {
            handshake,
            gate: Gate::new(),
        }
    }

    /// How long one may take, waiting for its place included.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.gate.set_timeout(timeout);
        self
    }

    /// How many may be under way at once. Zero is taken for one. Streams and clones made of this layer afterwards share the places.
    ///
    /// As many again may wait for a place; while those are there, too, nothing more is accepted.
    #[must_use]
    pub fn max(mut self, max: usize) -> Self {
        self.gate.set_max(max);
        self
    }
}

impl<A, H, T> Layer<A> for HandshakeLayer<H>
where
    A: Accept,
    H: Service<Accepted<A::Io>, Response = Accepted<T>> + Clone,
    T: 'static,
{
    type Service = Handshakes<A, H, T>;

    fn layer(&self, inner: A) -> Self::Service {
        Handshakes {
            inner,
            handshake: self.handshake.clone(),
            gate: self.gate.clone(),
            under_way: JoinSet::new(),
        }
    }
}

/// An accept stream of connections whose handshake is done. See the [module](super).
///
/// Dropped, it drops what is under way. It has to be polled within a tokio runtime.
pub struct Handshakes<A, H, T> {
    inner: A,
    handshake: H,
    gate: Gate,
    under_way: JoinSet<Result<Accepted<T>, HandshakeError>>,
}

impl<A, H, T> Accept for Handshakes<A, H, T>
where
    A: Accept,
    A::Io: Send + 'static,
    H: Service<Accepted<A::Io>, Response = Accepted<T>> + Clone + Send + 'static,
    H::Error: Into<BoxError>,
    H::Future: Send,
    T: Send + 'static,
{
    type Io = T;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Accepted<T>, AcceptError>> {
        loop {
            // What is done goes first: it has waited longest.
            match self.under_way.poll_join_next(cx) {
                Poll::Ready(Some(Ok(performed))) => {
                    return Poll::Ready(performed.map_err(AcceptError::handshake));
                }
                Poll::Ready(Some(Err(failed))) => match failed.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // Aborted: the runtime is going down.
                    Err(_) => continue,
                },
                Poll::Ready(None) | Poll::Pending => {}
            }
            if self.under_way.len() >= self.gate.bound() {
                // A task that ends wakes this one.
                return Poll::Pending;
            }
            let accepted = ready!(self.inner.poll_accept(cx))?;
            let (handshake, gate) = (self.handshake.clone(), self.gate.clone());
            self.under_way
                .spawn(async move { gate.perform(handshake, accepted).await });
        }
    }
}

impl<A: fmt::Debug, H, T> fmt::Debug for Handshakes<A, H, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshakes")
            .field("inner", &self.inner)
            .field("under_way", &self.under_way.len())
            .finish_non_exhaustive()
    }
}
