//! Peers on real sockets.

use std::{
    convert::Infallible,
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::Ordering},
};

use bartizan_core::{Body, BoxError, find};
use http::{Request, Response, Uri};
use hyper::service::service_fn;
use hyper_util::{rt::TokioIo, server::conn::auto};
use tokio::net::{TcpSocket, TcpStream};

use crate::{
    error::chain,
    host::{ANY_PORT, Executor, Host, Shared},
    panics,
};

/// An HTTP/1.1 and HTTP/2 (cleartext, told apart by the preface) server on a port of 127.0.0.1 that the system chose.
///
/// It runs on the runtime that [`start`](Self::start) was called on, so that a test on one thread stays on one thread. Upgrades work
/// (`hyper::upgrade::on` the request).
///
/// # What fails the test
///
/// A panic in a handler or in a response body, and a peer that breaks the protocol: dropping the server panics with what went
/// wrong, unless the thread panics already. A peer that just goes away is no error. Where a broken protocol is the point of the
/// test, [`allow_protocol_errors`](Self::allow_protocol_errors). A broken protocol is known when the connection has ended: a test
/// that may end sooner waits for [`closed`](Self::closed).
///
/// # Cancellation
///
/// Dropping it closes the socket and aborts all its connections and handlers.
///
/// # Examples
///
/// ```
/// use bartizan_core::Body;
/// use bartizan_testing::Loopback;
/// use http::Response;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let server = Loopback::start(|request| async move {
///     Response::new(Body::from(format!("you asked for {}", request.uri().path())))
/// })
/// .await;
/// assert_eq!(server.uri("/a").to_string(), format!("http://{}/a", server.addr()));
/// assert_eq!(server.requests(), 0);
/// # }
/// ```
///
/// A handler that panics:
///
/// ```should_panic
/// use bartizan_testing::Loopback;
/// use tokio::{io::AsyncWriteExt, net::TcpStream};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// let server = Loopback::start(|request| async move { panic!("no handler for {}", request.uri()) }).await;
/// let mut stream = TcpStream::connect(server.addr()).await?;
/// stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
/// server.closed().await;
/// drop(server); // panics: "no handler for /"
/// # Ok(()) }
/// ```
pub struct Loopback {
    host: Host,
}

impl Loopback {
    /// Binds and serves. Each request runs `handler`; on HTTP/2 those of one connection run at the same time.
    ///
    /// # Panics
    ///
    /// If 127.0.0.1 has no free port.
    pub async fn start<H, F>(handler: H) -> Self
    where
        H: Fn(Request<Body>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let serve = move |stream, shared: Arc<Shared>| {
            let handler = handler.clone();
            async move {
                let service = service_fn(|request: Request<hyper::body::Incoming>| {
                    shared.requests.fetch_add(1, Ordering::SeqCst);
                    let response = handler(request.map(Body::new));
                    async { Ok::<_, Infallible>(response.await) }
                });
                let served = auto::Builder::new(Executor(shared.clone()))
                    .serve_connection_with_upgrades(TokioIo::new(stream), service)
                    .await;
                if let Err(error) = served {
                    if !is_departure(&error) && !shared.lenient.load(Ordering::SeqCst) {
                        shared.fail(format!("the peer broke the protocol: {}", chain(&error)));
                    }
                }
            }
        };
        Self {
            host: Host::start("Loopback", serve).await,
        }
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.host.addr
    }

    /// `http://` its address and `path`, which starts with a slash and may have a query.
    ///
    /// # Panics
    ///
    /// If that is no URI.
    pub fn uri(&self, path: &str) -> Uri {
        self.host.uri(path)
    }

    /// How many requests have arrived: their heads, that is. One whose handler still runs counts.
    pub fn requests(&self) -> usize {
        self.host.shared.requests.load(Ordering::SeqCst)
    }

    /// How many connections have been accepted.
    pub fn connections(&self) -> usize {
        self.host.shared.connections.borrow().accepted
    }

