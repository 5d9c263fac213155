//! How long each part of an exchange took.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{connection::Conn, send_body::Upload};
use crate::error::Phase;

/// Asks for the [`Timings`] of a request: one of its extensions, or a [default](crate::DefaultsLayer::options) of all requests.
///
/// A request that does not ask pays nothing: no clock is read for it, and nothing is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordTimings;

/// How long each part of an exchange took, from the call of the pool to the head of the response. In the extensions of the responses to
/// requests that [ask for it](RecordTimings).
///
/// | part | begins | ends | curl's `-w` |
/// |---|---|---|---|
/// | [`queue`](Self::queue) | with the call | with a connection | `time_queue`, and the four below |
/// | [`resolve`](Self::resolve) | as the resolver is asked | with the first address | `time_namelookup` |
/// | [`connect`](Self::connect) | with the first address | as TCP is connected | `time_connect` |
/// | [`proxy`](Self::proxy) | as the proxy is connected | with its tunnel | in `time_appconnect` |
/// | [`tls`](Self::tls) | as the origin is connected | with the end of the handshake | `time_appconnect` |
/// | [`sending`](Self::sending) | with a connection | as the last of the request is handed to it | from `time_pretransfer` to `time_posttransfer` |
/// | [`waiting`](Self::waiting) | with the end of that | with the head of the response | to `time_starttransfer` |
/// | [`total`](Self::total) | with the call | with the head of the response | `time_starttransfer` |
///
/// `queue`, `sending` and `waiting` follow on each other, and their sum is the total. The four between are parts of making a
/// connection, which the queue waits for: what the queue has beyond them is waiting for another request to be done with its
/// connection. curl's figures count from the beginning of the call each, and these are the lengths of the parts. reqwest tells none of
/// them.
///
/// An exchange is one of the pool's: with redirects or retries above it, each response has the timings of its own. What the whole call
/// took is [`ResponseExt::times`](crate::ResponseExt::times).
///
/// ```
/// use bartizan_client::{RecordTimings, RequestExt, ResponseExt, Timings, Transport};
/// use bartizan_core::Body;
/// use bartizan_testing::Loopback;
/// use http::{Request, Response};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Loopback::start(|_: Request<Body>| async { Response::new(Body::empty()) }).await;
/// let transport = Transport::new();
/// for connects in [true, false] {
///     let response = transport.get(server.uri("/")).extension(RecordTimings).send().await?;
///     let timings: &Timings = response.extensions().get().expect("as asked for");
///     // The second request found a connection.
///     assert_eq!(timings.connect().is_some(), connects);
///     assert_eq!(timings.queue() + timings.sending() + timings.waiting(), timings.total());
///     response.discard().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    queue: Duration,
    resolve: Option<Duration>,
    connect: Option<Duration>,
    proxy: Option<Duration>,
    tls: Option<Duration>,
    sending: Duration,
    waiting: Duration,
}

impl Timings {
    /// From the call until there was a connection, whether one came free or was made. A request that was sent again, because its first
    /// connection was [stale](crate::pool#stale-connections), waited until it had the second. That of an
    /// [origin's service](crate::pool::OriginService) had its connection before the call.
    pub const fn queue(&self) -> Duration {
        self.queue
    }

    /// What the name took to become an address. `None` if the connection was there before, if the host is an address, or
    /// if the connector does not [tell](crate::connect::Destination::record).
    pub const fn resolve(&self) -> Option<Duration> {
        self.resolve
    }

    /// What TCP took, to the proxy if there is one, all addresses that were tried together. `None` if the connection was there before,
    /// or if the connector does not tell. Of a connection that was begun for another request, it may be longer than the queue.
    pub const fn connect(&self) -> Option<Duration> {
        self.connect
    }

    /// What a proxy took to make a tunnel, TLS with the proxy itself included. `None` if there was none to make.
    pub const fn proxy(&self) -> Option<Duration> {
        self.proxy
    }

    /// What the TLS handshake with the origin took. `None` if there was none to make.
    pub const fn tls(&self) -> Option<Duration> {
        self.tls
    }

    /// From there being a connection until the last of the request was handed to it, a wait for `100-continue` included. Some of it
    /// may be in a buffer still: of a body that is whole, which is handed over in one piece, all. A response that came before the end of
    /// the request ends this, too.
    pub const fn sending(&self) -> Duration {
        self.sending
    }

    /// From the end of the request to the head of the response, which is known as a whole and not by its first byte: the time that
    /// the peer took, and the way there and back. Zero if the response came before the end of the request.
    pub const fn waiting(&self) -> Duration {
        self.waiting
    }

    /// From the call to the head of the response.
    pub fn total(&self) -> Duration {
        self.queue + self.sending + self.waiting
    }
}

/// The clock of a request under way, if it asks for one.
pub(super) struct Laps {
    called: Instant,
    granted: Instant,
}

impl Laps {
    pub(super) fn start() -> Self {
        let called = Instant::now();
        Self {
            called,
            granted: called,
        }
    }

    /// There is a connection.
    pub(super) fn granted(&mut self) {
        self.granted = Instant::now();
    }

    /// The head of the response is there.
    pub(super) fn stop(&self, conn: &Conn, upload: Option<&Arc<Upload>>) -> Timings {
        let now = Instant::now();
        let sent = upload.and_then(|upload| upload.over_at());
        // The end of the upload may come between the two looks.
        let sent = sent.map_or(now, |sent| sent.clamp(self.granted, now));
        // Whoever made the connection: if it was not there, this request has waited for it.
        let phases = conn
            .control
            .destination
            .phases()
            .filter(|_| conn.control.opened > self.called);
        let took = |phase| phases.and_then(|phases| phases.took(phase));
        Timings {
            queue: self.granted - self.called,
            resolve: took(Phase::Resolve),
            connect: took(Phase::Connect),
            proxy: took(Phase::Proxy),
            tls: took(Phase::Tls),
            sending: sent - self.granted,
            waiting: now - sent,
        }
    }
}

/// What the parts of making one connection took, as its connectors tell.
#[derive(Debug, Default)]
pub(crate) struct Phases([AtomicU64; 4]);

impl Phases {
    fn of(&self, phase: Phase) -> Option<&AtomicU64> {
        let index = match phase {
            Phase::Resolve => 0,
            Phase::Connect => 1,
            Phase::Proxy => 2,
            Phase::Tls => 3,
            _ => return None,
        };
        self.0.get(index)
    }

    pub(crate) fn add(&self, phase: Phase, took: Duration) {
        if let Some(sum) = self.of(phase) {
            let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            // Nothing is told by zero, and no clock is that fine.
            sum.fetch_add(nanos.max(1), Ordering::Relaxed);
        }
    }

    fn took(&self, phase: Phase) -> Option<Duration> {
        match self.of(phase)?.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }
}
