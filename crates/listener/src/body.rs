//! The response body that keeps its request in flight until it is written.

use std::{
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{Method, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::in_flight::InFlight;

pin_project! {
    /// Forwards everything, and notes when the body has ended.
    #[derive(Debug)]
    pub(crate) struct TrackedBody<B> {
        #[pin]
        inner: B,
        in_flight: InFlight,
        is_withheld: bool,
    }
}

impl<B: Body> TrackedBody<B> {
    pub(crate) fn new(inner: B, in_flight: InFlight, is_read: bool) -> Self {
        if !is_read || inner.is_end_stream() {
            in_flight.complete();
        }
        Self {
            inner,
            in_flight,
            is_withheld: false,
        }
    }

    /// A body that ends before it begins, whatever is in it.
    pub(crate) fn withheld(self) -> Self {
        Self {
            is_withheld: true,
            ..self
        }
    }
}

/// Whether the body of such a response is sent at all (RFC 9112 section 6.3). If not, hyper drops it unread.
pub(crate) fn has_content(method: &Method, status: StatusCode) -> bool {
    let tunnel = method == Method::CONNECT && status.is_success();
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    !(method == Method::HEAD || status.is_informational() || bodiless || tunnel)
}

impl<B: Body> Body for TrackedBody<B> {
    type Data = Chunk<B::Data>;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, B::Error>>> {
        let mut this = self.project();
        if *this.is_withheld {
            return Poll::Ready(None);
        }
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        let is_last = match &frame {
            None | Some(Err(_)) => true,
            // hyper asks for nothing after trailers, nor after a body that says it has ended.
            Some(Ok(frame)) => frame.is_trailers() || this.inner.is_end_stream(),
        };
        if is_last {
            this.in_flight.complete();
        }
        let track = |data| Chunk {
            data,
            in_flight: this.in_flight.clone(),
        };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(track))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_withheld || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Data of a response, which stays in flight until it is written.
#[derive(Debug)]
pub(crate) struct Chunk<D: Buf> {
    data: D,
    in_flight: InFlight,
}

impl<D: Buf> Buf for Chunk<D> {
    fn remaining(&self) -> usize {
        self.data.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.data.chunk()
    }

    fn chunks_vectored<'a>(&'a self, dst: &mut [IoSlice<'a>]) -> usize {
        self.data.chunks_vectored(dst)
    }

    fn advance(&mut self, cnt: usize) {
        self.data.advance(cnt);
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        self.data.copy_to_bytes(len)
    }
}

impl<D: Buf> Drop for Chunk<D> {
    fn drop(&mut self) {
        if self.data.has_remaining() {
            self.in_flight.lose();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::HeaderMap;
    use http_body_util::{BodyExt, Full};

    use super::*;
    use crate::{ConnectionId, drain::Drain};

    fn tracked<B: Body>(inner: B) -> TrackedBody<B> {
        let connection = Drain::new().admit(ConnectionId::next());
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

    #[test]
    fn what_is_dropped_unread_by_right() {
        for (method, status, sent) in [
            (Method::GET, 200, true),
            (Method::HEAD, 200, false),
            (Method::GET, 204, false),
            (Method::GET, 304, false),
            (Method::GET, 101, false),
            (Method::CONNECT, 200, false),
            (Method::CONNECT, 403, true),
        ] {
            let status = StatusCode::from_u16(status).expect("valid");
            assert_eq!(has_content(&method, status), sent, "{method} {status}");
        }
    }
}