    /// How many connections are open. One that was upgraded is no longer the server's, and counts as closed.
    pub fn open_connections(&self) -> usize {
        self.host.shared.connections.borrow().open
    }

    /// Waits until there was a connection and none is open any more, woken by each that ends. Dropping it changes nothing.
    pub async fn closed(&self) {
        self.host.closed().await;
    }

    /// Lets peers break the protocol from now on.
    pub fn allow_protocol_errors(&self) {
        self.host.shared.lenient.store(true, Ordering::SeqCst);
    }
}

/// A TCP server whose handler does with each connection what it likes: for peers that misbehave.
///
/// A panic in a handler fails the test, as for [`Loopback`], and dropping it closes the socket and aborts the handlers.
///
/// ```
/// use bartizan_testing::RawServer;
///
/// use tokio::{io::AsyncReadExt, net::TcpStream};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// // Accepts, reads nothing, hangs up.
/// let server = RawServer::start(|stream| async move { drop(stream) }).await;
/// let mut stream = TcpStream::connect(server.addr()).await?;
/// assert_eq!(stream.read(&mut [0; 1]).await?, 0);
/// assert_eq!(server.connections(), 1);
/// # Ok(()) }
/// ```
///
/// A connection that breaks off within the head of the response:
///
/// ```
/// use bartizan_testing::RawServer;
///
/// use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpStream};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// let server = RawServer::start(|mut stream| async move {
///     stream.write_all(b"HTTP/1.1 200").await.unwrap();
/// })
/// .await;
/// let mut sent = String::new();
/// TcpStream::connect(server.addr()).await?.read_to_string(&mut sent).await?;
/// assert_eq!(sent, "HTTP/1.1 200");
/// # Ok(()) }
/// ```
pub struct RawServer {
    host: Host,
}

impl RawServer {
    /// Binds, and runs `handler` for each connection.
    ///
    /// # Panics
    ///
    /// If 127.0.0.1 has no free port.
    pub async fn start<H, F>(handler: H) -> Self
    where
        H: Fn(TcpStream) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self {
            host: Host::start("RawServer", move |stream, _| handler(stream)).await,
        }
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.host.addr
    }

    /// `http://` its address and `path`, which starts with a slash and may have a query.
    ///
    /// # Panics
    ///
    /// If that is no URI.
    pub fn uri(&self, path: &str) -> Uri {
        self.host.uri(path)
    }

    /// How many connections have been accepted.
    pub fn connections(&self) -> usize {
        self.host.shared.connections.borrow().accepted
    }

    /// Waits until a handler was started and none runs any more, woken by each that ends. Dropping it changes nothing.
    pub async fn closed(&self) {
        self.host.closed().await;
    }
}

/// An address of 127.0.0.1 where every connection is refused.
///
/// Its port stays bound, though not listening, until the process ends, so that no other test can be given it meanwhile.
///
/// ```
/// use std::{io::ErrorKind, net::TcpStream};
///
/// let error = TcpStream::connect(bartizan_testing::refused_addr()).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
/// ```
///
/// # Panics
///
/// If 127.0.0.1 has no free port.
pub fn refused_addr() -> SocketAddr {
    static HELD: Mutex<Vec<TcpSocket>> = Mutex::new(Vec::new());
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(ANY_PORT).expect("a free port on 127.0.0.1");
    let addr = socket.local_addr().expect("a bound socket has an address");
    panics::lock(&HELD).push(socket);
    addr
}

/// Whether a connection ended because somebody left, or because the handler's own body failed, and not by a broken protocol.
fn is_departure(error: &BoxError) -> bool {
    if find::<io::Error>(&**error).is_some() {
        return true;
    }
    find::<hyper::Error>(&**error).is_some_and(|error| {
        error.is_incomplete_message()
            || error.is_canceled()
            || error.is_closed()
            || error.is_user()
            || error.is_shutdown()
    })
}

impl fmt::Debug for Loopback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loopback")
            .field("addr", &self.addr())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RawServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawServer")
            .field("addr", &self.addr())
            .finish_non_exhaustive()
    }
}
