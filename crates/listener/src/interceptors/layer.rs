//! The layer round the chain.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bartizan_core::{Body, BoxError, problem};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Failed, Flow, RequestContext,
    chain::{BoxFuture, Chain, Interceptor, Inward, Outward, Running},
};
use crate::reply;

/// Runs interceptors before and after a service. See the [module](super).
pub struct InterceptorsLayer<B = Body, RB = Body> {
    chain: Arc<Chain<B, RB>>,
}

impl<B, RB> InterceptorsLayer<B, RB> {
    /// An empty chain, to add interceptors to from the head to the tail.
    pub const fn builder() -> Builder<B, RB> {
        Builder {
            chain: Chain(Vec::new()),
        }
    }
}

impl<B, RB> Clone for InterceptorsLayer<B, RB> {
    fn clone(&self) -> Self {
        Self {
            chain: Arc::clone(&self.chain),
        }
    }
}

impl<B, RB> fmt::Debug for InterceptorsLayer<B, RB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InterceptorsLayer")
            .field("chain", &self.chain)
            .finish()
    }
}

/// Builds an [`InterceptorsLayer`]. What is added first is nearest to the client.
///
/// Futures are boxed here, once, so closures and `async fn`s do as they are.
pub struct Builder<B = Body, RB = Body> {
    chain: Chain<B, RB>,
}

impl<B, RB> fmt::Debug for Builder<B, RB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("chain", &self.chain)
            .finish()
    }
}

macro_rules! add {
    ($(#[$doc:meta])* $method:ident, $kind:ident, $input:ty => $output:ty) => {
        $(#[$doc])*
        #[must_use]
        pub fn $method<F, Fut>(mut self, intercept: F) -> Self
        where
            F: Fn($input, RequestContext) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<$output, BoxError>> + Send + 'static,
        {
            let intercept = move |input: $input, context| -> super::chain::BoxFuture<$output> {
                Box::pin(intercept(input, context))
            };
            self.chain.0.push(Interceptor::$kind(Box::new(intercept)));
            self
        }
    };
}

impl<B, RB> Builder<B, RB> {
    add! {
        /// Adds an interceptor of requests.
        request, Request, Request<B> => Flow<B, RB>
    }
    add! {
        /// Adds an interceptor of errors on the way in: those of the request interceptors before it.
        request_error, RequestError, Failed<B> => Flow<B, RB>
    }
    add! {
        /// Adds an interceptor of responses.
        response, Response, Response<RB> => Response<RB>
    }
    add! {
        /// Adds an interceptor of errors on the way out: those of the service, and of the interceptors after it.
        response_error, ResponseError, BoxError => Response<RB>
    }

    /// The layer.
    pub fn build(self) -> InterceptorsLayer<B, RB> {
        InterceptorsLayer {
            chain: Arc::new(self.chain),
        }
    }
}

impl<S, B, RB> Layer<S> for InterceptorsLayer<B, RB> {
    type Service = Interceptors<S, B, RB>;

    fn layer(&self, inner: S) -> Self::Service {
        Interceptors {
            inner,
            chain: Arc::clone(&self.chain),
        }
    }
}

/// Runs interceptors before and after a service. See the [module](super).
pub struct Interceptors<S, B = Body, RB = Body> {
    inner: S,
    chain: Arc<Chain<B, RB>>,
}

inner_accessors!(Interceptors<S, B, RB>);

impl<S: Clone, B, RB> Clone for Interceptors<S, B, RB> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            chain: Arc::clone(&self.chain),
        }
    }
}

impl<S: fmt::Debug, B, RB> fmt::Debug for Interceptors<S, B, RB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interceptors")
            .field("inner", &self.inner)
            .field("chain", &self.chain)
            .finish()
    }
}

impl<S, B, RB> Service<Request<B>> for Interceptors<S, B, RB>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    S::Error: Into<BoxError>,
    RB: From<Bytes>,
{
    type Response = Response<RB>;
    type Error = S::Error;
    type Future = ResponseFuture<S, S::Future, B, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let extensions = request.extensions_mut();
        // That of a chain further out, if there is one: it is one context for the whole request.
        let context = extensions.get_or_insert_default::<RequestContext>().clone();
        let state = match self.chain.enter(0, request, &context) {
            Ok(running) => {
                let unready = self.inner.clone();
                State::Inward {
                    running,
                    service: mem::replace(&mut self.inner, unready),
                }
            }
            Err(request) => State::Calling {
                future: self.inner.call(request),
            },
        };
        ResponseFuture {
            chain: Arc::clone(&self.chain),
            context,
            state,
        }
    }
}

/// What is answered where nobody took an error.
fn unhandled<RB: From<Bytes>>(error: &BoxError) -> Response<RB> {
    let error = &**error as &(dyn std::error::Error + 'static);
    if let Some(response) = reply::of_error(error) {
        return response;
    }
    tracing::error!(error, "an interceptor failed, and none took its error");
    problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the request could not be handled",
    )
}

pin_project! {
    /// The response of a chain.
    ///
    /// Dropping it drops the interceptor that runs, or the inner call.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, F, B, RB> {
        chain: Arc<Chain<B, RB>>,
        context: RequestContext,
        #[pin]
        state: State<S, F, B, RB>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, B, RB> {
        Inward { running: Running<B, RB>, service: S },
        Calling { #[pin] future: F },
        Outward { place: usize, future: BoxFuture<Response<RB>> },
    }
}

impl<S, F, B, RB> Future for ResponseFuture<S, F, B, RB>
where
    S: Service<Request<B>, Response = Response<RB>, Future = F>,
    S::Error: Into<BoxError>,
    F: Future<Output = Result<Response<RB>, S::Error>>,
    RB: From<Bytes>,
{
    type Output = Result<Response<RB>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (chain, context) = (&**this.chain, &*this.context);
        loop {
            let (place, passing) = match this.state.as_mut().project() {
                // ## Inward => (Inward | Calling | Outward)
                StateProj::Inward { running, service } => {
                    match ready!(running.poll(cx, chain, context)) {
                        Inward::Running(next) => {
                            *running = next;
                            continue;
                        }
                        Inward::Arrived(request) => {
                            let future = service.call(request);
                            this.state.set(State::Calling { future });
                            continue;
                        }
                        Inward::Returned(place, passing) => (place, passing),
                    }
                }
                // ## Calling => Outward
                StateProj::Calling { future } => match ready!(future.poll(cx)) {
                    Ok(response) => (chain.0.len(), Ok(response)),
                    // Nobody takes it, so it stays what it is.
                    Err(error) if !chain.has_response_error() => return Poll::Ready(Err(error)),
                    Err(error) => (chain.0.len(), Err(error.into())),
                },
                // ## Outward => (Outward | Done)
                StateProj::Outward { place, future } => (*place, ready!(future.as_mut().poll(cx))),
            };
            match chain.leave(place, passing, context) {
                // What was reserved for the call is for somebody else now, and not for the response interceptors.
                Outward::Running(place, future) => {
                    this.state.set(State::Outward { place, future });
                }
                Outward::Left(answered) => {
                    return Poll::Ready(Ok(answered.unwrap_or_else(|error| unhandled(&error))));
                }
            }
        }
    }
}

impl<S, F, B, RB> fmt::Debug for ResponseFuture<S, F, B, RB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
