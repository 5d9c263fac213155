//! The first line, and what it is for: RFC 9112 sections 2 and 3.

use super::{BAD, CLOSED, Case, REFUSED, case, then_next};

/// Sent with a Host and nothing else.
fn line(line: &str) -> String {
    format!("{line}\r\nhost: a\r\n\r\n")
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = lines();
    cases.extend(targets());
    cases.extend(hosts());
    cases
}

fn lines() -> Vec<Case> {
    let get = &then_next("(GET / a 0)");
    let long = "x".repeat(70_000);
    let longer = "x".repeat(6000);
    vec![
        case(
            "2.2",
            "an empty line before",
            format!("\r\n{}", line("GET / HTTP/1.1")),
            [get],
        ),
        case(
            "2.2",
            "lines that end in LF",
            "GET / HTTP/1.1\nhost: a\n\n",
            [get, BAD],
        ),
        case(
            "2.2",
            "lines that end in CR",
            "GET / HTTP/1.1\rhost: a\r\r",
            [BAD],
        ),
        case(
            "2.2",
            "a space before the first field",
            "GET / HTTP/1.1\r\n x: y\r\nhost: a\r\n\r\n",
            [BAD, get],
        ),
        case("2.3", "HTTP/1.2", line("GET / HTTP/1.2"), [get, BAD, "505"]),
        case("2.3", "HTTP/2.0", line("GET / HTTP/2.0"), [BAD, "505"]),
        case("2.3", "HTTP/1.10", line("GET / HTTP/1.10"), [BAD, "505"]),
        case("2.3", "http/1.1", line("GET / http/1.1"), [BAD, "505"]),
        case(
            "2.3",
            "another protocol",
            line("GET / SIP/2.0"),
            [BAD, "505"],
        ),
        case("3", "no version", line("GET /"), [BAD]),
        case("3", "two spaces", line("GET  / HTTP/1.1"), [BAD, get]),
        case("3", "a tab", line("GET\t/ HTTP/1.1"), [BAD, get]),
        case(
            "3",
            "a space behind the version",
            line("GET / HTTP/1.1 "),
            [BAD, get],
        ),
        case(
            "3",
            "a line of 70,000 bytes",
            line(&format!("GET /{long} HTTP/1.1")),
            [BAD, "414", "431"],
        ),
        case(
            "3",
            "a line of 6,000 bytes",
            line(&format!("GET /{longer} HTTP/1.1")),
            [
                &then_next("414"),
                &then_next("(GET /xxxxxxxxxxxxxxxxxxx a 0)"),
            ],
        ),
        case("3.1", "no method", line(" / HTTP/1.1"), [BAD]),
        case(
            "3.1",
            "a method that is no token",
            line("G(ET / HTTP/1.1"),
            [BAD, "501"],
        ),
        case(
            "3.1",
            "a method that nobody knows",
            line("JUMP / HTTP/1.1"),
            [&then_next("(JUMP / a 0)"), "501"],
        ),
        case(
            "3.1",
            "a method in lower case",
            line("get / HTTP/1.1"),
            [&then_next("(get / a 0)"), BAD, "501"],
        ),
        case(
            "-",
            "bytes of TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            [BAD, CLOSED],
        ),
    ]
}

fn targets() -> Vec<Case> {
    let get = &then_next("(GET / a 0)");
    vec![
        case(
            "3.2",
            "a space in the target",
            line("GET /a b HTTP/1.1"),
            [BAD, REFUSED],
        ),
        case(
            "3.2",
            "a NUL in the target",
            line("GET /\0 HTTP/1.1"),
            [BAD, REFUSED],
        ),
        case(
            "3.2",
            "a DEL in the target",
            line("GET /\x7f HTTP/1.1"),
            [BAD, REFUSED],
        ),
        case(
            "3.2",
            "a fragment",
            line("GET /#x HTTP/1.1"),
            [BAD, REFUSED, get],
        ),
        case(
            "3.2.1",
            "a target without a slash",
            line("GET a HTTP/1.1"),
            [BAD, REFUSED],
        ),
        case(
            "3.2.2",
            "an absolute target",
            line("GET http://a/ HTTP/1.1"),
            [get],
        ),
        case(
            "3.2.2",
            "an absolute target, and another Host",
            "GET http://a/ HTTP/1.1\r\nhost: b\r\n\r\n",
            [get, BAD, REFUSED],
        ),
        case(
            "3.2.2",
            "an absolute target, and no Host",
            "GET http://a/ HTTP/1.1\r\n\r\n",
            [BAD, REFUSED],
        ),
        case(
            "3.2.2",
            "an absolute target with a user",
            line("GET http://x@a/ HTTP/1.1"),
            [BAD, REFUSED, get],
        ),
        case(
            "3.2.3",
            "a target of CONNECT with a path",
            line("CONNECT a:80/ HTTP/1.1"),
            [BAD, REFUSED],
        ),
        case(
            "3.2.4",
            "OPTIONS *",
            line("OPTIONS * HTTP/1.1"),
            [&then_next("(OPTIONS * a 0)")],
        ),
        case("3.2.4", "GET *", line("GET * HTTP/1.1"), [BAD, REFUSED]),
    ]
}

fn hosts() -> Vec<Case> {
    let hosts = |hosts| format!("GET / HTTP/1.1\r\n{hosts}\r\n");
    vec![
        case(
            "3.2",
            "Host with a port",
            hosts("host: a:80\r\n"),
            [&then_next("(GET / a:80 0)")],
        ),
        case(
            "3.2",
            "Host of nothing",
            hosts("host:\r\n"),
            [&then_next("(GET /  0)")],
        ),
        case(
            "3.2",
            "Host of IPv6",
            hosts("host: [::1]:80\r\n"),
            [&then_next("(GET / [::1]:80 0)")],
        ),
        case("3.2", "no Host", hosts(""), [BAD, REFUSED]),
        case(
            "3.2",
            "no Host in HTTP/1.0",
            "GET / HTTP/1.0\r\n\r\n",
            ["(GET /  0)"],
        ),
        case(
            "3.2",
            "two of Host",
            hosts("host: a\r\nhost: b\r\n"),
            [BAD, REFUSED],
        ),
        case(
            "3.2",
            "two of Host, the same",
            hosts("host: a\r\nhost: a\r\n"),
            [BAD, REFUSED],
        ),
        case(
            "3.2",
            "Host with a path",
            hosts("host: a/b\r\n"),
            [BAD, REFUSED],
        ),
        case(
            "3.2",
            "Host with a user",
            hosts("host: x@a\r\n"),
            [BAD, REFUSED],
        ),
        case(
            "3.2",
            "Host with a space",
            hosts("host: a b\r\n"),
            [BAD, REFUSED],
        ),
        case(
            "3.2",
            "Host with a space before its colon",
            hosts("host : a\r\n"),
            [BAD, REFUSED],
        ),
    ]
}
