//! What a call's end tells about its endpoint, and where that end is.

use std::sync::Arc;

use bartizan_core::{Classify, Completion, Outcome};
#[cfg(feature = "http")]
use bartizan_core::{CompletionBody, Verdict};

use super::Ticket;
use crate::classify::OnError;

/// Judges calls: by a [`Classify`], at the head of the response or at the end of its body.
///
/// [`OnError`], [`ToHead`] and `ToBodyEnd` are all there are.
pub trait Judge<Req, Res, Err>: Clone + sealed::Sealed {
    /// What is kept of the request.
    type Seen;
    /// The response, which may carry the token that reports its end.
    type Response;

    #[doc(hidden)]
    fn request(&self, request: &Req) -> Self::Seen;

    #[doc(hidden)]
    fn judge(
        &self,
        seen: Self::Seen,
        completion: Completion<Ticket>,
        result: Result<Res, Err>,
    ) -> Result<Self::Response, Err>;

    /// A response that no endpoint gave.
    #[doc(hidden)]
    fn unjudged(&self, response: Res) -> Self::Response;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::OnError {}
    impl<C> Sealed for super::ToHead<C> {}
    #[cfg(feature = "http")]
    impl<C> Sealed for super::ToBodyEnd<C> {}
}

/// An error is a failure, and a response a success. A call ends with either. A rejection by a layer below is a failure too: an
/// endpoint that answers in no time would be given all calls if that made it a fast one.
impl<Req, Res, Err> Judge<Req, Res, Err> for OnError {
    type Seen = ();
    type Response = Res;

    fn request(&self, _: &Req) -> Self::Seen {}

    fn judge(
        &self,
        (): (),
        completion: Completion<Ticket>,
        result: Result<Res, Err>,
    ) -> Result<Res, Err> {
        completion.finish(match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure,
        });
        result
    }

    fn unjudged(&self, response: Res) -> Res {
        response
    }
}

/// A call ends with the head of its response, and is judged by that.
#[derive(Debug)]
pub struct ToHead<C>(Arc<C>);

impl<C> ToHead<C> {
    pub(super) fn new(classify: C) -> Self {
        Self(Arc::new(classify))
    }
}

impl<C> Clone for ToHead<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C, Req, Res, Err> Judge<Req, Res, Err> for ToHead<C>
where
    C: Classify<Req, Res, Err>,
{
    type Seen = C::Seen;
    type Response = Res;

    fn request(&self, request: &Req) -> Self::Seen {
        self.0.request(request)
    }

    fn judge(
        &self,
        seen: Self::Seen,
        completion: Completion<Ticket>,
        result: Result<Res, Err>,
    ) -> Result<Res, Err> {
        let outcome = self.0.head(seen, result.as_ref()).so_far();
        completion.finish(match &result {
            Ok(_) => outcome,
            Err(_) => shut(outcome),
        });
        result
    }

    fn unjudged(&self, response: Res) -> Res {
        response
    }
}

/// A call ends with the body of its response, and is judged by all of it.
#[cfg(feature = "http")]
#[derive(Debug)]
pub struct ToBodyEnd<C>(Arc<C>);

#[cfg(feature = "http")]
impl<C> ToBodyEnd<C> {
    pub(super) fn of(head: ToHead<C>) -> Self {
        Self(head.0)
    }
}

#[cfg(feature = "http")]
impl<C> Clone for ToBodyEnd<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(feature = "http")]
impl<C, Req, B, Err> Judge<Req, http::Response<B>, Err> for ToBodyEnd<C>
where
    C: Classify<Req, http::Response<B>, Err>,
    B: http_body::Body,
{
    type Seen = C::Seen;
    type Response = http::Response<CompletionBody<B, C::Rest, Ticket>>;

    fn request(&self, request: &Req) -> Self::Seen {
        self.0.request(request)
    }

    fn judge(
        &self,
        seen: Self::Seen,
        completion: Completion<Ticket>,
        result: Result<http::Response<B>, Err>,
    ) -> Result<Self::Response, Err> {
        let verdict = self.0.head(seen, result.as_ref());
        match result {
            // The body is load, whatever the head says of it.
            Ok(response) => Ok(completion.follow(verdict, response)),
            Err(error) => {
                completion.finish(shut(verdict.so_far()));
                Err(error)
            }
        }
    }

    fn unjudged(&self, response: http::Response<B>) -> Self::Response {
        Completion::new(Ticket::none()).follow(Verdict::Now(Outcome::Ignored), response)
    }
}

/// An error that says nothing of the peer is one of a layer that keeps calls from it. That says enough of the endpoint: it answers
/// in no time, and would be given all calls if that made it a fast one.
const fn shut(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Ignored => Outcome::Failure,
        outcome => outcome,
    }
}
