//! What a retry has to be told about a protocol.

use std::{fmt, future::Ready};

use bartizan_core::{Classify, Outcome};
use tokio::time::Instant;

use super::{Attempts, GaveUp};
use crate::classify::OnError;

/// How a request is sent more than once.
///
/// The half of a [`Policy`] that knows requests only.
pub trait Resend<Req> {
    /// What the inner service is called with.
    type Sent;
    /// What stays behind, to make another one of.
    type Kept;

    /// Parts the request into what is sent now and what is kept.
    fn keep(&self, request: Req) -> (Self::Sent, Self::Kept);

    /// Another request that sends the same. `None` if there is none to be had: the call ends with what it has, for
    /// [`GaveUp::Unrepeatable`].
    fn again(&self, kept: &mut Self::Kept) -> Option<Self::Sent>;

    /// Readies a request that [`again`](Self::again) made, right before it is sent as the attempt of this number: 2 for the first
    /// retry. Does nothing by default.
    fn prepare(&self, request: &mut Self::Sent, attempt: u32) {
        let _ = (request, attempt);
    }

    /// How many attempts this call may make, if it says so itself. By default it does not.
    fn max_attempts(&self, kept: &Self::Kept) -> Option<u32> {
        let _ = kept;
        None
    }

    /// When the caller of this call stops waiting, if it says so. By default it does not.
    fn deadline(&self, kept: &Self::Kept) -> Option<Instant> {
        let _ = kept;
        None
    }
}

/// Which calls are made again.
///
/// [`HttpPolicy`](super::HttpPolicy) is the one for HTTP, [`OnError`] and [`OnOutcome`] serve elsewhere.
pub trait Policy<Req, Res, Err>: Resend<Req> {
    /// What the judgement needs of a request, kept while an attempt runs.
    type Seen;
    /// Disposes of a response that nobody will read.
    type Drain: Future<Output = ()>;

    /// Takes from a request what [`judge`](Self::judge) will need.
    fn request(&self, request: &Self::Sent) -> Self::Seen;

    /// What to do after an attempt came to `result`.
    fn judge(&self, kept: &Self::Kept, seen: Self::Seen, result: Result<&Res, &Err>) -> Judgement;

    /// Disposes of a response in whose place another attempt is made, while that waits for its time. `None` drops it at once.
    fn drain(&self, response: Res) -> Option<Self::Drain>;

    /// Tells the response what happened on the way to it. Only called if something did: there was more than one attempt, or there
    /// would have been.
    fn annotate(&self, response: &mut Res, attempts: Attempts) {
        let _ = (response, attempts);
    }
}

/// What to do after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing: this is what the caller gets.
    Done,
    /// Try again, not before that long from now if the peer said so. If it may not be, this is what the caller gets.
    Retry {
        /// What the peer asks for.
        after: Option<std::time::Duration>,
    },
    /// It would have been worth another attempt, and must not have one. This is what the caller gets.
    GiveUp(GaveUp),
}

/// A failure is tried again, and so is a call that was throttled; the rest is done.
impl From<Outcome> for Judgement {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Failure => Self::Retry { after: None },
            Outcome::Throttled { retry_after } => Self::Retry { after: retry_after },
            _ => Self::Done,
        }
    }
}

/// Every request can be cloned, and repeated without harm.
impl<Req: Clone> Resend<Req> for OnError {
    type Sent = Req;
    type Kept = Req;

    fn keep(&self, request: Req) -> (Req, Req) {
        (request.clone(), request)
    }

    fn again(&self, kept: &mut Req) -> Option<Req> {
        Some(kept.clone())
    }
}

/// Every error is tried again, and every response is an answer.
impl<Req: Clone, Res, Err> Policy<Req, Res, Err> for OnError {
    type Seen = ();
    type Drain = Ready<()>;

    fn request(&self, _: &Req) -> Self::Seen {}

    fn judge(&self, _: &Req, (): Self::Seen, result: Result<&Res, &Err>) -> Judgement {
        match result {
            Ok(_) => Judgement::Done,
            Err(_) => Judgement::Retry { after: None },
        }
    }

    fn drain(&self, _: Res) -> Option<Self::Drain> {
        None
    }
}

/// What `classify` takes for a failure, or for throttled, is tried again, with the copies that `copy` makes. For requests that are
/// not `http::Request`: reqwest's, or those of another protocol.
///
/// ```
/// use bartizan_core::{BoxError, Outcome};
/// use bartizan_resilience::retry::{OnOutcome, RetryLayer};
/// use std::sync::{Arc, atomic::{AtomicU32, Ordering}};
/// use tower::{ServiceBuilder, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), BoxError> {
/// // With reqwest: `OnOutcome::new(by_status, reqwest::Request::try_clone)`.
/// let policy = OnOutcome::new(
///     |result: Result<&u32, &BoxError>| match result {
///         Ok(0) | Err(_) => Outcome::Failure,
///         Ok(_) => Outcome::Success,
///     },
///     |request: &u32| Some(*request),
/// );
/// let asked = Arc::new(AtomicU32::new(0));
/// let service = ServiceBuilder::new()
///     .layer(RetryLayer::with_policy(policy).build()?)
///     .service_fn(move |n: u32| {
///         let answer = n * asked.fetch_add(1, Ordering::Relaxed);
///         async move { Ok::<_, BoxError>(answer) }
///     });
/// assert_eq!(service.oneshot(7).await?, 7, "the second answer, as the first is 0");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct OnOutcome<C, K> {
    classify: C,
    copy: K,
}

impl<C, K> OnOutcome<C, K> {
    /// `classify` is a [`Classify`], or a closure from the result to an [`Outcome`]. `copy` makes a second request of one, or `None`
    /// if it can be sent only once.
    pub const fn new(classify: C, copy: K) -> Self {
        Self { classify, copy }
    }
}

impl<C, K> fmt::Debug for OnOutcome<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnOutcome").finish_non_exhaustive()
    }
}

impl<C, K, Req> Resend<Req> for OnOutcome<C, K>
where
    K: Fn(&Req) -> Option<Req>,
{
    type Sent = Req;
    type Kept = Option<Req>;

    fn keep(&self, request: Req) -> (Req, Option<Req>) {
        let copy = (self.copy)(&request);
        (request, copy)
    }

    fn again(&self, kept: &mut Option<Req>) -> Option<Req> {
        let request = kept.take()?;
        *kept = (self.copy)(&request);
        Some(request)
    }
}

impl<C, K, Req, Res, Err> Policy<Req, Res, Err> for OnOutcome<C, K>
where
    C: Classify<Req, Res, Err>,
    K: Fn(&Req) -> Option<Req>,
{
    type Seen = C::Seen;
    type Drain = Ready<()>;

    fn request(&self, request: &Req) -> C::Seen {
        self.classify.request(request)
    }

    fn judge(&self, _: &Option<Req>, seen: C::Seen, result: Result<&Res, &Err>) -> Judgement {
        self.classify.head(seen, result).so_far().into()
    }

    fn drain(&self, _: Res) -> Option<Self::Drain> {
        None
    }
}
