//! The pool: over loopback sockets where the system's own doings matter, and over pipes in memory where time does.

mod http1;
mod http2;
mod laws;
mod leaks;
mod limits;
mod operation;
mod stale;
mod timeouts;
mod timings;

use std::{
    convert::Infallible,
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bartizan_client::{
    connect::{Connected, Connection, Destination},
    pool::{Pool, PoolBuilder, PoolStats},
};
use bartizan_core::Body;
use http::{Request, Response, Uri};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex},
    net::TcpStream,
};
use tower_service::Service;

/// Connects over TCP.
pub(crate) fn over_tcp(builder: PoolBuilder) -> Pool {
    let connector = tower::service_fn(|to: Destination| async move {
        TcpStream::connect((to.host(), to.port())).await
    });
    builder.build(connector).expect("valid settings")
}

pub(crate) fn get<U>(uri: U) -> Request<Body>
where
    Uri: TryFrom<U, Error: Into<http::Error>>,
{
    Request::get(uri).body(Body::empty()).expect("a request")
}

/// One end of a pipe, as a connection.
pub(crate) struct Wire(pub(crate) DuplexStream, pub(crate) Connected);

impl Connection for Wire {
    fn connected(&self) -> Connected {
        self.1.clone()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A connector whose peers are tasks: each connection is handed to `serve`. Counts connections.
#[derive(Clone)]
pub(crate) struct Pipes<F> {
    serve: F,
    connected: Connected,
    count: Arc<AtomicUsize>,
}

impl<F> Pipes<F> {
    pub(crate) fn new(serve: F) -> Self {
        Self {
            serve,
            connected: Connected::new(),
            count: Arc::default(),
        }
    }

    pub(crate) fn with_connected(mut self, connected: Connected) -> Self {
        self.connected = connected;
        self
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

/// A peer, whatever its type.
pub(crate) type BoxedServer =
    Arc<dyn Fn(DuplexStream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What a connection is handed to.
pub(crate) trait Server {
    fn serve(&self, stream: DuplexStream);
}

impl<F, Fut> Server for F
where
    F: Fn(DuplexStream) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    fn serve(&self, stream: DuplexStream) {
        tokio::spawn(self(stream));
    }
}

impl Server for BoxedServer {
    fn serve(&self, stream: DuplexStream) {
        tokio::spawn(self(stream));
    }
}

impl<F: Server> Service<Destination> for Pipes<F> {
    type Response = Wire;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Wire>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Destination) -> Self::Future {
        self.count.fetch_add(1, Ordering::SeqCst);
        let (ours, theirs) = duplex(64 * 1024);
        self.serve.serve(theirs);
        std::future::ready(Ok(Wire(ours, self.connected.clone())))
    }
}

/// Serves HTTP on a pipe until it ends.
pub(crate) async fn serve<H, F>(stream: DuplexStream, handler: H)
where
    H: Fn(Request<Body>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let response = handler(request.map(Body::new));
        async { Ok::<_, Infallible>(response.await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    // How it ends is the client's business.
    let _ = builder
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .await;
}

/// Waits until `what` holds of the pool, which takes other tasks a turn or two.
pub(crate) async fn until(pool: &Pool, what: impl Fn(&PoolStats) -> bool + Send + Sync) {
    let reached = async {
        while !what(&pool.stats()) {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(std::time::Duration::from_secs(20), reached)
        .await
        .is_err()
    {
        panic!("it stays at {:?}", pool.stats());
    }
}
