//! One connection, from accepted to closed.

use std::{
    future::{pending, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bartizan_core::{Body, BoxError, Rejection, find, problem};
use http::{
    Method, Request, Response, StatusCode, Version,
    header::{CONTENT_LENGTH, HOST},
};
use http_body::Body as _;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::yield_now,
    time,
};
use tower_service::Service;

use crate::{
    ConnectInfo,
    activity::Activity,
    body::{TrackedBody, has_content},
    drain::Connection,
    in_flight::InFlight,
    io::{Watched, linger},
};

/// How long a connection without requests may take to close once it is asked to.
///
/// Most close at once. It is for HTTP/2, whose graceful close takes a round trip (RFC 9113 section 6.8), and it bounds two peers
/// that hyper would wait for: one that has sent a part of a request's head, and one that never answers the ping behind a GOAWAY.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long a peer may take to close after its last response, once the connection is closed on this side.
///
/// A peer that works does it at once. Longer than a farewell, because what is lost otherwise is a response.
const LINGER: Duration = Duration::from_secs(5);

/// How often an HTTP/2 peer is asked whether it is still there, and how long it may take to say so.
///
/// Often enough that a peer which vanished costs a connection for less than a minute, and seldom enough to be no load.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// How HTTP is spoken on every connection of a listener.
#[derive(Clone, Debug)]
pub(crate) struct Protocol {
    builder: Arc<auto::Builder<TokioExecutor>>,
    head_timeout: Option<Duration>,
}

impl Protocol {
    pub(crate) fn new(head_timeout: Option<Duration>) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(head_timeout);
        builder
            .http2()
            .timer(TokioTimer::new())
            // Over HTTP/2 a connection with nothing to do is no sign of a peer that has vanished, so it is asked.
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_INTERVAL)
            // Or there is no WebSocket over HTTP/2 (RFC 8441).
            .enable_connect_protocol();
        Self {
            builder: Arc::new(builder),
            head_timeout,
        }
    }

    /// Serves one connection until it is closed, upgraded, or has to go.
    pub(crate) async fn serve<I, S, RB>(self, io: I, connection: Arc<Connection>, service: S)
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        S: Service<Request<Body>, Response = Response<RB>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        RB: http_body::Body + Send + 'static,
        RB::Data: Send,
        RB::Error: Into<BoxError>,
    {
        let activity = Arc::clone(connection.activity());
        let (io, mut given_back) = Watched::new(io, Arc::clone(&activity));
        // A clone moves in here, for requests that outlive this task.
        let place = Arc::clone(&connection);
        let service = service_fn(move |mut request: Request<Incoming>| {
            place.info().attach(request.extensions_mut());
            respond(service.clone(), request, InFlight::new(&place))
        });
        let io = TokioIo::new(io);
        let http = self.builder.serve_connection_with_upgrades(io, service);
        {
            let mut http = pin!(http);
            // ## Serving => (Draining | Lingering | Closed)
            let mut draining = pin!(async {
                activity.draining().await;
                // Once round the runtime, so that it learns what has arrived on a connection just accepted.
                yield_now().await;
            });
            let until_drain = poll_fn(|cx| {
                // An idle connection first looks whether a request has arrived, and serves it. A busy one goes to drain first, so
                // that its response says `Connection: close`.
                if !activity.is_draining() || activity.requests() == 0 {
                    if let Poll::Ready(ended) = http.as_mut().poll(cx) {
                        return Poll::Ready(Some(ended));
                    }
                }
                draining.as_mut().poll(cx).map(|()| None)
            });
            let ended = tokio::select! {
                biased;
                ended = until_drain => ended,
                () = silence(self.head_timeout, &activity) => {
                    let info = connection.info();
                    tracing::debug!(id = %info.id(), peer = %info.peer(), "closing a connection on which nothing was said");
                    return;
                }
            };
            // ## Draining => (Lingering | Closed)
            let ended = match ended {
                Some(ended) => ended,
                None => {
                    activity.settle();
                    http.as_mut().graceful_shutdown();
                    tokio::select! {
                        biased;
                        ended = http => ended,
                        () = activity.dismissed(FAREWELL) => return,
                    }
                }
            };
            log(connection.info(), ended);
        }
        // ## Lingering => Closed
        // hyper has dropped the transport now, unless it was upgraded.
        if let (true, Ok(io)) = (activity.is_answering(), given_back.try_recv()) {
            tokio::select! {
                biased;
                _ = time::timeout(LINGER, linger(io)) => {}
                () = activity.cut() => {}
            }
        }
        drop(connection);
    }
}

