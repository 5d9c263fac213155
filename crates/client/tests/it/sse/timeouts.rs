//! How long a server may take to answer, and its stream may last.

use std::{
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bartizan_client::{CallTimeout, CallTimeoutLayer, RequestExt};
use bartizan_core::{Body, BoxError};
use futures_util::{StreamExt, TryStreamExt, future, stream};
use http::{Request, Response};
use tokio::time::Instant;
use tower::{Service, ServiceBuilder, service_fn};

use super::{Answer, status, stream_of};

/// A service that answers with nothing for ever, but for the times in between.
fn silent_but(
    answers: impl IntoIterator<Item = Option<Answer>>,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send> + Clone
{
    let answers: Arc<Mutex<Vec<Option<Answer>>>> =
        Arc::new(Mutex::new(answers.into_iter().collect()));
    service_fn(move |_: Request<Body>| {
        let answer = answers.lock().expect("no panic").remove(0);
        async {
            match answer {
                Some(answer) => answer,
                None => future::pending().await,
            }
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_asked_again() {
    for (own, limit) in [(None, 30), (Some(5), 5)] {
        let client = silent_but([None, Some(Ok(stream_of("data: a\n\n"))), None, None]);
        let mut request = client.get("/");
        if let Some(seconds) = own {
            request = request.timeout(Duration::from_secs(seconds));
        }
        let source = request.event_source().expect("a source").without_jitter();
        let mut source = pin!(source.max_attempts(2));
        let began = Instant::now();
        let event = source.next().await.expect("an event").expect("an event");
        assert_eq!(event.data(), "a");
        assert_eq!(began.elapsed().as_secs(), limit + 3);
        let error = source.next().await.expect("an end").expect_err("silence");
        assert!(error.is_timeout(), "{error:?}");
        assert_eq!(
            error.to_string(),
            format!("GET /: the call took longer than {limit}s: allow it more by `.timeout(…)`")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_counts_too_and_no_limit_is_none() {
    let never = tower::util::BoxCloneService::new(NeverReady);
    let source = never.get("/").event_source().expect("a source");
    let mut source = pin!(source.max_attempts(1));
    let began = Instant::now();
    let error = source.next().await.expect("an end").expect_err("not ready");
    assert!(
        error.is_timeout() && began.elapsed().as_secs() == 30,
        "{error:?}"
    );

    let patient = never.get("/").extension(CallTimeout(Duration::MAX));
    let mut patient = pin!(patient.event_source().expect("a source"));
    let a_day = Duration::from_secs(24 * 60 * 60);
    assert!(tokio::time::timeout(a_day, patient.next()).await.is_err());
}

#[derive(Clone)]
struct NeverReady;

impl Service<Request<Body>> for NeverReady {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = future::Pending<Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Pending
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        unreachable!("it was never ready")
    }
}

/// Neither the request's nor that of a layer.
#[tokio::test(start_paused = true)]
async fn the_limit_of_a_call_is_none_of_its_stream() {
    let minutes = stream::unfold(0, |n| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        (n < 5).then_some((Ok::<_, BoxError>("data: tick\n\n"), n + 1))
    });
    let answers = [
        Some(Ok(stream_of(Body::from_stream(minutes)))),
        Some(Ok(status(204))),
    ];
    let client = ServiceBuilder::new()
        .layer(CallTimeoutLayer::default())
        .service(silent_but(answers));
    let request = client.get("/").timeout(Duration::from_secs(10));
    let events = request.event_source().expect("a source").try_collect();
    let events: Vec<_> = events.await.expect("no error");
    assert_eq!(events.len(), 5);
}
