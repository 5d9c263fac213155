//! The body of a request, as hyper sees it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bartizan_core::{Body, BoxError};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::sync::{Mutex, lock};

/// A request's body on its way out. `None` if it is empty, as most are.
///
/// One word: hyper moves a request with its body from hand to hand a dozen times before it is written.
pub(super) struct SendBody(Option<Box<Outgoing>>);

struct Outgoing {
    body: Body,
    /// For a stream, and for what is held back. The end of a body that is whole is nobody's business.
    upload: Option<Arc<Upload>>,
    /// Until when the body is held back, if it is and if there is an end to it.
    held: Option<Pin<Box<Sleep>>>,
}

impl SendBody {
    pub(super) fn new<B>(body: B) -> Self
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let body = Body::new(body);
        let upload = match body.whole() {
            Some(bytes) if bytes.is_empty() => return Self(None),
            Some(_) => None,
            None => Some(Arc::new(Upload::new(false))),
        };
        Self(Some(Box::new(Outgoing {
            body,
            upload,
            held: None,
        })))
    }

    /// Holds the body back until [`Upload::go`], or for that long.
    pub(super) fn hold(&mut self, timeout: Duration) -> Arc<Upload> {
        let upload = Arc::new(Upload::new(true));
        if let Some(outgoing) = &mut self.0 {
            outgoing.upload = Some(upload.clone());
            outgoing.held = Some(Box::pin(tokio::time::sleep(timeout)));
        }
        upload
    }

    /// Has the time noted when the last of it is sent.
    pub(super) fn watch(&mut self) {
        // An empty one is sent at some time, too.
        let outgoing = self.0.get_or_insert_with(|| {
            Box::new(Outgoing {
                body: Body::empty(),
                upload: None,
                held: None,
            })
        });
        let upload = outgoing
            .upload
            .get_or_insert_with(|| Arc::new(Upload::new(false)));
        lock(&upload.state).is_timed = true;
    }

    pub(super) fn upload(&self) -> Option<&Arc<Upload>> {
        self.0.as_ref()?.upload.as_ref()
    }

    /// A second body that sends the same, if that costs nothing.
    pub(super) fn try_clone(&self) -> Option<Body> {
        match &self.0 {
            Some(outgoing) => outgoing.body.try_clone(),
            None => Some(Body::empty()),
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(upload) = &self.upload {
            upload.over();
        }
    }
}

impl http_body::Body for SendBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(this) = &mut self.0 else {
            return Poll::Ready(None);
        };
        if let Some(upload) = &this.upload {
            match upload.enter(cx.waker()) {
                Gate::Open => this.held = None,
                Gate::Held => {
                    if let Some(held) = &mut this.held {
                        ready!(held.as_mut().poll(cx));
                    }
                    this.held = None;
                    upload.go();
                }
                Gate::Unwanted => return Poll::Pending,
                Gate::Cut => return Poll::Ready(Some(Err("nobody reads the upload".into()))),
            }
        }
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        match (frame, &this.upload) {
            (Poll::Ready(Some(Err(error))), Some(upload)) => {
                // hyper's HTTP/2 would not hand it on.
                upload.fail(error);
                Poll::Ready(Some(Err("the request body failed".into())))
            }
            (Poll::Ready(Some(Ok(frame))), Some(upload)) => {
                upload.moved();
                Poll::Ready(Some(Ok(frame)))
            }
            (frame, _) => frame,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|outgoing| outgoing.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Some(outgoing) => outgoing.body.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl fmt::Debug for SendBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = self.0.as_ref().map(|outgoing| &outgoing.body);
        f.debug_tuple("SendBody").field(&body).finish()
    }
}

/// How a request's body is getting on, for whoever waits for the response.
#[derive(Debug)]
pub(super) struct Upload {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    gate: Gate,
    frames: u64,
    is_over: bool,
    is_timed: bool,
    /// When it was over, if somebody wants to know.
    over_at: Option<Instant>,
    error: Option<BoxError>,
    /// The task that sends the body.
    sender: Option<Waker>,
    /// The task that waits for its end.
    waiter: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Gate {
    Open,
    /// Until the peer asks for the body.
    Held,
    /// The peer has answered without it. It is not sent, and not failed while the answer is read: that would end the connection.
    Unwanted,
    /// Nobody is there any more.
    Cut,
}

impl Upload {
    fn new(is_held: bool) -> Self {
        Self {
            state: Mutex::new(State {
                gate: if is_held { Gate::Held } else { Gate::Open },
                frames: 0,
                is_over: false,
                is_timed: false,
                over_at: None,
                error: None,
                sender: None,
                waiter: None,
            }),
        }
    }

    fn enter(&self, sender: &Waker) -> Gate {
        let mut state = lock(&self.state);
        let before = match &state.sender {
            Some(before) if before.will_wake(sender) => None,
            _ => state.sender.replace(sender.clone()),
        };
        let gate = state.gate;
        drop(state);
        drop(before);
        gate
    }

    fn moved(&self) {
        let mut state = lock(&self.state);
        state.frames = state.frames.wrapping_add(1);
    }

    fn fail(&self, error: BoxError) {
        lock(&self.state).error = Some(error);
    }

    fn over(&self) {
        let mut state = lock(&self.state);
        state.is_over = true;
        state.over_at = state.is_timed.then(Instant::now);
        let (waiter, sender) = (state.waiter.take(), state.sender.take());
        drop(state);
        drop(sender);
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }

    fn turn(&self, from: &[Gate], to: Gate) -> bool {
        let mut state = lock(&self.state);
        if !from.contains(&state.gate) {
            return false;
        }
        state.gate = to;
        let sender = state.sender.take();
        drop(state);
        if let Some(sender) = sender {
            sender.wake();
        }
        true
    }

    /// The peer wants the body.
    pub(super) fn go(&self) {
        self.turn(&[Gate::Held], Gate::Open);
    }

    /// The peer has answered. Answers whether that was without waiting for the body.
    pub(super) fn answered(&self) -> bool {
        self.turn(&[Gate::Held], Gate::Unwanted)
    }

    /// Ends the upload, as soon as somebody asks for more of it.
    pub(super) fn cut(&self) {
        self.turn(&[Gate::Held, Gate::Open, Gate::Unwanted], Gate::Cut);
    }

    pub(super) fn frames(&self) -> u64 {
        lock(&self.state).frames
    }

    pub(super) fn is_over(&self) -> bool {
        lock(&self.state).is_over
    }

    /// When the last of it was sent, if that is noted.
    pub(super) fn over_at(&self) -> Option<Instant> {
        lock(&self.state).over_at
    }

    /// Why the body failed, if it did. Once.
    pub(super) fn take_error(&self) -> Option<BoxError> {
        lock(&self.state).error.take()
    }

    /// Waits until all of the body is sent, or it is given up.
    pub(super) fn poll_over(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.is_over {
            return Poll::Ready(());
        }
        let before = state.waiter.replace(cx.waker().clone());
        drop(state);
        drop(before);
        Poll::Pending
    }
}
