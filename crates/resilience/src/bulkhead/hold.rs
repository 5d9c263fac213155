//! How long a call holds its place.

use std::sync::Arc;

use super::{
    admission::{Gate, Permit},
    places::Places,
};
use crate::stripes::Held;

/// What a call holds on to.
#[derive(Clone, Debug)]
pub(super) enum Hall {
    /// For all calls.
    Common(Held<Arc<Places>>),
    /// For those of one key.
    OfKey(Arc<Places>),
}

impl Gate for Hall {
    type Stamp = ();

    fn places(&self) -> &Places {
        match self {
            Self::Common(places) => places,
            Self::OfKey(places) => places,
        }
    }

    fn stamp(&self, _: u32) {}
}

/// Decides when the place of a call that was answered is free.
pub trait Hold<Res> {
    /// What becomes of the response.
    type Response;

    /// The response, which may carry the place on.
    #[doc(hidden)]
    fn hold(&self, place: Option<Place>, response: Res) -> Self::Response;
}

/// A place that is given back when it is dropped.
#[derive(Debug)]
pub struct Place(#[expect(dead_code, reason = "held until it is dropped")] pub(super) Permit<Hall>);

/// The place is free when the response is there. For HTTP, when its head is.
#[derive(Clone, Copy, Debug, Default)]
pub struct UntilHead;

impl<Res> Hold<Res> for UntilHead {
    type Response = Res;

    fn hold(&self, _: Option<Place>, response: Res) -> Res {
        response
    }
}

#[cfg(feature = "http")]
pub use self::http::{HeldBody, UntilBodyEnd};

#[cfg(feature = "http")]
mod http {
    use std::{
        pin::Pin,
        task::{Context, Poll, ready},
    };

    use bytes::Bytes;
    use http::Response;
    use http_body::{Body, Frame, SizeHint};
    use pin_project_lite::pin_project;

    use super::{Hold, Place};

    /// The place is free when the body of the response has ended, has failed, or was dropped.
    #[derive(Clone, Copy, Debug, Default)]
    pub struct UntilBodyEnd;

    impl<B: Body> Hold<Response<B>> for UntilBodyEnd {
        type Response = Response<HeldBody<B>>;

        fn hold(&self, place: Option<Place>, response: Response<B>) -> Self::Response {
            response.map(|inner| HeldBody {
                // Nobody asks an empty body for its end.
                place: place.filter(|_| !inner.is_end_stream()),
                inner,
            })
        }
    }

    pin_project! {
        /// A body that holds a place until it ends. It forwards everything else.
        #[derive(Debug)]
        pub struct HeldBody<B> {
            #[pin]
            inner: B,
            place: Option<Place>,
        }
    }

    /// A body that holds no place, for responses in place of a rejection.
    impl<B: From<Bytes>> From<Bytes> for HeldBody<B> {
        fn from(bytes: Bytes) -> Self {
            Self {
                inner: bytes.into(),
                place: None,
            }
        }
    }

    impl<B: Body> Body for HeldBody<B> {
        type Data = B::Data;
        type Error = B::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
            let mut this = self.project();
            let frame = ready!(this.inner.as_mut().poll_frame(cx));
            let more = match &frame {
                None | Some(Err(_)) => false,
                // Trailers are the last frame there is, and a reader that trusts `is_end_stream` never asks for the `None`.
                Some(Ok(frame)) => !frame.is_trailers() && !this.inner.is_end_stream(),
            };
            if !more {
                *this.place = None;
            }
            Poll::Ready(frame)
        }

        fn is_end_stream(&self) -> bool {
            self.inner.is_end_stream()
        }

        fn size_hint(&self) -> SizeHint {
            self.inner.size_hint()
        }
    }
}
