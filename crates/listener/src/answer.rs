//! One request, and what the service makes of it.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bartizan_core::{Body, BoxError, problem};
use http::{Request, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use http_body::Body as _;
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use crate::{
    body::TrackedBody,
    http::{Guarded, HttpSettings, Refusal, check},
    in_flight::InFlight,
    place::Place,
    respond::{Asked, of_error, of_listener, of_service, refuse},
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
        let asked = Asked::by(&request);
        let in_flight = InFlight::new(&self.place);
        let state = match check(&mut request, settings) {
            Ok(()) => {
                let (mut head, body) = request.into_parts();
                let body = guarded(&head, body, settings);
                in_flight.info().attach(&mut head.extensions);
                // Not called before it is polled: over HTTP/2, that is where it holds up nobody, and a panic ends no other request.
                State::Passed(Box::pin(Stage::Waiting {
                    service: self.service.clone(),
                    request: Some(Request::from_parts(head, body)),
                }))
            }
            Err(refusal) => State::Refused(refusal),
        };
        Answer {
            state,
            in_flight: Some(in_flight),
            asked,
            alarm: None,
        }
    }
}

pin_project! {
    /// The response to one request.
    ///
    /// hyper and tokio move it several times before it is where it stays, and over HTTP/1.1 every idle connection has room for one. So it is
    /// written by hand to be small, and the service with its request, and then its future, are in one box: that costs less than the
    /// moves.
    #[must_use = "futures do nothing unless polled"]
    pub(crate) struct Answer<S, F> {
        state: State<S, F>,
        // `None` once the response has it.
        in_flight: Option<InFlight>,
        asked: Asked,
        // Made with the first wait: most services need none, or answer at once.
        alarm: Option<Pin<Box<Sleep>>>,
    }
}

enum State<S, F> {
    /// The service has the request, or is about to.
    Passed(Pin<Box<Stage<S, F>>>),
    /// The service is not to see the request.
    Refused(Refusal),
}

pin_project! {
    #[project = StageProj]
    enum Stage<S, F> {
        /// The service is asked whether it is ready.
        Waiting { service: S, request: Option<Request<Body>> },
        Calling { #[pin] future: F },
    }
}

impl<S, F> Stage<S, F>
where
    S: Service<Request<Body>, Future = F>,
    F: Future<Output = Result<S::Response, S::Error>>,
{
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        loop {
            match self.as_mut().project() {
                // ## Waiting => Calling
                StageProj::Waiting { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    let request = request.take().expect("it is called once");
                    let future = service.call(request);
                    self.set(Self::Calling { future });
                }
                StageProj::Calling { future } => return future.poll(cx),
            }
        }
    }
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
        let this = self.as_mut().project();
        let asked = *this.asked;
        let response = match this.state {
            State::Passed(stage) => match stage.as_mut().poll(cx) {
                Poll::Ready(Ok(response)) => {
                    let in_flight = this.in_flight.take().expect("it is answered once");
                    return Poll::Ready(Ok(of_service(response, asked, in_flight)));
                }
                Poll::Ready(Err(error)) => of_error(&*error.into(), asked),
                // The answer before the timer.
                Poll::Pending => {
                    ready!(self.as_mut().poll_timeout(cx));
                    let detail = "the service took too long";
                    problem(StatusCode::SERVICE_UNAVAILABLE, detail)
                }
            },
            State::Refused((status, detail)) => refuse(*status, detail, asked),
        };
        let in_flight = self.project().in_flight.take();
        let in_flight = in_flight.expect("it is answered once");
        Poll::Ready(Ok(of_listener(response, asked, in_flight)))
    }
}

impl<S, F> Answer<S, F> {
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

/// The body, held to what is set.
fn guarded(head: &Parts, body: Incoming, settings: &HttpSettings) -> Body {
    if body.is_end_stream() {
        return Body::empty();
    }
    // Streams of messages, and silence between them is no slowness.
    let is_grpc = head
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let rate = settings.min_request_rate.filter(|_| !is_grpc);
    Body::new(Guarded::new(body, settings.max_body_bytes, rate))
}
