//! Why a request could not be bound.

use std::{borrow::Cow, error::Error, fmt, io, sync::Arc};

use bartizan_core::{Body, BoxError, Rejection, find, problem};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::LengthLimitError;

use super::Pointer;

/// A request is not what the handler takes: which of its parts, why, and the status that says so.
///
/// It is made a response by [`into_response`](Self::into_response) or `From`, in axum by `IntoResponse`. Where a service or an
/// interceptor fails with it, [`Listener::serve`](crate::Listener::serve) and [`interceptors`](crate::interceptors) answer with that
/// response, too:
///
/// | What | Status |
/// |---|---|
/// | [`is_too_large`](Self::is_too_large) | 413 |
/// | [`is_unsupported`](Self::is_unsupported): media type or charset | 415, with `Accept` where the media type is the reason |
/// | [`is_malformed`](Self::is_malformed): no JSON, no UTF-8, no multipart | 400 |
/// | [`is_invalid`](Self::is_invalid): well-formed, and not what is expected | 422 for content; 400 for queries and headers |
/// | [`is_broken_off`](Self::is_broken_off): the body did not arrive | 400 |
/// | [`is_timed_out`](Self::is_timed_out): the body did not arrive in time | 408 |
///
/// The body is problem details (RFC 9457) with one of [`fields`](Self::fields) for each thing that is wrong.
///
/// Neither the response nor `Display` and `Debug` repeat a value of the request: it may be a password, and logs are read by many. What
/// serde says of a value is therefore not kept: of its messages only what was expected is. The source is the error of the body, where
/// it is one. A clone is cheap, and one is in the extensions of the response, for a layer above that logs.
///
/// ```
/// use bartizan_core::Body;
/// use bartizan_listener::extract::{FromBody, Text};
/// use http::{Request, Response};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (head, body) = Request::post("/").header("content-type", "image/png").body(Body::from("..")).unwrap().into_parts();
/// let error = Text::from_body(&head, body).await.unwrap_err();
/// assert!(error.is_unsupported());
///
/// let response = Response::<Body>::from(error);
/// assert_eq!(response.status(), 415);
/// assert_eq!(response.headers()["accept"], "text/*");
/// # }
/// ```
#[derive(Clone)]
pub struct ExtractError(Arc<Inner>);

struct Inner {
    kind: Kind,
    message: Cow<'static, str>,
    /// What is supported instead.
    accept: Option<&'static str>,
    fields: Vec<FieldError>,
    source: Option<BoxError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    TooLarge,
    Unsupported,
    Malformed,
    InvalidContent,
    InvalidHead,
    BrokenOff,
    TimedOut,
}

/// What is wrong with one field of a request.
///
/// The reason goes over the wire and into logs: it has no values in it that are secret.
///
/// ```
/// use bartizan_listener::extract::{ExtractError, FieldError};
///
/// let field = FieldError::content("/items/0/price", "must not be negative");
/// let error = ExtractError::invalid_content("the order is not valid", vec![field]);
/// assert_eq!(error.status(), 422);
/// assert_eq!(error.to_string(), "the order is not valid: #/items/0/price must not be negative");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    place: Place,
    reason: Cow<'static, str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Content(String),
    Parameter(String),
    Header(String),
}

impl FieldError {
    /// Something of the content: at a JSON Pointer (RFC 6901), such as `/items/0/price`, or `""` for the whole.
    pub fn content(pointer: &str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::at(Pointer::parse(pointer), reason)
    }

