//! What fuzz targets call: the parsers of bytes that a peer sends. No part of the API.

/// Undoes what a `Content-Encoding` says of `body`, until it ends, fails, or has produced a lot.
#[cfg(feature = "compression")]
pub fn decode(codings: &[u8], body: &[u8]) {
    use crate::compression::{Decoder, Encoded, Pull, encoded};
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, header};

    let mut headers = HeaderMap::new();
    let Ok(value) = HeaderValue::from_bytes(codings) else {
        return;
    };
    headers.insert(header::CONTENT_ENCODING, value);
    let Encoded::By(codings) = encoded(&headers) else {
        return;
    };
    let mut decoder = Decoder::new(&codings);
    let mut pieces = body.chunks(7);
    for _ in 0..body.len() + 1_000 {
        match decoder.pull() {
            Ok(Pull::Data(_)) => {}
            Ok(Pull::Hungry) => match pieces.next() {
                Some(piece) => decoder.push(Bytes::copy_from_slice(piece)),
                None => decoder.finish(),
            },
            Ok(Pull::End) | Err(_) => return,
        }
    }
}

/// Reads the `Location` of a response to a request for `base`.
#[cfg(feature = "redirect")]
pub fn location(base: &http::Uri, location: &[u8]) {
    crate::redirect::location::check(base, location);
}

/// Reads a `Set-Cookie` of a response to a request for `uri`, and sends what came of it.
#[cfg(feature = "cookies")]
pub fn set_cookie(uri: &http::Uri, value: &[u8]) {
    use crate::{CookieRequest, CookieStore, Jar};

    let Ok(value) = http::HeaderValue::from_bytes(value) else {
        return;
    };
    let (jar, request) = (Jar::new(), CookieRequest::new(uri, &http::Method::GET));
    jar.set_cookies(&request, &mut std::iter::once(&value));
    if let Some(header) = jar.cookie_header(&request) {
        // One cookie was set, so no more may be sent.
        assert!(!header.as_bytes().contains(&b';'));
    }
}

/// Reads a `Forwarded`, writes it, and reads that.
pub fn forwarded(value: &[u8]) {
    let read = |value: http::HeaderValue| {
        let headers = http::HeaderMap::from_iter([(http::header::FORWARDED, value)]);
        crate::ForwardedElement::parse(&headers)
    };
    let Ok(Ok(elements)) = http::HeaderValue::from_bytes(value).map(read) else {
        return;
    };
    for element in elements
        .iter()
        .filter(|element| **element != crate::ForwardedElement::new())
    {
        let written = http::HeaderValue::try_from(element.to_string()).expect("a header");
        assert_eq!(read(written).as_deref(), Ok(std::slice::from_ref(element)));
    }
}

#[cfg(feature = "sse")]
pub use crate::sse::parser::Parser as SseParser;

/// The first parameter of that name in a `Content-Type`.
pub fn content_type_parameter(content_type: &str, name: &str) -> Option<String> {
    crate::response::parameter(content_type, name).map(Into::into)
}
