//! What a connection has done so far.

use crate::{ConnectionId, FrameCounts};

/// The counts of one connection, from [`ShutdownHandle::connections`](crate::ShutdownHandle::connections). They are logged, too, when
/// the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionStats {
    /// Which connection.
    pub id: ConnectionId,
    /// Whether it speaks HTTP/2. `false` before it has said anything.
    pub is_http2: bool,
    /// How many requests it has brought.
    pub requests: u64,
    /// How many of them are in flight.
    pub in_flight: usize,
    /// Bytes read from it, whatever they were.
    pub bytes_read: u64,
    /// Bytes written to it.
    pub bytes_written: u64,
    /// The frames that the peer has sent, over HTTP/2.
    pub frames: FrameCounts,
}
