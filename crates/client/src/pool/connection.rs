//! One connection: what its users share, how it begins, and the task that drives it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{HeaderValue, Version};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::{
    config::Http2,
    core::{ConnId, Speaks, Why},
    frames::Told,
    handover::Handover,
    inner::Inner,
    io::{PoolIo, Stream},
    returning::Returning,
    send_body::SendBody,
    sync::{Mutex, lock},
};
use crate::connect::{Connected, Destination};

/// What the users of a connection share with its driver and its socket.
pub(super) struct Control {
    pool: Weak<Inner>,
    pub(super) id: ConnId,
    pub(super) destination: Destination,
    pub(super) connected: Connected,
    pub(super) speaks: Speaks,
    pub(super) opened: Instant,
    pub(super) handover: Handover<Box<Returning>>,
    socket: AtomicU8,
    /// In milliseconds, or `u64::MAX` for none.
    write_timeout: AtomicU64,
    pub(super) has_stalled: AtomicBool,
    /// Whether the peer has sent anything since the last request.
    pub(super) has_read: AtomicBool,
    pub(super) is_poisoned: AtomicBool,
    why: AtomicU8,
}

/// States of a socket: the core counts it from the dial on, and must hear of its end exactly once.
const DIALED: u8 = 0;
const COUNTED: u8 = 1;
const GONE: u8 = 2;

const BY_PEER: u8 = u8::MAX;

impl Control {
    pub(super) fn new(
        pool: Weak<Inner>,
        id: ConnId,
        destination: Destination,
        connected: Connected,
        speaks: Speaks,
        write_timeout: Option<Duration>,
    ) -> Arc<Self> {
        let control = Self {
            pool,
            id,
            destination,
            connected,
            speaks,
            opened: Instant::now(),
            handover: Handover::new(),
            socket: AtomicU8::new(DIALED),
            write_timeout: AtomicU64::new(u64::MAX),
            has_stalled: AtomicBool::new(false),
            has_read: AtomicBool::new(false),
            is_poisoned: AtomicBool::new(false),
            why: AtomicU8::new(BY_PEER),
        };
        control.set_write_timeout(write_timeout);
        Arc::new(control)
    }

    pub(super) const fn version(&self) -> Version {
        match self.speaks {
            Speaks::Http1 => Version::HTTP_11,
            Speaks::Http2 => Version::HTTP_2,
        }
    }

    pub(super) fn set_write_timeout(&self, timeout: Option<Duration>) {
        let millis = timeout.map_or(u64::MAX, |timeout| {
            u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)
        });
        self.write_timeout.store(millis, Ordering::Relaxed);
    }

    pub(super) fn write_timeout(&self) -> Option<Duration> {
        match self.write_timeout.load(Ordering::Relaxed) {
            u64::MAX => None,
            millis => Some(Duration::from_millis(millis)),
        }
    }

    /// The core knows the connection. Answers `false` if its socket is gone already, of which the core has not heard.
    pub(super) fn count(&self) -> bool {
        let counted =
            self.socket
                .compare_exchange(DIALED, COUNTED, Ordering::AcqRel, Ordering::Acquire);
        counted.is_ok()
    }

    pub(super) fn socket_gone(&self) {
        if self.socket.swap(GONE, Ordering::AcqRel) == COUNTED {
            if let Some(pool) = self.pool.upgrade() {
                pool.closed(self);
            }
        }
    }

    pub(super) fn told(&self, told: Told) {
        let Some(pool) = self.pool.upgrade() else {
            return;
        };
        match told {
            Told::Streams(streams) => pool.set_streams(self.id, streams),
            Told::GoAway => pool.retire(self.id),
        }
    }

    /// Ends the connection at once, whatever it carries.
    pub(super) fn kill(&self) {
        self.handover.kill();
    }

    pub(super) fn set_why(&self, why: Why) {
        self.why.store(why as u8, Ordering::Relaxed);
    }

    /// Why it was closed. `None` if the peer did it, or the network.
    pub(super) fn why(&self) -> Option<Why> {
        let why = self.why.load(Ordering::Relaxed);
        Why::ALL.into_iter().find(|&one| one as u8 == why)
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("id", &self.id)
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}

/// An open connection. Dropping the last one closes it in order, once it carries nothing.
pub(super) struct Conn {
    pub(super) control: Arc<Control>,
    pub(super) sender: Sender,
    /// What the `Host` header says, if the request does not.
    pub(super) host: HeaderValue,
}

pub(super) enum Sender {
    Http1(Mutex<http1::SendRequest<SendBody>>),
    Http2(http2::SendRequest<SendBody>),
}

impl Conn {
    pub(super) fn speaks(&self) -> Speaks {
        self.control.speaks
    }

