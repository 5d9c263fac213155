//! Bodies in chunks: RFC 9112 section 7.1.

use super::{BAD, CLOSED, Case, case, then_next};

fn chunked(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}")
}

pub(super) fn cases() -> Vec<Case> {
    let hello = &then_next("(POST / a 5)");
    // Where the body is read already, there may be nobody left who would answer.
    let broken = [BAD, CLOSED];
    let huge = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(100_000));
    let zeros = format!("{}5\r\nhello\r\n0\r\n\r\n", "0".repeat(100));
    let trailers = format!("5\r\nhello\r\n0\r\n{}\r\n", "x: y\r\n".repeat(10_000));
    let size = |size: &str| chunked(&format!("{size}\r\nhello\r\n0\r\n\r\n"));
    vec![
        case("7.1", "a chunk", size("5"), [hello]),
        case(
            "7.1",
            "zeros before a size",
            chunked(&zeros),
            [hello, BAD, CLOSED],
        ),
        case(
            "7.1",
            "a size in upper case",
            chunked("A\r\nhellohello\r\n0\r\n\r\n"),
            [&then_next("(POST / a 10)")],
        ),
        case("7.1", "no size", size(""), broken),
        case("7.1", "no digit", size("g"), broken),
        case("7.1", "a size with a sign", size("+5"), broken),
        case("7.1", "a size below zero", size("-5"), broken),
        case("7.1", "a size with a prefix", size("0x5"), broken),
        case("7.1", "a size with an underscore", size("0_5"), broken),
        case("7.1", "a space before a size", size(" 5"), broken),
        case(
            "7.1",
            "a space behind a size",
            size("5 "),
            [hello, BAD, CLOSED],
        ),
        case(
            "7.1",
            "a size above 2^64",
            size("fffffffffffffffff"),
            broken,
        ),
        case(
            "7.1",
            "a size that overflows to 5",
            size("10000000000000005"),
            broken,
        ),
        case(
            "7.1",
            "a LF behind a size",
            chunked("5\nhello\r\n0\r\n\r\n"),
            broken,
        ),
        case(
            "7.1",
            "a CR behind a size",
            chunked("5\rhello\r\n0\r\n\r\n"),
            broken,
        ),
        case(
            "7.1",
            "a LF behind a chunk",
            chunked("5\r\nhello\n0\r\n\r\n"),
            broken,
        ),
        case(
            "7.1",
            "nothing behind a chunk",
            chunked("5\r\nhello0\r\n\r\n"),
            broken,
        ),
        case(
            "7.1",
            "a chunk that is longer than it says",
            size("4"),
            broken,
        ),
        case(
            "7.1",
            "no end behind the last chunk",
            chunked("5\r\nhello\r\n0\r\n"),
            broken,
        ),
        case(
            "7.1.1",
            "an extension",
            chunked("5;a=b\r\nhello\r\n0;c\r\n\r\n"),
            [hello],
        ),
        case(
            "7.1.1",
            "an extension in quotes",
            size("5;a=\"b;c\""),
            [hello],
        ),
        case(
            "7.1.1",
            "a LF in an extension",
            chunked("5;a\nhello\r\n0\r\n\r\n"),
            broken,
        ),
        case(
            "7.1.1",
            "a CR in an extension",
            chunked("5;a\rb\r\nhello\r\n0\r\n\r\n"),
            broken,
        ),
        case(
            "7.1.1",
            "an extension of 100,000 bytes",
            chunked(&huge),
            [BAD, CLOSED, "431"],
        ),
        case(
            "7.1.2",
            "trailers",
            chunked("5\r\nhello\r\n0\r\nx: y\r\n\r\n"),
            [hello],
        ),
        case(
            "7.1.2",
            "trailers that are not for trailers",
            chunked(
                "5\r\nhello\r\n0\r\ncontent-length: 50\r\nhost: b\r\ntransfer-encoding: x\r\n\r\n",
            ),
            [hello, BAD],
        ),
        case(
            "7.1.2",
            "a trailer without a colon",
            chunked("5\r\nhello\r\n0\r\nx\r\n\r\n"),
            broken,
        ),
        case(
            "7.1.2",
            "a trailer with a space before its colon",
            chunked("5\r\nhello\r\n0\r\nx : y\r\n\r\n"),
            broken,
        ),
        case(
            "7.1.2",
            "10,000 trailers",
            chunked(&trailers),
            [BAD, CLOSED, "431"],
        ),
    ]
}
