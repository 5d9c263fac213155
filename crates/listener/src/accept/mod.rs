//! Where connections come from, and layers over that.
//!
//! [`Accept`] is a stream of connections: a socket, a channel, or a layer over another. A [`Listener`](crate::Listener) takes its
//! layers by [`layer`](crate::Listener::layer); each also works alone, over any accept stream, under any server.
//!
//! | Layer | What it does |
//! |---|---|
//! | [`BackOffLayer`] | waits when the process has no descriptors left, in place of spinning |
//! | [`ConnectionLimit`] | so many connections at once |
//! | [`PeerLimit`] | so many connections at once from one address or network |
//! | [`HandshakeLayer`](crate::HandshakeLayer) | what has to be said before HTTP: PROXY header, TLS |
//!
//! # Placement
//!
//! The layer that was added last is asked first. A listener has a back-off of its own around all of them.

pub mod back_off;
pub mod connection_limit;
mod guarded;
pub mod peer_limit;

use std::{
    error::Error,
    fmt, io,
    task::{Context, Poll},
};

pub use self::{
    back_off::{BackOff, BackOffLayer},
    connection_limit::{AtLimit, ConnectionLimit, LimitConnections, Place},
    guarded::Guarded,
    peer_limit::{LimitPeers, PeerLimit, PeerPlace},
};
use crate::{Address, ConnectInfo};

/// A stream of connections.
///
/// It never ends. An error is not its end either: whoever polls it asks again, after a while if the error
/// [is not of one connection](AcceptError::is_of_one_connection).
///
/// # Readiness and cancellation
///
/// `poll_accept` keeps what it has begun in `self`, so that not asking again loses no connection that a later call would not give.
///
/// ```
/// use bartizan_listener::{Accept, AcceptError, Accepted, Address, ConnectInfo};
/// use std::task::{Context, Poll};
/// use tokio::{io::DuplexStream, sync::mpsc};
///
/// /// Connections from a channel.
/// struct Handed(mpsc::Receiver<DuplexStream>);
///
/// impl Accept for Handed {
///     type Io = DuplexStream;
///
///     fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Accepted<DuplexStream>, AcceptError>> {
///         match self.0.poll_recv(cx) {
///             Poll::Ready(Some(io)) => {
///                 Poll::Ready(Ok(Accepted::new(io, ConnectInfo::new(Address::Memory, Address::Memory))))
///             }
///             // Nobody is left who could connect.
///             Poll::Ready(None) | Poll::Pending => Poll::Pending,
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (connect, handed) = mpsc::channel(1);
/// let mut handed = Handed(handed);
/// connect.send(tokio::io::duplex(64).0).await.unwrap();
/// let accepted = std::future::poll_fn(|cx| handed.poll_accept(cx)).await.unwrap();
/// assert_eq!(accepted.info.peer(), &Address::Memory);
/// # }
/// ```
pub trait Accept {
    /// The transport of a connection.
    type Io;

    /// The next connection.
    ///
    /// # Errors
    ///
    /// If a connection could not be accepted, or was refused, or if none can be accepted at the moment.
    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Accepted<Self::Io>, AcceptError>>;
}

impl<A: Accept + ?Sized> Accept for Box<A> {
    type Io = A::Io;

    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Accepted<Self::Io>, AcceptError>> {
        (**self).poll_accept(cx)
    }
}

/// A connection, and what is known about it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Accepted<IO> {
    /// The transport.
    pub io: IO,
    /// What is known about it.
    pub info: ConnectInfo,
}

impl<IO> Accepted<IO> {
    /// A connection.
    pub const fn new(io: IO, info: ConnectInfo) -> Self {
        Self { io, info }
    }

    /// The same connection with another transport around, or in place of, its own.
    pub fn map<T>(self, f: impl FnOnce(IO) -> T) -> Accepted<T> {
        Accepted {
            io: f(self.io),
            info: self.info,
        }
    }
}

/// Why there is no connection.
///
/// The message says what to do; what the system said is its source.
///
/// ```
/// use bartizan_listener::AcceptError;
/// use std::io;
///
/// let reset = AcceptError::from(io::Error::from(io::ErrorKind::ConnectionReset));
/// assert!(reset.is_of_one_connection());
///
/// let exhausted = AcceptError::from(io::Error::other("too many open files"));
/// assert!(!exhausted.is_of_one_connection());
/// assert_eq!(exhausted.to_string(), "cannot accept connections: see whether the process may open enough files");
/// ```
#[derive(Debug)]
pub struct AcceptError(Kind);

