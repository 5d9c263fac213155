//! Bodies of requests.

use bartizan_client::{Protocol, RequestExt, ResponseExt, Transport};
use bartizan_core::{Body, BoxError, Replay};
use bartizan_testing::Loopback;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body_util::BodyExt;

use crate::requests::{mistake, request};

#[test]
fn bodies_bring_their_type_unless_it_is_set() {
    let text = request().text("hello").build().expect("a request");
    assert_eq!(
        text.headers()[header::CONTENT_TYPE],
        "text/plain; charset=utf-8"
    );
    assert_eq!(text.body().whole().expect("whole"), "hello");

    let typed = request()
        .header("content-type", "text/csv")
        .text("a,b")
        .build();
    assert_eq!(
        typed.expect("a request").headers()[header::CONTENT_TYPE],
        "text/csv"
    );

    let bare = request().body("bytes").build().expect("a request");
    assert!(bare.headers().is_empty());
}

#[cfg(feature = "json")]
#[test]
fn json_is_written_or_refused() {
    let request_of_json = request().json(&[1, 2]).build().expect("a request");
    assert_eq!(
        request_of_json.headers()[header::CONTENT_TYPE],
        "application/json"
    );
    assert_eq!(request_of_json.body().whole().expect("whole"), "[1,2]");

    let problem = request().header("content-type", "application/problem+json");
    let problem = problem.json("x").build().expect("a request");
    assert_eq!(
        problem.headers()[header::CONTENT_TYPE],
        "application/problem+json"
    );

    let keys = std::collections::HashMap::from([((1, 2), 3)]);
    let error = mistake(request().json(&keys));
    assert_eq!(
        error.to_string(),
        "GET http://h/a: the body cannot be written as JSON"
    );
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn forms_are_pairs() {
    let form = request()
        .form([("k", "& +é%"), ("k", "")])
        .build()
        .expect("a request");
    assert_eq!(form.body().whole().expect("whole"), "k=%26+%2B%C3%A9%25&k=");
    assert_eq!(
        form.headers()[header::CONTENT_TYPE],
        "application/x-www-form-urlencoded"
    );
}

#[cfg(feature = "xml")]
#[test]
fn xml_is_written_or_refused_by_the_path() {
    #[derive(serde::Serialize)]
    struct Order {
        #[serde(rename = "@id")]
        id: u32,
        item: Vec<&'static str>,
    }
    let order = Order {
        id: 7,
        item: vec!["a < b", "c"],
    };
    let sent = request().xml(&order).build().expect("a request");
    assert_eq!(
        sent.body().whole().expect("whole"),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Order id=\"7\"><item>a &lt; b</item><item>c</item></Order>"
    );
    assert_eq!(sent.headers()[header::CONTENT_TYPE], "application/xml");

    #[derive(serde::Serialize)]
    struct Outer {
        inner: Inner,
    }
    #[derive(serde::Serialize)]
    struct Inner {
        rows: std::collections::BTreeMap<&'static str, u8>,
    }
    let outer = Outer {
        inner: Inner {
            rows: [("no name", 1)].into(),
        },
    };
    let error = mistake(request().xml(&outer));
    assert!(
        error
            .to_string()
            .starts_with("GET http://h/a: the body cannot be written as XML, at `inner"),
        "{error}"
    );
}

#[cfg(feature = "charset")]
#[test]
fn text_goes_out_in_the_charset_that_is_asked_for() {
    for (charset, bytes, name) in [
        ("utf-8", "é€".as_bytes(), "utf-8"),
        ("windows-1252", &[0xe9, 0x80], "windows-1252"),
        ("ISO-8859-15", &[0xe9, 0xa4], "iso-8859-15"),
    ] {
        let sent = request()
            .text_with_charset("é€", charset)
            .build()
            .expect("a request");
        assert_eq!(sent.body().whole().expect("whole"), bytes);
        assert_eq!(
            sent.headers()[header::CONTENT_TYPE],
            format!("text/plain; charset={name}")
        );
    }
    for (charset, reason) in [
        ("nonsense", "no charset has this name"),
        ("utf-16le", "for reading only"),
        ("koi8-r", "no bytes for some character"),
    ] {
        let error = mistake(request().text_with_charset("é€", charset));
        assert!(
            error.to_string().contains(charset) && error.to_string().contains(reason),
            "{error}"
        );
    }
}

pub(crate) fn trailers(name: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static("7"))])
}

