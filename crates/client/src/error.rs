//! The one error of this crate.

use std::{borrow::Cow, error, fmt, sync::Arc};

use bartizan_core::{Attempt, BoxError, Rejection, RejectionKind, find};
use bytes::Bytes;
use http::{Extensions, HeaderMap, Method, StatusCode, Uri};

pub(crate) use crate::call::{Call, redacted, redacted_text};

use crate::pool::ConnectionInfo;

/// Why a call came to nothing: it could not be built, sent, answered, or read.
///
/// One type for the whole crate, and for the layers of the others when they stack over a [`Transport`](crate::Transport): it is
/// made from their [`Rejection`], so nothing is boxed between them. What happened is asked by predicates, of which more than one
/// may hold: a connect timeout [is a timeout](Self::is_timeout), and [a failed connect](Self::is_connect), and
/// [unsent](Self::is_unsent).
///
/// The message names the call and what to do; the cause is in [`source`](error::Error::source), and its text is not repeated. The
/// query and the user information of the URI appear nowhere, as they may be secret.
///
/// ```
/// use bartizan_client::{RequestExt, Transport};
/// use std::error::Error as _;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let error = Transport::new().get("http://nowhere.invalid/users?key=secret").send().await.unwrap_err();
/// assert!(error.is_dns() && error.is_unsent() && !error.is_timeout());
/// assert_eq!(
///     error.to_string(),
///     "GET http://nowhere.invalid/users: `nowhere.invalid` does not resolve; check the name"
/// );
/// assert!(error.source().is_some());
/// # }
/// ```
///
/// What a layer above refuses:
///
/// ```
/// use bartizan_client::Error;
/// use bartizan_core::{Rejection, RejectionKind, find};
///
/// let open = Error::from(Rejection::new(RejectionKind::Open, "breaker"));
/// assert!(open.is_unsent());
/// assert_eq!(find::<Rejection>(&open).map(Rejection::layer), Some("breaker"));
///
/// let late = Error::from(Rejection::new(RejectionKind::TimedOut, "timeout"));
/// assert!(late.is_timeout() && !late.is_unsent());
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    message: Cow<'static, str>,
    call: Option<Call>,
    connection: Option<ConnectionInfo>,
    response: Option<Answer>,
    /// What the layers have learnt of the call, where there was a response to learn it from.
    extensions: Extensions,
    source: Option<BoxError>,
}