    /// Whether it takes a request now: for HTTP/1.1, hyper has finished with the last one, both ways.
    #[inline]
    pub(super) fn is_ready(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => lock(sender).is_ready(),
            Sender::Http2(sender) => sender.is_ready(),
        }
    }

    /// Whether an unused one is worth a request: neither has its peer closed it, nor somebody poisoned it since.
    #[inline]
    pub(super) fn is_usable(&self) -> bool {
        !self.control.is_poisoned.load(Ordering::Relaxed) && self.is_ready()
    }

    pub(super) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => lock(sender).is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn")
            .field("control", &self.control)
            .finish_non_exhaustive()
    }
}

/// Begins to speak HTTP on a connection.
pub(super) async fn handshake(
    stream: Box<dyn Stream>,
    control: Arc<Control>,
    http2: &Http2,
) -> hyper::Result<(Arc<Conn>, Driver)> {
    let is_http2 = control.speaks == Speaks::Http2;
    let io = TokioIo::new(PoolIo::new(stream, control.clone(), is_http2));
    let (sender, driver) = if is_http2 {
        let executor = Executor {
            control: Arc::new(Mutex::new(Some(control.clone()))),
        };
        let mut builder = http2::Builder::new(executor);
        builder
            .timer(TokioTimer::new())
            .adaptive_window(http2.adaptive_window)
            .initial_max_send_streams(http2.streams)
            .keep_alive_interval(http2.keep_alive_interval)
            .keep_alive_timeout(http2.keep_alive_timeout);
        if !http2.adaptive_window {
            builder
                .initial_stream_window_size(http2.stream_window)
                .initial_connection_window_size(http2.connection_window);
        }
        let (sender, connection) = builder.handshake(io).await?;
        let driver: Driver = Box::pin(async move {
            // Who had a request on it has heard of the error.
            let _ = connection.await;
        });
        (Sender::Http2(sender), driver)
    } else {
        let (sender, connection) = http1::Builder::new().handshake(io).await?;
        let driver: Driver = Box::pin(Http1Driver {
            connection: connection.with_upgrades(),
            guard: DriverGuard(control.clone()),
            known: None,
            returning: None,
        });
        (Sender::Http1(Mutex::new(sender)), driver)
    };
    let conn = Conn {
        host: host_header(&control.destination),
        control,
        sender,
    };
    Ok((Arc::new(conn), driver))
}

/// The authority without the port of its scheme (RFC 9110 section 7.2).
fn host_header(destination: &Destination) -> HeaderValue {
    let default = if destination.is_https() { 443 } else { 80 };
    let host = match destination.port() {
        port if port == default => HeaderValue::from_str(destination.host()),
        port => HeaderValue::try_from(format!("{}:{port}", destination.host())),
    };
    host.expect("a URI's host is text of a header")
}

/// What has to be spawned once the core counts the connection.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Drives an HTTP/1.1 connection, and sees to what callers leave behind on it.
struct Http1Driver<C> {
    /// hyper's, whose type has no public name.
    connection: C,
    guard: DriverGuard,
    known: Option<Waker>,
    returning: Option<Box<Returning>>,
}

impl<C: Future + Unpin> Future for Http1Driver<C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let handover = &this.guard.0.handover;
        if handover.enter(&mut this.known, cx.waker()) {
            return Poll::Ready(());
        }
        if Pin::new(&mut this.connection).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        // After hyper, which alone makes its sender ready.
        if this.returning.is_none() {
            this.returning = handover.take();
        }
        let Some(returning) = &mut this.returning else {
            return Poll::Pending;
        };
        match returning.poll(cx) {
            Poll::Ready(true) => {
                if let Some(returning) = this.returning.take() {
                    returning.reuse();
                }
                Poll::Pending
            }
            Poll::Ready(false) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// However the driver ends, nothing stays parked with it.
struct DriverGuard(Arc<Control>);

impl Drop for DriverGuard {
    fn drop(&mut self) {
        drop(self.0.handover.close());
    }
}

/// Spawns hyper's HTTP/2 tasks. The first, which owns the socket, can be killed.
#[derive(Clone)]
struct Executor {
    control: Arc<Mutex<Option<Arc<Control>>>>,
}

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        match lock(&self.control).take() {
            Some(control) => tokio::spawn(Killable {
                future,
                control,
                known: None,
            }),
            None => tokio::spawn(future),
        };
    }
}

pin_project! {
    struct Killable<F> {
        #[pin]
        future: F,
        control: Arc<Control>,
        known: Option<Waker>,
    }
}

impl<F: Future<Output = ()>> Future for Killable<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.control.handover.enter(this.known, cx.waker()) {
            return Poll::Ready(());
        }
        this.future.poll(cx)
    }
}