#[tokio::test]
async fn trailers_reach_the_server() {
    let server = Loopback::start(|request: Request<Body>| async {
        let (head, body) = request.into_parts();
        let collected = body.collect().await.expect("a body");
        let mut response = Response::new(Body::empty());
        assert_eq!(head.headers["trailer"], "x-sum");
        let trailers = collected.trailers().cloned();
        response.headers_mut().extend(trailers.unwrap_or_default());
        *response.body_mut() = collected.to_bytes().into();
        response
    })
    .await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let client = Transport::builder()
            .protocol(protocol)
            .build()
            .expect("valid settings");
        for body in ["hello", ""] {
            // The order does not matter.
            let request = client
                .post(server.uri("/"))
                .trailers(trailers("x-sum"))
                .body(body);
            let response = request.send().await.expect("a response");
            assert_eq!(response.headers()["x-sum"], "7", "{protocol:?} {body:?}");
            assert_eq!(response.text().await.expect("the body"), body);
        }
    }
}

#[test]
fn what_frames_a_message_is_no_trailer() {
    for name in [
        "content-length",
        "transfer-encoding",
        "host",
        "authorization",
        "trailer",
        "set-cookie",
    ] {
        let error = mistake(request().trailers(trailers(name)));
        assert!(error.to_string().contains(name), "{error}");
    }
    let none = request()
        .trailers(HeaderMap::new())
        .body("a")
        .build()
        .expect("a request");
    assert!(none.body().whole().is_some() && none.headers().is_empty());
}

#[test]
fn a_body_with_trailers_says_no_length() {
    let sent = request()
        .header("content-length", "1")
        .body("a")
        .trailers(trailers("x-sum"))
        .build()
        .expect("a request");
    assert!(!sent.headers().contains_key("content-length"));
    let hint = http_body::Body::size_hint(sent.body());
    assert_eq!((hint.lower(), hint.upper()), (1, None));
    assert!(sent.replay().is_none());
}

#[tokio::test]
async fn streams_are_as_long_as_they_say() {
    let server = Loopback::start(|request: Request<Body>| async {
        let length = request.headers().get("content-length").cloned();
        let body = request
            .into_body()
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        let response = Response::builder().header("x-length", format!("{length:?}"));
        response.body(body.into()).expect("a response")
    })
    .await;
    let pieces = || stream::iter(["one", "two"].map(Ok::<_, BoxError>));
    let client = Transport::new();
    let response = client
        .post(server.uri("/"))
        .stream(pieces())
        .send()
        .await
        .expect("a response");
    assert_eq!(response.headers()["x-length"], "None");
    assert_eq!(response.text().await.expect("the body"), "onetwo");

    let response = client
        .post(server.uri("/"))
        .stream_of(6, pieces())
        .send()
        .await
        .expect("a response");
    assert_eq!(response.headers()["x-length"], "Some(\"6\")");
    assert_eq!(response.text().await.expect("the body"), "onetwo");

    for length in [0, 5, 7] {
        let sent = request()
            .stream_of(length, pieces())
            .build()
            .expect("a request");
        let error = sent.into_body().collect().await.expect_err("not as long");
        let message = if length > 6 {
            "shorter than the 7 bytes"
        } else {
            "longer than the"
        };
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[cfg(feature = "fs")]
#[tokio::test]
async fn files_are_sent_with_their_length() {
    let directory = crate::temporary("files_are_sent");
    let path = directory.join("data.bin");
    let data: Vec<u8> = (0..200_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    std::fs::write(&path, &data).expect("a file");
    let server = Loopback::start(|request: Request<Body>| async {
        let response = Response::builder().header("x-length", &request.headers()["content-length"]);
        response
            .header("x-type", &request.headers()["content-type"])
            .body(request.into_body())
            .expect("a response")
    })
    .await;
    let upload = Transport::new().put(server.uri("/")).file(&path).await;
    let response = upload.send().await.expect("a response");
    assert_eq!(response.headers()["x-length"], "200000");
    assert_eq!(response.headers()["x-type"], "application/octet-stream");
    assert_eq!(response.bytes().await.expect("the body"), data);

    // It has become shorter since.
    let sent = request().file(&path).await.build().expect("a request");
    std::fs::write(&path, "short").expect("a file");
    let error = sent.into_body().collect().await.expect_err("shorter");
    assert!(error.to_string().contains("shorter"), "{error}");

    std::fs::write(&path, "").expect("a file");
    let empty = request().file(&path).await.build().expect("a request");
    assert_eq!(empty.body().whole().expect("empty"), "");

    for missing in [directory.join("missing"), directory] {
        let error = mistake(request().file(&missing).await);
        assert!(error.to_string().contains("cannot be read"), "{error}");
    }
}
