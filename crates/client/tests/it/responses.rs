//! Reading responses, of bodies that are scripted.

use std::error::Error as _;

use bartizan_client::{BodyLimit, ResponseExt};
use bartizan_core::Body;
use bartizan_testing::ControlledBody;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Response, StatusCode, header};

fn pieces(pieces: &[&'static str]) -> Response<ControlledBody> {
    let (body, handle) = ControlledBody::new();
    for piece in pieces {
        handle.data(*piece);
    }
    handle.trailers(HeaderMap::new());
    Response::new(body)
}

fn broken() -> Response<ControlledBody> {
    let (body, handle) = ControlledBody::new();
    handle.data("half");
    handle.fail("the wire is cut");
    Response::new(body)
}

fn text_of(content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    Response::builder()
        .header(header::CONTENT_TYPE, content_type)
        .body(body.into())
        .expect("a response")
}

#[tokio::test]
async fn pieces_become_one() {
    for (sent, whole) in [
        (&[][..], ""),
        (&["one"], "one"),
        (&["", "one"], "one"),
        (&["one", "", "two"], "onetwo"),
        (&["one", "two", "three"], "onetwothree"),
    ] {
        assert_eq!(pieces(sent).bytes().await.expect("all of it"), whole);
    }
}

#[tokio::test]
async fn one_piece_is_not_copied() {
    let bytes = Bytes::from(vec![7; 100]);
    let read = Response::new(Body::from(bytes.clone())).bytes().await;
    assert_eq!(read.expect("all of it").as_ptr(), bytes.as_ptr());
}

#[tokio::test]
async fn the_limit_counts_every_piece() {
    let body = || pieces(&["12345", "67890"]);
    assert_eq!(
        body()
            .body_limit(10)
            .bytes()
            .await
            .expect("just fits")
            .len(),
        10
    );
    body().body_limit(10).discard().await.expect("just fits");
    for limit in [0, 4, 5, 9] {
        let error = body()
            .body_limit(limit)
            .bytes()
            .await
            .expect_err("too long");
        assert!(error.is_too_large());
        let error = body()
            .body_limit(limit)
            .discard()
            .await
            .expect_err("too long");
        assert!(error.is_too_large());
    }
}

#[tokio::test]
async fn a_layer_can_set_the_limit() {
    let mut response = pieces(&["12345"]);
    response.extensions_mut().insert(BodyLimit(4));
    assert!(response.text().await.expect_err("too long").is_too_large());
}

#[tokio::test]
async fn what_breaks_off_keeps_its_cause() {
    for error in [
        broken().bytes().await.expect_err("half"),
        broken().text().await.expect_err("half"),
        broken().discard().await.expect_err("half"),
    ] {
        assert!(error.is_body() && !error.is_decode());
        assert_eq!(
            error.source().expect("the cause").to_string(),
            "the wire is cut"
        );
    }
}

#[tokio::test]
async fn a_stream_yields_the_data_and_the_error() {
    let data: Vec<_> = pieces(&["one", "two"])
        .body_limit(1)
        .stream()
        .collect()
        .await;
    let data: Result<Vec<Bytes>, _> = data.into_iter().collect();
    assert_eq!(data.expect("no error"), ["one", "two"]);

    let mut stream = broken().stream();
    assert_eq!(stream.next().await.expect("data").expect("data"), "half");
    let error = stream
        .next()
        .await
        .expect("an error")
        .expect_err("an error");
    assert!(error.is_body());
}

#[tokio::test]
async fn text_is_utf8_or_an_error() {
    for (content_type, body, text) in [
        ("text/plain", "é", "é"),
        ("text/plain; charset=UTF-8", "\u{feff}é", "é"),
        ("text/plain; charset=us-ascii", "e", "e"),
        ("text/plain", "\u{feff}", ""),
    ] {
        let read = text_of(content_type, body).text().await;
        assert_eq!(read.expect("text"), text);
    }

    let error = text_of("text/plain", vec![b'a', 0xff])
        .text()
        .await
        .expect_err("no UTF-8");
    assert!(error.is_decode() && error.source().is_some());

    let error = text_of("text/plain; charset=latin1", "a")
        .text()
        .await
        .expect_err("latin1");
    assert!(error.is_decode());
    assert!(error.to_string().contains("`latin1`"), "{error}");
}

#[cfg(feature = "json")]
#[tokio::test]
async fn json_is_read_or_an_error() {
    let read: Vec<u8> = pieces(&["\u{feff}[1,", "2]"])
        .json()
        .await
        .expect("numbers");
    assert_eq!(read, [1, 2]);

    let read = pieces(&["[1, true]"]).json::<Vec<u8>>().await;
    let error = read.expect_err("not a number");
    assert!(
        error.is_decode()
            && error
                .source()
                .expect("the cause")
                .to_string()
                .contains("line 1")
    );
}

#[test]
fn a_status_is_an_error_when_asked() {
    for (status, is_error) in [
        (200, false),
        (304, false),
        (399, false),
        (400, true),
        (599, true),
    ] {
        let response = Response::builder().status(status).header("x-id", "7");
        let result = response
            .body(Body::empty())
            .expect("a response")
            .error_for_status();
        assert_eq!(result.is_err(), is_error, "{status}");
        let Err(error) = result else { continue };
        assert!(error.is_status() && !error.is_unsent());
        assert_eq!(error.status().map(|status| status.as_u16()), Some(status));
        assert_eq!(error.headers().expect("headers")["x-id"], "7");
    }
    let ok = Response::new(Body::empty()).error_for_status();
    assert_eq!(ok.expect("no error").status(), StatusCode::OK);
}
