//! The client that connects again.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_core::{Body, BoxError, Replay, StatusSet};
use futures_core::Stream;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use super::{
    Event, EventStream, MAX_EVENT,
    backoff::{LONGEST_RETRY, wait},
};
use crate::{
    CallTimeout, Error, HeadersExt, RequestBuilder, ResponseExt,
    call_timeout::{Deadline, poll_deadline},
    error::{Call, Kind},
    response::now,
};

/// How long an attempt may take until the head, unless the request says: as a [`CallTimeoutLayer`](crate::CallTimeoutLayer) would have it.
const PATIENCE: CallTimeout = CallTimeout(Duration::from_secs(30));

pin_project! {
    /// A stream of events that outlives its connections, as the [WHATWG](https://html.spec.whatwg.org/multipage/server-sent-events.html)
    /// describes it: made by [`RequestBuilder::event_source`], over any service.
    ///
    /// | what comes | what it does |
    /// |---|---|
    /// | 200 and `text/event-stream` | yields the events |
    /// | the end of the response, or that it breaks off | connects again |
    /// | 204 | ends |
    /// | another status, or another media type | fails; where [told so](Self::reconnect_on), connects again, and not before `Retry-After` |
    /// | no response | connects again, until it has tried [often enough](Self::max_attempts) |
    /// | an event that is too large | fails |
    ///
    /// It waits before it connects again: for what the stream has asked by `retry` (at most an hour), at first 3 s. After failures in a
    /// row each wait is twice the one before, from half a second at least up to 60 s. Up to a quarter is added at random, so that the clients of a server that was
    /// gone do not all come back at once.
    ///
    /// The request is sent again as it is, with `Last-Event-ID` once there is one; `Accept` and `Cache-Control` are set unless the
    /// request has them. The ids go on: an event that has none has that of the last, over connections too.
    ///
    /// Each attempt has until the head of its response the time of the request's [`timeout`](RequestBuilder::timeout), or 30 s. The
    /// stream that follows has no such limit, as it has no end to wait for: neither the request's, nor that of a
    /// [`CallTimeoutLayer`](crate::CallTimeoutLayer) below.
    ///
    /// A transport that cuts off what is silent for a time ([`Timeouts::read`](crate::Timeouts::read), 30 s) ends a stream that has no
    /// events and no comments in that time, and it connects again. Set that timeout to what the server promises.
    ///
    /// # Readiness and cancellation
    ///
    /// A clone of the service is made ready and called for each connection. Dropping the stream gives up what it does. It needs a tokio
    /// runtime with time.
    ///
    /// # Examples
    ///
    /// See the [module](super).
    #[must_use = "streams do nothing unless polled"]
    pub struct EventSource<S, F, B> {
        service: S,
        request: Request<Body>,
        settings: Settings,
        last_id: Arc<str>,
        retry: Duration,
        // Since there was a stream.
        failures: u32,
        #[pin]
        state: State<S, F, B>,
        // Of one attempt, until there is a stream.
        deadline: Option<Deadline>,
        #[pin]
        timer: Option<Sleep>,
    }
}

