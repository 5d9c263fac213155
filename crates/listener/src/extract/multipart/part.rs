//! A body of parts, and one of them.

use std::pin::Pin;

use bartizan_core::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, request::Parts};
use http_body::Body as _;

use super::{
    MultipartLimits,
    head::PartHead,
    parser::{Fault, Parser, Pull},
};
use crate::extract::{
    ContentType, ExtractError, FieldError, FromBody, Pointer, charset, limits::next_data, not_of,
};

/// A body of `multipart/form-data` (RFC 7578): see the [module](super).
///
/// ```
/// use bartizan_core::Body;
/// use bartizan_listener::extract::{FromBody, multipart::Multipart};
/// use http::Request;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), bartizan_listener::extract::ExtractError> {
/// let body = "--x\r\n\
///     Content-Disposition: form-data; name=\"title\"\r\n\r\n\
///     A picture\r\n\
///     --x\r\n\
///     Content-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\
///     Content-Type: image/png\r\n\r\n\
///     ...\r\n\
///     --x--\r\n";
/// let request = Request::post("/").header("content-type", "multipart/form-data; boundary=x").body(Body::from(body)).unwrap();
/// let (head, body) = request.into_parts();
///
/// let mut upload = Multipart::from_body(&head, body).await?;
/// let mut stored = 0;
/// while let Some(mut part) = upload.next_part().await? {
///     match part.name() {
///         "title" => assert_eq!(part.text().await?, "A picture"),
///         "file" => {
///             assert_eq!(part.file_name(), Some("a.png"));
///             assert_eq!(part.content_type(), Some("image/png"));
///             while let Some(data) = part.chunk().await? {
///                 stored += data.len();
///             }
///         }
///         _ => {}
///     }
/// }
/// assert_eq!(stored, 3);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Multipart {
    body: Body,
    parser: Parser,
    limits: MultipartLimits,
    /// Bytes of the body so far.
    read: u64,
    current: PartHead,
    /// Whether data of the current part may be left.
    is_open: bool,
    failed: Option<ExtractError>,
}

impl FromBody for Multipart {
    async fn from_body(head: &Parts, body: Body) -> Result<Self, ExtractError> {
        const WANTED: &str = "multipart/form-data";
        let content_type = ContentType::of(&head.headers)?.filter(|it| it.is(WANTED));
        let content_type = content_type.ok_or_else(|| not_of(WANTED))?;
        let boundary = content_type.parameter("boundary")?;
        let boundary = boundary
            .filter(|it| is_boundary(it))
            .ok_or_else(|| ExtractError::malformed("the Content-Type has no valid boundary"))?;
        let limits: MultipartLimits = head.extensions.get().copied().unwrap_or_default();
        if body.size_hint().lower() > limits.total {
            return Err(too_large(limits));
        }
        Ok(Self {
            parser: Parser::new(&boundary, limits),
            body,
            limits,
            read: 0,
            current: PartHead::default(),
            is_open: false,
            failed: None,
        })
    }
}

impl Multipart {
    /// The next part, or `None` after the last. What is left of the one before is skipped, within the limits.
    ///
    /// # Errors
    ///
    /// See the [module](super).
    pub async fn next_part(&mut self) -> Result<Option<Part<'_>>, ExtractError> {
        loop {
            match self.pull().await? {
                Pull::Part(head) => {
                    self.current = head;
                    self.is_open = true;
                    return Ok(Some(Part { multipart: self }));
                }
                Pull::End => return Ok(None),
                Pull::PartEnd => self.is_open = false,
                Pull::Data(_) | Pull::Hungry => {}
            }
        }
    }

    /// What is next, and never that more is needed. Keeps nothing over the await point but what is in `self`.
    async fn pull(&mut self) -> Result<Pull, ExtractError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        loop {
            let pulled = self.parser.pull();
            let error = match pulled {
                Ok(Pull::Hungry) => match next_data(Pin::new(&mut self.body)).await {
                    Ok(Some(data)) => {
                        self.read = self.read.saturating_add(data.len() as u64);
                        if self.read <= self.limits.total {
                            self.parser.push(&data);
                            continue;
                        }
                        too_large(self.limits)
                    }
                    Ok(None) => ExtractError::malformed("the multipart body ends before its end"),
                    Err(error) => error,
                },
                Ok(pulled) => return Ok(pulled),
                Err(fault) => self.explain(fault),
            };
            // The rest of it is of no use, and its memory and its peer need not wait for the handler.
            self.body = Body::empty();
            self.failed = Some(error.clone());
            return Err(error);
        }
    }

    fn explain(&self, fault: Fault) -> ExtractError {
        match fault {
            Fault::Malformed(what) => {
                ExtractError::malformed(format!("the body is not multipart: {what}"))
            }
            Fault::TooManyParts => {
                ExtractError::too_large(format!("there are more than {} parts", self.limits.parts))
            }
            Fault::HeadTooLarge => ExtractError::too_large(format!(
                "the head of a part is larger than the {} bytes that are allowed",
                self.limits.head
            )),
            Fault::PartTooLarge => {
                let limit = self.limits.part;
                ExtractError::too_large("a part is larger than allowed").with_fields(vec![
                    self.field(format!("is larger than the {limit} bytes that are allowed")),
                ])
            }
        }
    }

    /// What is wrong with the current part.
    fn field(&self, reason: String) -> FieldError {
        let mut at = Pointer::root();
        at.push(&self.current.name);
        FieldError::at(at, reason)
    }
}

