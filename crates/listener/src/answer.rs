//! One request, and what the service makes of it.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
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
                State::begin(self.service.clone(), Request::from_parts(head, body))
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
    /// written by hand to be small: a service that is ready is called at once, and its future, which may be of any size, is boxed. That
    /// costs less than the moves.
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
    /// The service was not ready, and is asked again.
    Waiting(Box<(S, Option<Request<Body>>)>),
    Calling(Pin<Box<F>>),
    Failed(BoxError),
    /// The service is not to see the request.
    Refused(Refusal),
    /// It goes on where it ends one request, and not all those on its connection.
    Panicked(Option<Box<dyn Any + Send>>),
}

impl<S: Service<Request<Body>, Error: Into<BoxError>>> State<S, S::Future> {
    /// Calls the service, if it is ready.
    fn begin(mut service: S, request: Request<Body>) -> Self {
        let mut request = Some(request);
        // By reference: what is in flight here is large.
        let called = catch_unwind(AssertUnwindSafe(|| {
            // Who is not ready is asked again by who can be woken.
            let mut cx = Context::from_waker(Waker::noop());
            Self::call(&mut service, &mut request, &mut cx)
        }));
        match called {
            Ok(Poll::Ready(state)) => state,
            Ok(Poll::Pending) => Self::Waiting(Box::new((service, request))),
            Err(panic) => Self::Panicked(Some(panic)),
        }
    }

    fn call(
        service: &mut S,
        request: &mut Option<Request<Body>>,
        cx: &mut Context<'_>,
    ) -> Poll<Self> {
        Poll::Ready(match ready!(service.poll_ready(cx)) {
            Ok(()) => {
                let request = request.take().expect("it is called once");
                Self::Calling(Box::pin(service.call(request)))
            }
            Err(error) => Self::Failed(error.into()),
        })
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
        let answered = loop {
            match this.state {
                // ## Waiting => (Calling | Failed)
                State::Waiting(waiting) => {
                    let (service, request) = &mut **waiting;
                    match State::call(service, request, cx) {
                        Poll::Ready(state) => *this.state = state,
                        Poll::Pending => break None,
                    }
                }
                State::Calling(future) => match future.as_mut().poll(cx) {
                    Poll::Ready(Ok(response)) => {
                        let in_flight = this.in_flight.take().expect("it is answered once");
                        return Poll::Ready(Ok(of_service(response, asked, in_flight)));
                    }
                    Poll::Ready(Err(error)) => break Some(of_error(&*error.into(), asked)),
                    Poll::Pending => break None,
                },
                State::Failed(error) => break Some(of_error(&**error, asked)),
                State::Refused((status, detail)) => break Some(refuse(*status, detail, asked)),
                State::Panicked(panic) => {
                    resume_unwind(panic.take().expect("polled after it had panicked"))
                }
            }
        };
        let response = match answered {
            Some(response) => response,
            // The answer before the timer.
            None => {
                ready!(self.as_mut().poll_timeout(cx));
                let detail = "the service took too long";
                problem(StatusCode::SERVICE_UNAVAILABLE, detail)
            }
        };
        let this = self.project();
        let in_flight = this.in_flight.take().expect("it is answered once");
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
