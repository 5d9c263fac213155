//! The response that goes on.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_core::BoxError;
use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderName, HeaderValue, Response, header};
use http_body::{Body, Frame};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use super::Event;

/// Half of the shortest idle limit in common use, which is 30 s.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

const DAY: Duration = Duration::from_secs(86_400);

/// A response made of a stream of events. See the [module](super).
#[derive(Clone, Debug)]
pub struct Sse<S> {
    events: S,
    keep_alive: Option<Duration>,
    retry: Option<Duration>,
}

impl<S> Sse<S> {
    /// Sends these events, and ends with them.
    pub const fn new(events: S) -> Self {
        Self {
            events,
            keep_alive: Some(KEEP_ALIVE),
            retry: None,
        }
    }

    /// Sends a comment whenever there was nothing for so long. Default: 15 s, half of the shortest limit for silence in common use.
    /// Zero is taken for a millisecond, and more than a day for a day.
    #[must_use]
    pub fn keep_alive(mut self, interval: Duration) -> Self {
        self.keep_alive = Some(interval.clamp(Duration::from_millis(1), DAY));
        self
    }

    /// Sends no comments.
    #[must_use]
    pub fn no_keep_alive(mut self) -> Self {
        self.keep_alive = None;
        self
    }

    /// Tells the client, before anything else, how long to wait before it connects again. Default: its own choice, some seconds.
    #[must_use]
    pub fn retry(mut self, delay: Duration) -> Self {
        self.retry = Some(delay);
        self
    }

    /// The response, for any service, and for an axum handler.
    pub fn into_response(self) -> Response<SseBody<S>> {
        let first = self.retry.map(|delay| Event::default().retry(delay));
        let mut response = Response::new(SseBody {
            events: Some(self.events),
            first: first.map(|event| event.to_bytes()),
            keep_alive: self.keep_alive,
            timer: None,
            is_waiting: false,
        });
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-store"),
            (HeaderName::from_static("x-accel-buffering"), "no"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

pin_project! {
    /// The body of an [`Sse`] response.
    #[derive(Debug)]
    pub struct SseBody<S> {
        // `None` once it has ended, so that what it holds is given back at once.
        #[pin]
        events: Option<S>,
        first: Option<Bytes>,
        keep_alive: Option<Duration>,
        // Armed by the first poll that finds nothing; set anew by the first such poll after each frame.
        #[pin]
        timer: Option<Sleep>,
        is_waiting: bool,
    }
}

impl<S, E> Body for SseBody<S>
where
    S: Stream<Item = Result<Event, E>>,
    E: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(events) = this.events.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        // Before the timer: an event that is there needs no comment before it.
        match events.poll_next(cx) {
            Poll::Ready(Some(Ok(event))) => {
                *this.is_waiting = false;
                return Poll::Ready(Some(Ok(Frame::data(event.to_bytes()))));
            }
            Poll::Ready(ended) => {
                this.events.set(None);
                let error = ended.and_then(Result::err);
                return Poll::Ready(error.map(|error| Err(error.into())));
            }
            Poll::Pending => {}
        }
        let Some(interval) = *this.keep_alive else {
            return Poll::Pending;
        };
        if !*this.is_waiting {
            let at = Instant::now() + interval;
            match this.timer.as_mut().as_pin_mut() {
                Some(timer) => timer.reset(at),
                None => this.timer.set(Some(tokio::time::sleep_until(at))),
            }
            *this.is_waiting = true;
        }
        if let Some(timer) = this.timer.as_mut().as_pin_mut() {
            ready!(timer.poll(cx));
        }
        *this.is_waiting = false;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b":\n\n")))))
    }

    fn is_end_stream(&self) -> bool {
        self.events.is_none() && self.first.is_none()
    }
}
