//! What has to be said on a connection before HTTP begins.
//!
//! A handshake is a `Service` from one [`Accepted`](crate::Accepted) connection to another: it reads a [PROXY header](crate::proxy_protocol), makes the
//! transport one of [TLS](TlsHandshake), or decides that there shall be no connection. [`Listener::handshake`] adds one; several are
//! performed in the order in which they were added.
//!
//! # Placement
//!
//! In a [`Listener`], every connection performs its handshakes in a task of its own, under [one deadline](crate::Listener::handshake_timeout)
//! over all of them, with a [limit](crate::Listener::max_handshakes) on those that are under way: a peer that says nothing, or slowly, holds
//! up nobody but itself. [`HandshakeLayer`] does the same over any accept stream, for other servers.
//!
//! # State
//!
//! Every connection is given a clone. What clones share is up to the handshake.
//!
//! # Readiness and cancellation
//!
//! Waiting for a handshake to be ready is a part of it, and so is waiting for a place among those under way: the deadline is for
//! all of it. At the deadline, or at a drain that waits for nothing else, it is dropped, and the connection with it.
//!
//! # Errors
//!
//! Any. The connection is closed without a word, since no protocol is known in which one could be said, and the error is logged at
//! `debug`: whoever may cause a line of the log at will, may fill the disk.
//!
//! # Differences from accept loops with TLS
//!
//! Loops that perform the handshake before they accept the next connection stand still when one peer does. Tasks without a limit do
//! as much work as peers ask for: a handshake costs this side more than the other.
//!
//! # Examples
//!
//! A magic word, by a handshake of one's own:
//!
//! ```
//! use bartizan_core::{Body, BoxError};
//! use bartizan_listener::{Accepted, Listener, Metered};
//! use http::Response;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
//! use tower::service_fn;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let (listener, connector) = Listener::in_memory();
//! let handle = listener.handle();
//! let serving = tokio::spawn(
//!     listener
//!         .handshake(service_fn(|mut accepted: Accepted<Metered<DuplexStream>>| async move {
//!             let mut word = [0; 6];
//!             accepted.io.read_exact(&mut word).await?;
//!             if &word == b"sesame" { Ok(accepted) } else { Err(BoxError::from("not the word")) }
//!         }))
//!         .serve(service_fn(|_| async { Ok::<_, BoxError>(Response::new(Body::from("open"))) })),
//! );
//!
//! for (word, answer) in [("sesame", "open"), ("simsim", "")] {
//!     let mut io = connector.connect().await?;
//!     io.write_all(word.as_bytes()).await?;
//!     // It may be closed already.
//!     let _ = io.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await;
//!     let mut text = String::new();
//!     io.read_to_string(&mut text).await?;
//!     assert!(text.ends_with(answer) && text.is_empty() == answer.is_empty());
//! }
//! assert_eq!(handle.stats().handshakes_failed, 1);
//! # handle.shutdown();
//! # serving.await?;
//! # Ok(())
//! # }
//! ```
//!
//! Over an accept stream, for another server:
//!
//! ```
//! use bartizan_listener::{Accept, Accepted, HandshakeLayer, memory};
//! use std::{future::poll_fn, time::Duration};
//! use tokio::io::{AsyncReadExt, DuplexStream};
//! use tower::{Layer, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let (incoming, connector) = memory();
//! let mut incoming = HandshakeLayer::new(service_fn(|mut accepted: Accepted<DuplexStream>| async move {
//!     accepted.io.read_u8().await?;
//!     Ok::<_, std::io::Error>(accepted)
//! }))
//! .timeout(Duration::from_millis(10))
//! .layer(incoming);
//!
//! // It says nothing.
//! let _silent = connector.connect().await?;
//! let error = poll_fn(|cx| incoming.poll_accept(cx)).await.unwrap_err();
//! assert!(error.as_handshake().unwrap().is_timeout());
//! # Ok(())
//! # }
//! ```
//!
//! [`Listener`]: crate::Listener
//! [`Listener::handshake`]: crate::Listener::handshake

mod error;
mod gate;
mod layer;
mod then;
mod tls;

pub use self::{
    error::HandshakeError,
    layer::{HandshakeLayer, Handshakes},
    then::{Plain, Then},
    tls::TlsHandshake,
};
pub(crate) use gate::Gate;
