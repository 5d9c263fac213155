//! Reading a response, of any body.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bartizan_core::BoxError;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_core::Stream;
use http::{HeaderMap, Response, header};
use http_body::Body;
use pin_project_lite::pin_project;

use crate::{
    Error,
    error::{Call, Kind},
};

/// How many bytes of a response body are read into memory at most.
///
/// [`ResponseExt`] reads it from the extensions of the response; a layer may set it there for a whole stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimit(pub usize);

impl Default for BodyLimit {
    /// 16 MiB: more than APIs answer with, and less than hurts a process that reads a few at once.
    fn default() -> Self {
        Self(16 * 1024 * 1024)
    }
}

/// Reading on every `Response`, whatever its body.
///
/// What reads a body whole stops at a [`BodyLimit`], because the bytes come from a peer: at 16 MiB unless
/// [`body_limit`](Self::body_limit) sets another. A body that is known to be longer fails before any of it is read.
///
/// Dropping one of the futures drops the response: what was read is lost, and the connection is given up as far as its protocol
/// demands it.
///
/// # Examples
///
/// ```
/// use bartizan_client::ResponseExt;
/// use bartizan_core::Body;
/// use http::Response;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let response = Response::new(Body::from("hello"));
/// assert_eq!(response.text().await?, "hello");
///
/// let error = Response::new(Body::from("hello")).body_limit(4).text().await.unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "the response body is larger than the limit of 4 bytes: raise it by `.body_limit(…)`, or read it by `.stream()`"
/// );
/// # Ok(())
/// # }
/// ```
///
/// A status is no error until it is asked to be:
///
/// ```
/// use bartizan_client::ResponseExt;
/// use bartizan_core::Body;
/// use http::{Response, StatusCode};
///
/// let response = Response::builder().status(404).header("x-id", "7").body(Body::empty()).unwrap();
/// let error = response.error_for_status().unwrap_err();
/// assert_eq!(error.status(), Some(StatusCode::NOT_FOUND));
/// assert_eq!(error.headers().unwrap()["x-id"], "7");
/// ```
pub trait ResponseExt: Sized + sealed::Sealed {
    /// The body of the response.
    type Body;

    /// Sets the [`BodyLimit`] for the reads that follow, in bytes.
    #[must_use]
    fn body_limit(self, bytes: usize) -> Self;

    /// Makes an error of a 4xx or 5xx status, which keeps status and headers. The body is dropped; where it is needed, look at the
    /// status instead.
    ///
    /// # Errors
    ///
    /// [`Error::is_status`].
    fn error_for_status(self) -> Result<Self, Error>;

    /// The whole body. Trailers are dropped.
    ///
    /// # Errors
    ///
    /// [`Error::is_body`], of which [`Error::is_too_large`] is one.
    fn bytes(self) -> impl Future<Output = Result<Bytes, Error>> + Send;

    /// The whole body as text in UTF-8, without a byte order mark.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes), and [`Error::is_decode`] if the body is not UTF-8, or its `Content-Type` says that it is in
    /// another charset; that is found out before it is read.
    fn text(self) -> impl Future<Output = Result<String, Error>> + Send;

    /// The whole body as JSON (RFC 8259), without a byte order mark. `Content-Type` is not asked.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes), and [`Error::is_decode`] if the body is not JSON, or not of this shape.
    #[cfg(feature = "json")]
    fn json<T: serde::de::DeserializeOwned>(self) -> impl Future<Output = Result<T, Error>> + Send;

    /// Reads the body to its end and keeps nothing, so that its connection can carry the next request.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes): the limit holds here too, as a new connection is cheaper than a long body.
    fn discard(self) -> impl Future<Output = Result<(), Error>> + Send;

    /// The data of the body as it arrives, without a limit. Trailers are dropped: for them, read the body itself.
    fn stream(self) -> DataStream<Self::Body>;
}

impl<B> ResponseExt for Response<B>
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send,
{
    type Body = B;

    fn body_limit(mut self, bytes: usize) -> Self {
        self.extensions_mut().insert(BodyLimit(bytes));
        self
    }

    fn error_for_status(self) -> Result<Self, Error> {
        let status = self.status();
        if !(status.is_client_error() || status.is_server_error()) {
            return Ok(self);
        }
        let (mut head, _) = self.into_parts();
        Err(
            Error::new(Kind::Status, format!("the server answered {status}"))
                .with_response(status, head.headers)
                .with_call(Call::answered_by(&mut head.extensions)),
        )
    }

    async fn bytes(self) -> Result<Bytes, Error> {
        let Opened { body, limit, call } = Opened::new(self);
        let bytes = read_whole(body, limit).await;
        bytes.map_err(|error| error.with_call(call))
    }

    async fn text(self) -> Result<String, Error> {
        let charset = check_charset(self.headers());
        let Opened { body, limit, call } = Opened::new(self);
        let text = match charset {
            Ok(()) => read_whole(body, limit).await.and_then(decode),
            Err(error) => Err(error),
        };
        text.map_err(|error| error.with_call(call))
    }

    #[cfg(feature = "json")]
    async fn json<T: serde::de::DeserializeOwned>(self) -> Result<T, Error> {
        let Opened { body, limit, call } = Opened::new(self);
        let value = read_whole(body, limit).await.and_then(|bytes| {
            serde_json::from_slice(&without_bom(bytes)).map_err(|error| {
                Error::new(
                    Kind::Decode,
                    format!(
                        "the response body is not the JSON of a `{}`",
                        std::any::type_name::<T>()
                    ),
                )
                .with_source(error)
            })
        });
        value.map_err(|error| error.with_call(call))
    }

    async fn discard(self) -> Result<(), Error> {
        let Opened { body, limit, call } = Opened::new(self);
        let end = read(body, limit, |_| ()).await;
        end.map_err(|error| error.with_call(call))
    }

    fn stream(self) -> DataStream<B> {
        let Opened { body, call, .. } = Opened::new(self);
        DataStream { body, call }
    }
}

