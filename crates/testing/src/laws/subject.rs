//! The layer that a law is about.

use bartizan_core::BoxError;
use tower_service::Service;

use crate::Probe;

/// A layer to be held to the laws: makes its services, and what goes through them. [`subject`] makes one of three closures.
///
/// The service's response may be of another type than the probe's, as it is where a layer wraps bodies.
pub trait Subject {
    /// What is called with.
    type Request: Send + 'static;
    /// What the probe answers.
    type Response: Send + 'static;
    /// Makes what the probe answers.
    type Respond: Fn() -> Self::Response + Clone + Send + Sync + 'static;
    /// The layer's service, above the probe.
    type Service: Service<Self::Request, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static;

    /// A new service, sharing nothing with those before it.
    fn service(&self, probe: Probe<Self::Request, Self::Response>) -> Self::Service;

    /// A request that the layer lets through.
    fn request(&self) -> Self::Request;

    /// Makes responses that the layer takes for good ones.
    fn respond(&self) -> Self::Respond;
}

/// The subject of these closures: `layer` puts the layer above a probe, and `request` and `response` make what goes through.
pub fn subject<Req, Res, Svc>(
    request: impl Fn() -> Req,
    response: impl Fn() -> Res + Clone + Send + Sync + 'static,
    layer: impl Fn(Probe<Req, Res>) -> Svc,
) -> impl Subject<Request = Req, Response = Res, Service = Svc>
where
    Req: Send + 'static,
    Res: Send + 'static,
    Svc: Service<Req, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
{
    Closures {
        request,
        response,
        layer,
    }
}

struct Closures<Q, R, L> {
    request: Q,
    response: R,
    layer: L,
}

impl<Q, R, L, Req, Res, Svc> Subject for Closures<Q, R, L>
where
    Q: Fn() -> Req,
    R: Fn() -> Res + Clone + Send + Sync + 'static,
    L: Fn(Probe<Req, Res>) -> Svc,
    Req: Send + 'static,
    Res: Send + 'static,
    Svc: Service<Req, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
{
    type Request = Req;
    type Response = Res;
    type Respond = R;
    type Service = Svc;

    fn service(&self, probe: Probe<Req, Res>) -> Svc {
        (self.layer)(probe)
    }

    fn request(&self) -> Req {
        (self.request)()
    }

    fn respond(&self) -> R {
        self.response.clone()
    }
}
