//! A body that keeps what it sends, so that it can be sent again.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bartizan_core::{Body, BoxError};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};

/// What there is of a body while a copy of it is sent.
pub(super) enum BodyCopy {
    /// Nothing.
    None,
    /// The whole of it, as cheap to copy as it is.
    Whole(Body),
    /// What the [`Tee`] that is being sent gives back.
    Stream { returned: Slot, limit: usize },
}

/// `None` as long as the body is being sent, and for good if it had more than could be kept.
type Slot = Arc<Mutex<Option<Content>>>;

/// The body to send, and what to keep of it.
pub(super) fn split(body: Body, limit: usize) -> (Body, BodyCopy) {
    match body.try_clone() {
        Some(copy) => (body, BodyCopy::Whole(copy)),
        None => {
            let slot = Slot::default();
            let content = Content {
                sent: Vec::new(),
                rest: Some(body),
                is_finished: false,
            };
            let body = Tee::new(content, Arc::clone(&slot), limit);
            let copy = BodyCopy::Stream {
                returned: slot,
                limit,
            };
            (Body::new(body), copy)
        }
    }
}

impl BodyCopy {
    /// Whether all of it was sent, and kept if it was to be.
    pub(super) fn is_finished(&self) -> bool {
        match self {
            Self::None | Self::Whole(_) => true,
            Self::Stream { returned, .. } => lock(returned)
                .as_ref()
                .is_some_and(|content| content.is_finished),
        }
    }

    /// The body once more, from the beginning, if it was given back.
    pub(super) fn again(&mut self) -> Option<Body> {
        match self {
            Self::None => None,
            Self::Whole(body) => body.try_clone(),
            Self::Stream { returned, limit } => {
                let content = lock(returned).take()?;
                *returned = Slot::default();
                Some(Body::new(Tee::new(content, Arc::clone(returned), *limit)))
            }
        }
    }
}

impl fmt::Debug for BodyCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Whole(_) => "Whole",
            Self::Stream { .. } => "Stream",
        })
    }
}

fn lock(slot: &Slot) -> std::sync::MutexGuard<'_, Option<Content>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A body, part of which was sent before.
pub(super) struct Content {
    sent: Vec<Piece>,
    /// What was never sent. `None` if there is no more.
    rest: Option<Body>,
    /// Whoever sent it took all the data there is, when it was given back.
    is_finished: bool,
}

enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Piece {
    fn frame(&self) -> Frame<Bytes> {
        match self {
            Self::Data(data) => Frame::data(data.clone()),
            Self::Trailers(trailers) => Frame::trailers(trailers.clone()),
        }
    }

    /// What it takes to keep it. Never nothing, so that a body of crumbs has an end too.
    fn cost(&self) -> usize {
        match self {
            Self::Data(data) => data.len().max(size_of::<Bytes>()),
            Self::Trailers(_) => 0,
        }
    }
}

/// Sends what was sent before, and then the rest, and gives all of it back at the end, or when it is dropped.
struct Tee {
    /// `None` once it was given back, or broke off.
    content: Option<Content>,
    /// How much of `content.sent` this one has sent.
    position: usize,
    /// How much more can be kept.
    room: usize,
    /// Something was sent and not kept.
    is_partial: bool,
    slot: Slot,
}

impl Tee {
    fn new(content: Content, slot: Slot, limit: usize) -> Self {
        let kept: usize = content.sent.iter().map(Piece::cost).sum();
        Self {
            content: Some(content),
            position: 0,
            room: limit.saturating_sub(kept),
            is_partial: false,
            slot,
        }
    }

    fn keep(&mut self, frame: &Frame<Bytes>) {
        let Some(content) = &mut self.content else {
            return;
        };
        let piece = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => Piece::Data(data.clone()),
            (None, Some(trailers)) => Piece::Trailers(trailers.clone()),
            (None, None) => return,
        };
        if frame.is_trailers() || content.rest.as_ref().is_none_or(Body::is_end_stream) {
            content.rest = None;
        }
        // What is announced counts as well: there is no use in keeping the beginning of what will not fit.
        let announced = content
            .rest
            .as_ref()
            .map_or(0, |rest| rest.size_hint().lower());
        let fits = self
            .room
            .checked_sub(piece.cost())
            .filter(|room| *room as u64 >= announced);
        match fits {
            Some(room) if !self.is_partial => {
                self.room = room;
                content.sent.push(piece);
                self.position = content.sent.len();
            }
            _ => {
                self.is_partial = true;
                content.sent = Vec::new();
                self.position = 0;
            }
        }
        self.give_back_if_sent();
    }

    /// As soon as there is no more to come: who trusts `is_end_stream`, as hyper does, does not ask again.
    fn give_back_if_sent(&mut self) {
        let is_sent = self
            .content
            .as_ref()
            .is_some_and(|content| content.rest.is_none() && self.position == content.sent.len());
        if is_sent {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        let Some(mut content) = self.content.take() else {
            return;
        };
        // A sender that counts bytes stops at the last, without asking whether there is more.
        content.is_finished = self.position == content.sent.len()
            && content
                .rest
                .as_ref()
                .is_none_or(|rest| rest.is_end_stream() || rest.size_hint().exact() == Some(0));
        if !self.is_partial {
            *lock(&self.slot) = Some(content);
        }
    }
}

