//! A body that is decoded as it is read.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_core::BoxError;
use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{
    coding::Coding,
    decoder::{Decoder, Pull},
};
use crate::{Error, error::Kind};

/// How far a body may expand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Decoded bytes.
    pub(super) size: u64,
    /// Decoded bytes for each byte of the wire, once there are more decoded ones than `free`.
    pub(super) ratio: u64,
    pub(super) free: u64,
}

pin_project! {
    /// A response body without its content codings, which is decoded as it is read: what a
    /// [`DecompressionLayer`](super::DecompressionLayer) makes of one. A body without codings passes untouched.
    ///
    /// Trailers are kept. The size of what is decoded is not known before its end.
    pub struct DecodedBody<B> {
        #[pin]
        inner: B,
        decoding: Option<Box<Decoding>>,
    }
}

struct Decoding {
    decoder: Decoder,
    codings: Vec<Coding>,
    limits: Limits,
    wire: u64,
    decoded: u64,
    trailers: Option<HeaderMap>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Decoding,
    /// All is decoded but the trailers.
    Decoded,
    Over,
}

impl<B> DecodedBody<B> {
    /// One that passes as it is.
    pub(super) const fn plain(inner: B) -> Self {
        Self {
            inner,
            decoding: None,
        }
    }

    pub(super) fn decoding(inner: B, codings: Vec<Coding>, limits: Limits) -> Self {
        Self {
            inner,
            decoding: Some(Box::new(Decoding {
                decoder: Decoder::new(&codings),
                codings,
                limits,
                wire: 0,
                decoded: 0,
                trailers: None,
                state: State::Decoding,
            })),
        }
    }
}

impl Decoding {
    fn count(&mut self, decoded: usize) -> Result<(), Error> {
        self.decoded += decoded as u64;
        let Limits { size, ratio, free } = self.limits;
        if self.decoded > size {
            return Err(Error::new(
                Kind::TooLarge,
                format!(
                    "the response body is larger than {size} bytes once decoded: raise `max_decoded` of the DecompressionLayer"
                ),
            ));
        }
        if self.decoded > free && self.decoded / self.wire.max(1) >= ratio {
            return Err(Error::new(
                Kind::TooLarge,
                format!(
                    "the response body expands more than {ratio} times: {} bytes became {}; raise `max_ratio` of the DecompressionLayer if that is to be expected",
                    self.wire, self.decoded
                ),
            ));
        }
        Ok(())
    }

    fn explain(&self, error: io::Error) -> Error {
        let names: Vec<_> = self.codings.iter().map(|coding| coding.name()).collect();
        let names = names.join(", ");
        let message = if error.kind() == io::ErrorKind::UnexpectedEof {
            format!("the response body ends within its content coding `{names}`")
        } else {
            format!("the response body is not the `{names}` that it says it is")
        };
        Error::new(Kind::Decode, message).with_source(error)
    }
}

impl<B> Body for DecodedBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut this = self.project();
        let Some(decoding) = this.decoding else {
            let frame = ready!(this.inner.poll_frame(cx));
            return Poll::Ready(frame.map(|frame| match frame {
                Ok(frame) => Ok(frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))),
                Err(error) => Err(Error::of_body(error.into())),
            }));
        };
        loop {
            match decoding.state {
                // ## Decoding => (Decoded | Over)
                State::Decoding => match decoding.decoder.pull() {
                    Ok(Pull::Data(data)) => {
                        if let Err(error) = decoding.count(data.len()) {
                            decoding.state = State::Over;
                            return Poll::Ready(Some(Err(error)));
                        }
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    Ok(Pull::Hungry) => match ready!(this.inner.as_mut().poll_frame(cx)) {
                        Some(Ok(frame)) => match frame.into_data() {
                            Ok(mut data) => {
                                let data = data.copy_to_bytes(data.remaining());
                                decoding.wire += data.len() as u64;
                                decoding.decoder.push(data);
                            }
                            Err(frame) => decoding.trailers = frame.into_trailers().ok(),
                        },
                        Some(Err(error)) => {
                            decoding.state = State::Over;
                            return Poll::Ready(Some(Err(Error::of_body(error.into()))));
                        }
                        None => decoding.decoder.finish(),
                    },
                    Ok(Pull::End) => decoding.state = State::Decoded,
                    Err(error) => {
                        decoding.state = State::Over;
                        return Poll::Ready(Some(Err(decoding.explain(error))));
                    }
                },
                // ## Decoded => Over
                State::Decoded => {
                    decoding.state = State::Over;
                    let trailers = decoding.trailers.take();
                    return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
                }
                State::Over => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.decoding {
            Some(decoding) => decoding.state == State::Over,
            None => self.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.decoding {
            Some(_) => SizeHint::default(),
            None => self.inner.size_hint(),
        }
    }
}

impl<B: fmt::Debug> fmt::Debug for DecodedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codings = self.decoding.as_ref().map(|decoding| &decoding.codings);
        f.debug_struct("DecodedBody")
            .field("inner", &self.inner)
            .field("codings", &codings)
            .finish_non_exhaustive()
    }
}
