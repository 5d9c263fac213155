//! From a request to the wire, and back to a response.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_core::{Body, BoxError, ConfigError};
use http::{Request, Response, Uri, Version, header::CONTENT_LENGTH, uri::Scheme};
use tower_service::Service;

use crate::{
    Error, ResponseBody,
    error::{Call, Kind, redacted},
    pool::{Config, Failure, Pool, Sending, Stage},
};

/// Sends requests over TCP, and keeps the connections for the next ones. The innermost service of a client stack.
///
/// Takes a request with any body; a [`Body`] goes as it is, and any other streaming body is boxed once. Clones share the
/// connections and are cheap. Needs a tokio runtime with I/O and time when it is called.
///
/// # Connections
///
/// Names are resolved by the system, except that `localhost` and names below it are this machine, and those below `.invalid` fail at
/// once (RFC 6761). Of several addresses the first that answers wins: the other family is tried 300 ms after the first (happy
/// eyeballs, RFC 8305).
///
/// HTTP/1.1 carries one request at a time on a connection, so there are as many connections to a host as requests at once. HTTP/2
/// carries them all on one; while that is being made the others wait for it, and if it fails they try one after the other, each with
/// a connect timeout of its own.
///
/// A server may close an idle connection in the moment it is used again. A request that was certainly not written is then sent on
/// another connection; the caller sees nothing of it. If some of it was written, the call fails with an error that is not
/// [unsent](Error::is_unsent), because the server may have acted on it.
///
/// # Readiness and cancellation
///
/// Always ready. There is no limit on requests or connections: put a concurrency limit above it.
///
/// Dropping the response future gives up the call. Once the request is being sent, HTTP/1.1 closes its connection and HTTP/2 resets
/// its stream and keeps the connection. Before that, nothing is sent. A connect in progress is dropped too, except where another
/// connection became free meanwhile: then it is finished and kept. The system's name lookup cannot be stopped: it ends on its own,
/// on a thread of the runtime's blocking pool.
///
/// # Errors
///
/// [`Error`]. [`is_builder`](Error::is_builder) for what cannot be sent: a URI without scheme and host, one with user information
/// (RFC 9110 section 4.2.4), and `https`, since this transport has no TLS. The error of a request body that fails is among the
/// sources with HTTP/1.1; hyper's HTTP/2 does not hand it on. There is no limit on the time until the response: put a timeout above.
///
/// # Examples
///
/// ```
/// use bartizan_client::{RequestExt, ResponseExt, Transport};
/// use bartizan_core::Body;
/// use bartizan_testing::Loopback;
/// use http::{Request, Response};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Loopback::start(|_: Request<Body>| async { Response::new(Body::from("hello")) }).await;
///
/// let transport = Transport::new();
/// let response = transport.get(server.uri("/greeting")).send().await?;
/// assert_eq!(response.text().await?, "hello");
/// # Ok(())
/// # }
/// ```
///
/// HTTP/2 with prior knowledge, a shorter wait for a connection, and a plain tower call:
///
/// ```
/// use bartizan_client::{Protocol, Transport};
/// use bartizan_core::Body;
/// use bartizan_testing::Loopback;
/// use http::{Request, Response, Version};
/// use std::time::Duration;
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Loopback::start(|_: Request<Body>| async { Response::new(Body::empty()) }).await;
///
/// let transport = Transport::builder()
///     .protocol(Protocol::Http2)
///     .connect_timeout(Duration::from_secs(1))
///     .build()?;
/// let request = Request::get(server.uri("/")).body(Body::empty())?;
/// let response = transport.oneshot(request).await?;
/// assert_eq!(response.version(), Version::HTTP_2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Transport {
    pool: Pool,
    connect_timeout: Duration,
    version: Version,
}

impl Transport {
    /// A transport with every default of [`TransportBuilder`].
    pub fn new() -> Self {
        Self::of(&TransportBuilder::new().config)
    }

    /// Changes some of the defaults.
    pub const fn builder() -> TransportBuilder {
        TransportBuilder::new()
    }

    fn of(config: &Config) -> Self {
        Self {
            pool: Pool::new(config),
            connect_timeout: config.connect_timeout,
            version: match config.protocol {
                Protocol::Http1 => Version::HTTP_11,
                Protocol::Http2 => Version::HTTP_2,
            },
        }
    }
}

impl Default for Transport {
    fn default() -> Self {
        Self::new()
    }
}

