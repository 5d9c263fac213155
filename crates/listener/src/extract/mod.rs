//! Data binding: requests as values of types, and values as responses.
//!
//! A handler says by a type what it takes, and gets that or is not called: what does not fit is answered with problem details (RFC 9457)
//! that name the field. The same types work in plain tower services and, with the feature `axum`, as extractors and responses of axum.
//!
//! | Type | Of | Feature |
//! |---|---|---|
//! | [`Json`], [`Xml`] | a body, through serde | `json`, `xml` |
//! | [`Form`], [`Query`] | `name=value` in a body, and in the URI | `form` |
//! | [`Multipart`](multipart::Multipart) | uploads, part by part | `multipart` |
//! | [`Text`] | a body in any charset | UTF-8 without, others with `charset` |
//! | [`Raw`] | a body as it is | |
//! | [`Headers`] | header fields as those of a struct | `headers` |
//! | [`Valid`], [`Garde`] | any of them, held to rules | [`Garde`]: `garde` |
//! | `Option` of a body | what may be missing: see [below](#what-may-be-missing) | |
//! | [`Typed`], [`Either`] | a response by its status | |
//!
//! garde is the one library for rules by derive. `validator` is as good, and needs idna, regex and url for it. Parameters of paths are the
//! router's: axum has an extractor for them.
//!
//! # Placement
//!
//! In the handler: below whatever limits, authenticates and decompresses. Limits here are of what is read, which is after decompression.
//!
//! # Media types
//!
//! A body that does not say what it is, or says it twice, is refused, as is one of another type (415, with `Accept`). That is not
//! pedantry alone: a page of anybody's can make a browser send a body without a type, or as `text/plain`, to anywhere, and with the
//! cookies of its user; `application/json` it has to ask for first (CORS).
//!
//! # Limits
//!
//! All are on by default, and by request: [`BodyLimit`] 1 MiB, [`MultipartLimits`](multipart::MultipartLimits), 1,000 fields of a
//! form, 128 levels of JSON and XML. How long a body may take is not limited here but by the listener, or by a timeout above.
//!
//! # What may be missing
//!
//! `Option<T>` of a body is `None` if the body is empty; if it has no length, its first bytes are waited for. Fields that may be missing
//! are serde's: `Option`, and `#[serde(default)]` for values of your own.
//!
//! # Readiness and cancellation
//!
//! Binding is a future without state: dropped, it drops the body.
//!
//! # Errors
//!
//! All of them are an [`ExtractError`], whose table says which status means what.
//!
//! # Differences from axum's extractors
//!
//! - They work in every tower service.
//! - Refusals are JSON, name the field by JSON Pointer, and repeat no value. axum's are text.
//! - Media types with two meanings, text that is not UTF-8 in forms, and XML.
//! - Fields of forms and queries may come more than once.
//!
//! # Examples
//!
//! A plain service:
//!
//! ```
//! use bartizan_core::Body;
//! use bartizan_listener::extract::{ExtractError, FromBody, Respond, Text};
//! use http::{Request, Response};
//! use std::convert::Infallible;
//! use tower::{Service, ServiceExt, service_fn};
//!
//! async fn shout(request: Request<Body>) -> Result<Text, ExtractError> {
//!     let (head, body) = request.into_parts();
//!     let Text(text) = Text::from_body(&head, body).await?;
//!     Ok(Text(text.to_uppercase()))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let service = service_fn(|request| async { Ok::<Response<Body>, Infallible>(shout(request).await.respond()) });
//!
//! let request = Request::post("/").header("content-type", "text/plain").body(Body::from("hello")).unwrap();
//! let response = service.oneshot(request).await.unwrap();
//! assert_eq!(response.body().whole().unwrap(), "HELLO");
//!
//! let response = service.oneshot(Request::post("/").body(Body::from("hello")).unwrap()).await.unwrap();
//! assert_eq!(response.status(), 415);
//! # }
//! ```
//!
//! An axum handler that takes a query, headers and a body, and says what it answers with:
//!
#![cfg_attr(
    all(
        feature = "axum",
        feature = "form",
        feature = "headers",
        feature = "json"
    ),
    doc = "```"
)]
#![cfg_attr(
    not(all(
        feature = "axum",
        feature = "form",
        feature = "headers",
        feature = "json"
    )),
    doc = "```ignore"
)]
//! use axum::{Router, routing::post};
//! use bartizan_listener::extract::{Headers, Json, Query, Typed};
//! use http::Request;
//! use serde::Deserialize;
//! use tower::ServiceExt;
//!
//! #[derive(Deserialize)]
//! struct Mode {
//!     #[serde(default)]
//!     is_dry: bool,
//! }
//! #[derive(Deserialize)]
//! #[serde(rename_all = "kebab-case")]
//! struct Tenant {
//!     x_tenant: String,
//! }
//!
//! async fn place(
//!     Query(mode): Query<Mode>,
//!     Headers(tenant): Headers<Tenant>,
//!     Json(items): Json<Vec<u32>>,
//! ) -> Result<Typed<201, Json<usize>>, Typed<202, ()>> {
//!     assert_eq!(tenant.x_tenant, "a");
//!     if mode.is_dry { Err(Typed::new(())) } else { Ok(Typed::new(Json(items.len()))) }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let router: Router = Router::new().route("/", post(place));
//! let order = |uri: &str| {
//!     let request = Request::post(uri).header("x-tenant", "a").header("content-type", "application/json");
//!     router.clone().oneshot(request.body("[1, 2]".to_owned()).unwrap())
//! };
//! assert_eq!(order("/").await.unwrap().status(), 201);
//! assert_eq!(order("/?is_dry=true").await.unwrap().status(), 202);
//! assert_eq!(order("/?is_dry=perhaps").await.unwrap().status(), 400);
//! # }
//! ```

