//! Bodies as text, and as they are.

use bartizan_core::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, header, request::Parts};

use super::{ContentType, ExtractError, FromBody, Respond, charset, limits};

/// A body of text, of any `text/*`.
///
/// It is decoded from the `charset` of its `Content-Type`, or UTF-8: others need the feature `charset`, or are 415. A byte order mark
/// goes before what was declared, and is removed. Bytes that are no text are 400: to replace them would change what was sent. A body
/// without a `Content-Type` is 415, as everywhere here: see the [module](super#media-types).
///
/// As a response it is `text/plain; charset=utf-8`.
///
/// ```
/// use bartizan_core::Body;
/// use bartizan_listener::extract::{FromBody, Respond, Text};
/// use http::Request;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), bartizan_listener::extract::ExtractError> {
/// let request = Request::post("/").header("content-type", "text/plain").body(Body::from("grüß dich")).unwrap();
/// let (head, body) = request.into_parts();
/// let Text(text) = Text::from_body(&head, body).await?;
/// assert_eq!(text, "grüß dich");
///
/// let response = Text(text.to_uppercase()).respond();
/// assert_eq!(response.body().whole().unwrap(), "GRÜSS DICH");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(pub String);

impl FromBody for Text {
    async fn from_body(head: &Parts, body: Body) -> Result<Self, ExtractError> {
        const WANTED: &str = "text/*";
        let content_type = ContentType::of(&head.headers)?.filter(ContentType::is_text);
        let content_type = content_type.ok_or_else(|| super::not_of(WANTED))?;
        let label = content_type.parameter("charset")?;
        let bytes = limits::whole(head, body).await?;
        charset::decode(bytes, label.as_deref()).map(Self)
    }
}

impl Respond for Text {
    fn respond(self) -> Response<Body> {
        typed("text/plain; charset=utf-8", self.0)
    }
}

/// A body as it is, of any media type or none.
///
/// As a response it has no `Content-Type`, which is the handler's to say.
///
/// ```
/// use bartizan_core::Body;
/// use bartizan_listener::extract::{FromBody, Raw};
/// use http::Request;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), bartizan_listener::extract::ExtractError> {
/// let (head, body) = Request::new(Body::from(&b"\xff\x00"[..])).into_parts();
/// let Raw(bytes) = Raw::from_body(&head, body).await?;
/// assert_eq!(bytes[..], [0xff, 0]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raw(pub Bytes);

impl FromBody for Raw {
    async fn from_body(head: &Parts, body: Body) -> Result<Self, ExtractError> {
        limits::whole(head, body).await.map(Self)
    }
}

impl Respond for Raw {
    fn respond(self) -> Response<Body> {
        Response::new(self.0.into())
    }
}

/// A response of that media type.
pub(crate) fn typed(content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
