//! Clients, and services whose progress a test decides.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bartizan_core::{Body, BoxError};
use bartizan_listener::{Accept, Accepted, Drained, Listener, Metered, ShutdownHandle};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use tower::Service;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Fails what hangs. Everything else takes milliseconds.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("it should not hang")
}

pub(crate) async fn bind() -> Listener {
    Listener::bind("127.0.0.1:0")
        .await
        .expect("a free port")
        .drain_timeout(HOUR)
        .header_read_timeout(HOUR)
}

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) handle: ShutdownHandle,
    pub(crate) serving: JoinHandle<Drained>,
}

impl Server {
    pub(crate) fn start<A, H, IO, S, E>(listener: Listener<A, H>, service: S) -> Self
    where
        A: Accept<Io: AsyncRead + AsyncWrite + Send + Unpin + 'static> + Send + 'static,
        H: Service<
                Accepted<Metered<A::Io>>,
                Response = Accepted<IO>,
                Error: Into<BoxError>,
                Future: Send,
            > + Clone
            + Send
            + 'static,
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        S: Service<Request<Body>, Response = Response<Body>, Error = E> + Clone + Send + 'static,
        S::Future: Send,
        E: Into<BoxError>,
    {
        Self {
            addr: listener.local_addr(),
            handle: listener.handle(),
            serving: tokio::spawn(listener.serve(service)),
        }
    }

    /// The report, which future and handle agree on.
    pub(crate) async fn ended(self) -> (u64, u64) {
        let drained = within(self.serving).await.expect("no panic");
        assert_eq!(within(self.handle.wait()).await, drained);
        assert_eq!(self.handle.in_flight(), 0);
        assert!(self.handle.is_draining());
        (drained.drained, drained.cut)
    }

    pub(crate) async fn shutdown(self) -> (u64, u64) {
        self.handle.shutdown();
        self.ended().await
    }
}

/// Answers `hello`, at once.
pub(crate) async fn hello(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::from("hello")))
}

/// Tells when a request has arrived, and answers when it is let through.
#[derive(Clone)]
pub(crate) struct Gate {
    arrived: mpsc::UnboundedSender<()>,
    open: Arc<Semaphore>,
}

pub(crate) struct GateKeeper {
    arrivals: mpsc::UnboundedReceiver<()>,
    open: Arc<Semaphore>,
}

pub(crate) fn gate() -> (Gate, GateKeeper) {
    let (arrived, arrivals) = mpsc::unbounded_channel();
    let open = Arc::new(Semaphore::new(0));
    let gate = Gate {
        arrived,
        open: Arc::clone(&open),
    };
    (gate, GateKeeper { arrivals, open })
}

impl GateKeeper {
    pub(crate) async fn arrived(&mut self) {
        within(self.arrivals.recv()).await.expect("a request");
    }

    pub(crate) fn let_through(&self, requests: usize) {
        self.open.add_permits(requests);
    }

    /// Waits until every clone of the service, and every call of it, is dropped.
    pub(crate) async fn all_dropped(mut self) {
        while within(self.arrivals.recv()).await.is_some() {}
    }
}

impl Service<Request<Body>> for Gate {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        let gate = self.clone();
        Box::pin(async move {
            gate.arrived.send(())?;
            gate.open.acquire().await?.forget();
            Ok(Response::new(Body::from("let through")))
        })
    }
}

/// Answers with the bytes that are sent on what it gives out, until that is dropped.
pub(crate) fn feeding() -> (Feeding, mpsc::UnboundedReceiver<Feed>) {
    let (feeds, given) = mpsc::unbounded_channel();
    (Feeding(feeds), given)
}

pub(crate) type Feed = mpsc::UnboundedSender<&'static str>;

#[derive(Clone)]
pub(crate) struct Feeding(mpsc::UnboundedSender<Feed>);

impl Service<Request<Body>> for Feeding {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        let (feed, frames) = mpsc::unbounded_channel();
        let given = self.0.send(feed).map_err(Into::into);
        ready(given.map(|()| Response::new(Body::new(Fed(frames)))))
    }
}

struct Fed(mpsc::UnboundedReceiver<&'static str>);

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(cx)
            .map(|data| data.map(|data| Ok(Frame::data(Bytes::from(data)))))
    }
}

pub(crate) fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("http://localhost{path}"))
        .header(http::header::HOST, "localhost")
        .body(Full::default())
        .expect("a valid request")
}

pub(crate) async fn h1(addr: SocketAddr) -> http1::SendRequest<Full<Bytes>> {
    let io = TcpStream::connect(addr).await.expect("it listens");
    let (sender, connection) = http1::handshake(TokioIo::new(io))
        .await
        .expect("a handshake");
    tokio::spawn(connection);
    sender
}

pub(crate) async fn h2(addr: SocketAddr) -> http2::SendRequest<Full<Bytes>> {
    let io = TcpStream::connect(addr).await.expect("it listens");
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io))
        .await
        .expect("a handshake");
    tokio::spawn(connection);
    sender
}

/// A response over HTTP/1.1 or HTTP/2.
pub(crate) async fn call(version: u8, addr: SocketAddr) -> Response<Incoming> {
    let response = if version == 1 {
        h1(addr).await.send_request(get("/")).await
    } else {
        h2(addr).await.send_request(get("/")).await
    };
    response.expect("a response")
}

pub(crate) async fn text(response: Response<Incoming>) -> String {
    let whole = within(response.into_body().collect())
        .await
        .expect("a whole body");
    String::from_utf8(whole.to_bytes().into()).expect("text")
}

/// Connects, and sends as it is.
pub(crate) async fn raw(addr: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut io = TcpStream::connect(addr).await.expect("it listens");
    io.write_all(bytes).await.expect("it reads");
    io
}

/// More than any socket buffers.
pub(crate) const LARGE: usize = 32 << 20;

pub(crate) async fn large(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::from(vec![b'x'; LARGE])))
}

/// What comes until the connection is closed, in whatever way.
pub(crate) async fn rest(io: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is a close, too.
    let _ = within(io.read_to_end(&mut bytes)).await;
    bytes
}

/// Connects, sends as it is, and gives what comes until the connection is closed.
pub(crate) async fn answer(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    rest(&mut raw(addr, bytes).await).await
}