#[derive(Clone, Debug)]
struct Settings {
    patience: CallTimeout,
    max_attempts: Option<u32>,
    reconnect_on: StatusSet,
    max_event_size: usize,
    with_comments: bool,
    jitter: f64,
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, B> {
        Beginning,
        Preparing { service: S },
        Calling { #[pin] future: F },
        Open { #[pin] events: EventStream<B> },
        Waiting { #[pin] sleep: Sleep },
        Done,
    }
}

impl<S> RequestBuilder<S> {
    /// A stream of events that connects again, instead of one response.
    ///
    /// # Errors
    ///
    /// The first mistake in the request, one of which is a body that can be sent only once.
    pub fn event_source<RB>(self) -> Result<EventSource<S, S::Future, RB>, Error>
    where
        S: Service<Request<Body>, Response = Response<RB>> + Clone,
    {
        let (service, request) = self.into_service_and_request();
        let mut request = request?;
        if request.body().try_clone().is_none() {
            let error = Error::new(
                Kind::Builder,
                "the body is a stream, and would have to be sent with each connection: make it whole",
            );
            return Err(error.with_call(Some(Call::of(&request))));
        }
        let headers = request.headers_mut();
        headers
            .entry(header::ACCEPT)
            .or_insert(HeaderValue::from_static("text/event-stream"));
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        // A limit on the whole call would be one on the stream: what there is of it is kept here, for what comes before.
        let asked = request.extensions_mut().insert(CallTimeout(Duration::MAX));
        Ok(EventSource {
            state: State::Beginning,
            deadline: None,
            timer: None,
            service,
            request,
            settings: Settings {
                patience: asked.unwrap_or(PATIENCE),
                max_attempts: None,
                reconnect_on: StatusSet::EMPTY,
                max_event_size: MAX_EVENT,
                with_comments: false,
                jitter: 0.25,
            },
            last_id: Arc::default(),
            retry: Duration::from_secs(3),
            failures: 0,
        })
    }
}

impl<S, F, B> EventSource<S, F, B> {
    /// Sets how often in a row it tries to connect before it fails with the last error; at least once. Default: for ever, as the
    /// standard has it.
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.settings.max_attempts = Some(attempts);
        self
    }

    /// Sets by which statuses a server says that it cannot answer now, and may later. Default: none, as the standard has it; 502, 503
    /// and 504 are what a proxy says while its server starts again. Where such an answer has `Retry-After`, it does not connect before,
    /// but an hour later at the latest.
    pub const fn reconnect_on(mut self, statuses: StatusSet) -> Self {
        self.settings.reconnect_on = statuses;
        self
    }

    /// Sets how long it waits before it connects again, until the stream asks for another time. Default: 3 s; the standard says "a few
    /// seconds". At most an hour.
    pub fn retry(mut self, retry: Duration) -> Self {
        self.retry = retry.min(LONGEST_RETRY);
        self
    }

    /// Turns off what is added to each wait at random: for tests, which want to know when.
    pub const fn without_jitter(mut self) -> Self {
        self.settings.jitter = 0.0;
        self
    }

    /// Goes on after the event of that id, which an earlier source had last.
    pub fn last_event_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.last_id = id.into();
        self
    }

    /// Sets the greatest size of a line, and of an event's data, in bytes. Default: 1 MiB.
    pub const fn max_event_size(mut self, bytes: usize) -> Self {
        self.settings.max_event_size = bytes;
        self
    }

    /// Yields comments too, as events that have a [`comment`](Event::comment) and nothing else.
    pub const fn with_comments(mut self) -> Self {
        self.settings.with_comments = true;
        self
    }

    /// The id of the last event that had one, to go on from. Empty if there was none.
    pub fn get_last_event_id(&self) -> &str {
        &self.last_id
    }
}

impl<S, B> Stream for EventSource<S, S::Future, B>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data: Send, Error: Into<BoxError>> + Send,
{
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let mut this = self.as_mut().project();
            let failure = match this.state.as_mut().project() {
                // ## Beginning => Preparing
                StateProj::Beginning => {
                    *this.deadline = Deadline::new(this.settings.patience);
                    let service = this.service.clone();
                    this.state.set(State::Preparing { service });
                    continue;
                }
                // ## Preparing => (Calling | Waiting | Done)
                StateProj::Preparing { service } => match service.poll_ready(cx) {
                    Poll::Pending => {
                        let late = ready!(poll_deadline(*this.deadline, this.timer.as_mut(), cx));
                        Failure::passing(late)
                    }
                    Poll::Ready(Ok(())) => {
                        let request = request_again(this.request, this.last_id);
                        let request = request.expect("the body was whole when the source was made");
                        let future = service.call(request);
                        this.state.set(State::Calling { future });
                        continue;
                    }
                    Poll::Ready(Err(error)) => {
                        Failure::passing(Error::of_service(error.into(), Kind::NotReady))
                    }
                },
                // ## Calling => (Open | Waiting | Done)
                StateProj::Calling { future } => match future.poll(cx) {
                    Poll::Pending => {
                        let late = ready!(poll_deadline(*this.deadline, this.timer.as_mut(), cx));
                        Failure::passing(late)
                    }
                    Poll::Ready(Ok(response)) if response.status() == StatusCode::NO_CONTENT => {
                        this.state.set(State::Done);
                        return Poll::Ready(None);
                    }
                    Poll::Ready(Ok(response)) => match open(response, this.request, this.last_id) {
                        Ok(events) => {
                            *this.failures = 0;
                            // It would wake whoever waits for an event.
                            this.timer.set(None);
                            let mut events = events.max_event_size(this.settings.max_event_size);
                            if this.settings.with_comments {
                                events = events.with_comments();
                            }
                            this.state.set(State::Open { events });
                            continue;
                        }
                        Err(error) => {
                            let again = this.settings.reconnect_on;
                            let is_passing = error.status().is_some_and(|it| again.contains(it));
                            let not_before = retry_after(&error, this.request);
                            Failure {
                                error,
                                is_passing,
                                not_before,
                            }
                        }
                    },
                    Poll::Ready(Err(error)) => {
                        Failure::passing(Error::of_service(error.into(), Kind::Service))
                    }
                },
                // ## Open => (Waiting | Done)
                StateProj::Open { mut events } => {
                    let event = ready!(events.as_mut().poll_next(cx));
                    *this.last_id = Arc::clone(events.last_id());
                    if let Some(retry) = events.retry() {
                        *this.retry = retry.min(LONGEST_RETRY);
                    }
                    match event {
                        Some(Err(error)) if error.is_too_large() => Failure {
                            error,
                            is_passing: false,
                            not_before: Duration::ZERO,
                        },
                        Some(Ok(event)) => return Poll::Ready(Some(Ok(event))),
                        // How it ended says nothing of how to go on.
                        Some(Err(_)) | None => {
                            let wait = wait(*this.retry, 0, Duration::ZERO, jitter(this.settings));
                            this.state.set(State::Waiting { sleep: sleep(wait) });
                            continue;
                        }
                    }
                }
                // ## Waiting => Beginning
                StateProj::Waiting { sleep } => {
                    ready!(sleep.poll(cx));
                    this.state.set(State::Beginning);
                    continue;
                }
                StateProj::Done => return Poll::Ready(None),
            };
            this.timer.set(None);
            *this.failures = this.failures.saturating_add(1);
            let attempts = this.settings.max_attempts;
            let was_last = attempts.is_some_and(|attempts| *this.failures >= attempts);
            if was_last || !failure.is_passing {
                this.state.set(State::Done);
                let call = Call::of(this.request);
                return Poll::Ready(Some(Err(failure.error.with_call(Some(call)))));
            }
            let wait = wait(
                *this.retry,
                *this.failures,
                failure.not_before,
                jitter(this.settings),
            );
            this.state.set(State::Waiting { sleep: sleep(wait) });
        }
    }
}

