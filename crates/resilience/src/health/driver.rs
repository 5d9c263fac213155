//! The future that makes the checks.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bartizan_core::{BoxError, Rejection, RejectionKind};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tower_service::Service;

use crate::endpoint::{Endpoint, Unfit};

use super::{
    check::{HealthSnapshot, Settings},
    state::Judge,
};

/// Checks one endpoint for as long as it is polled. Made by [`HealthCheck::check`](super::HealthCheck::check): spawn it.
///
/// It never ends. Dropping it stops the checks and drops the one under way. The endpoint is then no longer unhealthy: nobody is left
/// to find it mended.
#[must_use = "futures do nothing unless polled"]
pub struct HealthDriver(Pin<Box<dyn Future<Output = ()> + Send>>);

impl HealthDriver {
    pub(super) fn new<S>(watched: Watched, probe: S, settings: Settings) -> Self
    where
        S: Service<Endpoint> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
    {
        Self(Box::pin(drive(watched, probe, settings)))
    }
}

async fn drive<S>(mut watched: Watched, probe: S, settings: Settings)
where
    S: Service<Endpoint> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    sleep(settings.first_wait()).await;
    loop {
        let check = check(probe.clone(), watched.endpoint.clone());
        let result = timeout(settings.timeout, check).await;
        watched.observe(
            result
                .unwrap_or_else(|_| Err(Rejection::new(RejectionKind::TimedOut, "health").into())),
        );
        sleep(settings.wait()).await;
    }
}

async fn check<S>(mut probe: S, endpoint: Endpoint) -> Result<(), BoxError>
where
    S: Service<Endpoint>,
    S::Error: Into<BoxError>,
{
    poll_fn(|cx| probe.poll_ready(cx))
        .await
        .map_err(Into::into)?;
    probe.call(endpoint).await.map(drop).map_err(Into::into)
}

impl Future for HealthDriver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for HealthDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthDriver").finish_non_exhaustive()
    }
}

/// An endpoint that is marked by what its checks come to, until this is dropped.
pub(super) struct Watched {
    endpoint: Endpoint,
    judge: Judge,
    state: watch::Sender<HealthSnapshot>,
}

impl Watched {
    pub(super) fn new(
        endpoint: Endpoint,
        judge: Judge,
        state: watch::Sender<HealthSnapshot>,
    ) -> Self {
        // At once: an endpoint that has to show first that it is healthy gets no call before it did.
        endpoint.set_unfit(Unfit::Unhealthy, !judge.health().is_healthy());
        Self {
            endpoint,
            judge,
            state,
        }
    }

    fn observe(&mut self, result: Result<(), BoxError>) {
        let changed = self.judge.observe(result.is_ok());
        let (health, against) = (self.judge.health(), self.judge.against());
        let name = self.endpoint.name();
        if changed {
            self.endpoint
                .set_unfit(Unfit::Unhealthy, !health.is_healthy());
        }
        match &result {
            Ok(()) if changed => tracing::info!(endpoint = name, "health: up"),
            Ok(()) => {}
            Err(error) if changed => {
                tracing::warn!(endpoint = name, error = %**error, "health: down");
            }
            Err(error) => {
                tracing::debug!(endpoint = name, error = %**error, against, "health: failed");
            }
        }
        self.state.send_modify(|state| {
            state.health = health;
            state.checks += 1;
            state.against = against;
            if let Err(error) = result {
                state.last_failure = Some(Arc::from(error));
            }
        });
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.endpoint.set_unfit(Unfit::Unhealthy, false);
    }
}
