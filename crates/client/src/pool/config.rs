//! What a pool may do, and for how long.

use std::{sync::Arc, time::Duration};

use bartizan_core::{BoxError, ConfigError};
use tower_service::Service;

use super::{
    core::{Limits, Speaks},
    events::{Observer, PoolEvent},
    service::Pool,
};
use crate::{
    Protocol, Timeouts,
    connect::{Alpn, Connection, Destination},
};

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(super) limits: Limits,
    pub(super) protocol: Protocol,
    pub(super) timeouts: Timeouts,
    pub(super) http2: Http2,
    pub(super) max_lifetime: Option<Duration>,
    pub(super) drain_bytes: u64,
    pub(super) drain_timeout: Duration,
    pub(super) alpn_wait: Duration,
    pub(super) observer: Observer,
}

#[derive(Clone, Debug)]
pub(super) struct Http2 {
    pub(super) streams: usize,
    pub(super) adaptive_window: bool,
    pub(super) stream_window: u32,
    pub(super) connection_window: u32,
    pub(super) keep_alive_interval: Option<Duration>,
    pub(super) keep_alive_timeout: Duration,
}

/// Each with its reason at its setter.
impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits {
                per_origin: usize::MAX,
                total: usize::MAX,
                idle_per_origin: usize::MAX,
                idle_total: usize::MAX,
                waiting: 65_536,
                http2_per_origin: 16,
                streams: 100,
                idle_timeout: Duration::from_secs(90),
                requests: u64::MAX,
            },
            protocol: Protocol::Auto,
            timeouts: Timeouts::new(),
            http2: Http2 {
                streams: 100,
                adaptive_window: false,
                stream_window: 2 * 1024 * 1024,
                connection_window: 5 * 1024 * 1024,
                keep_alive_interval: Some(Duration::from_secs(30)),
                keep_alive_timeout: Duration::from_secs(20),
            },
            max_lifetime: Some(Duration::from_secs(60 * 60)),
            drain_bytes: 64 * 1024,
            drain_timeout: Duration::from_secs(1),
            alpn_wait: Duration::from_millis(250),
            observer: Observer::default(),
        }
    }
}

impl Config {
    /// What `destination` speaks, if that is known before there is a connection.
    pub(super) fn speaks(&self, destination: &Destination) -> Option<Speaks> {
        match self.protocol {
            Protocol::Http1 => Some(Speaks::Http1),
            Protocol::Http2 => Some(Speaks::Http2),
            // In cleartext nobody says, and every server understands HTTP/1.1.
            Protocol::Auto => (!destination.is_https()).then_some(Speaks::Http1),
        }
    }

    /// What TLS may agree on, if not everything that this client speaks.
    pub(super) const fn only(&self) -> Option<Alpn> {
        match self.protocol {
            Protocol::Http1 => Some(Alpn::Http1),
            Protocol::Http2 => Some(Alpn::Http2),
            Protocol::Auto => None,
        }
    }

    /// How often connections that are over are looked for: ten times in the shortest of their times, within reason.
    pub(super) fn sweep_interval(&self) -> Duration {
        let idle = self.limits.idle_timeout;
        let shortest = self.max_lifetime.map_or(idle, |life| life.min(idle));
        (shortest / 10).clamp(Duration::from_millis(10), Duration::from_secs(10))
    }
}

/// Settings of a [`Pool`].
///
/// ```
/// use bartizan_client::{connect::Destination, pool::Pool};
/// use tokio::net::TcpStream;
///
/// // Anything that makes connections of destinations.
/// let connector = tower::service_fn(|to: Destination| async move {
///     TcpStream::connect((to.host(), to.port())).await
/// });
/// let error = Pool::builder().max_connections(0).build(connector).unwrap_err();
/// assert_eq!(error.to_string(), "invalid max_connections `0`: expected at least 1");
/// assert!(Pool::builder().max_connections(100).max_waiting(1_000).build(connector).is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct PoolBuilder {
    config: Config,
}

impl PoolBuilder {
    pub(crate) fn new() -> Self {
        Self {
            config: Config::default(),
        }
    }

    /// Sets how many connections there may be to one [`Destination`], whether they are used, unused, being made or being closed, and
    /// after an upgrade too. Requests above that wait, in the order they came.
    ///
    /// Default: no limit. The pool opens one only where a request would wait otherwise, so there are never more than requests were
    /// under way at once; a limit that nobody chose is a stall that nobody understands.
    #[must_use]
    pub const fn max_connections_per_origin(mut self, connections: usize) -> Self {
        self.config.limits.per_origin = connections;
        self
    }

