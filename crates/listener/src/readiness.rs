//! Whether requests are welcome.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use bartizan_core::{Body, problem};
use http::{HeaderValue, Request, Response, StatusCode, header};
use tower_service::Service;

use crate::ShutdownHandle;

/// Answers 204 while its listener serves, and 503 with problem details once it is shut down: in the
/// [delay](crate::Listener::drain_delay) before the drain, too. Every request, whatever it asks for.
///
/// # Placement
///
/// On a route of the router that is served, such as `/readyz`: in the delay, probes on new connections are answered as all requests are. In
/// the drain they are refused, which says the same. Or on a listener of its own, which is shut down later.
///
/// # State
///
/// Only a handle of the listener, which it asks at every request. Clones are the same.
///
/// # Readiness and cancellation
///
/// Always ready, and done at once.
///
/// # Errors
///
/// None.
///
/// # Differences from a liveness probe
///
/// Who is not ready gets no more requests; who is not alive is killed. A listener that drains is alive: this is no answer to
/// `/livez`.
///
/// # Examples
///
/// ```
/// use bartizan_core::Body;
/// use bartizan_listener::Listener;
/// use http::Request;
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = Listener::bind("127.0.0.1:0").await?;
/// let handle = listener.handle();
///
/// let response = handle.readiness().oneshot(Request::new(Body::empty())).await?;
/// assert_eq!(response.status(), 204);
/// handle.shutdown();
/// let response = handle.readiness().oneshot(Request::new(Body::empty())).await?;
/// assert_eq!(response.status(), 503);
/// # Ok(())
/// # }
/// ```
///
/// As a route of what is served:
///
/// ```
/// use axum::Router;
/// use bartizan_listener::Listener;
/// # use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = Listener::bind("127.0.0.1:0").await?;
/// let app: Router = Router::new().route_service("/readyz", listener.handle().readiness());
/// # let request = http::Request::get("/readyz").body(axum::body::Body::empty())?;
/// # assert_eq!(app.clone().oneshot(request).await?.status(), 204);
/// let serving = listener.serve(app);
/// # drop(serving);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Readiness(ShutdownHandle);

impl Readiness {
    pub(crate) const fn new(handle: ShutdownHandle) -> Self {
        Self(handle)
    }

    /// Whether requests are welcome.
    pub fn is_ready(&self) -> bool {
        !self.0.is_leaving()
    }

    fn answer(&self) -> Response<Body> {
        let mut response = if self.is_ready() {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        } else {
            problem(StatusCode::SERVICE_UNAVAILABLE, "shutting down")
        };
        let no_store = HeaderValue::from_static("no-store");
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, no_store);
        response
    }
}

impl<B> Service<Request<B>> for Readiness {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(self.answer()))
    }
}
