//! Requests, well-formed and malformed: RFC 9113 section 8.

use super::{Case, case, malformed, post, request, served};
use crate::wire::{DATA, END_HEADERS, END_STREAM, HEADERS, block, field, frame, head};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = framing();
    cases.extend(fields());
    cases.extend(connection_specific());
    cases.extend(pseudo_fields());
    cases.extend(values_of_pseudo_fields());
    cases.extend(lengths());
    cases
}

/// A whole request with these fields behind those that it has to have.
fn with(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = head("GET", "/");
    block.extend(fields.iter().flat_map(|(name, value)| field(name, value)));
    request(1, &block)
}

/// A whole request of these fields alone.
fn of(fields: &[(&str, &str)]) -> Vec<u8> {
    request(1, &block(fields.iter().copied()))
}

fn framing() -> Vec<Case> {
    let trailers = |flags, fields: &[(&str, &str)]| {
        [
            post(1, "/", &[]),
            frame(DATA, 0, 1, b"hello"),
            frame(
                HEADERS,
                END_HEADERS | flags,
                1,
                &block(fields.iter().copied()),
            ),
        ]
    };
    vec![
        case(
            "8.1",
            "trailers",
            trailers(END_STREAM, &[("x", "y")]),
            served(),
        ),
        case(
            "8.1",
            "trailers that do not end the stream",
            trailers(0, &[("x", "y")]),
            malformed(),
        ),
        case(
            "8.1",
            "a pseudo-header field in the trailers",
            trailers(END_STREAM, &[(":path", "/")]),
            malformed(),
        ),
        case(
            "8.1",
            "a body in an empty frame and one that is not",
            [
                post(1, "/", &[]),
                frame(DATA, 0, 1, b""),
                frame(DATA, END_STREAM, 1, b"hello"),
            ],
            served(),
        ),
        // RFC 9110 section 9.3.1.
        case(
            "8.1",
            "GET with a body",
            [
                frame(HEADERS, END_HEADERS, 1, &head("GET", "/")),
                frame(DATA, END_STREAM, 1, b"hello"),
            ],
            served(),
        ),
    ]
}

fn fields() -> Vec<Case> {
    let long = "x".repeat(4000);
    vec![
        case(
            "8.2",
            "a name in upper case",
            with(&[("X", "y")]),
            malformed(),
        ),
        case(
            "8.2.1",
            "a name with a space",
            with(&[("x y", "z")]),
            malformed(),
        ),
        case(
            "8.2.1",
            "a name with a control",
            with(&[("x\u{1}", "z")]),
            malformed(),
        ),
        case(
            "8.2.1",
            "a name beyond ASCII",
            with(&[("é", "z")]),
            malformed(),
        ),
        case(
            "8.2.1",
            "a name with a colon in it",
            with(&[("x:y", "z")]),
            malformed(),
        ),
        case(
            "8.2.1",
            "a name of nothing",
            with(&[("", "z")]),
            malformed(),
        ),
        case(
            "8.2.1",
            "a value with a NUL",
            with(&[("x", "y\0")]),
            malformed(),
        ),
        case(
            "8.2.1",
            "a value with a CR",
            with(&[("x", "y\rz")]),
            malformed(),
        ),
        case(
            "8.2.1",
            "a value with a field in it",
            with(&[("x", "y\r\ntransfer-encoding: chunked")]),
            malformed(),
        ),
        case(
            "8.2.1",
            "a value with a LF",
            with(&[("x", "y\nz")]),
            malformed(),
        ),
        case(
            "8.2.1",
            "a value that begins with a space",
            with(&[("x", " y")]),
            malformed(),
        ),
        case(
            "8.2.1",
            "a value that ends with a tab",
            with(&[("x", "y\t")]),
            malformed(),
        ),
        case(
            "8.2.1",
            "a value beyond ASCII",
            with(&[("x", "é")]),
            served(),
        ),
        case("8.2.1", "a value of nothing", with(&[("x", "")]), served()),
        case("8.2.1", "a long value", with(&[("x", &long)]), served()),
        case(
            "8.2.3",
            "cookies in crumbs",
            with(&[("cookie", "a=b"), ("cookie", "c=d")]),
            served(),
        ),
    ]
}

fn connection_specific() -> Vec<Case> {
    vec![
        case(
            "8.2.2",
            "Connection",
            with(&[("connection", "close")]),
            malformed(),
        ),
        case(
            "8.2.2",
            "Keep-Alive",
            with(&[("keep-alive", "timeout=5")]),
            malformed(),
        ),
        case(
            "8.2.2",
            "Proxy-Connection",
            with(&[("proxy-connection", "keep-alive")]),
            malformed(),
        ),
        case(
            "8.2.2",
            "Transfer-Encoding",
            with(&[("transfer-encoding", "chunked")]),
            malformed(),
        ),
        case("8.2.2", "Upgrade", with(&[("upgrade", "h2c")]), malformed()),
        case(
            "8.2.2",
            "TE with something else",
            with(&[("te", "gzip")]),
            malformed(),
        ),
        case(
            "8.2.2",
            "TE with more",
            with(&[("te", "trailers, gzip")]),
            malformed(),
        ),
        case(
            "8.2.2",
            "TE with trailers",
            with(&[("te", "trailers")]),
            served(),
        ),
    ]
}

