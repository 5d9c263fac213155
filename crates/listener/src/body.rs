//! The response body that keeps its request in flight until it is written.

use std::{
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_core::{Body, BoxError};
use bytes::{Buf, Bytes};
use http::StatusCode;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{activity::Activity, in_flight::InFlight, respond::ForWhat};

pin_project! {
    /// Forwards everything, and notes when the body has ended.
    #[derive(Debug)]
    pub(crate) struct TrackedBody<B> {
        #[pin]
        content: Content<B>,
        // `None` once the last of its data has it.
        in_flight: Option<InFlight>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = ContentProj]
    enum Content<B> {
        /// What the service answered with.
        Service { #[pin] body: B },
        /// The same, and nobody is to see it.
        Withheld { body: B },
        /// What the listener answers with itself.
        Own { body: Body },
    }
}

impl<B: http_body::Body> TrackedBody<B> {
    pub(crate) fn new(body: B, in_flight: InFlight, is_read: bool) -> Self {
        if !is_read || body.is_end_stream() {
            in_flight.complete();
        }
        Self {
            content: Content::Service { body },
            in_flight: Some(in_flight),
        }
    }

    /// The body of a response after which the connection, or the stream, is a tunnel. hyper drops it unread; the tunnel goes on.
    pub(crate) fn tunnel(body: B, in_flight: InFlight) -> Self {
        Self {
            content: Content::Withheld { body },
            in_flight: Some(in_flight),
        }
    }

    pub(crate) fn own(body: Body, in_flight: InFlight, is_read: bool) -> Self {
        if !is_read {
            in_flight.complete();
        }
        Self {
            content: Content::Own { body },
            in_flight: Some(in_flight),
        }
    }

    /// A body that ends before it begins, whatever is in it.
    pub(crate) fn withheld(self) -> Self {
        let content = match self.content {
            Content::Service { body } | Content::Withheld { body } => Content::Withheld { body },
            Content::Own { .. } => Content::Own {
                body: Body::empty(),
            },
        };
        if let Some(in_flight) = &self.in_flight {
            in_flight.complete();
        }
        Self { content, ..self }
    }
}

/// Whether such a response, if it is to be had, makes a tunnel of what it goes over (RFC 9110 sections 7.8 and 9.3.6).
pub(crate) fn is_tunnel(asked: ForWhat, status: StatusCode) -> bool {
    status == StatusCode::SWITCHING_PROTOCOLS || (asked == ForWhat::Tunnel && status.is_success())
}

/// Whether the body of such a response is sent at all (RFC 9112 section 6.3). If not, hyper drops it unread.
pub(crate) fn has_content(asked: ForWhat, status: StatusCode) -> bool {
    let is_bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    match asked {
        ForWhat::Head => false,
        ForWhat::Tunnel if status.is_success() => false,
        ForWhat::Tunnel | ForWhat::Content => !(status.is_informational() || is_bodiless),
    }
}

impl<B> http_body::Body for TrackedBody<B>
where
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    type Data = Chunk<B::Data>;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, BoxError>>> {
        let this = self.project();
        let (frame, has_ended) = match this.content.project() {
            ContentProj::Withheld { .. } => return Poll::Ready(None),
            ContentProj::Service { mut body } => {
                let frame = ready!(body.as_mut().poll_frame(cx));
                let frame = frame.map(|frame| match frame {
                    Ok(frame) => Ok(frame.map_data(Data::Service)),
                    Err(error) => Err(error.into()),
                });
                (frame, body.is_end_stream())
            }
            ContentProj::Own { body } => {
                let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
                let frame = frame.map(|frame| frame.map(|frame| frame.map_data(Data::Own)));
                (frame, body.is_end_stream())
            }
        };
        let is_last = match &frame {
            None | Some(Err(_)) => true,
            // hyper asks for nothing after trailers, nor after a body that says it has ended.
            Some(Ok(frame)) => frame.is_trailers() || has_ended,
        };
        let in_flight = this.in_flight;
        if is_last {
            in_flight.iter().for_each(InFlight::complete);
        }
        let track = |data| {
            let held = in_flight.take();
            let of_chunk = if is_last {
                held
            } else {
                let shared = held.map(InFlight::share);
                shared.map(|(own, of_chunk)| {
                    *in_flight = Some(own);
                    of_chunk
                })
            };
            Chunk::new(data, of_chunk)
        };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(track))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Service { body } => body.is_end_stream(),
            Content::Withheld { .. } => true,
            Content::Own { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Service { body } | Content::Withheld { body } => body.size_hint(),
            Content::Own { body } => body.size_hint(),
        }
    }
}

/// Data of a response, which stays in flight until it is written.
#[derive(Debug)]
pub(crate) struct Chunk<D: Buf> {
    data: Data<D>,
    // `None` of data that came after the last.
    in_flight: Option<InFlight>,
}

#[derive(Debug)]
enum Data<D> {
    Service(D),
    Own(Bytes),
}

