//! So many connections at once, and no more.
//!
//! A connection costs a descriptor, a task and buffers. Without a limit, whoever opens enough of them decides when this process runs
//! out of one of these; with it, that is known beforehand.
//!
//! At the limit there are [two ways](AtLimit). Further peers wait in the backlog until one of the connections is closed: the default,
//! because it is what clients cope with best. Or they are refused, so that a load balancer tries elsewhere at once.
//!
//! # Placement
//!
//! Where it is added first, next to the socket: nothing is done for a connection that cannot be had.
//!
//! # State
//!
//! One limit for every stream that the same value, or a clone of it, is a layer of: that is how the sockets of one
//! [`Listener`](crate::Listener) share one.
//!
//! # Readiness and cancellation
//!
//! The place belongs to the transport ([`Guarded`]) and is given back when that is dropped, wherever it is by then. At the limit, each
//! stream takes one connection from its backlog and keeps it until there is a place.
//!
//! # Errors
//!
//! [`Refusal::Full`], of one connection, where they are refused.
//!
//! # Differences from `tower::limit::ConcurrencyLimit`
//!
//! That one limits requests. A connection without a request costs something, too.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::{Body, BoxError};
//! use bartizan_listener::{ConnectionLimit, Listener};
//! use http::Response;
//! use tower::service_fn;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let limit = ConnectionLimit::new(10_000);
//! let listener = Listener::bind("127.0.0.1:0").await?.layer(limit.clone());
//! let handle = listener.handle();
//! # handle.shutdown();
//! listener.serve(service_fn(|_| async { Ok::<_, BoxError>(Response::new(Body::empty())) })).await;
//! assert_eq!(limit.open(), 0);
//! # Ok(())
//! # }
//! ```
//!
//! Alone, over connections from anywhere, and refusing:
//!
//! ```
//! use bartizan_listener::{Accept, AtLimit, ConnectionLimit, Listener, Refusal, memory};
//! use std::future::poll_fn;
//! use tower::Layer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let (incoming, connector) = memory();
//! let mut limited = ConnectionLimit::new(1).at_limit(AtLimit::Refuse).layer(incoming);
//! let (_one, _two) = (connector.connect().await?, connector.connect().await?);
//!
//! let first = poll_fn(|cx| limited.poll_accept(cx)).await.unwrap();
//! let second = poll_fn(|cx| limited.poll_accept(cx)).await.unwrap_err();
//! assert_eq!(second.refusal().unwrap().0, Refusal::Full);
//!
//! drop(first);
//! let _three = connector.connect().await?;
//! assert!(poll_fn(|cx| limited.poll_accept(cx)).await.is_ok());
//! # Ok(())
//! # }
//! ```

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_layer::Layer;

use super::{Accept, AcceptError, Accepted, Guarded, Refusal};

/// What becomes of a connection for which there is no place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum AtLimit {
    /// It waits in the backlog, for as long as its peer likes. When that is full, too, the system refuses.
    #[default]
    Wait,
    /// It is closed.
    Refuse,
}

/// Limits the connections that are open at once. See the [module](self). Clones are the same limit.
#[derive(Clone, Debug)]
pub struct ConnectionLimit {
    places: Arc<Semaphore>,
    max: usize,
    at_limit: AtLimit,
}

impl ConnectionLimit {
    /// At most `max` connections. Zero is taken for one, or nobody could ever connect.
    pub fn new(max: usize) -> Self {
        let max = max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(max)),
            max,
            at_limit: AtLimit::default(),
        }
    }

    /// What becomes of further connections. The default is [`AtLimit::Wait`].
    #[must_use]
    pub const fn at_limit(mut self, at_limit: AtLimit) -> Self {
        self.at_limit = at_limit;
        self
    }

    /// The connections that are open.
    pub fn open(&self) -> usize {
        self.max - self.places.available_permits()
    }

    /// The connections that may be.
    pub const fn max(&self) -> usize {
        self.max
    }
}

impl<A: Accept> Layer<A> for ConnectionLimit {
    type Service = LimitConnections<A>;

    fn layer(&self, inner: A) -> LimitConnections<A> {
        LimitConnections {
            inner,
            limit: self.clone(),
            waiting: None,
        }
    }
}

/// A place among the connections.
pub type Place = OwnedSemaphorePermit;