#[cfg(feature = "axum")]
mod axum;
mod charset;
mod content_type;
mod error;
#[cfg(any(feature = "form", feature = "headers"))]
mod fields;
#[cfg(feature = "form")]
mod form;
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "headers")]
mod headers;
#[cfg(feature = "json")]
mod json;
mod limits;
#[cfg(feature = "multipart")]
pub mod multipart;
mod pointer;
#[cfg(any(feature = "json", feature = "xml"))]
mod reason;
mod respond;
mod text;
mod valid;
#[cfg(feature = "xml")]
mod xml;

use std::borrow::Cow;

use bartizan_core::Body;
use http::request::Parts;

#[cfg(feature = "form")]
pub use self::form::{Form, Query};
#[cfg(feature = "headers")]
pub use self::headers::Headers;
#[cfg(feature = "json")]
pub use self::json::Json;
#[cfg(feature = "garde")]
pub use self::valid::Garde;
#[cfg(feature = "xml")]
pub use self::xml::Xml;
use self::{content_type::ContentType, pointer::Pointer};
pub use self::{
    error::{ExtractError, FieldError},
    limits::BodyLimit,
    respond::{Either, Respond, Typed},
    text::{Raw, Text},
    valid::{Valid, Validate, Violations},
};

/// What can be read from a request with its body.
///
/// The head is borrowed, so that what needs it afterwards has it: `let (head, body) = request.into_parts()`. Bodies that are no [`Body`]
/// become one by [`Body::new`].
pub trait FromBody: Sized {
    /// Reads it.
    fn from_body(
        head: &Parts,
        body: Body,
    ) -> impl Future<Output = Result<Self, ExtractError>> + Send;
}

/// What can be read from the head of a request alone.
pub trait FromHead: Sized {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// If it is not there, or not as it should be.
    fn from_head(head: &Parts) -> Result<Self, ExtractError>;

    /// What is wrong with one of its fields, of which [`Valid`] knows the name alone. A parameter of the query, unless said otherwise.
    fn field_error(name: &str, reason: Cow<'static, str>) -> FieldError {
        FieldError::parameter(name, reason)
    }
}

/// `None` for an empty body, whatever its `Content-Type`.
impl<T: FromBody> FromBody for Option<T> {
    async fn from_body(head: &Parts, body: Body) -> Result<Self, ExtractError> {
        match limits::present(body).await? {
            Some(body) => T::from_body(head, body).await.map(Some),
            None => Ok(None),
        }
    }
}

/// For what cannot be told without the value.
#[cfg(any(
    feature = "form",
    feature = "headers",
    feature = "json",
    feature = "xml"
))]
const UNEXPECTED: &str = "has a value that is not allowed here";

/// The body is of another media type than that, or says none.
fn not_of(wanted: &'static str) -> ExtractError {
    ExtractError::unsupported(format!("the body must be of the media type {wanted}"))
        .with_accept(wanted)
}
