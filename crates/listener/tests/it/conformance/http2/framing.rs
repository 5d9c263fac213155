//! The preface, frames as such, and the frames of a field block: RFC 9113 sections 3.4, 4 and 5.5.

use bartizan_testing::http2::code::{FRAME_SIZE_ERROR, PROTOCOL_ERROR, STREAM_CLOSED};

use super::{Case, Opening, case, connection, post, request, served, set, stream};
use crate::wire::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, PRIORITY, SETTINGS, frame,
    get, head,
};

/// Of no type that anybody knows.
const UNKNOWN: u8 = 0xfa;

pub(super) fn cases() -> Vec<Case> {
    let [begun, rest] = halves();
    vec![
        case(
            "3.4",
            "no preface",
            b"INVALID CONNECTION PREFACE\r\n\r\n".to_vec(),
            connection(&[PROTOCOL_ERROR]),
        )
        .at(Opening::Nothing),
        case(
            "3.4",
            "a preface whose second half is wrong",
            [b"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n".to_vec(), set(4, 100)],
            connection(&[PROTOCOL_ERROR]),
        )
        .at(Opening::Nothing),
        case(
            "3.4",
            "a preface without settings",
            [PREFACE.to_vec(), get(1)],
            connection(&[PROTOCOL_ERROR]),
        )
        .at(Opening::Nothing),
        case(
            "3.4",
            "a preface, settings, and a request at once",
            [PREFACE.to_vec(), frame(SETTINGS, 0, 0, &[]), get(1)],
            served(),
        )
        .at(Opening::Nothing),
        case(
            "4.1",
            "a frame of an unknown type",
            [frame(UNKNOWN, 0xff, 0, b"?"), get(1)],
            served(),
        ),
        case(
            "4.1",
            "the reserved bit of a stream",
            frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                0x8000_0001,
                &head("GET", "/"),
            ),
            served(),
        ),
        case(
            "4.1",
            "flags that are not defined",
            [
                frame(PING, 0xfe, 0, &[0; 8]),
                frame(
                    HEADERS,
                    0xd2 | END_HEADERS | END_STREAM,
                    1,
                    &head("GET", "/"),
                ),
            ],
            served(),
        ),
        case(
            "4.2",
            "the longest DATA that is allowed",
            [
                post(1, "/", &[]),
                frame(DATA, END_STREAM, 1, &[b'x'; 16_384]),
            ],
            served(),
        ),
        case(
            "4.2",
            "DATA that is too long",
            [
                post(1, "/", &[]),
                frame(DATA, END_STREAM, 1, &[b'x'; 16_385]),
            ],
            stream(&[FRAME_SIZE_ERROR]),
        ),
        case(
            "4.2",
            "HEADERS that are too long",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0; 16_385]),
            connection(&[FRAME_SIZE_ERROR]),
        ),
        case(
            "4.2",
            "an unknown frame that is too long",
            frame(UNKNOWN, 0, 0, &[0; 16_385]),
            connection(&[FRAME_SIZE_ERROR]),
        ),
        case(
            "4.3",
            "a block in two frames",
            [begun.clone(), frame(CONTINUATION, END_HEADERS, 1, &rest)],
            served(),
        ),
        case(
            "4.3",
            "a block in frames of one byte, and empty ones",
            crumbs(),
            served(),
        ),
        case(
            "4.3",
            "PRIORITY within a block",
            [
                begun.clone(),
                frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]),
                frame(CONTINUATION, END_HEADERS, 1, &rest),
            ],
            connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "4.3",
            "a request within a block",
            [
                begun.clone(),
                get(3),
                frame(CONTINUATION, END_HEADERS, 1, &rest),
            ],
            connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "4.3",
            "the block goes on on another stream",
            [begun.clone(), frame(CONTINUATION, END_HEADERS, 3, &rest)],
            connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "5.5",
            "an unknown frame within a block",
            [
                begun,
                frame(UNKNOWN, 0, 1, b"?"),
                frame(CONTINUATION, END_HEADERS, 1, &rest),
            ],
            connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "5.5",
            "an unknown frame on a stream",
            [
                post(1, "/", &[]),
                frame(UNKNOWN, END_STREAM, 1, b"?"),
                frame(DATA, END_STREAM, 1, b"hello"),
            ],
            served(),
        ),
        case(
            "5.5",
            "an unknown setting",
            [set(0xfafa, 1), get(1)],
            served(),
        ),
        case(
            "5.1",
            "a block that goes on on a stream that has ended",
            [
                request(1, &head("GET", "/never")),
                frame(CONTINUATION, END_HEADERS, 1, &rest),
            ],
            connection(&[PROTOCOL_ERROR, STREAM_CLOSED]),
        ),
    ]
}

/// A request's HEADERS without `END_HEADERS`, and the rest of its block.
fn halves() -> [Vec<u8>; 2] {
    let block = head("GET", "/");
    let (one, other) = block.split_at(20);
    [frame(HEADERS, END_STREAM, 1, one), other.to_vec()]
}

fn crumbs() -> Vec<u8> {
    let mut frames = frame(HEADERS, END_STREAM, 1, &[]);
    let block = head("GET", "/");
    let (last, all) = block.split_last().expect("some bytes");
    // No more of them than h2 takes for a flood.
    let (one_by_one, rest) = all.split_at(3);
    for byte in one_by_one {
        frames.extend(frame(CONTINUATION, 0, 1, &[*byte]));
    }
    frames.extend(frame(CONTINUATION, 0, 1, rest));
    frames.extend(frame(CONTINUATION, END_HEADERS, 1, &[*last]));
    frames
}
