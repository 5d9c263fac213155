//! Reading a body to its end, within limits.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bartizan_core::BoxError;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{Extensions, HeaderMap, Response};
use http_body::{Body, Frame};

use super::BodyLimit;
use crate::{
    Error,
    call_timeout::Deadline,
    error::{Call, Kind},
};

/// What reading needs of a response.
pub(super) struct Opened<B> {
    pub(super) body: B,
    pub(super) limit: BodyLimit,
    pub(super) about: About,
}

/// What an error of reading says of its call.
#[derive(Debug, Default)]
pub(crate) struct About {
    call: Option<Call>,
    extensions: Extensions,
}

impl<B> Opened<B> {
    pub(super) fn new(response: Response<B>) -> Self {
        let (head, body) = response.into_parts();
        Self {
            body,
            limit: head.extensions.get().copied().unwrap_or_default(),
            about: About::new(head.extensions),
        }
    }
}

impl<B> Opened<B>
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send,
{
    /// The whole body and its trailers, and what `decode` makes of them.
    pub(super) async fn read<T>(
        self,
        decode: impl FnOnce(Bytes, HeaderMap) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Self { body, limit, about } = self;
        let read = Deadline::within(about.deadline(), read_whole(body, limit)).await;
        read.and_then(|(bytes, trailers)| decode(bytes, trailers))
            .map_err(|error| about.explain(error))
    }
}

impl About {
    pub(crate) fn new(mut extensions: Extensions) -> Self {
        Self {
            call: Call::answered_by(&mut extensions),
            extensions,
        }
    }

    pub(crate) fn deadline(&self) -> Option<Deadline> {
        self.call.as_ref()?.deadline
    }

    pub(crate) fn explain(self, error: Error) -> Error {
        error.with_call(self.call).with_extensions(self.extensions)
    }
}

async fn read_whole<B>(body: B, limit: BodyLimit) -> Result<(Bytes, HeaderMap), Error>
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send,
{
    let mut only = Bytes::new();
    let mut whole = BytesMut::new();
    let trailers = read(body, limit, |mut data| {
        if !whole.is_empty() {
            whole.put(data);
        } else if only.is_empty() {
            // Most bodies are one piece, which is shared and not copied.
            only = data.copy_to_bytes(data.remaining());
        } else {
            whole.put(&mut only);
            whole.put(data);
        }
    })
    .await?;
    let bytes = if whole.is_empty() {
        only
    } else {
        whole.freeze()
    };
    Ok((bytes, trailers))
}

/// As much of `body` as is within the limit, and can be read before the deadline.
pub(super) async fn read_some<B>(
    body: B,
    BodyLimit(limit): BodyLimit,
    deadline: Option<Deadline>,
) -> Bytes
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send,
{
    let mut some = BytesMut::new();
    let reading = async {
        let mut body = pin!(body);
        while let Some(frame) = poll_fn(|cx| poll_frame(body.as_mut(), cx)).await {
            if let Ok(data) = frame?.into_data() {
                let left = limit - some.len();
                if data.remaining() > left {
                    some.put(data.take(left));
                    break;
                }
                some.put(data);
            }
        }
        Ok(())
    };
    // Whatever ended it: there is an error already, and it says more.
    let _ = Deadline::within(deadline, reading).await;
    some.freeze()
}

/// Reads `body` to its end, and hands on its data as long as they are within the limit. Returns the trailers.
pub(super) async fn read<B>(
    body: B,
    BodyLimit(limit): BodyLimit,
    mut each: impl FnMut(B::Data) + Send,
) -> Result<HeaderMap, Error>
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send,
{
    let mut trailers = HeaderMap::new();
    if body.is_end_stream() {
        // A response to `HEAD`, whose `Content-Length` may be any.
        return Ok(trailers);
    }
    let mut left = limit;
    if usize::try_from(body.size_hint().lower()).map_or(true, |length| length > left) {
        return Err(too_large(limit));
    }
    let mut body = pin!(body);
    while let Some(frame) = poll_fn(|cx| poll_frame(body.as_mut(), cx)).await {
        match frame?.into_data() {
            Ok(data) => {
                left = left
                    .checked_sub(data.remaining())
                    .ok_or_else(|| too_large(limit))?;
                each(data);
            }
            Err(frame) => trailers.extend(frame.into_trailers().ok().into_iter().flatten()),
        }
    }
    Ok(trailers)
}

pub(super) fn too_large(limit: usize) -> Error {
    Error::new(
        Kind::TooLarge,
        format!(
            "the response body is larger than the limit of {limit} bytes: raise it by `.body_limit(…)`, or read it by `.stream()`"
        ),
    )
}

/// The next frame that has something in it: HTTP/2 often says by an empty one that this was all.
pub(crate) fn poll_frame<B>(
    mut body: Pin<&mut B>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<B::Data>, Error>>>
where
    B: Body<Error: Into<BoxError>>,
{
    loop {
        let frame = match ready!(body.as_mut().poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(Error::of_body(error.into())))),
            None => return Poll::Ready(None),
        };
        if frame.data_ref().is_none_or(Buf::has_remaining) {
            return Poll::Ready(Some(Ok(frame)));
        }
    }
}