    pub(crate) fn at(pointer: Pointer, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Place::Content(pointer.into_string()), reason)
    }

    /// A parameter of the query.
    pub fn parameter(name: &str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Place::Parameter(shortened(name)), reason)
    }

    /// A header field.
    pub fn header(name: &str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Place::Header(shortened(name)), reason)
    }

    fn new(place: Place, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            place,
            reason: reason.into(),
        }
    }

    /// Where it is in the body: a JSON Pointer (RFC 6901) in its form as a URI fragment, as `#/items/0/price`. That of a form or of
    /// multipart has the name of the field. A path of more than 256 bytes is that of the nearest ancestor that has fewer.
    pub fn pointer(&self) -> Option<&str> {
        match &self.place {
            Place::Content(pointer) => Some(pointer),
            Place::Parameter(_) | Place::Header(_) => None,
        }
    }

    /// The parameter of the query, if it is one. Names are cut after 64 characters.
    pub fn parameter_name(&self) -> Option<&str> {
        match &self.place {
            Place::Parameter(name) => Some(name),
            Place::Content(_) | Place::Header(_) => None,
        }
    }

    /// The header field, if it is one. Names are cut after 64 characters.
    pub fn header_name(&self) -> Option<&str> {
        match &self.place {
            Place::Header(name) => Some(name),
            Place::Content(_) | Place::Parameter(_) => None,
        }
    }

    /// What is wrong with it, for whoever reads it: `expected u32`, `is missing`, or what the validation says.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    fn write_json(&self, json: &mut String) {
        let (member, place) = match &self.place {
            Place::Content(pointer) => ("pointer", pointer),
            Place::Parameter(name) => ("parameter", name),
            Place::Header(name) => ("header", name),
        };
        json.push_str("{\"");
        json.push_str(member);
        json.push_str("\":");
        write_string(json, place);
        json.push_str(",\"detail\":");
        write_string(json, &self.reason);
        json.push('}');
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = &self.reason;
        match &self.place {
            Place::Content(pointer) => write!(f, "{pointer} {reason}"),
            Place::Parameter(name) => write!(f, "parameter {} {reason}", name.escape_debug()),
            Place::Header(name) => write!(f, "header {} {reason}", name.escape_debug()),
        }
    }
}

