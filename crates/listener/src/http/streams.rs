//! The tasks of HTTP/2's streams, and the tunnels among them.

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::rt::Executor;
use pin_project_lite::pin_project;

use crate::in_flight::InFlight;

thread_local! {
    /// The request that becomes a tunnel with the response being given to hyper on this thread.
    static BECOMES_TUNNEL: RefCell<Option<InFlight>> = const { RefCell::new(None) };
}

/// Says that the response which is returned next, in this very poll, turns its connection, or its stream, into a tunnel.
///
/// The request is in flight for as long as the tunnel is there. Over HTTP/1.1, that is as long as the transport. Over HTTP/2, hyper
/// moves a tunnel's bytes in a task of its own, which it starts when it has that response. There is no other way to the tunnel: what
/// the user gets is hyper's own type.
pub(crate) fn hand_over(request: InFlight) {
    BECOMES_TUNNEL.set(Some(request));
}

/// The request that was [handed over](hand_over) in this very poll.
pub(crate) fn handed_over() -> Option<InFlight> {
    BECOMES_TUNNEL.take()
}

/// Runs what hyper has to run beside an HTTP/2 connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streams;

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        let tunnel = handed_over();
        tokio::spawn(Stream { task, tunnel });
    }
}

pin_project! {
    struct Stream<F> {
        #[pin]
        task: F,
        tunnel: Option<InFlight>,
    }
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let polled = this.task.poll(cx);
        // hyper may have found nobody to send the response to: then there is no tunnel.
        drop(handed_over());
        ready!(polled);
        if let Some(tunnel) = this.tunnel.take() {
            tunnel.complete_unless_cut();
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};

    use super::*;
    use crate::drain::{Drain, tests::admit};

    #[tokio::test]
    async fn a_tunnel_is_in_flight_until_its_task_ends() {
        let drain = Drain::new();
        let connection = admit(&drain);
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        hand_over(InFlight::new(&connection));
        Streams.execute(async {
            let _ = ended.await;
        });
        assert_eq!(drain.in_flight(), 1);
        drain.begin();
        end.send(()).expect("it waits");
        while drain.in_flight() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(drain.counts().drained, 1);
    }

    #[tokio::test]
    async fn a_response_that_found_no_peer_is_no_tunnel() {
        let drain = Drain::new();
        let connection = admit(&drain);
        let request = InFlight::new(&connection);
        let mut request = Some(request);
        let task = Stream {
            task: poll_fn(|_| {
                hand_over(request.take().expect("polled once"));
                Poll::Ready(())
            }),
            tunnel: None,
        };
        task.await;
        assert_eq!(drain.in_flight(), 0);
        // And the next task has nothing to do with it.
        Streams.execute(pending());
        assert_eq!(drain.in_flight(), 0);
    }
}
