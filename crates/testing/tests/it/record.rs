//! What is recorded is what is played, and no secret is in it.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use bartizan_core::{Body, BoxError, find};
use bartizan_testing::{
    Answer, ControlledBody, MockTransport, Probe, ProbeError, Route, Step, contract,
    record::{RecorderLayer, Replayer, Unrecorded},
};
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body_util::BodyExt;
use tower_layer::Layer;
use tower_service::Service;

use crate::panic_of;

/// A file of its own, gone with the test.
struct Tape(PathBuf);

impl Tape {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "bartizan-tape-{}-{}.jsonl",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        Self(std::env::temp_dir().join(name))
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.0).expect("a recording")
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

contract! {
    mod a_recorder {
        layer: |probe| {
            let tape = Tape::new();
            // Removed at once: what is written then is nobody's.
            RecorderLayer::create(&tape.0).expect("a file").layer(probe)
        },
        request: || Request::new(Body::from("hello")),
        response: || Response::new(Body::from("hello")),
    }
}

fn get(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::empty()).expect("a request")
}

async fn bytes<B>(response: Response<B>) -> Result<Vec<u8>, B::Error>
where
    B: http_body::Body,
{
    Ok(response.into_body().collect().await?.to_bytes().to_vec())
}

#[tokio::test]
async fn what_is_recorded_is_played() {
    let tape = Tape::new();
    let recorder = RecorderLayer::create(&tape.0).unwrap();
    let (transport, mock) = MockTransport::new();
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
    mock.on(Route::get("/twice"))
        .replies([Answer::new(200, "one"), Answer::new(500, "two")]);
    mock.on(Route::get("/binary")).reply(
        Answer::new(200, vec![0, 159, 146, 150])
            .header("x-a", "1")
            .header("x-a", "2")
            .version(Version::HTTP_2),
    );
    mock.on(Route::get("/trailers"))
        .reply(Answer::new(200, "body").trailers(trailers));
    mock.on(Route::post("/empty")).reply(Answer::status(204));
    let mut service = recorder.layer(transport);
    let mut live = Vec::new();
    let requests = || {
        [
            get("http://h/twice"),
            get("http://h/twice"),
            get("http://h/binary"),
            get("http://h/trailers"),
            Request::post("http://h/empty")
                .body(Body::from("posted"))
                .unwrap(),
        ]
    };
    for request in requests() {
        let response = service.call(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned();
        live.push((
            head.status,
            head.version,
            head.headers,
            body.to_bytes(),
            trailers,
        ));
    }
    assert_eq!(recorder.finish().unwrap(), 5);

    let mut replayer = Replayer::open(&tape.0).unwrap().match_body();
    assert_eq!(replayer.unused().len(), 5);
    for (request, live) in requests().into_iter().zip(live) {
        let response = replayer.call(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned();
        assert_eq!(
            (
                head.status,
                head.version,
                head.headers,
                body.to_bytes(),
                trailers
            ),
            live
        );
    }
    replayer.assert_all_used();
}

#[tokio::test]
async fn no_secret_is_in_a_recording_and_it_is_found_again_without() {
    let tape = Tape::new();
    let recorder = RecorderLayer::builder()
        .redact_header("x-api-key")
        .redact_field("Pin")
        .create(&tape.0)
        .unwrap();
    let (transport, mock) = MockTransport::new();
    mock.on(Route::any("*")).reply(
        Answer::new(200, r#"{"access_token":"s3cret","user":"ann"}"#)
            .header("content-type", "application/json")
            .header("content-length", "38")
            .header("set-cookie", "id=s3cret")
            .header("location", "/next?pin=s3cret"),
    );
    let request = || {
        let mut sensitive = HeaderValue::from_static("s3cret");
        sensitive.set_sensitive(true);
        Request::post("http://me:s3cret@h/login?pin=s3cret&page=1")
            .header("authorization", "Bearer s3cret")
            .header("proxy-authorization", "Basic s3cret")
            .header("cookie", "id=s3cret")
            .header("x-api-key", "s3cret")
            .header("x-own", sensitive)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from("user=ann&password=s3cret"))
            .unwrap()
    };
    let live = recorder.layer(transport).call(request()).await.unwrap();
    // Only the recording is without.
    assert!(
        live.headers()["set-cookie"]
            .to_str()
            .unwrap()
            .contains("s3cret")
    );
    assert!(
        String::from_utf8(bytes(live).await.unwrap())
            .unwrap()
            .contains("s3cret")
    );
    assert!(
        mock.requests()[0].headers()["authorization"]
            .to_str()
            .unwrap()
            .contains("s3cret")
    );
    assert_eq!(recorder.finish().unwrap(), 1);
    let text = tape.text();
    assert!(!text.contains("s3cret"), "{text}");
    assert_eq!(text.matches("REDACTED").count(), 10, "{text}");

    let mut replayer = Replayer::open(&tape.0).unwrap().match_body();
    let played = replayer.call(request()).await.unwrap();
    let length = played.headers()["content-length"]
        .to_str()
        .unwrap()
        .to_owned();
    let body = bytes(played).await.unwrap();
    assert_eq!(length, body.len().to_string());
    assert_eq!(body, br#"{"access_token":"REDACTED","user":"ann"}"#);
}

#[tokio::test]
async fn redaction_can_be_turned_off() {
    let tape = Tape::new();
    let recorder = RecorderLayer::builder()
        .without_redaction()
        .create(&tape.0)
        .unwrap();
    let (transport, mock) = MockTransport::new();
    mock.on(Route::any("*"))
        .reply(Answer::status(200).header("set-cookie", "id=1"));
    recorder
        .layer(transport)
        .call(get("/?password=x"))
        .await
        .unwrap();
    assert_eq!(recorder.finish().unwrap(), 1);
    let text = tape.text();
    assert!(
        text.contains("id=1") && text.contains("password=x"),
        "{text}"
    );
}

#[tokio::test]
async fn streams_stay_streams_and_the_exchange_is_written_at_their_end() {
    let tape = Tape::new();
    let recorder = RecorderLayer::create(&tape.0).unwrap();
    let (probe, handle) = Probe::new(|_: &Request<Body>| Response::new(Body::empty()));
    let (body, frames) = ControlledBody::new();
    handle.push(Step::respond(Response::new(Body::new(body))));
    let mut service = recorder.layer(probe);
    std::future::poll_fn(|cx| Service::<Request<Body>>::poll_ready(&mut service, cx))
        .await
        .unwrap();
    let mut body = service.call(get("/")).await.unwrap().into_body();
    // The probe keeps the request, and with it the copy of its body.
    drop(handle.take_requests());
    frames.data("hel");
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "hel"
    );
    frames.data("lo");
    frames.end();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "lo"
    );
    assert_eq!(recorder.finish().unwrap(), 0);
    drop(body);
    assert_eq!(recorder.finish().unwrap(), 1);
    let mut replayer = Replayer::open(&tape.0).unwrap();
    assert_eq!(
        bytes(replayer.call(get("/")).await.unwrap()).await.unwrap(),
        b"hello"
    );
}

#[tokio::test]
async fn what_was_not_read_or_broke_off_or_was_too_long_breaks_off_when_played() {
    let tape = Tape::new();
    let recorder = RecorderLayer::builder()
        .body_limit(4)
        .create(&tape.0)
        .unwrap();
    let (transport, mock) = MockTransport::new();
    mock.on(Route::get("/unread"))
        .reply(Answer::new(200, "four"));
    mock.on(Route::get("/broken"))
        .reply(Answer::new(200, "fo").break_off(ProbeError::default()));
    mock.on(Route::get("/long"))
        .reply(Answer::new(200, "fours"));
    mock.on(Route::get("/fits")).reply(Answer::new(200, "four"));
    let mut service = recorder.layer(transport);
    drop(service.call(get("/unread")).await.unwrap());
    assert!(
        bytes(service.call(get("/broken")).await.unwrap())
            .await
            .is_err()
    );
    assert_eq!(
        bytes(service.call(get("/long")).await.unwrap())
            .await
            .unwrap(),
        b"fours"
    );
    assert_eq!(
        bytes(service.call(get("/fits")).await.unwrap())
            .await
            .unwrap(),
        b"four"
    );
    assert_eq!(recorder.finish().unwrap(), 4);

    let mut replayer = Replayer::open(&tape.0).unwrap();
    for (path, expected) in [("/unread", ""), ("/broken", "fo"), ("/long", "four")] {
        let mut body = replayer.call(get(path)).await.unwrap().into_body();
        let mut received = Vec::new();
        let error = loop {
            match body.frame().await.unwrap() {
                Ok(frame) => received.extend_from_slice(frame.data_ref().unwrap()),
                Err(error) => break error,
            }
        };
        assert_eq!(received, expected.as_bytes(), "{path}");
        assert!(find::<ProbeError>(&*error).is_some());
    }
    assert_eq!(
        bytes(replayer.call(get("/fits")).await.unwrap())
            .await
            .unwrap(),
        b"four"
    );
}

#[tokio::test]
async fn a_call_that_fails_is_not_written() {
    let tape = Tape::new();
    let recorder = RecorderLayer::create(&tape.0).unwrap();
    let (transport, mock) = MockTransport::new();
    mock.on(Route::any("*"))
        .reply(Answer::fail(ProbeError::new("refused")));
    let error: BoxError = recorder.layer(transport).call(get("/")).await.unwrap_err();
    assert_eq!(error.to_string(), "refused");
    assert_eq!(recorder.finish().unwrap(), 0);
}

const TWO: &str = r#"{"recording":1}
{"request":{"method":"GET","uri":"http://h:1/a?b=c"},"response":{"status":200,"body":"one"}}

{"request":{"method":"POST","uri":"http://h:1/a?b=c","body":"x"},"response":{"status":200,"body":"two"}}
"#;

#[tokio::test]
async fn requests_are_matched_by_method_and_uri_and_if_asked_by_body() {
    let replayer = Replayer::parse(TWO).unwrap();
    let post = |body| {
        Request::post("http://h:1/a?b=c")
            .body(Body::from(body))
            .unwrap()
    };
    let error = replayer
        .clone()
        .match_body()
        .call(post("y"))
        .await
        .unwrap_err();
    assert_eq!(
        find::<Unrecorded>(&*error).unwrap().to_string(),
        "the recording has no answer for POST http://h:1/a?b=c: record it again\
         \n  GET http://h:1/a?b=c: another method\
         \n  POST http://h:1/a?b=c: another body"
    );
    let response = replayer.clone().call(post("y")).await.unwrap();
    assert_eq!(bytes(response).await.unwrap(), b"two");
    // Clones share what is used.
    let error = replayer
        .clone()
        .match_body()
        .call(post("x"))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("POST http://h:1/a?b=c: used already"),
        "{error}"
    );
    let message = panic_of(|| replayer.assert_all_used());
    assert!(message.ends_with("\n  GET http://h:1/a?b=c"), "{message}");
}

