//! Whether a request's head may go on to the service. hyper has parsed it; what is left is what it takes too lightly.

use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version, header::HOST, uri::Authority,
};

use super::HttpSettings;
use crate::ascii::alphanumeric_or;

/// The status of a refusal, and the detail that goes with it.
pub(crate) type Refusal = (StatusCode, &'static str);

/// Measures the head, and settles what the request is for.
///
/// # Errors
///
/// The answer, if the request is not to reach the service.
pub(crate) fn check<B: http_body::Body>(
    request: &mut Request<B>,
    settings: &HttpSettings,
) -> Result<(), Refusal> {
    if uri_bytes(request.uri()) > settings.max_uri_bytes {
        return Err((StatusCode::URI_TOO_LONG, "the request target is too long"));
    }
    let headers = request.headers();
    if headers.len() > settings.max_headers || header_bytes(headers) > settings.max_header_bytes {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err((status, "the header section is too large"));
    }
    settle_target(request)?;
    if let Some(most) = settings.max_body_bytes {
        if request.body().size_hint().lower() > most {
            return Err((StatusCode::PAYLOAD_TOO_LARGE, "the body is too long"));
        }
    }
    Ok(())
}

fn uri_bytes(uri: &Uri) -> usize {
    let target = uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let scheme = uri.scheme_str().map_or(0, |scheme| scheme.len() + 3);
    let authority = uri
        .authority()
        .map_or(0, |authority| authority.as_str().len());
    target + scheme + authority
}

fn header_bytes(headers: &HeaderMap) -> usize {
    // A colon, a space, and the end of the line.
    const ROUND: usize = 4;
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + ROUND)
        .sum()
}

/// One host, or none where that is allowed: proxies and caches may have read another.
///
/// RFC 9112 section 3.2 for `Host` and targets, section 3.2.2 for targets that say it themselves, RFC 9113 section 8.3.1 for HTTP/2.
fn settle_target<B>(request: &mut Request<B>) -> Result<(), Refusal> {
    const fn refuse(detail: &'static str) -> Result<(), Refusal> {
        Err((StatusCode::BAD_REQUEST, detail))
    }
    // Of the server as a whole nobody may ask anything else (RFC 9112 section 3.2.4).
    if request.uri().path() == "*" && request.method() != Method::OPTIONS {
        return refuse("the request target is for OPTIONS");
    }
    let is_http2 = request.version() == Version::HTTP_2;
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() || (host.is_none() && request.version() == Version::HTTP_11) {
        return refuse("a request has to have one Host header");
    }
    if host.is_some_and(|host| !is_host(host.as_bytes())) {
        return refuse("the Host header is no host");
    }
    let is_connect = request.method() == Method::CONNECT;
    let Some(authority) = request.uri().authority().map(Authority::as_str) else {
        if is_connect {
            return refuse("CONNECT names no host");
        }
        return Ok(());
    };
    // Nothing but a host is what CONNECT asks for (RFC 9112 section 3.2.3).
    if request.uri().scheme().is_none() && !is_connect {
        return refuse("the request target is no path");
    }
    if !is_host(authority.as_bytes()) {
        return refuse("the request target names no host");
    }
    let is_same =
        host.is_none_or(|host| host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()));
    if is_same || is_connect {
        return Ok(());
    }
    if is_http2 {
        return refuse(":authority and Host differ");
    }
    // An absolute target over HTTP/1.1: what it names counts, and nobody behind us is to read anything else.
    match HeaderValue::from_str(authority) {
        Ok(authority) => request.headers_mut().insert(HOST, authority),
        Err(_) => return refuse("the request target names no host"),
    };
    Ok(())
}

/// Bytes of `uri-host [ ":" port ]` (RFC 3986 section 3.2.2). A table, because it is asked of every byte of every `Host`.
const OF_HOST: [bool; 256] = alphanumeric_or(b"-._~!$&'()*+,;=:%[]");

