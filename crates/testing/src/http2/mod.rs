//! HTTP/2 servers that misbehave, frame by frame.
//!
//! A sound server cannot be made to send GOAWAY at the wrong moment, to keep its window shut, or to leave a ping unanswered. An
//! [`H2Script`] does what its handler says: it is given a [`Peer`] for each connection, reads [`Frame`]s from it, and writes any frame
//! at any time.
//!
//! | to see | say |
//! |---|---|
//! | GOAWAY with calls in flight | [`Peer::goaway`] with a lower stream |
//! | a stream that is reset | [`Peer::reset`] |
//! | an upload that is stuck | [`setting::INITIAL_WINDOW_SIZE`] of 0; no [`Peer::window_update`] is ever sent unasked |
//! | a limit that changes, to 0 too | [`Peer::settings`] with [`setting::MAX_CONCURRENT_STREAMS`] |
//! | huge headers | [`Peer::headers`]: what does not fit into one frame goes on in CONTINUATION |
//! | an answer before the request has ended | [`Peer::respond`] and then [`Peer::reset`] with [`code::NO_ERROR`] |
//! | a ping that is not answered | [`Peer::ignore_pings`] |
//! | trailers | [`Peer::trailers`] |
//! | nonsense | [`Peer::send`] with [`Frame::Other`], [`Peer::send_bytes`] |
//!
//! # Limits
//!
//! The frames are those of RFC 9113. Requests are known by their stream only: HPACK (RFC 7541) is written, as literals that no table
//! remembers, and not read. There is no TLS: clients come with prior knowledge.
//!
//! # Examples
//!
//! The first connection takes a request and says that it did not; the second answers:
//!
//! ```
//! use bartizan_testing::http2::{H2Script, code};
//! # use bartizan_core::Body;
//! # use hyper_util::rt::{TokioExecutor, TokioIo};
//! # use tokio::net::TcpStream;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), bartizan_core::BoxError> {
//! let server = H2Script::start(&[], |mut peer| async move {
//!     while let Some(stream) = peer.request().await {
//!         if peer.index() == 0 {
//!             peer.goaway(0, code::NO_ERROR).await;
//!         } else {
//!             peer.respond(stream, 200, "hello").await;
//!         }
//!     }
//! })
//! .await;
//!
//! let mut answers = Vec::new();
//! for _ in 0..2 {
//!     // In place of the client under test.
//! #     let stream = TokioIo::new(TcpStream::connect(server.addr()).await?);
//! #     let (mut client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
//! #     tokio::spawn(connection);
//!     let request = http::Request::get(server.uri("/")).body(Body::empty())?;
//!     answers.push(client.send_request(request).await.map(|response| response.status()));
//! }
//! assert!(answers[0].is_err());
//! assert_eq!(answers[1].as_ref().unwrap(), &200);
//! # Ok(()) }
//! ```
//!
//! An upload that waits for its window:
//!
//! ```
//! use bartizan_testing::http2::{Frame, H2Script, setting};
//! # use bartizan_core::Body;
//! # use hyper_util::rt::{TokioExecutor, TokioIo};
//! # use tokio::net::TcpStream;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), bartizan_core::BoxError> {
//! let server = H2Script::start(&[(setting::INITIAL_WINDOW_SIZE, 0)], |mut peer| async move {
//!     let Some(stream) = peer.request().await else { return };
//!     peer.respond(stream, 200, "").await;
//!     let Some(stream) = peer.request().await else { return };
//!     peer.window_update(stream, 3).await;
//!     while let Some(frame) = peer.frame().await {
//!         if let Frame::Data { data, .. } = frame {
//!             peer.respond(stream, 200, data).await;
//!         }
//!     }
//! })
//! .await;
//! #     let stream = TokioIo::new(TcpStream::connect(server.addr()).await?);
//! #     let (mut client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
//! #     tokio::spawn(connection);
//! // A client may send before it has read the server's settings. After an answer it knows them.
//! client.send_request(http::Request::get(server.uri("/")).body(Body::empty())?).await?;
//!
//! let request = http::Request::post(server.uri("/")).body(Body::from("hello"))?;
//! let response = client.send_request(request).await?;
//! # use http_body_util::BodyExt;
//! assert_eq!(response.into_body().collect().await?.to_bytes(), "hel");
//! # Ok(()) }
//! ```

pub mod code;
mod frame;
mod peer;
pub mod setting;

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::Uri;

pub use self::{
    frame::{Frame, block},
    peer::Peer,
};
use crate::RawServer;

/// An HTTP/2 server on a port of 127.0.0.1 that the system chose, whose handler says every frame. See the [module](self).
///
/// A panic in a handler fails the test when the server is dropped, and dropping it closes the socket and aborts the handlers.
pub struct H2Script {
    server: RawServer,
}

impl H2Script {
    /// Listens. For each connection it waits for the client's preface, sends `settings`, which is a list of [`setting`]s and their
    /// values, and runs `handler`. A client may send its first requests before it has read the settings; one that had an answer knows
    /// them. When that returns the connection is closed: end with [`Peer::until_gone`] where the client should be
    /// the one to leave.
    ///
    /// A client that leaves before it sent its preface is not the handler's business. One that sends another fails the test.
    ///
    /// # Panics
    ///
    /// If 127.0.0.1 has no free port.
    pub async fn start<H, F>(settings: &[(u16, u32)], handler: H) -> Self
    where
        H: Fn(Peer) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let settings: Arc<[(u16, u32)]> = settings.into();
        let handler = Arc::new(handler);
        let accepted = AtomicUsize::new(0);
        let serve = move |stream| {
            let mut peer = Peer::new(stream, accepted.fetch_add(1, Ordering::SeqCst));
            let (settings, handler) = (settings.clone(), handler.clone());
            async move {
                if peer.preface().await {
                    peer.settings(&settings).await;
                    handler(peer).await;
                }
            }
        };
        Self {
            server: RawServer::start(serve).await,
        }
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// `http://` its address and `path`, which starts with a slash and may have a query.
    ///
    /// # Panics
    ///
    /// If that is no URI.
    pub fn uri(&self, path: &str) -> Uri {
        self.server.uri(path)
    }

    /// How many connections have been accepted.
    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    /// Waits until a handler was started and none runs any more, woken by each that ends. Dropping it changes nothing.
    pub async fn closed(&self) {
        self.server.closed().await;
    }
}

impl fmt::Debug for H2Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("H2Script")
            .field("addr", &self.addr())
            .finish_non_exhaustive()
    }
}
