//! The body that stacks carry where they meet.

use std::{
    any::Any,
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use futures_core::Stream;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::BoxError;

/// A request or response body: empty, whole, or a stream.
///
/// The first two can be sent again, which is what failover, retries and redirects ask [`try_clone`](Self::try_clone) for; a stream
/// can be sent once. Only a stream costs an allocation. Trailers, `is_end_stream` and size hints of a wrapped body are kept.
///
/// Layers are generic over the body they receive wherever they can be; this type is for the seams between stacks, where one has
/// to be named.
///
/// ```
/// use bartizan_core::Body;
///
/// let whole = Body::from("hello");
/// assert_eq!(whole.whole().map(|bytes| &bytes[..]), Some(&b"hello"[..]));
/// assert!(whole.try_clone().is_some());
/// assert!(Body::default().try_clone().is_some());
/// ```
#[derive(Default)]
pub struct Body(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Whole(Bytes),
    Stream(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>),
}

impl Body {
    /// A body of no bytes and no trailers.
    pub const fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// Wraps any body. One that is a `Body` already is taken as it is, and one that has ended is [`Body::empty`].
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut slot = Some(body);
        let any: &mut dyn Any = &mut slot;
        if let Some(body) = any.downcast_mut::<Option<Self>>() {
            return mem::take(body).unwrap_or_default();
        }
        match slot {
            Some(body) if !body.is_end_stream() => Self(Kind::Stream(Box::pin(Erased { body }))),
            _ => Self::empty(),
        }
    }

    /// A body that sends what `stream` yields. Of unknown length, so HTTP/1.1 sends it in chunks.
    ///
    /// ```
    /// # use futures_core::Stream;
    /// use bartizan_core::Body;
    ///
    /// fn upload(lines: impl Stream<Item = Result<String, std::io::Error>> + Send + 'static) -> Body {
    ///     Body::from_stream(lines)
    /// }
    /// ```
    pub fn from_stream<S, D, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<D, E>> + Send + 'static,
        D: Into<Bytes>,
        E: Into<BoxError>,
    {
        Self(Kind::Stream(Box::pin(FromStream { stream })))
    }

    /// The bytes of a body that is whole; those of an empty one are none. `None` for a stream, and for a body already begun.
    pub fn whole(&self) -> Option<&Bytes> {
        static NONE: Bytes = Bytes::new();
        match &self.0 {
            Kind::Empty => Some(&NONE),
            Kind::Whole(bytes) => Some(bytes),
            Kind::Stream(_) => None,
        }
    }

    /// A second body that sends the same, if this one is not a stream. The bytes are shared, not copied.
    pub fn try_clone(&self) -> Option<Self> {
        match &self.0 {
            Kind::Empty => Some(Self(Kind::Empty)),
            Kind::Whole(bytes) => Some(Self(Kind::Whole(bytes.clone()))),
            Kind::Stream(_) => None,
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Whole(bytes) => {
                let bytes = mem::take(bytes);
                self.0 = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Stream(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Whole(_) => false,
            Kind::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream(body) => body.size_hint(),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Self::empty()
        } else {
            Self(Kind::Whole(bytes))
        }
    }
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

macro_rules! from_owned_bytes {
    ($($ty:ty),*) => {
        $(impl From<$ty> for Body {
            fn from(value: $ty) -> Self {
                Bytes::from(value).into()
            }
        })*
    };
}

from_owned_bytes!(&'static str, &'static [u8], String, Vec<u8>);

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the bytes: they may be secret, and they may be many.
        match &self.0 {
            Kind::Empty => f.write_str("Body(empty)"),
            Kind::Whole(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Kind::Stream(body) => write!(f, "Body(stream, {:?})", body.size_hint()),
        }
    }
}

pin_project! {
    /// A body whose data and error are those of [`Body`].
    struct Erased<B> {
        #[pin]
        body: B,
    }
}

impl<B> http_body::Body for Erased<B>
where
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(self.project().body.poll_frame(cx));
        // For `Bytes`, which nearly every body yields, this shares and does not copy.
        let to_bytes = |mut data: B::Data| data.copy_to_bytes(data.remaining());
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) => Ok(frame.map_data(to_bytes)),
            Err(error) => Err(error.into()),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project! {
    struct FromStream<S> {
        #[pin]
        stream: S,
    }
}

impl<S, D, E> http_body::Body for FromStream<S>
where
    S: Stream<Item = Result<D, E>>,
    D: Into<Bytes>,
    E: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let item = ready!(self.project().stream.poll_next(cx));
        Poll::Ready(item.map(|item| match item {
            Ok(data) => Ok(Frame::data(data.into())),
            Err(error) => Err(error.into()),
        }))
    }
}