    /// Sets how many connections there may be in all, counted as for one origin. A request above that closes the unused connection
    /// that was used longest ago, or waits: whichever origin's request came first is served first.
    ///
    /// Default: no limit. Set one below the number of files that the process may open.
    #[must_use]
    pub const fn max_connections(mut self, connections: usize) -> Self {
        self.config.limits.total = connections;
        self
    }

    /// Sets how many unused connections to one [`Destination`] are kept. 0 keeps none: every request gets a connection of its own,
    /// or a stream on one that is in use.
    ///
    /// Default: no limit. A lower one makes every burst above it connect anew; the idle timeout takes them back.
    #[must_use]
    pub const fn max_idle_per_origin(mut self, connections: usize) -> Self {
        self.config.limits.idle_per_origin = connections;
        self
    }

    /// Sets how many unused connections are kept in all. Above that the one that was used longest ago is closed.
    ///
    /// Default: no limit.
    #[must_use]
    pub const fn max_idle(mut self, connections: usize) -> Self {
        self.config.limits.idle_total = connections;
        self
    }

    /// Sets how many requests to one [`Destination`] may wait for a connection. More are
    /// [refused at once](crate::Error::is_acquire).
    ///
    /// Default: 65,536, which is what one address of this machine has ports for. Those that wait while their own connections are
    /// being made count.
    #[must_use]
    pub const fn max_waiting(mut self, requests: usize) -> Self {
        self.config.limits.waiting = requests;
        self
    }

    pub(crate) const fn timeouts_mut(&mut self) -> &mut Timeouts {
        &mut self.config.timeouts
    }

