//! How layers for any protocol judge calls, and when.

use std::any::Any;

use bartizan_core::{BoxError, Classify, IntactBody, Outcome, Rejection, Verdict, find};

/// The verdict on the head of a response is the last word. For any protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AtHead;

/// The end of the response's body has the last word, if the head leaves it open. For [`http::Response`].
#[cfg(feature = "http")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AtEnd;

/// Every error is a failure, and every response a success.
///
/// Except for a [`Rejection`] by a layer below before the call was sent, which says nothing of the peer. It is seen in a
/// [`BoxError`] and as itself; over another error type, let a closure judge.
///
/// Where a layer asks for a policy, this one asks another target, or tries again, after every error, and sends clones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnError;

impl<Req, Res, E: 'static> Classify<Req, Res, E> for OnError {
    type Seen = ();
    type Rest = IntactBody;

    fn request(&self, _: &Req) -> Self::Seen {}

    fn head(&self, (): Self::Seen, result: Result<&Res, &E>) -> Verdict {
        let Err(error) = result else {
            return Verdict::AtEnd(IntactBody(Outcome::Success));
        };
        let error = error as &dyn Any;
        let rejection = match error.downcast_ref::<BoxError>() {
            Some(error) => find::<Rejection>(&**error),
            None => error.downcast_ref::<Rejection>(),
        };
        Verdict::Now(match rejection {
            Some(rejection) if rejection.is_unsent() => Outcome::Ignored,
            _ => Outcome::Failure,
        })
    }
}
