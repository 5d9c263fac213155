//! What clones of a pool share: the core behind its lock, and the hands that do what it says.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, OnceLock, Weak},
    task::{Poll, Waker},
    time::Duration,
};

use bartizan_core::BoxError;
use http::Uri;
use tokio::{
    runtime::Handle,
    sync::Notify,
    time::{Instant, sleep},
};
use tower_service::Service;

use super::{
    config::Config,
    connection::{Conn, Control, handshake},
    core::{Acquired, Action, Actions, ConnId, Core, Grant, Refused, Speaks, WaiterId, Why},
    events::{ClosedBy, PoolEvent},
    io::Stream,
    lease::{Acquiring, Lease},
    stats::PoolStats,
    sync::{Mutex, lock},
};
use crate::{
    Error, Protocol,
    connect::{Alpn, ConnectOptions, Connected, Connection, Destination, error_of},
    error::Kind,
};

/// Why there is no connection. Several waiters may have waited for the same.
pub(super) type Failure = Arc<Error>;

type PoolCore = Core<Destination, Arc<Conn>, Waker, Failure>;
type PoolActions = Actions<Destination, Arc<Conn>, Waker>;
type Made = Result<(Box<dyn Stream>, Connected), Error>;
type Connect = Box<dyn Fn(Destination) -> Pin<Box<dyn Future<Output = Made> + Send>> + Send + Sync>;

pub(super) struct Inner {
    shared: Mutex<Shared>,
    pub(super) config: Config,
    connect: Connect,
    this: Weak<Self>,
    /// Where tasks go that begin outside of any runtime, as when a body is dropped on a thread of its own.
    runtime: OnceLock<Handle>,
    drained: Notify,
}

struct Shared {
    core: PoolCore,
    is_swept: bool,
}

/// Got at once, or to be waited for.
pub(super) enum Got {
    Lease(Lease),
    Place(Acquiring),
}

impl Inner {
    pub(super) fn new<C>(config: Config, connector: C) -> Arc<Self>
    where
        C: Service<Destination> + Clone + Send + Sync + 'static,
        C::Response: Connection + Send + Unpin + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send,
    {
        let connect: Connect = Box::new(move |destination| {
            let mut connector = connector.clone();
            Box::pin(async move {
                let failed = |error: C::Error| error_of(error.into(), &destination);
                poll_fn(|cx| connector.poll_ready(cx))
                    .await
                    .map_err(failed)?;
                let connecting = connector.call(destination.clone());
                let stream = connecting.await.map_err(failed)?;
                let connected = stream.connected();
                Ok((Box::new(stream) as Box<dyn Stream>, connected))
            })
        });
        Arc::new_cyclic(|this| Self {
            shared: Mutex::new(Shared {
                core: Core::new(config.limits.clone()),
                is_swept: false,
            }),
            config,
            connect,
            this: this.clone(),
            runtime: OnceLock::new(),
            drained: Notify::new(),
        })
    }

