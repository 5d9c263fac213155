//! One call: as the leader, as one who waits, or as one who asks alone.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bartizan_core::{BoxError, Reject};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    Policy, SharedError,
    flights::{Lead, News, Seat},
};

pin_project! {
    /// The response to this call, or a copy of the response to the call that it waited for.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, F, Req, P, K, Res, R> {
        // Dropped before `lead`, so that an inner call has ended before another takes its place.
        #[pin]
        state: State<S, F, Req, K, Res>,
        // `None` for those who do not lead.
        lead: Option<Lead<K, Res>>,
        policy: Arc<P>,
        reject: R,
    }
}

pin_project! {
    #[project = StateProj]
    pub(super) enum State<S, F, Req, K, Res> {
        Waiting { seat: Seat<K, Res>, own: Option<(S, Req)> },
        Readying { service: S, request: Option<Req> },
        Calling { #[pin] response: F },
        Done,
    }
}

impl<S, F, Req, K, Res> State<S, F, Req, K, Res> {
    pub(super) const fn ready(service: S, request: Req) -> Self {
        Self::Readying {
            service,
            request: Some(request),
        }
    }

    pub(super) const fn wait(seat: Seat<K, Res>, service: S, request: Req) -> Self {
        Self::Waiting {
            seat,
            own: Some((service, request)),
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Waiting { .. } => "Waiting",
            Self::Readying { .. } => "Readying",
            Self::Calling { .. } => "Calling",
            Self::Done => "Done",
        }
    }
}

impl<S, F, Req, P, K, Res, R> ResponseFuture<S, F, Req, P, K, Res, R> {
    pub(super) const fn new(
        state: State<S, F, Req, K, Res>,
        lead: Option<Lead<K, Res>>,
        policy: Arc<P>,
        reject: R,
    ) -> Self {
        Self {
            state,
            lead,
            policy,
            reject,
        }
    }
}

impl<S, F, Req, P, K, Res, R> fmt::Debug for ResponseFuture<S, F, Req, P, K, Res, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("state", &self.state.name())
            .field("leads", &self.lead.is_some())
            .finish_non_exhaustive()
    }
}

impl<S, Req, P, K, Res, R> Future for ResponseFuture<S, S::Future, Req, P, K, Res, R>
where
    S: Service<Req, Response = Res>,
    S::Error: Into<BoxError>,
    P: Policy<Req, Res>,
    R: Reject<Res, S::Error>,
{
    type Output = Result<Res, R::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                // ## Waiting => (done | Readying)
                StateProj::Waiting { seat, own } => {
                    let news = ready!(Pin::new(&mut seat.news).poll(cx));
                    match news {
                        Ok(News::Answer(response)) => {
                            this.state.set(State::Done);
                            return Poll::Ready(Ok(response));
                        }
                        Ok(News::Failure(error)) => {
                            this.state.set(State::Done);
                            return Poll::Ready(this.reject.reject(error.rejection()));
                        }
                        Ok(News::Lead) => {
                            tracing::debug!("coalesce: the leader is gone, and a waiter leads");
                            *this.lead = Some(seat.lead());
                        }
                        // An error if the leader panicked while it shared its answer.
                        Ok(News::Alone) | Err(_) => {}
                    }
                    let (service, request) = own.take().expect("it is here until the call is made");
                    State::ready(service, request)
                }
                // ## Readying => (Calling | done)
                StateProj::Readying { service, request } => match ready!(service.poll_ready(cx)) {
                    Ok(()) => {
                        let request = request.take().expect("it is here until it is sent");
                        State::Calling {
                            response: service.call(request),
                        }
                    }
                    Err(error) => {
                        this.state.set(State::Done);
                        return Poll::Ready(fail(this.lead.take(), error, this.reject));
                    }
                },
                // ## Calling => done
                StateProj::Calling { response } => {
                    let result = ready!(response.poll(cx));
                    this.state.set(State::Done);
                    let lead = this.lead.take();
                    return Poll::Ready(match result {
                        Ok(response) => {
                            share(lead, &response, &**this.policy);
                            Ok(response)
                        }
                        Err(error) => fail(lead, error, this.reject),
                    });
                }
                // ## Done => Done
                StateProj::Done => panic!("the response future was polled after it had answered"),
            };
            this.state.set(next);
        }
    }
}

/// Gives each who waits a copy of the answer, or leave to ask for itself.
fn share<Req, K, Res, P>(lead: Option<Lead<K, Res>>, response: &Res, policy: &P)
where
    P: Policy<Req, Res>,
{
    for waiter in lead.map(Lead::land).into_iter().flatten() {
        // Somebody who has just gone needs no copy.
        if waiter.is_closed() {
            continue;
        }
        let news = policy.copy(response).map_or(News::Alone, News::Answer);
        let _ = waiter.send(news);
    }
}

/// The error as it is, if nobody waits for it; else one for all.
fn fail<K, Res, Err, R>(lead: Option<Lead<K, Res>>, error: Err, reject: &R) -> Result<Res, R::Error>
where
    Err: Into<BoxError>,
    R: Reject<Res, Err>,
{
    let mut waiters = lead.map(Lead::land).into_iter().flatten().peekable();
    if waiters.peek().is_none() {
        return Err(reject.pass(error));
    }
    let error = SharedError::new(error.into());
    for waiter in waiters {
        let _ = waiter.send(News::Failure(error.clone()));
    }
    reject.reject(error.rejection())
}
