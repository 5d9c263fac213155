//! The service and its future.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bartizan_core::{Classify, Propagate, Reject};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::layer::Shared;
use crate::{
    bulkhead::{Admission, Admitted},
    classify::OnError,
    stripes::{Held, Lanes},
};

/// Limits how many calls are under way to what the peer bears. See the [module](super).
#[derive(Clone, Debug)]
pub struct AdaptiveLimit<S, C = OnError, R = Propagate> {
    inner: S,
    lanes: Lanes<Arc<Shared>>,
    classify: C,
    reject: R,
}

impl<S, C, R> AdaptiveLimit<S, C, R> {
    pub(super) const fn new(inner: S, lanes: Lanes<Arc<Shared>>, classify: C, reject: R) -> Self {
        Self {
            inner,
            lanes,
            classify,
            reject,
        }
    }
}

inner_accessors!(AdaptiveLimit<S, C, R>);

impl<S, C, R, Req> Service<Req> for AdaptiveLimit<S, C, R>
where
    S: Service<Req> + Clone,
    C: Classify<Req, S::Response, S::Error> + Clone,
    R: Reject<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = R::Error;
    type Future = ResponseFuture<S, S::Future, Req, C, C::Seen, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner
            .poll_ready(cx)
            .map_err(|error| self.reject.pass(error))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        ResponseFuture {
            seen: Some(self.classify.request(&request)),
            admission: Admission::new(self.lanes.hold(), &mut self.inner, request),
            classify: self.classify.clone(),
            reject: self.reject.clone(),
        }
    }
}

pin_project! {
    /// The response, or a [`Rejection`](bartizan_core::Rejection) if there is no place for the call.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, F, Req, C, T, R> {
        #[pin]
        admission: Admission<S, F, Req, Held<Arc<Shared>>>,
        classify: C,
        // Taken when the call has ended.
        seen: Option<T>,
        reject: R,
    }
}

impl<S, F, Req, C, T, R> fmt::Debug for ResponseFuture<S, F, Req, C, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<S, Req, C, R> Future for ResponseFuture<S, S::Future, Req, C, C::Seen, R>
where
    S: Service<Req> + Clone,
    C: Classify<Req, S::Response, S::Error>,
    R: Reject<S::Response, S::Error>,
{
    type Output = Result<S::Response, R::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match ready!(this.admission.poll(cx)) {
            Ok(Admitted { result, permit }) => {
                let seen = this.seen.take().expect("not polled after it was ready");
                let outcome = this.classify.head(seen, result.as_ref()).so_far();
                permit.finish(|shared, call| shared.ended(call, outcome));
                Poll::Ready(result.map_err(|error| this.reject.pass(error)))
            }
            Err(full) => Poll::Ready(this.reject.reject(full.rejection("adaptive limit"))),
        }
    }
}