    /// The only way to the core: what it wants done is done once the lock is free.
    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut PoolCore, Instant, &mut PoolActions) -> R) -> R {
        let now = Instant::now();
        let mut actions = Vec::new();
        let mut shared = lock(&self.shared);
        let result = f(&mut shared.core, now, &mut actions);
        let is_drained = shared.core.is_draining() && shared.core.is_empty();
        drop(shared);
        // Nearly always there are none, which costs nothing then.
        if !actions.is_empty() {
            actions.into_iter().for_each(|action| self.act(action));
        }
        if is_drained {
            self.drained.notify_waiters();
        }
        result
    }

    fn act(&self, action: Action<Destination, Arc<Conn>, Waker>) {
        match action {
            Action::Dial { id, key } => self.dial(id, key),
            Action::Close { conn, why } => {
                conn.control.set_why(why);
                // The others carry nothing, and end in order when the last handle is dropped.
                if matches!(why, Why::Spent | Why::Cut) {
                    conn.control.kill();
                }
            }
            Action::Drop { conn } => drop(conn),
            Action::Wake(waker) => waker.wake(),
        }
    }

    /// A connection for the same origin as the last request's, if `uri` is written the same way and if there is one at once.
    #[inline]
    pub(super) fn again(
        self: &Arc<Self>,
        uri: &Uri,
        options: Option<&ConnectOptions>,
    ) -> Option<Lease> {
        let is_it = |key: &Destination| key.is_written_as(uri, options);
        let grant = self.with(|core, now, actions| core.again(is_it, now, actions))?;
        let lease = Lease::new(self, grant);
        if lease.conn().is_usable() {
            return Some(lease);
        }
        lease.discard();
        None
    }

    pub(super) fn acquire(
        self: &Arc<Self>,
        destination: &Destination,
        fresh: bool,
    ) -> Result<Got, Refused> {
        let speaks = self.config.speaks(destination);
        loop {
            let got = self.with(|core, now, actions| {
                core.acquire(destination, speaks, fresh, now, actions)
            })?;
            match got {
                Acquired::Later(waiter) => return Ok(Got::Place(Acquiring::new(self, waiter))),
                Acquired::Now(grant) => {
                    let lease = Lease::new(self, grant);
                    if lease.conn().is_usable() {
                        return Ok(Got::Lease(lease));
                    }
                    // The core has not heard yet. There is one less for the next turn.
                    lease.discard();
                }
            }
        }
    }

    pub(super) fn poll_waiter(
        &self,
        waiter: &WaiterId,
        waker: &Waker,
    ) -> Option<Result<Grant<Arc<Conn>>, Failure>> {
        let waker = waker.clone();
        let (result, before) = self.with(|core, _, _| match core.take(waiter) {
            Some(result) => (Some(result), Some(waker)),
            None => (None, core.wake_by(waiter, waker)),
        });
        drop(before);
        result
    }

    pub(super) fn cancel(&self, waiter: WaiterId) {
        self.with(|core, now, actions| core.cancel(waiter, now, actions));
    }

    pub(super) fn release(&self, id: ConnId, reuse: bool) {
        self.with(|core, now, actions| core.release(id, reuse, now, actions));
    }

    pub(super) fn returning(&self, id: ConnId) {
        self.with(|core, _, _| core.returning(id));
    }

    pub(super) fn delayed(&self, id: ConnId) {
        self.with(|core, _, actions| core.delayed(id, actions));
    }

    pub(super) fn upgraded(&self, id: ConnId) {
        self.with(|core, _, actions| core.upgraded(id, actions));
    }

    pub(super) fn retire(&self, id: ConnId) {
        self.with(|core, _, actions| core.retire(id, actions));
    }

    pub(super) fn set_streams(&self, id: ConnId, streams: u32) {
        let streams = usize::try_from(streams).unwrap_or(usize::MAX);
        self.with(|core, now, actions| core.set_streams(id, streams, now, actions));
    }

    pub(super) fn closed(&self, control: &Control) {
        self.with(|core, _, actions| core.closed(control.id, actions));
        self.config.observer.tell(|| PoolEvent::Closed {
            destination: &control.destination,
            id: control.id.serial,
            why: ClosedBy::of(control.why()),
        });
    }

    pub(super) fn stats(&self) -> PoolStats {
        PoolStats::of(&lock(&self.shared).core.census())
    }

    pub(super) fn prewarm(&self, destination: &Destination, connections: usize) -> usize {
        let speaks = self.config.speaks(destination);
        self.with(|core, now, actions| core.prewarm(destination, speaks, connections, now, actions))
    }

    pub(super) fn close_idle(&self) -> usize {
        self.with(|core, _, actions| core.close_idle(actions))
    }

    /// Answers how many requests were cut off.
    pub(super) async fn drain(&self, deadline: Duration) -> usize {
        let failure = Arc::new(Error::new(Kind::QueueFull, DRAINED));
        self.with(|core, _, actions| core.drain(&failure, actions));
        if self.until_drained(deadline).await {
            return 0;
        }
        let cut = self.with(|core, _, actions| {
            core.cut(actions);
            core.census().leases
        });
        // Whoever still reads a response hears of it when they do; their sockets are gone as soon as their tasks have run.
        self.until_drained(Duration::from_secs(1)).await;
        cut
    }

    async fn until_drained(&self, within: Duration) -> bool {
        let drained = async {
            loop {
                let mut notified = pin!(self.drained.notified());
                // Before the look, so that none is missed.
                notified.as_mut().enable();
                if lock(&self.shared).core.is_empty() {
                    return;
                }
                notified.await;
            }
        };
        tokio::time::timeout(within, drained).await.is_ok()
    }

    fn dial(&self, id: ConnId, destination: Destination) {
        let destination = destination.with_phases();
        let guard = DialGuard {
            pool: self.this.clone(),
            id: Some(id),
            destination: destination.clone(),
            began: Instant::now(),
        };
        let hurry = match (self.config.protocol, destination.is_https()) {
            (Protocol::Auto, true) => Some(self.config.alpn_wait),
            _ => None,
        };
        let connecting = (self.connect)(destination.with_only(self.config.only()));
        self.spawn(dial(guard, connecting, hurry));
        self.sweep();
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(task);
                self.runtime.get_or_init(|| runtime);
            }
            // Without a runtime the task is dropped, which its guard reports.
            Err(_) => {
                if let Some(runtime) = self.runtime.get() {
                    runtime.spawn(task);
                }
            }
        }
    }

    /// Sees to it that connections that are over are looked for, while there are any.
    fn sweep(&self) {
        let was_swept = std::mem::replace(&mut lock(&self.shared).is_swept, true);
        if !was_swept {
            let sweeper = Sweeper {
                pool: self.this.clone(),
                is_over: false,
            };
            self.spawn(sweeper.run(self.config.sweep_interval()));
        }
    }

    /// Waits for its connection, and tells the core. The guard does if this is dropped before.
    async fn connect(
        self: &Arc<Self>,
        guard: &DialGuard,
        id: ConnId,
        made: Made,
    ) -> Result<(), Error> {
        let (stream, connected) = made?;
        let speaks = match (connected.alpn(), self.config.protocol) {
            (Some(Alpn::Http2), _) | (None, Protocol::Http2) => Speaks::Http2,
            (Some(Alpn::Http1), _) | (None, _) => Speaks::Http1,
        };
        let control = Control::new(
            self.this.clone(),
            id,
            guard.destination.clone(),
            connected,
            speaks,
            self.config.timeouts.write,
        );
        let shaken = handshake(stream, control.clone(), &self.config.http2);
        let (conn, driver) = shaken.await.map_err(|error| {
            Error::new(
                Kind::Connect,
                format!("the connection to {} broke at once", guard.destination),
            )
            .with_source(error)
        })?;
        let version = control.version();
        let expires = self.config.max_lifetime.and_then(|lifetime| {
            let lifetime = lifetime.as_secs_f64() * fastrand::f64().mul_add(0.2, 0.9);
            Instant::now().checked_add(Duration::try_from_secs_f64(lifetime).ok()?)
        });
        self.with(|core, now, actions| core.dialed(id, conn, speaks, expires, now, actions));
        self.config.observer.tell(|| PoolEvent::Opened {
            destination: &guard.destination,
            id: id.serial,
            version,
            took: guard.began.elapsed(),
        });
        if control.count() {
            tokio::spawn(driver);
        } else {
            // hyper has seen the end of it in the meantime.
            self.closed(&control);
        }
        Ok(())
    }
}

