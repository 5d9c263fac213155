//! What a mock answers.

use std::{
    collections::VecDeque,
    error::Error,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_core::{Body, BoxError};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// One answer of a [`MockTransport`](super::MockTransport): a response, an error, or nothing at all. It can be given any number of
/// times.
///
/// ```
/// use bartizan_testing::{Answer, ProbeError};
/// use std::time::Duration;
///
/// let tick = Duration::from_secs(1);
/// let script = [
///     Answer::new(200, r#"{"id":7}"#).header("content-type", "application/json"),
///     Answer::status(503).header("retry-after", "2").after(tick),
///     Answer::fail(ProbeError::new("connection refused")),
///     Answer::hang(),
///     Answer::stream(200, [(tick, "one"), (tick, "two")]),
///     Answer::new(200, "half").break_off(ProbeError::new("reset")),
/// ];
/// # assert_eq!(script.len(), 6);
/// ```
#[derive(Clone)]
pub struct Answer {
    delay: Duration,
    head: Head,
    parts: Vec<(Duration, Bytes)>,
    end: End,
}

#[derive(Clone)]
enum Head {
    Response {
        status: StatusCode,
        version: Version,
        headers: HeaderMap,
    },
    Error(Failure),
    Never,
}

/// How the body ends.
#[derive(Clone)]
enum End {
    Whole,
    Trailers(HeaderMap),
    Error(Failure),
    Never,
}

type Failure = Arc<dyn Fn() -> BoxError + Send + Sync>;

fn failure(error: impl Error + Clone + Send + Sync + 'static) -> Failure {
    Arc::new(move || error.clone().into())
}

impl Answer {
    /// A response with that status and body.
    ///
    /// # Panics
    ///
    /// If `status` is none: it has three digits.
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self::stream(status, [(Duration::ZERO, body)])
    }

    /// A response with that status and an empty body.
    ///
    /// # Panics
    ///
    /// If `status` is none: it has three digits.
    pub fn status(status: u16) -> Self {
        Self::new(status, Bytes::new())
    }

    /// A response whose body comes piece by piece, each after this much of tokio's time since the piece before it.
    ///
    /// # Panics
    ///
    /// If `status` is none: it has three digits.
    pub fn stream<B: Into<Bytes>>(
        status: u16,
        parts: impl IntoIterator<Item = (Duration, B)>,
    ) -> Self {
        let Ok(status) = StatusCode::from_u16(status) else {
            panic!("{status} is not a status code");
        };
        let parts = parts.into_iter().map(|(gap, part)| (gap, part.into()));
        Self {
            delay: Duration::ZERO,
            head: Head::Response {
                status,
                version: Version::HTTP_11,
                headers: HeaderMap::new(),
            },
            parts: parts
                .filter(|(gap, part)| !(gap.is_zero() && part.is_empty()))
                .collect(),
            end: End::Whole,
        }
    }

    /// No response: the call fails with `error`.
    pub fn fail(error: impl Error + Clone + Send + Sync + 'static) -> Self {
        Self::without_response(Head::Error(failure(error)))
    }

    /// No response, ever. The call ends when the caller drops it.
    pub const fn hang() -> Self {
        Self::without_response(Head::Never)
    }

    const fn without_response(head: Head) -> Self {
        Self {
            delay: Duration::ZERO,
            head,
            parts: Vec::new(),
            end: End::Whole,
        }
    }

    /// Adds a header. Those that are there stay. There are none by themselves: no `Content-Length` and no `Date`.
    ///
    /// # Panics
    ///
    /// If the name or the value is none that HTTP allows, or if there is no response.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>())
        else {
            panic!("`{name}: {value}` is not a header");
        };
        match &mut self.head {
            Head::Response { headers, .. } => headers.append(name, value),
            Head::Error(_) | Head::Never => panic!("an answer without a response has no headers"),
        };
        self
    }

    /// Says that the response came by that version of HTTP. HTTP/1.1 unless set.
    ///
    /// # Panics
    ///
    /// If there is no response.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        match &mut self.head {
            Head::Response { version: its, .. } => *its = version,
            Head::Error(_) | Head::Never => panic!("an answer without a response has no version"),
        }
        self
    }

    /// Ends the body with trailers. Of this, [`break_off`](Self::break_off) and [`never_end`](Self::never_end) the last one said counts;
    /// without a response none does.
    #[must_use]
    pub fn trailers(mut self, trailers: HeaderMap) -> Self {
        self.end = End::Trailers(trailers);
        self
    }

    /// Breaks the body off with `error`, after what there is of it.
    #[must_use]
    pub fn break_off(mut self, error: impl Error + Clone + Send + Sync + 'static) -> Self {
        self.end = End::Error(failure(error));
        self
    }

    /// Sends what there is of the body, and then neither more nor the end.
    #[must_use]
    pub fn never_end(mut self) -> Self {
        self.end = End::Never;
        self
    }

    /// Answers, or fails, only when this much of tokio's time has passed since the request was received, paused time included.
    #[must_use]
    pub const fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    pub(crate) async fn play(self) -> Result<Response<Body>, BoxError> {
        if !self.delay.is_zero() {
            sleep(self.delay).await;
        }
        let (status, version, headers) = match self.head {
            Head::Response {
                status,
                version,
                headers,
            } => (status, version, headers),
            Head::Error(error) => return Err(error()),
            Head::Never => std::future::pending().await,
        };
        let body = match (&self.parts[..], &self.end) {
            ([], End::Whole) => Body::empty(),
            // Whole, so that layers which can send or keep such a body see one.
            ([(Duration::ZERO, whole)], End::Whole) => whole.clone().into(),
            _ => Body::new(Played {
                parts: self.parts.into(),
                gap: None,
                end: Some(self.end),
            }),
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.version_mut() = version;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

/// A body that is played from a script.
struct Played {
    parts: VecDeque<(Duration, Bytes)>,
    gap: Option<Pin<Box<Sleep>>>,
    /// `None` once it is over.
    end: Option<End>,
}

impl http_body::Body for Played {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Some((gap, _)) = this.parts.front() {
            if !gap.is_zero() {
                // From the first poll after the piece before: a reader that is slow gets no piece sooner for it.
                let gap = this.gap.get_or_insert_with(|| Box::pin(sleep(*gap)));
                ready!(gap.as_mut().poll(cx));
                this.gap = None;
            }
        }
        if let Some((_, part)) = this.parts.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        if let Some(End::Never) = this.end {
            return Poll::Pending;
        }
        Poll::Ready(match this.end.take() {
            Some(End::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(End::Error(error)) => Some(Err(error())),
            _ => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_empty() && matches!(self.end, None | Some(End::Whole))
    }

    fn size_hint(&self) -> SizeHint {
        // A stream of unknown length, as a chunked response is.
        SizeHint::default()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Answer");
        match &self.head {
            Head::Response { status, .. } => debug.field("status", status),
            Head::Error(error) => debug.field("error", &error()),
            Head::Never => debug.field("hangs", &true),
        };
        debug.finish_non_exhaustive()
    }
}
