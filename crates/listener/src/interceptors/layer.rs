//! The layer round the chain.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bartizan_core::{Body, BoxError, problem};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Failed, Flow, RequestContext,
    chain::{Chain, Interceptor, Inward, inward, outward},
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
    S: Service<Request<B>, Response = Response<RB>> + Clone + Send + 'static,
    S::Error: Into<BoxError> + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    RB: From<Bytes> + Send + 'static,
{
    type Response = Response<RB>;
    type Error = S::Error;
    type Future = ResponseFuture<RB, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let unready = self.inner.clone();
        let mut ready = mem::replace(&mut self.inner, unready);
        let chain = Arc::clone(&self.chain);
        let extensions = request.extensions_mut();
        // That of a chain further out, if there is one: it is one context for the whole request.
        let context = extensions.get_or_insert_default::<RequestContext>().clone();
        ResponseFuture(Box::pin(async move {
            let (place, answered) = match inward(&chain, request, &context).await {
                Inward::Returned(place, answered) => {
                    // What it reserved is for somebody else now, and not for the response interceptors.
                    drop(ready);
                    (place, answered)
                }
                Inward::Arrived(request) => {
                    let answered = ready.call(request).await;
                    drop(ready);
                    let answered = match answered {
                        // Nobody takes it, so it stays what it is.
                        Err(error) if !chain.has_response_error() => return Err(error),
                        answered => answered.map_err(Into::into),
                    };
                    (chain.0.len(), answered)
                }
            };
            let answered = outward(&chain, place, answered, &context).await;
            Ok(answered.unwrap_or_else(|error| unhandled(&error)))
        }))
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

/// The response of a chain.
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<RB, E>(Pin<Box<dyn Future<Output = Result<Response<RB>, E>> + Send>>);

impl<RB, E> Future for ResponseFuture<RB, E> {
    type Output = Result<Response<RB>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<RB, E> fmt::Debug for ResponseFuture<RB, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ResponseFuture").finish_non_exhaustive()
    }
}
