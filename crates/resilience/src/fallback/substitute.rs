//! What answers instead.

use std::{
    fmt,
    future::{Ready, ready},
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bartizan_core::{Outcome, Replay};
use pin_project_lite::pin_project;
use tower_service::Service;

/// A call that a fallback takes over: what it came to, and how that was judged.
#[derive(Debug)]
pub struct Failed<Res, Err> {
    outcome: Outcome,
    result: Result<Res, Err>,
}

impl<Res, Err> Failed<Res, Err> {
    pub(super) const fn new(outcome: Outcome, result: Result<Res, Err>) -> Self {
        Self { outcome, result }
    }

    /// How it was judged.
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The response that is no answer, or the error.
    ///
    /// # Errors
    ///
    /// If that is what the call came to.
    pub const fn result(&self) -> Result<&Res, &Err> {
        self.result.as_ref()
    }

    /// The error, if there was no response.
    pub fn error(&self) -> Option<&Err> {
        self.result.as_ref().err()
    }

    #[cfg(feature = "http")]
    pub(super) const fn response_mut(&mut self) -> Option<&mut Res> {
        match &mut self.result {
            Ok(response) => Some(response),
            Err(_) => None,
        }
    }

    /// The response that is no answer, or the error: to be passed on after all.
    ///
    /// # Errors
    ///
    /// If that is what the call came to.
    pub fn into_result(self) -> Result<Res, Err> {
        self.result
    }
}

/// What answers instead of a call that failed.
///
/// [`Value`], [`Function`], [`AsyncFunction`] and [`OtherService`] are made by the constructors of
/// [`FallbackLayer`](super::FallbackLayer). One of your own may keep whatever it needs of the request:
///
/// ```
/// use bartizan_core::{BoxError, Outcome};
/// use bartizan_resilience::fallback::{Failed, FallbackLayer, Substitute};
/// use std::future::{Ready, ready};
/// use tower::{Layer, ServiceExt};
///
/// /// Names what was asked for.
/// #[derive(Clone)]
/// struct Apology;
///
/// impl<Err> Substitute<String, String, Err> for Apology {
///     type Kept = String;
///     type Future = Ready<Result<String, Err>>;
///
///     fn keep(&self, request: &String) -> String {
///         request.clone()
///     }
///
///     fn substitute(&self, request: String, _: Failed<String, Err>) -> Self::Future {
///         ready(Ok(format!("no {request} today")))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let kitchen = tower::service_fn(|_: String| async { Err::<String, BoxError>("closed".into()) });
/// let service = FallbackLayer::new(Apology).layer(kitchen);
/// assert_eq!(service.oneshot("soup".to_owned()).await?, "no soup today");
/// # Ok(())
/// # }
/// ```
pub trait Substitute<Req, Res, Err> {
    /// What it needs of the request. `()` where it needs nothing.
    type Kept;
    /// The answer to be.
    type Future: Future<Output = Result<Res, Err>>;

    /// Takes from the request what [`substitute`](Self::substitute) will need. Called for each request, before it is sent.
    fn keep(&self, request: &Req) -> Self::Kept;

    /// Answers instead.
    fn substitute(&self, kept: Self::Kept, failed: Failed<Res, Err>) -> Self::Future;
}

/// Answers with a clone of a value.
#[derive(Clone, Copy, Debug)]
pub struct Value<T>(pub(super) T);

impl<T: Clone, Req, Err> Substitute<Req, T, Err> for Value<T> {
    type Kept = ();
    type Future = Ready<Result<T, Err>>;

    fn keep(&self, _: &Req) -> Self::Kept {}

    fn substitute(&self, (): Self::Kept, _: Failed<T, Err>) -> Self::Future {
        ready(Ok(self.0.clone()))
    }
}

/// Answers with what a function makes of the failure.
#[derive(Clone, Copy)]
pub struct Function<F>(pub(super) F);

impl<F, Req, Res, Err> Substitute<Req, Res, Err> for Function<F>
where
    F: Fn(Failed<Res, Err>) -> Result<Res, Err>,
{
    type Kept = ();
    type Future = Ready<Result<Res, Err>>;

    fn keep(&self, _: &Req) -> Self::Kept {}

    fn substitute(&self, (): Self::Kept, failed: Failed<Res, Err>) -> Self::Future {
        ready((self.0)(failed))
    }
}

/// Answers with what an asynchronous function makes of the failure.
#[derive(Clone, Copy)]
pub struct AsyncFunction<F>(pub(super) F);

impl<F, Fut, Req, Res, Err> Substitute<Req, Res, Err> for AsyncFunction<F>
where
    F: Fn(Failed<Res, Err>) -> Fut,
    Fut: Future<Output = Result<Res, Err>>,
{
    type Kept = ();
    type Future = Fut;

    fn keep(&self, _: &Req) -> Self::Kept {}

    fn substitute(&self, (): Self::Kept, failed: Failed<Res, Err>) -> Fut {
        (self.0)(failed)
    }
}

macro_rules! debug_functions {
    ($($name:ident),*) => {
        $(impl<F> fmt::Debug for $name<F> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).finish_non_exhaustive()
            }
        })*
    };
}

