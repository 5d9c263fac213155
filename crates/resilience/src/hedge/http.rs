//! Which HTTP requests may be sent twice.

use bartizan_core::{HttpClassify, Replay};
use http::Request;

use super::{HedgeBuilder, HedgeLayer, Policy};

impl HedgeLayer<Idempotent, HttpClassify> {
    /// Starts with the 95th percentile, a budget of 5 %, the idempotent methods, and the statuses of [`HttpClassify`].
    ///
    /// The body of the request has to be one that can be copied: [`Body`](bartizan_core::Body), `Bytes`, or `()`.
    pub fn http() -> HedgeBuilder<Idempotent, HttpClassify> {
        HedgeBuilder::new(Idempotent::new(), HttpClassify::new())
    }
}

/// The [`Policy`] for HTTP: idempotent methods (RFC 9110 section 9.2.2), with a body that can be copied.
///
/// An `Idempotency-Key` does not make a `POST` one of them. It makes it safe to send again, not at the same time: a server that
/// still works on the first answers the second with 409.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Idempotent {
    safe_only: bool,
}

impl Idempotent {
    /// GET, HEAD, OPTIONS, TRACE, PUT and DELETE.
    pub const fn new() -> Self {
        Self { safe_only: false }
    }

    /// Only those that change nothing: GET, HEAD, OPTIONS and TRACE. Of two `DELETE`s the second may well answer 404 while the first
    /// is still busy, and win by that.
    #[must_use]
    pub const fn safe_only(mut self) -> Self {
        self.safe_only = true;
        self
    }
}

impl<B: Replay> Policy<Request<B>> for Idempotent {
    fn copy(&self, request: &Request<B>) -> Option<Request<B>> {
        let method = request.method();
        let may = if self.safe_only {
            method.is_safe()
        } else {
            method.is_idempotent()
        };
        if may { request.replay() } else { None }
    }
}
