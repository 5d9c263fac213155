//! One request: what the service makes of it, and what the listener says where the service does not.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bartizan_core::{Body, BoxError, find, problem};
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SERVER},
};
use http_body::Body as _;
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use crate::{
    body::{TrackedBody, has_content, is_tunnel},
    http::{Guarded, HttpSettings, Refusal, RequestBodyError, check, hand_over, is_over_limit},
    in_flight::InFlight,
    place::Place,
    reply,
};

/// The service as hyper sees it, on one connection.
#[derive(Debug)]
pub(crate) struct Requests<S> {
    service: S,
    place: Arc<Place>,
}

impl<S> Requests<S> {
    pub(crate) const fn new(service: S, place: Arc<Place>) -> Self {
        Self { service, place }
    }
}

impl<S, RB> hyper::service::Service<Request<Incoming>> for Requests<S>
where
    S: Service<Request<Body>, Response = Response<RB>> + Clone,
    S::Error: Into<BoxError>,
    RB: http_body::Body<Error: Into<BoxError>>,
{
    type Response = Response<TrackedBody<RB>>;
    type Error = BoxError;
    type Future = Answer<S, S::Future>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let settings = self.place.settings();
        let (method, version) = (request.method().clone(), request.version());
        let state = match check(&mut request, settings) {
            Ok(()) => State::Waiting {
                service: self.service.clone(),
                request: Some(guarded(request, settings)),
            },
            Err(refusal) => State::Refused(refusal),
        };
        Answer {
            state,
            in_flight: Some(InFlight::new(&self.place)),
            method,
            version,
            alarm: None,
        }
    }
}

pin_project! {
    /// The response to one request.
    ///
    /// hyper and tokio move it several times before it is where it stays, and over HTTP/1.1 every idle connection has room for one. So it is
    /// written by hand to be small, and the service's future, which may be of any size, is boxed: that costs less than the moves.
    #[must_use = "futures do nothing unless polled"]
    pub(crate) struct Answer<S, F> {
        state: State<S, F>,
        // `None` once the response has it.
        in_flight: Option<InFlight>,
        method: Method,
        version: Version,
        // Made with the first wait: most services need none, or answer at once.
        alarm: Option<Pin<Box<Sleep>>>,
    }
}

#[expect(
    clippy::large_enum_variant,
    reason = "the large one comes first, and boxing the request would cost more than moving it"
)]
enum State<S, F> {
    /// The service is asked whether it is ready.
    Waiting {
        service: S,
        request: Option<Request<Body>>,
    },
    Calling(Pin<Box<F>>),
    /// The service is not to see the request.
    Refused(Refusal),
}

impl<S, F, RB> Future for Answer<S, F>
where
    S: Service<Request<Body>, Response = Response<RB>, Future = F>,
    S::Error: Into<BoxError>,
    F: Future<Output = Result<Response<RB>, S::Error>>,
    RB: http_body::Body<Error: Into<BoxError>>,
{
    type Output = Result<Response<TrackedBody<RB>>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = match self.as_mut().poll_service(cx) {
            Poll::Ready(answered) => answered,
            // The answer before the timer.
            Poll::Pending => {
                ready!(self.as_mut().poll_timeout(cx));
                let detail = "the service took too long";
                Err(problem(StatusCode::SERVICE_UNAVAILABLE, detail))
            }
        };
        let this = self.project();
        let in_flight = this.in_flight.take().expect("polled after it had answered");
        Poll::Ready(Ok(finish(answered, this.method, *this.version, in_flight)))
    }
}

