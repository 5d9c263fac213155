use std::{cell::RefCell, rc::Rc};

use bartizan_core::{BoxError, ClassifyEnd, Completion, End, IntactBody, Outcome, Verdict};
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};

type Reports = Rc<RefCell<Vec<Outcome>>>;

fn token() -> (Completion<impl FnOnce(Outcome)>, Reports) {
    let reports = Reports::default();
    let sink = Rc::clone(&reports);
    let completion = Completion::new(move |outcome| sink.borrow_mut().push(outcome));
    (completion, reports)
}

/// What is left of the body, last frame first.
struct Script(Vec<Result<Frame<Bytes>, BoxError>>);

impl Body for Script {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        std::task::Poll::Ready(self.0.pop())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(42)
    }
}

const SO_FAR: Verdict = Verdict::AtEnd(IntactBody(Outcome::Success));

#[test]
fn a_verdict_at_the_head_is_reported_at_the_head() {
    let (completion, reports) = token();
    let response = completion.follow::<_, IntactBody>(
        Verdict::Now(Outcome::Failure),
        Response::new(Full::new(Bytes::from("down"))),
    );
    assert_eq!(*reports.borrow(), [Outcome::Failure]);
    drop(response);
    assert_eq!(*reports.borrow(), [Outcome::Failure]);
}

#[tokio::test]
async fn a_body_read_to_its_end_is_reported_once() {
    let (completion, reports) = token();
    let mut body = completion
        .follow(
            SO_FAR,
            Response::new(Script(vec![Ok(Frame::data("x".into()))])),
        )
        .into_body();
    body.frame().await;
    assert!(reports.borrow().is_empty());
    assert!(body.frame().await.is_none());
    assert!(body.frame().await.is_none());
    drop(body);
    assert_eq!(*reports.borrow(), [Outcome::Success]);
}

#[tokio::test]
async fn a_reader_that_trusts_is_end_stream_is_reported_too() {
    let (completion, reports) = token();
    let mut body = completion
        .follow(SO_FAR, Response::new(Full::new(Bytes::from("x"))))
        .into_body();
    body.frame().await;
    assert!(body.is_end_stream());
    assert_eq!(*reports.borrow(), [Outcome::Success]);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_failure() {
    let (completion, reports) = token();
    let script = Script(vec![Err("reset".into()), Ok(Frame::data("half".into()))]);
    let body = completion.follow(SO_FAR, Response::new(script)).into_body();
    assert!(body.collect().await.is_err());
    assert_eq!(*reports.borrow(), [Outcome::Failure]);
}

#[test]
fn a_caller_that_has_read_enough_leaves_it_as_it_is() {
    let (completion, reports) = token();
    drop(completion.follow(SO_FAR, Response::new(Script(vec![]))));
    assert_eq!(*reports.borrow(), [Outcome::Success]);
}

#[test]
fn a_call_dropped_before_its_head_is_cancelled() {
    let (completion, reports) = token();
    drop(completion);
    assert_eq!(*reports.borrow(), [Outcome::Cancelled]);
}

#[tokio::test]
async fn trailers_have_the_last_word() {
    struct GrpcStatus;
    impl ClassifyEnd for GrpcStatus {
        fn so_far(&self) -> Outcome {
            Outcome::Success
        }
        fn end(self, end: End<'_>) -> Outcome {
            match end {
                End::Complete(Some(trailers)) if trailers["grpc-status"] == "0" => Outcome::Success,
                _ => Outcome::Failure,
            }
        }
    }
    for (status, outcome) in [("0", Outcome::Success), ("14", Outcome::Failure)] {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", status.parse().expect("a value"));
        let (completion, reports) = token();
        let script = Script(vec![Ok(Frame::trailers(trailers))]);
        let response = completion.follow(Verdict::AtEnd(GrpcStatus), Response::new(script));
        assert!(response.into_body().collect().await.is_ok());
        assert_eq!(*reports.borrow(), [outcome]);
    }
}

#[test]
fn the_wrapped_body_keeps_its_size() {
    let (completion, _) = token();
    let response = completion.follow(SO_FAR, Response::new(Script(vec![])));
    assert_eq!(response.body().size_hint().exact(), Some(42));
    assert!(!response.body().is_end_stream());
}

#[test]
fn an_empty_body_is_complete_at_once() {
    struct Ends(Reports);
    impl ClassifyEnd for Ends {
        fn so_far(&self) -> Outcome {
            Outcome::Success
        }
        fn end(self, end: End<'_>) -> Outcome {
            assert!(matches!(end, End::Complete(None)), "{end:?}");
            self.0.borrow_mut().push(Outcome::Success);
            Outcome::Success
        }
    }
    let (completion, reports) = token();
    let ends = Reports::default();
    let verdict = Verdict::AtEnd(Ends(Rc::clone(&ends)));
    drop(completion.follow(verdict, Response::new(Full::<Bytes>::default())));
    assert_eq!(*ends.borrow(), [Outcome::Success]);
    assert_eq!(*reports.borrow(), [Outcome::Success]);
}
