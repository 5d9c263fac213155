//! An HTTP/1.1 connection whose caller is done with it before hyper is: kept, if it comes free soon.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::{lease::Lease, send_body::Upload};

/// Seen to by the connection's driver: reads the rest of a response that nobody wants, and waits for the end of the upload.
pub(super) struct Returning {
    lease: Lease,
    rest: Option<Incoming>,
    upload: Option<Arc<Upload>>,
    /// How many bytes more of the rest are worth a connection.
    left: u64,
    patience: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// How far the upload was when the timer began.
    uploaded: u64,
    /// Whether requests wait for this and not for a connection of their own: until hyper was asked once.
    is_expected: bool,
}

impl Returning {
    pub(super) fn new(lease: Lease, rest: Option<Incoming>, upload: Option<Arc<Upload>>) -> Self {
        let config = &lease.inner().config;
        Self {
            is_expected: rest.is_none(),
            left: config.drain_bytes,
            patience: config.drain_timeout,
            lease,
            rest,
            upload,
            timer: None,
            uploaded: 0,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.rest.is_none() && self.lease.conn().is_ready()
    }

    pub(super) fn reuse(self) {
        self.lease.release();
    }

    /// Whether the connection can be used again, once that is known.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        while let Some(rest) = &mut self.rest {
            match Pin::new(rest).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let read = frame.data_ref().map_or(0, |data| data.len() as u64);
                    match self.left.checked_sub(read) {
                        Some(left) => self.left = left,
                        None => return Poll::Ready(false),
                    }
                }
                Poll::Ready(None) => self.rest = None,
                Poll::Ready(Some(Err(_))) => return Poll::Ready(false),
                Poll::Pending => return self.wait(cx),
            }
        }
        if self.lease.conn().is_ready() {
            return Poll::Ready(true);
        }
        if self.lease.conn().is_closed() {
            return Poll::Ready(false);
        }
        if std::mem::take(&mut self.is_expected) {
            let lease = &self.lease;
            lease.inner().delayed(lease.conn().control.id);
        }
        self.wait(cx)
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let patience = self.patience;
        loop {
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            // An upload that moves is not stuck, and its server may still want it.
            let uploaded = self.upload.as_ref().map_or(0, |upload| upload.frames());
            if uploaded == self.uploaded {
                return Poll::Ready(false);
            }
            self.uploaded = uploaded;
            self.timer = None;
        }
    }
}
