//! The chain: who runs after whom.

use std::{fmt, future::Future, pin::Pin};

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

/// How far the way in went.
pub(super) enum Inward<B, RB> {
    /// To the service.
    Arrived(Request<B>),
    /// To this place, and back from there.
    Returned(usize, Result<Response<RB>, BoxError>),
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
}

/// Runs the way in.
pub(super) async fn inward<B, RB>(
    chain: &Chain<B, RB>,
    request: Request<B>,
    context: &RequestContext,
) -> Inward<B, RB>
where
    B: Send,
    RB: Send,
{
    let mut passing = Ok(request);
    for (place, interceptor) in chain.0.iter().enumerate() {
        // The head is kept only for somebody who can use it.
        let (running, head) = match (interceptor, passing) {
            (Interceptor::Request(run), Ok(request)) => {
                let head = chain.has_request_error(place).then(|| head_of(&request));
                (run(request, context.clone()), head)
            }
            (Interceptor::RequestError(run), Err(failed)) => {
                let failed: Failed<B> = failed;
                let head = chain.has_request_error(place).then(|| failed.head.clone());
                (run(failed, context.clone()), head)
            }
            (_, other) => {
                passing = other;
                continue;
            }
        };
        passing = match (running.await, head) {
            (Ok(Flow::Next(request)), _) => Ok(request),
            (Ok(Flow::Respond(response)), _) => return Inward::Returned(place, Ok(response)),
            (Ok(Flow::Fail(request, error)), Some(_)) => {
                let (head, body) = request.into_parts();
                Err(Failed {
                    error,
                    head,
                    body: Some(body),
                })
            }
            (Err(error), Some(head)) => Err(Failed {
                error,
                head,
                body: None,
            }),
            (Ok(Flow::Fail(_, error)) | Err(error), None) => {
                return Inward::Returned(place, Err(error));
            }
        };
    }
    match passing {
        Ok(request) => Inward::Arrived(request),
        // Not reached: a failure is passed on only to somebody who is there to take it.
        Err(failed) => Inward::Returned(chain.0.len(), Err(failed.error)),
    }
}

/// Runs the way out, past the interceptors before that place.
pub(super) async fn outward<B, RB>(
    chain: &Chain<B, RB>,
    place: usize,
    mut passing: Result<Response<RB>, BoxError>,
    context: &RequestContext,
) -> Result<Response<RB>, BoxError>
where
    RB: Send,
    B: Send,
{
    for interceptor in chain.0[..place].iter().rev() {
        passing = match (interceptor, passing) {
            (Interceptor::Response(run), Ok(response)) => run(response, context.clone()).await,
            (Interceptor::ResponseError(run), Err(error)) => run(error, context.clone()).await,
            (_, other) => other,
        };
    }
    passing
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