/// What reading needs of a response.
struct Opened<B> {
    body: B,
    limit: BodyLimit,
    call: Option<Call>,
}

impl<B> Opened<B> {
    fn new(response: Response<B>) -> Self {
        let (mut head, body) = response.into_parts();
        Self {
            body,
            limit: head.extensions.get().copied().unwrap_or_default(),
            call: Call::answered_by(&mut head.extensions),
        }
    }
}

async fn read_whole<B>(body: B, limit: BodyLimit) -> Result<Bytes, Error>
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send,
{
    let mut only = Bytes::new();
    let mut whole = BytesMut::new();
    read(body, limit, |mut data| {
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
    Ok(if whole.is_empty() {
        only
    } else {
        whole.freeze()
    })
}

/// Reads `body` to its end, and hands on its data as long as they are within the limit.
async fn read<B>(
    body: B,
    BodyLimit(limit): BodyLimit,
    mut each: impl FnMut(B::Data) + Send,
) -> Result<(), Error>
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send,
{
    let too_large = || {
        Error::new(
            Kind::TooLarge,
            format!(
                "the response body is larger than the limit of {limit} bytes: raise it by `.body_limit(…)`, or read it by `.stream()`"
            ),
        )
    };
    if body.is_end_stream() {
        // A response to `HEAD`, whose `Content-Length` may be any.
        return Ok(());
    }
    let mut left = limit;
    if usize::try_from(body.size_hint().lower()).map_or(true, |length| length > left) {
        return Err(too_large());
    }
    let mut body = pin!(body);
    while let Some(data) = poll_fn(|cx| poll_data(body.as_mut(), cx)).await {
        let data = data?;
        left = left.checked_sub(data.remaining()).ok_or_else(too_large)?;
        each(data);
    }
    Ok(())
}

/// The next data frame.
fn poll_data<B>(mut body: Pin<&mut B>, cx: &mut Context<'_>) -> Poll<Option<Result<B::Data, Error>>>
where
    B: Body<Error: Into<BoxError>>,
{
    loop {
        match ready!(body.as_mut().poll_frame(cx)) {
            Some(Ok(frame)) => {
                // Trailers are dropped, and so is the empty frame by which HTTP/2 often says that this was all.
                if let Some(data) = frame.into_data().ok().filter(Buf::has_remaining) {
                    return Poll::Ready(Some(Ok(data)));
                }
            }
            Some(Err(error)) => return Poll::Ready(Some(Err(broken(error.into())))),
            None => return Poll::Ready(None),
        }
    }
}

fn broken(error: BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => *ours,
        Err(other) => Error::broken_body(other),
    }
}

fn check_charset(headers: &HeaderMap) -> Result<(), Error> {
    match charset(headers) {
        Some(charset)
            if !["utf-8", "utf8", "us-ascii", "ascii"]
                .iter()
                .any(|known| charset.eq_ignore_ascii_case(known)) =>
        {
            Err(Error::new(
                Kind::Decode,
                format!(
                    "the response is text in `{charset}`, and only UTF-8 is decoded: read it by `.bytes()`"
                ),
            ))
        }
        _ => Ok(()),
    }
}

/// The `charset` of `Content-Type` (RFC 9110 section 8.3.2).
fn charset(headers: &HeaderMap) -> Option<&str> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let mut parameters = content_type.split(';').skip(1);
    parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| value.trim().trim_matches('"'))
    })
}

fn decode(bytes: Bytes) -> Result<String, Error> {
    String::from_utf8(without_bom(bytes).into()).map_err(|error| {
        Error::new(
            Kind::Decode,
            "the response body is not UTF-8: read it by `.bytes()`",
        )
        .with_source(error.utf8_error())
    })
}

/// UTF-8 needs no byte order mark, and JSON and text do not count it as content (RFC 8259 section 8.1).
fn without_bom(mut bytes: Bytes) -> Bytes {
    const BOM: &[u8] = "\u{feff}".as_bytes();
    if bytes.starts_with(BOM) {
        bytes.advance(BOM.len());
    }
    bytes
}

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
        call: Option<Call>,
    }
}

impl<B> Stream for DataStream<B>
where
    B: Body<Error: Into<BoxError>>,
{
    type Item = Result<Bytes, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        let data = ready!(poll_data(this.body, cx));
        Poll::Ready(data.map(|data| match data {
            Ok(mut data) => Ok(data.copy_to_bytes(data.remaining())),
            Err(error) => Err(error.with_call(this.call.clone())),
        }))
    }
}

mod sealed {
    pub trait Sealed {}

    impl<B> Sealed for http::Response<B> {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charset_is_read_in_any_spelling() {
        for (content_type, expected) in [
            ("text/plain", None),
            ("text/plain; charset=utf-8", Some("utf-8")),
            ("text/plain;CHARSET=\"UTF-8\"", Some("UTF-8")),
            ("text/html; level=1; charset = latin1", Some("latin1")),
            ("charset=latin1", None),
            ("text/plain; charset", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(
                header::CONTENT_TYPE,
                content_type.parse().expect("a header value"),
            );
            assert_eq!(charset(&headers), expected, "{content_type}");
        }
        assert_eq!(charset(&HeaderMap::new()), None);
    }
}
