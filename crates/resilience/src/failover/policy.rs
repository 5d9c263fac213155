//! What failover has to be told about a protocol.

use std::borrow::Cow;

use bartizan_core::BoxError;

use super::Report;
use crate::classify::OnError;

/// What failover has to be told about the calls it makes. Errors need no telling: they all send the call on.
///
/// [`HttpPolicy`](super::HttpPolicy) is the one for HTTP, and [`OnError`] serves wherever a response is always an answer.
pub trait Policy<Req, Res> {
    /// A copy of the request for the next target, or `None` if it can be sent only once.
    fn copy(&self, request: &Req) -> Option<Req>;

    /// Readies the request for the target of that index. Does nothing by default.
    ///
    /// # Errors
    ///
    /// What makes it unfit for this target. The call goes on to the next.
    fn aim(&self, target: usize, request: &mut Req) -> Result<(), BoxError> {
        let _ = (target, request);
        Ok(())
    }

    /// Why this response is no answer and the next target is to be asked: `503 Service Unavailable`. `None` if it is one.
    fn fault(&self, response: &Res) -> Option<Cow<'static, str>>;

    /// Tells the response what happened on the way to it. Only called if something did: a target failed.
    fn annotate(&self, response: &mut Res, report: Report) {
        let _ = (response, report);
    }
}

/// Every response is an answer, and every request can be cloned.
impl<Req: Clone, Res> Policy<Req, Res> for OnError {
    fn copy(&self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }

    fn fault(&self, _: &Res) -> Option<Cow<'static, str>> {
        None
    }
}