    /// Sets how long an unused connection is kept.
    ///
    /// Default: 90 s. It bridges the pauses of a busy caller, and a quiet one gives its sockets back. Servers often close theirs
    /// sooner, which costs a new connection and no request.
    #[must_use]
    pub const fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.config.limits.idle_timeout = timeout;
        self
    }

    /// Sets how old a connection may be before it takes no more requests; each gets up to a tenth more or less, so that those made
    /// together do not end together. `None` is no limit.
    ///
    /// Default: 1 h. A busy connection would never notice that its name leads elsewhere by now; one connect in an hour is cheap.
    #[must_use]
    pub const fn max_lifetime(mut self, lifetime: Option<Duration>) -> Self {
        self.config.max_lifetime = lifetime;
        self
    }

    /// Sets how many requests one connection carries.
    ///
    /// Default: no limit.
    #[must_use]
    pub const fn max_requests(mut self, requests: u64) -> Self {
        self.config.limits.requests = requests;
        self
    }

    /// Sets what of a response that nobody reads is read nevertheless, to keep its HTTP/1.1 connection: so many bytes, and no longer
    /// than `timeout`. That is also how long an upload may stand still after its response is over.
    ///
    /// Default: 64 KiB and 1 s. A new connection costs about as much; a larger rest is not worth it.
    #[must_use]
    pub const fn drain_limits(mut self, bytes: u64, timeout: Duration) -> Self {
        self.config.drain_bytes = bytes;
        self.config.drain_timeout = timeout;
        self
    }

    /// Sets which HTTP is spoken. The version of a request is not asked.
    ///
    /// Default: [`Protocol::Auto`].
    #[must_use]
    pub const fn protocol(mut self, protocol: Protocol) -> Self {
        self.config.protocol = protocol;
        self
    }

    /// Sets how long each phase may take. Those of connecting ride on the [`Destination`], for connectors that look at them.
    ///
    /// Default: [`Timeouts::new`]. A request's own, in its extensions, replace them all. A connection is made with those of a request
    /// that waits for it.
    #[must_use]
    pub const fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.config.timeouts = timeouts;
        self
    }

    /// Sets how many HTTP/2 connections there may be to one [`Destination`]. A further one is opened when all streams of the others
    /// are in use. 1 is strictly one connection, for peers that insist.
    ///
    /// Default: 16. A peer that allows ten streams then serves 160 requests at once.
    #[must_use]
    pub const fn http2_max_connections_per_origin(mut self, connections: usize) -> Self {
        self.config.limits.http2_per_origin = connections;
        self
    }

    /// Sets how many streams one HTTP/2 connection carries at once, even if its peer allows more.
    ///
    /// Default: 100, which RFC 9113 section 6.5.2 recommends as the least a peer should allow. One lost packet stalls them all.
    #[must_use]
    pub const fn http2_max_streams(mut self, streams: usize) -> Self {
        self.config.limits.streams = streams;
        self.config.http2.streams = streams;
        self
    }

    /// Sets whether HTTP/2's flow control windows follow the measured bandwidth and delay.
    ///
    /// Default: `false`: windows of 2 MiB a stream and 5 MiB a connection, which are enough for 160 Mbit/s at 100 ms a stream.
    #[must_use]
    pub const fn http2_adaptive_window(mut self, adaptive: bool) -> Self {
        self.config.http2.adaptive_window = adaptive;
        self
    }

    /// Sets HTTP/2's initial flow control windows, in bytes: of a stream, and of a connection. Not used with an adaptive window.
    ///
    /// Default: 2 MiB and 5 MiB.
    #[must_use]
    pub const fn http2_windows(mut self, stream: u32, connection: u32) -> Self {
        self.config.http2.stream_window = stream;
        self.config.http2.connection_window = connection;
        self
    }

    /// Sets how often an HTTP/2 connection with open streams is asked whether it is alive, and how long it has to answer. `None`
    /// never asks.
    ///
    /// Default: every 30 s, and 20 s for the answer. A peer that is gone without a word is noticed by nothing else but timeouts.
    #[must_use]
    pub const fn http2_keep_alive(mut self, interval: Option<Duration>, timeout: Duration) -> Self {
        self.config.http2.keep_alive_interval = interval;
        self.config.http2.keep_alive_timeout = timeout;
        self
    }

    /// Sets how long requests wait for the first connection of an origin to say which HTTP it speaks, before they open their own.
    ///
    /// Default: 250 ms: most handshakes are over, and if it is HTTP/2 the others need none. Afterwards the answer is remembered.
    #[must_use]
    pub const fn alpn_wait(mut self, wait: Duration) -> Self {
        self.config.alpn_wait = wait;
        self
    }

    /// Calls `observer` with everything that happens to connections, on the task where it happens and never under a lock. It should
    /// return soon.
    ///
    /// Default: none.
    #[must_use]
    pub fn observer(mut self, observer: impl Fn(&PoolEvent<'_>) + Send + Sync + 'static) -> Self {
        self.config.observer = Observer(Some(Arc::new(observer)));
        self
    }

    /// The pool, over `connector`, which is cloned for each connection. It connects when it is called.
    ///
    /// # Errors
    ///
    /// If a limit or a timeout is zero that must not be.
    pub fn build<C>(self, connector: C) -> Result<Pool, ConfigError>
    where
        C: Service<Destination> + Clone + Send + Sync + 'static,
        C::Response: Connection + Send + Unpin + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send,
    {
        let limits = &self.config.limits;
        let counts = [
            ("max_connections_per_origin", limits.per_origin),
            ("max_connections", limits.total),
            ("max_waiting", limits.waiting),
            ("http2_max_connections_per_origin", limits.http2_per_origin),
            ("http2_max_streams", limits.streams),
            (
                "max_requests",
                usize::try_from(limits.requests).unwrap_or(usize::MAX),
            ),
        ];
        for (field, count) in counts {
            if count == 0 {
                return Err(ConfigError::new(field, count, "at least 1"));
            }
        }
        let times = [
            ("idle_timeout", Some(limits.idle_timeout)),
            ("max_lifetime", self.config.max_lifetime),
            ("http2_keep_alive", self.config.http2.keep_alive_interval),
            ("acquire", self.config.timeouts.acquire),
            ("resolve", self.config.timeouts.resolve),
            ("connect", self.config.timeouts.connect),
            ("tls", self.config.timeouts.tls),
            ("write", self.config.timeouts.write),
            ("first_byte", self.config.timeouts.first_byte),
            ("read", self.config.timeouts.read),
        ];
        for (field, time) in times {
            if time.is_some_and(|time| time.is_zero()) {
                return Err(ConfigError::new(field, "0ns", "more than zero"));
            }
        }
        let windows = &self.config.http2;
        for (field, window) in [
            ("http2_windows (stream)", windows.stream_window),
            ("http2_windows (connection)", windows.connection_window),
        ] {
            if !(1..=(1 << 31) - 1).contains(&window) {
                return Err(ConfigError::new(field, window, "1 to 2147483647"));
            }
        }
        Ok(Pool::of(self.config, connector))
    }
}

impl Default for PoolBuilder {
    fn default() -> Self {
        Self::new()
    }
}
