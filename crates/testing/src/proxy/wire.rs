//! What a script says of one connection.

use std::time::Duration;

use bytes::Bytes;

use super::script::Script;

/// How one connection through a [`FaultProxy`](super::FaultProxy) behaves. [`Wire::new`] is one that does no harm.
///
/// ```
/// use bartizan_testing::{Flow, Wire};
/// use std::time::Duration;
///
/// let slow_and_short = Wire::new()
///     .latency(Duration::from_millis(20))
///     .to_client(Flow::new().close_at(100));
/// let script = [Wire::reset(), Wire::silent(), slow_and_short, Wire::new()];
/// # assert_eq!(script.len(), 4);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Wire {
    /// What happens before anything is forwarded.
    pub(super) at_once: Option<Ending>,
    pub(super) to_server: Flow,
    pub(super) to_client: Flow,
    pub(super) idle: Option<Duration>,
}

/// How a connection, or one of its directions, ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// In order: FIN.
    Close,
    /// Not in order: RST.
    Reset,
    /// It does not.
    Stall,
}

impl Wire {
    /// Forwards everything, both ways, unharmed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts, and closes at once: the client reads the end, or, if it goes on sending, a reset, as from every closed socket. The
    /// upstream sees nothing of it.
    pub fn closed() -> Self {
        Self::ended(Ending::Close)
    }

    /// Accepts, and resets at once: the nearest that a port which listens can come to refusing. For a real refusal there is
    /// [`FaultProxy::refuse`](super::FaultProxy::refuse). The upstream sees nothing of it.
    pub fn reset() -> Self {
        Self::ended(Ending::Reset)
    }

    /// Accepts, and then neither reads, nor answers, nor closes: a host that is gone without a word. The upstream sees nothing of it.
    pub fn silent() -> Self {
        Self::ended(Ending::Stall)
    }

    fn ended(ending: Ending) -> Self {
        Self {
            at_once: Some(ending),
            ..Self::default()
        }
    }

    /// Delays what goes either way, the end included. See [`Flow::latency`].
    #[must_use]
    pub fn latency(mut self, each_way: Duration) -> Self {
        self.to_server.latency = each_way;
        self.to_client.latency = each_way;
        self
    }

    /// What happens to the bytes from the client to the upstream.
    #[must_use]
    pub fn to_server(mut self, flow: Flow) -> Self {
        self.to_server = flow;
        self
    }

    /// What happens to the bytes from the upstream to the client.
    #[must_use]
    pub fn to_client(mut self, flow: Flow) -> Self {
        self.to_client = flow;
        self
    }

    /// Closes the connection, in order, once nothing was forwarded either way for this long: a server's keep-alive timeout.
    #[must_use]
    pub const fn close_after_idle(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }
}

/// What happens to the bytes of one direction. Offsets count the bytes that the sender sent, from the start of the connection.
///
/// Of several endings the first to be reached counts, and of two at one offset the one that was said last.
///
/// ```
/// use bartizan_testing::{Flow, Wire};
/// use std::time::Duration;
///
/// // 10 bytes a second, some of them wrong, and none after the hundredth.
/// let bad = Flow::new()
///     .drip(1, Duration::from_millis(100))
///     .inject(40, "\0\0\0")
///     .stall_at(100);
/// # let _ = Wire::new().to_client(bad);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Flow {
    pub(super) latency: Duration,
    pub(super) pace: Option<(usize, Duration)>,
    pub(super) script: Script,
}

impl Flow {
    /// Forwards everything unharmed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Delays every byte, and the end, by this much of tokio's time. Bytes on their way do not wait for each other: it is a long line,
    /// not a thin one. The TCP handshake is the kernel's, and is not delayed.
    #[must_use]
    pub const fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Forwards at most `bytes` at a time, and waits for `every` of tokio's time after each: a thin line.
    ///
    /// # Panics
    ///
    /// If `bytes` is 0: that is [`stall_at`](Self::stall_at).
    #[must_use]
    pub const fn drip(mut self, bytes: usize, every: Duration) -> Self {
        assert!(bytes > 0, "a drip of no bytes is `stall_at(0)`");
        self.pace = Some((bytes, every));
        self
    }

    /// Puts `garbage` where the sender's byte at `offset` would have been; that byte comes after it. It is sent as soon as all bytes
    /// before it were: garbage at 0 is there before the sender said anything.
    #[must_use]
    pub fn inject(mut self, offset: u64, garbage: impl Into<Bytes>) -> Self {
        self.script.inject(offset, garbage.into());
        self
    }

    /// Closes the connection, in order, both sides, after `bytes`.
    #[must_use]
    pub fn close_at(mut self, bytes: u64) -> Self {
        self.script.end(bytes, Ending::Close);
        self
    }

    /// Resets the connection, both sides, after `bytes`.
    #[must_use]
    pub fn reset_at(mut self, bytes: u64) -> Self {
        self.script.end(bytes, Ending::Reset);
        self
    }

    /// Forwards nothing after `bytes`, and reads nothing either, so that a sender that goes on is stopped by its full buffers. Never
    /// closes: the receiver does not learn that the sender left. The other direction goes on, until the client leaves.
    #[must_use]
    pub fn stall_at(mut self, bytes: u64) -> Self {
        self.script.end(bytes, Ending::Stall);
        self
    }
}
