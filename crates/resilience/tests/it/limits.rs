//! What the tests of the limits share.

use std::{
    future::{Ready, ready},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bartizan_core::{Body, BoxError, Rejection, find};
use bartizan_testing::allocations;
use http::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service;

/// Answers at once, and never allocates.
#[derive(Clone, Debug)]
pub(crate) struct Bare;

impl<R> Service<R> for Bare {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: R) -> Self::Future {
        ready(Ok(Response::new(Body::empty())))
    }
}

/// The allocations of a thousand calls, on one instance and on clones.
pub(crate) fn of_calls<R, S>(service: &S, request: impl Fn() -> R) -> u64
where
    S: Service<R, Error: std::fmt::Debug> + Clone,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut one = service.clone();
    let mut call = |service: &mut S| {
        assert!(service.poll_ready(&mut cx).is_ready());
        let answered = pin!(service.call(request())).poll(&mut cx);
        assert!(matches!(answered, Poll::Ready(Ok(_))));
    };
    // What is made at the first call is made once.
    call(&mut one);
    let ((), count) = allocations(|| {
        for _ in 0..500 {
            call(&mut one);
            call(&mut service.clone());
        }
    });
    count
}

/// A service that reserves something of which there is not much: a place in a pool, say.
#[derive(Debug)]
pub(crate) struct Reserving<S> {
    inner: S,
    pool: Arc<Semaphore>,
    reserved: Option<OwnedSemaphorePermit>,
}

impl<S> Reserving<S> {
    pub(crate) fn new(inner: S, pool: Arc<Semaphore>) -> Self {
        Self {
            inner,
            pool,
            reserved: None,
        }
    }
}

impl<S: Clone> Clone for Reserving<S> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.pool.clone())
    }
}

impl<S: Service<R, Error = BoxError>, R> Service<R> for Reserving<S> {
    type Response = S::Response;
    type Error = BoxError;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.reserved.is_none() {
            self.reserved = Some(self.pool.clone().try_acquire_owned()?);
        }
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.reserved = None;
        self.inner.call(request)
    }
}

#[track_caller]
pub(crate) fn rejection<T>(result: &Result<T, BoxError>) -> &Rejection {
    let error = result.as_ref().err().expect("an error");
    find::<Rejection>(&**error).expect("a rejection")
}
