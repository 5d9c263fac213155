//! Calls as events of `tracing`, without what is secret.
//!
//! One event per call, when it is over: at the end of the response body, on an error, or when the caller drops it. With
//! [`Detail::Headers`] or [`Detail::Body`] there is another when it begins.
//!
//! # Placement
//!
//! Above redirects and retries for one event per call; below them for one per attempt. Above decompression, bodies can be read.
//!
//! # State
//!
//! None between calls.
//!
//! # Readiness and cancellation
//!
//! Ready when the inner service is. A call that is dropped is logged as such, with how far it got.
//!
//! # Errors
//!
//! None of its own.
//!
//! # What is left out
//!
//! The values of `Authorization`, `Proxy-Authorization`, `Cookie`, `Set-Cookie`, of headers that are marked as sensitive, and of those
//! named by [`redact`](LoggingLayer::redact); the query and the user information of the URI. Bodies are logged only where they are text,
//! and only their beginning.
//!
//! # Differences from tower-http
//!
//! Its `TraceLayer` is for servers and opens spans. This one is for calls: it knows when a body is over and how many bytes it had, and
//! what must not be in a log.

use std::{
    fmt::{self, Write as _},
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bartizan_core::Body;
use bytes::Buf;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Uri, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;
use tracing::Level;

use crate::{HeadersExt as _, error::redacted};

/// How much of a call is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detail {
    /// Method, URI, status, version, time to the head of the response, time to its end, bytes of its body, and how it ended.
    #[default]
    Summary,
    /// The same, and the headers of both.
    Headers,
    /// The same, and this many bytes of both bodies, where they are text. Of a request, only if its body is whole.
    Body(usize),
}

/// Logs each call as an event of `tracing`. See the [module](self) for what is left out.
///
/// # Examples
///
/// ```
/// use bartizan_client::{RequestExt, logging::LoggingLayer};
/// use bartizan_core::{Body, BoxError};
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = service_fn(|_: Request<Body>| async { Ok::<_, BoxError>(Response::new(Body::empty())) });
/// let client = ServiceBuilder::new().layer(LoggingLayer::new()).service(server);
/// // INFO call method=GET uri=http://h/users status=200 version=HTTP/1.1 head_ms=0 total_ms=0 bytes=0 outcome=complete
/// let response = client.get("http://h/users?token=secret").send().await?;
/// assert_eq!(response.status(), 200);
/// # Ok(())
/// # }
/// ```
///
/// At another level, with headers and up to 1 KiB of each body, and one more header left out:
///
/// ```
/// use bartizan_client::logging::{Detail, LoggingLayer};
/// use http::HeaderName;
///
/// let layer = LoggingLayer::new()
///     .level(tracing::Level::DEBUG)
///     .detail(Detail::Body(1024))
///     .redact(HeaderName::from_static("x-api-key"));
/// assert!(format!("{layer:?}").contains("x-api-key"));
/// ```
#[derive(Clone, Debug)]
pub struct LoggingLayer {
    settings: Arc<Settings>,
}

#[derive(Clone, Debug)]
struct Settings {
    level: Level,
    detail: Detail,
    redacted: Vec<HeaderName>,
    shows_query: bool,
}

impl LoggingLayer {
    /// A layer that logs a [`Detail::Summary`] at the level `INFO`.
    pub fn new() -> Self {
        Self {
            settings: Arc::new(Settings {
                level: Level::INFO,
                detail: Detail::Summary,
                redacted: vec![
                    header::AUTHORIZATION,
                    header::PROXY_AUTHORIZATION,
                    header::COOKIE,
                    header::SET_COOKIE,
                ],
                shows_query: false,
            }),
        }
    }

    /// Sets the level of the events.
    ///
    /// Default: `INFO`. Who adds the layer wants to see it.
    #[must_use]
    pub fn level(self, level: Level) -> Self {
        self.with(|settings| settings.level = level)
    }

    /// Sets how much is logged.
    ///
    /// Default: [`Detail::Summary`].
    #[must_use]
    pub fn detail(self, detail: Detail) -> Self {
        self.with(|settings| settings.detail = detail)
    }

