//! Why a connection ended before HTTP began.

use std::{error::Error, fmt, time::Duration};

use bartizan_core::{BoxError, find};

use crate::{AcceptError, Address, Refusal};

/// A handshake failed, or was not done in time. What it failed of is the source.
#[derive(Debug)]
pub struct HandshakeError {
    peer: Address,
    why: Why,
}

#[derive(Debug)]
enum Why {
    TimedOut(Duration),
    Failed(BoxError),
}

impl HandshakeError {
    pub(crate) const fn timed_out(peer: Address, after: Duration) -> Self {
        Self {
            peer,
            why: Why::TimedOut(after),
        }
    }

    pub(crate) const fn failed(peer: Address, error: BoxError) -> Self {
        Self {
            peer,
            why: Why::Failed(error),
        }
    }

    /// Whether the deadline came first.
    pub const fn is_timeout(&self) -> bool {
        matches!(self.why, Why::TimedOut(_))
    }

    /// Why the connection was refused, if nothing failed, and there was no place for it: see [`PeerLimit`](crate::PeerLimit).
    pub fn refusal(&self) -> Option<Refusal> {
        match &self.why {
            Why::Failed(error) => {
                let refused = find::<AcceptError>(&**error)?.refusal()?;
                Some(refused.0)
            }
            Why::TimedOut(_) => None,
        }
    }

    /// The address at the other end.
    pub const fn peer(&self) -> &Address {
        &self.peer
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why {
            Why::TimedOut(after) => write!(
                f,
                "the handshake with {} was not done within {after:?}: see whether the peer is slow, or the limit on handshakes low",
                self.peer
            ),
            Why::Failed(_) => write!(f, "the handshake with {} failed", self.peer),
        }
    }
}

impl Error for HandshakeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.why {
            Why::Failed(error) => Some(&**error),
            Why::TimedOut(_) => None,
        }
    }
}
