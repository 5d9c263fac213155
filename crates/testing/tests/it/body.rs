//! The controlled body yields what is sent, when it is sent.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use bartizan_core::find;
use bartizan_testing::{ControlledBody, ProbeError};
use http::{HeaderMap, HeaderValue};
use http_body::{Body, SizeHint};
use http_body_util::BodyExt;

use crate::panic_of;

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn wakes_its_reader_once_for_what_is_sent_and_not_before() {
    let (mut body, handle) = ControlledBody::new();
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    let mut cx = Context::from_waker(&waker);
    for _ in 0..3 {
        assert!(Pin::new(&mut body).poll_frame(&mut cx).is_pending());
    }
    assert_eq!(wakes.0.load(Ordering::SeqCst), 0);

    handle.data("a");
    handle.data("b");
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    for expected in ["a", "b"] {
        let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut cx) else {
            panic!("no frame where `{expected}` was sent");
        };
        assert_eq!(frame.into_data().unwrap(), expected);
    }
    let counts = handle.counts();
    assert_eq!((counts.polls, counts.frames, counts.dropped), (5, 2, false));

    assert!(Pin::new(&mut body).poll_frame(&mut cx).is_pending());
    handle.end();
    assert_eq!(wakes.0.load(Ordering::SeqCst), 2);
    assert!(matches!(
        Pin::new(&mut body).poll_frame(&mut cx),
        Poll::Ready(None)
    ));
}

#[tokio::test]
async fn trailers_are_the_end() {
    let (body, handle) = ControlledBody::new();
    handle.data("data");
    handle.trailers(HeaderMap::from_iter([(
        http::header::ETAG,
        HeaderValue::from_static("\"a\""),
    )]));
    assert!(!body.is_end_stream());

    let collected = body.collect().await.unwrap();
    assert_eq!(
        collected.trailers().map(|map| &map["etag"]),
        Some(&HeaderValue::from_static("\"a\""))
    );
    assert_eq!(collected.to_bytes(), "data");
}

#[tokio::test]
async fn an_error_is_the_end_too() {
    let (mut body, handle) = ControlledBody::new();
    handle.fail(ProbeError::new("reset"));
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(find(&*error), Some(&ProbeError::new("reset")));
    assert!(body.is_end_stream());
    assert!(body.frame().await.is_none());
    assert_eq!(handle.counts().frames, 0);
}

#[tokio::test]
async fn a_lost_handle_breaks_the_body_instead_of_hanging_its_reader() {
    let (body, handle) = ControlledBody::new();
    let reader = tokio::spawn(body.collect());
    handle.until(|counts| counts.polls == 1).await;
    drop(handle);
    let error = reader.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("handle"), "{error}");
}

#[test]
fn end_and_size_are_as_the_handle_says() {
    let (body, handle) = ControlledBody::new();
    assert_eq!(body.size_hint().exact(), None);
    handle.set_size_hint(SizeHint::with_exact(3));
    assert_eq!(body.size_hint().exact(), Some(3));
    assert!(!body.is_end_stream());
    handle.end();
    assert!(body.is_end_stream());

    let message = panic_of(|| handle.data("more"));
    assert!(message.contains("the body has ended"), "{message}");
}

#[tokio::test]
async fn the_handle_sees_the_drop() {
    let (body, handle) = ControlledBody::new();
    let holder = tokio::spawn(async move { drop(body) });
    assert!(handle.until(|counts| counts.dropped).await.dropped);
    holder.await.unwrap();
    // Goes nowhere, and is no mistake: the reader may leave at any time.
    handle.data("late");
}
