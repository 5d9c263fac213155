//! The events of a call: when it begins, and when it is over.

use std::sync::Arc;

use bartizan_core::Body;
use bytes::Buf;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use tokio::time::Instant;
use tracing::Level;

use super::settings::{Settings, is_text, text_of};

/// What filters know the events by, whichever file they come from.
const TARGET: &str = "bartizan_client::logging";

/// `tracing` wants its levels to be constants.
macro_rules! event {
    ($level:expr, $($fields:tt)*) => {
        match $level {
            Level::ERROR => tracing::error!(target: TARGET, $($fields)*),
            Level::WARN => tracing::warn!(target: TARGET, $($fields)*),
            Level::INFO => tracing::info!(target: TARGET, $($fields)*),
            Level::DEBUG => tracing::debug!(target: TARGET, $($fields)*),
            Level::TRACE => tracing::trace!(target: TARGET, $($fields)*),
        }
    };
}

impl Settings {
    pub(super) fn is_on(&self) -> bool {
        match self.level {
            Level::ERROR => tracing::enabled!(target: TARGET, Level::ERROR),
            Level::WARN => tracing::enabled!(target: TARGET, Level::WARN),
            Level::INFO => tracing::enabled!(target: TARGET, Level::INFO),
            Level::DEBUG => tracing::enabled!(target: TARGET, Level::DEBUG),
            Level::TRACE => tracing::enabled!(target: TARGET, Level::TRACE),
        }
    }

    pub(super) fn log_request(&self, request: &Request<Body>) {
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

/// What is known of a call. It is logged when this is dropped, and so exactly once.
#[derive(Debug)]
pub(super) struct Record {
    settings: Arc<Settings>,
    method: Method,
    uri: Uri,
    started: Instant,
    response: Option<Head>,
    bytes: u64,
    /// The beginning of the body, if that is logged.
    body: Option<Vec<u8>>,
    pub(super) outcome: Outcome,
}

#[derive(Debug)]
struct Head {
    status: StatusCode,
    version: Version,
    headers: Option<String>,
    after_ms: u128,
}

#[derive(Debug)]
pub(super) enum Outcome {
    Complete,
    Failed(String),
    Dropped,
}

impl Record {
    pub(super) fn new(settings: &Arc<Settings>, request: &Request<Body>) -> Self {
        Self {
            settings: Arc::clone(settings),
            method: request.method().clone(),
            uri: request.uri().clone(),
            started: Instant::now(),
            response: None,
            bytes: 0,
            body: None,
            outcome: Outcome::Dropped,
        }
    }

    pub(super) fn on_head<B>(&mut self, response: &Response<B>) {
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

    pub(super) fn on_data(&mut self, data: &impl Buf) {
        self.bytes += data.remaining() as u64;
        if let Some(body) = &mut self.body {
            let room = self.settings.most_of_a_body().saturating_sub(body.len());
            // The first piece of each frame: frames are nearly always one piece.
            let chunk = data.chunk();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
    }
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