/// Why there is no stream.
struct Failure {
    error: Error,
    /// Whether the next attempt may find it gone.
    is_passing: bool,
    /// How long the server asks to be left alone.
    not_before: Duration,
}

impl Failure {
    fn passing(error: Error) -> Self {
        Self {
            is_passing: !error.is_builder(),
            not_before: Duration::ZERO,
            error,
        }
    }
}

/// What the server asks for by `Retry-After` (RFC 9110 section 10.2.3), but not for ever.
fn retry_after(error: &Error, request: &Request<Body>) -> Duration {
    let asked = error.headers().and_then(|headers| {
        let now = now(request.extensions().get());
        headers.retry_after(now)
    });
    asked.unwrap_or_default().min(LONGEST_RETRY)
}

/// The request for another connection, which goes on after `last_id`.
fn request_again(request: &Request<Body>, last_id: &str) -> Option<Request<Body>> {
    let mut request = request.replay()?;
    if !last_id.is_empty() {
        // One with a control character in it cannot be sent.
        if let Ok(id) = HeaderValue::from_bytes(last_id.as_bytes()) {
            request
                .headers_mut()
                .insert(HeaderName::from_static("last-event-id"), id);
        }
    }
    Some(request)
}

fn open<B>(
    mut response: Response<B>,
    request: &Request<Body>,
    last_id: &Arc<str>,
) -> Result<EventStream<B>, Error>
where
    B: http_body::Body<Data: Send, Error: Into<BoxError>> + Send,
{
    // For the errors of reading it.
    response
        .extensions_mut()
        .get_or_insert_with(|| Call::of(request));
    let response = response.error_for_status()?;
    if response.status() != StatusCode::OK {
        let error = Error::new(
            Kind::Decode,
            format!(
                "the server answered {} to a request for events",
                response.status()
            ),
        );
        return Err(error.with_response(response.status(), response.headers().clone()));
    }
    EventStream::of(response, Arc::clone(last_id))
}

fn jitter(settings: &Settings) -> f64 {
    settings.jitter * fastrand::f64()
}

impl<S, F, B> fmt::Debug for EventSource<S, F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSource")
            .field("request", &Call::of(&self.request))
            .field("last_id", &self.last_id)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}
