//! The layer, its service, and a call from hop to hop.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_core::{BoxError, Replay};
use bytes::Buf;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    FinalUri, Redirects,
    trail::{Next, Trail},
};
use crate::error::{Call, Error, Kind};

/// How much of a response on the way is read so that its connection is free. A page that says "moved" is smaller.
const DRAIN_BYTES: u64 = 64 * 1024;

/// How long that is waited for. A new connection within one site is made in less.
const DRAIN_TIME: Duration = Duration::from_millis(100);

/// Follows redirects. See the [module](super) for how, and [`Redirects`] for what can be set.
#[derive(Clone, Debug, Default)]
pub struct RedirectLayer {
    redirects: Redirects,
}

impl RedirectLayer {
    /// At most 10 redirects, and the other defaults of [`Redirects`].
    pub fn new() -> Self {
        Self::default()
    }

    /// As told.
    pub const fn with(redirects: Redirects) -> Self {
        Self { redirects }
    }
}

impl<S> Layer<S> for RedirectLayer {
    type Service = RedirectService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RedirectService::new(inner, self.redirects.clone())
    }
}

/// The service of a [`RedirectLayer`].
#[derive(Debug)]
pub struct RedirectService<S> {
    inner: S,
    redirects: Redirects,
}

impl<S> RedirectService<S> {
    /// Follows redirects with `inner`.
    pub const fn new(inner: S, redirects: Redirects) -> Self {
        Self { inner, redirects }
    }
}

impl<S: Clone> Clone for RedirectService<S> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.redirects.clone())
    }
}

impl<S, B, RB> Service<Request<B>> for RedirectService<S>
where
    S: Service<Request<B>, Response = Response<RB>, Error: Into<BoxError>> + Clone,
    B: Replay + Default,
    RB: Body,
{
    type Response = Response<RB>;
    type Error = Error;
    type Future = RedirectFuture<S, B, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner
            .poll_ready(cx)
            .map_err(|error| Error::of_service(error.into(), Kind::NotReady))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let clone = self.inner.clone();
        // The instance that was made ready is the one to call, and to go on with.
        let mut service = mem::replace(&mut self.inner, clone);
        let route = match Trail::of(&request, &self.redirects) {
            Some(trail) => Route::Followed { trail },
            None => Route::Straight {
                call: Call::of(&request),
            },
        };
        RedirectFuture {
            state: State::Calling {
                response: service.call(request),
            },
            service,
            route: Some(route),
            next: None,
        }
    }
}

/// What is known of the call for its end.
enum Route<B> {
    Straight { call: Call },
    Followed { trail: Trail<B> },
}

pin_project! {
    /// The last response, or why there is none.
    #[must_use = "futures do nothing unless polled"]
    pub struct RedirectFuture<S, B, RB>
    where
        // A bound, against the rule: the future of the service follows from it.
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S::Future, RB>,
        service: S,
        // `None` once it is over.
        route: Option<Route<B>>,
        // Boxed, as few calls have one and all futures have its place.
        next: Option<Box<Request<B>>>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, RB> {
        Calling { #[pin] response: F },
        Draining { #[pin] body: RB, left: u64, #[pin] timer: Option<Sleep> },
        Readying,
    }
}

impl<S, B, RB> Future for RedirectFuture<S, B, RB>
where
    S: Service<Request<B>, Response = Response<RB>, Error: Into<BoxError>>,
    B: Replay + Default,
    RB: Body,
{
    type Output = Result<Response<RB>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                // ## Calling => (Draining | Readying | done)
                StateProj::Calling { response } => {
                    let result = ready!(response.poll(cx));
                    let route = this.route.take().expect("polled after completion");
                    let mut response = match result {
                        Ok(response) => response,
                        Err(error) => return Poll::Ready(Err(route.failed(error, Kind::Service))),
                    };
                    let mut trail = match route {
                        Route::Followed { trail } => trail,
                        Route::Straight { call } => {
                            let uri = FinalUri::new(call.uri.clone(), None);
                            response.extensions_mut().insert(uri);
                            return Poll::Ready(Ok(response));
                        }
                    };
                    match trail.next(response.status(), response.headers()) {
                        Next::Return => {
                            trail.annotate(response.extensions_mut());
                            return Poll::Ready(Ok(response));
                        }
                        Next::Fail(why) => {
                            let (method, uri) = trail.last();
                            let call = Call::new(method.clone(), uri.clone());
                            let error = Error::new(Kind::Redirect, "a redirect was not followed");
                            return Poll::Ready(Err(error.with_source(why).with_call(Some(call))));
                        }
                        Next::Follow(request) => {
                            *this.next = Some(Box::new(request));
                            *this.route = Some(Route::Followed { trail });
                        }
                    }
                    let body = response.into_body();
                    // What is known to be too much is not begun.
                    if body.is_end_stream() || body.size_hint().lower() > DRAIN_BYTES {
                        State::Readying
                    } else {
                        State::Draining {
                            body,
                            left: DRAIN_BYTES,
                            timer: None,
                        }
                    }
                }
                // ## Draining => Readying
                StateProj::Draining { body, left, timer } => {
                    ready!(drain(body, left, timer, cx));
                    State::Readying
                }
                // ## Readying => (Calling | done)
                StateProj::Readying => {
                    if let Err(error) = ready!(this.service.poll_ready(cx)) {
                        let route = this.route.take().expect("polled after completion");
                        return Poll::Ready(Err(route.failed(error, Kind::NotReady)));
                    }
                    let request = this.next.take().expect("made before the state was entered");
                    State::Calling {
                        response: this.service.call(*request),
                    }
                }
            };
            this.state.set(next);
        }
    }
}

impl<B: Replay + Default> Route<B> {
    /// The inner service's error, of the request that was sent last.
    fn failed(self, error: impl Into<BoxError>, kind: Kind) -> Error {
        let call = match self {
            Self::Straight { call } => call,
            Self::Followed { trail } => {
                let (method, uri) = trail.last();
                Call::new(method.clone(), uri.clone())
            }
        };
        Error::of_service(error.into(), kind).with_call(Some(call))
    }
}

/// Reads a body, and throws it away. Over when there is no more, or too much, or it takes too long.
fn drain<RB: Body>(
    mut body: Pin<&mut RB>,
    left: &mut u64,
    mut timer: Pin<&mut Option<Sleep>>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    loop {
        match body.as_mut().poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let read = frame.data_ref().map_or(0, |data| data.remaining() as u64);
                // A frame of nothing counts as well, or a body of nothing but those would never end.
                match left.checked_sub(read.max(1)) {
                    Some(rest) if !body.is_end_stream() => *left = rest,
                    _ => return Poll::Ready(()),
                }
            }
            // An error too: this connection is of no more use, and the next request says so if it matters.
            Poll::Ready(_) => return Poll::Ready(()),
            Poll::Pending => break,
        }
    }
    if timer.is_none() {
        timer.set(Some(sleep(DRAIN_TIME)));
    }
    match timer.as_pin_mut() {
        Some(timer) => timer.poll(cx),
        None => Poll::Pending,
    }
}

impl<S, B, RB> fmt::Debug for RedirectFuture<S, B, RB>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedirectFuture").finish_non_exhaustive()
    }
}
