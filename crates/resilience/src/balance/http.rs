//! Balancing between URLs.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bartizan_core::{
    BaseUrl, ConfigError, HttpClassify, Propagate, Reject, Rejection, RejectionKind,
};
use http::{Request, header::HOST};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Balance, Endpoints, PeakEwma, ToBodyEnd, ToHead,
    builder::{Members, check_rules, rule_methods},
    picker::Prepare,
    set::{Rules, Shared},
};
use crate::endpoint::Endpoint;

/// Spreads requests over URLs behind one client. See the [module](super).
///
/// Every request is sent below one endpoint's URL: its scheme, host, port and path prefix, and the request's own path and query, as
/// [`BaseUrl::join`] puts them together. A `Host` header of the request is dropped, so that the transport writes the endpoint's.
///
/// All services that it makes share the list of endpoints and what is measured of them.
#[derive(Clone, Debug)]
pub struct BalanceLayer<P = PeakEwma, J = ToHead<HttpClassify>, R = Propagate> {
    endpoints: Endpoints<BaseUrl>,
    picker: P,
    judge: J,
    rules: Rules,
    reject: R,
}

impl BalanceLayer {
    /// Starts with no endpoint, and [`HttpClassify`] for the judgement.
    pub fn builder() -> BalanceLayerBuilder {
        BalanceLayerBuilder {
            members: Members::new(),
            picker: PeakEwma::new(),
            judge: ToHead::new(HttpClassify::new()),
            rules: Rules::DEFAULT,
            error: None,
        }
    }
}

impl<P, J, R> BalanceLayer<P, J, R> {
    /// The list of endpoints: to change it, or to see how they do.
    pub fn endpoints(&self) -> Endpoints<BaseUrl> {
        self.endpoints.clone()
    }
}

reject_methods!(
    BalanceLayer<P, J> { endpoints, picker, judge, rules },
    "[`Rejection::into_response`](bartizan_core::Rejection::into_response) makes a 503 with problem details."
);

impl<S, P, J, R> Layer<S> for BalanceLayer<P, J, R>
where
    S: Clone + Send + Sync + 'static,
    P: Prepare + Send + Sync + 'static,
    J: Clone,
    R: Clone + Send + Sync + 'static,
{
    type Service = Balance<Based<S, R>, P, J, R>;

    fn layer(&self, inner: S) -> Self::Service {
        let reject = self.reject.clone();
        let based = move |base: &BaseUrl| Based {
            inner: inner.clone(),
            base: Arc::new(base.clone()),
            reject: reject.clone(),
        };
        let (picker, rules) = (self.picker.clone(), self.rules.clone());
        let shared = Shared::follow(&self.endpoints, based, picker, rules);
        let balance = Balance::new(shared, self.judge.clone());
        Balance {
            shared: balance.shared,
            set: balance.set,
            readiness: balance.readiness,
            search: balance.search,
            judge: balance.judge,
            reject: self.reject.clone(),
        }
    }
}

/// Collects the endpoints and settings of a [`BalanceLayer`].
#[derive(Debug)]
#[must_use = "it is `build` that makes the layer"]
pub struct BalanceLayerBuilder<P = PeakEwma, J = ToHead<HttpClassify>> {
    members: Members<BaseUrl>,
    picker: P,
    judge: J,
    rules: Rules,
    /// The first thing that was wrong, for `build` to tell.
    error: Option<ConfigError>,
}

impl<P, J> BalanceLayerBuilder<P, J> {
    /// Adds an endpoint that is named after its URL: `http://host:port/prefix`.
    pub fn url<U>(mut self, url: U) -> Self
    where
        U: TryInto<BaseUrl>,
        U::Error: Into<ConfigError>,
    {
        match self.check(url) {
            Some(url) => self.endpoint(Endpoint::new(url.to_string()), url),
            None => self,
        }
    }

    /// Adds several, in their order.
    pub fn urls<U>(self, urls: impl IntoIterator<Item = U>) -> Self
    where
        U: TryInto<BaseUrl>,
        U::Error: Into<ConfigError>,
    {
        urls.into_iter().fold(self, Self::url)
    }

    /// Adds an endpoint with a name, a weight and a zone of its own.
    pub fn endpoint<U>(mut self, endpoint: Endpoint, url: U) -> Self
    where
        U: TryInto<BaseUrl>,
        U::Error: Into<ConfigError>,
    {
        if let Some(url) = self.check(url) {
            self.members.given.push((endpoint, url));
        }
        self
    }

