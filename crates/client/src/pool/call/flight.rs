//! One request on its way, from one connection to the next if need be.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_core::Attempt;
use http::{Method, Request, Response, StatusCode, Uri};
use hyper::{body::Incoming, client::conn::TrySendError};
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::{
    super::{
        body::ResponseBody,
        connection::Sender,
        core::Speaks,
        events::{ConnectionInfo, PoolEvent},
        inner::Inner,
        lease::Lease,
        send_body::{SendBody, Upload},
        sync::lock,
        timings::{Laps, RecordTimings},
    },
    Flying, acquire,
    failure::{broken, is_lost_connection, is_refused},
    form::{Added, Copy, hold, prepare},
};
use crate::{
    Error, Timeouts,
    error::{Call, Kind},
};

/// How often a request goes out that was certainly not sent the times before.
const MOST_TRIES: u8 = 3;

/// What hyper says of a request.
type Sent = Result<Response<Incoming>, TrySendError<Request<SendBody>>>;

/// A request on its way, from one connection to the next if need be.
pub(super) struct Flight {
    method: Method,
    uri: Uri,
    /// Of whoever sends it again, above.
    attempt: Attempt,
    /// The request's own, if it has some.
    timeouts: Option<Box<Timeouts>>,
    /// If the request asks for it.
    laps: Option<Box<Laps>>,
    tries: u8,
    is_replayed: bool,
}

/// One try of it.
struct Try {
    lease: Lease,
    copy: Option<Copy>,
    upload: Option<Arc<Upload>>,
    added: Added,
}

impl Flight {
    /// Takes the URI: what goes over the wire is made of it for each connection.
    pub(super) fn of<B>(request: &mut Request<B>) -> Self {
        let given = request.extensions();
        let wants_timings = given.get::<RecordTimings>().is_some();
        Self {
            attempt: given.get().copied().unwrap_or_default(),
            laps: wants_timings.then(|| Box::new(Laps::start())),
            timeouts: given.get().cloned().map(Box::new),
            method: request.method().clone(),
            uri: mem::take(request.uri_mut()),
            tries: 0,
            is_replayed: false,
        }
    }

    pub(super) fn timeouts<'a>(&'a self, inner: &'a Inner) -> &'a Timeouts {
        self.timeouts.as_deref().unwrap_or(&inner.config.timeouts)
    }

    pub(super) fn failed(&self, error: Error) -> Error {
        let call = Call::new(self.method.clone(), self.uri.clone());
        error.with_call(Some(call.with_attempt(self.attempt)))
    }

    pub(super) fn launch(mut self, mut lease: Lease, mut request: Request<SendBody>) -> Flying {
        self.tries += 1;
        if let Some(laps) = &mut self.laps {
            laps.granted();
        }
        let conn = lease.conn();
        let timeouts = self.timeouts(lease.inner());
        let is_http2 = conn.speaks() == Speaks::Http2;
        // A server may close an idle HTTP/1.1 connection as the request arrives, and an HTTP/2 server say that it did not look at it.
        let is_replayable = is_http2 || lease.carried > 0 && self.method.is_idempotent();
        let copy = match is_replayable && self.tries < MOST_TRIES {
            true => Copy::of(&request),
            false => None,
        };
        let added = prepare(&mut request, &self.uri, conn);
        if !is_http2 {
            hold(&mut request, timeouts.expect_continue);
        }
        conn.control.has_read.store(false, Ordering::Relaxed);
        conn.control.set_write_timeout(timeouts.write);
        if self.laps.is_some() {
            request.body_mut().watch();
        }
        let upload = request.body().upload().cloned();
        let first_byte = timeouts.first_byte.map(|timeout| {
            Box::new(FirstByte {
                timeout,
                upload: upload.clone(),
                timer: None,
            })
        });
        lease.begin();
        let one = Try {
            lease,
            copy,
            upload,
            added,
        };
        match &one.lease.conn().sender {
            Sender::Http1(sender) => {
                let sending = lock(sender).try_send_request(request);
                Box::pin(Fly::new(sending, (self, one), first_byte))
            }
            Sender::Http2(sender) => {
                let sending = sender.clone().try_send_request(request);
                Box::pin(Fly::new(sending, (self, one), first_byte))
            }
        }
    }

    fn late(&self, one: &Try, timeout: Duration) -> Error {
        let message = format!(
            "no response within {timeout:?} of the request; the server may have acted on it"
        );
        let error = Error::new(Kind::FirstByteTimeout, message);
        self.failed(error.with_connection(one.info()))
    }

