//! How long a body is: RFC 9112 section 6, and what requests are smuggled by.

use super::{BAD, CLOSED, Case, case, then_next};

fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n{body}")
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = transfer_codings();
    cases.extend(lengths());
    cases
}

fn transfer_codings() -> Vec<Case> {
    const END: &str = "0\r\n\r\n";
    // What comes behind such a request is not to be read (section 6.1).
    let only = "(POST / a 0)";
    let served = &then_next(only);
    let unknown = [BAD, "501"];
    let te = |value: &str| post(&format!("transfer-encoding:{value}\r\n"), END);
    vec![
        case(
            "6.1",
            "CL.TE",
            post(
                "content-length: 6\r\ntransfer-encoding: chunked\r\n",
                "0\r\n\r\nG",
            ),
            [BAD, only],
        ),
        case(
            "6.1",
            "TE.CL",
            post("transfer-encoding: chunked\r\ncontent-length: 3\r\n", END),
            [BAD, only],
        ),
        case(
            "6.1",
            "TE.TE, the second of which is identity",
            post(
                "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
                END,
            ),
            [BAD, "501"],
        ),
        case(
            "6.1",
            "TE.TE, the first of which is unknown",
            post(
                "transfer-encoding: x\r\ntransfer-encoding: chunked\r\n",
                END,
            ),
            [BAD, "501", served],
        ),
        case("6.1", "chunked", te(" chunked"), [served]),
        case("6.1", "Chunked", te(" Chunked"), [served]),
        case("6.1", "chunked, between tabs", te("\tchunked\t"), [served]),
        case(
            "6.1",
            "chunked behind gzip",
            te(" gzip, chunked"),
            [BAD, "501", served],
        ),
        case("6.1", "chunked before gzip", te(" chunked, gzip"), unknown),
        case("6.1", "an unknown coding", te(" xchunked"), unknown),
        case("6.1", "identity", te(" identity"), unknown),
        case(
            "6.1",
            "chunked with a parameter",
            te(" chunked;x=y"),
            unknown,
        ),
        case("6.1", "chunked in quotes", te(" \"chunked\""), unknown),
        case(
            "6.1",
            "chunked, and a vertical tab",
            te("\x0bchunked"),
            [BAD],
        ),
        case(
            "6.1",
            "chunked, and a bare CR",
            te(" chunked\r x: y"),
            [BAD],
        ),
        case("6.1", "chunked, folded", te("\r\n chunked"), [BAD, served]),
        case(
            "6.1",
            "Transfer-Encoding with a space before its colon",
            post("transfer-encoding : chunked\r\n", END),
            [BAD],
        ),
        case(
            "6.1",
            "Transfer-Encoding with a tab before its colon",
            post("transfer-encoding\t: chunked\r\n", END),
            [BAD],
        ),
        case(
            "6.1",
            "chunked in HTTP/1.0",
            format!("POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{END}"),
            [BAD, only],
        ),
    ]
}

fn lengths() -> Vec<Case> {
    let served = &then_next("(POST / a 0)");
    let cl = |value: &str| post(&format!("content-length:{value}\r\n"), "");
    let long = format!(" 1{}", "0".repeat(400));
    vec![
        case("6.2", "no length", post("", ""), [served]),
        case(
            "6.2",
            "a length",
            post("content-length: 5\r\n", "hello"),
            [&then_next("(POST / a 5)")],
        ),
        case("6.2", "a length between spaces", cl(" \t0 \t"), [served]),
        case("6.2", "zeros before a length", cl(" 000"), [served]),
        case("6.2", "a length with a sign", cl(" +0"), [BAD]),
        case("6.2", "a length below zero", cl(" -1"), [BAD]),
        case("6.2", "a length in hexadecimal", cl(" 0x0"), [BAD]),
        case("6.2", "a length of nothing", cl(""), [BAD]),
        case("6.2", "a length with a space in it", cl(" 0 0"), [BAD]),
        case(
            "6.2",
            "a length above 2^64",
            cl(" 99999999999999999999"),
            [BAD, "413"],
        ),
        case("6.2", "a length of 400 digits", cl(&long), [BAD, "413"]),
        case(
            "6.2",
            "Content-Length with a space before its colon",
            post("content-length : 0\r\n", ""),
            [BAD],
        ),
        case(
            "6.3",
            "a list of lengths, the same",
            cl(" 0, 0"),
            [BAD, served],
        ),
        case("6.3", "a list of lengths that differ", cl(" 0, 5"), [BAD]),
        case(
            "6.3",
            "two lengths, the same",
            post("content-length: 0\r\ncontent-length: 0\r\n", ""),
            [BAD, served],
        ),
        case(
            "6.3",
            "two lengths that differ",
            post("content-length: 0\r\ncontent-length: 5\r\n", ""),
            [BAD],
        ),
        // The rest never comes: nobody is told that this was all.
        case(
            "8",
            "a body that is cut off",
            post("content-length: 1000\r\n", "hello"),
            [BAD, CLOSED],
        ),
    ]
}
