//! Writing requests, over services that are no transport.

use std::convert::Infallible;

use bartizan_client::{Error, RequestBuilder, RequestExt};
use bartizan_core::{Body, BoxError};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version, header};
use tower::{Service, service_fn};

/// Answers with the request.
fn mirror()
-> impl Service<Request<Body>, Response = Response<Request<Body>>, Error = Infallible, Future: Send>
+ Clone {
    service_fn(|request: Request<Body>| async { Ok(Response::new(request)) })
}

fn request() -> RequestBuilder<()> {
    RequestBuilder::new((), Method::GET, "http://h/a?secret")
}

fn mistake(builder: RequestBuilder<()>) -> Error {
    let error = builder.build().expect_err("a mistake");
    assert!(error.is_builder() && error.is_unsent());
    assert!(!format!("{error} {error:?}").contains("secret"));
    error
}

#[tokio::test]
async fn every_verb_is_its_method() {
    let client = mirror();
    let uri = Uri::from_static("/a");
    let text = uri.to_string();
    for (builder, method) in [
        (client.get("/a"), Method::GET),
        (client.head(text.clone()), Method::HEAD),
        (client.post(&text), Method::POST),
        (client.put(&uri), Method::PUT),
        (client.patch(uri.clone()), Method::PATCH),
        (client.delete("/a"), Method::DELETE),
        (client.options("/a"), Method::OPTIONS),
        (client.request(Method::TRACE, "/a"), Method::TRACE),
    ] {
        let request = builder.send().await.expect("the request").into_body();
        assert_eq!((request.method(), request.uri()), (&method, &uri));
    }
}

#[test]
fn headers_replace_and_keep_their_own_values() {
    let mut more = HeaderMap::new();
    more.insert("x-a", HeaderValue::from_static("3"));
    more.append("x-a", HeaderValue::from_static("4"));
    more.insert("x-c", HeaderValue::from_static("5"));
    let request = request()
        .header("x-a", "1")
        .header("x-b", 2)
        .header("x-b", "two")
        .headers(more)
        .build()
        .expect("a request");
    let values = |name| request.headers().get_all(name).iter().collect::<Vec<_>>();
    assert_eq!(values("x-a"), ["3", "4"]);
    assert_eq!(values("x-b"), ["two"]);
    assert_eq!(values("x-c"), ["5"]);
}

#[test]
fn credentials_are_marked_and_not_printed() {
    let more = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static("secret"))]);
    let builder = request()
        .header(header::AUTHORIZATION, "secret")
        .headers(more);
    assert!(!format!("{builder:?}").contains("secret"));
    let request = builder.build().expect("a request");
    assert!(request.headers()[header::AUTHORIZATION].is_sensitive());
    assert!(request.headers()[header::COOKIE].is_sensitive());
}

#[test]
fn query_pairs_are_encoded_behind_what_there_is() {
    for (uri, expected) in [
        ("http://h/a", "http://h/a?k=%26+%2B%C3%A9%25&k="),
        ("http://h/a?", "http://h/a?k=%26+%2B%C3%A9%25&k="),
        ("http://h/a?b=%20", "http://h/a?b=%20&k=%26+%2B%C3%A9%25&k="),
        ("http://h", "http://h/?k=%26+%2B%C3%A9%25&k="),
        ("/a?b", "/a?b&k=%26+%2B%C3%A9%25&k="),
    ] {
        let builder = RequestBuilder::new((), Method::GET, uri);
        let request = builder.query([("k", "& +é%"), ("k", "")]).build();
        assert_eq!(request.expect("a request").uri(), expected);
    }
    let none: [(&str, &str); 0] = [];
    for uri in ["http://h/a", "http://h/a?", "/a?b", "*"] {
        let request = RequestBuilder::new((), Method::GET, uri)
            .query(none)
            .build();
        assert_eq!(request.expect("a request").uri(), uri);
    }
}

#[test]
fn options_and_version_are_set() {
    let request = request().extension(7_u8).version(Version::HTTP_2).build();
    let request = request.expect("a request");
    assert_eq!(request.extensions().get(), Some(&7_u8));
    assert_eq!(request.version(), Version::HTTP_2);
}

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
fn the_first_mistake_is_told() {
    for (builder, message) in [
        (
            RequestBuilder::new((), Method::GET, "http://me:secret@h o/a?secret"),
            "`http://h o/a` is not a URI",
        ),
        (
            request().header("a b", "c").header("d e", "f"),
            "GET http://h/a: `a b` is not the name of a header",
        ),
        (
            request().header("x-key", "secret\n"),
            "GET http://h/a: the value of header `x-key` is not one that HTTP allows",
        ),
        (
            request().query([("k", "v".repeat(70_000))]),
            "GET http://h/a: the URI cannot take this query",
        ),
        (
            RequestBuilder::new((), Method::GET, "h:80").query([("k", "v")]),
            "GET h:80: the URI cannot take this query",
        ),
    ] {
        let error = mistake(builder);
        assert_eq!(error.to_string(), message);
        assert!(std::error::Error::source(&error).is_some());
    }
}

#[tokio::test]
async fn a_mistake_never_reaches_the_service() {
    let untouched = service_fn(|_: Request<Body>| async {
        if true {
            panic!("it was called");
        }
        Ok::<_, BoxError>(Response::new(()))
    });
    let error = untouched.get("a b").send().await.expect_err("a mistake");
    assert!(error.is_builder());
}
