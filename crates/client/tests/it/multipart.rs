//! Bodies of several parts.

use bartizan_client::{
    RequestBuilder, RequestExt, ResponseExt, Transport,
    multipart::{Multipart, Part},
};
use bartizan_core::{Body, BoxError, Replay};
use bartizan_testing::Loopback;
use futures_util::stream;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use proptest::prelude::*;

fn form() -> Multipart {
    Multipart::form().try_boundary("X").expect("a boundary")
}

fn pieces() -> impl futures_core::Stream<Item = Result<&'static str, BoxError>> + Send + 'static {
    stream::iter(["one", "two"].map(Ok))
}

fn sent(parts: Multipart) -> Request<Body> {
    let request = RequestBuilder::new((), Method::POST, "/").multipart(parts);
    request.build().expect("a request")
}

async fn text(request: Request<Body>) -> String {
    let body = request.into_body().collect().await.expect("a body");
    String::from_utf8(body.to_bytes().into()).expect("text")
}

#[tokio::test]
async fn parts_are_written_as_browsers_write_them() {
    let request = sent(
        form()
            .text("a", "1")
            .field(
                "b",
                Part::bytes("2")
                    .file_name("b.txt")
                    .content_type("text/plain"),
            )
            .field("c", Part::text("3").header("x-more", "4")),
    );
    assert_eq!(
        request.headers()["content-type"],
        "multipart/form-data; boundary=X"
    );
    assert_eq!(
        text(request).await,
        "--X\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\n1\r\n\
         --X\r\ncontent-type: text/plain\r\ncontent-disposition: form-data; name=\"b\"; filename=\"b.txt\"\r\n\r\n2\r\n\
         --X\r\nx-more: 4\r\ncontent-disposition: form-data; name=\"c\"\r\n\r\n3\r\n\
         --X--\r\n"
    );
    assert_eq!(text(sent(form())).await, "--X--\r\n");
}

#[tokio::test]
async fn names_cannot_break_out() {
    let evil = "a\"; filename=\"x\r\nx-evil: 1\r\n\r\n";
    let text = text(sent(
        form().field(evil, Part::text("1").file_name("ü\"\n.txt")),
    ))
    .await;
    assert!(text.contains("name=\"a%22; filename=%22x%0D%0Ax-evil: 1%0D%0A%0D%0A\"; filename=\"ü%22%0A.txt\"\r\n\r\n1\r\n"), "{text}");
    // Nor a header, which is a mistake.
    for part in [
        Part::text("1").content_type("text/plain\r\nx-evil: 1"),
        Part::text("1").header("x evil", "1"),
        Part::text("1").file_name("\0"),
    ] {
        let request = RequestBuilder::new((), Method::POST, "/").multipart(form().field("a", part));
        assert!(request.build().expect_err("a mistake").is_builder());
    }
}

#[test]
fn a_part_with_the_boundary_in_it_is_a_mistake() {
    let request = RequestBuilder::new((), Method::POST, "/").multipart(form().text("a", "--X--"));
    let error = request.build().expect_err("a mistake");
    assert_eq!(
        error.to_string(),
        "POST /: a part has the boundary `X` in it: leave it out, or choose another"
    );
    assert!(Multipart::form().try_boundary("a\"b").is_err());
}

#[tokio::test]
async fn whole_parts_can_be_sent_again_nested_ones_too() {
    let inner = Multipart::mixed()
        .part(Part::text("1"))
        .part(Part::bytes("2"));
    let request = sent(
        Multipart::form()
            .text("a", "0")
            .field("b", Part::nested(inner)),
    );
    let again = request.replay().expect("whole parts");
    assert_eq!(again.headers(), request.headers());
    let (first, second) = (text(request).await, text(again).await);
    assert_eq!(first, second);
    assert!(first.contains("content-type: multipart/mixed; boundary="));
}

#[tokio::test]
async fn the_length_is_exact_when_that_of_each_part_is() {
    for (part, is_exact) in [
        (Part::text("one"), true),
        (Part::stream_of(6, pieces()), true),
        (
            Part::nested(Multipart::related().part(Part::stream_of(6, pieces()))),
            true,
        ),
        (Part::stream(pieces()), false),
        (
            Part::nested(Multipart::mixed().part(Part::stream(pieces()))),
            false,
        ),
    ] {
        let request = sent(form().text("a", "1").field("b", part).text("c", "3"));
        let hint = http_body::Body::size_hint(request.body());
        assert_eq!(hint.exact().is_some(), is_exact);
        let text = text(request).await;
        assert!(
            hint.exact()
                .is_none_or(|length| length == text.len() as u64)
        );
        assert!(hint.lower() <= text.len() as u64);
        assert!(text.ends_with("\r\n\r\n3\r\n--X--\r\n"), "{text}");
    }
}