/// Waits for a peer that has not even said which protocol it speaks when `timeout` is over.
///
/// hyper's own timer starts only when that is known.
async fn silence(timeout: Option<Duration>, activity: &Activity) {
    if let Some(timeout) = timeout {
        time::sleep(timeout).await;
        if !activity.is_heard() {
            return;
        }
    }
    pending::<()>().await;
}

async fn respond<S, RB>(
    service: S,
    request: Request<Incoming>,
    in_flight: InFlight,
) -> Result<Response<TrackedBody<RB>>, BoxError>
where
    S: Service<Request<Body>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    RB: http_body::Body<Error: Into<BoxError>>,
{
    let (method, version) = (request.method().clone(), request.version());
    let answered = if has_one_host(&request) {
        call(service, request.map(Body::new)).await
    } else {
        let detail = "a request has to have one Host header";
        Err(problem(StatusCode::BAD_REQUEST, detail))
    };
    let (is_read, response) = match answered {
        Ok(response) => {
            let is_read = has_content(&method, response.status());
            (
                is_read,
                response.map(|body| TrackedBody::new(body, in_flight, is_read)),
            )
        }
        Err(response) => {
            let is_read = method != Method::HEAD;
            (
                is_read,
                response.map(|body| TrackedBody::own(body, in_flight, is_read)),
            )
        }
    };
    // Over HTTP/1.1, hyper withholds the body itself. A tunnel is no body.
    if is_read || version != Version::HTTP_2 || method == Method::CONNECT {
        return Ok(response);
    }
    Ok(without_content(response, &method))
}

/// RFC 9112 section 3.2: one `Host`, or the server has to refuse. Proxies and caches may have read another.
fn has_one_host(request: &Request<Incoming>) -> bool {
    request.version() != Version::HTTP_11 || request.headers().get_all(HOST).iter().count() == 1
}

/// The service's response, or what stands for its error.
async fn call<S, RB>(mut service: S, request: Request<Body>) -> Result<Response<RB>, Response<Body>>
where
    S: Service<Request<Body>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
{
    let answered = async {
        poll_fn(|cx| service.poll_ready(cx)).await?;
        service.call(request).await
    };
    answered.await.map_err(|error: S::Error| {
        let error = error.into();
        let shown = &*error as &(dyn std::error::Error + 'static);
        // Whoever may cause a line of the log at will, may fill the disk.
        if find::<hyper::Error>(shown).is_some_and(is_of_the_peer) {
            tracing::debug!(error = shown, "the request broke off");
        } else {
            tracing::error!(error = shown, "the service failed");
        }
        match find::<Rejection>(shown) {
            Some(rejection) => rejection.to_response(),
            None => problem(StatusCode::INTERNAL_SERVER_ERROR, "the service failed"),
        }
    })
}

fn is_of_the_peer(error: &hyper::Error) -> bool {
    error.is_incomplete_message()
        || error.is_closed()
        || error.is_canceled()
        || error.is_body_write_aborted()
}

/// Keeps the head as it would be with the body (RFC 9110 section 9.3.2), whose length only `HEAD` is told.
fn without_content<B: http_body::Body<Error: Into<BoxError>>>(
    mut response: Response<TrackedBody<B>>,
    method: &Method,
) -> Response<TrackedBody<B>> {
    if let (Some(length), &Method::HEAD) = (response.body().size_hint().exact(), method) {
        let headers = response.headers_mut();
        headers.entry(CONTENT_LENGTH).or_insert(length.into());
    }
    response.map(TrackedBody::withheld)
}

fn log(info: &ConnectInfo, ended: Result<(), BoxError>) {
    if let Err(error) = ended {
        tracing::debug!(
            id = %info.id(),
            peer = %info.peer(),
            error = &*error as &dyn std::error::Error,
            "the connection failed"
        );
    }
}
