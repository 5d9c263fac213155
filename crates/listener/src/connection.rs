//! One connection, from accepted to closed.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_core::BoxError;
use tokio::{task::yield_now, time};

use crate::{
    ConnectInfo,
    activity::Activity,
    answer::Requests,
    bounds::{Answering, Spoken, Transport},
    http::{Forget, Seen, Speaking, Verdict, Watch, Why, handed_over},
    in_flight::InFlight,
    io::{Watched, linger},
    place::Place,
};

/// How long a connection without requests may take to close once it is asked to.
///
/// Most close at once. It is for HTTP/2, whose graceful close takes a round trip (RFC 9113 section 6.8), and it bounds two peers
/// that hyper would wait for: one that has sent a part of a request's head, and one that never answers the ping behind a GOAWAY.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a connection came to its end.
enum End {
    /// hyper is done with it: it is closed, or upgraded.
    Done(Result<(), BoxError>),
    /// It was asked to end, and did not in time.
    Dismissed,
    /// It did not keep to what is allowed.
    Closed(Why),
}

/// Serves one connection until it is closed, what it was upgraded to has ended, or it has to go.
pub(crate) async fn serve<I: Transport, S: Answering>(io: I, place: Arc<Place>, service: S) {
    let activity = &**place.activity();
    let info = place.connection.info();
    let (io, mut given_back) = Watched::new(io, Arc::clone(place.activity()));
    // The request that HTTP/1.1 is given up for.
    let mut tunnel = None;
    let end = {
        let service = Requests::new(service, Arc::clone(&place));
        let http = pin!(place.protocol.speaker.speak(io, service));
        run(http, &place, &mut tunnel).await
    };
    // hyper has dropped the transport now, unless it was upgraded. What follows is boxed: there is room for it in every connection, and
    // few come here.
    let linger_for = place.settings().linger;
    match (end, given_back.try_recv()) {
        // ## Done => (Lingering | Closed)
        (End::Done(ended), Ok(returned)) if !activity.is_flooded() => {
            log(info, ended);
            if activity.is_answering() {
                let linger = time::timeout(linger_for, linger(returned.io));
                until_cut(Box::pin(linger), activity).await;
            }
        }
        (End::Done(_), Ok(returned)) => {
            say(info, Why::Flood);
            let calm = time::timeout(linger_for, returned.calm_down());
            until_cut(Box::pin(calm), activity).await;
        }
        // ## Done => Upgraded
        (End::Done(_), Err(_)) => {
            until_cut(given_back, activity).await;
            if let Some(tunnel) = tunnel {
                tunnel.complete_unless_cut();
            }
        }
        // ## (Dismissed | Closed) => Closed
        (End::Dismissed, _) => {}
        (End::Closed(why), _) => say(info, why),
    }
    tracing::debug!(stats = ?activity.stats(info.id()), "connection closed");
}

