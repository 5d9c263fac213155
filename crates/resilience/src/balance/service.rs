//! The service: it finds an endpoint that is ready, and calls it.

use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bartizan_core::{BoxError, Propagate, Reject, Rejection};
use tower_service::Service;

use super::{
    BalanceBuilder, Judge, OnError, PeakEwma,
    future::{ResponseFuture, State},
    picker::Picker,
    search::{Held, Search, poll_search},
    set::{Set, Shared},
};

/// Spreads calls over endpoints. See the [module](super).
///
/// `P` picks, `J` judges, `R` says what becomes of a rejection.
pub struct Balance<S, P = PeakEwma, J = OnError, R = Propagate> {
    pub(super) shared: Arc<Shared<S, P>>,
    /// What this instance last saw of the endpoints.
    pub(super) set: Arc<Set<S, P>>,
    pub(super) readiness: Readiness<S>,
    pub(super) search: Option<Box<Search<S>>>,
    pub(super) judge: J,
    pub(super) reject: R,
}

/// How far this instance has come since its last call.
#[derive(Debug)]
pub(super) enum Readiness<S> {
    Unknown,
    Ready(Held<S>),
    /// There is nobody to ask, which is for the call to say.
    Rejected(Rejection),
}

impl<S> Balance<S> {
    /// Starts a list of endpoints that are services of their own. For endpoints that are URLs behind one client there is
    /// `BalanceLayer`, with the feature `http`.
    pub fn builder() -> BalanceBuilder<S> {
        BalanceBuilder::new()
    }
}

impl<S, P, J> Balance<S, P, J> {
    pub(super) fn new(shared: Arc<Shared<S, P>>, judge: J) -> Self {
        Self {
            set: shared.current(),
            shared,
            readiness: Readiness::Unknown,
            search: None,
            judge,
            reject: Propagate,
        }
    }
}

reject_methods!(Balance<S, P, J> { shared, set, readiness, search, judge });

impl<S, P, J: Clone, R: Clone> Clone for Balance<S, P, J, R> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            set: Arc::clone(&self.set),
            // What `self` made ready is its own to call, and so is its place in queues.
            readiness: Readiness::Unknown,
            search: None,
            judge: self.judge.clone(),
            reject: self.reject.clone(),
        }
    }
}

impl<S, P, J, R, Req> Service<Req> for Balance<S, P, J, R>
where
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
    P: Picker<Req>,
    J: Judge<Req, S::Response, S::Error>,
    R: Reject<S::Response, S::Error> + Clone,
{
    type Response = J::Response;
    type Error = R::Error;
    type Future = ResponseFuture<S, S::Future, Req, J::Seen, P, J, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if P::READS_REQUEST {
            return Poll::Ready(Ok(()));
        }
        if let Readiness::Ready(held) = &mut self.readiness {
            // Asked again, because what was ready may have failed since.
            if !held.node.is_removed() && matches!(held.service.poll_ready(cx), Poll::Ready(Ok(())))
            {
                return Poll::Ready(Ok(()));
            }
        }
        self.readiness = Readiness::Unknown;
        let (shared, set, search) = (&self.shared, &mut self.set, &mut self.search);
        self.readiness = match ready!(poll_search(shared, set, search, None::<&Req>, cx)) {
            Ok(held) => Readiness::Ready(held),
            Err(rejection) => Readiness::Rejected(rejection),
        };
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let state = match mem::replace(&mut self.readiness, Readiness::Unknown) {
            // ## Ready => calling
            Readiness::Ready(held) if !held.node.is_removed() => {
                State::call(held, request, &self.shared, &self.judge)
            }
            // ## Ready, and removed since => searching
            // ## Unknown => searching: it takes the request to tell
            Readiness::Ready(_) | Readiness::Unknown => State::Searching {
                shared: Arc::clone(&self.shared),
                set: Arc::clone(&self.set),
                search: None,
                request: Some(request),
            },
            // ## Rejected => rejected
            Readiness::Rejected(rejection) => State::Rejected {
                rejection: Some(rejection),
            },
        };
        ResponseFuture::new(state, self.judge.clone(), self.reject.clone())
    }
}

impl<S, P: fmt::Debug, J, R> fmt::Debug for Balance<S, P, J, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balance")
            .field("endpoints", &self.set)
            .field("shared", &self.shared)
            .field("search", &self.search)
            .finish_non_exhaustive()
    }
}