    /// Leaves out the values of one more header.
    #[must_use]
    pub fn redact(self, name: HeaderName) -> Self {
        self.with(|settings| settings.redacted.push(name))
    }

    /// Sets whether the query of the URI is logged.
    ///
    /// Default: no, as queries hold keys and names of people.
    #[must_use]
    pub fn show_query(self, shows_query: bool) -> Self {
        self.with(|settings| settings.shows_query = shows_query)
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl Default for LoggingLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for LoggingLayer {
    type Service = LoggingService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        LoggingService {
            inner,
            settings: Arc::clone(&self.settings),
        }
    }
}

/// `tracing` wants its levels to be constants.
macro_rules! event {
    ($level:expr, $($fields:tt)*) => {
        match $level {
            Level::ERROR => tracing::error!($($fields)*),
            Level::WARN => tracing::warn!($($fields)*),
            Level::INFO => tracing::info!($($fields)*),
            Level::DEBUG => tracing::debug!($($fields)*),
            Level::TRACE => tracing::trace!($($fields)*),
        }
    };
}

impl Settings {
    fn is_on(&self) -> bool {
        match self.level {
            Level::ERROR => tracing::enabled!(Level::ERROR),
            Level::WARN => tracing::enabled!(Level::WARN),
            Level::INFO => tracing::enabled!(Level::INFO),
            Level::DEBUG => tracing::enabled!(Level::DEBUG),
            Level::TRACE => tracing::enabled!(Level::TRACE),
        }
    }

    fn uri(&self, uri: &Uri) -> String {
        let mut shown = redacted(uri).to_string();
        if let (true, Some(query)) = (self.shows_query, uri.query()) {
            shown.push('?');
            shown.push_str(query);
        }
        shown
    }

    const fn has_headers(&self) -> bool {
        !matches!(self.detail, Detail::Summary)
    }

    const fn most_of_a_body(&self) -> usize {
        match self.detail {
            Detail::Body(bytes) => bytes,
            Detail::Summary | Detail::Headers => 0,
        }
    }

    fn headers(&self, headers: &HeaderMap) -> String {
        let mut shown = String::new();
        for (name, value) in headers {
            if !shown.is_empty() {
                shown.push_str("; ");
            }
            let _ = if value.is_sensitive() || self.redacted.contains(name) {
                write!(shown, "{name}: <redacted>")
            } else {
                write!(
                    shown,
                    "{name}: {}",
                    String::from_utf8_lossy(value.as_bytes())
                )
            };
        }
        shown
    }

    fn log_request(&self, request: &Request<Body>) {
        let headers = self.headers(request.headers());
        let whole = request
            .body()
            .whole()
            .filter(|_| is_text(request.headers()));
        let most = self.most_of_a_body();
        let body = whole.filter(|_| most > 0).map(|bytes| text_of(bytes, most));
        event!(
            self.level,
            method = %request.method(),
            uri = self.uri(request.uri()),
            headers,
            body = body.as_deref(),
            "request"
        );
    }
}

/// Whether people can read it.
fn is_text(headers: &HeaderMap) -> bool {
    // What is compressed is not.
    if headers.contains_key(header::CONTENT_ENCODING) {
        return false;
    }
    let Some(media_type) = headers.media_type() else {
        return false;
    };
    let lower = media_type.to_ascii_lowercase();
    lower.starts_with("text/")
        || lower.ends_with("+json")
        || lower.ends_with("+xml")
        || [
            "application/json",
            "application/xml",
            "application/x-www-form-urlencoded",
            "application/x-ndjson",
        ]
        .contains(&&*lower)
}

fn text_of(bytes: &[u8], most: usize) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(most)]).into_owned()
}

/// The service of a [`LoggingLayer`].
#[derive(Clone, Debug)]
pub struct LoggingService<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> LoggingService<S> {
    /// Logs the calls of `inner`, with every default.
    pub fn new(inner: S) -> Self {
        LoggingLayer::new().layer(inner)
    }
}

