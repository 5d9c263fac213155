//! What a pool's caller receives.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::{core::Speaks, lease::Lease, returning::Returning, send_body::Upload};
use crate::{Error, error::Kind};

/// The body of a response, as it comes from the wire: with trailers, under the flow control of HTTP/2 or of TCP.
///
/// Not a [`bartizan_core::Body`], so that a response costs no allocation here; [`Body::new`](bartizan_core::Body::new) makes one
/// of it where a stack needs that. Read it with [`ResponseExt`](crate::ResponseExt), which sets a limit.
///
/// It holds its connection, or its stream, until its end. Dropped before, HTTP/1.1 reads a [little](crate::pool::PoolBuilder::drain_limits)
/// of the rest to keep the connection, and closes it if there is more; HTTP/2 resets the stream and keeps the connection.
///
/// Between two frames it waits no longer than [`Timeouts::read`](crate::Timeouts::read). Only waiting counts: a reader may take its
/// time.
pub struct ResponseBody {
    /// Until its end.
    incoming: Option<Incoming>,
    /// Until the end, or an error.
    lease: Option<Lease>,
    upload: Option<Arc<Upload>>,
    read_timeout: Option<Duration>,
    /// Made for the first frame that has to be waited for: most bodies come with their heads.
    timer: Option<Pin<Box<Sleep>>>,
    waiting_since: Option<Instant>,
}

impl ResponseBody {
    pub(super) fn new(
        incoming: Incoming,
        lease: Lease,
        upload: Option<Arc<Upload>>,
        read_timeout: Option<Duration>,
    ) -> Self {
        let mut body = Self {
            incoming: Some(incoming),
            lease: Some(lease),
            upload,
            read_timeout,
            timer: None,
            waiting_since: None,
        };
        body.end_if_over();
        body
    }

    /// One that was upgraded, whose bytes are no body's.
    pub(super) const fn without_lease(incoming: Incoming) -> Self {
        Self {
            incoming: Some(incoming),
            lease: None,
            upload: None,
            read_timeout: None,
            timer: None,
            waiting_since: None,
        }
    }

    /// Gives the connection back as soon as nothing more can come, and not when somebody asks.
    fn end_if_over(&mut self) {
        if self.incoming.as_ref().is_some_and(Body::is_end_stream) {
            self.end(None);
        }
    }

    fn end(&mut self, rest: Option<Incoming>) {
        if self.timer.is_some() {
            self.timer = None;
        }
        let Some(lease) = self.lease.take() else {
            return;
        };
        let upload = self.upload.take();
        match lease.conn().speaks() {
            Speaks::Http1 => return_http1(lease, rest, upload),
            Speaks::Http2 => return_http2(lease, rest, upload),
        }
    }

    fn fail(&mut self, error: Error) -> Error {
        self.timer = None;
        let incoming = self.incoming.take();
        drop(incoming);
        // For HTTP/1.1 that is the end of the connection, for HTTP/2 that of the stream.
        drop(self.lease.take());
        if let Some(upload) = self.upload.take() {
            upload.cut();
        }
        error
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        let Some(timeout) = self.read_timeout else {
            return Poll::Pending;
        };
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        loop {
            ready!(timer.as_mut().poll(cx));
            // It was set for an earlier wait, perhaps: to set it for each costs more than to look at the clock when it is up.
            match since.checked_add(timeout) {
                Some(deadline) if deadline > Instant::now() => timer.as_mut().reset(deadline),
                _ => return Poll::Ready(timeout),
            }
        }
    }
}

/// Once hyper is done with the connection, both ways, it is free: at once nearly always, and else when its driver says so.
fn return_http1(lease: Lease, rest: Option<Incoming>, upload: Option<Arc<Upload>>) {
    if rest.is_none() && lease.conn().is_ready() {
        return lease.release();
    }
    let conn = lease.conn().clone();
    let too_long = rest
        .as_ref()
        .is_some_and(|rest| rest.size_hint().lower() > lease.inner().config.drain_bytes);
    if too_long || conn.control.is_poisoned.load(Ordering::Relaxed) {
        return lease.discard();
    }
    if rest.is_none() {
        // On another thread hyper wakes the reader a moment before it says that it is done.
        lease.inner().returning(conn.control.id);
    }
    let handover = &conn.control.handover;
    if let Err(returning) = handover.park(Box::new(Returning::new(lease, rest, upload))) {
        return drop(returning);
    }
    // hyper may have become ready between the look and the parking, and its driver have looked before it.
    match handover.take() {
        Some(returning) if returning.is_ready() => returning.reuse(),
        Some(returning) => {
            if let Err(returning) = handover.park(returning) {
                drop(returning);
            }
            handover.notify();
        }
        None => {}
    }
}

/// The stream is free when both directions are. Dropping the rest resets it.
fn return_http2(lease: Lease, rest: Option<Incoming>, upload: Option<Arc<Upload>>) {
    drop(rest);
    match upload {
        Some(upload) if !upload.is_over() => {
            let inner = lease.inner().clone();
            inner.spawn(outlive(lease, upload));
        }
        _ => lease.release(),
    }
}

/// Waits for an upload whose response is over, as long as it moves.
async fn outlive(lease: Lease, upload: Arc<Upload>) {
    let patience = lease.inner().config.drain_timeout;
    let mut frames = upload.frames();
    loop {
        let over = std::future::poll_fn(|cx| upload.poll_over(cx));
        if tokio::time::timeout(patience, over).await.is_ok() {
            return lease.release();
        }
        let now = upload.frames();
        if now == frames {
            break;
        }
        frames = now;
    }
    upload.cut();
    let over = std::future::poll_fn(|cx| upload.poll_over(cx));
    if tokio::time::timeout(patience, over).await.is_ok() {
        return lease.release();
    }
    // The peer gives it no window, and hyper asks for no more of the body: the stream stays open, and its connection must go.
    lease.discard();
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let Some(incoming) = &mut this.incoming else {
            return Poll::Ready(None);
        };
        match Pin::new(incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.waiting_since = None;
                this.end_if_over();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                Poll::Ready(Some(Err(this.fail(Error::broken_body(error)))))
            }
            Poll::Ready(None) => {
                this.end(None);
                Poll::Ready(None)
            }
            Poll::Pending => match this.poll_timer(cx) {
                Poll::Ready(timeout) => {
                    let message = format!(
                        "no more of the response body within {timeout:?}; raise the read timeout if the peer is known to pause"
                    );
                    Poll::Ready(Some(Err(this.fail(Error::new(Kind::ReadTimeout, message)))))
                }
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if self.lease.is_some() {
            let rest = self.incoming.take();
            self.end(rest);
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("size_hint", &self.size_hint())
            .finish_non_exhaustive()
    }
}