debug_functions!(Function, AsyncFunction);

/// Sends the request to another service.
///
/// The request is copied before the first service gets it. One that cannot be copied has no second service: what the first came to is
/// the answer.
#[derive(Debug)]
pub struct OtherService<S> {
    /// Never called, only cloned. Behind a lock because a service need not be `Sync`; taken when a call has failed.
    pub(super) template: Mutex<S>,
}

impl<S: Clone> OtherService<S> {
    fn service(&self) -> S {
        self.template
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl<S: Clone> Clone for OtherService<S> {
    fn clone(&self) -> Self {
        Self {
            template: Mutex::new(self.service()),
        }
    }
}

impl<S, Req, Err> Substitute<Req, S::Response, Err> for OtherService<S>
where
    S: Service<Req> + Clone,
    S::Error: Into<Err>,
    Req: Replay,
{
    type Kept = Option<Req>;
    type Future = OtherFuture<S, S::Future, Req, Result<S::Response, Err>>;

    fn keep(&self, request: &Req) -> Option<Req> {
        request.replay()
    }

    fn substitute(&self, request: Option<Req>, failed: Failed<S::Response, Err>) -> Self::Future {
        let state = match request {
            None => Other::Without {
                result: Some(failed.into_result()),
            },
            request @ Some(_) => Other::Readying {
                service: self.service(),
                request,
            },
        };
        OtherFuture { state }
    }
}

pin_project! {
    /// The response of an [`OtherService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct OtherFuture<S, F, Req, T> {
        #[pin]
        state: Other<S, F, Req, T>,
    }
}

pin_project! {
    #[project = OtherProj]
    enum Other<S, F, Req, T> {
        Readying { service: S, request: Option<Req> },
        Calling { #[pin] response: F },
        Without { result: Option<T> },
    }
}

impl<S, Req, Err> Future for OtherFuture<S, S::Future, Req, Result<S::Response, Err>>
where
    S: Service<Req>,
    S::Error: Into<Err>,
{
    type Output = Result<S::Response, Err>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                // ## Readying => (Calling | done)
                OtherProj::Readying { service, request } => {
                    if let Err(error) = ready!(service.poll_ready(cx)) {
                        return Poll::Ready(Err(error.into()));
                    }
                    let request = request.take().expect("it is here until it is sent");
                    Other::Calling {
                        response: service.call(request),
                    }
                }
                // ## Calling => done
                OtherProj::Calling { response } => {
                    return response.poll(cx).map_err(Into::into);
                }
                // ## Without => done
                OtherProj::Without { result } => {
                    return Poll::Ready(result.take().expect("not polled after it was ready"));
                }
            };
            state.set(next);
        }
    }
}

impl<S, F, Req, T> fmt::Debug for OtherFuture<S, F, Req, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtherFuture").finish_non_exhaustive()
    }
}
