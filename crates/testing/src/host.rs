//! A listening socket on which a test's server runs.

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize},
    },
    task::{Context, Poll},
    thread,
};

use http::Uri;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinSet,
};

use crate::{panics, wakers::Wakers};

/// A port of 127.0.0.1 that the system chooses.
pub(crate) const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What both servers are: a listening socket, the tasks of its connections, and the first thing that went wrong.
pub(crate) struct Host {
    name: &'static str,
    pub(crate) addr: SocketAddr,
    pub(crate) shared: Arc<Shared>,
    port: Arc<Port>,
}

pub(crate) struct Shared {
    /// `None` once the server is dropped, so that a connection on its way out starts nothing new.
    tasks: Mutex<Option<JoinSet<()>>>,
    failure: Mutex<Option<String>>,
    pub(crate) requests: AtomicUsize,
    pub(crate) connections: watch::Sender<Connections>,
    pub(crate) lenient: AtomicBool,
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Connections {
    pub(crate) accepted: usize,
    pub(crate) open: usize,
}

impl Host {
    pub(crate) async fn start<H, F>(name: &'static str, serve: H) -> Self
    where
        H: Fn(TcpStream, Arc<Shared>) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let port = Arc::new(Port::bind().expect("a free port on 127.0.0.1"));
        let addr = port.addr;
        let shared = Arc::new(Shared {
            tasks: Mutex::new(Some(JoinSet::new())),
            failure: Mutex::new(None),
            requests: AtomicUsize::new(0),
            connections: watch::Sender::default(),
            lenient: AtomicBool::new(false),
        });
        let (accepting, from) = (shared.clone(), port.clone());
        shared.spawn(async move {
            loop {
                let stream = poll_fn(|cx| from.poll_accept(cx)).await;
                let stream = stream.expect("a connection to accept");
                let open = Open::new(accepting.clone());
                let served = serve(stream, accepting.clone());
                accepting.spawn(async move {
                    // Inside the task, so that what failed is on record before the connection counts as closed.
                    let shared = open.0.clone();
                    shared.watch(served).await;
                    drop(open);
                });
            }
        });
        Self {
            name,
            addr,
            shared,
            port,
        }
    }

    /// Stops listening, so that connections are refused: those that nobody has accepted yet, too.
    pub(crate) fn refuse(&self) {
        self.port.close();
    }

    /// Listens again, on the same port.
    pub(crate) fn accept(&self) {
        self.port.listen().expect("the port was kept");
    }

    pub(crate) fn uri(&self, path: &str) -> Uri {
        match format!("http://{}{path}", self.addr).parse() {
            Ok(uri) => uri,
            Err(error) => panic!("`{path}` makes no URI: {error}"),
        }
    }

    pub(crate) async fn closed(&self) {
        let mut connections = self.shared.connections.subscribe();
        connections
            .wait_for(|connections| connections.accepted > 0 && connections.open == 0)
            .await
            .expect("the host holds the sender");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // At once, and not when the runtime comes to dropping the task that accepts.
        self.port.close();
        // Bound to a name, so that the tasks are dropped after the lock is.
        let tasks = panics::lock(&self.shared.tasks).take();
        drop(tasks);
        let failure = panics::lock(&self.shared.failure).take();
        if let Some(failure) = failure.filter(|_| !thread::panicking()) {
            panic!("{} at {}: {failure}", self.name, self.addr);
        }
    }
}

impl Shared {
    fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let shared = self.clone();
        if let Some(tasks) = &mut *panics::lock(&self.tasks) {
            while tasks.try_join_next().is_some() {}
            tasks.spawn(async move { shared.watch(task).await });
        }
    }

    /// Runs `task`, and keeps what it panics with.
    async fn watch(&self, task: impl Future<Output = ()>) {
        panics::catch(task, |panic| self.fail(format!("a task panicked: {panic}"))).await;
    }

    /// The first failure counts: those after it may be its consequences.
    pub(crate) fn fail(&self, failure: String) {
        panics::lock(&self.failure).get_or_insert(failure);
    }
}

/// A port that stays this host's own while nothing listens on it.
struct Port {
    addr: SocketAddr,
    /// Bound, and never listening: with `SO_REUSEADDR` it shares the port with the one socket that listens.
    _kept: TcpSocket,
    listening: Mutex<Listening>,
}

#[derive(Default)]
struct Listening {
    listener: Option<TcpListener>,
    waiting: Wakers,
}

impl Port {
    fn bind() -> io::Result<Self> {
        let kept = Self::socket(ANY_PORT)?;
        let port = Self {
            addr: kept.local_addr()?,
            _kept: kept,
            listening: Mutex::default(),
        };
        port.listen()?;
        Ok(port)
    }

    fn socket(addr: SocketAddr) -> io::Result<TcpSocket> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        Ok(socket)
    }

    fn listen(&self) -> io::Result<()> {
        let waiting = {
            let mut listening = panics::lock(&self.listening);
            if listening.listener.is_none() {
                listening.listener = Some(Self::socket(self.addr)?.listen(1024)?);
            }
            listening.waiting.take()
        };
        waiting.wake();
        Ok(())
    }

    fn close(&self) {
        let listener = panics::lock(&self.listening).listener.take();
        drop(listener);
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let mut listening = panics::lock(&self.listening);
        match &listening.listener {
            Some(listener) => {
                let accepted = listener.poll_accept(cx);
                if accepted.is_pending() {
                    // A listener that is closed and opened again is another one, which this task must be told of.
                    listening.waiting.register(cx);
                }
                accepted.map_ok(|(stream, _)| stream)
            }
            None => {
                listening.waiting.register(cx);
                Poll::Pending
            }
        }
    }
}

/// A connection that counts as open.
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: Arc<Shared>) -> Self {
        shared.connections.send_modify(|connections| {
            connections.accepted += 1;
            connections.open += 1;
        });
        Self(shared)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0
            .connections
            .send_modify(|connections| connections.open -= 1);
    }
}

/// Runs hyper's tasks, one per HTTP/2 stream, among the server's own, so that they end with it and their panics are kept.
#[derive(Clone)]
pub(crate) struct Executor(pub(crate) Arc<Shared>);

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}