impl<B> Service<Request<B>> for Transport
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Error;
    type Future = TransportFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> TransportFuture {
        let call = Call::of(&request);
        let state = match check(request.uri()).and_then(|()| check_length(&request)) {
            Ok(()) => {
                let mut request = request.map(Body::new);
                // The version is that of a hop: a proxy's request may have come by another.
                *request.version_mut() = self.version;
                State::Sending {
                    sending: self.pool.send(request),
                    connect_timeout: self.connect_timeout,
                }
            }
            Err(error) => State::Unsendable(Some(error)),
        };
        TransportFuture { call, state }
    }
}

/// Whether a `Content-Length` that somebody has set is true. If it is not, the peer waits for more, or takes the rest for another
/// request.
fn check_length<B: http_body::Body>(request: &Request<B>) -> Result<(), Error> {
    let length = request.body().size_hint().exact();
    let told = request.headers().get(CONTENT_LENGTH);
    match (told, length) {
        (Some(told), Some(length)) if told.as_bytes() != length.to_string().as_bytes() => {
            Err(Error::new(
                Kind::Builder,
                format!(
                    "the header `content-length` is {told:?}, and the body has {length} bytes: leave the header out"
                ),
            ))
        }
        _ => Ok(()),
    }
}

/// Whether a request for `uri` can be sent.
fn check(uri: &Uri) -> Result<(), Error> {
    let fail = |problem: &str| {
        let uri = redacted(uri);
        Err(Error::new(
            Kind::Builder,
            format!("request URI `{uri}` {problem}"),
        ))
    };
    let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
        return fail("has no host: use an absolute URL or a BaseUrlLayer");
    };
    if *scheme == Scheme::HTTPS {
        return Err(Error::new(
            Kind::Builder,
            "https is not supported by this transport: it has no TLS",
        ));
    }
    if *scheme != Scheme::HTTP {
        return fail("is not http: this transport sends nothing else");
    }
    if authority.as_str().contains('@') {
        return fail("had user information, which is not sent: set the `authorization` header");
    }
    if authority.host().is_empty() {
        return fail("has no host: use an absolute URL or a BaseUrlLayer");
    }
    // `http` keeps a port that is none, and answers `None` for it.
    let port_is_given = authority.as_str().len() > authority.host().len();
    if port_is_given && !matches!(authority.port_u16(), Some(1..)) {
        return fail("has no usable port: give one from 1 to 65535, or none for 80");
    }
    Ok(())
}

/// The response of a [`Transport`], once its head is there.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct TransportFuture {
    call: Call,
    state: State,
}

#[derive(Debug)]
enum State {
    Unsendable(Option<Error>),
    Sending {
        sending: Sending,
        connect_timeout: Duration,
    },
}

impl Future for TransportFuture {
    type Output = Result<Response<ResponseBody>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let error = match &mut this.state {
            State::Unsendable(error) => error.take().expect("polled after completion"),
            State::Sending {
                sending,
                connect_timeout,
            } => match ready!(Pin::new(sending).poll(cx)) {
                Ok(mut response) => {
                    // For the errors of reading it: no layer above knows better where it came from.
                    response.extensions_mut().insert(this.call.clone());
                    return Poll::Ready(Ok(response.map(ResponseBody::new)));
                }
                Err(failure) => explain(failure, this.call.uri(), *connect_timeout),
            },
        };
        Poll::Ready(Err(error.with_call(Some(this.call.clone()))))
    }
}

fn explain(failure: Failure, uri: &Uri, connect_timeout: Duration) -> Error {
    let host = uri.host().unwrap_or_default();
    let port = uri.port_u16().unwrap_or(80);
    match failure.stage {
        Stage::Resolve => Error::new(
            Kind::Dns,
            format!("`{host}` does not resolve; check the name"),
        ),
        Stage::Connect => Error::new(
            Kind::Connect,
            format!("connection failed: tried {host}:{port}; check that something listens there"),
        ),
        Stage::ConnectTimeout => Error::new(
            Kind::ConnectTimeout,
            format!(
                "no connection within {connect_timeout:?}: tried {host}:{port}; check that it is reachable, or raise `connect_timeout`"
            ),
        ),
        Stage::Unwritten => Error::new(
            Kind::Unsent,
            "the connection closed before the request was written; it can be sent again",
        ),
        Stage::OurSide => Error::new(
            Kind::Exchange,
            "the request broke off on this side; the server may have acted on what it got",
        ),
        Stage::Exchange => Error::new(
            Kind::Exchange,
            "the connection failed before the response; the server may have acted on the request",
        ),
    }
    .with_source(failure.source)
}

