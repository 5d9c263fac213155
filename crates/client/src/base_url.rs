//! Sends what has no host to one host, below one path.
//!
//! # Placement
//!
//! Above whatever reads the host of a request: cookies, caches, the transport. Below a layer that chooses hosts itself it has no
//! effect, as it leaves absolute URIs alone.
//!
//! # Readiness and cancellation
//!
//! Ready when the inner service is. It holds nothing between calls.
//!
//! # Errors
//!
//! A [`Rejection`] of kind [`Unsendable`](RejectionKind::Unsendable) if base and path together are longer than a URI can be (64 KiB).
//! Its source says so. Over a service that cannot fail, [`reject_with`](BaseUrlLayer::reject_with) answers instead.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bartizan_core::{
    BaseUrl, BoxErrors, ConfigError, Propagate, Reject, Rejection, RejectionKind, RespondWith,
};
use http::Request;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// Sends relative URIs below a [`BaseUrl`]: with `http://h/v2`, a request for `/users?page=2` goes to `http://h/v2/users?page=2`.
///
/// Absolute URIs pass as they are, so that a redirect or a link from a response can be followed. This is no fence: a URI that comes
/// from input may name any host, and `..` in a path is left to the server.
///
/// # Examples
///
/// ```
/// use bartizan_client::{BaseUrlLayer, RequestExt};
/// use bartizan_core::{Body, BoxError};
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let echo = service_fn(|request: Request<Body>| async move {
///     Ok::<_, BoxError>(Response::new(request.uri().to_string()))
/// });
/// let api = ServiceBuilder::new()
///     .layer(BaseUrlLayer::try_new("http://api.example.com/v2")?)
///     .service(echo);
///
/// let response = api.get("/users?page=2").send().await?;
/// assert_eq!(response.body(), "http://api.example.com/v2/users?page=2");
///
/// let response = api.get("http://elsewhere.example/").send().await?;
/// assert_eq!(response.body(), "http://elsewhere.example/");
/// # Ok(())
/// # }
/// ```
///
/// What is no base URL is found out before any call:
///
/// ```
/// use bartizan_client::BaseUrlLayer;
///
/// let error = BaseUrlLayer::try_new("api.example.com").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "invalid base URL `api.example.com`: expected an absolute http:// or https:// URL"
/// );
/// ```
#[derive(Clone, Debug)]
pub struct BaseUrlLayer<R = Propagate> {
    base: Arc<BaseUrl>,
    reject: R,
}

impl BaseUrlLayer {
    /// A layer that sends relative URIs below `base`.
    pub fn new(base: BaseUrl) -> Self {
        Self {
            base: Arc::new(base),
            reject: Propagate,
        }
    }

    /// A layer that sends relative URIs below `base`: a string, or a reference to a [`http::Uri`].
    ///
    /// # Errors
    ///
    /// If `base` is no absolute `http` or `https` URL, or has user information, a query or a fragment.
    pub fn try_new(base: impl TryInto<BaseUrl, Error = ConfigError>) -> Result<Self, ConfigError> {
        base.try_into().map(Self::new)
    }
}

impl<R> BaseUrlLayer<R> {
    /// Answers with what `respond` makes of the [`Rejection`], instead of failing: [`Rejection::into_response`] makes a 400.
    pub fn reject_with<F, Res>(self, respond: F) -> BaseUrlLayer<RespondWith<F>>
    where
        F: Fn(Rejection) -> Res,
    {
        BaseUrlLayer {
            base: self.base,
            reject: RespondWith(respond),
        }
    }

    /// Fails with a [`BoxError`](bartizan_core::BoxError), over a service whose own error cannot be made from a [`Rejection`]:
    /// those of reqwest, tonic and hyper-util.
    pub fn box_errors(self) -> BaseUrlLayer<BoxErrors> {
        BaseUrlLayer {
            base: self.base,
            reject: BoxErrors,
        }
    }
}

impl<S, R: Clone> Layer<S> for BaseUrlLayer<R> {
    type Service = BaseUrlService<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        BaseUrlService {
            inner,
            base: Arc::clone(&self.base),
            reject: self.reject.clone(),
        }
    }
}

/// The service of a [`BaseUrlLayer`].
#[derive(Clone, Debug)]
pub struct BaseUrlService<S, R = Propagate> {
    inner: S,
    base: Arc<BaseUrl>,
    reject: R,
}

impl<S> BaseUrlService<S> {
    /// Sends relative URIs below `base` with `inner`.
    pub fn new(inner: S, base: BaseUrl) -> Self {
        BaseUrlLayer::new(base).layer(inner)
    }
}

impl<S, R> BaseUrlService<S, R> {
    /// Where relative URIs go.
    pub fn base_url(&self) -> &BaseUrl {
        &self.base
    }
}

impl<S, R, B> Service<Request<B>> for BaseUrlService<S, R>
where
    S: Service<Request<B>>,
    R: Reject<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = R::Error;
    type Future = BaseUrlFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), R::Error>> {
        self.inner
            .poll_ready(cx)
            .map_err(|error| self.reject.pass(error))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // `host:80` has no scheme and still is not relative: it goes on, to be refused with its own reason.
        if request.uri().authority().is_none() {
            match self.base.join(request.uri()) {
                Ok(uri) => *request.uri_mut() = uri,
                Err(error) => {
                    let rejection = Rejection::new(RejectionKind::Unsendable, "base_url");
                    return self.future(State::Rejected {
                        rejection: Some(rejection.with_source(error)),
                    });
                }
            }
        }
        let future = self.inner.call(request);
        self.future(State::Called { future })
    }
}

impl<S, R: Clone> BaseUrlService<S, R> {
    fn future<F>(&self, state: State<F>) -> BaseUrlFuture<F, R> {
        BaseUrlFuture {
            state,
            reject: self.reject.clone(),
        }
    }
}

pin_project! {
    /// The response future of a [`BaseUrlService`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct BaseUrlFuture<F, R> {
        #[pin]
        state: State<F>,
        reject: R,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProj]
    enum State<F> {
        Called {
            #[pin]
            future: F,
        },
        Rejected {
            rejection: Option<Rejection>,
        },
    }
}

impl<F, R, Res, Err> Future for BaseUrlFuture<F, R>
where
    F: Future<Output = Result<Res, Err>>,
    R: Reject<Res, Err>,
{
    type Output = Result<Res, R::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.state.project() {
            StateProj::Called { future } => {
                future.poll(cx).map_err(|error| this.reject.pass(error))
            }
            StateProj::Rejected { rejection } => {
                let rejection = rejection.take().expect("polled after completion");
                Poll::Ready(this.reject.reject(rejection))
            }
        }
    }
}