/// What is kept of a response that was made an error.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Option<Bytes>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "each is made where its feature is")]
pub(crate) enum Kind {
    /// The request is no request, or none that can be sent.
    Builder,
    /// The pool has as many connections as it may, and as many callers waiting.
    QueueFull,
    /// The pool had no connection in time.
    AcquireTimeout,
    Dns,
    DnsTimeout,
    Connect,
    ConnectTimeout,
    Proxy,
    ProxyTimeout,
    Tls,
    TlsTimeout,
    /// The connection was lost, and the request is known not to have been written to it.
    Unsent,
    /// The connection was lost, and the peer may have acted on the request.
    Exchange,
    WriteTimeout,
    FirstByteTimeout,
    /// The head of the response is larger than allowed.
    HeadTooLarge,
    Redirect,
    Body,
    ReadTimeout,
    TooLarge,
    /// Time ran out for the whole call.
    Deadline,
    Decode,
    Status,
    /// The response could not be written to a file.
    Save,
    /// A layer refused. The source is its [`Rejection`].
    Rejected,
    /// A service that is not ours failed before it took the request.
    NotReady,
    /// A service that is not ours failed.
    Service,
}

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            call: None,
            connection: None,
            response: None,
            extensions: Extensions::new(),
            source: None,
        }))
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Says which call it was, unless the error knows already: the one closest to the wire knows best.
    pub(crate) fn with_call(mut self, call: Option<Call>) -> Self {
        self.0.call = self.0.call.or(call.map(Call::redacted));
        self
    }

    pub(crate) fn with_response(mut self, status: StatusCode, headers: HeaderMap) -> Self {
        self.0.response = Some(Answer {
            status,
            headers,
            body: None,
        });
        self
    }

    /// Keeps what there is of the body, where the error has a response.
    pub(crate) fn with_body(mut self, body: Bytes) -> Self {
        if let Some(answer) = &mut self.0.response {
            answer.body = Some(body);
        }
        self
    }

    /// Keeps what the layers have learnt of the call, unless the error has that already.
    pub(crate) fn with_extensions(mut self, extensions: Extensions) -> Self {
        if self.0.extensions.is_empty() {
            self.0.extensions = extensions;
        }
        self
    }

    /// Says which connection it was.
    pub(crate) fn with_connection(mut self, connection: ConnectionInfo) -> Self {
        self.0.connection = Some(connection);
        self
    }

    /// The error of one attempt to connect, for one of the calls that waited for it.
    pub(crate) fn of_failure(failure: Arc<Self>) -> Self {
        match Arc::try_unwrap(failure) {
            Ok(only) => only,
            Err(shared) => {
                let error = Self::new(shared.0.kind, shared.0.message.clone());
                error.with_source(SharedFailure(shared))
            }
        }
    }

    pub(crate) fn broken_body(source: impl Into<BoxError>) -> Self {
        Self::new(Kind::Body, "the response body broke off").with_source(source)
    }

    /// The error of any response body: ours as it is, and any other as the source of one.
    pub(crate) fn of_body(error: BoxError) -> Self {
        match error.downcast::<Self>() {
            Ok(ours) => *ours,
            Err(other) => Self::broken_body(other),
        }
    }

    /// The error of any service: ours as it is, a rejection as ours, and any other as the source of one.
    pub(crate) fn of_service(error: BoxError, kind: Kind) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(ours) => return *ours,
            Err(other) => other,
        };
        match error.downcast::<Rejection>() {
            Ok(rejection) => Self::from(*rejection),
            Err(other) => Self::new(
                kind,
                match kind {
                    Kind::NotReady => "the service is not ready, and will not be",
                    _ => "the service failed",
                },
            )
            .with_source(other),
        }
    }

    /// Whether there was no connection to be had: the name did not resolve, nothing answered, or not in time.
    pub fn is_connect(&self) -> bool {
        self.is_one_of(&[
            Kind::Dns,
            Kind::DnsTimeout,
            Kind::Connect,
            Kind::ConnectTimeout,
            Kind::Proxy,
            Kind::ProxyTimeout,
            Kind::Tls,
            Kind::TlsTimeout,
        ])
    }

    /// How far the call got.
    pub fn phase(&self) -> Phase {
        match self.ours().0.kind {
            Kind::Builder => Phase::Build,
            Kind::QueueFull | Kind::AcquireTimeout => Phase::Acquire,
            Kind::Dns | Kind::DnsTimeout => Phase::Resolve,
            Kind::Connect | Kind::ConnectTimeout => Phase::Connect,
            Kind::Proxy | Kind::ProxyTimeout => Phase::Proxy,
            Kind::Tls | Kind::TlsTimeout => Phase::Tls,
            Kind::Unsent | Kind::WriteTimeout => Phase::Send,
            Kind::Exchange | Kind::FirstByteTimeout | Kind::HeadTooLarge => Phase::Response,
            Kind::Redirect => Phase::Redirect,
            Kind::Body | Kind::ReadTimeout | Kind::TooLarge | Kind::Save => Phase::Body,
            Kind::Decode => Phase::Decode,
            Kind::Status => Phase::Status,
            Kind::Rejected | Kind::NotReady | Kind::Service | Kind::Deadline => Phase::Layer,
        }
    }

    /// Whether there was no connection to be had from the pool: it had as many as it may, and the wait for one of them was too long,
    /// or that of too many.
    pub fn is_acquire(&self) -> bool {
        self.is_one_of(&[Kind::QueueFull, Kind::AcquireTimeout])
    }

    /// Whether a proxy refused, failed, could not be reached, or took too long.
    pub fn is_proxy(&self) -> bool {
        self.is_one_of(&[Kind::Proxy, Kind::ProxyTimeout])
    }

    /// Whether the TLS handshake failed, or took too long.
    pub fn is_tls(&self) -> bool {
        self.is_one_of(&[Kind::Tls, Kind::TlsTimeout])
    }

    /// Whether the redirects led nowhere: too many, in a loop, to where they may not lead, or with a body that cannot be sent again.
    pub fn is_redirect(&self) -> bool {
        self.is_one_of(&[Kind::Redirect])
    }

    /// Whether the host's name does not resolve to an address.
    pub fn is_dns(&self) -> bool {
        self.is_one_of(&[Kind::Dns, Kind::DnsTimeout])
    }

    /// Whether time ran out: that for connecting, or the limit of a layer ([`Rejection::is_timed_out`]).
    pub fn is_timeout(&self) -> bool {
        self.is_one_of(&[
            Kind::AcquireTimeout,
            Kind::DnsTimeout,
            Kind::ConnectTimeout,
            Kind::ProxyTimeout,
            Kind::TlsTimeout,
            Kind::WriteTimeout,
            Kind::FirstByteTimeout,
            Kind::ReadTimeout,
            Kind::Deadline,
        ]) || find(self).is_some_and(Rejection::is_timed_out)
    }

    /// Whether the request itself is at fault: its URI, a header, a body that cannot be serialised. It was not sent, and sending it
    /// again would fail again.
    pub fn is_builder(&self) -> bool {
        self.is_one_of(&[Kind::Builder])
    }

    /// Whether reading the response body failed: it broke off, or it is [too large](Self::is_too_large).
    pub fn is_body(&self) -> bool {
        self.is_one_of(&[Kind::Body, Kind::ReadTimeout, Kind::TooLarge])
    }

    /// Whether the response is larger than allowed: its head or its body on the wire ([`ResponseLimits`](crate::ResponseLimits)), what
    /// the body expands to, or what of it is read into memory ([`BodyLimit`](crate::BodyLimit)).
    pub fn is_too_large(&self) -> bool {
        self.is_one_of(&[Kind::TooLarge, Kind::HeadTooLarge])
    }

    /// Whether the whole response body arrived, and is not what it was read as: text in UTF-8, JSON of that shape.
    pub fn is_decode(&self) -> bool {
        self.is_one_of(&[Kind::Decode])
    }

    /// Whether the response arrived, and could not be written to a file of this machine.
    pub fn is_save(&self) -> bool {
        self.is_one_of(&[Kind::Save])
    }

    /// Whether [`error_for_status`](crate::ResponseExt::error_for_status) made this of a 4xx or 5xx response.
    pub fn is_status(&self) -> bool {
        self.is_one_of(&[Kind::Status])
    }

    /// Whether it is certain that the peer never saw the request, so that sending it again cannot do anything twice.
    ///
    /// `false` wherever that is not known.
    pub fn is_unsent(&self) -> bool {
        self.is_connect()
            || self.is_acquire()
            || self.is_one_of(&[Kind::Builder, Kind::Unsent, Kind::NotReady])
            || self.is_one_of(&[Kind::Rejected, Kind::Service])
                && find(self).is_some_and(Rejection::is_unsent)
    }

    /// Whether the call may be made again without doing anything twice, and might then succeed: it is [unsent](Self::is_unsent) and
    /// [not at fault itself](Self::is_builder); or connection or time failed it, and its method is idempotent (RFC 9110 section
    /// 9.2.2: `GET`, `HEAD`, `OPTIONS`, `TRACE`, `PUT` and `DELETE`).
    ///
    /// What the server has said is no matter of the connection: `false` for an [error of status](Self::is_status), which
    /// [`HttpClassify`](bartizan_core::HttpClassify) judges, and for what arrived and [is not what it should
    /// be](Self::is_decode). Whether the body can be sent again is up to the request.
    pub fn is_retryable(&self) -> bool {
        if self.is_unsent() {
            return !self.is_builder();
        }
        let is_idempotent = self.method().is_some_and(Method::is_idempotent);
        is_idempotent
            && (self.is_timeout() || self.is_one_of(&[Kind::Exchange, Kind::Unsent, Kind::Body]))
    }

    /// The status of the response that [was made an error](Self::is_status).
    pub fn status(&self) -> Option<StatusCode> {
        Some(self.ours().0.response.as_ref()?.status)
    }

    /// The headers of the response that [was made an error](Self::is_status), such as `Retry-After`.
    pub fn headers(&self) -> Option<&HeaderMap> {
        Some(&self.ours().0.response.as_ref()?.headers)
    }

    /// What was kept of the body of the response that was made an error: by
    /// [`error_for_status_with_body`](crate::ResponseExt::error_for_status_with_body), and by nothing else.
    pub fn body(&self) -> Option<&Bytes> {
        self.ours().0.response.as_ref()?.body.as_ref()
    }

    /// What the layers and the transport have put in the extensions of the response: the connection it came by, the attempts it
    /// took, the peer's certificates, each under the type that the layer documents. Empty where there was no response.
    pub fn extensions(&self) -> &Extensions {
        &self.ours().0.extensions
    }

    /// Where the request went, without query and user information.
    pub fn uri(&self) -> Option<&Uri> {
        Some(&self.0.call.as_ref()?.uri)
    }

    /// The method of the request.
    pub fn method(&self) -> Option<&Method> {
        Some(&self.0.call.as_ref()?.method)
    }

    /// Which attempt of the call it was, if the call came as far as a transport of ours: the first, unless a layer above has
    /// [counted](Attempt) more. That a transport sent it again on another connection, because one was stale, is one attempt.
    pub fn attempt(&self) -> Option<Attempt> {
        self.ours().0.call.as_ref()?.attempt
    }

    /// The connection that it happened on, if there was one.
    pub fn connection(&self) -> Option<&ConnectionInfo> {
        let inner = &self.ours().0;
        inner.connection.as_ref().or_else(|| inner.extensions.get())
    }

    fn is_one_of(&self, kinds: &[Kind]) -> bool {
        kinds.contains(&self.ours().0.kind)
    }

    /// This error, or the one of ours that a foreign layer has wrapped.
    ///
    /// Not one behind a rejection: of a failover whose last attempt found no connection, the others may have been sent.
    fn ours(&self) -> &Self {
        match (&self.0.source, self.0.kind) {
            (Some(source), Kind::Service | Kind::NotReady)
                if find::<Rejection>(&**source).is_none() =>
            {
                find(&**source).unwrap_or(self)
            }
            _ => self,
        }
    }
}

