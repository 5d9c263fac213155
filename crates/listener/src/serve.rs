//! The accept loop, and the future that runs it.

use std::{
    fmt,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bartizan_core::{Body, BoxError};
use http::{Request, Response};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time,
};
use tower_service::Service;

use crate::{
    ConnectInfo, ConnectionId, Drained,
    connection::Protocol,
    drain::{Owner, Phase},
};

/// Something that ends when it has asked for the shutdown that it is there to ask for.
pub(crate) type Trigger = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A listener that serves; the future of [`Listener::serve`](crate::Listener::serve).
///
/// It ends with the drain, and so never if nothing shuts it down. Nothing happens before it is first polled. Then its connections
/// are tasks of the runtime it is polled on, and it has to be polled on: it accepts.
///
/// **Dropping it cuts everything:** the socket is closed and every connection with its requests is dropped, as soon as the runtime
/// gets to it. [`ShutdownHandle::wait`](crate::ShutdownHandle::wait) tells when that is done.
#[must_use = "nothing is served unless it is polled"]
pub struct Serving {
    triggers: Vec<Trigger>,
    run: Pin<Box<dyn Future<Output = Drained> + Send>>,
}

impl Serving {
    pub(crate) fn new(
        triggers: Vec<Trigger>,
        run: impl Future<Output = Drained> + Send + 'static,
    ) -> Self {
        Self {
            triggers,
            run: Box::pin(run),
        }
    }
}

impl Future for Serving {
    type Output = Drained;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Drained> {
        self.triggers
            .retain_mut(|trigger| trigger.as_mut().poll(cx).is_pending());
        self.run.as_mut().poll(cx)
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").finish_non_exhaustive()
    }
}

/// Where connections come from.
pub(crate) trait Accept {
    type Io: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted<Self::Io>>>;
}

pub(crate) struct Accepted<I> {
    pub(crate) io: I,
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
}

/// A TCP socket, and what is set on the connections it accepts.
#[derive(Debug)]
pub(crate) struct Tcp {
    pub(crate) socket: TcpListener,
    pub(crate) nodelay: bool,
}

impl Accept for Tcp {
    type Io = TcpStream;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted<TcpStream>>> {
        self.socket.poll_accept(cx).map(|accepted| {
            let (io, peer) = accepted?;
            // Both fail only on a connection that is broken already.
            let set_up = || {
                io.set_nodelay(self.nodelay)?;
                io.local_addr()
            };
            let local = set_up()
                .map_err(|error| io::Error::new(io::ErrorKind::ConnectionAborted, error))?;
            Ok(Accepted { io, local, peer })
        })
    }
}

/// Accepts until the drain begins, then sees it through.
pub(crate) async fn run<A, S, RB>(
    mut socket: A,
    owner: Owner,
    protocol: Protocol,
    drain_timeout: Duration,
    service: S,
) -> Drained
where
    A: Accept,
    S: Service<Request<Body>, Response = Response<RB>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    RB: http_body::Body + Send + 'static,
    RB::Data: Send,
    RB::Error: Into<BoxError>,
{
    let drain = &owner.0;
    let admitting = Arc::clone(drain);
    // The tasks need no keeper: `owner`, dropped with this future, cuts them all.
    let serve = move |Accepted { io, local, peer }| {
        let id = ConnectionId::next();
        let info = ConnectInfo { id, local, peer };
        tracing::trace!(%id, %peer, %local, "connection accepted");
        tokio::spawn(
            protocol
                .clone()
                .serve(io, info, admitting.admit(id), service.clone()),
        );
    };

    // ## Serving => Draining
    let mut draining = pin!(drain.reached(Phase::Draining));
    loop {
        tokio::select! {
            biased;
            () = &mut draining => break,
            accepted = accept(&mut socket) => serve(accepted),
        }
    }
    // The peer of a connection in the backlog believes to be connected: it is served what it has sent. tokio's budget for one poll
    // bounds this under a flood.
    while let Poll::Ready(accepted) = poll_fn(|cx| Poll::Ready(socket.poll_accept(cx))).await {
        match accepted {
            Ok(accepted) => serve(accepted),
            Err(error) if is_of_one_connection(&error) => {}
            Err(_) => break,
        }
    }
    // From here on, connects are refused, and the service belongs to its connections.
    drop((socket, serve));
    drain.close();
    tracing::info!(in_flight = drain.in_flight(), timeout = ?drain_timeout, "draining");

    // ## Draining => (Cut | Ended)
    if time::timeout(drain_timeout, drain.reached(Phase::Cut))
        .await
        .is_err()
    {
        tracing::warn!(
            in_flight = drain.in_flight(),
            "the drain is at its deadline: cutting"
        );
        drain.cut();
    }
    // ## Cut => Ended
    drain.reached(Phase::Ended).await;
    let counts = drain.counts();
    tracing::info!(drained = counts.drained, cut = counts.cut, "drained");
    counts
}

