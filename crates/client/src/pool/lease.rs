//! The right to one request on a connection.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    connection::Conn,
    core::{Grant, Speaks, WaiterId},
    inner::{Failure, Inner},
};

/// The right to one request on a connection. Given back however it is dropped.
pub(super) struct Lease {
    inner: Arc<Inner>,
    /// Until it is given back.
    conn: Option<Arc<Conn>>,
    /// How many requests the connection was given before.
    pub(super) carried: u64,
    /// Whether the connection takes another request if this is dropped now.
    reuse: bool,
}

impl Lease {
    #[inline]
    pub(super) fn new(inner: &Arc<Inner>, grant: Grant<Arc<Conn>>) -> Self {
        Self {
            inner: inner.clone(),
            conn: Some(grant.conn),
            carried: grant.carried,
            reuse: true,
        }
    }

    pub(super) const fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    #[inline]
    pub(super) fn conn(&self) -> &Arc<Conn> {
        self.conn.as_ref().expect("taken only when it is dropped")
    }

    /// A request goes out. From now on an HTTP/1.1 connection is of no use until it is over, both ways.
    pub(super) fn begin(&mut self) {
        self.reuse = self.conn().speaks() == Speaks::Http2;
    }

    /// The request is over, and the connection takes another one.
    #[inline]
    pub(super) fn release(mut self) {
        self.reuse = true;
    }

    /// The connection takes no other request.
    pub(super) fn discard(mut self) {
        self.reuse = false;
    }

    /// The connection speaks something else now. It counts until its socket is gone.
    pub(super) fn upgraded(mut self) {
        if let Some(conn) = self.conn.take() {
            self.inner.upgraded(conn.control.id);
            drop(conn);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            let is_poisoned = conn
                .control
                .is_poisoned
                .load(std::sync::atomic::Ordering::Relaxed);
            self.inner
                .release(conn.control.id, self.reuse && !is_poisoned);
        }
    }
}

/// A place in the queue. Dropping it gives the place up, or what it was granted.
pub(super) struct Acquiring {
    inner: Arc<Inner>,
    waiter: Option<WaiterId>,
}

impl Acquiring {
    pub(super) fn new(inner: &Arc<Inner>, waiter: WaiterId) -> Self {
        Self {
            inner: inner.clone(),
            waiter: Some(waiter),
        }
    }
}

impl Future for Acquiring {
    type Output = Result<Lease, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let waiter = this.waiter.as_ref().expect("polled after completion");
        match this.inner.poll_waiter(waiter, cx.waker()) {
            None => Poll::Pending,
            Some(result) => {
                this.waiter = None;
                Poll::Ready(result.map(|grant| Lease::new(&this.inner, grant)))
            }
        }
    }
}

impl Drop for Acquiring {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            self.inner.cancel(waiter);
        }
    }
}