fn pseudo_fields() -> Vec<Case> {
    let [method, scheme, authority, path] = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", "/"),
    ];
    vec![
        case(
            "8.3",
            "in any order",
            of(&[path, authority, scheme, method]),
            served(),
        ),
        case(
            "8.3",
            "one that is unknown",
            with(&[(":x", "y")]),
            malformed(),
        ),
        case(
            "8.3",
            "one of responses",
            with(&[(":status", "200")]),
            malformed(),
        ),
        case(
            "8.3",
            "one behind a field",
            of(&[method, scheme, authority, ("x", "y"), path]),
            malformed(),
        ),
        case(
            "8.3.1",
            "no :method",
            of(&[scheme, authority, path]),
            malformed(),
        ),
        case(
            "8.3.1",
            "no :scheme",
            of(&[method, authority, path]),
            malformed(),
        ),
        case(
            "8.3.1",
            "no :path",
            of(&[method, scheme, authority]),
            malformed(),
        ),
        case("8.3.1", "no field at all", of(&[]), malformed()),
        case(
            "8.3.1",
            "no :authority",
            of(&[method, scheme, path, ("host", "localhost")]),
            served(),
        ),
        case("8.3.1", "two of :method", with(&[method]), malformed()),
        case("8.3.1", "two of :scheme", with(&[scheme]), malformed()),
        case(
            "8.3.1",
            "two of :authority",
            with(&[authority]),
            malformed(),
        ),
        case("8.3.1", "two of :path", with(&[path]), malformed()),
        case(
            "8.5",
            "CONNECT with :scheme and :path",
            of(&[(":method", "CONNECT"), scheme, authority, path]),
            malformed(),
        ),
        case(
            "8.5",
            "CONNECT without :authority",
            of(&[(":method", "CONNECT")]),
            malformed(),
        ),
    ]
}

fn values_of_pseudo_fields() -> Vec<Case> {
    let of = |method, scheme, authority, path| {
        of(&[
            (":method", method),
            (":scheme", scheme),
            (":authority", authority),
            (":path", path),
        ])
    };
    vec![
        case(
            "8.3.1",
            ":path of nothing",
            of("GET", "http", "a", ""),
            malformed(),
        ),
        case(
            "8.3.1",
            ":path without a slash",
            of("GET", "http", "a", "b"),
            malformed(),
        ),
        case(
            "8.3.1",
            ":path with a space",
            of("GET", "http", "a", "/b c"),
            malformed(),
        ),
        case(
            "8.3.1",
            ":path with a line end",
            of("GET", "http", "a", "/\r\nx: y"),
            malformed(),
        ),
        case(
            "8.3.1",
            ":path of OPTIONS *",
            of("OPTIONS", "http", "a", "*"),
            served(),
        ),
        case(
            "8.3.1",
            ":path of GET *",
            of("GET", "http", "a", "*"),
            malformed(),
        ),
        case(
            "8.3.1",
            ":authority with a user",
            of("GET", "http", "x@a", "/"),
            malformed(),
        ),
        case(
            "8.3.1",
            ":authority with a slash",
            of("GET", "http", "a/b", "/"),
            malformed(),
        ),
        case(
            "8.3.1",
            ":authority with a space",
            of("GET", "http", "a b", "/"),
            malformed(),
        ),
        case(
            "8.3.1",
            ":scheme with a space",
            of("GET", "ht tp", "a", "/"),
            malformed(),
        ),
        case(
            "8.3.1",
            ":method with a space",
            of("G ET", "http", "a", "/"),
            malformed(),
        ),
        case(
            "8.3.1",
            ":method of nothing",
            of("", "http", "a", "/"),
            malformed(),
        ),
        case(
            "8.3.1",
            "Host that is another than :authority",
            with(&[("host", "example.com")]),
            malformed(),
        ),
        case(
            "8.3.1",
            "Host that is the same",
            with(&[("host", "localhost")]),
            served(),
        ),
        case(
            "8.3.1",
            "two of Host",
            with(&[("host", "localhost"), ("host", "localhost")]),
            malformed(),
        ),
    ]
}

fn lengths() -> Vec<Case> {
    let body = |fields: &[(&str, &str)], pieces: &[&[u8]]| {
        let mut frames = post(1, "/", fields);
        let last = pieces.len() - 1;
        for (at, piece) in pieces.iter().enumerate() {
            let flags = if at == last { END_STREAM } else { 0 };
            frames.extend(frame(DATA, flags, 1, piece));
        }
        frames
    };
    let five = ("content-length", "5");
    vec![
        case(
            "8.1.1",
            "as long as it says",
            body(&[five], &[b"he", b"llo"]),
            served(),
        ),
        case(
            "8.1.1",
            "shorter than it says",
            body(&[five], &[b"hell"]),
            malformed(),
        ),
        case(
            "8.1.1",
            "longer than it says",
            body(&[five], &[b"hello!"]),
            malformed(),
        ),
        case(
            "8.1.1",
            "longer than it says, in pieces",
            body(&[five], &[b"hel", b"lo!"]),
            malformed(),
        ),
        case("8.1.1", "a length and no body", with(&[five]), malformed()),
        case(
            "8.1.1",
            "a length of 0 and no body",
            with(&[("content-length", "0")]),
            served(),
        ),
        case(
            "8.1.1",
            "two lengths",
            body(&[five, ("content-length", "6")], &[b"hello"]),
            malformed(),
        ),
        case(
            "8.1.1",
            "a length that is none",
            body(&[("content-length", "five")], &[b"hello"]),
            malformed(),
        ),
        case(
            "8.1.1",
            "a length with a sign",
            body(&[("content-length", "+5")], &[b"hello"]),
            malformed(),
        ),
        case(
            "8.1.1",
            "trailers before all of it has come",
            [
                post(1, "/", &[five]),
                frame(DATA, 0, 1, b"hell"),
                frame(HEADERS, END_HEADERS | END_STREAM, 1, &field("x", "y")),
            ],
            malformed(),
        ),
    ]
}
