//! Problem details, as a response.

use std::fmt::Write;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};

/// A response of that status whose body says what is wrong, as problem details (RFC 9457): `title` is the status's reason, `detail` is
/// for whoever reads it, and goes over the wire.
///
/// ```
/// use bartizan_core::{Body, problem};
/// use http::{Response, StatusCode};
///
/// let response: Response<Body> = problem(StatusCode::NOT_FOUND, r#"no user "ada""#);
/// assert_eq!(
///     response.body().whole().unwrap(),
///     r#"{"title":"Not Found","status":404,"detail":"no user \"ada\""}"#
/// );
/// ```
pub fn problem<B: From<Bytes>>(status: StatusCode, detail: &str) -> Response<B> {
    let title = status.canonical_reason().unwrap_or_default();
    let mut json = format!(
        r#"{{"title":"{title}","status":{},"detail":""#,
        status.as_u16()
    );
    for c in detail.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            '\0'..='\x1f' => write!(json, "\\u{:04x}", u32::from(c)).expect("a string takes all"),
            _ => json.push(c),
        }
    }
    json.push_str(r#""}"#);
    let mut response = Response::new(B::from(json.into()));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_detail_is_json() {
        let response: Response<Bytes> = problem(StatusCode::BAD_REQUEST, "a\n\"b\\\u{1}ü");
        let json = std::str::from_utf8(response.body()).expect("UTF-8");
        assert!(
            json.ends_with(r#""detail":"a\u000a\"b\\\u0001ü"}"#),
            "{json}"
        );
    }
}