pub(super) const DRAINED: &str = "the pool takes no more requests: it was told to drain";

/// A dial that was begun ends in the core's books, even if its task does not.
struct DialGuard {
    pool: Weak<Inner>,
    id: Option<ConnId>,
    destination: Destination,
    began: Instant,
}

impl DialGuard {
    fn fail(&mut self, error: Error) {
        let (Some(id), Some(pool)) = (self.id.take(), self.pool.upgrade()) else {
            return;
        };
        pool.config.observer.tell(|| PoolEvent::OpenFailed {
            destination: &self.destination,
            error: &error,
            took: self.began.elapsed(),
        });
        let failure = Arc::new(error);
        pool.with(|core, _, actions| core.dial_failed(id, &failure, actions));
    }
}

impl Drop for DialGuard {
    fn drop(&mut self) {
        if self.id.is_some() {
            self.fail(Error::new(
                Kind::Connect,
                "connecting was given up: the runtime that did it has ended",
            ));
        }
    }
}

async fn dial(
    mut guard: DialGuard,
    connecting: Pin<Box<dyn Future<Output = Made> + Send>>,
    hurry: Option<Duration>,
) {
    let is_spare = match (guard.pool.upgrade(), guard.id) {
        (Some(pool), Some(id)) => pool.with(|core, _, actions| core.is_spare(id, actions)),
        _ => return,
    };
    if is_spare {
        guard.id = None;
        return;
    }
    let mut connecting = connecting;
    let mut hurry = hurry.map(|wait| Box::pin(sleep(wait)));
    let made = poll_fn(|cx| {
        if let Poll::Ready(made) = connecting.as_mut().poll(cx) {
            return Poll::Ready(made);
        }
        if hurry
            .as_mut()
            .is_some_and(|wait| wait.as_mut().poll(cx).is_ready())
        {
            hurry = None;
            if let (Some(pool), Some(id)) = (guard.pool.upgrade(), guard.id) {
                pool.with(|core, _, actions| core.hurry(id, actions));
            }
        }
        Poll::Pending
    })
    .await;
    let (Some(pool), Some(id)) = (guard.pool.upgrade(), guard.id) else {
        return;
    };
    match pool.connect(&guard, id, made).await {
        Ok(()) => guard.id = None,
        Err(error) => guard.fail(error),
    }
}

/// Closes what is over, as long as there is a pool and anything in it.
struct Sweeper {
    pool: Weak<Inner>,
    is_over: bool,
}

impl Sweeper {
    async fn run(mut self, interval: Duration) {
        loop {
            sleep(interval).await;
            let Some(pool) = self.pool.upgrade() else {
                return;
            };
            let has_more = pool.with(Core::sweep);
            if !has_more {
                // Unless a connection was begun in the meantime: whoever did relies on this sweeper.
                let mut shared = lock(&pool.shared);
                self.is_over = shared.core.is_empty();
                shared.is_swept = !self.is_over;
            }
            if self.is_over {
                return;
            }
        }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // A runtime that ends takes its tasks with it; the next dial starts another sweeper.
        if let Some(pool) = self.pool.upgrade() {
            lock(&pool.shared).is_swept = false;
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
