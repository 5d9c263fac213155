//! Each kind of frame: RFC 9113 sections 6 and 7.

use bartizan_testing::http2::{
    code::{CANCEL, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR},
    setting,
};

use super::{Case, Opening, case, connection, post, request, served, set, stream};
use crate::{
    contenders::NEVER,
    wire::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RESET,
        SETTINGS, WINDOW, frame, get, head,
    },
};

const PADDED: u8 = 0x8;
const WITH_PRIORITY: u8 = 0x20;
const PUSH_PROMISE: u8 = 0x5;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = data_and_headers();
    cases.extend(priority_and_reset());
    cases.extend(settings());
    cases.extend(others());
    cases.extend(windows());
    cases
}

fn padded(padding: u8, content: &[u8]) -> Vec<u8> {
    let mut payload = vec![padding];
    payload.extend(content);
    payload.extend(vec![0; padding.into()]);
    payload
}

fn data_and_headers() -> Vec<Case> {
    let error = || connection(&[PROTOCOL_ERROR]);
    let block = head("GET", "/");
    let with_padding = padded(7, &block);
    let mut with_priority = vec![0, 0, 0, 0, 16];
    with_priority.extend(&block);
    let whole = END_HEADERS | END_STREAM;
    vec![
        case(
            "6.1",
            "DATA on stream 0",
            frame(DATA, END_STREAM, 0, b"x"),
            error(),
        ),
        case(
            "6.1",
            "padding",
            [
                post(1, "/", &[("content-length", "5")]),
                frame(DATA, END_STREAM | PADDED, 1, &padded(7, b"hello")),
            ],
            served(),
        ),
        case(
            "6.1",
            "nothing but padding",
            [
                post(1, "/", &[]),
                frame(DATA, END_STREAM | PADDED, 1, &padded(255, b"")),
            ],
            served(),
        ),
        case(
            "6.1",
            "more padding than there is DATA",
            [
                post(1, "/", &[]),
                frame(DATA, END_STREAM | PADDED, 1, &[6, b'h', b'i', 0, 0, 0]),
            ],
            error(),
        ),
        case(
            "6.1",
            "padding without its length",
            [post(1, "/", &[]), frame(DATA, END_STREAM | PADDED, 1, &[])],
            connection(&[PROTOCOL_ERROR, FRAME_SIZE_ERROR]),
        ),
        case(
            "6.2",
            "HEADERS on stream 0",
            frame(HEADERS, whole, 0, &block),
            error(),
        ),
        case(
            "6.2",
            "padding",
            frame(HEADERS, whole | PADDED, 1, &with_padding),
            served(),
        ),
        case(
            "6.2",
            "a priority",
            frame(HEADERS, whole | WITH_PRIORITY, 1, &with_priority),
            served(),
        ),
        case(
            "6.2",
            "more padding than there are HEADERS",
            frame(HEADERS, whole | PADDED, 1, &[100, 0x82, 0x84]),
            error(),
        ),
        case(
            "6.2",
            "a priority that is cut off",
            frame(HEADERS, whole | WITH_PRIORITY, 1, &[0, 0, 0]),
            connection(&[PROTOCOL_ERROR, FRAME_SIZE_ERROR]),
        ),
    ]
}

fn priority_and_reset() -> Vec<Case> {
    let size = || connection(&[FRAME_SIZE_ERROR]);
    vec![
        case(
            "6.3",
            "PRIORITY on stream 0",
            frame(PRIORITY, 0, 0, &[0, 0, 0, 1, 1]),
            connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "6.3",
            "PRIORITY of four bytes",
            frame(PRIORITY, 0, 1, &[0, 0, 0, 0]),
            stream(&[FRAME_SIZE_ERROR]),
        ),
        case(
            "6.4",
            "RST_STREAM on stream 0",
            frame(RESET, 0, 0, &CANCEL.to_be_bytes()),
            connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "6.4",
            "RST_STREAM of three bytes",
            [
                request(1, &head("GET", NEVER)),
                frame(RESET, 0, 1, &[0, 0, 8]),
            ],
            size(),
        ),
        case(
            "7",
            "RST_STREAM with an unknown code",
            [
                request(1, &head("GET", NEVER)),
                frame(RESET, 0, 1, &[0xff; 4]),
                get(3),
            ],
            served(),
        ),
    ]
}

fn settings() -> Vec<Case> {
    let error = || connection(&[PROTOCOL_ERROR]);
    let size = || connection(&[FRAME_SIZE_ERROR]);
    let enable_push = setting::ENABLE_PUSH;
    vec![
        case(
            "6.5",
            "an acknowledgement with settings in it",
            frame(SETTINGS, 1, 0, &[0, 4, 0, 0, 0, 1]),
            size(),
        ),
        case(
            "6.5",
            "SETTINGS on a stream",
            frame(SETTINGS, 0, 1, &[]),
            error(),
        ),
        case(
            "6.5",
            "SETTINGS of five bytes",
            frame(SETTINGS, 0, 0, &[0; 5]),
            size(),
        ),
        case(
            "6.5",
            "SETTINGS of none",
            [frame(SETTINGS, 0, 0, &[]), get(1)],
            served(),
        ),
        case("6.5.2", "ENABLE_PUSH of 2", set(enable_push, 2), error()),
        case(
            "6.5.2",
            "ENABLE_PUSH of 0",
            [set(enable_push, 0), get(1)],
            served(),
        ),
        case(
            "6.5.2",
            "INITIAL_WINDOW_SIZE of 2^31",
            set(setting::INITIAL_WINDOW_SIZE, 1 << 31),
            connection(&[FLOW_CONTROL_ERROR]),
        ),
        case(
            "6.5.2",
            "MAX_FRAME_SIZE below the least",
            set(setting::MAX_FRAME_SIZE, 16_383),
            error(),
        ),
        case(
            "6.5.2",
            "MAX_FRAME_SIZE above the greatest",
            set(setting::MAX_FRAME_SIZE, 1 << 24),
            error(),
        ),
        case(
            "6.5.3",
            "two values of one setting, of which the last counts",
            [
                frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0, 0, 4, 0, 0, 0xff, 0xff]),
                get(1),
            ],
            served(),
        ),
        // RFC 8441 section 3.
        case(
            "6.5.2",
            "ENABLE_CONNECT_PROTOCOL of 2",
            set(setting::ENABLE_CONNECT_PROTOCOL, 2),
            error(),
        ),
    ]
}

