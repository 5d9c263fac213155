//! The accept loops, and the future that runs them.

use std::{
    error::Error,
    fmt,
    future::{Future, poll_fn},
    panic::resume_unwind,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    task::{JoinError, JoinSet},
    time::{self, Instant},
};

use crate::{
    Accept, AcceptError, Accepted, BackOff, Drained, Metered, Observer,
    bounds::{Answering, Handshake, Transport},
    connection,
    drain::{Connection, Drain, Owner, Phase},
    handshake::Gate,
    monitor::Monitor,
    place::{Place, Protocol},
};

/// How long a handshake may go on once the drain has begun.
///
/// As long as a connection without requests may take to close: that is what it would be.
const FAREWELL: Duration = Duration::from_secs(1);

/// Something that ends when it has asked for the shutdown that it is there to ask for.
pub(crate) type Trigger = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A listener that serves; the future of [`Listener::serve`](crate::Listener::serve).
///
/// It ends with the drain, and so never if nothing shuts it down. Nothing happens before it is first polled. Then its connections
/// are tasks of the runtime it is polled on, and it has to be polled on: it accepts. With several sockets, accepting is done by tasks,
/// too, one for each.
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

/// What is done with connections. Every accept loop has a clone.
#[derive(Clone)]
pub(crate) struct Server<H, S> {
    pub(crate) protocol: Arc<Protocol>,
    pub(crate) gate: Gate,
    pub(crate) handshake: H,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) service: S,
}

/// Accepts until the drain begins, then sees it through.
pub(crate) async fn run<A, H, S>(
    sources: Vec<A>,
    owner: Owner,
    drain_timeout: Duration,
    server: Server<H, S>,
) -> Drained
where
    A: Accept<Io: Transport> + Send + 'static,
    H: Handshake<A::Io>,
    S: Answering,
{
    let drain = &owner.0;
    let observer = server.observer.clone();

    // ## Serving => Leaving => Draining
    tokio::join!(accept_all(sources, drain, server), depart(drain));
    drain.close();
    let in_flight = drain.in_flight();
    tracing::info!(in_flight, timeout = ?drain_timeout, "draining");
    if let Some(observer) = &observer {
        observer.draining(in_flight);
    }

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
    if let Some(observer) = &observer {
        observer.drained(counts);
    }
    counts
}

/// Waits until the listener is asked to stop, and then for as long as whoever routes requests here may need to notice, or until somebody
/// is in a hurry. Then the drain begins.
async fn depart(drain: &Drain) {
    drain.reached(Phase::Leaving).await;
    if drain.phase() == Phase::Leaving {
        let delay = drain.delay();
        tracing::info!(?delay, "shutting down: not ready, and still serving");
        let _ = time::timeout(delay, drain.reached(Phase::Draining)).await;
    }
    drain.begin();
}

/// Accepts from every source until the drain begins. Then they are closed, and further connects refused.
async fn accept_all<A, H, S>(sources: Vec<A>, drain: &Arc<Drain>, server: Server<H, S>)
where
    A: Accept<Io: Transport> + Send + 'static,
    H: Handshake<A::Io>,
    S: Answering,
{
    let sources = match <[A; 1]>::try_from(sources) {
        Ok([source]) => return accept_from(source, drain, server).await,
        Err(sources) => sources,
    };
    // Each on whatever core has time. Dropped with this future, they are aborted.
    let mut loops = JoinSet::new();
    for source in sources {
        let (drain, server) = (Arc::clone(drain), server.clone());
        loops.spawn(async move { accept_from(source, &drain, server).await });
    }
    drop(server);
    while let Some(ended) = loops.join_next().await {
        // An accept stream of somebody else's panicked. The others go down with it, as the only one would: or peers would wait in
        // the backlog of a socket that nobody looks at.
        if let Err(Ok(panic)) = ended.map_err(JoinError::try_into_panic) {
            resume_unwind(panic);
        }
    }
}

async fn accept_from<A, H, S>(source: A, drain: &Arc<Drain>, server: Server<H, S>)
where
    A: Accept<Io: Transport> + Send + 'static,
    H: Handshake<A::Io>,
    S: Answering,
{
    let mut source = BackOff::new(source);
    let admitting = Arc::clone(drain);
    let take = move |accepted| match accepted {
        // The tasks need no keeper: the owner of the drain, when it is dropped, cuts them all.
        Ok(accepted) => drop(tokio::spawn(serve(&admitting, accepted, server.clone()))),
        Err(error) => note(&error, &admitting.monitor, server.observer.as_deref()),
    };
    let mut draining = pin!(drain.reached(Phase::Draining));
    loop {
        tokio::select! {
            biased;
            () = &mut draining => break,
            accepted = poll_fn(|cx| source.poll_accept(cx)) => take(accepted),
        }
    }
    // The peer of a connection in the backlog believes to be connected: it is served what it has sent. tokio's budget for one poll
    // bounds this under a flood.
    source.hurry();
    while let Poll::Ready(accepted) = poll_fn(|cx| Poll::Ready(source.poll_accept(cx))).await {
        take(accepted);
    }
}