#[derive(Debug)]
enum Kind {
    Io(io::Error),
    Refused { peer: Address, why: Refusal },
    Handshake(crate::HandshakeError),
}

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// There were as many connections as there may be: see [`ConnectionLimit`].
    Full,
    /// Its peer had as many connections as it may have: see [`PeerLimit`].
    PeerFull,
}

impl AcceptError {
    /// A connection from `peer` was closed at once.
    pub const fn refused(peer: Address, why: Refusal) -> Self {
        Self(Kind::Refused { peer, why })
    }

    pub(crate) const fn handshake(error: crate::HandshakeError) -> Self {
        Self(Kind::Handshake(error))
    }

    /// Whether it says something about one connection only. The next may be asked for at once.
    pub fn is_of_one_connection(&self) -> bool {
        match &self.0 {
            Kind::Io(error) => matches!(
                error.kind(),
                io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::Interrupted
            ),
            Kind::Refused { .. } | Kind::Handshake(_) => true,
        }
    }

    /// Why the connection was refused, if it was, and from whom it came.
    pub const fn refusal(&self) -> Option<(Refusal, &Address)> {
        match &self.0 {
            Kind::Refused { peer, why } => Some((*why, peer)),
            Kind::Io(_) | Kind::Handshake(_) => None,
        }
    }

    /// What went wrong before HTTP began, if anything did.
    pub const fn as_handshake(&self) -> Option<&crate::HandshakeError> {
        match &self.0 {
            Kind::Handshake(error) => Some(error),
            Kind::Io(_) | Kind::Refused { .. } => None,
        }
    }
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> Self {
        Self(Kind::Io(error))
    }
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Io(_) if self.is_of_one_connection() => {
                f.write_str("a connection broke before it was accepted")
            }
            Kind::Io(_) => f.write_str(
                "cannot accept connections: see whether the process may open enough files",
            ),
            Kind::Refused { peer, why } => {
                write!(f, "a connection from {peer} was refused: {why}")
            }
            Kind::Handshake(_) => f.write_str("a connection ended before HTTP began"),
        }
    }
}

impl Error for AcceptError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Kind::Io(error) => Some(error),
            Kind::Handshake(error) => Some(error),
            Kind::Refused { .. } => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "there are as many connections as there may be",
            Self::PeerFull => "its peer has as many connections as it may have",
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::VecDeque;

    use tokio::io::DuplexStream;

    use super::*;

    /// Fails as told, then accepts connections from one peer without end.
    pub(crate) struct Script {
        pub(crate) errors: VecDeque<io::ErrorKind>,
        pub(crate) peers: VecDeque<Address>,
        pub(crate) polls: usize,
    }

    impl Script {
        pub(crate) fn failing(errors: impl IntoIterator<Item = io::ErrorKind>) -> Self {
            Self {
                errors: errors.into_iter().collect(),
                peers: VecDeque::new(),
                polls: 0,
            }
        }

        pub(crate) fn of_peers(peers: impl IntoIterator<Item = Address>) -> Self {
            Self {
                peers: peers.into_iter().collect(),
                ..Self::failing([])
            }
        }
    }

    impl Accept for Script {
        type Io = DuplexStream;

        fn poll_accept(
            &mut self,
            _: &mut Context<'_>,
        ) -> Poll<Result<Accepted<DuplexStream>, AcceptError>> {
            self.polls += 1;
            Poll::Ready(match self.errors.pop_front() {
                Some(kind) => Err(io::Error::from(kind).into()),
                None => {
                    let peer = self.peers.pop_front().unwrap_or(Address::Memory);
                    let info = ConnectInfo::new(Address::Memory, peer);
                    Ok(Accepted::new(tokio::io::duplex(1).0, info))
                }
            })
        }
    }

    pub(crate) fn poll<A: Accept>(accept: &mut A) -> Poll<Result<Accepted<A::Io>, AcceptError>> {
        accept.poll_accept(&mut Context::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn messages_leave_the_cause_to_the_source() {
        let error = AcceptError::from(io::Error::other("the cause"));
        assert!(!error.to_string().contains("the cause"));
        assert_eq!(error.source().expect("kept").to_string(), "the cause");

        let error = AcceptError::refused(Address::Memory, Refusal::PeerFull);
        assert_eq!(
            error.to_string(),
            "a connection from memory was refused: its peer has as many connections as it may have"
        );
        assert!(error.is_of_one_connection() && error.source().is_none());
    }
}