impl http_body::Body for Tee {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Some(content) = &mut this.content else {
            return Poll::Ready(None);
        };
        if let Some(piece) = content.sent.get(this.position) {
            let frame = piece.frame();
            this.position += 1;
            this.give_back_if_sent();
            return Poll::Ready(Some(Ok(frame)));
        }
        let next = match &mut content.rest {
            Some(rest) => ready!(Pin::new(rest).poll_frame(cx)),
            None => None,
        };
        match &next {
            Some(Ok(frame)) => this.keep(frame),
            // What broke off once is not to be had again.
            Some(Err(_)) => this.content = None,
            None => {
                content.rest = None;
                this.give_back();
            }
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Some(Content { sent, rest, .. }) => {
                self.position == sent.len() && rest.as_ref().is_none_or(Body::is_end_stream)
            }
            None => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let Some(Content { sent, rest, .. }) = &self.content else {
            return SizeHint::with_exact(0);
        };
        let again = sent[self.position..].iter().map(|piece| match piece {
            Piece::Data(data) => data.len() as u64,
            Piece::Trailers(_) => 0,
        });
        let again: u64 = again.sum();
        let rest = rest
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(again));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(again)) {
            hint.set_upper(upper);
        }
        hint
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, stream};
    use http_body_util::BodyExt;
    use proptest::prelude::*;

    use super::*;

    fn body(sizes: &[usize]) -> Body {
        let frames: Vec<_> = sizes
            .iter()
            .zip(b'a'..)
            .map(|(&size, byte)| Ok::<_, BoxError>(vec![byte; size]))
            .collect();
        Body::from_stream(stream::iter(frames))
    }

    fn read(body: &mut Body) -> Option<Bytes> {
        let frame = body.frame().now_or_never().expect("nothing to wait for")?;
        frame.expect("no error").into_data().ok()
    }

    fn read_all(mut body: Body) -> Vec<u8> {
        std::iter::from_fn(|| read(&mut body)).flatten().collect()
    }

    proptest! {
        /// However far each of several senders gets, the next begins at the beginning and sends the same, as long as all that
        /// was sent could be kept.
        #[test]
        fn every_sender_sends_the_same(
            sizes in prop::collection::vec(0..100_usize, 1..12),
            limit in 0..1000_usize,
            senders in prop::collection::vec(0..14_usize, 1..5),
        ) {
            let all = read_all(body(&sizes));
            let (first, mut copy) = split(body(&sizes), limit);
            let mut sent = Some(first);
            let mut furthest = 0;
            // Whether some sender has seen that there is no more: a stream does not say so before it is asked.
            let mut ended = false;
            for reads in senders {
                let Some(mut body) = sent.take() else { break };
                for _ in 0..reads {
                    read(&mut body);
                }
                furthest = furthest.max(reads.min(sizes.len()));
                drop(body);
                let cost: usize = sizes[..furthest]
                    .iter()
                    .map(|size| (*size).max(size_of::<Bytes>()))
                    .sum();
                let is_finished = reads > sizes.len() || ended && reads == sizes.len();
                ended |= is_finished;
                prop_assert_eq!(copy.is_finished(), is_finished && cost <= limit);
                sent = copy.again();
                prop_assert_eq!(sent.is_some(), cost <= limit);
            }
            if let Some(body) = sent {
                prop_assert_eq!(read_all(body), all);
            }
        }
    }

    #[test]
    fn trailers_that_were_not_sent_yet_are_not_lost() {
        let trailers = HeaderMap::from_iter([(http::header::ETAG, http::HeaderValue::from(7))]);
        let source = http_body_util::Full::new(Bytes::from("data"))
            .with_trailers(std::future::ready(Some(Ok(trailers.clone()))));
        let (mut first, mut copy) = split(Body::new(source), 100);
        assert_eq!(read(&mut first).as_deref(), Some(&b"data"[..]));
        drop(first);
        let again = copy.again().expect("given back");
        let collected = again
            .collect()
            .now_or_never()
            .expect("at once")
            .expect("whole");
        assert_eq!(collected.trailers(), Some(&trailers));
        assert_eq!(collected.to_bytes(), "data");
    }
}
