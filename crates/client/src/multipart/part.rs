//! One part.

use std::fmt;

use bartizan_core::{Body, BoxError};
use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::Multipart;
use crate::{Error, error::Kind, request::SizedBody};

/// One part of a [`Multipart`]: its headers and its body.
///
/// The first mistake is kept, and returned where the request is sent, as that of a request.
#[must_use = "a part does nothing until it is added"]
pub struct Part {
    pub(super) content: Result<(HeaderMap, Body), Error>,
    pub(super) file_name: Option<String>,
}

impl Part {
    /// A part with any body. Its length is sent if it is known.
    pub fn new(body: impl Into<Body>) -> Self {
        Self {
            content: Ok((HeaderMap::new(), body.into())),
            file_name: None,
        }
    }

    /// A part of text in UTF-8, which needs no `Content-Type` (RFC 7578 section 4.4).
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(text.into())
    }

    /// A part of bytes, as `application/octet-stream`.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::new(bytes.into()).content_type(BINARY)
    }

    /// A part of what `stream` yields, of unknown length, as `application/octet-stream`.
    pub fn stream<St, D, E>(stream: St) -> Self
    where
        St: Stream<Item = Result<D, E>> + Send + 'static,
        D: Into<Bytes>,
        E: Into<BoxError>,
    {
        Self::new(Body::from_stream(stream)).content_type(BINARY)
    }

    /// The same, of a length that is known. If the stream yields less or more than that, the request fails.
    pub fn stream_of<St, D, E>(length: u64, stream: St) -> Self
    where
        St: Stream<Item = Result<D, E>> + Send + 'static,
        D: Into<Bytes>,
        E: Into<BoxError>,
    {
        let body = SizedBody::new(length, Body::from_stream(stream));
        Self::new(Body::new(body)).content_type(BINARY)
    }

    /// Opens a file: a part of its name and bytes, as `application/octet-stream`.
    ///
    /// Its length is asked now. It is read as it is sent, once. A file that cannot be opened is a mistake in the request.
    #[cfg(feature = "fs")]
    pub async fn file(path: impl AsRef<std::path::Path>) -> Self {
        let path = path.as_ref();
        let file_name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let part = match crate::request::FileBody::open(path).await {
            Ok(body) => Self::new(Body::new(body)).content_type(BINARY),
            Err(error) => Self {
                content: Err(error),
                file_name: None,
            },
        };
        Self { file_name, ..part }
    }

    /// A part that has parts.
    pub fn nested(parts: Multipart) -> Self {
        let content = parts
            .into_content_type_and_body()
            .map(|(content_type, body)| {
                let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, content_type)]);
                (headers, body)
            });
        Self {
            content,
            file_name: None,
        }
    }

    /// Sets `Content-Type`.
    pub fn content_type(self, content_type: &str) -> Self {
        self.header(header::CONTENT_TYPE, content_type)
    }

    /// Sets the name of the file, for a part that is a [field](Multipart::field). Servers take it as a hint, and should not take it as
    /// a path (RFC 7578 section 4.2).
    pub fn file_name(mut self, name: impl Into<String>) -> Self {
        self.file_name = Some(name.into());
        self
    }

    /// Sets a header, in place of any value it had. In a form only `Content-Type` and `Content-Disposition` mean anything (RFC 7578
    /// section 4.8), and the latter is set where the part is added.
    pub fn header<K, V>(mut self, name: K, value: V) -> Self
    where
        K: TryInto<HeaderName, Error: Into<http::Error>>,
        V: TryInto<HeaderValue, Error: Into<http::Error>>,
    {
        self.content = self.content.and_then(|(mut headers, body)| {
            let mistake = |error: http::Error| {
                Error::new(Kind::Builder, "a part has a header that cannot be").with_source(error)
            };
            let name = name.try_into().map_err(|error| mistake(error.into()))?;
            let value = value.try_into().map_err(|error| mistake(error.into()))?;
            headers.insert(name, value);
            Ok((headers, body))
        });
        self
    }

    /// As the field of a form of that name.
    pub(super) fn named(self, name: &str) -> Self {
        let mut disposition = format!("form-data; name=\"{}\"", escape(name));
        if let Some(file_name) = &self.file_name {
            disposition.push_str(&format!("; filename=\"{}\"", escape(file_name)));
        }
        self.header(header::CONTENT_DISPOSITION, disposition)
    }
}

const BINARY: &str = "application/octet-stream";

/// As the WHATWG has it: what would end the string or the line, and nothing else. A percent sign stays, and cannot be told from an
/// escape; that is so in browsers, and servers know.
fn escape(name: &str) -> String {
    name.replace('"', "%22")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("body", &self.content.as_ref().map(|(_, body)| body))
            .finish_non_exhaustive()
    }
}
