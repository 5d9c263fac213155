//! Connections within the process.

use std::{
    io,
    task::{Context, Poll},
};

use tokio::{
    io::{DuplexStream, duplex},
    sync::mpsc,
};

use crate::{Accept, AcceptError, Accepted, Address, ConnectInfo};

/// Bytes on their way, in each direction. What a socket buffers at first, and more than the head of any request.
const BUFFER: usize = 64 << 10;

/// Connections that wait to be accepted.
const BACKLOG: usize = 128;

/// An accept stream without sockets, and what connects to it. For tests: no ports, no descriptors, and time can be paused.
///
/// ```
/// use bartizan_core::{Body, BoxError};
/// use bartizan_listener::Listener;
/// use http::Response;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use tower::service_fn;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let (listener, connector) = Listener::in_memory();
/// let handle = listener.handle();
/// tokio::spawn(listener.serve(service_fn(|_| async {
///     Ok::<_, BoxError>(Response::new(Body::from("hello")))
/// })));
///
/// let mut io = connector.connect().await?;
/// io.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await?;
/// let mut answer = String::new();
/// io.read_to_string(&mut answer).await?;
/// assert!(answer.ends_with("hello"));
///
/// handle.shutdown();
/// handle.wait().await;
/// assert!(connector.connect().await.is_err(), "nobody listens any more");
/// # Ok(())
/// # }
/// ```
pub fn memory() -> (Memory, Connector) {
    let (sender, incoming) = mpsc::channel(BACKLOG);
    (Memory(incoming), Connector(sender))
}

/// Accepts what a [`Connector`] connects. See [`memory`].
#[derive(Debug)]
pub struct Memory(mpsc::Receiver<DuplexStream>);

impl Accept for Memory {
    type Io = DuplexStream;

    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Accepted<DuplexStream>, AcceptError>> {
        match self.0.poll_recv(cx) {
            Poll::Ready(Some(io)) => {
                let info = ConnectInfo::new(Address::Memory, Address::Memory);
                Poll::Ready(Ok(Accepted::new(io, info)))
            }
            // Nobody is left who could connect.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

/// Connects to a [`Memory`]. See [`memory`]. Clones connect to the same.
#[derive(Clone, Debug)]
pub struct Connector(mpsc::Sender<DuplexStream>);

impl Connector {
    /// A new connection. Waits while 128 are not accepted.
    ///
    /// Dropping the future connects nothing.
    ///
    /// # Errors
    ///
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if nobody listens any more.
    pub async fn connect(&self) -> io::Result<DuplexStream> {
        let place = self.0.reserve().await;
        let place = place.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        let (ours, theirs) = duplex(BUFFER);
        place.send(theirs);
        Ok(ours)
    }
}
