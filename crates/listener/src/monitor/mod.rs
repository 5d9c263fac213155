//! What happens at a listener: told to an [`Observer`], and counted in [`Stats`].
//!
//! Counting costs a few atomics of the connection's own, which no other connection writes. Without an observer, that is all.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::{Body, BoxError};
//! use bartizan_listener::{ConnectInfo, Listener, Observer, Traffic};
//! use http::Response;
//! use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tower::service_fn;
//!
//! /// Bytes of the connections that are closed.
//! #[derive(Default)]
//! struct Sent(AtomicU64);
//!
//! impl Observer for Sent {
//!     fn closed(&self, _: &ConnectInfo, traffic: Traffic) {
//!         self.0.fetch_add(traffic.written, Ordering::Relaxed);
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let sent = Arc::new(Sent::default());
//! let (listener, connector) = Listener::in_memory();
//! let listener = listener.observe(Arc::clone(&sent));
//! let handle = listener.handle();
//! let serving = tokio::spawn(listener.serve(service_fn(|_| async {
//!     Ok::<_, BoxError>(Response::new(Body::from("hello")))
//! })));
//!
//! let mut io = connector.connect().await?;
//! io.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await?;
//! let mut answer = String::new();
//! io.read_to_string(&mut answer).await?;
//! drop(io);
//! handle.shutdown();
//! serving.await?;
//!
//! assert_eq!(sent.0.load(Ordering::Relaxed), answer.len() as u64);
//! let stats = handle.stats();
//! assert_eq!((stats.accepted, stats.requests, stats.connections), (1, 1, 0));
//! assert_eq!(stats.traffic.written, answer.len() as u64);
//! # Ok(())
//! # }
//! ```
//!
//! A number for a dashboard:
//!
//! ```
//! use bartizan_listener::Listener;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let handle = Listener::bind("127.0.0.1:0").await?.handle();
//! let stats = handle.stats();
//! assert_eq!((stats.connections, stats.in_flight, stats.refused), (0, 0, 0));
//! # Ok(())
//! # }
//! ```

mod metered;
mod tally;

use std::{sync::Arc, time::Duration};

pub use self::metered::Metered;
pub(crate) use self::tally::{Monitor, Tally};
use crate::{AcceptError, Address, ConnectInfo, Drained, HandshakeError, Refusal};

/// Is told what happens at a listener. Every method does nothing by default.
///
/// Of each connection, in this order: [`accepted`](Self::accepted), [`handshake_ended`](Self::handshake_ended), of each request
/// [`request_started`](Self::request_started) and [`request_ended`](Self::request_ended), and exactly once, whatever happens,
/// [`closed`](Self::closed). What was broken off may end after that: a request whose connection broke, or a handshake that failed.
///
/// It is called by the tasks that serve, never under a lock of the listener's. It must return soon, and must not panic: some of it is
/// called while something is dropped.
pub trait Observer: Send + Sync + 'static {
    /// A connection was accepted. No handshake has been performed yet.
    fn accepted(&self, info: &ConnectInfo) {
        let _ = info;
    }

    /// A connection was closed because there is no place for it: by an accept layer, and then it was never [accepted](Self::accepted),
    /// or by a handshake.
    fn refused(&self, peer: &Address, why: Refusal) {
        let _ = (peer, why);
    }

    /// A connection could not be accepted.
    ///
    /// Errors of the socket, as when there are no file descriptors left, are waited out and not told: see
    /// [`back_off`](crate::accept::back_off).
    fn accept_failed(&self, error: &AcceptError) {
        let _ = error;
    }

    /// The handshakes of a connection are done, or failed, after so much time. Without handshakes, they are done at once.
    fn handshake_ended(
        &self,
        info: &ConnectInfo,
        result: Result<(), &HandshakeError>,
        took: Duration,
    ) {
        let _ = (info, result, took);
    }

    /// The head of a request has been read.
    fn request_started(&self, info: &ConnectInfo) {
        let _ = info;
    }

    /// The last of its response was written, or will not be.
    fn request_ended(&self, info: &ConnectInfo, end: RequestEnd) {
        let _ = (info, end);
    }

    /// The connection is closed. If it was upgraded, that is when the upgraded one is.
    fn closed(&self, info: &ConnectInfo, traffic: Traffic) {
        let _ = (info, traffic);
    }

    /// The drain has begun, with so many requests in flight.
    fn draining(&self, in_flight: usize) {
        let _ = in_flight;
    }

    /// The drain has come to its end. Not told if it was dropped.
    fn drained(&self, drained: Drained) {
        let _ = drained;
    }
}

/// To keep one end of what observes.
impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn accepted(&self, info: &ConnectInfo) {
        (**self).accepted(info);
    }

    fn refused(&self, peer: &Address, why: Refusal) {
        (**self).refused(peer, why);
    }

    fn accept_failed(&self, error: &AcceptError) {
        (**self).accept_failed(error);
    }

    fn handshake_ended(
        &self,
        info: &ConnectInfo,
        result: Result<(), &HandshakeError>,
        took: Duration,
    ) {
        (**self).handshake_ended(info, result, took);
    }

    fn request_started(&self, info: &ConnectInfo) {
        (**self).request_started(info);
    }

    fn request_ended(&self, info: &ConnectInfo, end: RequestEnd) {
        (**self).request_ended(info, end);
    }

    fn closed(&self, info: &ConnectInfo, traffic: Traffic) {
        (**self).closed(info, traffic);
    }

    fn draining(&self, in_flight: usize) {
        (**self).draining(in_flight);
    }

    fn drained(&self, drained: Drained) {
        (**self).drained(drained);
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestEnd {
    /// By itself: the response was written, or the service or its body failed.
    Finished,
    /// The listener broke it off: see [`Drained::cut`].
    Cut,
    /// Its client went away, or its service panicked.
    Lost,
}

/// Bytes of a connection, as they are on the wire: TLS and PROXY headers included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Traffic {
    /// From the peer.
    pub read: u64,
    /// To the peer.
    pub written: u64,
}

/// What has happened at a listener so far, and what is happening. From [`ShutdownHandle::stats`](crate::ShutdownHandle::stats).
///
/// The numbers are read one after another while others change them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that were accepted, in all.
    pub accepted: u64,
    /// Connections that were closed because there was no place for them, in all.
    pub refused: u64,
    /// Connections that broke before they were accepted, in all.
    pub accept_failures: u64,
    /// Connections whose handshake failed or took too long, in all.
    pub handshakes_failed: u64,
    /// Connections that perform their handshake.
    pub handshakes_under_way: usize,
    /// Connections that are open, upgraded ones included.
    pub connections: usize,
    /// Requests that have begun, in all.
    pub requests: u64,
    /// Requests that are in flight: see [`ShutdownHandle::in_flight`](crate::ShutdownHandle::in_flight).
    pub in_flight: usize,
    /// Bytes of all connections, open and closed.
    pub traffic: Traffic,
    /// What the drain has come to so far.
    pub drained: Drained,
}
