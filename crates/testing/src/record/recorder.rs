//! The layer that writes.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use bartizan_core::{Body, BoxError};
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, Request, Response, header::CONTENT_LENGTH, request, response};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    exchange::{Answered, Asked, Data, Exchange, Preamble, VERSION, write_version},
    redact::Redaction,
};
use crate::panics;

/// Writes each exchange that passes to a file, without its secrets. See [`record`](super).
#[derive(Clone, Debug)]
pub struct RecorderLayer {
    tape: Arc<Tape>,
}

/// Collects what a [`RecorderLayer`] hides, and how much it keeps.
#[derive(Clone, Debug)]
#[must_use = "it is `create` that makes the layer"]
pub struct RecorderBuilder {
    redaction: Redaction,
    limit: usize,
}

#[derive(Debug)]
struct Tape {
    redaction: Redaction,
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    written: usize,
    failure: Option<io::Error>,
}

impl RecorderLayer {
    /// Writes to a new file there, or over the one that is there, with every default of [`RecorderBuilder`].
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::builder().create(path)
    }

    /// Changes some of the defaults.
    pub fn builder() -> RecorderBuilder {
        RecorderBuilder {
            redaction: Redaction::default(),
            limit: 1024 * 1024,
        }
    }

    /// How many exchanges were written so far. Exchanges whose bodies are still on their way are yet to come.
    ///
    /// # Errors
    ///
    /// The first error of writing, once. What came after it is not in the file.
    pub fn finish(&self) -> io::Result<usize> {
        let mut state = panics::lock(&self.tape.state);
        match state.failure.take() {
            Some(error) => Err(error),
            None => Ok(state.written),
        }
    }
}

impl RecorderBuilder {
    /// Hides that header too.
    ///
    /// # Panics
    ///
    /// If `name` is no header's name.
    pub fn redact_header(mut self, name: &str) -> Self {
        let Ok(name) = name.parse::<HeaderName>() else {
            panic!("`{name}` is not the name of a header");
        };
        self.redaction.headers.push(name);
        self
    }

    /// Hides the values of that field too, in any case: in queries, forms and JSON bodies.
    pub fn redact_field(mut self, name: impl Into<String>) -> Self {
        self.redaction.fields.push(name.into());
        self
    }

    /// Hides nothing but the user information of URIs, not even what was named before: for peers whose secrets are none.
    pub fn without_redaction(mut self) -> Self {
        self.redaction = Redaction::NONE;
        self
    }

    /// How many bytes of each body are kept. Default: 1 MiB, which is more than anybody reads. A body that is longer still passes
    /// whole; a replayed response breaks off where the recording does.
    pub const fn body_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// The layer. Writes to a new file there, or over the one that is there.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn create(self, path: impl AsRef<Path>) -> io::Result<RecorderLayer> {
        let mut file = File::create(path)?;
        let preamble = Preamble {
            recording: VERSION,
            redacted_fields: self.redaction.fields.clone(),
        };
        let mut line = serde_json::to_vec(&preamble)?;
        line.push(b'\n');
        file.write_all(&line)?;
        Ok(RecorderLayer {
            tape: Arc::new(Tape {
                redaction: self.redaction,
                limit: self.limit,
                state: Mutex::new(State {
                    file,
                    written: 0,
                    failure: None,
                }),
            }),
        })
    }
}

impl Tape {
    fn write(&self, exchange: &Exchange) {
        let mut state = panics::lock(&self.state);
        if state.failure.is_some() {
            return;
        }
        let written = serde_json::to_vec(exchange).map_err(io::Error::from);
        let written = written.and_then(|mut line| {
            line.push(b'\n');
            // At once, so that a line is whole if the process ends.
            state.file.write_all(&line)
        });
        match written {
            Ok(()) => state.written += 1,
            Err(error) => state.failure = Some(error),
        }
    }
}

impl<S> Layer<S> for RecorderLayer {
    type Service = Recorder<S>;

    fn layer(&self, inner: S) -> Recorder<S> {
        Recorder {
            inner,
            tape: self.tape.clone(),
        }
    }
}

/// Writes each exchange that passes. See [`record`](super).
#[derive(Clone, Debug)]
pub struct Recorder<S> {
    inner: S,
    tape: Arc<Tape>,
}

impl<S, B, RB> Service<Request<B>> for Recorder<S>
where
    S: Service<Request<Body>, Response = Response<RB>>,
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError>,
    RB: http_body::Body,
{
    type Response = Response<RecordedBody<RB>>;
    type Error = S::Error;
    type Future = RecorderFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        let recorded = Recorded(Arc::new(Draft {
            tape: self.tape.clone(),
            asked: head.clone(),
            state: Mutex::default(),
        }));
        // Boxed, so that whatever takes a `Request<Body>` can be recorded.
        let body = Body::new(RecordedBody::new(body, recorded.clone(), Side::Request));
        RecorderFuture {
            response: self.inner.call(Request::from_parts(head, body)),
            recorded: Some(recorded),
        }
    }
}

