//! The layer.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bartizan_core::problem;
use bytes::Bytes;
use http::{
    HeaderMap, Request, Response, StatusCode,
    header::{ACCESS_CONTROL_ALLOW_ORIGIN, Entry, VARY},
};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Builder,
    rules::{Decision, Rules},
};
use crate::{methods::no_content, reply};

/// Lets pages of other origins use a service. See the [module](super).
#[derive(Clone, Debug)]
pub struct CorsLayer {
    pub(super) rules: Arc<Rules>,
}

impl CorsLayer {
    /// Rules that allow no origin, to add to.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl<S> Layer<S> for CorsLayer {
    type Service = Cors<S>;

    fn layer(&self, inner: S) -> Cors<S> {
        Cors {
            inner,
            rules: Arc::clone(&self.rules),
        }
    }
}

/// Lets pages of other origins use a service. See the [module](super).
#[derive(Clone, Debug)]
pub struct Cors<S> {
    inner: S,
    rules: Arc<Rules>,
}

inner_accessors!(Cors<S>);

impl<S, B, RB> Service<Request<B>> for Cors<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    RB: From<Bytes>,
{
    type Response = Response<RB>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (answer, marks) = match self.rules.decide(&request) {
            Decision::Pass(marks) => {
                let future = self.inner.call(request);
                (reply::ResponseFuture::inner(future), marks)
            }
            Decision::Grant(marks) => (reply::ResponseFuture::answered(no_content()), marks),
            Decision::Refuse(marks, detail) => {
                let refusal = problem(StatusCode::FORBIDDEN, detail);
                (reply::ResponseFuture::answered(refusal), marks)
            }
        };
        ResponseFuture { answer, marks }
    }
}

pin_project! {
    /// The response, marked for its origin.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, RB> {
        #[pin]
        answer: reply::ResponseFuture<F, RB>,
        marks: HeaderMap,
    }
}

impl<F, RB, E> Future for ResponseFuture<F, RB>
where
    F: Future<Output = Result<Response<RB>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.answer.poll(cx))?;
        let headers = response.headers_mut();
        let mut marks = std::mem::take(this.marks);
        // A route's own rules come before those of all routes.
        if headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            let mut vary = HeaderMap::new();
            if let Entry::Occupied(fields) = marks.entry(VARY) {
                let (_, fields) = fields.remove_entry_mult();
                fields.for_each(|field| {
                    vary.append(VARY, field);
                });
            }
            marks = vary;
        }
        reply::set_headers(headers, marks);
        Poll::Ready(Ok(response))
    }
}
