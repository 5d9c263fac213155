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
//! # Request layers
//!
//! Each works over any service, and by itself: [`interceptors`], [`negotiation`] (415 and 406), [`host`] and [`path`], [`cors`] and
//! [`methods`], [`forwarded`] (who the client is behind trusted proxies), [`request_id`], [`caching`] (validators and `Cache-Control`),
//! `compression`, [`catch_panic`], [`sse`]. [`extract`] binds requests to types, and says what is wrong with them as problem details.
//!
//! Those that answer by themselves ask for a response body that can be made of bytes, as [`Body`](bartizan_core::Body) and axum's can.
//! Layers that wrap the body in one that cannot, such as compression, go below them, with [`catch_panic`] between, or anything else that
//! maps the body.
//!
//! # Limits
//!
//! [`HttpSettings`] says how HTTP is spoken, and what a peer may ask. The defaults are for the open internet:
//!
//! | What | Default | Then |
//! |---|---|---|
//! | head of a request | 30 s | closed |
//! | without a request | 75 s | closed, over HTTP/2 by `GOAWAY` |
//! | target | 4096 bytes | 414 |
//! | header section | 8192 bytes, 100 fields | 431 |
//! | body | no limit | 413 |
//! | body, speed | 240 bytes/s after 30 s | 408 |
//! | response, speed | 240 bytes/s after 30 s | closed |
//! | service | no limit | 503 |
//! | requests, age of a connection | no limit | `Connection: close`, `GOAWAY` |
//! | HTTP/2 streams | 100 | refused |
//! | HTTP/2 frames that bring no request any further | 1000, and 100 per second | `ENHANCE_YOUR_CALM` |
//! | HTTP/2 peer that does not answer | 20 s | closed |
//!
//! Answers of this crate have problem details (RFC 9457). hyper answers by itself, with a status and no body, what it cannot parse
//! (400), a head of more than twice what is allowed or with too many fields (431, over HTTP/1.1), and a header list that is too long
//! over HTTP/2 (431). It closes without an answer what is no HTTP at all, and a peer whose head takes too long.
//!
//! # Requests that can be read in two ways
//!
//! hyper refuses folded lines, spaces before a colon, bare carriage returns, lengths that differ or are no numbers, and a
//! `Transfer-Encoding` that does not end with `chunked`. It takes a bare line feed for the end of a line of the head, as RFC 9112 section
//! 2.2 allows. Where there is a `Transfer-Encoding`, `Content-Length` is dropped, and the connection closed after the response (section
//! 6.1). This crate adds that there is one `Host`, which is one, and which agrees with the target.
//!
//! Pipelined requests are served one after the other, in their order. There is no limit on their number, because none of them takes
//! memory before it is served: hyper stops to read while it serves one.
//!
//! # Priorities
//!
//! RFC 9218's `Priority` of a request is a header like any other, for the service to read. hyper sends the responses of a
//! connection in turns, and does not let anybody change that. `PRIORITY_UPDATE` frames are ignored, and counted.
//!
//! # Shutdown
//!
//! What begins it is [`ShutdownHandle::shutdown`], the future of [`Listener::shutdown_when`], or the first signal after
//! [`Listener::shutdown_on_signals`]. Then, in this order:
//!
//! 1. [`Readiness`] says no. For as long as the [delay](Listener::drain_delay) is, which is no time unless set, all is served as before, so
//!    that whoever routes requests here can notice.
//! 2. Connections that wait to be accepted are. The socket is closed, and further ones are refused.
//! 3. Every connection is asked to finish: `Connection: close` over HTTP/1.1 (RFC 9112 section 9.6), `GOAWAY` over HTTP/2 (RFC 9113
//!    section 6.8). One without requests closes at once; one that cannot, because its peer does not play its part, after 1 s.
//!    One that has not even performed its [handshakes](handshake) has 1 s, too.
//! 4. Requests in flight go on until their responses are written to the last byte. A reader may be as slow as
//!    [`min_response_rate`](HttpSettingsBuilder::min_response_rate) allows.
//! 5. With the last of them the drain ends; it does not wait for the deadline. Their peers have [5 s](HttpSettingsBuilder::linger) to
//!    close, too, because a socket closed with bytes unread is reset, and what is still on its way to the peer is lost (RFC 9112
//!    section 9.6).
//! 6. At the deadline, by [`ShutdownHandle::cut`], or at a second signal, what is left is dropped and its connections are closed.
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
//! Requests can be upgraded with [`hyper::upgrade::on`], and so can streams of HTTP/2 by `CONNECT` and extended `CONNECT` (RFC 8441). Such
//! a request is in flight for as long as what it was upgraded to: the drain waits for it, and counts it. At the cut, reading and writing
//! it fail. What it speaks may want to say goodbye before: [`ShutdownHandle::draining`] tells when. No limit of HTTP holds for it.
//!
//! An upgrade to `h2c` is ignored: RFC 9113 section 3.1 has abolished it.
//!
//! # Differences from `axum::serve`
//!
//! - It serves every tower service of the right shape and any error it may have, not only those that are `Infallible`.
//! - A drain has a deadline, can be cut short, and reports. `with_graceful_shutdown` waits for as long as the slowest peer.
//! - Times, sizes, speeds and frames are limited. `axum::serve` leaves hyper's defaults, and without a timer, which it does not set,
//!   hyper limits no time at all.
//! - Upgraded connections take part in the drain.
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

#[macro_use]
mod macros;

pub mod accept;
mod activity;
mod address;
mod answer;
mod ascii;
pub mod bind;
mod body;
mod bounds;
pub mod caching;
pub mod catch_panic;
#[cfg(feature = "compression")]
pub mod compression;
pub mod config;
mod connect_info;
mod connection;
pub mod cors;
mod drain;
mod error;
pub mod extract;
pub mod forwarded;
#[doc(hidden)]
pub mod fuzzing;
mod handle;
pub mod handshake;
mod hex;
pub mod host;
mod http;
mod in_flight;
pub mod interceptors;
mod io;
mod listener;
pub mod methods;
pub mod monitor;
pub mod negotiation;
pub mod path;
mod place;
pub mod proxy_protocol;
mod readiness;
mod reply;
pub mod request_id;
mod respond;
mod serve;
mod signal;
pub mod sse;
mod stats;

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
    http::{
        FrameCounts, FrameLimit, HttpSettings, HttpSettingsBuilder, MinRate, Protocols,
        RequestBodyError,
    },
    listener::Listener,
    monitor::{Metered, Observer, RequestEnd, Stats, Traffic},
    proxy_protocol::{ProxyHeader, ProxyProtocol},
    readiness::Readiness,
    serve::Serving,
    stats::ConnectionStats,
};
