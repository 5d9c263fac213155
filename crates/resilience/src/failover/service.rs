//! The service: it keeps the current target ready, and hands each call over to its future.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_core::{BoxError, ConfigError, Propagate, Reject};
use tower_service::Service;

use super::{
    FailoverHandle, Policy,
    future::{Course, ResponseFuture},
    route::Route,
    shared::{Settings, Shared},
};
use crate::stripes::Lanes;

/// Asks its targets in turn until one answers, beginning with the one that answered last. See the [module](super).
#[derive(Debug)]
pub struct Failover<S, P, R = Propagate> {
    lanes: Lanes<Arc<Shared<S, P>>>,
    reject: R,
    target: usize,
    service: S,
    readiness: Readiness,
}

/// How far `service` has come since its last call.
#[derive(Debug)]
enum Readiness {
    Unknown,
    Ready,
    Failed(BoxError),
}

impl<S, P> Failover<S, P> {
    /// Starts a list of targets that are services of their own. For targets that are URLs behind one client there is
    /// [`FailoverLayer`](super::FailoverLayer).
    pub const fn builder(policy: P) -> FailoverBuilder<S, P> {
        FailoverBuilder {
            policy,
            targets: Vec::new(),
            settings: Settings::DEFAULT,
        }
    }
}

impl<S: Clone, P, R> Failover<S, P, R> {
    /// `targets` are as many as `route` has, and at least one.
    pub(super) fn new(
        route: Arc<Route>,
        targets: Vec<S>,
        policy: Arc<P>,
        settings: Settings,
        reject: R,
    ) -> Self {
        let target = route.current();
        Self {
            target,
            service: targets[target].clone(),
            readiness: Readiness::Unknown,
            lanes: Lanes::new(&Arc::new(Shared::new(route, policy, settings, targets))),
            reject,
        }
    }

    /// Reads the current target.
    pub fn handle(&self) -> FailoverHandle {
        FailoverHandle::new(Arc::clone(&self.lanes.route))
    }

    /// The earlier target that this call is to try first, if it is time for that and the request can be sent once more.
    fn claim_probe<Req, Res>(&self, request: &Req) -> Option<usize>
    where
        P: Policy<Req, Res>,
    {
        let route = &self.lanes.route;
        if route.is_probe_due(self.target) && self.lanes.policy.copy(request).is_some() {
            route.claim_probe(self.target)
        } else {
            None
        }
    }

    fn turn_to(&mut self, target: usize) {
        self.target = target;
        self.service = self.lanes.service(target);
        self.readiness = Readiness::Unknown;
    }
}

reject_methods!(Failover<S, P> { lanes, target, service, readiness });

impl<S: Clone, P, R: Clone> Clone for Failover<S, P, R> {
    fn clone(&self) -> Self {
        Self {
            lanes: self.lanes.clone(),
            reject: self.reject.clone(),
            target: self.target,
            service: self.service.clone(),
            // What `self` made ready is its own to call.
            readiness: Readiness::Unknown,
        }
    }
}

impl<S, P, R, Req> Service<Req> for Failover<S, P, R>
where
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
    P: Policy<Req, S::Response>,
    R: Reject<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = R::Error;
    type Future = ResponseFuture<S, S::Future, Req, P, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if let Readiness::Failed(_) = self.readiness {
            return Poll::Ready(Ok(()));
        }
        let current = self.lanes.route.current();
        if self.target != current && !matches!(self.readiness, Readiness::Ready) {
            self.turn_to(current);
        }
        self.readiness = match ready!(self.service.poll_ready(cx)) {
            Ok(()) => Readiness::Ready,
            // This target has failed, which is no reason for the whole to: the call will go on to the next.
            Err(error) => Readiness::Failed(error.into()),
        };
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let mut course = Course::new(self.lanes.hold(), self.target);
        let state = match mem::replace(&mut self.readiness, Readiness::Unknown) {
            Readiness::Failed(error) => {
                // A service is not used again after its readiness failed.
                self.turn_to(self.target);
                course.skip(error, request)
            }
            Readiness::Ready | Readiness::Unknown => {
                match self.claim_probe::<_, S::Response>(&request) {
                    None => course.call(&mut self.service, request),
                    Some(earlier) => {
                        let fresh = self.lanes.service(self.target);
                        let reserve = mem::replace(&mut self.service, fresh);
                        course.probe(earlier, reserve, request)
                    }
                }
            }
        };
        ResponseFuture::new(state, course, self.reject.clone())
    }
}

/// Collects the targets of a [`Failover`] that are services of their own.
#[derive(Debug)]
pub struct FailoverBuilder<S, P> {
    policy: P,
    targets: Vec<(String, S)>,
    settings: Settings,
}

impl<S, P> FailoverBuilder<S, P> {
    /// Adds a target, to be asked when those before it fail. The name is for reports and the handle.
    #[must_use]
    pub fn target(mut self, name: impl Into<String>, service: S) -> Self {
        self.targets.push((name.into(), service));
        self
    }

    /// Sets how long to wait between one target's failure and asking the next. Default: not at all, because the next target is
    /// another one, which nothing has overloaded yet.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.settings.interval = interval;
        self
    }

    /// Returns the last target's response when none is an answer, if the last target did respond, instead of a rejection.
    #[must_use]
    pub const fn return_last_response(mut self) -> Self {
        self.settings.return_last_response = true;
        self
    }

    /// Has one call per `interval` try an earlier target first. Default: off. See the [module](super#back-to-an-earlier-target).
    #[must_use]
    pub const fn fail_back(mut self, interval: Duration) -> Self {
        self.settings.fail_back = Some(interval);
        self
    }

    /// The service, standing at its first target.
    ///
    /// # Errors
    ///
    /// If there is no target, or the interval of fail-back is zero.
    pub fn build(self) -> Result<Failover<S, P>, ConfigError>
    where
        S: Clone,
    {
        let (names, services): (Vec<_>, Vec<_>) = self.targets.into_iter().unzip();
        self.settings.check(names.len())?;
        Ok(Failover::new(
            Arc::new(Route::new(names, self.settings.fail_back)),
            services,
            Arc::new(self.policy),
            self.settings,
            Propagate,
        ))
    }
}