/// Which HTTP a [`Transport`] speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.1, which every server understands.
    #[default]
    Http1,
    /// HTTP/2 without asking first ("prior knowledge", RFC 9113 section 3.3). A server without it answers with an error, or not
    /// at all.
    Http2,
}

/// Settings of a [`Transport`].
///
/// ```
/// use bartizan_client::Transport;
/// use std::time::Duration;
///
/// let error = Transport::builder().connect_timeout(Duration::ZERO).build().unwrap_err();
/// assert_eq!(error.to_string(), "invalid connect_timeout `0ns`: expected more than zero");
/// ```
#[derive(Clone, Debug)]
pub struct TransportBuilder {
    config: Config,
}

impl TransportBuilder {
    const fn new() -> Self {
        Self {
            config: Config {
                connect_timeout: Duration::from_secs(5),
                nodelay: true,
                idle_timeout: Duration::from_secs(90),
                max_idle_per_host: usize::MAX,
                protocol: Protocol::Http1,
            },
        }
    }

    /// Sets how long a connection may take: the name lookup, and TCP to all of the host's addresses together.
    ///
    /// Default: 5 s. That leaves room for two lost packets, which TCP sends again after 1 s and 2 s more, and is well below what
    /// a caller waits for.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.config.connect_timeout = timeout;
        self
    }

    /// Sets `TCP_NODELAY`: whether small writes leave at once.
    ///
    /// Default: `true`. Without it, a request of two small writes can wait 40 ms and more for the peer's delayed acknowledgement.
    #[must_use]
    pub const fn nodelay(mut self, nodelay: bool) -> Self {
        self.config.nodelay = nodelay;
        self
    }

    /// Sets how long an unused connection is kept.
    ///
    /// Default: 90 s. It bridges the pauses of a busy caller, and a quiet one gives its sockets back. Servers often close theirs
    /// sooner, which costs a new connection and no request.
    #[must_use]
    pub const fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.config.idle_timeout = timeout;
        self
    }

    /// Sets how many unused connections to one scheme, host and port are kept. 0 keeps none: every request gets a connection of its
    /// own.
    ///
    /// Default: no limit. There never are more than requests were under way at once, and the idle timeout takes them back; a lower
    /// limit makes every burst above it connect anew.
    #[must_use]
    pub const fn max_idle_per_host(mut self, connections: usize) -> Self {
        self.config.max_idle_per_host = connections;
        self
    }

    /// Sets which HTTP is spoken, to every host. The version of a request is not asked.
    ///
    /// Default: [`Protocol::Http1`]. In cleartext there is no telling what a server speaks, and they all speak that.
    #[must_use]
    pub const fn protocol(mut self, protocol: Protocol) -> Self {
        self.config.protocol = protocol;
        self
    }

    /// The transport. It connects when it is called.
    ///
    /// # Errors
    ///
    /// If a timeout is zero.
    pub fn build(self) -> Result<Transport, ConfigError> {
        let timeouts = [
            ("connect_timeout", self.config.connect_timeout),
            ("idle_timeout", self.config.idle_timeout),
        ];
        for (field, timeout) in timeouts {
            if timeout.is_zero() {
                return Err(ConfigError::new(
                    field,
                    format_args!("{timeout:?}"),
                    "more than zero",
                ));
            }
        }
        Ok(Transport::of(&self.config))
    }
}

impl Default for TransportBuilder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_says_what_is_known() {
        let uri = Uri::from_static("http://h/a");
        let explained = |stage| {
            let failure = Failure {
                stage,
                source: "source".into(),
            };
            explain(failure, &uri, Duration::from_secs(5))
        };
        let known = |error: &Error| (error.is_connect(), error.is_timeout(), error.is_unsent());

        let error = explained(Stage::ConnectTimeout);
        assert_eq!(known(&error), (true, true, true));
        assert!(
            error
                .to_string()
                .starts_with("no connection within 5s: tried h:80;")
        );

        assert_eq!(known(&explained(Stage::Resolve)), (true, false, true));
        assert_eq!(known(&explained(Stage::Connect)), (true, false, true));
        assert_eq!(known(&explained(Stage::Unwritten)), (false, false, true));
        assert_eq!(known(&explained(Stage::OurSide)), (false, false, false));
        assert_eq!(known(&explained(Stage::Exchange)), (false, false, false));
    }
}
