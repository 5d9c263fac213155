//! Bodies of JSON.

use std::ops::Deref;

use bartizan_core::{Body, BoxError};
use http::{Response, request::Parts};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    ContentType, ExtractError, FromBody, Pointer, Respond, charset, limits, reason, respond, text,
};

/// A body of JSON: of `application/json` or what ends in `+json` (RFC 6839).
///
/// It is UTF-8 (RFC 8259 section 8.1); another `charset` is 415. What is no JSON is 400, with line and column. What is, and has no place
/// in a `T`, is 422, with a pointer to the first field that has not. Nesting is limited to 128 levels, as the stack is. Of keys that are
/// there twice a map has the last; a struct refuses them.
///
/// As a response it is `application/json`, and 500 if the value cannot be written, with an error event that says why.
///
/// # Differences from `axum::Json`
///
/// - It works in any tower service, too.
/// - The refusal is problem details with a pointer, and repeats no value: axum's is text that does.
/// - `Option<Json<T>>` is `None` for an empty body, whatever its `Content-Type`: axum's is if there is no `Content-Type`.
/// - The limit is [`BodyLimit`](super::BodyLimit).
///
/// # Examples
///
/// ```
/// use bartizan_core::Body;
/// use bartizan_listener::extract::{FromBody, Json};
/// use http::Request;
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Order {
///     items: Vec<Item>,
///     note: Option<String>,
/// }
/// #[derive(Deserialize)]
/// struct Item {
///     #[serde(default = "one")]
///     quantity: u8,
/// }
/// fn one() -> u8 {
///     1
/// }
///
/// async fn order(json: &'static str) -> Result<Order, bartizan_listener::extract::ExtractError> {
///     let request = Request::post("/").header("content-type", "application/json").body(Body::from(json)).unwrap();
///     let (head, body) = request.into_parts();
///     Ok(Json::from_body(&head, body).await?.0)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let order_of_one = order(r#"{"items": [{}]}"#).await.unwrap();
/// assert_eq!((order_of_one.items[0].quantity, order_of_one.note), (1, None));
///
/// let error = order(r#"{"items": [{"quantity": "my secret"}]}"#).await.err().unwrap();
/// assert_eq!(error.to_string(), "the JSON is not what is expected: #/items/0/quantity expected u8");
/// # }
/// ```
///
/// In axum, with the feature `axum`, as an argument and as a response:
///
#[cfg_attr(feature = "axum", doc = "```")]
#[cfg_attr(not(feature = "axum"), doc = "```ignore")]
/// use axum::{Router, routing::post};
/// use bartizan_listener::extract::{Json, Typed};
/// use http::Request;
/// use tower::ServiceExt;
///
/// async fn double(Json(number): Json<u32>) -> Typed<201, Json<u32>> {
///     Typed::new(Json(number * 2))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let router = Router::new().route("/", post(double));
/// let request = Request::post("/").header("content-type", "application/json").body("21".to_owned()).unwrap();
/// let response = router.oneshot(request).await.unwrap();
/// assert_eq!(response.status(), 201);
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T> Deref for Json<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned> FromBody for Json<T> {
    async fn from_body(head: &Parts, body: Body) -> Result<Self, ExtractError> {
        let is_json = |it: &ContentType<'_>| it.is("application/json") || it.has_suffix("+json");
        let content_type = ContentType::of(&head.headers)?.filter(is_json);
        let content_type = content_type.ok_or_else(|| super::not_of("application/json"))?;
        let label = content_type.parameter("charset")?;
        if label.is_some_and(|label| !label.eq_ignore_ascii_case("utf-8")) {
            return Err(ExtractError::unsupported("JSON is read in UTF-8 only"));
        }
        let bytes = charset::without_bom(limits::whole(head, body).await?);
        parse(&bytes).map(Self)
    }
}

pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ExtractError> {
    serde_json::from_slice(bytes).map_err(|error| {
        if !error.is_data() {
            // Of syntax, what serde_json says has no value in it.
            return ExtractError::malformed(format!("the body is not JSON: {error}"));
        }
        // Once more, as keeping the path costs time that only an error is worth.
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let at = match serde_path_to_error::deserialize::<_, T>(&mut json) {
            Err(located) => Pointer::from(located.path()),
            Ok(_) => Pointer::root(),
        };
        let field = reason::of(&error.to_string(), at);
        ExtractError::invalid_content("the JSON is not what is expected", vec![field])
    })
}

impl<T: Serialize> Respond for Json<T> {
    fn respond(self) -> Response<Body> {
        match serde_json::to_vec(&self.0) {
            Ok(json) => text::typed("application/json", json),
            Err(error) => respond::unwritable("JSON", &BoxError::from(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::Value;

    use super::*;

    #[test]
    fn what_is_no_json_is_malformed_and_what_does_not_fit_is_invalid() {
        let deep = "[".repeat(100_000);
        for json in ["", "{", "nul", "\"\u{1}\"", "1 2", "{\"a\":1,}", &deep] {
            let error = parse::<Value>(json.as_bytes()).expect_err(json);
            assert!(error.is_malformed(), "{json}");
        }
        let error = parse::<Value>(b"\"\xff\"").expect_err("not UTF-8");
        assert!(error.is_malformed());
        for (json, expected) in [
            ("{\"a/b\": [1, -1]}", "#/a~1b/1 expected u8"),
            ("[]", "# expected a map"),
        ] {
            let error = parse::<HashMap<String, Vec<u8>>>(json.as_bytes()).expect_err(json);
            assert!(error.is_invalid());
            assert_eq!(error.fields()[0].to_string(), expected);
        }
    }
}
