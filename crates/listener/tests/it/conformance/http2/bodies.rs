//! Bodies and trailers of requests: RFC 9113 sections 8.1 and 8.1.1.

use super::{Case, case, malformed, messages::with, post, served};
use crate::wire::{DATA, END_HEADERS, END_STREAM, HEADERS, block, field, frame, head};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = framing();
    cases.extend(lengths());
    cases
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