/// How far a call got that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The request is none that can be sent.
    Build,
    /// It waited for a connection from the pool.
    Acquire,
    /// The name was being resolved.
    Resolve,
    /// A connection was being made.
    Connect,
    /// The proxy was asked for a tunnel.
    Proxy,
    /// The TLS handshake.
    Tls,
    /// The request was being sent.
    Send,
    /// The response was awaited.
    Response,
    /// A redirect was being followed.
    Redirect,
    /// The body of the response was being read.
    Body,
    /// The whole body was there, and was not what it was read as.
    Decode,
    /// The response was there, and its status was an error by choice.
    Status,
    /// A layer between the caller and the transport.
    Layer,
}

/// What a layer above says when it refuses. The rejection is the source, so [`find`] sees it.
impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        // What the rejection says itself comes after it, as its source.
        let message = match rejection.kind() {
            RejectionKind::TimedOut => "timed out",
            RejectionKind::Exhausted => "failed, wherever it was tried",
            _ => "refused before it was sent",
        };
        Self::new(Kind::Rejected, message).with_source(rejection)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(call) = &self.0.call {
            write!(f, "{} {}: ", call.method, call.uri)?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the headers of the response, which may be secret.
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.to_string())
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// Stands for an error that several calls have come to, in the chain of each.
#[derive(Debug)]
struct SharedFailure(Arc<Error>);

impl fmt::Display for SharedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("several calls waited for this connection")
    }
}

impl error::Error for SharedFailure {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source()
    }
}
