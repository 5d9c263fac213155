//! Reading a response, of any body.

mod answer;
mod content_type;
#[cfg(any(feature = "json", feature = "xml"))]
mod decode;
mod headers;
mod read;
#[cfg(feature = "fs")]
mod save;
mod stream;
mod times;

use std::future::Future;
#[cfg(feature = "fs")]
use std::path::Path;

use bytes::Bytes;
use http::HeaderMap;

#[cfg(all(feature = "json", feature = "sse"))]
pub(crate) use self::decode::json as decode_json;
#[cfg(feature = "sse")]
pub(crate) use self::read::About;
#[cfg(feature = "sse")]
pub(crate) use self::times::now;
pub(crate) use self::{content_type::parameter, times::Stopwatch};
pub use self::{
    headers::HeadersExt,
    stream::{DataStream, Lines},
    times::Times,
};
use crate::Error;
#[cfg(feature = "sse")]
use crate::sse::EventStream;

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

    /// When the call was made and answered, if [`send`](crate::RequestBuilder::send) made it.
    fn times(&self) -> Option<Times>;

    /// The response as a gateway sends it on, to whoever sent what it [forwarded](crate::RequestExt::forward): without what was meant
    /// for this hop alone (RFC 9110 section 7.6.1), which is `Connection` and every header that it names, `Keep-Alive`,
    /// `Proxy-Connection`, `TE`, `Transfer-Encoding`, `Upgrade`, and what is between a client and its proxy. The version is for
    /// the server to choose again.
    ///
    /// `Content-Length` stays: where a response has no body, as to `HEAD`, nothing else says it. A gateway may leave out `Via`; a proxy
    /// has to add itself.
    ///
    /// ```
    /// use bartizan_client::ResponseExt;
    /// use bartizan_core::Body;
    /// use http::Response;
    ///
    /// let received = Response::builder().header("connection", "x-hop").header("x-hop", "1").header("x-end", "2");
    /// let sent = received.body(Body::empty())?.end_to_end();
    /// assert_eq!(sent.headers().keys().collect::<Vec<_>>(), ["x-end"]);
    /// # Ok::<(), http::Error>(())
    /// ```
    #[must_use]
    fn end_to_end(self) -> Self;

    /// Makes an error of a 4xx or 5xx status, which keeps status and headers. The body is dropped; where it is needed, there is
    /// [`error_for_status_with_body`](Self::error_for_status_with_body).
    ///
    /// # Errors
    ///
    /// [`Error::is_status`].
    fn error_for_status(self) -> Result<Self, Error>;

    /// The same, which keeps the [body](Error::body) too: as much of it as could be read, up to 64 KiB, or to the [`BodyLimit`] if
    /// that is less. More than enough to say what was wrong, and little enough to keep in an error.
    ///
    /// ```
    /// # use bartizan_client::ResponseExt;
    /// # use bartizan_core::Body;
    /// # use http::Response;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let response = Response::builder().status(409).body(Body::from("the name is taken")).unwrap();
    /// let error = response.error_for_status_with_body().await.unwrap_err();
    /// assert_eq!(error.body().unwrap(), "the name is taken");
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::is_status`]. That the body broke off, was too long or too late is no error of its own.
    fn error_for_status_with_body(self) -> impl Future<Output = Result<Self, Error>> + Send;

    /// The whole body. Trailers are dropped.
    ///
    /// # Errors
    ///
    /// [`Error::is_body`], of which [`Error::is_too_large`] is one. [`Error::is_timeout`] where the request had a
    /// [`timeout`](crate::RequestBuilder::timeout), here and in all that follow.
    fn bytes(self) -> impl Future<Output = Result<Bytes, Error>> + Send;

    /// The whole body, and its trailers (RFC 9110 section 6.5), which are often none.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes).
    fn bytes_and_trailers(self) -> impl Future<Output = Result<(Bytes, HeaderMap), Error>> + Send;

    /// The whole body as text, without a byte order mark: in the charset of that mark, else in that of `Content-Type`, else in UTF-8.
    /// Charsets other than UTF-8 need the feature `charset`.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes), and [`Error::is_decode`] if the body is no text in its charset, or that is not known; this is found
    /// out before the body is read.
    fn text(self) -> impl Future<Output = Result<String, Error>> + Send;

    /// The same, with U+FFFD in place of what is no text, and UTF-8 in place of a charset that is not known.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes).
    fn text_lossy(self) -> impl Future<Output = Result<String, Error>> + Send;

    /// The whole body as JSON (RFC 8259), without a byte order mark. `Content-Type` is not asked.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes), and [`Error::is_decode`] if the body is not JSON, or not of this shape; the message says at which
    /// field.
    #[cfg(feature = "json")]
    fn json<T: serde::de::DeserializeOwned>(self) -> impl Future<Output = Result<T, Error>> + Send;

    /// The whole body as JSON of one of two types: `T` if the status is 2xx, else `E`. Status and headers come with either.
    ///
    /// For more types than two, `match` the status, and read each by [`json`](Self::json).
    ///
    /// ```
    /// # use bartizan_client::ResponseExt;
    /// # use bartizan_core::Body;
    /// # use http::Response;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// #[derive(serde::Deserialize, Debug)]
    /// struct User { name: String }
    ///
    /// #[derive(serde::Deserialize, Debug)]
    /// struct Problem { title: String }
    ///
    /// # let response = Response::builder().status(409).body(Body::from(r#"{"title": "the name is taken"}"#))?;
    /// match response.json_result::<User, Problem>().await? {
    ///     Ok(user) => println!("{}", user.body().name),
    ///     Err(refused) => assert_eq!((refused.status().as_u16(), &refused.body().title[..]), (409, "the name is taken")),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`json`](Self::json).
    #[cfg(feature = "json")]
    fn json_result<T, E>(self) -> impl Future<Output = Result<JsonResult<T, E>, Error>> + Send
    where
        T: serde::de::DeserializeOwned,
        E: serde::de::DeserializeOwned;

    /// The whole body as XML 1.0, decoded as [`text`](Self::text) is, except that without a `charset` in `Content-Type` the XML
    /// declaration is asked (RFC 7303 section 3). A document type declares nothing here, so there are no entities that grow.
    ///
    /// # Errors
    ///
    /// As [`text`](Self::text), and [`Error::is_decode`] if the body is not XML, or not of this shape; the message says at which
    /// element.
    #[cfg(feature = "xml")]
    fn xml<T: serde::de::DeserializeOwned>(self) -> impl Future<Output = Result<T, Error>> + Send;

    /// Reads the body to its end and keeps nothing, so that its connection can carry the next request.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes): the limit holds here too, as a new connection is cheaper than a long body.
    fn discard(self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Writes the body to a file, and returns its length: all of it or nothing.
    ///
    /// It is written to a new file beside `path`, whose name begins with a dot, and flushed to the disk; then that becomes `path`,
    /// in place of any file there was. Where anything fails, or the future is dropped, the new file is removed, and what was at `path`
    /// is still there.
    ///
    /// The body is limited only if a [`BodyLimit`] was set: the default is for memory.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes), and [`Error::is_save`] if the file cannot be written.
    #[cfg(feature = "fs")]
    fn save(self, path: impl AsRef<Path> + Send)
    -> impl Future<Output = Result<u64, Error>> + Send;

    /// The same, which tells after each piece how many bytes are written, and how many there will be if that is known.
    ///
    /// ```no_run
    /// # use bartizan_client::{RequestExt, ResponseExt, Transport};
    /// # async fn download() -> Result<(), bartizan_client::Error> {
    /// let response = Transport::new().get("http://files.example/image.iso").send().await?.error_for_status()?;
    /// response
    ///     .save_with("image.iso", |written, total| match total {
    ///         Some(total) => println!("{written} of {total}"),
    ///         None => println!("{written}"),
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save).
    #[cfg(feature = "fs")]
    fn save_with(
        self,
        path: impl AsRef<Path> + Send,
        progress: impl FnMut(u64, Option<u64>) + Send,
    ) -> impl Future<Output = Result<u64, Error>> + Send;

    /// The data of the body as it arrives, without a limit.
    fn stream(self) -> DataStream<Self::Body>;

    /// The lines of the body as they arrive, in UTF-8, without their ends: `\n` or `\r\n`. What comes after the last end is a line if
    /// it is not empty. The [`BodyLimit`] is that of one line.
    ///
    /// ```
    /// # use bartizan_client::ResponseExt;
    /// # use bartizan_core::Body;
    /// # use futures_util::TryStreamExt;
    /// # use http::Response;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let lines: Vec<_> = Response::new(Body::from("one\r\ntwo\n\nthree")).lines().try_collect().await?;
    /// assert_eq!(lines, ["one", "two", "", "three"]);
    /// # Ok(())
    /// # }
    /// ```
    fn lines(self) -> Lines<Self::Body>;

    /// The body as server-sent events, as they arrive. For a client that connects again, see
    /// [`EventSource`](crate::sse::EventSource).
    ///
    /// # Errors
    ///
    /// [`Error::is_decode`] if the media type is not `text/event-stream`.
    #[cfg(feature = "sse")]
    fn events(self) -> Result<EventStream<Self::Body>, Error>;
}

/// What [`ResponseExt::json_result`] returns.
#[cfg(feature = "json")]
pub type JsonResult<T, E> = Result<http::Response<T>, http::Response<E>>;

mod sealed {
    pub trait Sealed {}

    impl<B> Sealed for http::Response<B> {}
}