/// An accept stream with a limit. See the [module](self).
pub struct LimitConnections<A: Accept> {
    inner: A,
    limit: ConnectionLimit,
    /// One that was accepted before it was known that it has no place.
    waiting: Option<(Accepted<A::Io>, Turn)>,
}

type Turn = Pin<Box<dyn Future<Output = Place> + Send>>;

impl<A: Accept> LimitConnections<A> {
    /// The stream below.
    pub const fn get_ref(&self) -> &A {
        &self.inner
    }
}

impl<A> Accept for LimitConnections<A>
where
    A: Accept,
{
    type Io = Guarded<A::Io, Place>;

    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Accepted<Self::Io>, AcceptError>> {
        let place = match &mut self.waiting {
            Some((_, turn)) => Some(ready!(turn.as_mut().poll(cx))),
            None => None,
        };
        if let (Some(place), Some((accepted, _))) = (place, self.waiting.take()) {
            return Poll::Ready(Ok(accepted.map(|io| Guarded::new(io, place))));
        }
        let accepted = ready!(self.inner.poll_accept(cx))?;
        let places = Arc::clone(&self.limit.places);
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            return Poll::Ready(Ok(accepted.map(|io| Guarded::new(io, place))));
        }
        if self.limit.at_limit == AtLimit::Refuse {
            let peer = accepted.info.peer().clone();
            return Poll::Ready(Err(AcceptError::refused(peer, Refusal::Full)));
        }
        let mut turn: Turn = Box::pin(async move {
            let place = places.acquire_owned().await;
            place.expect("nobody closes the semaphore")
        });
        match turn.as_mut().poll(cx) {
            Poll::Ready(place) => Poll::Ready(Ok(accepted.map(|io| Guarded::new(io, place)))),
            Poll::Pending => {
                tracing::debug!(max = self.limit.max, "at the limit of connections");
                self.waiting = Some((accepted, turn));
                Poll::Pending
            }
        }
    }
}

impl<A: Accept + fmt::Debug> fmt::Debug for LimitConnections<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitConnections")
            .field("inner", &self.inner)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Address,
        accept::tests::{Script, poll},
    };

    #[test]
    fn the_next_waits_until_one_is_closed() {
        let limit = ConnectionLimit::new(2);
        let mut limited = limit.layer(Script::failing([]));
        let Poll::Ready(Ok(first)) = poll(&mut limited) else {
            panic!("there are two places");
        };
        let second = poll(&mut limited);
        assert!(second.is_ready());
        assert_eq!((limit.open(), limit.max()), (2, 2));

        assert!(poll(&mut limited).is_pending());
        assert!(poll(&mut limited).is_pending());
        assert_eq!(
            limited.get_ref().polls,
            3,
            "one waits, and no more are taken"
        );
        drop(first);
        assert!(matches!(poll(&mut limited), Poll::Ready(Ok(_))));
        drop(second);
        assert_eq!(limit.open(), 0);
    }

    #[test]
    fn streams_share_the_limit() {
        let limit = ConnectionLimit::new(1);
        let (mut one, mut two) = (
            limit.layer(Script::failing([])),
            limit.layer(Script::failing([])),
        );
        let held = poll(&mut one);
        assert!(held.is_ready());
        assert!(poll(&mut two).is_pending());
        drop(held);
        assert!(poll(&mut two).is_ready());
    }

    #[test]
    fn a_stream_that_is_dropped_gives_back_its_turn() {
        let limit = ConnectionLimit::new(1);
        let (mut one, mut two) = (
            limit.layer(Script::failing([])),
            limit.layer(Script::failing([])),
        );
        let held = poll(&mut one);
        assert!(poll(&mut one).is_pending());
        drop((held, one));
        assert!(poll(&mut two).is_ready());
    }

    #[test]
    fn refuses_where_it_is_told_to() {
        let limit = ConnectionLimit::new(0).at_limit(AtLimit::Refuse);
        let mut limited = limit.layer(Script::of_peers([Address::Memory, Address::Unix(None)]));
        let held = poll(&mut limited);
        assert!(held.is_ready(), "zero is taken for one");
        let Poll::Ready(Err(error)) = poll(&mut limited) else {
            panic!("it is full");
        };
        assert_eq!(error.refusal(), Some((Refusal::Full, &Address::Unix(None))));
    }
}
