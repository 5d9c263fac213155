//! The body of a response, to its end.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::events::{Outcome, Record};

pin_project! {
    /// A response body whose call is logged when it is over.
    #[derive(Debug)]
    pub struct LoggedBody<B> {
        #[pin]
        pub(super) inner: B,
        pub(super) record: Option<Box<Record>>,
    }
}

impl<B> HttpBody for LoggedBody<B>
where
    B: HttpBody,
    B::Error: fmt::Display,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        let Some(record) = this.record.as_mut() else {
            return Poll::Ready(frame);
        };
        let outcome = match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    record.on_data(data);
                }
                // Many readers stop here, and never ask for the `None` that follows.
                this.inner.is_end_stream().then_some(Outcome::Complete)
            }
            Some(Err(error)) => Some(Outcome::Failed(error.to_string())),
            None => Some(Outcome::Complete),
        };
        if let Some(outcome) = outcome {
            record.outcome = outcome;
            *this.record = None;
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
