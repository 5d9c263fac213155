//! Fields of requests, well-formed and malformed: RFC 9113 sections 8.2, 8.3 and 8.5.

use super::{Case, case, malformed, request, served};
use crate::wire::{block, field, head};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = fields();
    cases.extend(connection_specific());
    cases.extend(pseudo_fields());
    cases.extend(values_of_pseudo_fields());
    cases
}

/// A whole request with these fields behind those that it has to have.
pub(super) fn with(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = head("GET", "/");
    block.extend(fields.iter().flat_map(|(name, value)| field(name, value)));
    request(1, &block)
}

/// A whole request of these fields alone.
fn of(fields: &[(&str, &str)]) -> Vec<u8> {
    request(1, &block(fields.iter().copied()))
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
