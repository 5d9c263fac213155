//! States of streams, their numbers and how many there may be: RFC 9113 sections 5.1 to 5.4.

use bartizan_testing::http2::code::{
    CANCEL, FLOW_CONTROL_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, STREAM_CLOSED,
};

use super::{
    Answered, Case, Ignored, Opening, case, connection, malformed, post, request, served, stream,
};
use crate::{
    contenders::NEVER,
    wire::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PRIORITY, RESET, WINDOW, frame, get,
        head,
    },
};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = idle();
    cases.extend(half_closed());
    cases.extend(closed());
    cases.extend(numbers());
    cases.extend(priorities());
    cases
}

fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RESET, 0, stream, &code.to_be_bytes())
}

fn window(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW, 0, stream, &increment.to_be_bytes())
}

fn idle() -> Vec<Case> {
    let error = || connection(&[PROTOCOL_ERROR]);
    vec![
        case(
            "5.1",
            "DATA on an idle stream",
            frame(DATA, END_STREAM, 1, b"x"),
            error(),
        ),
        case(
            "5.1",
            "RST_STREAM on an idle stream",
            reset(1, CANCEL),
            error(),
        ),
        case(
            "5.1",
            "WINDOW_UPDATE on an idle stream",
            window(1, 100),
            error(),
        ),
        case(
            "5.1",
            "CONTINUATION on an idle stream",
            frame(CONTINUATION, END_HEADERS, 1, &head("GET", "/")),
            error(),
        ),
        case(
            "5.1",
            "PRIORITY on an idle stream",
            [frame(PRIORITY, 0, 5, &[0, 0, 0, 0, 1]), get(1)],
            served(),
        ),
    ]
}

/// The client has ended its side; the server has not.
fn half_closed() -> Vec<Case> {
    let open = || request(1, &head("GET", NEVER));
    let closed = || stream(&[STREAM_CLOSED]);
    vec![
        case(
            "5.1",
            "DATA on a stream that is half-closed",
            [open(), frame(DATA, END_STREAM, 1, b"x")],
            closed(),
        ),
        case(
            "5.1",
            "HEADERS on a stream that is half-closed",
            [open(), get(1)],
            closed(),
        ),
        case(
            "5.1",
            "WINDOW_UPDATE on a stream that is half-closed",
            [open(), window(1, 100), get(3)],
            served(),
        ),
        case(
            "5.1",
            "RST_STREAM on a stream that is half-closed",
            [open(), reset(1, CANCEL), get(3)],
            served(),
        ),
        case(
            "5.1",
            "PRIORITY on a stream that is half-closed",
            [open(), frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]), get(3)],
            served(),
        ),
    ]
}

fn closed() -> Vec<Case> {
    // What is sent behind the client's own end may be taken for an error.
    let tolerated = || {
        let mut allowed = stream(&[STREAM_CLOSED]);
        allowed.push(Ignored);
        allowed
    };
    // And a number that is used again has to be (section 5.1.1).
    let reused = || {
        let mut allowed = stream(&[STREAM_CLOSED]);
        allowed.extend(connection(&[PROTOCOL_ERROR]));
        allowed
    };
    vec![
        case(
            "5.1",
            "DATA after RST_STREAM",
            [
                post(1, NEVER, &[]),
                reset(1, CANCEL),
                frame(DATA, END_STREAM, 1, b"x"),
            ],
            tolerated(),
        ),
        case(
            "5.1",
            "HEADERS after RST_STREAM",
            [post(1, NEVER, &[]), reset(1, CANCEL), get(1)],
            reused(),
        ),
        case(
            "5.1",
            "CONTINUATION after RST_STREAM",
            [
                post(1, NEVER, &[]),
                reset(1, CANCEL),
                frame(CONTINUATION, END_HEADERS, 1, &[]),
            ],
            connection(&[PROTOCOL_ERROR, STREAM_CLOSED]),
        ),
        case(
            "5.1",
            "DATA on a stream that has ended",
            frame(DATA, END_STREAM, 1, b"x"),
            stream(&[STREAM_CLOSED]),
        )
        .at(Opening::Response),
        case(
            "5.1",
            "HEADERS on a stream that has ended",
            get(1),
            reused(),
        )
        .at(Opening::Response),
        case(
            "5.1",
            "CONTINUATION on a stream that has ended",
            frame(CONTINUATION, END_HEADERS, 1, &[]),
            connection(&[PROTOCOL_ERROR, STREAM_CLOSED]),
        )
        .at(Opening::Response),
        case(
            "5.1",
            "WINDOW_UPDATE on a stream that has ended",
            [window(1, 100), get(3)],
            served(),
        )
        .at(Opening::Response),
        case(
            "5.1",
            "RST_STREAM on a stream that has ended",
            [reset(1, CANCEL), get(3)],
            served(),
        )
        .at(Opening::Response),
        case(
            "5.1",
            "PRIORITY on a stream that has ended",
            [frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]), get(3)],
            served(),
        )
        .at(Opening::Response),
    ]
}

fn numbers() -> Vec<Case> {
    let many = (0..250).flat_map(|number| request(2 * number + 1, &head("GET", NEVER)));
    // As much as either lets a client send, and a byte more.
    let mut flood = post(1, NEVER, &[]);
    for _ in 0..64 {
        flood.extend(frame(DATA, 0, 1, &[b'x'; 16_384]));
    }
    flood.extend(frame(DATA, 0, 1, b"x"));
    vec![
        case(
            "5.1.1",
            "an even stream",
            get(2),
            connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "5.1.1",
            "a stream below the last",
            [request(5, &head("GET", NEVER)), get(3)],
            connection(&[PROTOCOL_ERROR, STREAM_CLOSED]),
        ),
        case("5.1.1", "streams that are left out", get(1001), served()),
        case("5.1.1", "the highest stream", get(0x7fff_ffff), served()),
        case(
            "5.1.2",
            "more streams than are allowed",
            many.collect::<Vec<u8>>(),
            stream(&[REFUSED_STREAM, PROTOCOL_ERROR]),
        ),
        case(
            "5.2.1",
            "more than the window allows",
            flood,
            stream(&[FLOW_CONTROL_ERROR]),
        ),
        case(
            "5.4",
            "after an error of a stream, the others go on",
            [
                request(1, &head("GET", NEVER)),
                window(1, 0x7fff_ffff),
                get(3),
            ],
            // The order of what is written is the server's.
            {
                let mut allowed = stream(&[FLOW_CONTROL_ERROR]);
                allowed.push(Answered);
                allowed
            },
        ),
    ]
}

/// RFC 9113 section 5.3.2 has abolished what they mean, and RFC 7540 called a stream that depends on itself an error.
fn priorities() -> Vec<Case> {
    let mut itself = vec![0, 0, 0, 1, 16];
    itself.extend(head("GET", "/"));
    let lenient = || {
        let mut allowed = malformed();
        allowed.push(Answered);
        allowed
    };
    vec![
        case(
            "5.3",
            "PRIORITY of a stream that depends on itself",
            [frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 16]), get(3)],
            lenient(),
        ),
        case(
            "5.3",
            "HEADERS of a stream that depends on itself",
            frame(HEADERS, 0x20 | END_HEADERS | END_STREAM, 1, &itself),
            lenient(),
        ),
    ]
}
