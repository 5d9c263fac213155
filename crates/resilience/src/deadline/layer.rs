//! The layer that sets a deadline and holds the call to it.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_core::{Propagate, Reject, Rejection, RejectionKind};
use http::Request;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tower_layer::Layer;
use tower_service::Service;

use super::{Deadline, DeadlineHeader};

/// Sets a [`Deadline`] for each call, and gives up when it passes. It has no state to share. See the [module](super).
#[derive(Clone, Debug)]
pub struct DeadlineLayer<R = Propagate> {
    limit: Duration,
    header: Option<DeadlineHeader>,
    reject: R,
}

impl DeadlineLayer {
    /// Gives each call `limit`, counted from `call`, or what is left to the deadline in its extensions if that is less.
    pub const fn new(limit: Duration) -> Self {
        Self {
            limit,
            header: None,
            reject: Propagate,
        }
    }
}

impl<R> DeadlineLayer<R> {
    /// Takes the time that a request's header leaves it into account: it shortens the limit, and cannot lengthen it, so that no caller
    /// holds a server to more work than its owner allows. Default: no header is read, because what a stranger writes is for the owner
    /// to trust.
    #[must_use]
    pub fn accept_header(mut self, header: DeadlineHeader) -> Self {
        self.header = Some(header);
        self
    }
}

reject_methods!(
    DeadlineLayer { limit, header },
    "[`Rejection::into_response`] makes a 504 with problem details."
);

/// 30 s: the time after which people and proxies have given up, and room for several attempts of 5 s each.
impl Default for DeadlineLayer {
    fn default() -> Self {
        Self::new(Duration::from_secs(30))
    }
}

impl<S, R: Clone> Layer<S> for DeadlineLayer<R> {
    type Service = Deadlined<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Deadlined {
            inner,
            limit: self.limit,
            header: self.header.clone(),
            reject: self.reject.clone(),
        }
    }
}

/// Sets a [`Deadline`] for each call, and gives up when it passes. See the [module](super).
#[derive(Clone, Debug)]
pub struct Deadlined<S, R = Propagate> {
    inner: S,
    limit: Duration,
    header: Option<DeadlineHeader>,
    reject: R,
}

inner_accessors!(Deadlined<S, R>);

impl<S, R> Deadlined<S, R> {
    /// The earliest of the layer's own limit, the extension and the header.
    fn deadline<B>(&self, now: Instant, request: &Request<B>) -> Deadline {
        let header = self.header.as_ref();
        let allowed = header.and_then(|header| header.read(request.headers()));
        let limit = allowed.map_or(self.limit, |allowed| allowed.min(self.limit));
        let own = Deadline::since(now, limit);
        let inherited = request.extensions().get::<Deadline>();
        inherited.map_or(own, |inherited| own.min(*inherited))
    }
}

impl<S, R, B> Service<Request<B>> for Deadlined<S, R>
where
    S: Service<Request<B>>,
    R: Reject<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = R::Error;
    type Future = ResponseFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner
            .poll_ready(cx)
            .map_err(|error| self.reject.pass(error))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let now = Instant::now();
        let deadline = self.deadline(now, &request);
        let limit = deadline.at().saturating_duration_since(now);
        let response = if limit.is_zero() {
            None
        } else {
            // In place, where there is one: an insertion allocates.
            match request.extensions_mut().get_mut::<Deadline>() {
                Some(inherited) => *inherited = deadline,
                None => {
                    request.extensions_mut().insert(deadline);
                }
            }
            Some(self.inner.call(request))
        };
        ResponseFuture {
            response,
            timer: None,
            deadline,
            limit,
            reject: self.reject.clone(),
        }
    }
}

pin_project! {
    /// The response, or a [`Rejection`] if the deadline passes first.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, R> {
        // `None` if the deadline had passed before the call.
        #[pin]
        response: Option<F>,
        // Armed by the first poll that finds no response.
        #[pin]
        timer: Option<Sleep>,
        deadline: Deadline,
        limit: Duration,
        reject: R,
    }
}

impl<F, R, Res, Err> Future for ResponseFuture<F, R>
where
    F: Future<Output = Result<Res, Err>>,
    R: Reject<Res, Err>,
{
    type Output = Result<Res, R::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(response) = this.response.as_pin_mut() {
            // Before the timer: a response that is there is never thrown away for having been looked at late.
            if let Poll::Ready(result) = response.poll(cx) {
                return Poll::Ready(result.map_err(|error| this.reject.pass(error)));
            }
            if this.timer.is_none() {
                let timer = tokio::time::sleep_until(this.deadline.at());
                this.timer.set(Some(timer));
            }
            if let Some(timer) = this.timer.as_pin_mut() {
                ready!(timer.poll(cx));
            }
        }
        let passed = DeadlinePassed { limit: *this.limit };
        tracing::debug!(error = %passed, "deadline");
        let rejection = Rejection::new(RejectionKind::TimedOut, "deadline").with_source(passed);
        Poll::Ready(this.reject.reject(rejection))
    }
}

/// The deadline passed before there was a response. The source of the [`Rejection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlinePassed {
    limit: Duration,
}

impl DeadlinePassed {
    /// What was left until the deadline when the call was made. Zero if it had passed.
    pub const fn limit(&self) -> Duration {
        self.limit
    }

    /// Whether the deadline had passed before the call was made, so that nothing was sent.
    pub const fn is_unsent(&self) -> bool {
        self.limit.is_zero()
    }
}

impl fmt::Display for DeadlinePassed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_unsent() {
            f.write_str("the deadline had passed before the call was made")
        } else {
            write!(f, "the deadline passed, {:?} after the call", self.limit)
        }
    }
}

impl Error for DeadlinePassed {}
