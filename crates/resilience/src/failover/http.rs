//! Failover between URLs.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bartizan_core::{BaseUrl, BoxError, ConfigError, Propagate, Replay, StatusSet};
use http::{Request, Response, StatusCode, header::HOST};
use tower_layer::Layer;

use super::{Failover, FailoverHandle, Policy, Report, route::Route, shared::Settings};

/// Failover between URLs behind one client. See the [module](super).
///
/// Every request is sent below one target's URL: its scheme, host, port and path prefix, and the request's own path and query, as
/// [`BaseUrl::join`] puts them together. A `Host` header of the request is dropped, so that the transport writes the target's.
#[derive(Clone, Debug)]
pub struct FailoverLayer<R = Propagate> {
    route: Arc<Route>,
    policy: Arc<HttpPolicy>,
    settings: Settings,
    reject: R,
}

impl FailoverLayer {
    /// Starts with no target, the statuses 501 to 504, and no interval.
    pub fn builder() -> FailoverLayerBuilder {
        FailoverLayerBuilder {
            targets: Vec::new(),
            policy: HttpPolicy::new(),
            error: None,
            settings: Settings::DEFAULT,
        }
    }
}

impl<R> FailoverLayer<R> {
    /// Reads the current target, which all services of this layer share.
    pub fn handle(&self) -> FailoverHandle {
        FailoverHandle::new(Arc::clone(&self.route))
    }
}

reject_methods!(
    FailoverLayer {
        route,
        policy,
        settings
    },
    "[`Rejection::into_response`](bartizan_core::Rejection::into_response) makes a 502 with problem details."
);

impl<S: Clone, R: Clone> Layer<S> for FailoverLayer<R> {
    type Service = Failover<S, HttpPolicy, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Failover::new(
            Arc::clone(&self.route),
            vec![inner; self.route.len()],
            Arc::clone(&self.policy),
            self.settings,
            self.reject.clone(),
        )
    }
}

/// Collects the settings of a [`FailoverLayer`].
#[derive(Debug)]
#[must_use = "it is `build` that makes the layer"]
pub struct FailoverLayerBuilder {
    targets: Vec<BaseUrl>,
    policy: HttpPolicy,
    settings: Settings,
    /// The first thing that was wrong, for `build` to tell.
    error: Option<ConfigError>,
}

impl FailoverLayerBuilder {
    /// Adds a target, to be asked when those before it fail: `http://host:port/prefix`.
    pub fn target<U>(mut self, url: U) -> Self
    where
        U: TryInto<BaseUrl>,
        U::Error: Into<ConfigError>,
    {
        match url.try_into() {
            Ok(url) => self.targets.push(url),
            Err(error) => {
                let field = format!("targets[{}]", self.targets.len());
                self.error.get_or_insert(error.into().in_field(field));
            }
        }
        self
    }

    /// Adds several targets, in their order.
    pub fn targets<U>(self, urls: impl IntoIterator<Item = U>) -> Self
    where
        U: TryInto<BaseUrl>,
        U::Error: Into<ConfigError>,
    {
        urls.into_iter().fold(self, Self::target)
    }

    /// Sets which statuses are no answer, as a [`StatusSet`] or what becomes one: `[502, 503]`. Default: 501 to 504, the ones by
    /// which a server or a gateway says that it cannot serve the request, and another might. 500 is not among them: the next target
    /// runs the same code.
    ///
    /// Errors send the call on whatever is set here.
    pub fn statuses<T>(mut self, statuses: T) -> Self
    where
        T: TryInto<StatusSet>,
        T::Error: Into<ConfigError>,
    {
        match non_empty(statuses) {
            Ok(statuses) => self.policy.statuses = statuses,
            Err(error) => {
                self.error.get_or_insert(error);
            }
        }
        self
    }