fn others() -> Vec<Case> {
    let error = || connection(&[PROTOCOL_ERROR]);
    let size = || connection(&[FRAME_SIZE_ERROR]);
    let mut promise = vec![0, 0, 0, 2];
    promise.extend(head("GET", "/"));
    let goodbye = |code: u32| {
        let mut payload = vec![0; 4];
        payload.extend(code.to_be_bytes());
        payload
    };
    vec![
        case(
            "6.6",
            "PUSH_PROMISE from a client",
            [
                request(1, &head("GET", NEVER)),
                frame(PUSH_PROMISE, END_HEADERS, 1, &promise),
            ],
            error(),
        ),
        case(
            "6.7",
            "PING on a stream",
            frame(PING, 0, 1, &[0; 8]),
            error(),
        ),
        case(
            "6.7",
            "PING of seven bytes",
            frame(PING, 0, 0, &[0; 7]),
            size(),
        ),
        case(
            "6.7",
            "an answer to no PING",
            [frame(PING, 1, 0, &[0; 8]), get(1)],
            served(),
        ),
        case(
            "6.8",
            "GOAWAY on a stream",
            frame(GOAWAY, 0, 1, &goodbye(0)),
            error(),
        ),
        case(
            "6.8",
            "GOAWAY of four bytes",
            frame(GOAWAY, 0, 0, &[0; 4]),
            size(),
        ),
        case(
            "6.8",
            "a GOAWAY behind a request",
            [get(1), frame(GOAWAY, 0, 0, &goodbye(0))],
            served(),
        ),
        case(
            "6.10",
            "CONTINUATION on stream 0",
            frame(CONTINUATION, END_HEADERS, 0, &[]),
            error(),
        ),
        case(
            "6.10",
            "CONTINUATION behind a whole block",
            [
                post(1, NEVER, &[]),
                frame(CONTINUATION, END_HEADERS, 1, &[]),
            ],
            error(),
        ),
        case(
            "6.10",
            "CONTINUATION behind the last frame of a block in two",
            [
                frame(HEADERS, 0, 1, &head("POST", NEVER)),
                frame(CONTINUATION, END_HEADERS, 1, &[]),
                frame(CONTINUATION, END_HEADERS, 1, &[]),
            ],
            error(),
        ),
        case(
            "6.10",
            "CONTINUATION behind DATA",
            [
                post(1, NEVER, &[]),
                frame(DATA, 0, 1, b"x"),
                frame(CONTINUATION, END_HEADERS, 1, &[]),
            ],
            error(),
        ),
    ]
}

fn windows() -> Vec<Case> {
    let error = || connection(&[PROTOCOL_ERROR]);
    let window = |stream: u32, increment: u32| frame(WINDOW, 0, stream, &increment.to_be_bytes());
    let open = || request(1, &head("GET", NEVER));
    vec![
        case("6.9", "an increment of 0", window(0, 0), error()),
        case(
            "6.9",
            "an increment of 0 on a stream",
            [open(), window(1, 0)],
            stream(&[PROTOCOL_ERROR]),
        ),
        case(
            "6.9",
            "WINDOW_UPDATE of three bytes",
            frame(WINDOW, 0, 0, &[0, 0, 1]),
            connection(&[FRAME_SIZE_ERROR]),
        ),
        case(
            "6.9.1",
            "a window above 2^31 - 1",
            [window(0, 0x7fff_ffff), window(0, 0x7fff_ffff)],
            connection(&[FLOW_CONTROL_ERROR]),
        ),
        case(
            "6.9.1",
            "a window of a stream above 2^31 - 1",
            [open(), window(1, 0x7fff_ffff)],
            stream(&[FLOW_CONTROL_ERROR]),
        ),
        case(
            "6.9.2",
            "a setting that lifts a window above 2^31 - 1",
            [
                open(),
                window(1, 0x7fff_ffff - 65_535),
                set(setting::INITIAL_WINDOW_SIZE, 65_536),
            ],
            connection(&[FLOW_CONTROL_ERROR]),
        ),
        case(
            "6.9.2",
            "a setting that makes a window negative, and one that makes it whole again",
            [
                set(setting::INITIAL_WINDOW_SIZE, 0),
                get(3),
                set(setting::INITIAL_WINDOW_SIZE, 65_535),
            ],
            served(),
        )
        .at(Opening::Response),
    ]
}
