//! All parts together.

use std::collections::VecDeque;

use bartizan_core::{Body, ConfigError};
use bytes::{BufMut, BytesMut};
use http::{HeaderMap, HeaderValue};

use super::{Part, body::concat, boundary::Boundary};
use crate::{Error, error::Kind};

/// A body of parts, in the order in which they are added: what [`RequestBuilder::multipart`](crate::RequestBuilder::multipart) sends.
#[derive(Debug)]
#[must_use = "it does nothing until it is sent"]
pub struct Multipart {
    subtype: &'static str,
    boundary: Boundary,
    has_own_boundary: bool,
    parts: Vec<Part>,
}

impl Multipart {
    /// A form: `multipart/form-data` (RFC 7578).
    pub fn form() -> Self {
        Self::of("form-data")
    }

    /// Parts that are independent of each other: `multipart/mixed` (RFC 2046 section 5.1.3).
    pub fn mixed() -> Self {
        Self::of("mixed")
    }

    /// Parts that make up one thing, the first of them its root: `multipart/related` (RFC 2387).
    pub fn related() -> Self {
        Self::of("related")
    }

    fn of(subtype: &'static str) -> Self {
        Self {
            subtype,
            boundary: Boundary::random(),
            has_own_boundary: false,
            parts: Vec::new(),
        }
    }

    /// Sets what stands between the parts. Default: 32 random digits, which no part has in it.
    ///
    /// A part that has this in it, and is whole, is a mistake in the request. That of a part that is streamed is not found.
    ///
    /// # Errors
    ///
    /// If it is not as RFC 2046 section 5.1.1 demands: 1 to 70 letters, digits and some signs.
    pub fn try_boundary(mut self, boundary: impl Into<String>) -> Result<Self, ConfigError> {
        self.boundary = Boundary::new(boundary.into())?;
        self.has_own_boundary = true;
        Ok(self)
    }

    /// Adds a part as it is.
    pub fn part(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    /// Adds a part as the field of a form: with its name, and that of its file, in `Content-Disposition`.
    pub fn field(self, name: impl AsRef<str>, part: Part) -> Self {
        self.part(part.named(name.as_ref()))
    }

    /// Adds a field of text.
    pub fn text(self, name: impl AsRef<str>, text: impl Into<String>) -> Self {
        self.field(name, Part::text(text))
    }

    /// The whole, and the value of its `Content-Type`.
    ///
    /// # Errors
    ///
    /// The first mistake in a part.
    pub fn into_content_type_and_body(self) -> Result<(HeaderValue, Body), Error> {
        let boundary = self.boundary.as_str();
        let mut segments = VecDeque::with_capacity(2 * self.parts.len() + 1);
        // A delimiter begins with the line end before it. The first has none: there is nothing before it.
        let mut between = BytesMut::new();
        for part in self.parts {
            let (headers, body) = part.content?;
            let is_ambiguous = self.has_own_boundary
                && body
                    .whole()
                    .is_some_and(|bytes| self.boundary.occurs_in(bytes));
            if is_ambiguous {
                return Err(Error::new(
                    Kind::Builder,
                    format!(
                        "a part has the boundary `{boundary}` in it: leave it out, or choose another"
                    ),
                ));
            }
            between.put_slice(format!("--{boundary}\r\n").as_bytes());
            put_headers(&mut between, &headers);
            segments.push_back(between.split().freeze().into());
            segments.push_back(body);
            between.put_slice(b"\r\n");
        }
        between.put_slice(format!("--{boundary}--\r\n").as_bytes());
        segments.push_back(between.freeze().into());

        let content_type = format!(
            "multipart/{}; boundary={}",
            self.subtype,
            self.boundary.parameter()
        );
        let content_type = HeaderValue::try_from(content_type).map_err(|error| {
            Error::new(Kind::Builder, "the boundary is none for a header").with_source(error)
        })?;
        Ok((content_type, concat(segments)))
    }
}

fn put_headers(bytes: &mut BytesMut, headers: &HeaderMap) {
    for (name, value) in headers {
        bytes.put_slice(name.as_str().as_bytes());
        bytes.put_slice(b": ");
        bytes.put_slice(value.as_bytes());
        bytes.put_slice(b"\r\n");
    }
    bytes.put_slice(b"\r\n");
}
