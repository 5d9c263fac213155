//! In services of tower.

use std::{convert::Infallible, future::pending};

use bartizan_core::Body;
use bartizan_listener::extract::{
    BodyLimit, ExtractError, Form, FromBody, FromHead, Garde, Headers, Json, Query, Raw, Respond,
    Text, Typed, Valid, Validate, Violations, Xml,
};
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::Full;
use serde::{Deserialize, Serialize};
use tower::service_fn;

use super::{pieces, read};
use crate::support::{Server, bind, get, h1, h2, text};

async fn shout(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let shouted = Text::from_body(&head, body).await;
    let shouted = shouted.map(|Text(text)| Typed::<201, _>::new(Text(text.to_uppercase())));
    Ok(shouted.respond())
}

#[tokio::test]
async fn text_is_read_and_answered_over_both_versions() {
    let server = Server::start(bind().await, service_fn(shout));
    let post = |content_type: &'static str, body: &'static [u8]| {
        let mut request = get("/").map(|_| Full::new(Bytes::from_static(body)));
        *request.method_mut() = Method::POST;
        let content_type = header::HeaderValue::from_static(content_type);
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type);
        request
    };
    for (content_type, body, status, expected) in [
        ("text/plain", "grüß".as_bytes(), 201, "GRÜSS"),
        ("text/plain; charset=iso-8859-1", b"gr\xfc", 201, "GRÜ"),
        ("text/plain; charset=klingon", b"a", 415, "no charset"),
        ("text/plain", b"\xff", 400, "not UTF-8"),
        ("application/json", b"a", 415, "text/*"),
        ("text/plain; charset=a; charset=b", b"a", 400, "twice"),
        ("text", b"a", 400, "malformed"),
    ] {
        let mut one = h1(server.addr).await;
        let mut two = h2(server.addr).await;
        let responses = [
            one.send_request(post(content_type, body)).await,
            two.send_request(post(content_type, body)).await,
        ];
        for response in responses {
            let response = response.expect("a response");
            assert_eq!(response.status(), status, "{content_type}");
            let answer = text(response).await;
            assert!(answer.contains(expected), "{content_type}: {answer}");
        }
    }
    server.shutdown().await;
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Login {
    user: String,
    pin: u16,
}

