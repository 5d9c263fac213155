//! Field blocks: RFC 7541, of which RFC 9113 section 4.3 makes an error of the connection where one cannot be decoded.

use bartizan_testing::http2::code::COMPRESSION_ERROR;

use super::{Case, case, connection, request, served};
use crate::wire::head;

/// The head of a request, and these bytes behind it.
fn behind(bytes: &[u8]) -> Vec<u8> {
    let mut block = head("GET", "/");
    block.extend(bytes);
    request(1, &block)
}

fn before(bytes: &[u8]) -> Vec<u8> {
    let mut block = bytes.to_vec();
    block.extend(head("GET", "/"));
    request(1, &block)
}

/// `x` with a value in Huffman's code, which the first byte of `value` says, with the length.
fn huffman(value: &[u8]) -> Vec<u8> {
    behind(&[&[0, 1, b'x'], value].concat())
}

pub(super) fn cases() -> Vec<Case> {
    let error = || connection(&[COMPRESSION_ERROR]);
    vec![
        // From the static table alone.
        case(
            "7541 2.3.1",
            "fields of the static table",
            request(1, &[0x82, 0x84, 0x86]),
            served(),
        ),
        // With incremental indexing, and then the first of the dynamic table, which is 62.
        case(
            "7541 2.3.2",
            "a field of the dynamic table",
            behind(&[0x40, 1, b'x', 1, b'y', 0xbe, 0xbe]),
            served(),
        ),
        case("7541 2.3.3", "a field of index 0", behind(&[0x80]), error()),
        case(
            "7541 2.3.3",
            "a field that is not in the tables",
            behind(&[0xc6]),
            error(),
        ),
        case(
            "7541 2.3.3",
            "a name that is not in the tables",
            behind(&[0x0f, 70 - 15, 1, b'y']),
            error(),
        ),
        case(
            "7541 4.2",
            "a table of no size, before the fields",
            before(&[0x20]),
            served(),
        ),
        case(
            "7541 4.2",
            "two sizes of the table, before the fields",
            before(&[0x20, 0x3f, 0xe1, 0x1f]),
            served(),
        ),
        case(
            "7541 4.2",
            "a table of 4,097 bytes",
            before(&[0x3f, 0xe2, 0x1f]),
            error(),
        ),
        case(
            "7541 4.2",
            "a size of the table behind the fields",
            behind(&[0x20]),
            error(),
        ),
        case(
            "7541 4.2",
            "a field that a size of the table has removed",
            [
                request(
                    1,
                    &[&head("GET", "/")[..], &[0x40, 1, b'x', 1, b'y']].concat(),
                ),
                request(3, &[&[0x20][..], &head("GET", "/"), &[0xbe]].concat()),
            ]
            .concat(),
            error(),
        ),
        case(
            "7541 5.1",
            "an integer in more bytes than it needs",
            behind(
                &[0, 1, b'x', 0x7f, 0x80, 0x00]
                    .iter()
                    .copied()
                    .chain([b'y'; 127])
                    .collect::<Vec<_>>(),
            ),
            served(),
        ),
        case(
            "7541 5.1",
            "an integer that overflows",
            behind(&[
                0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
            ]),
            error(),
        ),
        case(
            "7541 5.1",
            "an integer that is cut off",
            behind(&[0xff, 0x80]),
            error(),
        ),
        case(
            "7541 5.2",
            "a text that is cut off",
            behind(&[0, 5, b'x']),
            error(),
        ),
        case("7541 5.2", "a field that is cut off", behind(&[0]), error()),
        // Appendix C.4.1: `www.example.com`.
        case(
            "7541 5.2",
            "a text in Huffman's code",
            huffman(&[
                0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
            ]),
            served(),
        ),
        // `a` is 00011.
        case(
            "7541 5.2",
            "padding of zeros",
            huffman(&[0x81, 0b0001_1000]),
            error(),
        ),
        case(
            "7541 5.2",
            "padding of eleven bits",
            huffman(&[0x82, 0b0001_1111, 0xff]),
            error(),
        ),
        case(
            "7541 5.2",
            "the end of a text in it",
            huffman(&[0x84, 0xff, 0xff, 0xff, 0xff]),
            error(),
        ),
        case(
            "7541 6.2.3",
            "a field that is never indexed",
            behind(&[0x10, 1, b'x', 1, b'y']),
            served(),
        ),
    ]
}