pin_project! {
    /// The response future of a [`Recorder`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct RecorderFuture<F> {
        #[pin]
        response: F,
        recorded: Option<Recorded>,
    }
}

impl<F, RB, E> Future for RecorderFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    RB: http_body::Body,
{
    type Output = Result<Response<RecordedBody<RB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answered = ready!(this.response.poll(cx));
        let recorded = this
            .recorded
            .take()
            .expect("a future is not polled after it answered");
        Poll::Ready(answered.map(|response| {
            let (head, body) = response.into_parts();
            panics::lock(&recorded.0.state).answered = Some(head.clone());
            let body = RecordedBody::new(body, recorded, Side::Response);
            Response::from_parts(head, body)
        }))
    }
}

/// An exchange that is not over. It is written when the last body that copies into it is gone.
#[derive(Clone, Debug)]
struct Recorded(Arc<Draft>);

#[derive(Debug)]
struct Draft {
    tape: Arc<Tape>,
    asked: request::Parts,
    state: Mutex<DraftState>,
}

#[derive(Debug, Default)]
struct DraftState {
    answered: Option<response::Parts>,
    request: Copied,
    response: Copied,
}

/// What was seen of a body.
#[derive(Debug, Default)]
struct Copied {
    bytes: BytesMut,
    trailers: HeaderMap,
    ended: bool,
    /// Whether there was more than is kept.
    over: bool,
}

#[derive(Clone, Copy, Debug)]
enum Side {
    Request,
    Response,
}

impl DraftState {
    const fn side(&mut self, side: Side) -> &mut Copied {
        match side {
            Side::Request => &mut self.request,
            Side::Response => &mut self.response,
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let state = std::mem::take(&mut *panics::lock(&self.state));
        let Some(head) = state.answered else {
            return;
        };
        let redaction = &self.tape.redaction;
        let (asked, answered) = (state.request, state.response);
        let incomplete = (!asked.ended || asked.over, !answered.ended || answered.over);
        let body = redaction.body(&self.asked.headers, &asked.bytes.freeze());
        let request = Asked {
            method: self.asked.method.to_string(),
            uri: redaction.uri(&self.asked.uri),
            headers: redaction.headers(&self.asked.headers),
            body: Data::of(&body),
            incomplete: incomplete.0,
        };
        let whole = answered.bytes.freeze();
        let body = redaction.body(&head.headers, &whole);
        let mut headers = head.headers;
        // A response that says how long it is has to say so of what is played.
        if body.len() != whole.len() && headers.contains_key(CONTENT_LENGTH) {
            headers.insert(CONTENT_LENGTH, body.len().into());
        }
        let response = Answered {
            status: head.status.as_u16(),
            version: write_version(head.version),
            headers: redaction.headers(&headers),
            body: Data::of(&body),
            trailers: redaction.headers(&answered.trailers),
            incomplete: incomplete.1,
        };
        self.tape.write(&Exchange { request, response });
    }
}

impl Recorded {
    fn copy<E>(&self, side: Side, frame: Option<&Result<Frame<Bytes>, E>>, ended: bool) {
        let mut state = panics::lock(&self.0.state);
        let copied = state.side(side);
        copied.ended |= ended;
        // One that broke off has not ended.
        let Some(Ok(frame)) = frame else {
            return;
        };
        if let Some(data) = frame.data_ref() {
            let room = self.0.tape.limit.saturating_sub(copied.bytes.len());
            copied.over |= data.len() > room;
            copied
                .bytes
                .extend_from_slice(&data[..data.len().min(room)]);
        } else if let Some(trailers) = frame.trailers_ref() {
            copied.trailers.extend(trailers.clone());
            copied.ended = true;
        }
    }
}

pin_project! {
    /// A body that is copied as it passes.
    #[derive(Debug)]
    pub struct RecordedBody<B> {
        #[pin]
        body: B,
        recorded: Recorded,
        side: Side,
    }
}

impl<B: http_body::Body> RecordedBody<B> {
    fn new(body: B, recorded: Recorded, side: Side) -> Self {
        // Nobody reads a body that says it has ended.
        if body.is_end_stream() {
            recorded.copy::<B::Error>(side, None, true);
        }
        Self {
            body,
            recorded,
            side,
        }
    }
}

impl<B: http_body::Body> http_body::Body for RecordedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        let frame = frame.map(|frame| {
            frame.map(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())))
        });
        // After a frame, that is: a body may say that it has ended with an error, too.
        let ended = match &frame {
            None => true,
            Some(Ok(_)) => this.body.is_end_stream(),
            Some(Err(_)) => false,
        };
        this.recorded.copy(*this.side, frame.as_ref(), ended);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
