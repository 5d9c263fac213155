//! What the core and its shell say to each other.

use std::time::Duration;

/// What a pool may have at most.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Connections to one origin.
    pub(crate) per_origin: usize,
    /// Connections to all origins.
    pub(crate) total: usize,
    /// Unused connections to one origin.
    pub(crate) idle_per_origin: usize,
    /// Unused connections to all origins.
    pub(crate) idle_total: usize,
    /// Waiters of one origin.
    pub(crate) waiting: usize,
    /// HTTP/2 connections to one origin.
    pub(crate) http2_per_origin: usize,
    /// Streams on one HTTP/2 connection, whatever the peer allows.
    pub(crate) streams: usize,
    /// How long a connection may be unused.
    pub(crate) idle_timeout: Duration,
    /// Requests on one connection.
    pub(crate) requests: u64,
}

/// A connection, from its dial until its socket is gone. Never that of another, though places are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConnId {
    pub(super) at: usize,
    pub(crate) serial: u64,
}

/// A waiter, until it is taken or cancelled. Its owner does one of the two, once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WaiterId(pub(super) usize);

/// What the shell has to do, without the lock.
#[derive(Debug)]
pub(crate) enum Action<K, T, W> {
    /// Connect, and say [`Core::dialed`] or [`Core::dial_failed`].
    Dial { id: ConnId, key: K },
    /// Close the connection, and say [`Core::closed`].
    Close { conn: T, why: Why },
    /// Drop it, which may run somebody else's code.
    Drop { conn: T },
    /// Wake a waiter.
    Wake(W),
}

pub(crate) type Actions<K, T, W> = Vec<Action<K, T, W>>;

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Why {
    /// It was unused for too long.
    Idle,
    /// It was too old, or had carried enough requests.
    Retired,
    /// Another origin needed the room, or there were unused ones enough.
    Room,
    /// It cannot carry another request.
    Spent,
    /// The pool was told to, and it was unused.
    Asked,
    /// The pool was told to, and its time was up.
    Cut,
}

impl Why {
    pub(crate) const ALL: [Self; 6] = [
        Self::Idle,
        Self::Retired,
        Self::Room,
        Self::Spent,
        Self::Asked,
        Self::Cut,
    ];
}

/// What a connection speaks, or what an origin is known to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http1,
    Http2,
}

/// A connection for one request.
#[derive(Debug)]
pub(crate) struct Grant<T> {
    pub(crate) id: ConnId,
    pub(crate) conn: T,
    /// How many requests it was given before.
    pub(crate) carried: u64,
}

#[derive(Debug)]
pub(crate) enum Acquired<T> {
    Now(Grant<T>),
    Later(WaiterId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// As many wait as may.
    QueueFull,
    /// The pool takes no more requests.
    Draining,
}

/// The pool's figures at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) origins: usize,
    pub(crate) dialing: usize,
    pub(crate) idle: usize,
    pub(crate) in_use: usize,
    pub(crate) closing: usize,
    pub(crate) leases: usize,
    pub(crate) waiting: usize,
    pub(crate) counts: Counts,
}

/// What a pool has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) dialed: u64,
    pub(crate) reused: u64,
    pub(crate) waited: u64,
    pub(crate) refused: u64,
}