/// Asks whichever it is.
macro_rules! delegate {
    ($chunk:expr, $data:ident => $call:expr) => {
        match $chunk {
            Data::Service($data) => $call,
            Data::Own($data) => $call,
        }
    };
}

impl<D: Buf> Chunk<D> {
    fn new(data: Data<D>, in_flight: Option<InFlight>) -> Self {
        let chunk = Self { data, in_flight };
        chunk.note(Activity::owe);
        chunk
    }

    fn note(&self, what: impl FnOnce(&Activity)) {
        if let Some(in_flight) = &self.in_flight {
            what(in_flight.activity());
        }
    }
}

impl<D: Buf> Buf for Chunk<D> {
    fn remaining(&self) -> usize {
        delegate!(&self.data, data => data.remaining())
    }

    fn chunk(&self) -> &[u8] {
        delegate!(&self.data, data => data.chunk())
    }

    fn chunks_vectored<'a>(&'a self, dst: &mut [IoSlice<'a>]) -> usize {
        delegate!(&self.data, data => data.chunks_vectored(dst))
    }

    fn advance(&mut self, cnt: usize) {
        self.note(|activity| activity.add_taken(cnt));
        delegate!(&mut self.data, data => data.advance(cnt));
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        self.note(|activity| activity.add_taken(len));
        delegate!(&mut self.data, data => data.copy_to_bytes(len))
    }
}

impl<D: Buf> Drop for Chunk<D> {
    fn drop(&mut self) {
        let has_remaining = self.has_remaining();
        if let Some(in_flight) = &self.in_flight {
            in_flight.activity().settle_piece();
            if has_remaining {
                in_flight.lose();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bartizan_testing::ControlledBody;
    use http::HeaderMap;
    use http_body::Body as _;
    use http_body_util::{BodyExt, Full};

    use super::*;
    use crate::drain::{Drain, tests::admit};

    fn tracked<B: http_body::Body>(inner: B) -> TrackedBody<B> {
        let connection = admit(&Drain::new());
        TrackedBody::new(inner, InFlight::new(&connection), true)
    }

    #[test]
    fn forwards_size_and_end() {
        let body = tracked(Full::new(Bytes::from("hello")));
        assert_eq!(body.size_hint().exact(), Some(5));
        assert!(!body.is_end_stream());
        assert!(tracked(Full::new(Bytes::new())).is_end_stream());
    }

    #[tokio::test]
    async fn forwards_data_and_trailers() {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
        let inner = Full::new(Bytes::from("hello")).with_trailers(std::future::ready(Some(Ok::<
            _,
            Infallible,
        >(
            trailers.clone(),
        ))));
        let collected = tracked(inner).collect().await.expect("cannot fail");
        assert_eq!(collected.trailers(), Some(&trailers));
        assert_eq!(collected.to_bytes(), "hello");
    }

    #[tokio::test]
    async fn a_request_is_in_flight_until_the_last_of_its_data_is_gone() {
        let drain = Drain::new();
        let (body, handle) = ControlledBody::new();
        handle.data("one");
        handle.data("two");
        handle.end();
        let mut body = TrackedBody::new(body, InFlight::new(&admit(&drain)), true);
        drain.begin();
        let (one, two) = (body.frame().await, body.frame().await);
        assert!(body.frame().await.is_none());
        drop(body);
        for mut chunk in [two, one] {
            assert_eq!(drain.in_flight(), 1);
            if let Some(Ok(frame)) = &mut chunk {
                let data = frame.data_mut().expect("data");
                data.advance(3);
            }
            drop(chunk);
        }
        assert_eq!(drain.in_flight(), 0);
        assert_eq!(drain.counts().drained, 1);
    }

    #[tokio::test]
    async fn the_last_of_its_data_takes_the_request_with_it() {
        let drain = Drain::new();
        let request = InFlight::new(&admit(&drain));
        let mut body = TrackedBody::new(Full::new(Bytes::from("hello")), request, true);
        let mut chunk = body.frame().await.expect("a frame").expect("data");
        chunk.data_mut().expect("data").advance(2);
        drain.begin();
        // Dropped with three bytes unwritten, and so it is lost. The body has no more to say about it.
        drop(chunk);
        assert_eq!(drain.in_flight(), 0);
        assert_eq!(drain.counts().drained, 0);
        drop(body);
    }

    #[test]
    fn what_is_dropped_unread_by_right() {
        for (asked, status, sent) in [
            (ForWhat::Content, 200, true),
            (ForWhat::Head, 200, false),
            (ForWhat::Content, 204, false),
            (ForWhat::Content, 304, false),
            (ForWhat::Content, 101, false),
            (ForWhat::Tunnel, 200, false),
            (ForWhat::Tunnel, 403, true),
        ] {
            let status = StatusCode::from_u16(status).expect("valid");
            assert_eq!(has_content(asked, status), sent, "{asked:?} {status}");
        }
    }
}
