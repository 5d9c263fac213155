//! How much of a body has passed.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// How much of a body has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    transferred: u64,
    total: Option<u64>,
}

impl Progress {
    /// How many bytes have passed.
    pub const fn transferred(&self) -> u64 {
        self.transferred
    }

    /// How many bytes there will be, if that is known.
    pub const fn total(&self) -> Option<u64> {
        self.total
    }

    /// What part of it has passed, from 0.0 to 1.0, if the total is known. An empty body is all there.
    pub fn fraction(&self) -> Option<f64> {
        #[allow(clippy::cast_precision_loss, reason = "a fraction is none of bytes")]
        self.total.map(|total| match total {
            0 => 1.0,
            total => self.transferred as f64 / total as f64,
        })
    }
}

pin_project! {
    /// A body that tells how much of it has passed: of a request while it is uploaded, of a response while it is downloaded.
    ///
    /// The function is called after each piece of data, on the task that reads the body, so it must not block. For an upload, a piece has
    /// passed when the transport has taken it; the peer has it a little later. It is not called for trailers, nor for a body without
    /// data.
    ///
    /// A body in a wrapper is a stream: it cannot be sent again by retries and redirects, where the bare [`Body`](bartizan_core::Body)
    /// could.
    ///
    /// # Examples
    ///
    /// An upload:
    ///
    /// ```
    /// use bartizan_client::{ProgressBody, RequestExt};
    /// use bartizan_core::{Body, BoxError};
    /// use http::{Request, Response};
    /// use http_body_util::BodyExt;
    /// use std::sync::mpsc;
    /// use tower::service_fn;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = service_fn(|request: Request<Body>| async {
    ///     request.into_body().collect().await?;
    ///     Ok::<_, BoxError>(Response::new(()))
    /// });
    ///
    /// let (sender, receiver) = mpsc::channel();
    /// let body = ProgressBody::new(Body::from("hello"), move |progress| sender.send(progress).unwrap());
    /// server.put("http://h/").body(Body::new(body)).send().await?;
    ///
    /// let progress = receiver.recv()?;
    /// assert_eq!((progress.transferred(), progress.total()), (5, Some(5)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A download:
    ///
    /// ```
    /// use bartizan_client::{ProgressBody, ResponseExt};
    /// use bartizan_core::Body;
    /// use http::Response;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let response = Response::new(Body::from("hello"));
    /// let mut last = None;
    /// let response = response.map(|body| ProgressBody::new(body, |progress| last = progress.fraction()));
    /// assert_eq!(response.text().await?, "hello");
    /// assert_eq!(last, Some(1.0));
    /// # Ok(())
    /// # }
    /// ```
    pub struct ProgressBody<B, F> {
        #[pin]
        inner: B,
        report: F,
        progress: Progress,
    }
}

impl<B, F> ProgressBody<B, F>
where
    B: Body,
    F: FnMut(Progress),
{
    /// Calls `report` after each piece of `inner`.
    pub fn new(inner: B, report: F) -> Self {
        let total = inner.size_hint().exact();
        Self {
            inner,
            report,
            progress: Progress {
                transferred: 0,
                total,
            },
        }
    }
}

impl<B, F> Body for ProgressBody<B, F>
where
    B: Body,
    F: FnMut(Progress),
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            if let Some(data) = frame.data_ref().filter(|data| data.has_remaining()) {
                this.progress.transferred += data.remaining() as u64;
                (this.report)(*this.progress);
            }
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

impl<B: fmt::Debug, F> fmt::Debug for ProgressBody<B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgressBody")
            .field("inner", &self.inner)
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}
