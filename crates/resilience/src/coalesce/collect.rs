//! Responses whose bodies are whole, so that they can be shared.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_core::{Body, BoxError};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, header::CONTENT_TYPE, response};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::http::is_shareable;

/// Which bodies are collected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) bytes: u64,
    pub(super) undeclared: bool,
}

impl Limits {
    fn allow(self, headers: &HeaderMap, body: &Body) -> bool {
        match http_body::Body::size_hint(body).upper() {
            Some(bytes) => bytes <= self.bytes,
            None => self.undeclared && !is_event_stream(headers),
        }
    }
}

/// Server-sent events, which may never end.
fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.and_then(|kind| kind.get(.."text/event-stream".len()))
        .is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
}

/// Waits for small bodies before it hands out their responses. What [`HttpCoalesceLayer`](super::HttpCoalesceLayer) puts below
/// itself.
#[derive(Clone, Debug)]
pub struct Collect<S> {
    inner: S,
    limits: Limits,
}

impl<S> Collect<S> {
    pub(super) const fn new(inner: S, limits: Limits) -> Self {
        Self { inner, limits }
    }
}

inner_accessors!(Collect<S>);

impl<S, B, RB> Service<Request<B>> for Collect<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    B: http_body::Body,
    RB: http_body::Body + Send + 'static,
    RB::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = CollectFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        CollectFuture {
            limits: is_shareable(&request).then_some(self.limits),
            state: State::Calling {
                response: self.inner.call(request),
            },
        }
    }
}

pin_project! {
    /// The response of [`Collect`].
    #[must_use = "futures do nothing unless polled"]
    pub struct CollectFuture<F> {
        #[pin]
        state: State<F>,
        // `None` for a call whose answer nobody shares.
        limits: Option<Limits>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Calling { #[pin] response: F },
        Collecting { parts: Option<response::Parts>, body: Body, collected: Collected },
    }
}

impl<F, B, Err> Future for CollectFuture<F>
where
    F: Future<Output = Result<Response<B>, Err>>,
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, Err>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                // ## Calling => (done | Collecting)
                StateProj::Calling { response } => {
                    let response = ready!(response.poll(cx))?.map(Body::new);
                    let may = this
                        .limits
                        .is_some_and(|limits| limits.allow(response.headers(), response.body()));
                    if !may || response.body().whole().is_some() {
                        return Poll::Ready(Ok(response));
                    }
                    let (parts, body) = response.into_parts();
                    State::Collecting {
                        parts: Some(parts),
                        body,
                        collected: Collected::default(),
                    }
                }
                // ## Collecting => done
                StateProj::Collecting {
                    parts,
                    body,
                    collected,
                } => {
                    let limit = this.limits.map_or(0, |limits| limits.bytes);
                    let last = ready!(collected.read(body, limit, cx));
                    let bytes = collected.take();
                    let body = match last {
                        None => Body::from(bytes),
                        // Too long, broken, or followed by trailers: it goes on as the stream that it is.
                        Some(frame) => Body::new(Resumed {
                            frames: VecDeque::from([Ok(Frame::data(bytes)), frame]),
                            rest: std::mem::take(body),
                        }),
                    };
                    let parts = parts.take().expect("it is here until the body has ended");
                    return Poll::Ready(Ok(Response::from_parts(parts, body)));
                }
            };
            this.state.set(next);
        }
    }
}

impl<F> fmt::Debug for CollectFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectFuture").finish_non_exhaustive()
    }
}

type AnyFrame = Result<Frame<Bytes>, BoxError>;

/// The bytes so far. A body of one frame is not copied.
#[derive(Default)]
struct Collected {
    first: Bytes,
    all: BytesMut,
}

impl Collected {
    fn len(&self) -> usize {
        self.first.len().max(self.all.len())
    }

    fn push(&mut self, data: Bytes) {
        if self.len() == 0 {
            self.first = data;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&data);
    }

    fn take(&mut self) -> Bytes {
        if self.all.is_empty() {
            std::mem::take(&mut self.first)
        } else {
            std::mem::take(&mut self.all).freeze()
        }
    }

    /// Reads to the end of the body, or to the frame that keeps it from being collected.
    fn read(
        &mut self,
        body: &mut Body,
        limit: u64,
        cx: &mut Context<'_>,
    ) -> Poll<Option<AnyFrame>> {
        loop {
            let frame = match ready!(http_body::Body::poll_frame(Pin::new(body), cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => frame,
            };
            match frame.into_data() {
                Ok(data) if (self.len() + data.len()) as u64 <= limit => self.push(data),
                Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
    }
}

/// What was collected of a body, and then the rest of it.
struct Resumed {
    frames: VecDeque<AnyFrame>,
    rest: Body,
}

impl http_body::Body for Resumed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        while let Some(frame) = self.frames.pop_front() {
            // Nothing may have been collected yet.
            if !matches!(&frame, Ok(frame) if frame.data_ref().is_some_and(Bytes::is_empty)) {
                return Poll::Ready(Some(frame));
            }
        }
        Pin::new(&mut self.rest).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let data = |frame: &AnyFrame| frame.as_ref().ok()?.data_ref().map(Bytes::len);
        let here: usize = self.frames.iter().filter_map(data).sum();
        let here = here as u64;
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(here));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(here)) {
            hint.set_upper(upper);
        }
        hint
    }
}