    /// Sets how long to wait between one target's failure and asking the next. Default: not at all, because the next target is
    /// another one, which nothing has overloaded yet.
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.settings.interval = interval;
        self
    }

    /// Returns the last target's response when none is an answer, if the last target did respond, instead of a rejection. For
    /// gateways, whose callers should see the 503 that the upstream wrote.
    pub const fn return_last_response(mut self) -> Self {
        self.settings.return_last_response = true;
        self
    }

    /// Has one call per `interval` try an earlier target first, so that a preferred one that has recovered is used again before the
    /// present one fails. Default: off. See the [module](super#back-to-an-earlier-target).
    pub const fn fail_back(mut self, interval: Duration) -> Self {
        self.settings.fail_back = Some(interval);
        self
    }

    /// The layer, standing at its first target.
    ///
    /// # Errors
    ///
    /// If there is no target, one of them is no URL to send requests to, a status is not one, or the interval of fail-back is zero. The
    /// error names which.
    pub fn build(self) -> Result<FailoverLayer, ConfigError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        self.settings.check(self.targets.len())?;
        let names = self.targets.iter().map(BaseUrl::to_string).collect();
        Ok(FailoverLayer {
            route: Arc::new(Route::new(names, self.settings.fail_back)),
            policy: Arc::new(HttpPolicy {
                targets: self.targets,
                ..self.policy
            }),
            settings: self.settings,
            reject: Propagate,
        })
    }
}

/// The [`Policy`] for HTTP: some statuses are no answers, and a request with a whole body can be sent again.
///
/// [`FailoverLayer`] brings its own. For targets that are services of their own, it goes to
/// [`Failover::builder`]:
///
/// ```
/// use bartizan_core::{Body, BoxError};
/// use bartizan_resilience::failover::{Failover, HttpPolicy};
/// use http::{Request, Response};
/// use tower::{ServiceExt, util::BoxCloneSyncService};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let teapot = tower::service_fn(|_: Request<Body>| async {
///     Ok::<_, BoxError>(Response::builder().status(418).body(Body::empty())?)
/// });
/// let kettle = tower::service_fn(|_: Request<Body>| async { Ok::<_, BoxError>(Response::new(Body::from("tea"))) });
///
/// let service = Failover::builder(HttpPolicy::new().try_statuses("400-599")?)
///     .target("teapot", BoxCloneSyncService::new(teapot))
///     .target("kettle", BoxCloneSyncService::new(kettle))
///     .build()?;
/// assert_eq!(service.oneshot(Request::new(Body::empty())).await?.status(), 200);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HttpPolicy {
    statuses: StatusSet,
    /// Where the targets are, if they are URLs behind one client.
    targets: Vec<BaseUrl>,
}

impl HttpPolicy {
    /// The statuses 501 to 504 are no answers.
    pub const fn new() -> Self {
        Self {
            statuses: StatusSet::range(501, 504),
            targets: Vec::new(),
        }
    }

    /// Sets which statuses are no answers, as a [`StatusSet`] or what becomes one: `[502, 503]`. Default: 501 to 504.
    ///
    /// # Errors
    ///
    /// If one of them is no status, or there is none: where every response is an answer, there is [`OnError`](super::OnError).
    pub fn try_statuses<T>(mut self, statuses: T) -> Result<Self, ConfigError>
    where
        T: TryInto<StatusSet>,
        T::Error: Into<ConfigError>,
    {
        self.statuses = non_empty(statuses)?;
        Ok(self)
    }
}

impl Default for HttpPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl<B: Replay, RB> Policy<Request<B>, Response<RB>> for HttpPolicy {
    fn copy(&self, request: &Request<B>) -> Option<Request<B>> {
        request.replay()
    }

    fn aim(&self, target: usize, request: &mut Request<B>) -> Result<(), BoxError> {
        if let Some(base) = self.targets.get(target) {
            *request.uri_mut() = base.join(request.uri())?;
            request.headers_mut().remove(HOST);
        }
        Ok(())
    }

    fn fault(&self, response: &Response<RB>) -> Option<Cow<'static, str>> {
        let status = response.status();
        self.statuses.contains(status).then(|| describe(status))
    }

    fn annotate(&self, response: &mut Response<RB>, report: Report) {
        response.extensions_mut().insert(report);
    }
}

/// A set that is empty turns the check of statuses off, which nobody asks for with a list of them.
fn non_empty<T>(statuses: T) -> Result<StatusSet, ConfigError>
where
    T: TryInto<StatusSet>,
    T::Error: Into<ConfigError>,
{
    statuses.try_into().map_err(Into::into)?.non_empty()
}

fn describe(status: StatusCode) -> Cow<'static, str> {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()).into(),
        None => status.as_u16().to_string().into(),
    }
}
