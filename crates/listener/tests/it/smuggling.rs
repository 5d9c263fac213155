//! Requests over HTTP/1.1 that two parsers may understand in two ways. Nobody behind this listener sees a request that is not there.

use std::{net::SocketAddr, time::Duration};

use bartizan_core::{Body, BoxError};
use bartizan_listener::HttpSettings;
use http::{Request, Response, header::HOST};
use http_body_util::BodyExt;
use tower::service_fn;

use crate::support::{Server, bind, raw, rest};

/// Says what it was asked, after it has read all of it.
async fn repeat(request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let host = head.headers.get(HOST).map(|host| host.as_bytes().to_vec());
    let host = String::from_utf8(host.unwrap_or_default())?;
    let said = format!(
        "[{} {} {host} {}]",
        head.method,
        head.uri.path(),
        body.len()
    );
    Ok(Response::new(Body::from(said)))
}

async fn start() -> Server {
    // Who sends half a request and waits is told so by the test's own end; this is for those who never close.
    let settings = HttpSettings::builder()
        .linger(Duration::from_millis(100))
        .header_read_timeout(Duration::from_millis(300))
        .idle_timeout(Duration::from_millis(300));
    let listener = bind().await.http(settings.build().expect("valid"));
    Server::start(listener, service_fn(repeat))
}

/// The statuses that come, and what the service said.
async fn answers(addr: SocketAddr, sent: &[u8]) -> (Vec<u16>, String) {
    let mut client = raw(addr, sent).await;
    let answer = String::from_utf8(rest(&mut client).await).expect("UTF-8");
    let statuses = answer
        .match_indices("HTTP/1.")
        .map(|(at, _)| answer[at + 9..at + 12].parse().expect("a status"))
        .collect();
    let said = answer
        .split('[')
        .skip(1)
        .filter_map(|said| said.split_once(']'))
        .map(|(said, _)| format!("[{said}]"))
        .collect();
    (statuses, said)
}

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: b\r\n\r\n";

