//! A response body as it arrives.

use std::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_core::BoxError;
use bytes::{Buf, Bytes, BytesMut};
use futures_core::Stream;
use http::{HeaderMap, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};

use super::{
    BodyLimit,
    content_type::without_bom,
    read::{About, poll_frame, too_large},
};
use crate::{Error, error::Kind};

pin_project! {
    /// The data of a response body, piece by piece: what [`ResponseExt::stream`] returns.
    ///
    /// It ends at the end of the body. After an error there is nothing more to come.
    ///
    /// ```
    /// use bartizan_client::ResponseExt;
    /// use bartizan_core::Body;
    /// use futures_util::TryStreamExt;
    /// use http::Response;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut pieces = Response::new(Body::from("hello")).stream();
    /// let mut length = 0;
    /// while let Some(piece) = pieces.try_next().await? {
    ///     length += piece.len();
    /// }
    /// assert_eq!(length, 5);
    /// # Ok(())
    /// # }
    /// ```
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct DataStream<B> {
        #[pin]
        body: B,
        about: About,
        // Only with a `CallTimeout`.
        sleep: Option<Pin<Box<Sleep>>>,
        trailers: Option<HeaderMap>,
        is_done: bool,
    }
}

impl<B> DataStream<B> {
    pub(crate) fn of(response: Response<B>) -> Self {
        let (head, body) = response.into_parts();
        Self::new(body, About::new(head.extensions))
    }

    pub(super) const fn new(body: B, about: About) -> Self {
        Self {
            body,
            sleep: None,
            about,
            trailers: None,
            is_done: false,
        }
    }

    /// The trailers (RFC 9110 section 6.5), once the stream has ended, if the response had any.
    ///
    /// ```
    /// # use bartizan_client::ResponseExt;
    /// # use bartizan_testing::ControlledBody;
    /// # use futures_util::TryStreamExt;
    /// # use http::{HeaderMap, HeaderValue, Response};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (body, handle) = ControlledBody::new();
    /// # handle.data("hello");
    /// # handle.trailers(HeaderMap::from_iter([("digest".parse()?, HeaderValue::from_static("2cf2"))]));
    /// # let response = Response::new(body);
    /// let mut pieces = response.stream();
    /// while let Some(_) = pieces.try_next().await? {}
    /// assert_eq!(pieces.trailers().unwrap()["digest"], "2cf2");
    /// # Ok(())
    /// # }
    /// ```
    pub const fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }
}

impl<B> DataStream<B> {
    /// Says in `error` which call it was about.
    pub(crate) fn explain(self: Pin<&mut Self>, error: Error) -> Error {
        mem::take(self.project().about).explain(error)
    }
}

impl<B> Stream for DataStream<B>
where
    B: Body<Error: Into<BoxError>>,
{
    type Item = Result<Bytes, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        if *this.is_done {
            return Poll::Ready(None);
        }
        let error = loop {
            let frame = match poll_frame(this.body.as_mut(), cx) {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(error))) => break error,
                Poll::Ready(None) => {
                    *this.is_done = true;
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    let Some(deadline) = this.about.deadline() else {
                        return Poll::Pending;
                    };
                    let sleep = this
                        .sleep
                        .get_or_insert_with(|| Box::pin(sleep_until(deadline.at)));
                    ready!(sleep.as_mut().poll(cx));
                    break deadline.passed();
                }
            };
            match frame.into_data() {
                Ok(mut data) => {
                    return Poll::Ready(Some(Ok(data.copy_to_bytes(data.remaining()))));
                }
                Err(frame) => {
                    let trailers = this.trailers.get_or_insert_default();
                    trailers.extend(frame.into_trailers().ok().into_iter().flatten());
                }
            }
        };
        *this.is_done = true;
        Poll::Ready(Some(Err(mem::take(this.about).explain(error))))
    }
}

pin_project! {
    /// The lines of a response body: what [`ResponseExt::lines`](crate::ResponseExt::lines) returns.
    ///
    /// After an error there is nothing more to come.
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct Lines<B> {
        #[pin]
        data: DataStream<B>,
        limit: usize,
        piece: Bytes,
        // The beginning of a line whose end has not come yet.
        begun: BytesMut,
        is_first: bool,
        is_done: bool,
    }
}

impl<B> Lines<B> {
    pub(super) fn new(data: DataStream<B>, BodyLimit(limit): BodyLimit) -> Self {
        Self {
            data,
            limit,
            piece: Bytes::new(),
            begun: BytesMut::new(),
            is_first: true,
            is_done: false,
        }
    }
}

impl<B> Stream for Lines<B>
where
    B: Body<Error: Into<BoxError>>,
{
    type Item = Result<String, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        if *this.is_done {
            return Poll::Ready(None);
        }
        let line = loop {
            let end = this.piece.iter().position(|&byte| byte == b'\n');
            let taken = this.piece.split_to(end.unwrap_or(this.piece.len()));
            if this.begun.len() + taken.len() > *this.limit {
                break Err(too_large(*this.limit));
            }
            let is_whole = end.is_some();
            if is_whole {
                this.piece.advance(1);
                if this.begun.is_empty() {
                    break Ok(taken);
                }
            }
            this.begun.extend_from_slice(&taken);
            if is_whole {
                break Ok(this.begun.split().freeze());
            }
            match ready!(this.data.as_mut().poll_next(cx)) {
                Some(Ok(piece)) => *this.piece = piece,
                Some(Err(error)) => break Err(error),
                None => {
                    *this.is_done = true;
                    if this.begun.is_empty() {
                        return Poll::Ready(None);
                    }
                    break Ok(this.begun.split().freeze());
                }
            }
        };
        let line = line.and_then(|line| {
            let line = match line.strip_suffix(b"\r") {
                Some(stripped) => line.slice_ref(stripped),
                None => line,
            };
            let line = if mem::take(this.is_first) {
                without_bom(line)
            } else {
                line
            };
            String::from_utf8(line.into()).map_err(|error| {
                Error::new(
                    Kind::Decode,
                    "a line of the response body is not UTF-8: read it by `.stream()`",
                )
                .with_source(error.utf8_error())
            })
        });
        Poll::Ready(Some(line.map_err(|error| {
            *this.is_done = true;
            this.data.explain(error)
        })))
    }
}
