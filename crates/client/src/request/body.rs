//! Bodies of requests.

use std::{
    borrow::Borrow,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_core::{Body, BoxError};
use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use http_body::{Frame, SizeHint};

use super::{RequestBuilder, SizedBody};
use crate::{Error, error::Kind};

impl<S> RequestBuilder<S> {
    /// Sets the body, and no `Content-Type`.
    pub fn body(self, body: impl Into<Body>) -> Self {
        self.and_then(|request| {
            *request.body_mut() = body.into();
            Ok(())
        })
    }

    /// Sets a body of text, as `text/plain; charset=utf-8` unless a `Content-Type` is set already.
    pub fn text(self, text: impl Into<String>) -> Self {
        self.typed_body("text/plain; charset=utf-8", || Ok(text.into().into()))
    }

    /// Sets a body of text in the charset of that name, as `text/plain` with it unless a `Content-Type` is set already.
    ///
    /// The names are those of the [WHATWG](https://encoding.spec.whatwg.org/#names-and-labels). One that is unknown, or that is only
    /// for reading (UTF-16), and a character that it has no bytes for, are mistakes in the request.
    ///
    /// ```
    /// # use bartizan_client::RequestBuilder;
    /// # use http::Method;
    /// let builder = || RequestBuilder::new((), Method::POST, "/");
    /// let request = builder().text_with_charset("é", "latin1").build()?;
    /// assert_eq!(request.headers()["content-type"], "text/plain; charset=windows-1252");
    /// assert_eq!(request.body().whole().unwrap()[..], [0xe9]);
    ///
    /// assert!(builder().text_with_charset("π", "latin1").build().unwrap_err().is_builder());
    /// # Ok::<(), bartizan_client::Error>(())
    /// ```
    #[cfg(feature = "charset")]
    pub fn text_with_charset(self, text: &str, charset: &str) -> Self {
        use encoding_rs::Encoding;

        let fail = |problem: &str| {
            let charset = charset.escape_default();
            Error::new(
                Kind::Builder,
                format!("the text cannot be written in `{charset}`: {problem}"),
            )
        };
        self.and_then(|request| {
            let encoding = Encoding::for_label(charset.as_bytes())
                .ok_or_else(|| fail("no charset has this name"))?;
            if encoding.output_encoding() != encoding {
                return Err(fail("the WHATWG has it for reading only"));
            }
            let (bytes, _, is_lossy) = encoding.encode(text);
            if is_lossy {
                return Err(fail("it has no bytes for some character"));
            }
            *request.body_mut() = bytes.into_owned().into();
            if !request.headers().contains_key(header::CONTENT_TYPE) {
                let content_type =
                    format!("text/plain; charset={}", encoding.name().to_lowercase());
                let content_type = HeaderValue::try_from(content_type)
                    .map_err(|error| fail("its name is none for a header").with_source(error))?;
                request
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, content_type);
            }
            Ok(())
        })
    }

    /// Sets a body of pairs, as `application/x-www-form-urlencoded` unless a `Content-Type` is set already.
    ///
    /// ```
    /// # use bartizan_client::RequestBuilder;
    /// # use http::Method;
    /// let request = RequestBuilder::new((), Method::POST, "/login").form([("user", "ann"), ("note", "a&b c")]).build()?;
    /// assert_eq!(request.body().whole().unwrap(), "user=ann&note=a%26b+c");
    /// # Ok::<(), bartizan_client::Error>(())
    /// ```
    pub fn form<I, K, V>(self, pairs: I) -> Self
    where
        I: IntoIterator<Item: Borrow<(K, V)>>,
        K: AsRef<str>,
        V: AsRef<str>,
    {
        self.typed_body(FORM, || {
            let mut encoder = form_urlencoded::Serializer::new(String::new());
            encoder.extend_pairs(pairs);
            Ok(encoder.finish().into())
        })
    }

    /// The same, with the fields of a struct, or whatever else serialises to pairs. `None` is left out; what nests is a mistake in the
    /// request.
    #[cfg(feature = "form")]
    pub fn form_of<T: serde::Serialize + ?Sized>(self, value: &T) -> Self {
        self.typed_body(FORM, || {
            let pairs = serde_urlencoded::to_string(value).map_err(|error| {
                Error::new(Kind::Builder, "the body cannot be written as a form").with_source(error)
            })?;
            Ok(pairs.into())
        })
    }

    /// Sets a body of JSON, as `application/json` unless a `Content-Type` is set already.
    ///
    /// A value that cannot be serialised, such as a map with keys that are not strings, is a mistake in the request.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(self, value: &T) -> Self {
        self.typed_body("application/json", || {
            let json = serde_json::to_vec(value).map_err(|error| {
                Error::new(Kind::Builder, "the body cannot be written as JSON").with_source(error)
            })?;
            Ok(json.into())
        })
    }

    /// Sets a body of XML 1.0 in UTF-8, as `application/xml` unless a `Content-Type` is set already. The root element has the name of
    /// the type.
    ///
    /// A value that XML has no way to write, such as a map whose keys are no names, is a mistake in the request.
    #[cfg(feature = "xml")]
    pub fn xml<T: serde::Serialize + ?Sized>(self, value: &T) -> Self {
        self.typed_body("application/xml", || {
            let mut xml = String::from(r#"<?xml version="1.0" encoding="UTF-8"?>"#);
            let written =
                serde_path_to_error::serialize(value, quick_xml::se::Serializer::new(&mut xml));
            match written {
                Ok(_) => Ok(xml.into()),
                Err(error) => Err(Error::new(
                    Kind::Builder,
                    format!("the body cannot be written as XML, at `{}`", error.path()),
                )
                .with_source(error.into_inner())),
            }
        })
    }

    /// Sets a body of parts, and the `Content-Type` that tells them apart, in place of any there was.
    #[cfg(feature = "multipart")]
    pub fn multipart(self, parts: crate::multipart::Multipart) -> Self {
        self.and_then(|request| {
            let (content_type, body) = parts.into_content_type_and_body()?;
            *request.body_mut() = body;
            request
                .headers_mut()
                .insert(header::CONTENT_TYPE, content_type);
            Ok(())
        })
    }

    /// Sets the body to what `stream` yields. Of unknown length, so HTTP/1.1 sends it in chunks, and it can be sent once.
    pub fn stream<St, D, E>(self, stream: St) -> Self
    where
        St: Stream<Item = Result<D, E>> + Send + 'static,
        D: Into<Bytes>,
        E: Into<BoxError>,
    {
        self.body(Body::from_stream(stream))
    }

    /// The same, of a length that is known. If the stream yields less or more than that, the request fails.
    pub fn stream_of<St, D, E>(self, length: u64, stream: St) -> Self
    where
        St: Stream<Item = Result<D, E>> + Send + 'static,
        D: Into<Bytes>,
        E: Into<BoxError>,
    {
        self.body(Body::new(SizedBody::new(length, Body::from_stream(stream))))
    }

    /// Opens a file and sets it as the body, as `application/octet-stream` unless a `Content-Type` is set already.
    ///
    /// Its length is asked now, and sent. It is read as it is sent, once: if it has become shorter by then, the request fails; what was
    /// added to it is not sent. A file that cannot be opened is a mistake in the request.
    ///
    /// ```no_run
    /// # use bartizan_client::{RequestExt, Transport};
    /// # async fn upload() -> Result<(), bartizan_client::Error> {
    /// let upload = Transport::new().put("http://files.example/report").file("report.pdf").await;
    /// upload.send().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "fs")]
    pub async fn file(self, path: impl AsRef<std::path::Path>) -> Self {
        if self.request.is_err() {
            return self;
        }
        let opened = super::FileBody::open(path.as_ref()).await;
        self.typed_body("application/octet-stream", || Ok(Body::new(opened?)))
    }

    /// Sets the trailers, which are sent after the body (RFC 9110 section 6.5), and announces them in `Trailer`. No trailers if there
    /// are none in `trailers`.
    ///
    /// HTTP/1.1 has them in chunks only, so a body with trailers has no `Content-Length`, and can be sent once. A header that frames,
    /// routes or describes the message is no trailer, and is a mistake in the request. For trailers that follow from the body, such
    /// as a digest, set a [`body`](Self::body) that yields them and `Trailer` yourself.
    pub fn trailers(mut self, trailers: HeaderMap) -> Self {
        let forbidden = trailers
            .keys()
            .find(|name| NO_TRAILERS.contains(name))
            .cloned();
        if let Some(name) = forbidden {
            return self.and_then(|_| {
                Err(Error::new(
                    Kind::Builder,
                    format!("`{name}` cannot be a trailer: set it by `.header(…)`"),
                ))
            });
        }
        self.trailers = trailers;
        self
    }

    fn typed_body(
        self,
        content_type: &'static str,
        body: impl FnOnce() -> Result<Body, Error>,
    ) -> Self {
        self.and_then(|request| {
            *request.body_mut() = body()?;
            request
                .headers_mut()
                .entry(header::CONTENT_TYPE)
                .or_insert(HeaderValue::from_static(content_type));
            Ok(())
        })
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

/// What a recipient must know before the body (RFC 9110 section 6.5.1). hyper would drop these and say nothing.
const NO_TRAILERS: [HeaderName; 13] = [
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::HOST,
    header::MAX_FORWARDS,
    header::SET_COOKIE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
];

/// Adds `trailers` to the body, and their names to the head.
pub(super) fn with_trailers(request: &mut Request<Body>, trailers: HeaderMap) {
    let headers = request.headers_mut();
    // Without the announcement, hyper does not send them over HTTP/1.1.
    for name in trailers.keys() {
        headers.append(header::TRAILER, HeaderValue::from(name.clone()));
    }
    headers.remove(header::CONTENT_LENGTH);
    let body = mem::take(request.body_mut());
    *request.body_mut() = Body::new(WithTrailers {
        body,
        trailers: Some(trailers),
    });
}

/// A body and what follows it. Neither is pinned: a [`Body`] can be moved.
struct WithTrailers {
    body: Body,
    trailers: Option<HeaderMap>,
}

impl http_body::Body for WithTrailers {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                // In place of those that the body has itself.
                Some(Ok(frame)) if frame.is_trailers() => continue,
                Some(Err(error)) => {
                    self.trailers = None;
                    Some(Err(error))
                }
                None => self.trailers.take().map(|it| Ok(Frame::trailers(it))),
                data => data,
            };
            return Poll::Ready(frame);
        }
    }

    fn is_end_stream(&self) -> bool {
        self.trailers.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // No upper bound: with an exact length, HTTP/1.1 would send it, and have no place for trailers.
        let mut hint = SizeHint::new();
        hint.set_lower(self.body.size_hint().lower());
        hint
    }
}