    fn land(self, one: Try, response: Response<Incoming>) -> Response<ResponseBody> {
        let (mut head, incoming) = response.into_parts();
        let read_timeout = self.timeouts(one.lease.inner()).read;
        let extensions = one.lease.conn().control.connected.extensions();
        if !extensions.is_empty() {
            head.extensions.extend(extensions.clone());
        }
        let is_http1 = one.lease.conn().speaks() == Speaks::Http1;
        let is_tunnel = self.method == Method::CONNECT && head.status.is_success();
        let is_upgraded = is_tunnel || head.status == StatusCode::SWITCHING_PROTOCOLS;
        // For the errors of reading it: no layer above knows better where it came from.
        let info = one.info().with_call(self.method, self.uri, self.attempt);
        if one.upload.as_ref().is_some_and(|upload| upload.answered()) {
            // The peer still counts on the body that it did not ask for.
            info.poison();
        }
        head.extensions.insert(info);
        if let Some(laps) = &self.laps {
            let timings = laps.stop(one.lease.conn(), one.upload.as_ref());
            head.extensions.insert(timings);
        }
        let body = if is_http1 && is_upgraded {
            one.lease.upgraded();
            ResponseBody::without_lease(incoming)
        } else {
            ResponseBody::new(incoming, one.lease, one.upload, read_timeout)
        };
        Response::from_parts(head, body)
    }

    async fn recover(
        mut self,
        one: Try,
        mut error: TrySendError<Request<SendBody>>,
    ) -> Result<Response<ResponseBody>, Error> {
        let unsent = error.take_message();
        let error = error.into_error();
        let (info, conn) = (one.info(), one.lease.conn().clone());
        let is_http2 = conn.speaks() == Speaks::Http2;
        let is_silent = match is_http2 {
            true => self.method.is_idempotent(),
            false => !conn.control.has_read.load(Ordering::Relaxed),
        };
        let is_refused = is_refused(&error);
        let is_lost =
            is_lost_connection(&error) && !conn.control.has_stalled.load(Ordering::Relaxed);
        // Once: the peer may have acted on it.
        let is_stale = !self.is_replayed && one.lease.carried > 0 && is_silent && is_lost;
        let request = match (unsent, one.copy) {
            (Some(mut unsent), _) if self.tries < MOST_TRIES => {
                one.added.remove(unsent.headers_mut());
                unsent
            }
            (None, Some(copy)) if is_refused || is_stale => {
                self.is_replayed |= !is_refused;
                copy.into_request(self.method.clone())
            }
            (unsent, _) => {
                let is_unsent = unsent.is_some() || is_refused;
                let error = broken(error, is_unsent, &conn, one.upload.as_deref());
                return Err(self.failed(error.with_connection(info)));
            }
        };
        let inner = one.lease.inner().clone();
        // Not on this one. For HTTP/2 it is retired, and others may be there.
        one.lease.discard();
        // As this request wants it, and not the one that the connection was made for.
        let timeouts = self.timeouts(&inner);
        let timeout = timeouts.acquire;
        let destination = conn.control.destination.clone().with_timeouts(timeouts);
        inner.config.observer.tell(|| PoolEvent::Stale {
            destination: &destination,
            id: conn.control.id.serial,
        });
        drop(conn);
        match acquire(&inner, &destination, !is_http2, timeout).await {
            Ok(lease) => self.launch(lease, request).await,
            Err(error) => Err(self.failed(error)),
        }
    }
}

impl Try {
    fn info(&self) -> ConnectionInfo {
        ConnectionInfo::new(self.lease.conn(), self.lease.carried)
    }
}

pin_project! {
    /// A request that hyper has. Written by hand: an `async` block would hold most of this twice, and every request pays for that.
    struct Fly<F> {
        #[pin]
        sending: F,
        flown: Option<(Flight, Try)>,
        first_byte: Option<Box<FirstByte>>,
        // The next try, once this one has failed.
        recovering: Option<Flying>,
    }
}

impl<F> Fly<F> {
    const fn new(sending: F, flown: (Flight, Try), first_byte: Option<Box<FirstByte>>) -> Self {
        Self {
            sending,
            flown: Some(flown),
            first_byte,
            recovering: None,
        }
    }
}

impl<F: Future<Output = Sent>> Future for Fly<F> {
    type Output = Result<Response<ResponseBody>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(recovering) = this.recovering {
            return recovering.as_mut().poll(cx);
        }
        match this.sending.poll(cx) {
            Poll::Ready(Ok(response)) => {
                let (flight, one) = this.flown.take().expect("polled after completion");
                Poll::Ready(Ok(flight.land(one, response)))
            }
            Poll::Ready(Err(error)) => {
                let (flight, one) = this.flown.take().expect("polled after completion");
                let recovering = Box::pin(flight.recover(one, error));
                this.recovering.insert(recovering).as_mut().poll(cx)
            }
            Poll::Pending => {
                let Some(first_byte) = this.first_byte else {
                    return Poll::Pending;
                };
                let timeout = ready!(first_byte.poll(cx));
                let (flight, one) = this.flown.take().expect("polled after completion");
                Poll::Ready(Err(flight.late(&one, timeout)))
            }
        }
    }
}

/// How long the response may take. The time is the server's, and begins when it has the whole request.
struct FirstByte {
    timeout: Duration,
    upload: Option<Arc<Upload>>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl FirstByte {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        if let Some(upload) = &self.upload {
            ready!(upload.poll_over(cx));
            self.upload = None;
        }
        let timeout = self.timeout;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        timer.as_mut().poll(cx).map(|()| timeout)
    }
}
