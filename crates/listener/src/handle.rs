//! The way to stop a listener from elsewhere.

use std::sync::Arc;

use crate::{
    ConnectionStats, Drained, Readiness, Stats,
    drain::{Drain, Phase},
};

/// Stops a [`Listener`](crate::Listener), and tells how that went. Clones are the same handle.
///
/// It works before the listener serves and after it has ended, and keeps nothing alive. Only [`wait`](Self::wait) waits; the other
/// methods return at once.
///
/// ```
/// use bartizan_core::{Body, BoxError};
/// use bartizan_listener::Listener;
/// use http::Response;
/// use tower::service_fn;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let listener = Listener::bind("127.0.0.1:0").await?;
/// let handle = listener.handle();
/// let serving = tokio::spawn(listener.serve(service_fn(|_| async {
///     Ok::<_, BoxError>(Response::new(Body::from("hello")))
/// })));
///
/// assert!(!handle.is_draining());
/// handle.shutdown();
/// let drained = handle.wait().await;
/// assert_eq!((drained.drained, drained.cut), (0, 0));
/// assert_eq!(serving.await?, drained);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ShutdownHandle(pub(crate) Arc<Drain>);

impl ShutdownHandle {
    /// Begins the drain, after the [delay](crate::Listener::drain_delay) if there is one. Called again, or after the end, it does
    /// nothing.
    ///
    /// From this moment on, [`readiness`](Self::readiness) says no.
    pub fn shutdown(&self) {
        self.0.leave();
    }

    /// Breaks off every request and closes every connection, now. It begins the drain if that has not begun, and ends the delay before it.
    ///
    /// Returns before that is done: [`wait`](Self::wait) tells when it is.
    ///
    /// ```
    /// use bartizan_core::{Body, BoxError};
    /// use bartizan_listener::Listener;
    /// use http::{Request, Response};
    /// use std::future::pending;
    /// use tokio::{io::AsyncWriteExt, net::TcpStream};
    /// use tower::service_fn;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// let listener = Listener::bind("127.0.0.1:0").await?;
    /// let mut client = TcpStream::connect(listener.local_addr()).await?;
    /// client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    ///
    /// let handle = listener.handle();
    /// let never = service_fn(move |_: Request<Body>| {
    ///     handle.cut();
    ///     pending::<Result<Response<Body>, BoxError>>()
    /// });
    /// let drained = listener.serve(never).await;
    /// assert_eq!((drained.drained, drained.cut), (0, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn cut(&self) {
        self.0.cut();
    }

    /// Waits for the end, and reports. After the end it answers at once, as often as it is asked.
    ///
    /// The end is when the last connection is closed, and every request on it is over. It comes without a drain too: if the
    /// [`Serving`](crate::Serving) future, or a listener that never served, is dropped. Dropping this future changes nothing.
    pub async fn wait(&self) -> Drained {
        self.0.reached(Phase::Ended).await;
        self.0.counts()
    }

    /// Whether the drain has begun. Still true after its end, and not yet in the [delay](crate::Listener::drain_delay) before it.
    pub fn is_draining(&self) -> bool {
        self.0.phase() >= Phase::Draining
    }

    /// What has happened so far, and what is happening.
    ///
    /// Counted over all open connections at every call: for a dashboard, not for every request.
    pub fn stats(&self) -> Stats {
        self.0.stats()
    }

    /// The number of requests whose head has been read and whose response is not yet written.
    ///
    /// Counted over all connections at every call: for a metric, not for every request.
    pub fn in_flight(&self) -> usize {
        self.0.in_flight()
    }

    /// Waits until the drain begins. For what is not a request and has to come to an end, too: a WebSocket that says goodbye, a stream of
    /// events, a job.
    ///
    /// Dropping this future changes nothing.
    pub async fn draining(&self) {
        self.0.reached(Phase::Draining).await;
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.0.phase() >= Phase::Leaving
    }

    /// A service that tells load balancers whether to send requests here: see [`Readiness`].
    pub fn readiness(&self) -> Readiness {
        Readiness::new(self.clone())
    }

    /// What every open connection has done so far, in no particular order.
    ///
    /// It is made at every call, from counters that requests write without locks: for a page of diagnostics, not for every request.
    pub fn connections(&self) -> Vec<ConnectionStats> {
        self.0.connections()
    }
}
