//! What a [`Transport`](crate::Transport) receives.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::Error;

/// The body of a response, as it comes from the wire: with trailers, under the flow control of HTTP/2 or of TCP.
///
/// Not a [`bartizan_core::Body`], so that a response costs no allocation here; [`Body::new`](bartizan_core::Body::new) makes one
/// of it where a stack needs that. Read it with [`ResponseExt`](crate::ResponseExt), which sets a limit.
///
/// Dropping it before its end gives up the rest: HTTP/1.1 closes the connection, unless the rest has arrived already; HTTP/2 resets
/// the stream and keeps the connection.
#[derive(Debug)]
pub struct ResponseBody(Incoming);

impl ResponseBody {
    pub(crate) fn new(body: Incoming) -> Self {
        Self(body)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.0).poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(Error::broken_body)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
