//! One call.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bartizan_core::{BoxError, Completion, Reject, Rejection};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    Judge, Ticket,
    picker::Picker,
    search::{Held, Search, poll_search},
    set::{Set, Shared},
};

pin_project! {
    /// The response of the endpoint that was picked.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, F, Req, Seen, P, J, R> {
        #[pin]
        state: State<S, F, Req, Seen, P>,
        judge: J,
        reject: R,
    }
}

pin_project! {
    #[project = StateProj]
    pub(super) enum State<S, F, Req, Seen, P> {
        Calling {
            #[pin]
            response: F,
            call: Option<(Seen, Completion<Ticket>)>,
        },
        // There is a request, and no endpoint for it yet.
        Searching {
            shared: Arc<Shared<S, P>>,
            set: Arc<Set<S, P>>,
            search: Option<Box<Search<S>>>,
            request: Option<Req>,
        },
        Rejected {
            rejection: Option<Rejection>,
        },
    }
}

impl<S, F, Req, Seen, P, J, R> ResponseFuture<S, F, Req, Seen, P, J, R> {
    pub(super) const fn new(state: State<S, F, Req, Seen, P>, judge: J, reject: R) -> Self {
        Self {
            state,
            judge,
            reject,
        }
    }
}

impl<S, Req, Seen, P> State<S, S::Future, Req, Seen, P>
where
    S: Service<Req>,
{
    /// Calls a service that is ready.
    pub(super) fn call<J>(mut held: Held<S>, request: Req, shared: &Shared<S, P>, judge: &J) -> Self
    where
        J: Judge<Req, S::Response, S::Error, Seen = Seen>,
    {
        let seen = judge.request(&request);
        // Before the call, which may be all the work there is.
        let completion = Completion::new(Ticket::new(held.node, shared.weighing));
        Self::Calling {
            response: held.service.call(request),
            call: Some((seen, completion)),
        }
    }
}

impl<S, Req, P, J, R> Future for ResponseFuture<S, S::Future, Req, J::Seen, P, J, R>
where
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
    P: Picker<Req>,
    J: Judge<Req, S::Response, S::Error>,
    R: Reject<S::Response, S::Error>,
{
    type Output = Result<J::Response, R::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                // ## Calling => done
                StateProj::Calling { response, call } => {
                    let result = ready!(response.poll(cx));
                    let (seen, completion) = call.take().expect("polled after it was done");
                    let judged = this.judge.judge(seen, completion, result);
                    return Poll::Ready(judged.map_err(|error| this.reject.pass(error)));
                }
                // ## Searching => (Calling | Rejected)
                StateProj::Searching {
                    shared,
                    set,
                    search,
                    request,
                } => match ready!(poll_search(shared, set, search, request.as_ref(), cx)) {
                    Ok(held) => {
                        let request = request.take().expect("taken once");
                        State::call(held, request, shared, this.judge)
                    }
                    Err(rejection) => State::Rejected {
                        rejection: Some(rejection),
                    },
                },
                // ## Rejected => done
                StateProj::Rejected { rejection } => {
                    let rejection = rejection.take().expect("polled after it was done");
                    let answer = this.reject.reject(rejection);
                    return Poll::Ready(answer.map(|response| this.judge.unjudged(response)));
                }
            };
            this.state.set(next);
        }
    }
}

impl<S, F, Req, Seen, P, J, R> fmt::Debug for ResponseFuture<S, F, Req, Seen, P, J, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Calling { .. } => "calling",
            State::Searching { .. } => "searching",
            State::Rejected { .. } => "rejected",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
