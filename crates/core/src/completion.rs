//! The token that reports a call's outcome, exactly once.
//!
//! Whoever observes calls hangs on one of these, so that no path out of a call is forgotten: the error, the end of the body, the
//! body that breaks off, the caller that goes away.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{ClassifyEnd, End, Outcome, Verdict};

/// Receives the outcome of one call. Every `FnOnce(Outcome)` is one.
pub trait OnComplete {
    /// Called exactly once per call.
    fn on_complete(self, outcome: Outcome);
}

impl<F: FnOnce(Outcome)> OnComplete for F {
    fn on_complete(self, outcome: Outcome) {
        self(outcome);
    }
}

/// Reports one outcome: the one it is [finished](Self::finish) with, or [`Outcome::Cancelled`] if it is dropped before.
///
/// ```
/// use bartizan_core::{Completion, Outcome};
/// use std::cell::Cell;
///
/// let seen = Cell::new(None);
/// drop(Completion::new(|outcome| seen.set(Some(outcome))));
/// assert_eq!(seen.get(), Some(Outcome::Cancelled));
/// ```
#[derive(Debug)]
#[must_use = "dropping it reports the call as cancelled"]
pub struct Completion<R: OnComplete> {
    report: Option<R>,
}

impl<R: OnComplete> Completion<R> {
    /// A token that will report to `report`.
    pub const fn new(report: R) -> Self {
        Self {
            report: Some(report),
        }
    }

    /// Reports `outcome`.
    pub fn finish(mut self, outcome: Outcome) {
        self.report(outcome);
    }

    /// Acts on the verdict on the head of `response`: reports it, or carries the token on in the body until its end.
    pub fn follow<B: Body, T: ClassifyEnd>(
        self,
        verdict: Verdict<T>,
        response: Response<B>,
    ) -> Response<CompletionBody<B, T, R>> {
        let pending = match verdict {
            Verdict::Now(outcome) => {
                self.finish(outcome);
                None
            }
            // Nobody reads a body that has ended already, so nobody would report its end.
            Verdict::AtEnd(rest) if response.body().is_end_stream() => {
                self.finish(rest.end(End::Complete(None)));
                None
            }
            Verdict::AtEnd(rest) => Some((rest, self)),
        };
        response.map(|inner| CompletionBody {
            inner,
            open: Open(pending),
        })
    }

    fn report(&mut self, outcome: Outcome) {
        if let Some(report) = self.report.take() {
            report.on_complete(outcome);
        }
    }
}

impl<R: OnComplete> Drop for Completion<R> {
    fn drop(&mut self) {
        self.report(Outcome::Cancelled);
    }
}

pin_project! {
    /// A body that reports the outcome of its call when it ends. It forwards everything else.
    #[derive(Debug)]
    pub struct CompletionBody<B, T: ClassifyEnd, R: OnComplete> {
        #[pin]
        inner: B,
        open: Open<T, R>,
    }
}

impl<B, T: ClassifyEnd, R: OnComplete> CompletionBody<B, T, R> {
    /// A body whose call has been reported already, or was none: a response of a layer's own.
    pub const fn reported(inner: B) -> Self {
        Self {
            inner,
            open: Open(None),
        }
    }
}

impl<B, T, R> Body for CompletionBody<B, T, R>
where
    B: Body,
    T: ClassifyEnd,
    R: OnComplete,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        match &frame {
            None => this.open.close(End::Complete(None)),
            Some(Err(_)) => this.open.close(End::Failed),
            // Trailers are the last frame there is.
            Some(Ok(frame)) if frame.is_trailers() => {
                this.open.close(End::Complete(frame.trailers_ref()));
            }
            // A reader that trusts `is_end_stream`, as hyper does, never asks for the `None`.
            Some(Ok(_)) if this.inner.is_end_stream() => this.open.close(End::Complete(None)),
            Some(Ok(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// What is still to be judged, and where to report it.
#[derive(Debug)]
struct Open<T: ClassifyEnd, R: OnComplete>(Option<(T, Completion<R>)>);

impl<T: ClassifyEnd, R: OnComplete> Open<T, R> {
    fn close(&mut self, end: End<'_>) {
        if let Some((rest, completion)) = self.0.take() {
            completion.finish(rest.end(end));
        }
    }
}

impl<T: ClassifyEnd, R: OnComplete> Drop for Open<T, R> {
    fn drop(&mut self) {
        self.close(End::Dropped);
    }
}
