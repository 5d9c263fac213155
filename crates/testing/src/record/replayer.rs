//! The service that answers from a recording.

use std::{
    error::Error,
    fmt, fs, io,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bartizan_core::{Body, BoxError};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri, Version};
use http_body_util::BodyExt;
use tower_service::Service;

use super::{
    exchange::{Exchange, Preamble, VERSION, read_headers, read_version},
    redact::Redaction,
};
use crate::{Answer, ProbeError, panics};

/// Answers from a recording, in place of a transport. See [`record`](super).
///
/// A request is answered by the first exchange that was not used yet and has its method and its URI, both without secrets. So the same
/// request twice needs two exchanges, and gets them in the order in which they were recorded.
#[derive(Clone)]
pub struct Replayer {
    shared: Arc<Shared>,
    by_body: bool,
    any_host: bool,
}

struct Shared {
    redaction: Redaction,
    exchanges: Vec<Played>,
    used: Mutex<Vec<bool>>,
}

/// An exchange, ready to be played.
struct Played {
    method: String,
    uri: String,
    asked: Bytes,
    status: StatusCode,
    version: Version,
    headers: HeaderMap,
    body: Bytes,
    trailers: HeaderMap,
    incomplete: bool,
}

impl Replayer {
    /// Reads a recording from a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is no recording. The error names the line.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::parse(&fs::read_to_string(path)?)
    }

    /// Reads a recording from a text, as `include_str!` has it.
    ///
    /// # Errors
    ///
    /// If it is no recording. The error names the line.
    pub fn parse(recording: &str) -> io::Result<Self> {
        let mut lines = (1..).zip(recording.lines());
        let (_, first) = lines.next().unwrap_or((1, ""));
        let preamble: Preamble = serde_json::from_str(first).map_err(|error| invalid(1, error))?;
        if preamble.recording != VERSION {
            let unknown = format!("version {} is not one that is known", preamble.recording);
            return Err(invalid(1, unknown));
        }
        let mut exchanges = Vec::new();
        for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let exchange: Exchange =
                serde_json::from_str(line).map_err(|error| invalid(number, error))?;
            exchanges.push(
                Played::new(&exchange)
                    .map_err(|what| invalid(number, format!("the {what} is none")))?,
            );
        }
        Ok(Self {
            shared: Arc::new(Shared {
                redaction: Redaction::of_fields(preamble.redacted_fields),
                used: Mutex::new(vec![false; exchanges.len()]),
                exchanges,
            }),
            by_body: false,
            any_host: false,
        })
    }

    /// Has the request's body match too, without its secrets. It is compared byte for byte.
    #[must_use]
    pub const fn match_body(mut self) -> Self {
        self.by_body = true;
        self
    }

    /// Compares only the path and the query of URIs: for recordings of a server whose port is another each time.
    #[must_use]
    pub const fn any_host(mut self) -> Self {
        self.any_host = true;
        self
    }

    /// The exchanges that no request has used yet: method and URI.
    pub fn unused(&self) -> Vec<String> {
        let used = panics::lock(&self.shared.used);
        let unused = self
            .shared
            .exchanges
            .iter()
            .zip(&*used)
            .filter(|(_, used)| !**used);
        unused.map(|(exchange, _)| exchange.to_string()).collect()
    }

    /// Panics unless every exchange was used: at the end of a test whose calls are to be those of the recording, and no fewer.
    ///
    /// # Panics
    ///
    /// That is what it is for. The message names the exchanges.
    #[track_caller]
    pub fn assert_all_used(&self) {
        let unused = self.unused();
        assert!(
            unused.is_empty(),
            "no request used these recorded exchanges:\n  {}",
            unused.join("\n  ")
        );
    }

    fn find(&self, request: &Request<Bytes>) -> Result<&Played, Unrecorded> {
        let Shared {
            redaction,
            exchanges,
            used,
        } = &*self.shared;
        let method = request.method().as_str();
        let uri = redaction.uri(request.uri());
        let body = redaction.body(request.headers(), request.body());
        let mut used = panics::lock(used);
        let mut near = Vec::new();
        for (exchange, used) in exchanges.iter().zip(used.iter_mut()) {
            let same_uri = if self.any_host {
                target(&exchange.uri) == target(&uri)
            } else {
                exchange.uri == uri
            };
            let why = if exchange.method != method {
                "another method"
            } else if !same_uri {
                "another URI"
            } else if self.by_body && exchange.asked != body {
                "another body"
            } else if *used {
                "used already"
            } else {
                *used = true;
                return Ok(exchange);
            };
            near.push((exchange.to_string(), why));
        }
        Err(Unrecorded {
            request: format!("{method} {uri}"),
            exchanges: near,
        })
    }
}

