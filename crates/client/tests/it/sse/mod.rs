//! Server-sent events, of one response and of many.

mod events;
mod reconnecting;
mod timeouts;
mod waits;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bartizan_core::{Body, BoxError};
use futures_util::future;
use http::{HeaderValue, Request, Response};
use tokio::time::Instant;
use tower::{Service, service_fn};

fn stream_of(body: impl Into<Body>) -> Response<Body> {
    let response = Response::builder().header("content-type", "Text/Event-Stream; charset=utf-8");
    response.body(body.into()).expect("a response")
}

fn status(status: u16) -> Response<Body> {
    Response::builder()
        .status(status)
        .body(Body::empty())
        .expect("a response")
}

type Answer = Result<Response<Body>, BoxError>;
type Log = Arc<Mutex<Vec<(Duration, Option<HeaderValue>)>>>;

/// Answers one after the other, and says when it was asked and with which id.
fn script(
    answers: impl IntoIterator<Item = Answer>,
) -> (
    impl Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send> + Clone,
    Log,
) {
    let answers: Arc<Mutex<Vec<Answer>>> = Arc::new(Mutex::new(answers.into_iter().collect()));
    let (log, start) = (Log::default(), Instant::now());
    let service = service_fn({
        let log = Arc::clone(&log);
        move |request: Request<Body>| {
            assert_eq!(request.headers()["accept"], "text/event-stream");
            assert_eq!(request.headers()["cache-control"], "no-store");
            let id = request.headers().get("last-event-id").cloned();
            log.lock().expect("no panic").push((start.elapsed(), id));
            future::ready(answers.lock().expect("no panic").remove(0))
        }
    });
    (service, log)
}

fn asked(log: &Log) -> Vec<(u64, Option<String>)> {
    let log = log.lock().expect("no panic");
    let text = |id: &HeaderValue| id.to_str().expect("text").to_owned();
    log.iter()
        .map(|(at, id)| {
            (
                at.as_millis().try_into().expect("soon"),
                id.as_ref().map(text),
            )
        })
        .collect()
}
