//! Uploads.

use std::{convert::Infallible, task::Poll};

use bartizan_core::Body;
use bartizan_listener::extract::{
    ExtractError, FromBody,
    multipart::{Multipart, MultipartLimits},
};
use futures_util::{future::poll_immediate, stream};
use http::Request;

use super::{pieces, read};

const TYPE: &str = "multipart/form-data; boundary=\"b\"";

fn part(parameters: &str, data: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; {parameters}\r\n\r\n{data}\r\n")
}

async fn open(body: impl Into<Body>) -> Multipart {
    read(TYPE, body).await.expect("multipart")
}

async fn limited(
    limits: MultipartLimits,
    body: impl Into<Body>,
) -> Result<Multipart, ExtractError> {
    let mut request = Request::post("/")
        .header("content-type", TYPE)
        .body(body.into())
        .expect("a request");
    request.extensions_mut().insert(limits);
    let (head, body) = request.into_parts();
    Multipart::from_body(&head, body).await
}

/// Reads all there is.
async fn drain(mut upload: Multipart) -> Result<usize, ExtractError> {
    let mut parts = 0;
    while upload.next_part().await?.is_some() {
        parts += 1;
    }
    Ok(parts)
}

#[tokio::test]
async fn parts_are_read_as_what_they_are() {
    let body = part("name=a", "grüß")
        + "--b\r\nContent-Disposition: form-data; name=b; filename=f\r\n\
           Content-Type: text/plain; charset=latin1\r\nX-More: 1\r\n\r\n"
        + "ab\r\n"
        + &part("name=c", "skipped")
        + &part("name=d", "{\"x\": [1, \"y\"]}")
        + &part("name=e", "")
        + "--b--";
    let mut upload = open(body).await;
    let part = upload.next_part().await.expect("no error").expect("a part");
    assert_eq!(
        (part.name(), part.file_name(), part.content_type()),
        ("a", None, None)
    );
    assert_eq!(part.text().await.expect("UTF-8"), "grüß");
    let part = upload.next_part().await.expect("no error").expect("b");
    assert_eq!(part.file_name(), Some("f"));
    assert_eq!(part.headers()["x-more"], "1");
    assert_eq!(part.text().await.expect("latin1"), "ab");
    // Not read: the next one is the next nonetheless.
    let part = upload.next_part().await.expect("no error").expect("c");
    assert_eq!(part.name(), "c");
    let part = upload.next_part().await.expect("no error").expect("d");
    let error = part
        .json::<std::collections::HashMap<String, Vec<u8>>>()
        .await
        .expect_err("no number");
    assert_eq!(error.fields()[0].pointer(), Some("#/x/1"));
    // A mistake in a part is not one of the body.
    let mut part = upload.next_part().await.expect("no error").expect("e");
    for _ in 0..2 {
        assert_eq!(part.chunk().await.expect("no error"), None);
    }
    for _ in 0..2 {
        assert!(upload.next_part().await.expect("no error").is_none());
    }
}

#[tokio::test]
async fn an_upload_may_be_larger_than_memory_allows_for_a_part() {
    let megabyte = "x".repeat(1 << 20);
    let body = part("name=a", "").trim_end().to_owned() + "\r\n\r\n";
    let chunks = std::iter::once(body)
        .chain(std::iter::repeat_n(megabyte, 12))
        .chain(["\r\n--b--".to_owned()])
        .map(Ok::<_, Infallible>);
    let chunks: Vec<_> = chunks.collect();
    let stream = || Body::from_stream(stream::iter(chunks.clone()));

    let mut upload = open(stream()).await;
    let mut part = upload.next_part().await.expect("no error").expect("a part");
    let mut length = 0;
    while let Some(data) = part.chunk().await.expect("no error") {
        length += data.len();
    }
    assert_eq!(length, 12 << 20);
    assert!(upload.next_part().await.expect("no error").is_none());

    let mut upload = open(stream()).await;
    let part = upload.next_part().await.expect("no error").expect("a part");
    let error = part.bytes().await.expect_err("12 MiB at once");
    assert!(error.is_too_large());
    assert_eq!(error.fields()[0].pointer(), Some("#/a"));
}

#[tokio::test]
async fn everything_is_limited() {
    let limits = MultipartLimits::default();
    let body = part("name=a", "12345") + &part("name=b", "67890") + "--b--";
    for (limits, allowed) in [
        (limits, true),
        (limits.parts(2), true),
        (limits.parts(1), false),
        (limits.part(5), true),
        (limits.part(4), false),
        (limits.head(50), true),
        (limits.head(20), false),
        (limits.total(body.len() as u64), true),
        (limits.total(body.len() as u64 - 1), false),
    ] {
        let streamed = Body::from_stream(stream::iter([Ok::<_, Infallible>(body.clone())]));
        for body in [Body::from(body.clone()), streamed] {
            let read = match limited(limits, body).await {
                Ok(upload) => drain(upload).await,
                Err(error) => Err(error),
            };
            match read {
                Ok(parts) => assert!(allowed && parts == 2, "{limits:?}"),
                Err(error) => assert!(!allowed && error.is_too_large(), "{limits:?}: {error}"),
            }
        }
    }
}

#[tokio::test]
async fn an_error_stays() {
    let mut upload = open(part("name=a", "1") + "--b").await;
    assert!(upload.next_part().await.expect("no error").is_some());
    for _ in 0..2 {
        let error = upload.next_part().await.expect_err("it ends too early");
        assert!(error.is_malformed());
    }
    let start = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1";
    let mut upload = open(pieces([Ok(start), Err("gone".into())])).await;
    let mut part = upload.next_part().await.expect("no error").expect("a part");
    assert!(part.chunk().await.expect("no error").is_some());
    for _ in 0..2 {
        assert!(part.chunk().await.expect_err("gone").is_broken_off());
    }
}

#[tokio::test]
async fn a_dropped_read_loses_nothing() {
    let whole = part("name=a", "12345") + "--b--";
    // A byte each, and a wait before each of them.
    let mut bytes = whole.into_bytes().into_iter();
    let mut is_ready = false;
    let slow = stream::poll_fn(move |cx| {
        is_ready = !is_ready;
        if is_ready {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(bytes.next().map(|byte| Ok::<_, Infallible>(vec![byte])))
    });
    let mut upload = open(Body::from_stream(slow)).await;
    let mut dropped = 0;
    let mut data = Vec::new();
    loop {
        let Some(part) = poll_immediate(upload.next_part()).await else {
            dropped += 1;
            continue;
        };
        let Some(mut part) = part.expect("no error") else {
            break;
        };
        loop {
            match poll_immediate(part.chunk()).await {
                None => dropped += 1,
                Some(Ok(Some(chunk))) => data.extend_from_slice(&chunk),
                Some(end) => {
                    assert_eq!(end.expect("no error"), None);
                    break;
                }
            }
        }
    }
    assert_eq!(data, b"12345");
    assert!(dropped > 50, "{dropped}");
}

#[tokio::test]
async fn a_boundary_is_needed_and_one_that_is_one() {
    for content_type in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=\"a \"",
        "multipart/form-data; boundary=\"a\\\"b\"",
        "multipart/form-data; boundary=a; boundary=b",
        &format!("multipart/form-data; boundary={}", "x".repeat(71)),
    ] {
        let error = read::<Multipart>(content_type, "")
            .await
            .expect_err(content_type);
        assert!(error.is_malformed(), "{content_type}");
    }
    let error = read::<Multipart>("multipart/mixed; boundary=b", "").await;
    assert!(error.expect_err("not a form").is_unsupported());
}
