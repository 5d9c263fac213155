//! Header fields: RFC 9112 section 5.

use super::{BAD, Case, case, then_next};

fn with(field: &[u8]) -> Vec<u8> {
    [b"POST / HTTP/1.1\r\nhost: a\r\n", field, b"\r\n"].concat()
}

pub(super) fn cases() -> Vec<Case> {
    let post = &then_next("(POST / a 0)");
    let many = "x: y\r\n".repeat(300);
    let long = format!("x: {}\r\n", "y".repeat(300_000));
    vec![
        case("5", "a field of nothing", with(b"x:\r\n"), [post]),
        case(
            "5",
            "spaces around a value",
            with(b"x: \t y \t \r\n"),
            [post],
        ),
        case(
            "5",
            "a value beyond ASCII",
            with(b"x: \xe9\r\n"),
            [post, BAD],
        ),
        case("5", "no colon", with(b"x\r\n"), [BAD]),
        case("5", "no name", with(b": y\r\n"), [BAD]),
        case("5", "a name that is no token", with(b"x(y): z\r\n"), [BAD]),
        case("5", "a name beyond ASCII", with(b"\xe9: z\r\n"), [BAD]),
        case("5.1", "a space before the colon", with(b"x : y\r\n"), [BAD]),
        case("5.1", "a tab before the colon", with(b"x\t: y\r\n"), [BAD]),
        case(
            "5.2",
            "a field that is folded",
            with(b"x: y\r\n z\r\n"),
            [BAD, post],
        ),
        case("5.5", "a NUL in a value", with(b"x: y\0z\r\n"), [BAD, post]),
        case("5.5", "a CR in a value", with(b"x: y\rz\r\n"), [BAD, post]),
        case(
            "5.5",
            "a DEL in a value",
            with(b"x: y\x7fz\r\n"),
            [BAD, post],
        ),
        case(
            "5.5",
            "an escape in a value",
            with(b"x: y\x1bz\r\n"),
            [BAD, post],
        ),
        case("5.4", "300 fields", with(many.as_bytes()), [BAD, "431"]),
        case(
            "5.4",
            "a field of 300,000 bytes",
            with(long.as_bytes()),
            [BAD, "431", post],
        ),
    ]
}