/// The next connection, whatever errors come before it.
async fn accept<A: Accept>(socket: &mut A) -> Accepted<A::Io> {
    let mut backoff = Backoff::default();
    loop {
        match poll_fn(|cx| socket.poll_accept(cx)).await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_one_connection(&error) => {
                tracing::debug!(%error, "a connection broke before it was accepted");
            }
            Err(error) => {
                let delay = backoff.next_delay();
                tracing::error!(%error, ?delay, "cannot accept connections: trying again");
                time::sleep(delay).await;
            }
        }
    }
}

/// Whether an error of accept says something about the connection only, and nothing about the socket.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// How long to leave a socket alone that cannot accept: 10 ms, then doubled, up to 1 s.
///
/// Mostly there are no file descriptors left. Asking again at once would spin; asking late would keep peers waiting.
#[derive(Debug)]
struct Backoff(Duration);

impl Backoff {
    const MAX: Duration = Duration::from_secs(1);

    fn next_delay(&mut self) -> Duration {
        let delay = self.0;
        self.0 = (delay * 2).min(Self::MAX);
        delay
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self(Duration::from_millis(10))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, convert::Infallible};

    use tokio::{io::DuplexStream, time::Instant};
    use tower::service_fn;

    use super::*;
    use crate::{ShutdownHandle, drain::Drain};

    /// Fails as told, then accepts, and after that never again.
    struct Script {
        errors: VecDeque<io::ErrorKind>,
        polls: usize,
    }

    impl Accept for Script {
        type Io = DuplexStream;

        fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<Accepted<DuplexStream>>> {
            self.polls += 1;
            Poll::Ready(match self.errors.pop_front() {
                Some(kind) => Err(kind.into()),
                None => Ok(Accepted {
                    io: tokio::io::duplex(1).0,
                    local: ([127, 0, 0, 1], 1).into(),
                    peer: ([127, 0, 0, 1], 2).into(),
                }),
            })
        }
    }

    fn script(errors: impl IntoIterator<Item = io::ErrorKind>) -> Script {
        Script {
            errors: errors.into_iter().collect(),
            polls: 0,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn backs_off_from_errors_of_the_socket_and_not_from_those_of_a_connection() {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, OutOfMemory};

        let mut socket = script([ConnectionAborted, ConnectionReset]);
        let start = Instant::now();
        accept(&mut socket).await;
        assert_eq!((start.elapsed().as_millis(), socket.polls), (0, 3));

        let mut socket = script([OutOfMemory, ConnectionAborted, OutOfMemory, OutOfMemory]);
        accept(&mut socket).await;
        assert_eq!(start.elapsed().as_millis(), 10 + 20 + 40);
        assert_eq!(socket.polls, 5);
    }

    #[test]
    fn the_back_off_is_at_most_a_second() {
        let mut backoff = Backoff::default();
        let delays: Vec<_> = std::iter::repeat_with(|| backoff.next_delay().as_millis())
            .take(9)
            .collect();
        assert_eq!(delays, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_interrupts_the_back_off() {
        let drain = Drain::new();
        let handle = ShutdownHandle(Arc::clone(&drain));
        let service = service_fn(|_: Request<Body>| async {
            Ok::<_, Infallible>(Response::new(Body::empty()))
        });
        let start = Instant::now();
        let errors = std::iter::repeat_n(io::ErrorKind::OutOfMemory, 100);
        let running = run(
            script(errors),
            Owner(drain),
            Protocol::new(crate::HttpSettings::default()),
            Duration::from_secs(25),
            service,
        );
        let shutdown = async {
            // The back-off is at a second each by then: from 2.27 s to 3.27 s.
            time::sleep(Duration::from_millis(2500)).await;
            handle.shutdown();
        };
        let (drained, ()) = tokio::join!(running, shutdown);
        assert_eq!(drained, Drained::default());
        assert_eq!(start.elapsed().as_millis(), 2500);
    }
}
