//! Several requests on one connection, and what is asked between them: RFC 9112 section 9, RFC 9110 sections 9 and 10.

use super::{AND_NEXT, CLOSED, Case, case, then_next};

pub(super) fn cases() -> Vec<Case> {
    let get = "GET / HTTP/1.1\r\nhost: a\r\n";
    let pipeline: String = (0..50)
        .map(|number| format!("GET /{number} HTTP/1.1\r\nhost: a\r\n\r\n"))
        .collect();
    let in_order: Vec<String> = (0..50)
        .map(|number| format!("(GET /{number} a 0)"))
        .collect();
    vec![
        case(
            "9.3",
            "HTTP/1.1 goes on",
            format!("{get}\r\n"),
            [&then_next("(GET / a 0)")],
        ),
        case(
            "9.3",
            "Connection: close",
            format!("{get}connection: close\r\n\r\n"),
            ["(GET / a 0)"],
        ),
        case(
            "9.3",
            "Connection: x, Close",
            format!("{get}connection: x, Close\r\n\r\n"),
            ["(GET / a 0)"],
        ),
        case(
            "9.3",
            "HTTP/1.0 does not go on",
            "GET / HTTP/1.0\r\nhost: a\r\n\r\n",
            ["(GET / a 0)"],
        ),
        case(
            "9.3",
            "HTTP/1.0 with Connection: keep-alive",
            "GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n",
            [&then_next("(GET / a 0)"), "(GET / a 0)"],
        ),
        case(
            "9.3.2",
            "50 requests at once",
            pipeline,
            [&then_next(&in_order.join(" "))],
        ),
        case(
            "9.3.2",
            "a request behind one that is bad",
            format!("GET / HTTP/1.1\r\nhost : a\r\n\r\n{get}\r\n"),
            ["400"],
        ),
        Case {
            section: "9.6",
            name: "half a request",
            sent: b"GET / HTTP/1.1\r\nx: y".to_vec(),
            allowed: vec![CLOSED.to_owned()],
        },
        case(
            "9110 9.3.2",
            "HEAD has no body",
            "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n",
            [&format!("200{AND_NEXT}")],
        ),
        case(
            "9110 9.3.1",
            "GET with a body",
            format!("{get}content-length: 5\r\n\r\nhello"),
            [&then_next("(GET / a 5)")],
        ),
        case(
            "9110 10.1.1",
            "a body that is sent with its Expect",
            "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\nhello",
            [&then_next("(POST / a 5)"), &then_next("100 (POST / a 5)")],
        ),
        case(
            "9110 10.1.1",
            "an Expect that nobody knows",
            format!("{get}expect: x\r\n\r\n"),
            ["417", &then_next("417"), &then_next("(GET / a 0)")],
        ),
        // RFC 9113 section 3.1 has abolished it.
        case(
            "9110 7.8",
            "an upgrade to h2c",
            format!(
                "{get}connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n"
            ),
            [&then_next("(GET / a 0)")],
        ),
    ]
}
