//! The service and its future.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_core::{Propagate, Reject};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    admission::{Admission, Admitted, Call},
    hold::{Hall, Hold, Place, UntilHead},
    layer::{Partition, Shared},
};

/// Limits how many calls are under way. See the [module](super).
#[derive(Clone, Debug)]
pub struct Bulkhead<S, P = Shared, H = UntilHead, R = Propagate> {
    inner: S,
    partition: P,
    hold: H,
    reject: R,
}

impl<S, P, H, R> Bulkhead<S, P, H, R> {
    pub(super) const fn new(inner: S, partition: P, hold: H, reject: R) -> Self {
        Self {
            inner,
            partition,
            hold,
            reject,
        }
    }
}

inner_accessors!(Bulkhead<S, P, H, R>);

impl<S, P, H, R, Req> Service<Req> for Bulkhead<S, P, H, R>
where
    S: Service<Req> + Clone,
    P: Partition<Req>,
    H: Hold<S::Response> + Clone,
    R: Reject<H::Response, S::Error> + Clone,
{
    type Response = H::Response;
    type Error = R::Error;
    type Future = ResponseFuture<S, S::Future, Req, H, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner
            .poll_ready(cx)
            .map_err(|error| self.reject.pass(error))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let way = match self.partition.places(&request) {
            Some(places) => Way::Limited {
                admission: Admission::new(places, &mut self.inner, request),
            },
            None => Way::Unlimited {
                call: Call::Calling {
                    response: self.inner.call(request),
                },
            },
        };
        ResponseFuture {
            way,
            hold: self.hold.clone(),
            reject: self.reject.clone(),
        }
    }
}

pin_project! {
    #[project = WayProj]
    enum Way<S, F, Req> {
        Limited { #[pin] admission: Admission<S, F, Req, Hall> },
        Unlimited { #[pin] call: Call<S, F, Req> },
    }
}

pin_project! {
    /// The response, or a [`Rejection`](bartizan_core::Rejection) if there is no place for the call.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, F, Req, H, R> {
        #[pin]
        way: Way<S, F, Req>,
        hold: H,
        reject: R,
    }
}

impl<S, F, Req, H, R> fmt::Debug for ResponseFuture<S, F, Req, H, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<S, Req, H, R> Future for ResponseFuture<S, S::Future, Req, H, R>
where
    S: Service<Req> + Clone,
    H: Hold<S::Response>,
    R: Reject<H::Response, S::Error>,
{
    type Output = Result<H::Response, R::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (result, place) = match this.way.project() {
            WayProj::Limited { admission } => match ready!(admission.poll(cx)) {
                Ok(Admitted { result, permit }) => (result, Some(Place(permit))),
                Err(full) => return Poll::Ready(this.reject.reject(full.rejection("bulkhead"))),
            },
            WayProj::Unlimited { call } => (ready!(call.poll(cx)), None),
        };
        Poll::Ready(match result {
            Ok(response) => Ok(this.hold.hold(place, response)),
            Err(error) => Err(this.reject.pass(error)),
        })
    }
}
