//! Every layer that makes sense over a service goes over it.

mod axum;
mod hyper_util;
mod moving;
mod reqwest;
mod tonic;

use std::time::Duration;

use bartizan_core::{BoxError, HttpClassify, StatusSet};
use bartizan_resilience::rate_limit::Quota;
use tower::Service;

/// What a stack has to be for a server's state, or a task.
fn works<Req, S>(service: S) -> S
where
    S: Service<Req, Future: Send> + Clone + Send + 'static,
{
    service
}

/// The same, where errors were boxed.
fn works_boxed<Req, S>(service: S) -> S
where
    S: Service<Req, Error = BoxError, Future: Send> + Clone + Send + 'static,
{
    service
}

fn quota() -> Quota {
    Quota::try_per_second(100).expect("valid")
}

const LIMIT: Duration = Duration::from_secs(30);

fn failures() -> HttpClassify {
    HttpClassify::new().failures(StatusSet::SERVER_ERRORS)
}