impl<S, B> Service<Request<Body>> for LoggingService<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: fmt::Display,
    B: HttpBody,
{
    type Response = Response<LoggedBody<B>>;
    type Error = S::Error;
    type Future = LoggingFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let record = self.settings.is_on().then(|| {
            if self.settings.has_headers() {
                self.settings.log_request(&request);
            }
            Box::new(Record {
                settings: Arc::clone(&self.settings),
                method: request.method().clone(),
                uri: request.uri().clone(),
                started: Instant::now(),
                response: None,
                bytes: 0,
                body: None,
                outcome: Outcome::Dropped,
            })
        });
        LoggingFuture {
            inner: self.inner.call(request),
            record,
        }
    }
}

/// What is known of a call. It is logged when this is dropped, and so exactly once.
#[derive(Debug)]
struct Record {
    settings: Arc<Settings>,
    method: Method,
    uri: Uri,
    started: Instant,
    response: Option<Head>,
    bytes: u64,
    /// The beginning of the body, if that is logged.
    body: Option<Vec<u8>>,
    outcome: Outcome,
}

#[derive(Debug)]
struct Head {
    status: StatusCode,
    version: Version,
    headers: Option<String>,
    after_ms: u128,
}

#[derive(Debug)]
enum Outcome {
    Complete,
    Failed(String),
    Dropped,
}

impl Drop for Record {
    fn drop(&mut self) {
        let total_ms = self.started.elapsed().as_millis();
        // What is `None` is no field of the event.
        let (outcome, error) = match &self.outcome {
            Outcome::Complete => ("complete", None),
            Outcome::Failed(error) => ("failed", Some(&**error)),
            Outcome::Dropped => ("dropped", None),
        };
        let uri = self.settings.uri(&self.uri);
        let method = &self.method;
        let Some(head) = &self.response else {
            event!(self.settings.level, %method, uri, total_ms, outcome, error, "call");
            return;
        };
        let (status, version) = (head.status.as_u16(), head.version);
        let (head_ms, headers) = (head.after_ms, head.headers.as_deref());
        let body = self.body.as_ref();
        let body = body.map(|body| text_of(body, self.settings.most_of_a_body()));
        event!(
            self.settings.level,
            %method, uri, status, ?version, head_ms, total_ms, bytes = self.bytes, outcome, error, headers,
            body = body.as_deref(), "call"
        );
    }
}

pin_project! {
    /// The response of a [`LoggingService`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct LoggingFuture<F> {
        #[pin]
        inner: F,
        record: Option<Box<Record>>,
    }
}

impl<F, B, E> Future for LoggingFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: fmt::Display,
    B: HttpBody,
{
    type Output = Result<Response<LoggedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        let mut record = this.record.take();
        Poll::Ready(match result {
            Ok(response) => {
                if let Some(record) = &mut record {
                    record.on_head(&response);
                }
                if response.body().is_end_stream() {
                    if let Some(mut record) = record.take() {
                        record.outcome = Outcome::Complete;
                    }
                }
                Ok(response.map(|inner| LoggedBody { inner, record }))
            }
            Err(error) => {
                if let Some(record) = &mut record {
                    record.outcome = Outcome::Failed(error.to_string());
                }
                Err(error)
            }
        })
    }
}

impl Record {
    fn on_head<B>(&mut self, response: &Response<B>) {
        let has_headers = self.settings.has_headers();
        let headers = has_headers.then(|| self.settings.headers(response.headers()));
        self.response = Some(Head {
            status: response.status(),
            version: response.version(),
            headers,
            after_ms: self.started.elapsed().as_millis(),
        });
        if self.settings.most_of_a_body() > 0 && is_text(response.headers()) {
            self.body = Some(Vec::new());
        }
    }

    fn on_data(&mut self, data: &impl Buf) {
        self.bytes += data.remaining() as u64;
        if let Some(body) = &mut self.body {
            let room = self.settings.most_of_a_body().saturating_sub(body.len());
            // The first piece of each frame: frames are nearly always one piece.
            let chunk = data.chunk();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
    }
}

pin_project! {
    /// A response body whose call is logged when it is over.
    #[derive(Debug)]
    pub struct LoggedBody<B> {
        #[pin]
        inner: B,
        record: Option<Box<Record>>,
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
