//! Leaves a socket alone that cannot accept.
//!
//! With no file descriptors left (`EMFILE`, `ENFILE`) or no memory for one (`ENOBUFS`, `ENOMEM`), accepting fails at once, and
//! fails again at once: whoever asks in a loop keeps a core busy that the connections there are would need to end. So it waits:
//! 10 ms, then twice as long each time, up to 1 s. Connections that are open are not touched, and peers that connect wait in the
//! backlog. It recovers by itself, within a second after the process can accept again.
//!
//! # Placement
//!
//! Outermost: it lets through only what is an error [of one connection](crate::AcceptError::is_of_one_connection). A
//! [`Listener`](crate::Listener) has one around all of its layers.
//!
//! # State
//!
//! Each stream has its own.
//!
//! # Readiness and cancellation
//!
//! The wait belongs to the stream: not asking for a while does not start it anew.
//!
//! # Errors
//!
//! None of its own. What it waits out is logged.
//!
//! # Differences from hyper, axum and actix
//!
//! - axum's and hyper-util's accept loops sleep for a whole second after such an error, whatever it was. Here the first waits are
//!   short: most shortages of descriptors pass as fast as connections close.
//! - actix sleeps half a second.
//!
//! # Examples
//!
//! ```
//! use bartizan_listener::{Accept, BackOffLayer, Bind};
//! use std::future::poll_fn;
//! use tower::Layer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let socket = Bind::new().to("127.0.0.1:0").sockets().await?.remove(0);
//! let addr = socket.local_addr().socket_addr().unwrap();
//! let mut socket = BackOffLayer::new().layer(socket);
//!
//! let peer = tokio::net::TcpStream::connect(addr).await?;
//! let accepted = poll_fn(|cx| socket.poll_accept(cx)).await?;
//! assert_eq!(accepted.info.peer().socket_addr(), Some(peer.local_addr()?));
//! # Ok(())
//! # }
//! ```

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{self, Sleep};
use tower_layer::Layer;

use super::{Accept, AcceptError, Accepted};

/// Waits when no connection can be accepted. See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct BackOffLayer {
    _private: (),
}

impl BackOffLayer {
    /// Waits of 10 ms, then twice as long each time, up to 1 s.
    pub const fn new() -> Self {
        Self { _private: () }
    }
}

impl<A> Layer<A> for BackOffLayer {
    type Service = BackOff<A>;

    fn layer(&self, inner: A) -> BackOff<A> {
        BackOff::new(inner)
    }
}

/// An accept stream that waits. See the [module](self).
#[derive(Debug)]
pub struct BackOff<A> {
    inner: A,
    delay: Delay,
    /// Boxed, because it is there so seldom.
    wait: Option<Pin<Box<Sleep>>>,
}

impl<A> BackOff<A> {
    /// Over `inner`.
    pub const fn new(inner: A) -> Self {
        Self {
            inner,
            delay: Delay::START,
            wait: None,
        }
    }

    /// The stream below.
    pub const fn get_ref(&self) -> &A {
        &self.inner
    }

    /// Tries once more at once: there is no later.
    pub(crate) fn hurry(&mut self) {
        self.wait = None;
    }
}

impl<A: Accept> Accept for BackOff<A> {
    type Io = A::Io;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Accepted<A::Io>, AcceptError>> {
        loop {
            if let Some(wait) = &mut self.wait {
                ready!(wait.as_mut().poll(cx));
                self.wait = None;
            }
            match ready!(self.inner.poll_accept(cx)) {
                Ok(accepted) => {
                    self.delay = Delay::START;
                    return Poll::Ready(Ok(accepted));
                }
                Err(error) if error.is_of_one_connection() => return Poll::Ready(Err(error)),
                Err(error) => {
                    let delay = self.delay.next();
                    tracing::error!(
                        error = &error as &dyn Error,
                        ?delay,
                        "trying to accept again"
                    );
                    self.wait = Some(Box::pin(time::sleep(delay)));
                }
            }
        }
    }
}

/// How long to wait next.
#[derive(Clone, Copy, Debug)]
struct Delay(Duration);

impl Delay {
    const START: Self = Self(Duration::from_millis(10));
    const MAX: Duration = Duration::from_secs(1);

    fn next(&mut self) -> Duration {
        let delay = self.0;
        self.0 = (delay * 2).min(Self::MAX);
        delay
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, io::ErrorKind};

    use tokio::time::Instant;

    use super::*;
    use crate::accept::tests::Script;

    async fn accept(script: &mut BackOff<Script>) -> usize {
        let mut errors = 0;
        while poll_fn(|cx| script.poll_accept(cx)).await.is_err() {
            errors += 1;
        }
        errors
    }

    #[tokio::test(start_paused = true)]
    async fn backs_off_from_errors_of_the_socket_and_not_from_those_of_a_connection() {
        use ErrorKind::{ConnectionAborted, ConnectionReset, OutOfMemory};

        let mut socket = BackOff::new(Script::failing([ConnectionAborted, ConnectionReset]));
        let start = Instant::now();
        assert_eq!(accept(&mut socket).await, 2);
        assert_eq!((start.elapsed().as_millis(), socket.inner.polls), (0, 3));

        let errors = [OutOfMemory, ConnectionAborted, OutOfMemory, OutOfMemory];
        let mut socket = BackOff::new(Script::failing(errors));
        assert_eq!(accept(&mut socket).await, 1);
        assert_eq!(start.elapsed().as_millis(), 10 + 20 + 40);
        assert_eq!(socket.inner.polls, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn starts_anew_after_a_connection() {
        let mut socket = BackOff::new(Script::failing([ErrorKind::OutOfMemory; 3]));
        accept(&mut socket).await;
        socket.inner.errors.push_back(ErrorKind::OutOfMemory);
        let start = Instant::now();
        accept(&mut socket).await;
        assert_eq!(start.elapsed().as_millis(), 10);
    }

    #[test]
    fn the_back_off_is_at_most_a_second() {
        let mut delay = Delay::START;
        let delays: Vec<_> = std::iter::repeat_with(|| delay.next().as_millis())
            .take(9)
            .collect();
        assert_eq!(delays, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }
}