    fn check<U>(&mut self, url: U) -> Option<BaseUrl>
    where
        U: TryInto<BaseUrl>,
        U::Error: Into<ConfigError>,
    {
        match url.try_into() {
            Ok(url) => Some(url),
            Err(error) => {
                let field = format!("endpoints[{}]", self.members.given.len());
                self.error.get_or_insert(error.into().in_field(field));
                None
            }
        }
    }

    /// Follows a list that changes, to which endpoints given one by one are added. It may be empty.
    pub fn endpoints(mut self, endpoints: Endpoints<BaseUrl>) -> Self {
        self.members.list = Some(endpoints);
        self
    }

    /// Sets who picks. Default: [`PeakEwma`], because it sees slow and failing endpoints by itself.
    pub fn picker<P2: Prepare>(self, picker: P2) -> BalanceLayerBuilder<P2, J> {
        BalanceLayerBuilder {
            members: self.members,
            picker,
            judge: self.judge,
            rules: self.rules,
            error: self.error,
        }
    }

    /// Sets what is a failure. Default: [`HttpClassify`], every 5xx and every error. Only pickers that measure care.
    pub fn classify<C>(self, classify: C) -> BalanceLayerBuilder<P, ToHead<C>> {
        BalanceLayerBuilder {
            members: self.members,
            picker: self.picker,
            judge: ToHead::new(classify),
            rules: self.rules,
            error: self.error,
        }
    }

    rule_methods!();

    /// The layer.
    ///
    /// # Errors
    ///
    /// If there is no endpoint, one of them is no URL to send requests to, two share a name, or the panic threshold is no share. The
    /// error names which.
    pub fn build(self) -> Result<BalanceLayer<P, J>, ConfigError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        check_rules(&self.rules)?;
        Ok(BalanceLayer {
            endpoints: self.members.check()?,
            picker: self.picker,
            judge: self.judge,
            rules: self.rules,
            reject: Propagate,
        })
    }
}

impl<P, C> BalanceLayerBuilder<P, ToHead<C>> {
    /// Counts a request as under way, and measures it, until its response body has ended, and not only until the head is there. For
    /// large or streamed bodies. The service's response body becomes a [`CompletionBody`](bartizan_core::CompletionBody).
    pub fn until_body_end(self) -> BalanceLayerBuilder<P, ToBodyEnd<C>> {
        BalanceLayerBuilder {
            members: self.members,
            picker: self.picker,
            judge: ToBodyEnd::of(self.judge),
            rules: self.rules,
            error: self.error,
        }
    }
}

/// One endpoint of a [`BalanceLayer`]: sends every request below its URL.
#[derive(Clone)]
pub struct Based<S, R = Propagate> {
    inner: S,
    base: Arc<BaseUrl>,
    reject: R,
}

inner_accessors!(Based<S, R>);

impl<S, R, B> Service<Request<B>> for Based<S, R>
where
    S: Service<Request<B>>,
    R: Reject<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = R::Error;
    type Future = BasedFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner
            .poll_ready(cx)
            .map_err(|error| self.reject.pass(error))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let state = match self.base.join(request.uri()) {
            Ok(uri) => {
                *request.uri_mut() = uri;
                request.headers_mut().remove(HOST);
                BasedState::Calling {
                    response: self.inner.call(request),
                }
            }
            Err(error) => {
                let rejection = Rejection::new(RejectionKind::Unsendable, "balance");
                BasedState::Unsendable {
                    rejection: Some(rejection.with_source(error)),
                }
            }
        };
        BasedFuture {
            state,
            reject: self.reject.clone(),
        }
    }
}

impl<S, R> fmt::Debug for Based<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Based")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The response of one endpoint.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct BasedFuture<F, R> {
        #[pin]
        state: BasedState<F>,
        reject: R,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = BasedStateProj]
    enum BasedState<F> {
        Calling { #[pin] response: F },
        Unsendable { rejection: Option<Rejection> },
    }
}

impl<F, R, Res, Err> Future for BasedFuture<F, R>
where
    F: Future<Output = Result<Res, Err>>,
    R: Reject<Res, Err>,
{
    type Output = Result<Res, R::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.state.project() {
            BasedStateProj::Calling { response } => {
                response.poll(cx).map_err(|error| this.reject.pass(error))
            }
            BasedStateProj::Unsendable { rejection } => {
                let rejection = rejection.take().expect("polled after it was done");
                Poll::Ready(this.reject.reject(rejection))
            }
        }
    }
}
