//! What a call leaves in the log, and what it does not.

use bartizan_client::{
    RequestExt, ResponseExt,
    logging::{Detail, LoggingLayer, LoggingService},
};
use bartizan_core::{Body, BoxError};
use bartizan_testing::{ControlledBody, contract};
use http::{HeaderName, HeaderValue, Request, Response};
use std::{
    fmt::{Debug, Write as _},
    future,
    sync::{Arc, Mutex},
};
use tower::{Layer, Service, service_fn};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// Keeps each event as one line: its level, its message, its fields.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "bartizan_client::logging" && *metadata.level() <= Level::DEBUG
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().expect("no panic").push(line.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

fn server()
-> impl Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send + 'static>
+ Clone
+ Send
+ 'static {
    service_fn(|_: Request<Body>| async {
        let response = Response::builder()
            .header("content-type", "application/json")
            .header("set-cookie", "id=secret")
            .body(Body::from(r#"{"name":"value"}"#));
        Ok(response.expect("a response"))
    })
}

#[tokio::test]
async fn a_call_is_one_line_without_the_query() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let client = LoggingService::new(server());
    let response = client.get("http://me:pw@h/a?key=secret").send().await;
    assert_eq!(lines.take(), [""; 0], "it is not over");
    response.expect("a response").bytes().await.expect("a body");
    let [line] = &lines.take()[..] else {
        panic!("one line");
    };
    for part in [
        "INFO message=call",
        " method=GET",
        " uri=\"http://h/a\"",
        " status=200",
        " version=HTTP/1.1",
        " bytes=16",
        " outcome=\"complete\"",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    for secret in ["secret", "pw", "headers", "body", "error"] {
        assert!(!line.contains(secret), "{secret} in {line}");
    }
}

#[tokio::test]
async fn headers_and_bodies_are_shown_by_choice_and_secrets_never() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let layer = LoggingLayer::new()
        .level(Level::DEBUG)
        .detail(Detail::Body(8))
        .redact(HeaderName::from_static("x-api-key"))
        .show_query(true);
    let client = layer.layer(server());
    let mut marked = HeaderValue::from_static("secret");
    marked.set_sensitive(true);
    let request = client
        .post("http://h/a?page=2")
        .header("authorization", "Bearer secret")
        .header("x-api-key", "secret")
        .header("x-marked", marked)
        .header("x-plain", "plain")
        .text("a long text");
    request
        .send()
        .await
        .expect("a response")
        .bytes()
        .await
        .expect("a body");
    let log = lines.take();
    let [request, call] = &log[..] else {
        panic!("two lines: {log:?}");
    };
    assert!(request.starts_with("DEBUG message=request"), "{request}");
    for part in [
        "uri=\"http://h/a?page=2\"",
        "authorization: <redacted>",
        "x-api-key: <redacted>",
        "x-marked: <redacted>",
        "x-plain: plain",
        "body=\"a long t\"",
    ] {
        assert!(request.contains(part), "{part} in {request}");
    }
    for part in ["set-cookie: <redacted>", "body=\"{\\\"name\\\":\""] {
        assert!(call.contains(part), "{part} in {call}");
    }
    assert!(!log.concat().contains("secret"), "{log:?}");
}

#[tokio::test]
async fn failures_and_what_is_dropped_are_logged() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());

    let fails =
        service_fn(|_: Request<Body>| async { Err::<Response<Body>, BoxError>("no route".into()) });
    LoggingService::new(fails)
        .get("http://h/")
        .send()
        .await
        .expect_err("a failure");
    let line = lines.take().concat();
    assert!(
        line.contains("outcome=\"failed\" error=\"no route\""),
        "{line}"
    );

    let hangs =
        service_fn(|_: Request<Body>| future::pending::<Result<Response<Body>, BoxError>>());
    drop(LoggingService::new(hangs).call(Request::new(Body::empty())));
    let line = lines.take().concat();
    assert!(
        line.contains("outcome=\"dropped\"") && !line.contains("status"),
        "{line}"
    );

    let (body, handle) = ControlledBody::new();
    let body = Mutex::new(Some(body));
    let streams = service_fn(move |_: Request<Body>| {
        let body = body.lock().expect("no panic").take().expect("one call");
        async { Ok::<_, BoxError>(Response::new(body)) }
    });
    let response = LoggingService::new(streams)
        .call(Request::new(Body::empty()))
        .await;
    handle.data("some");
    handle.fail(bartizan_testing::ProbeError::new("reset"));
    response
        .expect("a head")
        .bytes()
        .await
        .expect_err("a broken body");
    let line = lines.take().concat();
    assert!(line.contains("bytes=4 outcome=\"failed\""), "{line}");
}

contract! {
    mod logging {
        layer: LoggingService::new,
        request: || Request::get("http://h/").body(Body::empty()).expect("a request"),
        response: || Response::new(Body::empty()),
    }
}
