//! Reads a failed response to its end, so that its connection is free.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http_body::Body;
use pin_project_lite::pin_project;

pin_project! {
    /// Reads a body, and throws it away. Over when there is no more, or too much.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Drain<B> {
        #[pin]
        body: B,
        left: u64,
    }
}

impl<B: Body> Drain<B> {
    /// `None` if there is nothing to read, or known to be more than `limit`.
    pub(super) fn new(body: B, limit: u64) -> Option<Self> {
        (!body.is_end_stream() && body.size_hint().lower() <= limit)
            .then_some(Self { body, left: limit })
    }
}

impl<B: Body> Future for Drain<B> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            let Some(Ok(frame)) = ready!(this.body.as_mut().poll_frame(cx)) else {
                return Poll::Ready(());
            };
            // A frame of nothing counts as well, or a body of nothing but those would never end.
            let read = frame.data_ref().map_or(0, |data| data.remaining() as u64);
            match this.left.checked_sub(read.max(1)) {
                Some(left) => *this.left = left,
                None => return Poll::Ready(()),
            }
        }
    }
}
