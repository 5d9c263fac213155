//! Parts, one after the other.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_core::{Body, BoxError};
use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};

/// `segments` as one body: whole if all of them are, else streamed.
pub(super) fn concat(segments: VecDeque<Body>) -> Body {
    let lengths = segments.iter().map(|it| it.whole().map(Bytes::len));
    match lengths.sum() {
        Some(length) => {
            let mut whole = BytesMut::with_capacity(length);
            for bytes in segments.iter().filter_map(Body::whole) {
                whole.extend_from_slice(bytes);
            }
            whole.freeze().into()
        }
        None => Body::new(Concat(segments)),
    }
}

struct Concat(VecDeque<Body>);

impl http_body::Body for Concat {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        while let Some(segment) = self.0.front_mut() {
            match ready!(Pin::new(segment).poll_frame(cx)) {
                Some(Ok(frame)) if frame.is_data() => return Poll::Ready(Some(Ok(frame))),
                // A part has no trailers.
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    self.0.clear();
                    return Poll::Ready(Some(Err(error)));
                }
                None => drop(self.0.pop_front()),
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let hints = || self.0.iter().map(http_body::Body::size_hint);
        let mut hint = SizeHint::new();
        let lower = hints().fold(0, |sum: u64, hint| sum.saturating_add(hint.lower()));
        hint.set_lower(lower);
        let upper = hints().try_fold(0_u64, |sum, hint| sum.checked_add(hint.upper()?));
        if let Some(upper) = upper {
            // Of two that lie, the sum may be too large to be compared.
            hint.set_upper(upper.max(lower));
        }
        hint
    }
}
