//! Writing requests, over services that are no transport.

use std::{convert::Infallible, time::Duration};

use bartizan_client::{
    BodyLimit, CallOptions, CallTimeout, Error, RequestBuilder, RequestExt, ResponseExt, Timeouts,
    Transport, connect::ConnectOptions,
};
use bartizan_core::{Body, BoxError, Replay};
use bartizan_testing::Loopback;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version, header};
use http_body_util::BodyExt;
use tower::{Service, service_fn};

use crate::request_bodies::trailers;

/// Answers with the request.
fn mirror()
-> impl Service<Request<Body>, Response = Response<Request<Body>>, Error = Infallible, Future: Send>
+ Clone {
    service_fn(|request: Request<Body>| async { Ok(Response::new(request)) })
}

pub(crate) fn request() -> RequestBuilder<()> {
    RequestBuilder::new((), Method::GET, "http://h/a?secret")
}

pub(crate) fn mistake(builder: RequestBuilder<()>) -> Error {
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

#[test]
fn credentials_are_written_by_their_rfcs() {
    let value = |builder: RequestBuilder<()>| {
        builder.build().expect("a request").headers()[header::AUTHORIZATION].clone()
    };
    assert_eq!(
        value(request().bearer("mF_9.B5f-4.1JqM")),
        "Bearer mF_9.B5f-4.1JqM"
    );
    // RFC 7617 sections 2 and 2.1.
    assert_eq!(
        value(request().basic_auth("Aladdin", "open sesame")),
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    );
    assert_eq!(
        value(request().basic_auth("test", "123\u{a3}")),
        "Basic dGVzdDoxMjPCow=="
    );
    assert_eq!(value(request().basic_auth("me", "a:b")), "Basic bWU6YTpi");
    assert!(
        value(request().bearer("t")).is_sensitive()
            && value(request().basic_auth("me", "")).is_sensitive()
    );
    for builder in [
        request().bearer("secret\n"),
        request().basic_auth("se:cret", "secret"),
        request().basic_auth("me", "secret\r\n"),
    ] {
        mistake(builder);
    }
}

#[tokio::test]
async fn a_request_made_elsewhere_is_sent_as_it_is() {
    let made = Request::patch("/a?b")
        .header("x-a", "1")
        .extension(7_u8)
        .body(Body::from("c"))
        .expect("a request");
    let sent = mirror()
        .execute(made)
        .header("x-b", "2")
        .send()
        .await
        .expect("the request")
        .into_body();
    assert_eq!(
        (sent.method(), sent.uri().to_string()),
        (&Method::PATCH, "/a?b".to_owned())
    );
    assert_eq!(
        (&sent.headers()["x-a"], &sent.headers()["x-b"]),
        (
            &HeaderValue::from_static("1"),
            &HeaderValue::from_static("2")
        )
    );
    assert_eq!(sent.extensions().get(), Some(&7_u8));
    assert_eq!(sent.body().whole().expect("whole"), "c");
}

#[tokio::test]
async fn options_go_with_their_request() {
    let options = CallOptions::new()
        .with(Timeouts::new())
        .with(1_u8)
        .with(2_u8);
    assert_eq!(options.get(), Some(&2_u8));
    let timeouts = {
        let mut it = Timeouts::new();
        it.read = None;
        it
    };
    let connect = ConnectOptions::new().isolation("tenant");
    let sent = request()
        .extension(3_u16)
        .options(&options)
        .timeouts(timeouts.clone())
        .connect_options(connect.clone());
    let sent = sent
        .body_limit(5)
        .timeout(Duration::from_secs(1))
        .build()
        .expect("a request");
    let extensions = sent.extensions();
    assert_eq!(
        (extensions.get(), extensions.get()),
        (Some(&2_u8), Some(&3_u16))
    );
    assert_eq!(
        (extensions.get(), extensions.get()),
        (Some(&timeouts), Some(&connect))
    );
    assert_eq!(
        (extensions.get(), extensions.get()),
        (
            Some(&BodyLimit(5)),
            Some(&CallTimeout(Duration::from_secs(1)))
        )
    );
    // A request that is sent again has them too.
    let again = sent.replay().expect("an empty body");
    assert_eq!(again.extensions().get(), Some(&BodyLimit(5)));
}

#[tokio::test]
async fn a_gateway_forwards_what_is_end_to_end() {
    let origin = Loopback::start(|request: Request<Body>| async {
        let (head, body) = request.into_parts();
        let collected = body.collect().await.expect("a body");
        let seen = format!(
            "{} {} {:?} {:?} {:?}",
            head.method,
            head.uri,
            head.headers.get("x-hop"),
            head.headers["x-end"],
            collected.trailers().map(|it| &it["x-sum"]),
        );
        assert_eq!(head.headers.get("te"), None);
        assert_eq!(head.headers["via"], "1.0 fred, 1.1 gateway.example:80");
        assert_ne!(head.headers["host"], "gateway.example");
        Response::builder()
            .header("x-seen", seen)
            .header("connection", "x-hop-back")
            .header("x-hop-back", "1")
            .header("proxy-authentication-info", "1")
            .body(collected.to_bytes().into())
            .expect("a response")
    })
    .await;
    let base = origin.uri("/v2").to_string();
    let gateway = Loopback::start(move |request: Request<Body>| {
        let uri = format!("{base}{}", request.uri());
        async move {
            let response = Transport::new()
                .forward(uri, request)
                .via("gateway.example:80")
                .send()
                .await
                .expect("a response");
            response.end_to_end().map(Body::new)
        }
    })
    .await;
    let client = Transport::new();
    let request = client
        .put(gateway.uri("/a?b=1"))
        .header("host", "gateway.example")
        .header("connection", "x-hop, te")
        .header("x-hop", "1")
        .header("te", "trailers")
        .header("via", "1.0 fred")
        .header("x-end", "2")
        .text("hello")
        .trailers(trailers("x-sum"));
    let response = request.send().await.expect("a response");
    assert_eq!(
        response.headers()["x-seen"],
        "PUT /v2/a?b=1 None \"2\" Some(\"7\")"
    );
    for name in ["connection", "x-hop-back", "proxy-authentication-info"] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
    assert_eq!(response.text().await.expect("the body"), "hello");
}

#[test]
fn a_server_is_asked_first_where_it_is_wished() {
    let sent = request().expect_continue().build().expect("a request");
    assert_eq!(sent.headers()[header::EXPECT], "100-continue");
}

#[cfg(feature = "form")]
#[test]
fn pairs_come_from_structs_too() {
    #[derive(serde::Serialize)]
    struct Search {
        q: &'static str,
        page: Option<u32>,
        exact: bool,
    }
    let search = Search {
        q: "& +é",
        page: None,
        exact: true,
    };
    let query = RequestBuilder::new((), Method::GET, "/a?b=%20")
        .query_of(&search)
        .build();
    assert_eq!(
        query.expect("a request").uri(),
        "/a?b=%20&q=%26+%2B%C3%A9&exact=true"
    );
    let form = request().form_of(&search).build().expect("a request");
    assert_eq!(
        form.body().whole().expect("whole"),
        "q=%26+%2B%C3%A9&exact=true"
    );
    assert_eq!(
        form.headers()[header::CONTENT_TYPE],
        "application/x-www-form-urlencoded"
    );

    let nested = [("a", [1, 2])];
    assert_eq!(
        mistake(request().query_of(&nested)).to_string(),
        "GET http://h/a: the query cannot be written as pairs"
    );
    assert_eq!(
        mistake(request().form_of(&nested)).to_string(),
        "GET http://h/a: the body cannot be written as a form"
    );
}

#[test]
fn a_gateway_says_by_which_version_it_was_asked() {
    for (version, via) in [
        (Version::HTTP_09, "0.9 a-gateway"),
        (Version::HTTP_10, "1.0 a-gateway"),
        (Version::HTTP_11, "1.1 a-gateway"),
        (Version::HTTP_2, "2 a-gateway"),
        (Version::HTTP_3, "3 a-gateway"),
    ] {
        let received = Request::builder().version(version).body(Body::empty());
        let received = received.expect("a request");
        let sent = mirror().forward("http://h/", received).via("a-gateway");
        let sent = sent.build().expect("a request");
        assert_eq!(sent.headers()["via"], via);
        // What clients for one version refuse.
        assert_eq!(sent.version(), Version::HTTP_11);
    }
    for wrong in ["", "a b", "me@h", "h/a", "a,b", "h(x)"] {
        let error = mirror().get("/").via(wrong).build().expect_err("no name");
        assert!(error.is_builder() && error.to_string().contains(wrong));
    }
    for right in ["h:8080", "[::1]", "[::1]:80", "pseudonym"] {
        assert!(mirror().get("/").via(right).build().is_ok(), "{right}");
    }
}

#[tokio::test]
async fn a_request_that_may_go_no_further_is_not_forwarded() {
    let received = |hops: &str| {
        let request = Request::options("/").header("max-forwards", hops);
        request.body(Body::empty()).expect("a request")
    };
    let sent = mirror().forward("http://h/", received("3")).build();
    assert_eq!(sent.expect("a request").headers()["max-forwards"], "2");
    let error = mirror().forward("http://h/", received("0")).send().await;
    assert!(error.expect_err("no more hops").is_builder());
}
