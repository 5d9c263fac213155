//! Bodies read to their end, within limits.

use std::{
    future::poll_fn,
    mem,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bartizan_core::{Body, BoxError};
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http_body::{Body as _, Frame, SizeHint};

use super::ExtractError;

/// How many bytes a body may have that is read as a whole. In the extensions of a request; 1 MiB if it is not there.
///
/// It holds for everything here but [`Multipart`](super::multipart::Multipart), which streams. A body that says that it is
/// larger is refused before a byte of it is read. 1 MiB is far above what people type, and values of it, which may be ten times as large
/// as their JSON, still fit into memory a hundred times over; nginx has the same default.
///
/// axum's `DefaultBodyLimit` is not read: it is for axum's own extractors. That of tower-http's `RequestBodyLimitLayer` is kept to:
/// the smaller of the two wins.
///
/// In axum, `Extension` sets it for a route or for a whole router:
///
/// ```
/// use axum::{Extension, Router, routing::post};
/// use bartizan_listener::extract::BodyLimit;
///
/// # async fn upload() {}
/// let router: Router = Router::new().route("/notes", post(upload)).layer(Extension(BodyLimit(64 << 10)));
/// ```
///
/// In a plain service, whoever is above inserts it:
///
/// ```
/// use bartizan_core::Body;
/// use bartizan_listener::extract::{BodyLimit, FromBody, Text};
/// use http::Request;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut request = Request::post("/").header("content-type", "text/plain").body(Body::from("12345")).unwrap();
/// request.extensions_mut().insert(BodyLimit(4));
///
/// let (head, body) = request.into_parts();
/// assert!(Text::from_body(&head, body).await.unwrap_err().is_too_large());
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimit(pub usize);

impl Default for BodyLimit {
    fn default() -> Self {
        Self(1 << 20)
    }
}

impl BodyLimit {
    fn exceeded(self) -> ExtractError {
        ExtractError::too_large(format!(
            "the body is larger than the {} bytes that are allowed",
            self.0
        ))
    }
}

/// The bytes of the body, without trailers.
pub(crate) async fn whole(head: &Parts, body: Body) -> Result<Bytes, ExtractError> {
    let limit: BodyLimit = head.extensions.get().copied().unwrap_or_default();
    if usize::try_from(body.size_hint().lower()).map_or(true, |length| length > limit.0) {
        return Err(limit.exceeded());
    }
    let mut body = pin!(body);
    let mut only = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(data) = next_data(body.as_mut()).await? {
        if data.len() > limit.0 - only.len() - whole.len() {
            return Err(limit.exceeded());
        }
        if whole.is_empty() && only.is_empty() {
            // Most bodies are one piece, which is shared and not copied.
            only = data;
        } else {
            whole.extend_from_slice(&mem::take(&mut only));
            whole.extend_from_slice(&data);
        }
    }
    Ok(if whole.is_empty() {
        only
    } else {
        whole.freeze()
    })
}

/// The next data that are any: HTTP/2 often says by an empty frame that this was all.
pub(crate) async fn next_data(mut body: Pin<&mut Body>) -> Result<Option<Bytes>, ExtractError> {
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        match frame.map_err(ExtractError::reading)?.into_data() {
            Ok(data) if !data.is_empty() => return Ok(Some(data)),
            _ => {}
        }
    }
    Ok(None)
}

/// The body, or nothing if there is none. Waits for its first bytes where the head does not tell.
pub(crate) async fn present(body: Body) -> Result<Option<Body>, ExtractError> {
    if body.is_end_stream() || body.size_hint().exact() == Some(0) {
        return Ok(None);
    }
    if body.size_hint().lower() > 0 {
        return Ok(Some(body));
    }
    let mut body = body;
    let first = next_data(Pin::new(&mut body)).await?;
    Ok(first.map(|first| Body::new(Begun { first, rest: body })))
}

/// A body whose first data are here already. Neither is pinned: a [`Body`] can be moved.
struct Begun {
    first: Bytes,
    rest: Body,
}

impl http_body::Body for Begun {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let first = mem::take(&mut self.first);
        if first.is_empty() {
            Pin::new(&mut self.rest).poll_frame(cx)
        } else {
            Poll::Ready(Some(Ok(Frame::data(first))))
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.size_hint();
        let first = self.first.len() as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(first));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(first)) {
            hint.set_upper(upper);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::BodyExt;

    use super::*;

    /// Of unknown length, as chunks are.
    fn chunked(text: &'static str) -> Body {
        Body::from_stream(stream::iter([Ok::<_, BoxError>(text)]))
    }

    #[tokio::test]
    async fn a_body_that_was_looked_at_is_whole() {
        let body = chunked("hello");
        assert!(!body.is_end_stream() && body.size_hint().exact().is_none());
        let body = Begun {
            first: Bytes::from("say "),
            rest: body,
        };
        assert_eq!(body.size_hint().lower(), 4);
        let body = present(Body::new(body)).await.expect("no error");
        let whole = body.expect("it has data").collect().await;
        assert_eq!(whole.expect("no error").to_bytes(), "say hello");
    }

    #[tokio::test]
    async fn nothing_is_nothing_whether_its_length_is_known_or_not() {
        for body in [Body::empty(), chunked("")] {
            assert!(present(body).await.expect("no error").is_none());
        }
        let body = present(chunked("a")).await.expect("no error");
        assert!(body.is_some());
    }
}
