//! The service, and its response.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bartizan_core::Body;
use http::{Request, Response};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    LoggedBody, LoggingLayer,
    events::{Outcome, Record},
    settings::Settings,
};

/// The service of a [`LoggingLayer`].
#[derive(Clone, Debug)]
pub struct LoggingService<S> {
    pub(super) inner: S,
    pub(super) settings: Arc<Settings>,
}

impl<S> LoggingService<S> {
    /// Logs the calls of `inner`, with every default.
    pub fn new(inner: S) -> Self {
        LoggingLayer::new().layer(inner)
    }
}

impl<S, B> Service<Request<Body>> for LoggingService<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: fmt::Display,
    B: HttpBody,
{
    type Response = Response<LoggedBody<B>>;
    type Error = S::Error;
    type Future = LoggingFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let record = self.settings.is_on().then(|| {
            if self.settings.has_headers() {
                self.settings.log_request(&request);
            }
            Box::new(Record::new(&self.settings, &request))
        });
        LoggingFuture {
            inner: self.inner.call(request),
            record,
        }
    }
}

pin_project! {
    /// The response of a [`LoggingService`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct LoggingFuture<F> {
        #[pin]
        inner: F,
        record: Option<Box<Record>>,
    }
}

impl<F, B, E> Future for LoggingFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: fmt::Display,
    B: HttpBody,
{
    type Output = Result<Response<LoggedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        let mut record = this.record.take();
        Poll::Ready(match result {
            Ok(response) => {
                if let Some(record) = &mut record {
                    record.on_head(&response);
                }
                if response.body().is_end_stream() {
                    if let Some(mut record) = record.take() {
                        record.outcome = Outcome::Complete;
                    }
                }
                Ok(response.map(|inner| LoggedBody { inner, record }))
            }
            Err(error) => {
                if let Some(record) = &mut record {
                    record.outcome = Outcome::Failed(error.to_string());
                }
                Err(error)
            }
        })
    }
}
