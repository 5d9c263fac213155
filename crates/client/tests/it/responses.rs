//! Reading responses, of bodies that are scripted.

use std::error::Error as _;

use bartizan_client::{BodyLimit, HeadersExt, ResponseExt};
use bartizan_core::Body;
use bartizan_testing::ControlledBody;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Response, StatusCode};

pub(crate) fn pieces(pieces: &[&'static str]) -> Response<ControlledBody> {
    let (body, handle) = ControlledBody::new();
    for piece in pieces {
        handle.data(*piece);
    }
    handle.trailers(HeaderMap::new());
    Response::new(body)
}

pub(crate) fn broken() -> Response<ControlledBody> {
    let (body, handle) = ControlledBody::new();
    handle.data("half");
    handle.fail("the wire is cut");
    Response::new(body)
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

#[tokio::test]
async fn trailers_come_with_the_body() {
    let with_trailers = || {
        let (body, handle) = ControlledBody::new();
        handle.data("hello");
        let trailers = [(
            http::HeaderName::from_static("x-sum"),
            http::HeaderValue::from_static("7"),
        )];
        handle.trailers(HeaderMap::from_iter(trailers));
        Response::new(body)
    };
    let (bytes, trailers) = with_trailers()
        .bytes_and_trailers()
        .await
        .expect("all of it");
    assert_eq!(
        (&bytes[..], &trailers["x-sum"]),
        (&b"hello"[..], &http::HeaderValue::from_static("7"))
    );
    let (_, none) = Response::new(Body::from("a"))
        .bytes_and_trailers()
        .await
        .expect("all of it");
    assert!(none.is_empty());

    let mut stream = with_trailers().stream();
    assert!(stream.next().await.is_some() && stream.trailers().is_none());
    assert!(stream.next().await.is_none());
    assert_eq!(stream.trailers().expect("trailers")["x-sum"], "7");
}

#[tokio::test]
async fn lines_are_the_same_however_they_arrive() {
    let text = "\u{feff}one\r\ntwo\n\n\rthree\r\r\n\u{20ac}";
    let expected = ["one", "two", "", "\rthree\r", "\u{20ac}"];
    for size in 1..=text.len() {
        let pieces: Vec<_> = text
            .as_bytes()
            .chunks(size)
            .map(|it| Ok::<_, std::io::Error>(it.to_vec()))
            .collect();
        let body = Body::from_stream(futures_util::stream::iter(pieces));
        let lines: Result<Vec<_>, _> = Response::new(body)
            .lines()
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .collect();
        assert_eq!(lines.expect("lines"), expected, "{size}");
    }
    assert_eq!(pieces(&[]).lines().count().await, 0);
    assert_eq!(pieces(&["\n"]).lines().count().await, 1);
}

#[tokio::test]
async fn a_line_is_bounded_and_text() {
    let lines = |pieces: &[&'static str]| self::pieces(pieces).body_limit(4).lines();
    let all: Vec<_> = lines(&["1234\n56", "78\n"]).collect().await;
    assert!(all.len() == 2 && all.iter().all(Result::is_ok));
    for sent in [&["12345\n"][..], &["123", "45"]] {
        let mut lines = lines(sent);
        assert!(
            lines
                .next()
                .await
                .expect("an error")
                .expect_err("too long")
                .is_too_large()
        );
        assert!(lines.next().await.is_none());
    }
    let mut lines = Response::new(Body::from(vec![b'a', b'\n', 0xff])).lines();
    assert_eq!(lines.next().await.expect("a line").expect("a line"), "a");
    assert!(
        lines
            .next()
            .await
            .expect("an error")
            .expect_err("no text")
            .is_decode()
    );
    assert!(lines.next().await.is_none());
    let mut lines = broken().lines();
    assert!(
        lines
            .next()
            .await
            .expect("an error")
            .expect_err("half")
            .is_body()
    );
    assert!(lines.next().await.is_none());
}

#[tokio::test]
async fn the_body_of_an_error_is_kept_within_bounds() {
    let answer = |body: Body| {
        Response::builder()
            .status(500)
            .header("x-id", "7")
            .body(body)
            .expect("a response")
    };
    let error = answer("broken here".into())
        .error_for_status_with_body()
        .await
        .expect_err("500");
    assert_eq!(error.body().expect("a body"), "broken here");
    assert_eq!(error.headers().expect("headers")["x-id"], "7");
    assert!(!format!("{error:?}").contains("broken here"));

    let long = "x".repeat(100_000);
    let error = answer(long.clone().into())
        .error_for_status_with_body()
        .await
        .expect_err("500");
    assert_eq!(error.body().expect("a body").len(), 64 * 1024);
    let error = answer(long.into())
        .body_limit(5)
        .error_for_status_with_body()
        .await
        .expect_err("500");
    assert_eq!(error.body().expect("a body"), "xxxxx");

    let mut response = broken();
    *response.status_mut() = StatusCode::NOT_FOUND;
    let error = response
        .error_for_status_with_body()
        .await
        .expect_err("404");
    assert_eq!(
        (error.is_status(), &error.body().expect("a body")[..]),
        (true, &b"half"[..])
    );

    let fine = Response::new(Body::from("a"))
        .error_for_status_with_body()
        .await
        .expect("200");
    assert_eq!(fine.text().await.expect("unread"), "a");
    let error = answer("a".into()).error_for_status().expect_err("500");
    assert!(error.body().is_none());
}

#[tokio::test]
async fn errors_know_what_the_layers_have_learnt() {
    let mut response = broken();
    response.extensions_mut().insert(3_u8);
    assert_eq!(
        response.bytes().await.expect_err("half").extensions().get(),
        Some(&3_u8)
    );

    let mut response = Response::builder()
        .status(500)
        .body(Body::empty())
        .expect("a response");
    response.extensions_mut().insert(3_u8);
    assert_eq!(
        response
            .error_for_status()
            .expect_err("500")
            .extensions()
            .get(),
        Some(&3_u8)
    );
}

#[test]
fn headers_are_read_as_their_rfcs_have_them() {
    use std::time::{Duration, SystemTime};

    let response = |name: &'static str, value: &str| {
        Response::builder()
            .header(name, value)
            .body(())
            .expect("a response")
    };
    for (value, etag) in [
        ("\"xyzzy\"", Some("\"xyzzy\"")),
        ("W/\"xyzzy\"", Some("W/\"xyzzy\"")),
        ("\"\"", Some("\"\"")),
        ("xyzzy", None),
        ("\"", None),
        ("w/\"a\"", None),
        ("\"a\"b\"", None),
    ] {
        assert_eq!(response("etag", value).etag(), etag, "{value}");
    }
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    // The three forms of RFC 9110 section 5.6.7.
    for value in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ] {
        assert_eq!(response("last-modified", value).last_modified(), Some(date));
        assert_eq!(response("expires", value).expires(), Some(date));
        assert_eq!(response("date", value).date(), Some(date));
        assert_eq!(
            response("retry-after", value).retry_after(date - Duration::from_secs(7)),
            Some(Duration::from_secs(7))
        );
        assert_eq!(
            response("retry-after", value).retry_after(date + Duration::from_secs(7)),
            Some(Duration::ZERO)
        );
    }
    assert_eq!(
        response("expires", "0").expires(),
        Some(SystemTime::UNIX_EPOCH)
    );
    assert_eq!(response("x", "0").expires(), None);
    assert_eq!(response("last-modified", "0").last_modified(), None);
    for (value, length) in [
        ("0", Some(0)),
        ("12", Some(12)),
        ("+1", None),
        ("-1", None),
        ("1, 1", None),
        ("", None),
        ("99999999999999999999", None),
    ] {
        assert_eq!(
            response("content-length", value).content_length(),
            length,
            "{value}"
        );
    }
    for (value, seconds) in [("120", Some(120)), ("+1", None), ("soon", None), ("", None)] {
        assert_eq!(
            response("retry-after", value).retry_after(date),
            seconds.map(Duration::from_secs),
            "{value}"
        );
    }
    let html = response("content-type", "Text/HTML ;charset=a");
    assert_eq!(
        (
            html.content_type(),
            html.media_type(),
            html.charset().as_deref()
        ),
        (Some("Text/HTML ;charset=a"), Some("Text/HTML"), Some("a"))
    );
    assert_eq!(response("content-type", "").media_type(), None);
    assert_eq!(response("location", "/a?b").location(), Some("/a?b"));

    let mut many = response("vary", "a, ,b");
    many.headers_mut()
        .append("vary", http::HeaderValue::from_static("*"));
    assert_eq!(many.vary(), ["a", "b", "*"]);
    many.headers_mut()
        .append("set-cookie", http::HeaderValue::from_static("a=1"));
    many.headers_mut()
        .append("set-cookie", http::HeaderValue::from_static("b=2"));
    assert_eq!(many.set_cookies().collect::<Vec<_>>(), ["a=1", "b=2"]);
    assert_eq!(many.headers().set_cookies().count(), 2);
}
