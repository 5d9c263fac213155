//! Which requests may be sent twice.

use crate::classify::OnError;

/// Which requests may be sent twice at the same time, and how they are copied. Every `Fn(&Req) -> Option<Req>` is one:
/// [`Replay::replay`](bartizan_core::Replay::replay) copies whatever can be copied.
pub trait Policy<Req> {
    /// A copy for the second attempt, made before the first is sent, or `None` if there must be none.
    fn copy(&self, request: &Req) -> Option<Req>;
}

impl<F, Req> Policy<Req> for F
where
    F: Fn(&Req) -> Option<Req>,
{
    fn copy(&self, request: &Req) -> Option<Req> {
        self(request)
    }
}

/// Every request is cloned.
impl<Req: Clone> Policy<Req> for OnError {
    fn copy(&self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}
