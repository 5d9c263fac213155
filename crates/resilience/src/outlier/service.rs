//! The service of one endpoint: it counts, and changes nothing.

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bartizan_core::{Classify, OnComplete, Outcome};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use super::{layer::Post, record::Lane};
use crate::{classify::AtHead, stripes::Held};

/// Tells the detector how the calls to one endpoint end. See the [module](super).
#[derive(Debug)]
pub struct Outlier<S, C, M = AtHead> {
    inner: S,
    post: Arc<Post<C>>,
    mode: PhantomData<M>,
}

impl<S, C, M> Outlier<S, C, M> {
    pub(super) const fn new(inner: S, post: Arc<Post<C>>) -> Self {
        Self {
            inner,
            post,
            mode: PhantomData,
        }
    }

    /// Somebody has to notice that an endpoint's time is up, and while all are ejected there may be no calls to do so.
    fn look(&self) {
        self.post.lanes.core.shared.look_if_ejected();
    }

    fn start<Req>(&mut self, request: Req) -> ResponseFuture<S::Future, Req, C::Seen, C, M>
    where
        S: Service<Req>,
        C: Classify<Req, S::Response, S::Error>,
    {
        let report = Report::new(self.post.lanes.hold());
        let seen = report.lane.classify.request(&request);
        ResponseFuture {
            call: Some((seen, Open(Some(report)))),
            response: self.inner.call(request),
            mode: PhantomData,
        }
    }
}

inner_accessors!(Outlier<S, C, M>);

impl<S: Clone, C, M> Clone for Outlier<S, C, M> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            post: Arc::clone(&self.post),
            mode: PhantomData,
        }
    }
}

impl<S, C, Req> Service<Req> for Outlier<S, C, AtHead>
where
    S: Service<Req>,
    C: Classify<Req, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, Req, C::Seen, C, AtHead>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.look();
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        self.start(request)
    }
}

pin_project! {
    /// The response, as it is. With `AtEnd`, its body tells how it ended.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, Req, T, C, M> {
        #[pin]
        response: F,
        // `None` when it was reported, or handed on to the body.
        call: Option<(T, Open<C>)>,
        mode: PhantomData<fn(Req) -> M>,
    }
}

impl<F, Req, T, C, M> fmt::Debug for ResponseFuture<F, Req, T, C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<F, Req, T, C, Res, Err> Future for ResponseFuture<F, Req, T, C, AtHead>
where
    F: Future<Output = Result<Res, Err>>,
    C: Classify<Req, Res, Err, Seen = T>,
{
    type Output = Result<Res, Err>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.response.poll(cx));
        if let Some((seen, open)) = this.call.take() {
            let verdict = open.classify().head(seen, result.as_ref());
            open.into_report().on_complete(verdict.so_far());
        }
        Poll::Ready(result)
    }
}

/// Where the outcome of one call goes. The last type parameter of the body of a response that is judged at its end.
#[derive(Debug)]
pub struct Report<C> {
    lane: Held<Lane<C>>,
    generation: u32,
    /// Only if it matters how long a call took that was dropped.
    started: Option<Instant>,
}

impl<C> Report<C> {
    fn new(lane: Held<Lane<C>>) -> Self {
        Self {
            generation: lane.core.streak.generation(),
            started: (lane.core.shared.policy.cancelled_after).map(|_| Instant::now()),
            lane,
        }
    }
}

impl<C> OnComplete for Report<C> {
    fn on_complete(self, outcome: Outcome) {
        let core = &self.lane.core;
        match outcome {
            Outcome::Success | Outcome::Throttled { .. } => {
                core.succeeded(self.generation);
            }
            Outcome::Failure => core.failed(self.generation),
            Outcome::Cancelled => {
                let limit = core.shared.policy.cancelled_after;
                let is_overdue = |started: Instant| Some(started.elapsed()) >= limit;
                if self.started.is_some_and(is_overdue) {
                    core.failed(self.generation);
                }
            }
            // Of outcomes that are not known yet, nothing is known to be bad.
            _ => {}
        }
    }
}

/// Reports a call that is dropped before its head as cancelled.
struct Open<C>(Option<Report<C>>);

impl<C> Open<C> {
    const MISSING: &'static str = "the report is taken by value, or by drop";

    fn classify(&self) -> &C {
        &self.0.as_ref().expect(Self::MISSING).lane.classify
    }

    fn into_report(mut self) -> Report<C> {
        self.0.take().expect(Self::MISSING)
    }
}

impl<C> Drop for Open<C> {
    fn drop(&mut self) {
        if let Some(report) = self.0.take() {
            report.on_complete(Outcome::Cancelled);
        }
    }
}

#[cfg(feature = "http")]
mod http {
    use bartizan_core::{Completion, CompletionBody};
    use http::Response;

    use super::{Classify, Context, Outlier, Pin, Poll, Report, ResponseFuture, Service, ready};
    use crate::classify::AtEnd;

    impl<S, C, Req, B> Service<Req> for Outlier<S, C, AtEnd>
    where
        S: Service<Req, Response = Response<B>>,
        C: Classify<Req, Response<B>, S::Error>,
        B: http_body::Body,
    {
        type Response = Response<CompletionBody<B, C::Rest, Report<C>>>;
        type Error = S::Error;
        type Future = ResponseFuture<S::Future, Req, C::Seen, C, AtEnd>;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
            self.look();
            self.inner.poll_ready(cx)
        }

        fn call(&mut self, request: Req) -> Self::Future {
            self.start(request)
        }
    }

    impl<F, Req, T, C, B, Err> Future for ResponseFuture<F, Req, T, C, AtEnd>
    where
        F: Future<Output = Result<Response<B>, Err>>,
        C: Classify<Req, Response<B>, Err, Seen = T>,
        B: http_body::Body,
    {
        type Output = Result<Response<CompletionBody<B, C::Rest, Report<C>>>, Err>;

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            let this = self.project();
            let result = ready!(this.response.poll(cx));
            let (seen, open) = this.call.take().expect("polled after it answered");
            let verdict = open.classify().head(seen, result.as_ref());
            let completion = Completion::new(open.into_report());
            Poll::Ready(match result {
                Ok(response) => Ok(completion.follow(verdict, response)),
                Err(error) => {
                    completion.finish(verdict.so_far());
                    Err(error)
                }
            })
        }
    }
}