/// A connection that was not to be.
fn note(error: &AcceptError, monitor: &Monitor, observer: Option<&dyn Observer>) {
    tracing::debug!(error = error as &dyn Error, "no connection");
    if let Some((why, peer)) = error.refusal() {
        monitor.refused.fetch_add(1, Relaxed);
        if let Some(observer) = observer {
            observer.refused(peer, why);
        }
    } else {
        monitor.accept_failures.fetch_add(1, Relaxed);
        if let Some(observer) = observer {
            observer.accept_failed(error);
        }
    }
}

/// One connection: counted from here on, then its handshakes, then HTTP.
fn serve<C, H, S>(
    drain: &Arc<Drain>,
    accepted: Accepted<C>,
    server: Server<H, S>,
) -> impl Future<Output = ()> + Send + use<C, H, S>
where
    C: Send + 'static,
    H: Handshake<C>,
    S: Answering,
{
    let Accepted { io, info } = accepted;
    tracing::trace!(id = %info.id(), peer = %info.peer(), local = %info.local(), "connection accepted");
    let monitor = Arc::clone(&drain.monitor);
    let tally = monitor.open(info.clone(), server.observer.clone());
    let accepted = Accepted::new(Metered::new(io, Arc::clone(&tally)), info);
    // Taken apart out here: the task has no room for the parts and the whole.
    let Server {
        protocol,
        gate,
        handshake,
        service,
        ..
    } = server;
    let place = Arc::new(Place {
        protocol,
        // Before the task runs: a drain that begins now waits for it.
        connection: drain.admit(tally),
    });
    async move {
        let under_way = monitor.handshake();
        let connection = &place.connection;
        let performed = perform(&gate, handshake, accepted, connection, &monitor).await;
        drop(under_way);
        if let Some(io) = performed {
            connection::serve(io, place, service).await;
        }
    }
}

/// The transport, when its handshakes are done. `None` if they came to nothing.
async fn perform<H: Handshake<C>, C>(
    gate: &Gate,
    handshake: H,
    accepted: Accepted<Metered<C>>,
    connection: &Connection,
    monitor: &Monitor,
) -> Option<H::Io> {
    let began = Instant::now();
    let activity = connection.activity();
    let performed = tokio::select! {
        biased;
        performed = gate.perform(handshake, accepted) => performed,
        () = async {
            activity.draining().await;
            activity.dismissed(FAREWELL).await;
        } => return None,
    };
    let observer = connection.observer();
    let told = |result| {
        if let Some(observer) = observer {
            observer.handshake_ended(connection.info(), result, began.elapsed());
        }
    };
    match performed {
        Ok(Accepted { io, info }) => {
            connection.settle(info);
            told(Ok(()));
            Some(io)
        }
        Err(error) => {
            let info = connection.info();
            tracing::debug!(id = %info.id(), error = &error as &dyn Error, "closing a connection before HTTP began");
            if let Some(why) = error.refusal() {
                monitor.refused.fetch_add(1, Relaxed);
                if let Some(observer) = observer {
                    observer.refused(info.client(), why);
                }
            } else {
                monitor.handshakes_failed.fetch_add(1, Relaxed);
                told(Err(&error));
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, io};

    use bartizan_core::Body;
    use http::{Request, Response};
    use tower::service_fn;

    use super::*;
    use crate::{Plain, ShutdownHandle, accept::tests::Script};

    #[tokio::test(start_paused = true)]
    async fn shutdown_interrupts_the_back_off() {
        let drain = Drain::new();
        let handle = ShutdownHandle(Arc::clone(&drain));
        let start = Instant::now();
        let errors = std::iter::repeat_n(io::ErrorKind::OutOfMemory, 100);
        let server = Server {
            protocol: Protocol::new(crate::HttpSettings::default()),
            gate: Gate::new(),
            handshake: Plain::default(),
            observer: None,
            service: service_fn(|_: Request<Body>| async {
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }),
        };
        let sources = vec![Script::failing(errors)];
        let running = run(sources, Owner(drain), Duration::from_secs(25), server);
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
