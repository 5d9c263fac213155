//! A body of a length that was promised.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_core::{Body, BoxError};
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::{Error, error::Kind};

/// Holds `body` to a length: the peer was told, and would take what is too much for another request.
pub(crate) struct Sized {
    body: Body,
    length: u64,
    left: u64,
}

impl Sized {
    pub(crate) const fn new(length: u64, body: Body) -> Self {
        Self {
            body,
            length,
            left: length,
        }
    }

    fn broken(&mut self, than: &str) -> BoxError {
        self.left = 0;
        self.body = Body::empty();
        let length = self.length;
        Error::new(
            Kind::Builder,
            format!("the request body is {than} than the {length} bytes that it was said to have"),
        )
        .into()
    }
}

impl http_body::Body for Sized {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let data = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, |data| data.len() as u64),
            None if self.left > 0 => return Poll::Ready(Some(Err(self.broken("shorter")))),
            _ => 0,
        };
        match self.left.checked_sub(data) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Some(Err(self.broken("longer")))),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
