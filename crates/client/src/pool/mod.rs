//! Connections, kept for the next request: limits, queues, retirement, and both HTTP versions.
//!
//! A [`Pool`] is a `Service<Request<B>>` over any connector (see [`connect`](crate::connect)). It keeps connections under the
//! [`Destination`](crate::connect::Destination) of a request: scheme, host and port of its URI, and the
//! [`ConnectOptions`](crate::connect::ConnectOptions) among its extensions. Whatever it decides, it decides in one place without I/O;
//! sockets, tasks and wakers are the hands that do it.
//!
//! # Connections
//!
//! - **HTTP/1.1** carries one request at a time. The connection that was used last is used first, so that the others can time out. It is
//!   free again when hyper has finished both directions: after the end of the response, and that of the upload. A response that is dropped
//!   is [read on](PoolBuilder::drain_limits) for a little while, which is often cheaper than another connection.
//! - **HTTP/2** carries as many as the peer allows and [we do](PoolBuilder::http2_max_streams). The connection with the fewest streams is
//!   used. When all are full a [further one](PoolBuilder::http2_max_connections_per_origin) is opened. The peer's word is taken from its
//!   SETTINGS as they arrive, also when it changes its mind; a GOAWAY sends new requests elsewhere and lets the others finish.
//! - **Which of them** TLS says. The first connection of an origin finds out; other requests [wait for it](PoolBuilder::alpn_wait) briefly,
//!   and the answer is remembered for as long as an unused connection is kept, but for ten minutes at most.
//!
//! A connection is opened only where a request waits for one and no other is on its way, and belongs to whoever is first in the queue when
//! it is there. Where one comes free before that has begun, none is opened; and none where one is about to come free, as a caller may have
//! read the end of a response a moment before hyper is done with it. So a caller that gives up wastes nothing, and there are never more
//! connections than requests were under way at once. If opening fails, all who waited when it began are told; they do not try the same
//! again one after the other.
//!
//! # Limits and waiting
//!
//! Each limit is one of sockets that are there: being opened, used, unused, or being closed. At the limit requests wait in the order in
//! which they came, each origin's in a queue of its own of [bounded length](PoolBuilder::max_waiting) and for a
//! [bounded time](crate::Timeouts::acquire). At the limit of all connections, the unused one that was used longest ago is closed for
//! another origin's request; where none is unused, the next that comes free is, for whoever came first.
//!
//! # Retirement
//!
//! A connection is closed when it was [unused for too long](PoolBuilder::idle_timeout), is [too old](PoolBuilder::max_lifetime), has
//! carried [enough](PoolBuilder::max_requests), was [poisoned](ConnectionInfo::poison), or either side said `Connection: close`. It is
//! looked at whenever it would be used, and by a sweep ten times in the shorter of the first two times (but at most every 10 ms, and at
//! least every 10 s).
//!
//! # Stale connections
//!
//! A server may close an idle connection in the moment it is used again. A request of which nothing was written goes out on another
//! connection; so does one that an HTTP/2 peer says it has not looked at, if its body is [whole](bartizan_core::Body::whole). One that was
//! written to a connection that had been used before, and to which not one byte came back, goes out on another once, if its method is
//! idempotent (RFC 9110 section 9.2.2) and its body whole. Every other failure is the caller's to judge: see
//! [`Error::is_unsent`](crate::Error::is_unsent).
//!
//! # Placement
//!
//! At the bottom of a stack. What is above it sees one service for all origins, always ready; a balancer or a load shedder that asks who is
//! ready takes [`Pool::origin`].
//!
//! # State
//!
//! Clones share everything. Dropping the last one closes what is unused; responses that are being read keep their connections.
//!
//! # Readiness and cancellation
//!
//! Always ready: which connections matter is not known before the request. Dropping the response future gives up the place in the queue,
//! and hands on what it was granted in the meantime. Once the request is being sent, that closes an HTTP/1.1 connection and resets an
//! HTTP/2 stream. A connection that is being opened is finished and kept.
//!
//! Tasks run on the tokio runtime of whoever made them necessary: those that drive a connection, that open one, and one that sweeps. If
//! that runtime ends, its connections end with it, and others are opened.
//!
//! # Upgrades
//!
//! The caller takes an upgraded HTTP/1.1 connection, or the tunnel of a `CONNECT`, by `hyper::upgrade::on`. It counts against the limits
//! until it is dropped. A `CONNECT` goes to the host of its URI, and asks for that host. Over HTTP/2 its stream does not count.
//!
//! # Errors
//!
//! [`Error`](crate::Error), with the [connection](crate::Error::connection) it happened on: the connector's own, and
//! [`is_acquire`](crate::Error::is_acquire) for a queue that is full or too slow, and for a pool that drains.
//!
//! # Differences from hyper-util's client
//!
//! - Limits on connections and waiters, queues, lifetimes, events and figures; that one limits only what is idle.
//! - Dials do not race with connections that come free: with 50 requests at a time there are 50 connections at most.
//! - More than one HTTP/2 connection to an origin, by the streams that its peer allows.
//! - A response that is dropped half-read may keep its connection.
//! - `Host` becomes the authority over HTTP/2.
//!
//! # Examples
//!
//! ```
//! use bartizan_client::{RequestExt, ResponseExt, connect::Connector, pool::Pool};
//! use bartizan_core::Body;
//! use bartizan_testing::Loopback;
//! use http::{Request, Response};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Loopback::start(|_: Request<Body>| async { Response::new(Body::from("hello")) }).await;
//!
//! let pool = Pool::new(Connector::new());
//! for _ in 0..3 {
//!     let response = pool.get(server.uri("/")).send().await?;
//!     assert_eq!(response.text().await?, "hello");
//! }
//! let stats = pool.stats();
//! assert_eq!((stats.dialed, stats.reused, stats.idle), (1, 2, 1));
//! # Ok(())
//! # }
//! ```
//!
//! With limits, and somebody who listens:
//!
//! ```
//! use bartizan_client::{
//!     RequestExt, ResponseExt,
//!     connect::Connector,
//!     pool::{Pool, PoolEvent},
//! };
//! use bartizan_core::Body;
//! use bartizan_testing::Loopback;
//! use http::{Request, Response};
//! use std::{sync::{Arc, atomic::{AtomicU32, Ordering}}, time::Duration};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Loopback::start(|_: Request<Body>| async { Response::new(Body::from("hello")) }).await;
//!
//! let opened = Arc::new(AtomicU32::new(0));
//! let pool = Pool::builder()
//!     .max_connections_per_origin(2)
//!     .max_waiting(100)
//!     .observer({
//!         let opened = opened.clone();
//!         move |event| {
//!             if let PoolEvent::Opened { .. } = event {
//!                 opened.fetch_add(1, Ordering::Relaxed);
//!             }
//!         }
//!     })
//!     .build(Connector::new())?;
//! let call = || async { pool.get(server.uri("/")).send().await?.text().await };
//! let (a, b, c) = tokio::join!(call(), call(), call());
//! assert_eq!([a?, b?, c?], ["hello"; 3]);
//! assert_eq!(opened.load(Ordering::Relaxed), 2);
//!
//! // No new requests, and an end to the old ones.
//! assert_eq!(pool.drain(Duration::from_secs(5)).await, 0);
//! assert!(pool.get(server.uri("/")).send().await.unwrap_err().is_acquire());
//! # Ok(())
//! # }
//! ```

mod body;
mod call;
mod config;
mod connection;
mod core;
mod events;
pub(crate) mod frames;
mod handover;
mod inner;
mod io;
mod lease;
mod origin;
mod returning;
mod send_body;
mod service;
mod stats;
mod sync;
mod timings;

pub use self::{
    body::ResponseBody,
    config::PoolBuilder,
    events::{ClosedBy, ConnectionInfo, PoolEvent},
    origin::OriginService,
    service::{Pool, PoolFuture},
    stats::PoolStats,
    timings::{RecordTimings, Timings},
};

pub(crate) use self::{config::Config, timings::Phases};