impl<S, F, RB> Answer<S, F>
where
    S: Service<Request<Body>, Response = Response<RB>, Future = F>,
    S::Error: Into<BoxError>,
    F: Future<Output = Result<Response<RB>, S::Error>>,
{
    /// The service's response, or what stands for its error.
    fn poll_service(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<RB>, Response<Body>>> {
        let this = self.project();
        let version = *this.version;
        let failed = |error: S::Error| answer_to(&*error.into(), version);
        loop {
            match this.state {
                // ## Waiting => Calling
                State::Waiting { service, request } => {
                    ready!(service.poll_ready(cx)).map_err(failed)?;
                    let mut request = request.take().expect("it is called once");
                    // Not before: what is allocated in one go, and soon freed, the allocator has at hand.
                    if let Some(in_flight) = this.in_flight {
                        in_flight.info().attach(request.extensions_mut());
                    }
                    let future = Box::pin(service.call(request));
                    *this.state = State::Calling(future);
                }
                State::Calling(future) => return future.as_mut().poll(cx).map_err(failed),
                State::Refused(refusal) => {
                    let (status, detail) = *refusal;
                    return Poll::Ready(Err(refuse(status, detail, version)));
                }
            }
        }
    }

    /// Ready when the service has had its time.
    fn poll_timeout(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let in_flight = this.in_flight.as_ref();
        let Some(timeout) = in_flight.and_then(|it| it.settings().request_timeout) else {
            return Poll::Pending;
        };
        let alarm = this.alarm.get_or_insert_with(|| Box::pin(sleep(timeout)));
        ready!(alarm.as_mut().poll(cx));
        tracing::warn!(?timeout, "the service took too long");
        Poll::Ready(())
    }
}

/// What hyper gets.
fn finish<RB: http_body::Body<Error: Into<BoxError>>>(
    answered: Result<Response<RB>, Response<Body>>,
    method: &Method,
    version: Version,
    in_flight: InFlight,
) -> Response<TrackedBody<RB>> {
    let settings = in_flight.settings();
    let server = settings.server_header.clone();
    // The connection has brought as many requests as it may.
    let is_last = settings
        .max_requests
        .is_some_and(|most| in_flight.activity().begun() >= most);
    let is_read;
    let mut response = match answered {
        Ok(response) if is_tunnel(method, response.status()) => {
            // With this, the connection, or the stream, is no longer HTTP's.
            if version != Version::HTTP_2 {
                in_flight.activity().set_tunnel();
            }
            let (in_flight, of_tunnel) = in_flight.share();
            hand_over(of_tunnel);
            return response.map(|body| TrackedBody::tunnel(body, in_flight));
        }
        Ok(response) => {
            is_read = has_content(method, response.status());
            response.map(|body| TrackedBody::new(body, in_flight, is_read))
        }
        Err(response) => {
            is_read = method != Method::HEAD;
            response.map(|body| TrackedBody::own(body, in_flight, is_read))
        }
    };
    if version != Version::HTTP_2 {
        // Without content, hyper withholds the body itself.
        if is_last {
            close(&mut response);
        }
    } else if !is_read {
        response = without_content(response, method);
    }
    if let Some(server) = server {
        response.headers_mut().entry(SERVER).or_insert(server);
    }
    response
}

/// The request with its body held to what is set.
#[inline]
fn guarded(request: Request<Incoming>, settings: &HttpSettings) -> Request<Body> {
    let (head, body) = request.into_parts();
    let body = if body.is_end_stream() {
        Body::empty()
    } else {
        // Streams of messages, and silence between them is no slowness.
        let is_grpc = head
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        let rate = settings.min_request_rate.filter(|_| !is_grpc);
        Body::new(Guarded::new(body, settings.max_body_bytes, rate))
    };
    Request::from_parts(head, body)
}

/// The response that stands for an error.
fn answer_to(error: &(dyn std::error::Error + 'static), version: Version) -> Response<Body> {
    // Whoever may cause a line of the log at will, may fill the disk.
    if is_over_limit(error) {
        tracing::debug!(error, "a body was too long");
        let detail = "the body is too long";
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, detail, version);
    }
    if let Some(body) = find::<RequestBodyError>(error) {
        tracing::debug!(error, "a request's body ended too early");
        let (status, detail) = if body.is_too_slow() {
            (StatusCode::REQUEST_TIMEOUT, "the body came too slowly")
        } else {
            (StatusCode::BAD_REQUEST, "the body is broken")
        };
        return refuse(status, detail, version);
    }
    if let Some(response) = reply::of_error(error) {
        tracing::debug!(error, "a request was refused");
        return response;
    }
    if find::<hyper::Error>(error).is_some_and(is_of_the_peer) {
        tracing::debug!(error, "the request broke off");
    } else {
        tracing::error!(error, "the service failed");
    }
    problem(StatusCode::INTERNAL_SERVER_ERROR, "the service failed")
}

fn is_of_the_peer(error: &hyper::Error) -> bool {
    error.is_incomplete_message()
        || error.is_closed()
        || error.is_canceled()
        || error.is_body_write_aborted()
}

/// A refusal for which the peer is to blame, and after which its connection is of no use where the body is still to come.
fn refuse(status: StatusCode, detail: &str, version: Version) -> Response<Body> {
    let mut response = problem(status, detail);
    let leaves_body = matches!(
        status,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT
    );
    if leaves_body && version != Version::HTTP_2 {
        close(&mut response);
    }
    response
}

fn close<B>(response: &mut Response<B>) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
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

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use bartizan_core::{Rejection, RejectionKind};
    use tracing::{
        Event, Id, Level, Metadata, Subscriber,
        span::{Attributes, Record},
        subscriber::with_default,
    };

    use super::*;
    use crate::extract::Violations;

    /// Hears how loud the log is.
    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<Level>>>);

    impl Subscriber for Heard {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut levels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            levels.push(*event.metadata().level());
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn what_anybody_may_cause_at_will_is_no_error_in_the_log() {
        let refused = || Rejection::new(RejectionKind::Limited, "test");
        let mut violations = Violations::new();
        violations.add("", "is never right");
        let errors: [(BoxError, u16, Level); 4] = [
            (refused().into(), 429, Level::DEBUG),
            (std::io::Error::other(refused()).into(), 429, Level::DEBUG),
            (
                violations.into_result().expect_err("there is one").into(),
                422,
                Level::DEBUG,
            ),
            ("the disk is full".into(), 500, Level::ERROR),
        ];
        for (error, status, level) in errors {
            let heard = Heard::default();
            let response = with_default(heard.clone(), || answer_to(&*error, Version::HTTP_11));
            assert_eq!(response.status(), status, "{error}");
            let levels = heard.0.lock().unwrap_or_else(PoisonError::into_inner);
            assert_eq!(*levels, [level], "{error}");
        }
    }
}
