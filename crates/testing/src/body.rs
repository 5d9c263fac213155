//! A body whose every frame the test sends.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bartizan_core::BoxError;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::watch;

use crate::{ProbeError, panics, wakers::Wakers};

/// A body that yields what its [`BodyHandle`] sends, when it is sent, and is pending in between.
///
/// It is complete when the handle says [`end`](BodyHandle::end), or sends trailers, and broken when the handle says
/// [`fail`](BodyHandle::fail) or is dropped before the end: a reader is never left waiting for a handle that is gone.
///
/// ```
/// use bartizan_testing::ControlledBody;
/// use http_body_util::BodyExt;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), bartizan_core::BoxError> {
/// let (mut body, handle) = ControlledBody::new();
/// let reader = tokio::spawn(async move { body.frame().await.unwrap()?.into_data().map_err(|_| "no data".into()) });
///
/// handle.until(|counts| counts.polls == 1).await;
/// handle.data("hello");
/// let data: Result<_, bartizan_core::BoxError> = reader.await?;
/// assert_eq!(data?, "hello");
/// assert!(handle.counts().dropped);
/// # Ok(()) }
/// ```
///
/// Broken half way:
///
/// ```
/// use bartizan_core::find;
/// use bartizan_testing::{ControlledBody, ProbeError};
/// use http_body_util::BodyExt;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let (body, handle) = ControlledBody::new();
/// handle.data("half");
/// handle.fail(ProbeError::new("reset"));
/// let error = body.collect().await.unwrap_err();
/// assert!(find::<ProbeError>(&*error).is_some());
/// # }
/// ```
pub struct ControlledBody {
    shared: Arc<Shared>,
}

/// Sends the frames of a [`ControlledBody`], and knows how far it was read.
///
/// Sending anything after the end panics: the test's script is wrong. What is sent to a body that was dropped goes nowhere.
pub struct BodyHandle {
    shared: Arc<Shared>,
}

/// What was done to a [`ControlledBody`], so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BodyCounts {
    /// `poll_frame`, whatever it returned.
    pub polls: usize,
    /// Frames taken, data and trailers alike.
    pub frames: usize,
    /// Whether the body was dropped.
    pub dropped: bool,
}

struct Shared {
    script: Mutex<Script>,
    counts: watch::Sender<BodyCounts>,
}

#[derive(Default)]
struct Script {
    frames: VecDeque<Result<Frame<Bytes>, BoxError>>,
    /// Nothing comes after what is in `frames`.
    ended: bool,
    hint: SizeHint,
    reader: Wakers,
}

impl ControlledBody {
    /// A body of unknown size that has sent nothing yet, and its handle.
    pub fn new() -> (Self, BodyHandle) {
        let shared = Arc::new(Shared {
            script: Mutex::default(),
            counts: watch::Sender::default(),
        });
        let body = Self {
            shared: shared.clone(),
        };
        (body, BodyHandle { shared })
    }
}

impl Body for ControlledBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = {
            let mut script = panics::lock(&self.shared.script);
            match script.frames.pop_front() {
                Some(frame) => Poll::Ready(Some(frame)),
                None if script.ended => Poll::Ready(None),
                None => {
                    script.reader.register(cx);
                    Poll::Pending
                }
            }
        };
        self.shared.counts.send_modify(|counts| {
            counts.polls += 1;
            counts.frames += usize::from(matches!(polled, Poll::Ready(Some(Ok(_)))));
        });
        polled
    }

    fn is_end_stream(&self) -> bool {
        let script = panics::lock(&self.shared.script);
        script.ended && script.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        panics::lock(&self.shared.script).hint
    }
}

impl Drop for ControlledBody {
    fn drop(&mut self) {
        self.shared
            .counts
            .send_modify(|counts| counts.dropped = true);
    }
}

impl BodyHandle {
    /// Sends a frame of data.
    ///
    /// # Panics
    ///
    /// If the body was ended before.
    pub fn data(&self, data: impl Into<Bytes>) {
        self.send(Some(Ok(Frame::data(data.into()))), false);
    }

    /// Sends trailers, and with them the end.
    ///
    /// # Panics
    ///
    /// If the body was ended before.
    pub fn trailers(&self, trailers: HeaderMap) {
        self.send(Some(Ok(Frame::trailers(trailers))), true);
    }

    /// Breaks the body off.
    ///
    /// # Panics
    ///
    /// If the body was ended before.
    pub fn fail(&self, error: impl Into<BoxError>) {
        self.send(Some(Err(error.into())), true);
    }

    /// Ends the body.
    ///
    /// # Panics
    ///
    /// If the body was ended before.
    pub fn end(&self) {
        self.send(None, true);
    }

    /// Sets what `size_hint` says, until it is set again: it is not reduced as data is taken.
    pub fn set_size_hint(&self, hint: SizeHint) {
        panics::lock(&self.shared.script).hint = hint;
    }

    /// The counts, now.
    pub fn counts(&self) -> BodyCounts {
        *self.shared.counts.borrow()
    }

    /// Waits until the counts are as `wanted`, woken by each change. It looks at once, and dropping it changes nothing.
    #[expect(
        clippy::missing_panics_doc,
        reason = "the sender cannot be gone while `self` holds it"
    )]
    pub async fn until(&self, mut wanted: impl FnMut(&BodyCounts) -> bool) -> BodyCounts {
        let mut counts = self.shared.counts.subscribe();
        *counts
            .wait_for(|counts| wanted(counts))
            .await
            .expect("the handle holds the sender")
    }

    fn send(&self, frame: Option<Result<Frame<Bytes>, BoxError>>, ends: bool) {
        let reader = {
            let mut script = panics::lock(&self.shared.script);
            assert!(
                !script.ended,
                "the body has ended: nothing can be sent after that"
            );
            script.frames.extend(frame);
            script.ended = ends;
            script.reader.take()
        };
        reader.wake();
    }
}

impl Drop for BodyHandle {
    fn drop(&mut self) {
        let ended = panics::lock(&self.shared.script).ended;
        if !ended {
            self.fail(ProbeError::new(
                "the handle of the body was dropped before the body ended",
            ));
        }
    }
}

impl fmt::Debug for ControlledBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlledBody")
            .field("counts", &*self.shared.counts.borrow())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for BodyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyHandle")
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}
