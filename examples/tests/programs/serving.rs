//! Serving. A restart has a file of its own.

use crate::{assert_contains, printed};

#[test]
fn serving() {
    assert_contains(
        &printed("serving", &[]),
        &[
            "GET /: 200 OK, encoding none, id of 32 characters",
            "GET /: 304 Not Modified, encoding none, id of 32 characters",
            "GET /long: 200 OK, encoding gzip, id of 32 characters",
            "GET /stuck: 504 Gateway Timeout",
            "GET /broken: 500 Internal Server Error, encoding none, id of 32 characters",
            "OPTIONS /: 204 No Content, ",
            "6 requests, 0 connections refused",
            "0 requests were cut",
        ],
    );
}

#[test]
fn limits() {
    assert_contains(
        &printed("limits", &[]),
        &[
            "a good request: 200 OK",
            "a long target: 414 URI Too Long",
            "a long field: 431 Request Header Fields Too Large",
            "a long body: 413 Payload Too Large",
            "refused, two or more: true",
            "the others were closed for saying nothing",
            "a good request: 200 OK",
            "0 were cut",
        ],
    );
}

#[test]
fn load_balancer() {
    assert_contains(
        &printed("load_balancer", &[]),
        &[
            "HTTP proxy: client 203.0.113.9, 1 trusted hops, scheme https, connected from 127.0.0.1, field left: true",
            "TCP balancer: client 203.0.113.9, 0 trusted hops, scheme unknown, connected from 203.0.113.9, field left: false",
            "forged field: client 203.0.113.9, 0 trusted hops, scheme unknown, connected from 203.0.113.9, field left: false",
            "TCP balancer without its header: true",
        ],
    );
}

#[cfg(unix)]
#[test]
fn graceful_shutdown() {
    assert_contains(
        &printed("graceful_shutdown", &[]),
        &[
            "/readyz: 204 No Content",
            "/readyz: 503 Service Unavailable",
            "a late request: hello",
            "a request in flight: slow, and whole",
            "1 finished in the drain, 0 were cut",
            "/livez: 204 No Content",
        ],
    );
}

#[test]
fn interceptors() {
    assert_contains(
        &printed("interceptors", &[]),
        &[
            "key none: 401 Unauthorized, timed: true",
            "an X-Api-Key is needed",
            "key s3cret-of-ada: 200 OK, timed: true",
            "hello, Ada",
            "key made-up: 200 OK, timed: true",
            "hello, guest",
            "GET /broken, key s3cret-of-ada: 500 Internal Server Error, timed: true",
            "the response has no Content-Type",
        ],
    );
}

#[test]
fn negotiation() {
    assert_contains(
        &printed("negotiation", &[]),
        &[
            "Accept: */*: 200 OK, application/json, Vary: accept\n",
            "Accept: text/csv, application/json;q=0.5: 200 OK, text/csv, Vary: accept\n",
            "Accept: text/*: 200 OK, text/csv, Vary: accept\n",
            "Accept: image/png: 406 Not Acceptable, application/problem+json, Vary: accept\n",
            "Content-Type: application/json: 200 OK\n  2 of tea\n",
            "Content-Type: text/xml: 415 Unsupported Media Type",
        ],
    );
}

#[test]
fn receiving_uploads() {
    assert_contains(
        &printed("receiving_uploads", &[]),
        &[
            "a photo of 100000 bytes: 201 Created",
            r#"{"title":"Cellar","file":"cellar.jpg","bytes":100000}"#,
            "a photo of 250000 bytes: 413 Payload Too Large",
            r##""pointer":"#/photo""##,
            ": 200 OK\n  1 items\n",
            ": 422 Unprocessable Entity",
            r##"{"pointer":"#/items/0/name","detail":"must not be empty"}"##,
            r##"{"pointer":"#/items/1/count","detail":"must be 1 to 100"}"##,
            ": 422 Unprocessable Entity",
            r##"{"pointer":"#/items/0/count","detail":"expected u32"}"##,
            ": 400 Bad Request",
            "the body is not JSON",
        ],
    );
}

#[test]
fn serving_events() {
    assert_contains(
        &printed("serving_events", &[]),
        &[
            "first visit: tick 1\nfirst visit: tick 2\n",
            "second visit: tick 3\nsecond visit: tick 4\n",
            "third visit: tick 1\n",
            "it ended well: true",
            "0 were cut",
        ],
    );
}

#[test]
fn cors() {
    assert_contains(
        &printed("cors", &[]),
        &[
            "OPTIONS /orders from https://app.example.com: 204 No Content, allowed: https://app.example.com\n",
            "OPTIONS /orders from https://evil.example.com: 403 Forbidden, allowed: nobody\n",
            "GET /orders from https://app.example.com: 200 OK, allowed: https://app.example.com\n",
            "GET /orders from https://evil.example.com: 403 Forbidden, allowed: nobody\n",
            "GET /font from https://evil.example.com: 200 OK, allowed: *\n",
        ],
    );
}

#[test]
fn hosts() {
    assert_contains(
        &printed("hosts", &[]),
        &[
            "api.example.com/users/1: 200 OK, Cache-Control: none: Ada\n",
            "www.example.com/: 200 OK, Cache-Control: public, max-age=3600: <p>Served by tower-http",
            "WWW.example.com:80/missing.html: 404 Not Found, Cache-Control: none",
            "acme.example.com/: 200 OK, Cache-Control: none: the page of acme\n",
            "a.b.example.com/: 421 Misdirected Request",
            "elsewhere.net/users/1: 421 Misdirected Request",
        ],
    );
}
