//! Requests that can be sent more than once.

use bytes::Bytes;
use http::Request;

use crate::Body;

/// A request, or the body of one, that may be copied so that it can be sent again.
///
/// Whether it *should* be sent again is another question, which the layer that asks for the copy answers: by the method, by what
/// went wrong, by what is left of a budget.
///
/// Implemented for [`Body`], `Bytes`, `()`, and for [`http::Request`] over any of them. The copy of a `Request` has its method, URI,
/// version, headers and extensions.
///
/// ```
/// use bartizan_core::{Body, Replay};
/// use http::Request;
///
/// let request = Request::post("/orders").body(Body::from("1 lamp")).unwrap();
/// let copy = request.replay().expect("a whole body can be sent again");
/// assert_eq!(copy.uri(), "/orders");
/// ```
pub trait Replay: Sized {
    /// A copy that sends the same, or `None` if there is only one to be had.
    fn replay(&self) -> Option<Self>;
}

impl Replay for Body {
    fn replay(&self) -> Option<Self> {
        self.try_clone()
    }
}

impl Replay for Bytes {
    fn replay(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl Replay for () {
    fn replay(&self) -> Option<Self> {
        Some(())
    }
}

impl<B: Replay> Replay for Request<B> {
    fn replay(&self) -> Option<Self> {
        let mut copy = Self::new(self.body().replay()?);
        *copy.method_mut() = self.method().clone();
        *copy.uri_mut() = self.uri().clone();
        *copy.version_mut() = self.version();
        *copy.headers_mut() = self.headers().clone();
        *copy.extensions_mut() = self.extensions().clone();
        Some(copy)
    }
}
