//! The layer and its service: it finds out who leads, and leaves the rest to the call's future.

use std::{
    fmt,
    hash::Hash,
    marker::PhantomData,
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bartizan_core::{BoxError, ConfigError, Propagate, Reject};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Policy,
    flights::{Flights, Role},
    future::{ResponseFuture, State},
};

/// By default: far more than a service has in flight, and still a bound to what a flood of keys costs.
pub(super) const MAX_KEYS: usize = 10_000;

/// Makes one call of several that ask for the same. See the [module](super).
///
/// Each service that the layer makes has calls of its own, because it may be another peer's. Clones of a service share them.
pub struct CoalesceLayer<P, K, Res, R = Propagate> {
    policy: Arc<P>,
    max_keys: usize,
    reject: R,
    types: Types<K, Res>,
}

/// The types of what the services will hold, which the policy alone does not tell.
type Types<K, Res> = PhantomData<fn() -> (K, Res)>;

impl<P, K, Res> CoalesceLayer<P, K, Res> {
    /// Calls for which `policy` has equal keys are the same, up to 10,000 keys at a time.
    ///
    /// For HTTP there is [`HttpCoalesceLayer`](super::HttpCoalesceLayer).
    pub fn new(policy: P) -> Self {
        Self {
            policy: Arc::new(policy),
            max_keys: MAX_KEYS,
            reject: Propagate,
            types: PhantomData,
        }
    }
}

impl<P, K, Res, R> CoalesceLayer<P, K, Res, R> {
    /// Sets for how many keys there may be calls at a time. A call for one more is made as if this layer were not there. The keys are
    /// spread over up to 16 tables with an even share each, and one of them may be full before the others are. Default: 10,000.
    ///
    /// # Errors
    ///
    /// If it is zero.
    pub fn try_max_keys(mut self, max_keys: usize) -> Result<Self, ConfigError> {
        self.max_keys = check_max_keys(max_keys)?;
        Ok(self)
    }
}

pub(super) fn check_max_keys(max_keys: usize) -> Result<usize, ConfigError> {
    match max_keys {
        0 => Err(ConfigError::new("max_keys", 0, "at least 1")),
        _ => Ok(max_keys),
    }
}

reject_methods!(CoalesceLayer<P, K, Res> { policy, max_keys, types });

impl<S, P, K, Res, R: Clone> Layer<S> for CoalesceLayer<P, K, Res, R> {
    type Service = Coalesce<S, P, K, Res, R>;

    fn layer(&self, inner: S) -> Self::Service {
        let policy = Arc::clone(&self.policy);
        Coalesce::new(inner, policy, self.max_keys, self.reject.clone())
    }
}

/// Makes one call of several that ask for the same. See the [module](super).
pub struct Coalesce<S, P, K, Res, R = Propagate> {
    inner: S,
    policy: Arc<P>,
    flights: Arc<Flights<K, Res>>,
    reject: R,
}

impl<S, P, K, Res, R> Coalesce<S, P, K, Res, R> {
    pub(super) fn new(inner: S, policy: Arc<P>, max_keys: usize, reject: R) -> Self {
        Self {
            inner,
            policy,
            flights: Arc::new(Flights::new(max_keys)),
            reject,
        }
    }

    /// For how many keys there are calls now. It looks into each of up to 16 tables.
    pub fn keys_in_flight(&self) -> usize {
        self.flights.keys()
    }
}

inner_accessors!(Coalesce<S, P, K, Res, R>);

impl<S, P, K, Res, R, Req> Service<Req> for Coalesce<S, P, K, Res, R>
where
    S: Service<Req, Response = Res> + Clone,
    S::Error: Into<BoxError>,
    P: Policy<Req, Res, Key = K>,
    K: Hash + Eq,
    R: Reject<Res, S::Error> + Clone,
{
    type Response = Res;
    type Error = R::Error;
    type Future = ResponseFuture<S, S::Future, Req, P, K, Res, R>;

    /// Always ready: only the key tells whether a call needs the inner service.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let role = match self.policy.key(&request) {
            Some(key) => self.flights.join(key),
            None => Role::Alone,
        };
        let clone = self.inner.clone();
        let service = mem::replace(&mut self.inner, clone);
        let (state, lead) = match role {
            Role::Lead(lead) => (State::ready(service, request), Some(lead)),
            Role::Alone => (State::ready(service, request), None),
            Role::Wait(seat) => (State::wait(seat, service, request), None),
        };
        ResponseFuture::new(state, lead, Arc::clone(&self.policy), self.reject.clone())
    }
}

impl<S: Clone, P, K, Res, R: Clone> Clone for Coalesce<S, P, K, Res, R> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            policy: Arc::clone(&self.policy),
            flights: Arc::clone(&self.flights),
            reject: self.reject.clone(),
        }
    }
}

impl<P, K, Res, R: Clone> Clone for CoalesceLayer<P, K, Res, R> {
    fn clone(&self) -> Self {
        Self {
            policy: Arc::clone(&self.policy),
            max_keys: self.max_keys,
            reject: self.reject.clone(),
            types: PhantomData,
        }
    }
}

impl<P, K, Res, R: fmt::Debug> fmt::Debug for CoalesceLayer<P, K, Res, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoalesceLayer")
            .field("max_keys", &self.max_keys)
            .field("reject", &self.reject)
            .finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, P, K, Res, R: fmt::Debug> fmt::Debug for Coalesce<S, P, K, Res, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coalesce")
            .field("inner", &self.inner)
            .field("flights", &self.flights)
            .field("reject", &self.reject)
            .finish_non_exhaustive()
    }
}
