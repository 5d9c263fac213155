//! What fuzz targets call: the parsers of bytes that a peer sends. No part of the API.

/// Reads what an HTTP/2 peer says of streams to come, whole and byte by byte, which must come to the same.
///
/// # Panics
///
/// If it does not.
pub fn http2_frames(bytes: &[u8]) {
    use crate::pool::frames::FrameWatch;

    let told = |piece| {
        let (mut watch, mut told) = (FrameWatch::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            watch.feed(piece, |what| told.push(what));
        }
        told
    };
    assert_eq!(told(1), told(bytes.len().max(1)));
}

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

/// Reads a proxy's answer to `CONNECT`, in two pieces.
#[cfg(feature = "proxy")]
pub fn connect_answer(bytes: &[u8], cut: usize) {
    let mut answer = crate::proxy::ConnectAnswer::new();
    let (one, other) = bytes.split_at(cut.min(bytes.len()));
    if let Ok(None) = answer.read(one) {
        let _ = answer.read(other);
    }
}

/// Plays a SOCKS handshake, of the version that the first byte says, with what the proxy sends.
#[cfg(feature = "proxy")]
pub fn socks(bytes: &[u8]) {
    use crate::proxy::{SocksHandshake, SocksStep};

    let Some((&version, mut bytes)) = bytes.split_first() else {
        return;
    };
    let mut handshake = SocksHandshake::for_fuzzing(version);
    let mut received: &[u8] = &[];
    while let Ok(SocksStep::Exchange { need, .. }) = handshake.step(received) {
        if need > bytes.len() {
            break;
        }
        (received, bytes) = bytes.split_at(need);
    }
}

/// Reads a list of hosts that no proxy is for, and asks it.
#[cfg(feature = "proxy")]
pub fn hosts(text: &str) {
    if let Ok(hosts) = text.parse::<crate::proxy::HostSet>() {
        let _ = (hosts.contains(text, 80), hosts.contains("10.0.0.1", 80));
    }
}

/// Reads an event stream whole and in two pieces, which must make no difference.
#[cfg(feature = "sse")]
pub fn event_stream(bytes: &[u8], cut: usize) {
    use crate::sse::{Event, parser::Parser};

    fn read(pieces: &[&[u8]]) -> (Vec<Event>, bool) {
        let mut parser = Parser::new("".into());
        let mut events = Vec::new();
        for mut piece in pieces.iter().copied() {
            loop {
                match parser.next(&mut piece) {
                    Ok(Some(event)) => events.push(event),
                    Ok(None) => break,
                    Err(_) => return (events, true),
                }
            }
        }
        (events, false)
    }
    let (one, other) = bytes.split_at(cut.min(bytes.len()));
    assert_eq!(read(&[bytes]), read(&[one, other]));
}

/// Reads a `Content-Type` for its charset.
pub fn content_type(value: &str) {
    let _ = crate::response::parameter(value, "charset");
}