impl ExtractError {
    /// More than is allowed. The message, here and below, goes over the wire and into logs.
    pub fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::TooLarge, message)
    }

    /// A media type or charset that is not read.
    pub fn unsupported(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unsupported, message)
    }

    /// Bytes that are not what they are said to be.
    pub fn malformed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Malformed, message)
    }

    /// Content with fields that are missing, of another type, or against a rule.
    pub fn invalid_content(message: impl Into<Cow<'static, str>>, fields: Vec<FieldError>) -> Self {
        Self::new(Kind::InvalidContent, message).with_fields(fields)
    }

    /// The same of a query, or of headers.
    pub fn invalid_head(message: impl Into<Cow<'static, str>>, fields: Vec<FieldError>) -> Self {
        Self::new(Kind::InvalidHead, message).with_fields(fields)
    }

    /// The body failed, for a reason that tells the status.
    pub(crate) fn reading(source: BoxError) -> Self {
        let chain: &(dyn Error + 'static) = &*source;
        let is_timed_out = find::<Rejection>(chain).is_some_and(Rejection::is_timed_out)
            || find::<hyper::Error>(chain).is_some_and(hyper::Error::is_timeout)
            || find::<io::Error>(chain).is_some_and(|it| it.kind() == io::ErrorKind::TimedOut);
        let (kind, message) = if find::<LengthLimitError>(chain).is_some() {
            (Kind::TooLarge, "the body is larger than allowed")
        } else if is_timed_out {
            (Kind::TimedOut, "the body did not arrive in time")
        } else {
            (Kind::BrokenOff, "the body broke off")
        };
        Self::new(kind, message).with_source(source)
    }

    fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            accept: None,
            fields: Vec::new(),
            source: None,
        }))
    }

    /// Changes what nobody shares yet: only while it is made.
    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            change(inner);
        }
        self
    }

    pub(crate) fn with_accept(self, accept: &'static str) -> Self {
        self.with(|inner| inner.accept = Some(accept))
    }

    pub(crate) fn with_fields(self, fields: Vec<FieldError>) -> Self {
        self.with(|inner| inner.fields = fields)
    }

    /// Keeps the error behind it. It stays inside, and is in what logs print of the chain: it must have no secrets in it.
    /// Of an error that was cloned before, nothing changes.
    #[must_use]
    pub fn with_source(self, source: impl Into<BoxError>) -> Self {
        self.with(|inner| inner.source = Some(source.into()))
    }

    /// Whether the body, or a part of it, is larger than allowed.
    pub fn is_too_large(&self) -> bool {
        self.0.kind == Kind::TooLarge
    }

    /// Whether the body is of another media type, or of a charset that is not decoded.
    pub fn is_unsupported(&self) -> bool {
        self.0.kind == Kind::Unsupported
    }

    /// Whether the bytes are not what `Content-Type` says they are.
    pub fn is_malformed(&self) -> bool {
        self.0.kind == Kind::Malformed
    }

    /// Whether the request was understood, and fields of it are missing, of another type, or against a rule.
    pub fn is_invalid(&self) -> bool {
        matches!(self.0.kind, Kind::InvalidContent | Kind::InvalidHead)
    }

    /// Whether the body ended before its end.
    pub fn is_broken_off(&self) -> bool {
        self.0.kind == Kind::BrokenOff
    }

    /// Whether the body did not arrive in the time that a layer or the listener gave it.
    pub fn is_timed_out(&self) -> bool {
        self.0.kind == Kind::TimedOut
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        match self.0.kind {
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Kind::Malformed | Kind::InvalidHead | Kind::BrokenOff => StatusCode::BAD_REQUEST,
            Kind::InvalidContent => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::TimedOut => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// What is wrong with which field, as far as it is a field. Binding stops at the first; validation names up to 64.
    pub fn fields(&self) -> &[FieldError] {
        &self.0.fields
    }

    /// The response: see [the table](Self).
    pub fn into_response<B: From<Bytes>>(self) -> Response<B> {
        let Inner {
            message,
            accept,
            fields,
            ..
        } = &*self.0;
        let mut response = problem::<Bytes>(self.status(), message);
        if !fields.is_empty() {
            // An extension of RFC 9457, named as in its section 3.
            let whole = String::from_utf8_lossy(response.body()).into_owned();
            let mut json = whole.strip_suffix('}').unwrap_or(&whole).to_owned();
            json.push_str(",\"errors\":[");
            for (index, field) in fields.iter().enumerate() {
                if index > 0 {
                    json.push(',');
                }
                field.write_json(&mut json);
            }
            json.push_str("]}");
            *response.body_mut() = json.into();
        }
        if let Some(accept) = accept {
            response
                .headers_mut()
                .insert(header::ACCEPT, HeaderValue::from_static(accept));
        }
        let mut response = response.map(B::from);
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ExtractError> for Response<Body> {
    fn from(error: ExtractError) -> Self {
        error.into_response()
    }
}

impl fmt::Display for ExtractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (index, field) in self.0.fields.iter().enumerate() {
            let separator = if index == 0 { ": " } else { ", " };
            write!(f, "{separator}{field}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ExtractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtractError")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("fields", &self.0.fields)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl Error for ExtractError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// Names are the peer's, and of any length.
fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}

fn write_string(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            '\0'..='\x1f' => json.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => json.push(c),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_members_of_the_problem() {
        let mut pointer = Pointer::root();
        pointer.push("a\"b");
        let fields = vec![FieldError::at(pointer, "is \"wrong\"\n")];
        let response: Response<Bytes> =
            ExtractError::invalid_content("not valid", fields).into_response();
        assert_eq!(response.status(), 422);
        assert_eq!(
            response.body(),
            "{\"title\":\"Unprocessable Entity\",\"status\":422,\"detail\":\"not valid\",\
             \"errors\":[{\"pointer\":\"#/a%22b\",\"detail\":\"is \\\"wrong\\\"\\u000a\"}]}"
        );
        let kept = response.extensions().get::<ExtractError>();
        assert!(kept.is_some_and(ExtractError::is_invalid));
    }

    #[test]
    fn the_error_of_a_body_tells_the_status() {
        let late = Rejection::new(bartizan_core::RejectionKind::TimedOut, "test");
        let timed_out = io::Error::from(io::ErrorKind::TimedOut);
        for (source, status) in [
            (BoxError::from(late), 408),
            (BoxError::from(timed_out), 408),
            (BoxError::from("10.0.0.1 went away"), 400),
        ] {
            let error = ExtractError::reading(source);
            assert_eq!(error.status(), status);
            assert!(error.source().is_some());
            let response: Response<Bytes> = error.into_response();
            let body = String::from_utf8_lossy(response.body());
            assert!(!body.contains("10.0.0.1"), "sources stay inside: {body}");
        }
    }
}