#[tokio::test]
async fn the_host_may_be_another_if_that_is_said() {
    let mut strict = Replayer::parse(TWO).unwrap();
    let elsewhere = "http://127.0.0.1:4711/a?b=c";
    let error = strict.call(get(elsewhere)).await.unwrap_err();
    assert!(error.to_string().contains("another URI"), "{error}");
    let mut lenient = Replayer::parse(TWO).unwrap().any_host();
    assert!(
        lenient
            .call(get("http://127.0.0.1:4711/a?b=d"))
            .await
            .is_err()
    );
    assert!(lenient.call(get("/a?b=c")).await.is_ok());
}

#[test]
fn what_is_no_recording_says_where() {
    for (recording, expected) in [
        ("", "line 1"),
        ("{\"recording\":7}", "version 7"),
        ("{\"recording\":1}\n\n{}", "line 3"),
        (
            r#"{"recording":1}
{"request":{"method":"GET","uri":"/"},"response":{"status":7}}"#,
            "line 2 of the recording: the status of the response",
        ),
        (
            r#"{"recording":1}
{"request":{"method":"GET","uri":"/"},"response":{"status":200,"body":{"base64":"!"}}}"#,
            "the body of the response",
        ),
        (
            r#"{"recording":1}
{"request":{"method":"GET","uri":"/"},"response":{"status":200,"headers":[["a b","c"]]}}"#,
            "the head of the response",
        ),
        (
            r#"{"recording":1}
{"request":{"method":"GET","uri":"a b"},"response":{"status":200}}"#,
            "the URI of the request",
        ),
    ] {
        let error = Replayer::parse(recording).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
