//! The chain: who runs after whom.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_core::{Body, BoxError};
use http::{Request, Response, request};

use super::RequestContext;

/// What becomes of a request after an interceptor has seen it.
#[derive(Debug)]
pub enum Flow<B = Body, RB = Body> {
    /// It goes on to the next request interceptor, or the service.
    Next(Request<B>),
    /// It is answered here. Only the response interceptors nearer to the client still run.
    Respond(Response<RB>),
    /// It failed, and here it is, whole: an `Err` has lost the request's body.
    Fail(Request<B>, BoxError),
}

/// A request that failed on its way in, as a request-error interceptor gets it.
#[derive(Debug)]
pub struct Failed<B = Body> {
    /// Why.
    pub error: BoxError,
    /// The head of the request, as it was before the interceptor that failed, or as that one gave it with [`Flow::Fail`].
    pub head: request::Parts,
    /// The body, if the interceptor that failed gave it back with [`Flow::Fail`].
    pub body: Option<B>,
}

impl<B: Default> Failed<B> {
    /// The request, to go on with it. Without a body where that was lost.
    pub fn into_request(self) -> Request<B> {
        Request::from_parts(self.head, self.body.unwrap_or_default())
    }
}

pub(super) type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

type Intercept<In, Out> = Box<dyn Fn(In, RequestContext) -> BoxFuture<Out> + Send + Sync>;

pub(super) enum Interceptor<B, RB> {
    Request(Intercept<Request<B>, Flow<B, RB>>),
    RequestError(Intercept<Failed<B>, Flow<B, RB>>),
    Response(Intercept<Response<RB>, Response<RB>>),
    ResponseError(Intercept<BoxError, Response<RB>>),
}

impl<B, RB> Interceptor<B, RB> {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Request(_) => "request",
            Self::RequestError(_) => "request-error",
            Self::Response(_) => "response",
            Self::ResponseError(_) => "response-error",
        }
    }
}

pub(super) struct Chain<B, RB>(pub(super) Vec<Interceptor<B, RB>>);

impl<B, RB> fmt::Debug for Chain<B, RB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(Interceptor::kind))
            .finish()
    }
}

/// An interceptor that has the request, or what became of it.
pub(super) struct Running<B, RB> {
    place: usize,
    future: BoxFuture<Flow<B, RB>>,
    /// The head that it got, if somebody can use it.
    head: Option<Box<request::Parts>>,
}

/// What comes after it on the way in.
pub(super) enum Inward<B, RB> {
    /// Another one.
    Running(Running<B, RB>),
    /// The service.
    Arrived(Request<B>),
    /// The way out, from this place.
    Returned(usize, Result<Response<RB>, BoxError>),
}

/// What comes next on the way out.
pub(super) enum Outward<RB> {
    Running(usize, BoxFuture<Response<RB>>),
    Left(Result<Response<RB>, BoxError>),
}

impl<B, RB> Running<B, RB> {
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        chain: &Chain<B, RB>,
        context: &RequestContext,
    ) -> Poll<Inward<B, RB>> {
        let place = self.place;
        let failed = match (ready!(self.future.as_mut().poll(cx)), self.head.take()) {
            (Ok(Flow::Next(request)), _) => {
                return Poll::Ready(match chain.enter(place + 1, request, context) {
                    Ok(running) => Inward::Running(running),
                    Err(request) => Inward::Arrived(request),
                });
            }
            (Ok(Flow::Respond(response)), _) => {
                return Poll::Ready(Inward::Returned(place, Ok(response)));
            }
            (Ok(Flow::Fail(_, error)) | Err(error), None) => {
                return Poll::Ready(Inward::Returned(place, Err(error)));
            }
            (Ok(Flow::Fail(request, error)), Some(_)) => {
                let (head, body) = request.into_parts();
                Failed {
                    error,
                    head,
                    body: Some(body),
                }
            }
            (Err(error), Some(head)) => Failed {
                error,
                head: *head,
                body: None,
            },
        };
        Poll::Ready(match chain.recover(place + 1, failed, context) {
            Ok(running) => Inward::Running(running),
            // Not reached: a head is kept only for somebody who is there to take it.
            Err(failed) => Inward::Returned(chain.0.len(), Err(failed.error)),
        })
    }
}

impl<B, RB> Chain<B, RB> {
    /// Whether a request-error interceptor stands after that place.
    fn has_request_error(&self, place: usize) -> bool {
        let after = self.0.get(place + 1..).unwrap_or_default();
        after
            .iter()
            .any(|i| matches!(i, Interceptor::RequestError(_)))
    }

    /// Whether any interceptor takes errors on the way out.
    pub(super) fn has_response_error(&self) -> bool {
        let mut all = self.0.iter();
        all.any(|i| matches!(i, Interceptor::ResponseError(_)))
    }

    /// Gives the request to the first from that place on who takes it. If there is none, it has arrived.
    #[expect(
        clippy::result_large_err,
        reason = "it is no error, and boxed it would cost more"
    )]
    pub(super) fn enter(
        &self,
        from: usize,
        request: Request<B>,
        context: &RequestContext,
    ) -> Result<Running<B, RB>, Request<B>> {
        for (place, interceptor) in self.0.iter().enumerate().skip(from) {
            if let Interceptor::Request(run) = interceptor {
                // The head is kept only for somebody who can use it.
                let keeps = self.has_request_error(place);
                return Ok(Running {
                    place,
                    head: keeps.then(|| Box::new(head_of(&request))),
                    future: run(request, context.clone()),
                });
            }
        }
        Err(request)
    }

    /// The same of a request that failed.
    #[expect(clippy::result_large_err, reason = "failures are seldom")]
    fn recover(
        &self,
        from: usize,
        failed: Failed<B>,
        context: &RequestContext,
    ) -> Result<Running<B, RB>, Failed<B>> {
        for (place, interceptor) in self.0.iter().enumerate().skip(from) {
            if let Interceptor::RequestError(run) = interceptor {
                let keeps = self.has_request_error(place);
                return Ok(Running {
                    place,
                    head: keeps.then(|| Box::new(failed.head.clone())),
                    future: run(failed, context.clone()),
                });
            }
        }
        Err(failed)
    }

    /// Goes out, past the interceptors before that place.
    pub(super) fn leave(
        &self,
        place: usize,
        passing: Result<Response<RB>, BoxError>,
        context: &RequestContext,
    ) -> Outward<RB> {
        let mut passing = passing;
        for (place, interceptor) in self.0[..place].iter().enumerate().rev() {
            passing = match (interceptor, passing) {
                (Interceptor::Response(run), Ok(response)) => {
                    return Outward::Running(place, run(response, context.clone()));
                }
                (Interceptor::ResponseError(run), Err(error)) => {
                    return Outward::Running(place, run(error, context.clone()));
                }
                (_, other) => other,
            };
        }
        Outward::Left(passing)
    }
}

fn head_of<B>(request: &Request<B>) -> request::Parts {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = request.method().clone();
    head.uri = request.uri().clone();
    head.version = request.version();
    head.headers = request.headers().clone();
    head.extensions = request.extensions().clone();
    head
}