/// The path and the query of a URI.
fn target(uri: &str) -> &str {
    let after_scheme = uri.find("://").map_or(0, |at| at + 3);
    let path = uri[after_scheme..]
        .find('/')
        .map_or(uri.len(), |at| after_scheme + at);
    &uri[path..]
}

fn invalid(line: usize, why: impl fmt::Display) -> io::Error {
    let message = format!("line {line} of the recording: {why}");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

impl Played {
    /// Fails with the name of what is wrong.
    fn new(exchange: &Exchange) -> Result<Self, &'static str> {
        let Exchange { request, response } = exchange;
        Ok(Self {
            method: request.method.clone(),
            // As it is compared: a missing slash after the host goes without saying.
            uri: match request.uri.parse::<Uri>() {
                Ok(uri) => Redaction::NONE.uri(&uri),
                Err(_) => return Err("URI of the request"),
            },
            asked: request.body.bytes().ok_or("body of the request")?,
            status: StatusCode::from_u16(response.status).map_err(|_| "status of the response")?,
            version: read_version(response.version.as_deref()).ok_or("version of the response")?,
            headers: read_headers(&response.headers).ok_or("head of the response")?,
            body: response.body.bytes().ok_or("body of the response")?,
            trailers: read_headers(&response.trailers).ok_or("trailer of the response")?,
            incomplete: response.incomplete,
        })
    }

    async fn play(&self) -> Result<Response<Body>, BoxError> {
        let mut answer = Answer::new(self.status.as_u16(), self.body.clone()).version(self.version);
        if self.incomplete {
            let more = "the recording ends here, and the response did not";
            answer = answer.break_off(ProbeError::new(more));
        } else if !self.trailers.is_empty() {
            answer = answer.trailers(self.trailers.clone());
        }
        let mut response = answer.play().await?;
        *response.headers_mut() = self.headers.clone();
        Ok(response)
    }
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.uri)
    }
}

impl<B> Service<Request<B>> for Replayer
where
    B: http_body::Body<Data: Send> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = ReplayFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ReplayFuture {
        let this = self.clone();
        ReplayFuture(Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(Into::into)?.to_bytes();
            this.find(&Request::from_parts(head, body))?.play().await
        }))
    }
}

/// The response future of a [`Replayer`].
#[must_use = "futures do nothing unless polled"]
pub struct ReplayFuture(Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>);

impl Future for ReplayFuture {
    type Output = Result<Response<Body>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

/// A request that the recording has no exchange for, or none that is left. Its message says, for each exchange, why it is not the one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unrecorded {
    request: String,
    exchanges: Vec<(String, &'static str)>,
}

impl fmt::Display for Unrecorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the recording has no answer for {}: record it again",
            self.request
        )?;
        for (exchange, why) in &self.exchanges {
            write!(f, "\n  {exchange}: {why}")?;
        }
        Ok(())
    }
}

impl Error for Unrecorded {}

impl fmt::Debug for Replayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replayer")
            .field("exchanges", &self.shared.exchanges.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ReplayFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayFuture").finish_non_exhaustive()
    }
}
