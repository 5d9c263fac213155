//! What is wrong with a request's content, as problem details (RFC 9457).
//!
//! [`Invalid`] collects what a validation found, each with the place it is about, and becomes a response. The members of the body
//! are those of RFC 9457 section 3 with `errors`, an extension that the RFC's own example has.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::Body;
//! use bartizan_listener::invalid::Invalid;
//! use http::Response;
//!
//! let mut invalid = Invalid::new();
//! invalid.push("#/age", "must be a positive integer");
//! invalid.push("#/colours/2", "must be 'green', 'red' or 'blue'");
//! let response: Response<Body> = invalid.into_response();
//! assert_eq!(response.status(), 422);
//! assert_eq!(
//!     response.body().whole().unwrap(),
//!     concat!(
//!         r##"{"title":"Unprocessable Entity","status":422,"detail":"2 values are not valid","errors":["##,
//!         r##"{"pointer":"#/age","detail":"must be a positive integer"},"##,
//!         r##"{"pointer":"#/colours/2","detail":"must be 'green', 'red' or 'blue'"}]}"##
//!     )
//! );
//! ```
//!
//! In an axum handler:
//!
//! ```
//! use axum::{Router, body::Body, routing::post};
//! use bartizan_listener::invalid::Invalid;
//! use http::{Request, Response};
//! use tower::ServiceExt;
//!
//! async fn age(body: String) -> Result<String, Response<Body>> {
//!     let mut invalid = Invalid::new();
//!     match body.parse::<u8>() {
//!         Ok(age) => return Ok(format!("{age}")),
//!         Err(error) => invalid.push("#", error.to_string()),
//!     }
//!     Err(invalid.into_response())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let router: Router = Router::new().route("/", post(age));
//! let response = router.oneshot(Request::post("/").body(Body::from("old"))?).await?;
//! assert_eq!(response.headers()["content-type"], "application/problem+json");
//! # Ok(())
//! # }
//! ```

use std::{error::Error, fmt};

use bartizan_core::problem;
use bytes::Bytes;
use http::{Response, StatusCode};

/// The most errors that are told, so that a request cannot order a response of any size.
const MAX_TOLD: usize = 100;

/// What a validation found. See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    status: StatusCode,
    errors: Vec<(String, String)>,
    more: usize,
}

impl Invalid {
    /// Nothing yet. The response will be a 422 (RFC 9110 section 15.5.21): the content is well-formed, but not valid.
    pub const fn new() -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            errors: Vec::new(),
            more: 0,
        }
    }

    /// Answers with another status: 400, where clients expect it.
    #[must_use]
    pub const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Adds what is wrong at a place: a JSON pointer (RFC 6901) as a fragment, such as `#/age`, for JSON; a field's name otherwise.
    /// Both go over the wire. Past 100, errors are only counted.
    pub fn push(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        if self.errors.len() < MAX_TOLD {
            self.errors.push((pointer.into(), detail.into()));
        } else {
            self.more += 1;
        }
    }

    /// Whether there is nothing wrong.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// How many errors there are.
    pub fn len(&self) -> usize {
        self.errors.len() + self.more
    }

    /// The response.
    pub fn into_response<B: From<Bytes>>(self) -> Response<B> {
        let detail = self.to_string();
        // Core's escapes are those of JSON, and its body ends with the detail.
        let whole: Response<Bytes> = problem(self.status, &detail);
        let (head, body) = whole.into_parts();
        let mut json = body.strip_suffix(b"}").unwrap_or(&body).to_vec();
        json.extend_from_slice(br#","errors":["#);
        for (i, (pointer, detail)) in self.errors.iter().enumerate() {
            if i > 0 {
                json.push(b',');
            }
            json.extend_from_slice(br#"{"pointer":"#);
            quote(&mut json, pointer);
            json.extend_from_slice(br#","detail":"#);
            quote(&mut json, detail);
            json.push(b'}');
        }
        json.extend_from_slice(b"]}");
        Response::from_parts(head, Bytes::from(json).into())
    }
}

/// A JSON string (RFC 8259 section 7).
fn quote(into: &mut Vec<u8>, text: &str) {
    into.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => into.extend_from_slice(&[b'\\', byte]),
            0..=0x1f => into.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => into.push(byte),
        }
    }
    into.push(b'"');
}

impl Default for Invalid {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.len() {
            1 => f.write_str("1 value is not valid"),
            n => write!(f, "{n} values are not valid"),
        }
    }
}

impl Error for Invalid {}
