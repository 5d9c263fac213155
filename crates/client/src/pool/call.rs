//! One request: a connection for it, its way over the wire, and another try where that is safe.

use std::{
    error::Error as StdError,
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use bartizan_core::{Body, find};
use http::{
    HeaderMap, Method, Request, Response, StatusCode, Uri, Version,
    header::{EXPECT, Entry, HOST, PROXY_AUTHORIZATION},
    uri::{Authority, PathAndQuery},
};
use http_body::Body as _;
use hyper::{body::Incoming, client::conn::TrySendError};
use tokio::time::Instant;

use super::{
    body::ResponseBody,
    connection::{Conn, Sender},
    core::{Refused, Speaks},
    events::{ConnectionInfo, PoolEvent},
    inner::{DRAINED, Got, Inner},
    lease::Lease,
    send_body::{SendBody, Upload},
    sync::lock,
};
use crate::{Error, Timeouts, connect::Destination, error::Kind};

/// How often a request goes out that was certainly not sent the times before.
const MOST_TRIES: u32 = 3;

/// A lease, waited for if there is none free.
pub(super) async fn acquire(
    inner: &Arc<Inner>,
    destination: &Destination,
    fresh: bool,
    timeout: Option<Duration>,
) -> Result<Lease, Error> {
    let observer = &inner.config.observer;
    let lease = match inner
        .acquire(destination, fresh)
        .map_err(|why| refused(inner, destination, why))?
    {
        Got::Lease(lease) => lease,
        Got::Place(place) => {
            let since = Instant::now();
            let got = match timeout {
                Some(timeout) => tokio::time::timeout(timeout, place).await.map_err(|_| {
                    observer.tell(|| PoolEvent::AcquireTimeout {
                        destination,
                        waited: since.elapsed(),
                    });
                    Error::new(
                        Kind::AcquireTimeout,
                        format!("no connection to {destination} within {timeout:?}; raise the pool's limits, or the acquire timeout"),
                    )
                })?,
                None => place.await,
            };
            let lease = got.map_err(Error::of_failure)?;
            observer.tell(|| PoolEvent::Waited {
                destination,
                waited: since.elapsed(),
            });
            lease
        }
    };
    if lease.carried > 0 {
        observer.tell(|| PoolEvent::Reused {
            destination,
            id: lease.conn().control.id.serial,
            carried: lease.carried,
        });
    }
    Ok(lease)
}

fn refused(inner: &Inner, destination: &Destination, why: Refused) -> Error {
    match why {
        Refused::Draining => Error::new(Kind::QueueFull, DRAINED),
        Refused::QueueFull => {
            inner
                .config
                .observer
                .tell(|| PoolEvent::QueueFull { destination });
            let waiting = inner.config.limits.waiting;
            Error::new(
                Kind::QueueFull,
                format!(
                    "{waiting} requests wait for a connection to {destination} already; send fewer at once, or raise the pool's limits"
                ),
            )
        }
    }
}

/// What is needed to send a request a second time, if some of it was written the first.
struct Copy {
    method: Method,
    headers: HeaderMap,
    body: Body,
}

impl Copy {
    /// Of one whose body costs nothing to copy.
    fn of(request: &Request<SendBody>) -> Option<Self> {
        Some(Self {
            body: request.body().body().try_clone()?,
            method: request.method().clone(),
            headers: request.headers().clone(),
        })
    }

    fn into_request(self) -> Request<SendBody> {
        let mut request = Request::new(SendBody::new(self.body));
        *request.method_mut() = self.method;
        *request.headers_mut() = self.headers;
        request
    }
}

/// A try that came to nothing.
struct Failed {
    error: hyper::Error,
    /// The request, if nothing of it was written.
    unsent: Option<Request<SendBody>>,
}

/// Sends a request whose URI leads to `destination`, over `lease` if there is one already.
pub(super) async fn send(
    inner: Arc<Inner>,
    destination: Destination,
    request: Request<Body>,
    lease: Option<Lease>,
) -> Result<Response<ResponseBody>, Error> {
    let uri = request.uri().clone();
    let given = request.extensions().get::<Timeouts>().cloned();
    let timeouts = given.as_ref().unwrap_or(&inner.config.timeouts);
    let method = request.method().clone();
    let mut request = request.map(SendBody::new);
    let mut lease = match lease {
        Some(lease) => lease,
        None => acquire(&inner, &destination, false, timeouts.acquire).await?,
    };
    let mut is_replayed = false;
    for tries in 1.. {
        let conn = lease.conn().clone();
        let is_http2 = conn.speaks() == Speaks::Http2;
        // A server may close an idle HTTP/1.1 connection as the request arrives, and an HTTP/2 server say that it did not look at it.
        let is_replayable = is_http2 || lease.carried > 0 && method.is_idempotent();
        let copy = match is_replayable && !is_replayed {
            true => Copy::of(&request),
            false => None,
        };
        let added = prepare(&mut request, &uri, &conn);
        if !is_http2 {
            hold(&mut request, timeouts.expect_continue);
        }
        let upload = request.body().upload().cloned();
        conn.control.has_read.store(false, Ordering::Relaxed);
        conn.control.set_write_timeout(timeouts.write);
        lease.begin();
        let info = ConnectionInfo::new(&conn, lease.carried);
        let sent = exchange(&conn, request, timeouts.first_byte, upload.as_ref()).await;
        let failed = match sent {
            Some(Ok(response)) => {
                return Ok(respond(
                    response,
                    &method,
                    lease,
                    info,
                    upload,
                    timeouts.read,
                ));
            }
            Some(Err(failed)) => failed,
            None => {
                drop(lease);
                let timeout = timeouts.first_byte.unwrap_or_default();
                let message = format!(
                    "no response within {timeout:?} of the request; the server may have acted on it"
                );
                return Err(Error::new(Kind::FirstByteTimeout, message).with_connection(info));
            }
        };
        let is_lost = !is_http2 && !conn.control.has_read.load(Ordering::Relaxed)
            || is_http2 && method.is_idempotent();
        let is_refused = is_refused(&failed.error);
        let is_stale =
            !is_refused && lease.carried > 0 && is_lost && is_lost_connection(&failed.error);
        // Not on this one. For HTTP/2 it is retired, and others may be there.
        lease.discard();
        let next = match (failed.unsent, copy) {
            (Some(mut unsent), _) if tries < MOST_TRIES => {
                added.remove(unsent.headers_mut());
                unsent
            }
            (None, Some(copy)) if is_refused || is_stale => {
                is_replayed = true;
                copy.into_request()
            }
            (unsent, _) => {
                let is_unsent = unsent.is_some() || is_refused;
                let error = broken(failed.error, is_unsent, &conn, upload.as_deref());
                return Err(error.with_connection(info));
            }
        };
        inner.config.observer.tell(|| PoolEvent::Stale {
            destination: &destination,
            id: conn.control.id.serial,
        });
        drop(conn);
        request = next;
        lease = acquire(&inner, &destination, !is_http2, timeouts.acquire).await?;
    }
    unreachable!("the tries are counted")
}

/// Headers that are ours, to be taken out again if the request goes over another connection.
#[derive(Clone, Copy, Default)]
struct Added {
    host: bool,
    credentials: bool,
}

impl Added {
    fn remove(self, headers: &mut HeaderMap) {
        if self.host {
            headers.remove(HOST);
        }
        if self.credentials {
            headers.remove(PROXY_AUTHORIZATION);
        }
    }
}

/// The form of the request that this connection takes.
fn prepare(request: &mut Request<SendBody>, uri: &Uri, conn: &Conn) -> Added {
    *request.version_mut() = conn.version();
    let mut added = Added::default();
    if conn.speaks() == Speaks::Http2 {
        *request.uri_mut() = with_host(uri, request.headers_mut());
        return added;
    }
    let authority = uri.authority().cloned();
    let path = uri.path_and_query().cloned();
    *request.uri_mut() = match (authority, path) {
        // The three forms of RFC 9112 section 3.2.
        (Some(authority), _) if request.method() == Method::CONNECT => Uri::from(authority),
        _ if conn.connected.is_proxied() => uri.clone(),
        (_, path) => Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/"))),
    };
    let headers = request.headers_mut();
    if let Entry::Vacant(entry) = headers.entry(HOST) {
        entry.insert(conn.host.clone());
        added.host = true;
    }
    if let Some(credentials) = conn.connected.proxy_authorization() {
        // In a tunnel the proxy has had them, and whoever is at its end shall not.
        if conn.connected.is_proxied() {
            if let Entry::Vacant(entry) = headers.entry(PROXY_AUTHORIZATION) {
                entry.insert(credentials.clone());
                added.credentials = true;
            }
        }
    }
    added
}

/// HTTP/2 has the host in a field of its own, and a `Host` beside it must say the same (RFC 9113 section 8.3.1).
fn with_host(uri: &Uri, headers: &mut HeaderMap) -> Uri {
    let host = headers
        .get(HOST)
        .and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let Some(host) = host else {
        return uri.clone();
    };
    let mut parts = uri.clone().into_parts();
    parts.authority = Some(host);
    match Uri::from_parts(parts) {
        Ok(uri) => {
            headers.remove(HOST);
            uri
        }
        Err(_) => uri.clone(),
    }
}

/// Holds the body back that the peer is to ask for (RFC 9110 section 10.1.1).
fn hold(request: &mut Request<SendBody>, timeout: Option<Duration>) {
    let expects = request
        .headers()
        .get(EXPECT)
        .is_some_and(|expect| expect.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let Some(timeout) = timeout.filter(|_| expects && !request.body().is_end_stream()) else {
        return;
    };
    let upload = request.body_mut().hold(timeout);
    hyper::ext::on_informational(request, move |response| {
        if response.status() == StatusCode::CONTINUE {
            upload.go();
        }
    });
}

/// `None` if the first byte took too long.
async fn exchange(
    conn: &Conn,
    request: Request<SendBody>,
    first_byte: Option<Duration>,
    upload: Option<&Arc<Upload>>,
) -> Option<Result<Response<Incoming>, Failed>> {
    let sent = match (&conn.sender, first_byte) {
        (Sender::Http1(sender), None) => {
            let sending = lock(sender).try_send_request(request);
            sending.await
        }
        (Sender::Http2(sender), None) => sender.clone().try_send_request(request).await,
        (Sender::Http1(sender), Some(timeout)) => {
            let sending = lock(sender).try_send_request(request);
            within(sending, timeout, upload).await?
        }
        (Sender::Http2(sender), Some(timeout)) => {
            let sending = sender.clone().try_send_request(request);
            within(sending, timeout, upload).await?
        }
    };
    Some(sent.map_err(|mut error: TrySendError<_>| Failed {
        unsent: error.take_message(),
        error: error.into_error(),
    }))
}

async fn within<F: Future>(
    sending: F,
    timeout: Duration,
    mut upload: Option<&Arc<Upload>>,
) -> Option<F::Output> {
    let mut sending = pin!(sending);
    let mut timer = None;
    poll_fn(|cx| {
        if let Poll::Ready(sent) = sending.as_mut().poll(cx) {
            return Poll::Ready(Some(sent));
        }
        // The time is the server's, and begins when it has the whole request.
        if upload.is_some_and(|upload| upload.poll_over(cx).is_pending()) {
            return Poll::Pending;
        }
        upload = None;
        let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        timer.as_mut().poll(cx).map(|()| None)
    })
    .await
}

fn respond(
    response: Response<Incoming>,
    method: &Method,
    lease: Lease,
    info: ConnectionInfo,
    upload: Option<Arc<Upload>>,
    read_timeout: Option<Duration>,
) -> Response<ResponseBody> {
    let (mut head, incoming) = response.into_parts();
    let extensions = lease.conn().connected.extensions();
    if !extensions.is_empty() {
        head.extensions.extend(extensions.clone());
    }
    if upload.as_ref().is_some_and(|upload| upload.answered()) {
        // The peer still counts on the body that it did not ask for.
        info.poison();
    }
    let is_http1 = head.version != Version::HTTP_2;
    let is_tunnel = *method == Method::CONNECT && head.status.is_success();
    head.extensions.insert(info);
    let body = if is_http1 && (is_tunnel || head.status == StatusCode::SWITCHING_PROTOCOLS) {
        lease.upgraded();
        ResponseBody::without_lease(incoming)
    } else {
        ResponseBody::new(incoming, lease, upload, read_timeout)
    };
    Response::from_parts(head, body)
}

/// Whether an HTTP/2 peer says that it has not looked at the request (RFC 9113 sections 6.8 and 8.7).
fn is_refused(error: &hyper::Error) -> bool {
    find::<h2::Error>(error).is_some_and(|error| {
        let reason = error.reason();
        error.is_remote()
            && (error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM)
                || error.is_go_away() && reason == Some(h2::Reason::NO_ERROR))
    })
}

/// Whether the connection was lost, as it is when its peer closes it.
fn is_lost_connection(error: &hyper::Error) -> bool {
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return true;
    }
    let h2 = find::<h2::Error>(error);
    let io = error
        .source()
        .and_then(<dyn StdError>::downcast_ref::<std::io::Error>);
    let is_timeout = io.is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut);
    io.is_some() && !is_timeout || h2.is_some_and(h2::Error::is_io)
}

fn broken(error: hyper::Error, is_unsent: bool, conn: &Conn, upload: Option<&Upload>) -> Error {
    const OURS: &str =
        "the request broke off on this side; the server may have acted on what it got";
    if let Some(ours) = upload.and_then(Upload::take_error) {
        return Error::new(Kind::Exchange, OURS).with_source(ours);
    }
    let (kind, message) = if is_unsent {
        (
            Kind::Unsent,
            "the connection closed before the request was written; it can be sent again",
        )
    } else if conn.control.has_stalled.load(Ordering::Relaxed) {
        (
            Kind::WriteTimeout,
            "the peer took nothing of the request for too long; the server may have acted on what it got",
        )
    } else if error.is_user() {
        (Kind::Exchange, OURS)
    } else {
        (
            Kind::Exchange,
            "the connection failed before the response; the server may have acted on the request",
        )
    };
    Error::new(kind, message).with_source(error)
}
