//! What of a request goes along.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::settings::Settings;

/// The method that a redirect by `status` goes on with. `None` if that is none to follow.
pub(super) fn next_method(status: StatusCode, method: &Method) -> Option<Method> {
    Some(match status {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND if *method == Method::POST => Method::GET,
        StatusCode::SEE_OTHER if *method != Method::HEAD => Method::GET,
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::SEE_OTHER
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => method.clone(),
        _ => return None,
    })
}

/// Drops what describes a body that is no longer sent (RFC 9110 section 15.4).
pub(super) fn drop_content_headers(headers: &mut HeaderMap) {
    const CONTENT: [HeaderName; 9] = [
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_LENGTH,
        header::CONTENT_LOCATION,
        header::CONTENT_RANGE,
        header::CONTENT_TYPE,
        header::EXPECT,
        header::TRAILER,
        header::TRANSFER_ENCODING,
    ];
    for name in CONTENT {
        headers.remove(name);
    }
    // Without constants of their own: RFC 9530, and what it replaces.
    for name in ["content-digest", "repr-digest", "digest", "content-md5"] {
        headers.remove(name);
    }
}

/// Leaves behind what another origin is not to see. `true` if there was something.
pub(super) fn leave_secrets(headers: &mut HeaderMap, settings: &Settings) -> bool {
    let mut secret: Vec<HeaderName> = Vec::new();
    for (name, value) in headers.iter() {
        if is_secret(name, value, settings) && secret.last() != Some(name) {
            secret.push(name.clone());
        }
    }
    for name in &secret {
        headers.remove(name);
    }
    !secret.is_empty()
}

fn is_secret(name: &HeaderName, value: &HeaderValue, settings: &Settings) -> bool {
    /// What the name of a header that holds a secret has in it.
    const TELLING: [&str; 12] = [
        "api-key",
        "apikey",
        "auth",
        "credential",
        "csrf",
        "jwt",
        "password",
        "secret",
        "session",
        "signature",
        "token",
        "xsrf",
    ];
    const NEVER_KEPT: [HeaderName; 4] = [
        header::AUTHORIZATION,
        header::COOKIE,
        header::PROXY_AUTHORIZATION,
        header::REFERER,
    ];
    value.is_sensitive()
        || NEVER_KEPT.contains(name)
        || settings.strip.contains(name)
        || (!settings.keep.contains(name)
            && TELLING.iter().any(|word| name.as_str().contains(word)))
}

#[cfg(test)]
mod tests {
    use super::{super::Redirects, *};

    #[test]
    fn methods_are_those_of_the_table() {
        for (statuses, method, next) in [
            (&[301, 302][..], "GET", Some("GET")),
            (&[301, 302], "HEAD", Some("HEAD")),
            (&[301, 302], "POST", Some("GET")),
            (&[301, 302], "PUT", Some("PUT")),
            (&[301, 302], "PURGE", Some("PURGE")),
            (&[303], "HEAD", Some("HEAD")),
            (&[303], "POST", Some("GET")),
            (&[303], "DELETE", Some("GET")),
            (&[307, 308], "POST", Some("POST")),
            (&[307, 308], "PATCH", Some("PATCH")),
            (&[200, 201, 300, 304, 305, 306, 309, 399, 400], "GET", None),
        ] {
            for status in statuses {
                let status = StatusCode::from_u16(*status).expect("a status");
                let method = method.parse().expect("a method");
                let found = next_method(status, &method);
                assert_eq!(
                    found.as_ref().map(Method::as_str),
                    next,
                    "{status} {method}"
                );
            }
        }
    }

    #[test]
    fn names_that_tell_of_secrets() {
        let settings = Redirects::default()
            .strip(HeaderName::from_static("x-tenant"))
            .keep(HeaderName::from_static("x-session-kind"))
            .keep(header::AUTHORIZATION);
        let is_secret = |name: &'static str| {
            let name = HeaderName::from_static(name);
            is_secret(&name, &HeaderValue::from_static("v"), settings.settings())
        };
        for name in [
            "authorization",
            "cookie",
            "private-token",
            "proxy-authorization",
            "referer",
            "x-amz-security-token",
            "x-api-key",
            "x-auth",
            "x-csrf-token",
            "x-goog-api-key",
            "x-tenant",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "accept",
            "content-type",
            "idempotency-key",
            "if-none-match",
            "range",
            "traceparent",
            "user-agent",
            "x-request-id",
            "x-session-kind",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