#[tokio::test]
async fn a_part_that_fails_fails_the_request() {
    let short = Part::stream_of(7, pieces());
    let error = sent(form().field("a", short))
        .into_body()
        .collect()
        .await
        .expect_err("short");
    assert!(error.to_string().contains("shorter"), "{error}");
    let broken = stream::iter([Ok("half"), Err(BoxError::from("the disk is gone"))]);
    let body = sent(form().field("a", Part::stream(broken)).text("b", "2")).into_body();
    let error = body.collect().await.expect_err("half");
    assert_eq!(error.to_string(), "the disk is gone");
}

#[tokio::test]
async fn parts_go_over_the_wire() {
    let server = Loopback::start(|request: Request<Body>| async {
        let length = request.headers().get("content-length").is_some();
        let response = Response::builder().header("x-length", length.to_string());
        response.body(request.into_body()).expect("a response")
    })
    .await;
    let client = Transport::new();
    for (part, is_known) in [
        (Part::text("onetwo"), "true"),
        (Part::stream_of(6, pieces()), "true"),
        (Part::stream(pieces()), "false"),
    ] {
        let response = client
            .post(server.uri("/"))
            .multipart(form().part(part))
            .send()
            .await;
        let response = response.expect("a response");
        assert_eq!(response.headers()["x-length"], is_known);
        let text = response.text().await.expect("the body");
        assert!(text.ends_with("\r\n\r\nonetwo\r\n--X--\r\n"), "{text}");
    }
}

/// Reads a form as a server does: by the boundary, then by the empty line.
fn fields(content_type: &str, body: &str) -> Vec<(String, String)> {
    let boundary = content_type.split_once("boundary=").expect("a boundary").1;
    let (between, end) = (
        format!("\r\n--{boundary}\r\n"),
        format!("\r\n--{boundary}--\r\n"),
    );
    let body = format!("\r\n{body}");
    let parts = body.strip_suffix(&end).expect("the end");
    let mut parts = parts.split(&between);
    assert_eq!(parts.next(), Some(""));
    let field = |part: &str| {
        let (head, value) = part.split_once("\r\n\r\n").expect("a head");
        let name = head.strip_prefix("content-disposition: form-data; name=\"");
        let name = name
            .and_then(|name| name.strip_suffix('"'))
            .expect("a name");
        assert!(!name.contains(['"', '\r', '\n']));
        let name = name
            .replace("%22", "\"")
            .replace("%0D", "\r")
            .replace("%0A", "\n");
        (name, value.to_owned())
    };
    parts.map(field).collect()
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        // Without percent signs, which cannot be told from escapes.
        sent in prop::collection::vec(("[a-zé\"\r\n=; -]{0,12}", "[a-zé\"\r\n=; -]{0,40}"), 1..6),
    ) {
        let form = sent.iter().fold(Multipart::form(), |form, (name, value)| form.text(name, value));
        let request = self::sent(form);
        let content_type = request.headers()["content-type"].to_str().expect("text").to_owned();
        let body = request.body().whole().expect("whole").to_vec();
        let body = String::from_utf8(body).expect("text");
        prop_assert_eq!(fields(&content_type, &body), sent);
    }
}

#[cfg(feature = "fs")]
#[tokio::test]
async fn files_are_parts() {
    let path = crate::temporary("files_are_parts").join("a\"b.txt");
    std::fs::write(&path, "hello").expect("a file");
    let request = sent(form().field("file", Part::file(&path).await));
    assert!(http_body::Body::size_hint(request.body()).exact().is_some());
    assert!(request.replay().is_none());
    assert_eq!(
        text(request).await,
        "--X\r\ncontent-type: application/octet-stream\r\n\
         content-disposition: form-data; name=\"file\"; filename=\"a%22b.txt\"\r\n\r\nhello\r\n--X--\r\n"
    );
    let missing = Part::file(path.with_file_name("missing")).await;
    let request =
        RequestBuilder::new((), Method::POST, "/").multipart(form().field("file", missing));
    let error = request.build().expect_err("a mistake");
    assert!(
        error.is_builder() && error.to_string().contains("cannot be read"),
        "{error}"
    );
}
