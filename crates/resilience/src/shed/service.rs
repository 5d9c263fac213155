//! The service: it waits for a place, and then for the inner service.

use std::{
    error::Error,
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_core::{Propagate, Reject, Rejection, RejectionKind};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tower_service::Service;

use super::places::{Admission, Door, Place, Progress, Ticket};

/// Limits how many calls run at once, and sheds those that wait for too long. See the [module](super).
#[derive(Debug)]
pub struct Shed<S, R = Propagate> {
    inner: S,
    places: Door,
    reject: R,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle,
    Waiting(Ticket, Pin<Box<Sleep>>),
    Placed(Place),
    Refused(Overload),
}

impl<S, R> Shed<S, R> {
    pub(super) const fn new(inner: S, places: Door, reject: R) -> Self {
        Self {
            inner,
            places,
            reject,
            state: State::Idle,
        }
    }

    /// Until there is a place, or there will be none.
    fn poll_place(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.state = match &mut self.state {
                // ## Idle => (Placed | Waiting | Refused)
                State::Idle => match self.places.try_take() {
                    Some(place) => State::Placed(place),
                    None => match self.places.admit(Instant::now(), cx.waker()) {
                        Admission::Placed(place) => State::Placed(place),
                        Admission::Waiting { ticket, limit } => {
                            State::Waiting(ticket, Box::pin(tokio::time::sleep(limit)))
                        }
                        Admission::QueueFull => State::Refused(Overload {
                            waited: Duration::ZERO,
                            is_queue_full: true,
                        }),
                    },
                },
                // ## Waiting => (Placed | Refused)
                State::Waiting(ticket, timer) => {
                    let progress = match ticket.poll(cx.waker()) {
                        Progress::Waiting => {
                            ready!(timer.as_mut().poll(cx));
                            ticket.expire(Instant::now())
                        }
                        progress => progress,
                    };
                    match progress {
                        Progress::Placed(place) => State::Placed(place),
                        Progress::Waiting => return Poll::Pending,
                        Progress::Shed { waited } => State::Refused(Overload {
                            waited,
                            is_queue_full: false,
                        }),
                    }
                }
                State::Placed(_) | State::Refused(_) => return Poll::Ready(()),
            };
        }
    }
}

reject_methods!(Shed<S> { inner, places, state });
inner_accessors!(Shed<S, R>);

impl<S: Clone, R: Clone> Clone for Shed<S, R> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            places: self.places.clone(),
            reject: self.reject.clone(),
            // The place of `self`, or its stand in the queue, is its own.
            state: State::Idle,
        }
    }
}

impl<S, R, Req> Service<Req> for Shed<S, R>
where
    S: Service<Req>,
    R: Reject<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = R::Error;
    type Future = ResponseFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        ready!(self.poll_place(cx));
        if let State::Refused(_) = self.state {
            return Poll::Ready(Ok(()));
        }
        let readied = ready!(self.inner.poll_ready(cx));
        if readied.is_err() {
            // There will be no call to use it.
            self.state = State::Idle;
        }
        Poll::Ready(readied.map_err(|error| self.reject.pass(error)))
    }

    /// # Panics
    ///
    /// If the instance was not made ready before.
    fn call(&mut self, request: Req) -> Self::Future {
        let answer = match mem::replace(&mut self.state, State::Idle) {
            State::Placed(place) => Answer::Calling {
                response: self.inner.call(request),
                _place: place,
            },
            State::Refused(overload) => Answer::Refused { overload },
            State::Idle | State::Waiting(..) => {
                panic!("`call` without `poll_ready`: there is no place for it")
            }
        };
        ResponseFuture {
            answer,
            reject: self.reject.clone(),
        }
    }
}

pin_project! {
    /// The response, or a [`Rejection`] if the call was shed.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, R> {
        #[pin]
        answer: Answer<F>,
        reject: R,
    }
}

pin_project! {
    #[project = AnswerProj]
    #[derive(Debug)]
    enum Answer<F> {
        Calling {
            #[pin]
            response: F,
            _place: Place,
        },
        Refused { overload: Overload },
        Done,
    }
}

impl<F, R, Res, Err> Future for ResponseFuture<F, R>
where
    F: Future<Output = Result<Res, Err>>,
    R: Reject<Res, Err>,
{
    type Output = Result<Res, R::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = match this.answer.as_mut().project() {
            AnswerProj::Calling { response, .. } => {
                ready!(response.poll(cx)).map_err(|error| this.reject.pass(error))
            }
            AnswerProj::Refused { overload } => {
                tracing::debug!(%overload, "shed");
                let rejection = Rejection::new(RejectionKind::Shed, "shed").with_source(*overload);
                this.reject.reject(rejection)
            }
            AnswerProj::Done => panic!("polled after it was ready"),
        };
        // The place is free now, and not when whoever holds this future gets round to dropping it.
        this.answer.set(Answer::Done);
        Poll::Ready(result)
    }
}

/// Why a call was shed. The source of the [`Rejection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overload {
    waited: Duration,
    is_queue_full: bool,
}

impl Overload {
    /// How long the call waited for a place.
    pub const fn waited(&self) -> Duration {
        self.waited
    }

    /// Whether it did not wait at all, because as many waited as may.
    pub const fn is_queue_full(&self) -> bool {
        self.is_queue_full
    }
}

impl fmt::Display for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_queue_full {
            f.write_str("as many calls wait for a place as may")
        } else {
            write!(f, "no place came free within {:?}", self.waited)
        }
    }
}

impl Error for Overload {}