/// One part of a [`Multipart`].
#[derive(Debug)]
pub struct Part<'a> {
    multipart: &'a mut Multipart,
}

impl Part<'_> {
    /// The name of the field. Several parts may have the same.
    ///
    /// As it was sent: browsers write quotes and line ends as `%22`, `%0D` and `%0A`, which cannot be told from the same typed in.
    pub fn name(&self) -> &str {
        &self.multipart.current.name
    }

    /// The name that the file has at the peer's, if it is one. Never a path to write to: it may be `../../etc/passwd`, empty, or one that
    /// somebody else's file has already.
    pub fn file_name(&self) -> Option<&str> {
        self.multipart.current.file_name.as_deref()
    }

    /// The media type, as it was sent. `text/plain` is meant where there is none (RFC 7578 section 4.4). It says what the peer takes the
    /// data for, and not what they are.
    pub fn content_type(&self) -> Option<&str> {
        self.multipart.current.content_type()
    }

    /// All header fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.multipart.current.headers
    }

    /// The next data, as they arrive. Never empty; `None` at the end.
    ///
    /// # Errors
    ///
    /// See the [module](super).
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ExtractError> {
        if !self.multipart.is_open {
            return Ok(None);
        }
        match self.multipart.pull().await? {
            Pull::Data(data) => Ok(Some(data)),
            _ => {
                self.multipart.is_open = false;
                Ok(None)
            }
        }
    }

    /// What is left of the data, if it is no more than [`MultipartLimits::in_memory`].
    ///
    /// # Errors
    ///
    /// [`ExtractError::is_too_large`] if it is, and as of [`chunk`](Self::chunk).
    pub async fn bytes(mut self) -> Result<Bytes, ExtractError> {
        let limit = self.multipart.limits.in_memory;
        let mut only = Bytes::new();
        let mut whole = BytesMut::new();
        while let Some(data) = self.chunk().await? {
            if data.len() > limit - only.len() - whole.len() {
                let reason = format!("is larger than the {limit} bytes that are allowed");
                return Err(ExtractError::too_large("a part is larger than allowed")
                    .with_fields(vec![self.multipart.field(reason)]));
            }
            if whole.is_empty() && only.is_empty() {
                only = data;
            } else {
                whole.extend_from_slice(&std::mem::take(&mut only));
                whole.extend_from_slice(&data);
            }
        }
        Ok(if whole.is_empty() {
            only
        } else {
            whole.freeze()
        })
    }

    /// The same as text: in the charset of its `Content-Type`, or UTF-8.
    ///
    /// # Errors
    ///
    /// [`ExtractError::is_malformed`] if it is not, [`ExtractError::is_unsupported`] if the charset is not decoded, and as of
    /// [`bytes`](Self::bytes).
    pub async fn text(self) -> Result<String, ExtractError> {
        let content_type = self.content_type().map(str::to_owned);
        let bytes = self.bytes().await?;
        let content_type = content_type.as_deref().and_then(ContentType::parse);
        let label = content_type.map_or(Ok(None), |it| it.parameter("charset"))?;
        charset::decode(bytes, label.as_deref())
    }

    /// The same as JSON, whatever its media type: browsers cannot set it for what is not a file.
    ///
    /// # Errors
    ///
    /// As of [`Json`](crate::extract::Json), with pointers within the part, and as of [`bytes`](Self::bytes).
    #[cfg(feature = "json")]
    pub async fn json<T: serde::de::DeserializeOwned>(self) -> Result<T, ExtractError> {
        let bytes = charset::without_bom(self.bytes().await?);
        crate::extract::json::parse(&bytes)
    }
}

/// RFC 2046 section 5.1.1.
fn is_boundary(boundary: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    (1..=70).contains(&boundary.len())
        && boundary.bytes().all(is_allowed)
        && !boundary.ends_with(' ')
}

fn too_large(limits: MultipartLimits) -> ExtractError {
    ExtractError::too_large(format!(
        "the body is larger than the {} bytes that are allowed",
        limits.total
    ))
}
