//! The service: it calls the instance that is ready, and leaves the second attempt to the call's future.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bartizan_core::Classify;
use tower_service::Service;

use super::{
    HedgeHandle, OnError, Policy,
    future::{Course, ResponseFuture},
    state::State,
};
use crate::stripes::Lanes;

/// Makes a second attempt at calls that take long. See the [module](super).
#[derive(Debug)]
pub struct Hedge<S, P, C = OnError> {
    inner: S,
    policy: P,
    lanes: Lanes<Arc<Shared<S, C>>>,
}

/// What the clones of one service share, and their calls.
#[derive(Debug)]
pub(super) struct Shared<S, C> {
    /// Never called, only cloned. Behind a lock because a service need not be `Sync`; taken when a second attempt is due.
    pub(super) template: Mutex<S>,
    pub(super) classify: C,
    pub(super) state: Arc<State>,
}

impl<S: Clone, C> Shared<S, C> {
    pub(super) fn service(&self) -> S {
        self.template
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl<S, P, C> Hedge<S, P, C> {
    pub(super) fn new(inner: S, policy: P, shared: Shared<S, C>) -> Self {
        Self {
            inner,
            policy,
            lanes: Lanes::new(&Arc::new(shared)),
        }
    }

    /// Reads what the hedges of this layer do.
    pub fn handle(&self) -> HedgeHandle {
        HedgeHandle::new(Arc::clone(&self.lanes.state))
    }
}

inner_accessors!(Hedge<S, P, C>);

impl<S: Clone, P: Clone, C> Clone for Hedge<S, P, C> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            policy: self.policy.clone(),
            lanes: self.lanes.clone(),
        }
    }
}

impl<S, P, C, Req> Service<Req> for Hedge<S, P, C>
where
    S: Service<Req> + Clone,
    P: Policy<Req>,
    C: Classify<Req, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, S::Future, Req, C, C::Seen>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let course = self.policy.copy(&request).map(|copy| {
            let shared = self.lanes.hold();
            shared.state.budget.deposit();
            let seen = shared.classify.request(&request);
            Course::new(shared, copy, seen)
        });
        ResponseFuture::new(self.inner.call(request), course)
    }
}
