//! Serves any tower service or axum router over HTTP/1.1 and HTTP/2, and drains before it stops.
//!
//! A [`Listener`] is a bound socket, or [several](bind), of TCP or Unix, or [any other source](accept) of connections.
//! [`Listener::serve`] makes it a future that accepts connections, tells HTTP/1.1 and HTTP/2 (with
//! prior knowledge, RFC 9113 section 3.3) apart by the first bytes, and answers requests with clones of one service. A
//! [`ShutdownHandle`], a signal or a future ends it in good order. [`ConnectInfo`] tells every request which connection it came on.
//!
//! # Placement
//!
//! The outermost thing there is: everything else, layers and router, is the service it serves. A layer that shall see every request
//! wraps the whole service, and not a route of the router. Concurrency limits inside hold requests back, never the accept loop.
//!
//! # Shutdown
//!
//! What begins it is [`ShutdownHandle::shutdown`], the future of [`Listener::shutdown_when`], or the first signal after
//! [`Listener::shutdown_on_signals`]. Then, in this order:
//!
//! 1. Connections that wait to be accepted are. The socket is closed, and further ones are refused.
//! 2. Every connection is asked to finish: `Connection: close` over HTTP/1.1 (RFC 9112 section 9.6), `GOAWAY` over HTTP/2 (RFC 9113
//!    section 6.8). One without requests closes at once; one that cannot, because its peer does not play its part, after 1 s.
//!    One that has not even performed its [handshakes](handshake) has 1 s, too.
//! 3. Requests in flight go on until their responses are written to the last byte. A reader may be slow.
//! 4. With the last of them the drain ends; it does not wait for the deadline. Their peers have 5 s to close, too, because a socket
//!    closed with bytes unread is reset, and what is still on its way to the peer is lost (RFC 9112 section 9.6).
//! 5. At the deadline, by [`ShutdownHandle::cut`], or at a second signal, what is left is dropped and its connections are closed.
//!
//! [`Drained`] says how many requests ended by themselves, and how many were cut. Dropping [`Serving`] cuts at once.
//!
//! What cannot be cut is a handler that blocks its thread: no future can be dropped while it runs. The drain ends after it.
//!
//! # Half-closed connections
//!
//! A peer that closes its sending side right after a request is taken to have left: hyper drops the handler. Clients that speak HTTP
//! do not do this.
//!
//! # Upgrades
//!
//! Requests can be upgraded with [`hyper::upgrade::on`]. A connection that was, has left the listener: the drain neither waits for it
//! nor cuts it, and does not count it. A stream that was, by an extended `CONNECT` (RFC 8441), is not counted either, but ends with
//! its HTTP/2 connection, 1 s after the last request on it.
//!
//! # Differences from `axum::serve`
//!
//! - It serves every tower service of the right shape and any error it may have, not only those that are `Infallible`.
//! - A drain has a deadline, can be cut short, and reports. `with_graceful_shutdown` waits for as long as the slowest peer.
//! - The time for the head of a request is limited over HTTP/1.1, and that for the first bytes over both; a peer that vanished is
//!   found out over HTTP/2. Without a timer, which `axum::serve` does not set, hyper limits nothing.
//! - An error of the service is answered, and so is a request without one `Host`.
//! - Dropping the future ends the connections, too; axum's go on as tasks of their own.
//! - `TCP_NODELAY` is set unless it is [turned off](Listener::nodelay).
//! - Connections are told by [`ConnectInfo`] in the extensions, without a make-service.
//!
//! # Examples
//!
//! An axum router:
//!
//! ```
//! use axum::{Extension, Router, routing::get};
//! use bartizan_listener::{ConnectInfo, Listener};
//!
//! async fn who(Extension(info): Extension<ConnectInfo>) -> String {
//!     format!("You are {}.", info.client())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = Listener::bind("127.0.0.1:0").await?;
//! let addr = listener.local_addr();
//! # let handle = listener.handle();
//! let serving = listener
//!     .shutdown_on_signals()
//!     .serve(Router::new().route("/", get(who)));
//!
//! # let serving = async {
//! #     let client = async {
//! #         use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! #         let mut io = tokio::net::TcpStream::connect(addr).await?;
//! #         io.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
//! #         let mut answer = String::new();
//! #         io.read_to_string(&mut answer).await?;
//! #         assert!(answer.contains("You are 127.0.0.1:"));
//! #         handle.shutdown();
//! #         Ok::<_, std::io::Error>(())
//! #     };
//! #     tokio::join!(serving, client).0
//! # };
//! let drained = serving.await;
//! println!("{} requests were finished, {} were cut.", drained.drained, drained.cut);
//! # assert_eq!(drained.cut, 0);
//! # Ok(())
//! # }
//! ```
//!
//! A plain service, shut down by its handle while a request is in flight:
//!
//! ```
//! use bartizan_core::{Body, BoxError};
//! use bartizan_listener::Listener;
//! use http::{Request, Response};
//! use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpStream};
//! use tower::service_fn;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let listener = Listener::bind("127.0.0.1:0").await?;
//! let addr = listener.local_addr();
//! let handle = listener.handle();
//! let serving = tokio::spawn(listener.serve(service_fn(move |_: Request<Body>| {
//!     handle.shutdown();
//!     async { Ok::<_, BoxError>(Response::new(Body::from("the last one"))) }
//! })));
//!
//! let mut client = TcpStream::connect(addr).await?;
//! client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer).await?;
//! assert!(answer.ends_with("the last one"));
//!
//! let drained = serving.await?;
//! assert_eq!((drained.drained, drained.cut), (1, 0));
//! # Ok(())
//! # }
//! ```

pub mod accept;
#[macro_use]
mod macros;

pub mod caching;
pub mod catch_panic;
#[cfg(feature = "compression")]
pub mod compression;
pub mod cors;
pub mod forwarded;
#[doc(hidden)]
pub mod fuzzing;
pub mod host;
pub mod interceptors;
pub mod invalid;
pub mod methods;
pub mod negotiation;
pub mod path;
pub mod request_id;
pub mod sse;

mod activity;
mod address;
pub mod bind;
mod body;
pub mod config;
mod connect_info;
mod connection;
mod drain;
mod error;
pub mod extract;
mod handle;
pub mod handshake;
mod in_flight;
mod io;
mod listener;
pub mod monitor;
pub mod proxy_protocol;
mod reply;
mod serve;
mod signal;

pub use self::{
    accept::{
        Accept, AcceptError, Accepted, AtLimit, BackOff, BackOffLayer, ConnectionLimit, Guarded,
        PeerLimit, Refusal,
    },
    address::Address,
    bind::{Bind, Connector, ListenAddr, Memory, Socket, Stream, memory},
    config::ListenerConfig,
    connect_info::{ConnectInfo, ConnectionId},
    drain::Drained,
    error::BindError,
    handle::ShutdownHandle,
    handshake::{HandshakeError, HandshakeLayer, Plain, Then, TlsHandshake},
    listener::Listener,
    monitor::{Metered, Observer, RequestEnd, Stats, Traffic},
    proxy_protocol::{ProxyHeader, ProxyProtocol},
    serve::Serving,
};