#[tokio::test]
async fn only_one_length_counts() {
    let server = start().await;
    let long = "0".repeat(400);
    for (name, fields, body, statuses, said) in [
        // Transfer-Encoding wins, and what follows is not read (RFC 9112 section 6.1).
        (
            "CL.TE",
            "content-length: 6\r\ntransfer-encoding: chunked\r\n",
            "0\r\n\r\nG",
            &[200][..],
            "[POST / a 0]",
        ),
        (
            "TE.CL",
            "transfer-encoding: chunked\r\ncontent-length: 3\r\n",
            "0\r\n\r\n",
            &[200],
            "[POST / a 0]",
        ),
        (
            "TE.TE",
            "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
            "0\r\n\r\n",
            &[400],
            "",
        ),
        (
            "TE unknown",
            "transfer-encoding: xchunked\r\n",
            "0\r\n\r\n",
            &[400],
            "",
        ),
        (
            "TE not last",
            "transfer-encoding: chunked, gzip\r\n",
            "0\r\n\r\n",
            &[400],
            "",
        ),
        (
            "TE identity",
            "transfer-encoding: identity\r\n",
            "0\r\n\r\n",
            &[400],
            "",
        ),
        (
            "TE with a space before the colon",
            "transfer-encoding : chunked\r\n",
            "0\r\n\r\n",
            &[400],
            "",
        ),
        (
            "TE with a tab before the colon",
            "transfer-encoding\t: chunked\r\n",
            "0\r\n\r\n",
            &[400],
            "",
        ),
        (
            "TE with a vertical tab",
            "transfer-encoding:\x0bchunked\r\n",
            "0\r\n\r\n",
            &[400],
            "",
        ),
        (
            "TE with a bare CR",
            "transfer-encoding: chunked\r x: y\r\n",
            "0\r\n\r\n",
            &[400],
            "",
        ),
        (
            "TE folded",
            "transfer-encoding:\r\n chunked\r\n",
            "0\r\n\r\n",
            &[400],
            "",
        ),
        (
            "CL twice, differing",
            "content-length: 0\r\ncontent-length: 5\r\n",
            "",
            &[400],
            "",
        ),
        ("CL as a list", "content-length: 0, 0\r\n", "", &[400], ""),
        ("CL with a sign", "content-length: +0\r\n", "", &[400], ""),
        ("CL negative", "content-length: -1\r\n", "", &[400], ""),
        ("CL hexadecimal", "content-length: 0x0\r\n", "", &[400], ""),
        ("CL empty", "content-length:\r\n", "", &[400], ""),
        ("CL with a space", "content-length: 0 0\r\n", "", &[400], ""),
        (
            "CL too large",
            "content-length: 99999999999999999999\r\n",
            "",
            &[400],
            "",
        ),
        (
            "CL with a space before the colon",
            "content-length : 0\r\n",
            "",
            &[400],
            "",
        ),
        ("a NUL", "x: \0\r\n", "", &[400], ""),
        ("a field without a colon", "x\r\n", "", &[400], ""),
        ("a field that is folded", "x: y\r\n z\r\n", "", &[400], ""),
        (
            "a field that begins with a space",
            " x: y\r\n",
            "",
            &[400],
            "",
        ),
        ("an empty name", ": y\r\n", "", &[400], ""),
        // Allowed: the same twice (RFC 9110 section 8.6), and zeros in front.
        (
            "CL twice",
            "content-length: 0\r\ncontent-length: 0\r\n",
            "",
            &[200, 200],
            "[POST / a 0][GET /smuggled b 0]",
        ),
        (
            "CL with zeros",
            "content-length: 000\r\n",
            "",
            &[200, 200],
            "[POST / a 0][GET /smuggled b 0]",
        ),
    ] {
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n{body}{SMUGGLED}");
        let (got, service) = answers(server.addr, request.as_bytes()).await;
        assert_eq!((&got[..], &service[..]), (statuses, said), "{name}");
    }
    let request =
        format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1{long}\r\n\r\n{SMUGGLED}");
    assert_eq!(answers(server.addr, request.as_bytes()).await.0, [400]);
    let request = format!(
        "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"
    );
    assert_eq!(answers(server.addr, request.as_bytes()).await.0, [400]);
    server.shutdown().await;
}