/// Serves until hyper is done, or the connection has to go.
async fn run<I: Transport, S: Spoken>(
    mut http: Pin<&mut Speaking<'_, I, S>>,
    place: &Place,
    tunnel: &mut Option<InFlight>,
) -> End {
    let activity = &**place.activity();
    let mut poll_http = |http: Pin<&mut Speaking<'_, I, S>>, cx: &mut Context<'_>| {
        let _forget = Forget;
        let polled = http.poll(cx);
        if activity.is_tunnel() {
            *tunnel = handed_over().or(tunnel.take());
        }
        polled.map(End::Done)
    };
    let mut watch = pin!(Watch::new(&place.protocol.bounds));
    // ## Serving => (Draining | Retiring | Done | Closed)
    // Once round the runtime, so that it learns what has arrived on a connection just accepted.
    let mut round = pin!(yield_now());
    // What a drain finds idle, or has been idle for long, has reached the peer. The response before this moment may not have.
    let mut is_settled = true;
    let mut seen = Seen::default();
    let end = poll_fn(|cx| {
        // An idle connection first looks whether a request has arrived, and serves it. A busy one goes to drain first, so that its
        // response says `Connection: close`.
        if !activity.is_draining() || activity.requests() == 0 {
            if let Poll::Ready(ended) = poll_http(http.as_mut(), cx) {
                return Poll::Ready(Some(ended));
            }
        }
        match watch.as_mut().poll(cx, activity) {
            Poll::Ready(Verdict::Close(why)) => Poll::Ready(Some(End::Closed(why))),
            Poll::Ready(Verdict::Retire(why)) => {
                say(place.connection.info(), why);
                activity.retire();
                is_settled = why == Why::Idle;
                Poll::Ready(None)
            }
            Poll::Ready(Verdict::Wait(_)) | Poll::Pending => {
                ready!(activity.poll_draining(&mut seen, cx));
                round.as_mut().poll(cx).map(|()| None)
            }
        }
    });
    if let Some(end) = end.await {
        return end;
    }
    // ## (Draining | Retiring) => (Done | Dismissed | Closed)
    if is_settled {
        activity.settle();
    }
    http.as_mut().graceful_shutdown();
    let ended = poll_fn(|cx| {
        if let Poll::Ready(ended) = poll_http(http.as_mut(), cx) {
            return Poll::Ready(ended);
        }
        loop {
            // It retires already; a verdict that says so is the last of its kind.
            if let Verdict::Close(why) = ready!(watch.as_mut().poll(cx, activity)) {
                return Poll::Ready(End::Closed(why));
            }
        }
    });
    tokio::select! {
        biased;
        end = ended => end,
        // Boxed, because every connection has room for it.
        () = Box::pin(activity.dismissed(FAREWELL)) => End::Dismissed,
    }
}

/// Waits for the one, or the cut.
async fn until_cut(future: impl Future, activity: &Activity) {
    tokio::select! {
        biased;
        _ = future => {}
        () = activity.cut() => {}
    }
}

/// Whoever may cause a line of the log at will, may fill the disk: these are for who looks for them.
fn say(info: &ConnectInfo, why: Why) {
    tracing::debug!(id = %info.id(), peer = %info.peer(), %why, "ending the connection");
}

fn log(info: &ConnectInfo, ended: Result<(), BoxError>) {
    if let Err(error) = ended {
        tracing::debug!(
            id = %info.id(),
            peer = %info.peer(),
            error = &*error as &dyn std::error::Error,
            "the connection failed"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, io};

    use bartizan_core::Body;
    use http::{Request, Response};
    use tokio::io::{
        AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
    };
    use tower::service_fn;

    use super::*;
    use crate::drain::{Drain, Phase, tests::admit};

    /// A transport of which the runtime does not know yet that there is something to read.
    struct Late {
        io: DuplexStream,
        is_known: bool,
    }

    impl AsyncRead for Late {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if !self.is_known {
                self.is_known = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Pin::new(&mut self.io).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Late {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.io).poll_write(cx, buf)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.io).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.io).poll_shutdown(cx)
        }
    }

    #[tokio::test]
    async fn who_is_accepted_during_the_drain_is_served_what_it_has_sent() {
        let drain = Drain::new();
        drain.begin();
        let (mut client, io) = duplex(1024);
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .expect("there is room");
        let service = service_fn(|_: Request<Body>| async {
            Ok::<_, Infallible>(Response::new(Body::from("hello")))
        });
        let late = Late {
            io,
            is_known: false,
        };
        let serving = serve(late, admit(&drain), service);
        let reading = async {
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.expect("UTF-8");
            drop(client);
            answer
        };
        let ((), answer) = tokio::join!(serving, reading);
        assert!(answer.ends_with("hello"), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_woken_by_the_drain_whatever_it_was_woken_by_before() {
        let drain = Drain::new();
        let place = admit(&drain);
        let (_client, io) = duplex(1024);
        let service = service_fn(|_: Request<Body>| async {
            Ok::<_, Infallible>(Response::new(Body::empty()))
        });
        let activity = Arc::clone(place.activity());
        let serving = tokio::spawn(serve(io, place, service));
        let start = time::Instant::now();
        for phase in [Phase::Serving, Phase::Leaving] {
            yield_now().await;
            activity.ask(phase);
        }
        yield_now().await;
        drain.begin();
        serving.await.expect("no panic");
        assert_eq!(start.elapsed(), Duration::ZERO, "a timeout ended it");
    }
}