/// Empty is a host: some targets have none.
fn is_host(host: &[u8]) -> bool {
    // Without a way out in the middle, which costs more than it saves: hosts are short, and nearly all of them are hosts.
    host.iter()
        .fold(true, |is, &byte| is & OF_HOST[usize::from(byte)])
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;

    use super::*;

    fn request(version: Version, uri: &str, hosts: &[&str]) -> Request<Full<Bytes>> {
        let mut request = Request::builder().version(version).uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(Full::default()).expect("valid")
    }

    fn status(request: &mut Request<Full<Bytes>>, settings: &HttpSettings) -> u16 {
        match check(request, settings) {
            Ok(()) => 200,
            Err((status, _)) => status.as_u16(),
        }
    }

    #[test]
    fn there_is_one_host() {
        let settings = HttpSettings::default();
        use Version as V;
        for (version, uri, hosts, expected) in [
            (V::HTTP_11, "/", &["a"][..], 200),
            (V::HTTP_11, "/", &[""], 200),
            (V::HTTP_11, "/", &["a:80"], 200),
            (V::HTTP_11, "/", &["[::1]:80"], 200),
            (V::HTTP_11, "/", &[], 400),
            (V::HTTP_11, "/", &["a", "a"], 400),
            (V::HTTP_11, "/", &["a b"], 400),
            (V::HTTP_11, "/", &["a/b"], 400),
            (V::HTTP_11, "/", &["user@a"], 400),
            (V::HTTP_11, "/", &["a,b"], 200),
            (V::HTTP_11, "*", &["a"], 400),
            (V::HTTP_11, "a", &["a"], 400),
            (V::HTTP_11, "http://a/", &[], 400),
            (V::HTTP_11, "http://user@a/", &["a"], 400),
            (V::HTTP_10, "/", &[], 200),
            (V::HTTP_10, "/", &["a", "b"], 400),
            (V::HTTP_2, "http://a/", &[], 200),
            (V::HTTP_2, "http://a/", &["A"], 200),
            (V::HTTP_2, "http://a/", &["b"], 400),
            (V::HTTP_2, "http://a/", &["a", "a"], 400),
        ] {
            let status = status(&mut request(version, uri, hosts), &settings);
            assert_eq!(status, expected, "{version:?} {uri} {hosts:?}");
        }
    }

    #[test]
    fn what_the_target_names_counts() {
        let mut request = request(Version::HTTP_11, "http://a:81/", &["b"]);
        check(&mut request, &HttpSettings::default()).expect("allowed");
        assert_eq!(request.headers()[HOST], "a:81");
    }

    #[test]
    fn measures_to_the_byte() {
        let builder = HttpSettings::builder().max_uri_bytes(10).max_headers(2);
        let settings = builder.max_header_bytes(64).build().expect("valid");
        let uri = |uri| status(&mut request(Version::HTTP_11, uri, &["a"]), &settings);
        assert_eq!([uri("/23456789?"), uri("/23456789?1")], [200, 414]);

        let mut request = request(Version::HTTP_11, "/", &["a"]);
        let value = "x".repeat(64 - "hosta".len() - 4 - "b".len() - 4);
        request
            .headers_mut()
            .insert("b", value.parse().expect("valid"));
        assert_eq!(status(&mut request, &settings), 200);
        request
            .headers_mut()
            .insert("b", format!("{value}x").parse().expect("valid"));
        assert_eq!(status(&mut request, &settings), 431);
        request
            .headers_mut()
            .insert("b", "c".parse().expect("valid"));
        request
            .headers_mut()
            .insert("c", "d".parse().expect("valid"));
        assert_eq!(status(&mut request, &settings), 431, "three are too many");
    }

    #[test]
    fn a_body_that_says_it_is_too_long_is_refused() {
        let settings = HttpSettings::builder()
            .max_body_bytes(5)
            .build()
            .expect("valid");
        for (body, expected) in [("12345", 200), ("123456", 413)] {
            let mut request = request(Version::HTTP_11, "/", &["a"]).map(|_| Full::from(body));
            assert_eq!(status(&mut request, &settings), expected);
        }
    }
}
