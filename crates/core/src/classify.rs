//! One verdict on every call, read by breakers, retries and metrics alike.
//!
//! A call can end in two places. An error, or a status that speaks for itself, ends it at the *head*. A good status only promises
//! a body, and a body that breaks off half way, or a trailer that says the call failed after all, ends it at the *end*. So
//! [`Classify::head`] may decide, or leave a [`ClassifyEnd`] to decide when the body has ended.

use std::time::Duration;

use http::HeaderMap;

/// What a call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The peer did its work.
    Success,
    /// The peer, or the way to it, failed.
    Failure,
    /// The peer works, and asks for less: too many requests.
    Throttled {
        /// How long it asks to be left alone, if it said so.
        retry_after: Option<Duration>,
    },
    /// Says nothing about the peer: a call that a layer of our own refused, or a mistake of the caller's.
    Ignored,
    /// The caller dropped the call before there was anything to judge.
    Cancelled,
}

impl Outcome {
    /// Whether this is [`Outcome::Success`].
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Success)
    }

    /// Whether this is [`Outcome::Failure`].
    pub const fn is_failure(&self) -> bool {
        matches!(self, Self::Failure)
    }

    /// Whether this is [`Outcome::Throttled`].
    pub const fn is_throttled(&self) -> bool {
        matches!(self, Self::Throttled { .. })
    }
}

/// What the head of a response, or an error in its place, says of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<T = IntactBody> {
    /// Nothing that follows can change it.
    Now(Outcome),
    /// The end of the body has the last word.
    AtEnd(T),
}

impl<T: ClassifyEnd> Verdict<T> {
    /// The outcome as far as the head tells: what a layer acts on that never sees the body.
    pub fn so_far(&self) -> Outcome {
        match self {
            Self::Now(outcome) => *outcome,
            Self::AtEnd(rest) => rest.so_far(),
        }
    }
}

/// How a response body came to its end.
#[derive(Clone, Copy, Debug)]
pub enum End<'a> {
    /// All of it arrived, and after it these trailers, if any.
    Complete(Option<&'a HeaderMap>),
    /// It broke off with an error.
    Failed,
    /// The caller stopped reading.
    Dropped,
}

/// Judges the end of a body, where the head left the verdict open.
pub trait ClassifyEnd {
    /// What the head alone says.
    fn so_far(&self) -> Outcome;

    /// What it comes to.
    fn end(self, end: End<'_>) -> Outcome;
}

/// The usual [`ClassifyEnd`]: the outcome it holds, unless the body breaks off, which is a failure.
///
/// A caller that has read enough and drops the body says nothing against the peer: that leaves the outcome as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntactBody(pub Outcome);

impl ClassifyEnd for IntactBody {
    fn so_far(&self) -> Outcome {
        self.0
    }

    fn end(self, end: End<'_>) -> Outcome {
        match end {
            End::Failed => Outcome::Failure,
            End::Complete(_) | End::Dropped => self.0,
        }
    }
}

/// Turns a finished call into one [`Outcome`].
///
/// `Req`, `Res` and `Err` are those of the service that is judged. A closure from the result to an outcome is a `Classify` that
/// decides at the head:
///
/// ```
/// use bartizan_core::{Classify, Outcome};
///
/// let classify = |result: Result<&u32, &std::io::Error>| match result {
///     Ok(0) | Err(_) => Outcome::Failure,
///     Ok(_) => Outcome::Success,
/// };
/// let seen = Classify::<&str, _, _>::request(&classify, &"any request");
/// let verdict = Classify::<&str, _, _>::head(&classify, seen, Ok(&7));
/// assert_eq!(verdict.so_far(), Outcome::Success);
/// ```
pub trait Classify<Req, Res, Err> {
    /// What the judgement needs of the request, kept while the call runs. `()` where it needs nothing.
    type Seen;
    /// Judges the end of the body. [`IntactBody`] where only a broken body matters.
    type Rest: ClassifyEnd;

    /// Takes from the request what [`head`](Self::head) will need.
    fn request(&self, request: &Req) -> Self::Seen;

    /// Judges the head of the response, or the error in its place.
    fn head(&self, seen: Self::Seen, result: Result<&Res, &Err>) -> Verdict<Self::Rest>;
}

impl<F, Req, Res, Err> Classify<Req, Res, Err> for F
where
    F: Fn(Result<&Res, &Err>) -> Outcome,
{
    type Seen = ();
    type Rest = IntactBody;

    fn request(&self, _: &Req) -> Self::Seen {}

    fn head(&self, (): Self::Seen, result: Result<&Res, &Err>) -> Verdict {
        Verdict::Now(self(result))
    }
}