#[tokio::test]
async fn every_format_says_the_same() {
    let login = Login {
        user: "ann".to_owned(),
        pin: 1234,
    };
    let Json(json) = read::<Json<Login>>("application/vnd.x+json", r#"{"user":"ann","pin":1234}"#)
        .await
        .expect("JSON");
    let Xml(xml) = read::<Xml<Login>>("text/xml", "<x><user>ann</user><pin>1234</pin></x>")
        .await
        .expect("XML");
    let Form(form) = read::<Form<Login>>("application/x-www-form-urlencoded", "pin=1234&user=ann")
        .await
        .expect("a form");
    assert_eq!([&json, &xml, &form], [&login; 3]);

    let Json(again) = {
        let response = Json(&login).respond();
        let body = response.into_body();
        read::<Json<Login>>("application/json; charset=UTF-8", body)
            .await
            .expect("what was written")
    };
    assert_eq!(again, login);
    let Xml(again) = read::<Xml<Login>>("application/xml", Xml(&login).respond().into_body())
        .await
        .expect("what was written");
    assert_eq!(again, login);
}

#[tokio::test]
async fn no_refusal_repeats_a_value() {
    let form = "application/x-www-form-urlencoded";
    let (head, ()) = Request::get("/?user=ann&pin=hunter2")
        .header("user", "ann")
        .header("pin", "hunter2")
        .body(())
        .expect("a request")
        .into_parts();
    let errors: [ExtractError; 6] = [
        read::<Json<Login>>("application/json", r#"{"user":"ann","pin":"hunter2"}"#)
            .await
            .expect_err("no number"),
        read::<Json<Login>>("application/json", r#"{"user":"ann","pin":hunter2}"#)
            .await
            .expect_err("no JSON"),
        read::<Xml<Login>>("text/xml", "<x><user>ann</user><pin>hunter2</pin></x>")
            .await
            .expect_err("no number"),
        read::<Form<Login>>(form, "user=ann&pin=hunter2")
            .await
            .expect_err("no number"),
        Query::<Login>::from_head(&head).expect_err("no number"),
        Headers::<Login>::from_head(&head).expect_err("no number"),
    ];
    for error in errors {
        let said = format!("{error} {error:?}");
        let response = Response::<Body>::from(error.clone());
        let body = response.body().whole().expect("a whole body");
        let answer = String::from_utf8_lossy(body);
        let at_fault = if error.is_invalid() { "pin" } else { "line 1" };
        assert!(answer.contains(at_fault), "{answer}");
        for place in [&said[..], &answer] {
            assert!(!place.contains("hunter2"), "{place}");
        }
        serde_json::from_str::<serde_json::Value>(&answer).expect("JSON");
    }
}

#[tokio::test]
async fn what_is_missing_is_none() {
    type Maybe = Option<Json<u8>>;
    let (head, ()) = Request::post("/").body(()).expect("a request").into_parts();
    for body in [Body::empty(), pieces([]), pieces([Ok("")])] {
        let none = Maybe::from_body(&head, body).await;
        assert_eq!(none.expect("nothing is no error"), None);
    }
    let untyped = Maybe::from_body(&head, pieces([Ok("1")])).await;
    assert!(
        untyped
            .expect_err("something without a type")
            .is_unsupported()
    );
    let some = read::<Maybe>("application/json", pieces([Ok("1"), Ok("2")])).await;
    assert_eq!(some.expect("JSON"), Some(Json(12)));
    let broken = read::<Maybe>("application/json", pieces([Err("gone".into())])).await;
    assert!(broken.expect_err("no body").is_broken_off());
    // That of the value is serde's.
    let null = read::<Json<Option<u8>>>("application/json", "null").await;
    assert_eq!(null.expect("JSON"), Json(None));
}

#[tokio::test]
async fn the_limit_is_that_of_the_request() {
    let with_limit = |limit: Option<usize>, body: Body| async move {
        let mut request = Request::new(body);
        if let Some(limit) = limit {
            request.extensions_mut().insert(BodyLimit(limit));
        }
        let (head, body) = request.into_parts();
        Raw::from_body(&head, body)
            .await
            .map(|Raw(bytes)| bytes.len())
    };
    let by_default = 1 << 20;
    for (limit, length, is_allowed) in [
        (None, by_default, true),
        (None, by_default + 1, false),
        (Some(10), 10, true),
        (Some(10), 11, false),
        (Some(0), 0, true),
        (Some(usize::MAX), by_default + 1, true),
    ] {
        let whole = "x".repeat(length);
        let halves = [&whole[..length / 2], &whole[length / 2..]]
            .map(|it| Ok::<_, Infallible>(it.to_owned()));
        let streamed = Body::from_stream(futures_util::stream::iter(halves));
        for body in [Body::from(whole), streamed] {
            let read = with_limit(limit, body).await;
            match read {
                Ok(read) => assert!(is_allowed && read == length),
                Err(error) => assert!(!is_allowed && error.is_too_large(), "{error}"),
            }
        }
    }
    // A body that says so is refused before it is read: this one never comes.
    let body = Body::new(http_body_util::Limited::new(Body::from("12345"), 4));
    let error = with_limit(None, body).await.expect_err("of tower-http");
    assert!(error.is_too_large());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_comes_is_the_timeouts_matter() {
    let never = Body::from_stream(futures_util::stream::once(pending::<
        Result<String, Infallible>,
    >()));
    let reading = read::<Raw>("a/b", never);
    let waited = tokio::time::timeout(std::time::Duration::from_secs(30), reading).await;
    waited.expect_err("it waits");
}

#[derive(Debug, Deserialize, garde::Validate)]
struct Order {
    #[garde(dive, length(max = 2))]
    items: Vec<Item>,
}

#[derive(Debug, Deserialize, garde::Validate)]
struct Item {
    #[garde(range(min = 1, max = 9))]
    quantity: u8,
}

impl Validate for Order {
    fn validate(&self, violations: &mut Violations) {
        violations.check(!self.items.is_empty(), "/items", "must not be empty");
    }
}

#[tokio::test]
async fn rules_are_kept_or_all_violations_are_told() {
    let json = "application/json";
    let order = r#"{"items":[{"quantity":1}]}"#;
    let Valid(Json(one)) = read::<Valid<Json<Order>>>(json, order)
        .await
        .expect("valid");
    assert_eq!(one.items.len(), 1);
    let empty = read::<Valid<Json<Order>>>(json, r#"{"items":[]}"#).await;
    let error = empty.expect_err("against a rule");
    assert_eq!(error.status(), 422);
    assert_eq!(error.fields()[0].pointer(), Some("#/items"));

    let Garde(Json(_)) = read::<Garde<Json<Order>>>(json, order)
        .await
        .expect("valid");
    let many = r#"{"items":[{"quantity":1},{"quantity":0},{"quantity":10}]}"#;
    let error = read::<Garde<Json<Order>>>(json, many)
        .await
        .expect_err("invalid");
    let mut pointers: Vec<_> = error.fields().iter().map(|it| it.pointer()).collect();
    pointers.sort_unstable();
    let expected = ["#/items", "#/items/1/quantity", "#/items/2/quantity"];
    assert_eq!(pointers, expected.map(Some));
    // What is no order is that before it is an invalid one.
    let error = read::<Garde<Json<Order>>>(json, "[]")
        .await
        .expect_err("no order");
    assert_eq!(error.fields().len(), 1);
}

#[test]
fn what_cannot_be_written_is_an_error_of_ours() {
    let keyed = std::collections::HashMap::from([((1, 2), "secret")]);
    let response = Json(&keyed).respond();
    assert_eq!(response.status(), 500);
    let body = response.body().whole().expect("a whole body");
    assert!(!String::from_utf8_lossy(body).contains("secret"));
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "application/problem+json"
    );
}