#[tokio::test]
async fn chunks_are_what_they_say() {
    let server = start().await;
    let huge = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(100_000));
    let zeros = format!("{}5\r\nhello\r\n0\r\n\r\n", "0".repeat(100));
    for (name, body, status) in [
        ("plain", "5\r\nhello\r\n0\r\n\r\n", 200),
        ("an extension", "5;a=b\r\nhello\r\n0;c\r\n\r\n", 200),
        ("a huge extension", &huge, 400),
        ("trailers", "5\r\nhello\r\n0\r\nx: y\r\n\r\n", 200),
        ("no size", "\r\nhello\r\n0\r\n\r\n", 400),
        ("no digit", "g\r\nhello\r\n0\r\n\r\n", 400),
        ("a sign", "+5\r\nhello\r\n0\r\n\r\n", 400),
        ("a negative size", "-5\r\nhello\r\n0\r\n\r\n", 400),
        ("hexadecimal", "0x5\r\nhello\r\n0\r\n\r\n", 400),
        ("too large", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n", 400),
        ("many zeros", &zeros, 200),
        ("a bare LF after the size", "5\nhello\r\n0\r\n\r\n", 400),
        ("a bare LF in an extension", "5;a\nhello\r\n0\r\n\r\n", 400),
        ("longer than it says", "4\r\nhello\r\n0\r\n\r\n", 400),
    ] {
        let request =
            format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}");
        let bad = format!("{request}{SMUGGLED}");
        let (statuses, said) = answers(server.addr, bad.as_bytes()).await;
        if status == 200 {
            assert_eq!(said, "[POST / a 5][GET /smuggled b 0]", "{name}");
        } else {
            assert_eq!(statuses, [status], "{name}: {said}");
        }
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_request_line_is_one() {
    let server = start().await;
    for (name, line, statuses) in [
        ("plain", "GET / HTTP/1.1", &[200][..]),
        ("a version to come", "GET / HTTP/1.2", &[400]),
        ("another version", "GET / HTTP/2.0", &[400]),
        ("no version", "GET /", &[400]),
        ("another protocol", "GET / SIP/2.0", &[400]),
        ("two spaces", "GET  / HTTP/1.1", &[400]),
        ("a space in the target", "GET /a b HTTP/1.1", &[400]),
        ("a NUL in the target", "GET /\0 HTTP/1.1", &[400]),
        ("no method", " / HTTP/1.1", &[400]),
        ("a method that is no token", "G(ET / HTTP/1.1", &[400]),
        ("every resource", "OPTIONS * HTTP/1.1", &[200]),
    ] {
        let request = format!("{line}\r\nhost: a\r\nconnection: close\r\n\r\n");
        let (got, _) = answers(server.addr, request.as_bytes()).await;
        assert_eq!(got, statuses, "{name}");
    }
    // RFC 9112 section 2.2 lets a server take a bare LF for the end of a line; a bare CR it may not.
    let (got, _) = answers(
        server.addr,
        b"GET / HTTP/1.1\nhost: a\nconnection: close\n\n",
    )
    .await;
    assert_eq!(got, [200]);
    let (got, _) = answers(
        server.addr,
        b"GET / HTTP/1.1\rhost: a\rconnection: close\r\r",
    )
    .await;
    assert_eq!(got, [400]);
    server.shutdown().await;
}

#[tokio::test]
async fn a_request_is_for_one_host() {
    let server = start().await;
    for (name, target, hosts, status, said) in [
        ("plain", "/", "host: a\r\n", 200, "[GET / a 0]"),
        ("twice", "/", "host: a\r\nhost: b\r\n", 400, ""),
        ("twice the same", "/", "host: a\r\nhost: a\r\n", 400, ""),
        ("none", "/", "", 400, ""),
        ("a path", "/", "host: a/b\r\n", 400, ""),
        ("a user", "/", "host: x@a\r\n", 400, ""),
        (
            "with a space before the colon",
            "/",
            "host : a\r\n",
            400,
            "",
        ),
        ("absolute", "http://a/", "host: a\r\n", 200, "[GET / a 0]"),
        (
            "absolute, and another",
            "http://a/",
            "host: b\r\n",
            200,
            "[GET / a 0]",
        ),
        ("absolute, and none", "http://a/", "", 400, ""),
        (
            "absolute, with a user",
            "http://x@a/",
            "host: a\r\n",
            400,
            "",
        ),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
        let (statuses, service) = answers(server.addr, request.as_bytes()).await;
        assert_eq!(
            (&statuses[..], &service[..]),
            (&[status][..], said),
            "{name}"
        );
    }
    server.shutdown().await;
}

/// Facts of the reference: pipelined responses keep their order.
#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = start().await;
    let requests: String = (0..50)
        .map(|number| format!("GET /{number} HTTP/1.1\r\nhost: a\r\n\r\n"))
        .collect();
    let (_, said) = answers(server.addr, requests.as_bytes()).await;
    let expected: String = (0..50)
        .map(|number| format!("[GET /{number} a 0]"))
        .collect();
    assert_eq!(said, expected);
    server.shutdown().await;
}

#[tokio::test]
async fn an_upgrade_to_h2c_is_refused() {
    let server = start().await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings, close\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n";
    let (statuses, said) = answers(server.addr, request.as_bytes()).await;
    assert_eq!((&statuses[..], &said[..]), (&[200][..], "[GET / a 0]"));
    server.shutdown().await;
}
