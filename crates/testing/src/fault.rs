//! Does to chosen calls what networks do.
//!
//! # Placement
//!
//! Right above the transport, or above whatever plays it in the test. Under real sockets there is [`FaultProxy`](crate::FaultProxy),
//! which breaks bytes and not calls.
//!
//! # State
//!
//! The script belongs to the layer: its clones, all its services and their clones take from one. Each call takes one [`Fault`], in the
//! order of the calls, and a call that finds none is left alone.
//!
//! # Readiness and cancellation
//!
//! Readiness is the inner service's. A call that fails before it is made leaves it ready for the next. A call that is delayed is
//! handed to the inner service at once, and first polled after the delay. Dropping the response future ends whatever was to happen.
//!
//! # Errors
//!
//! The inner service's, boxed, and those of the script.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_core::BoxError;
use bytes::{Buf, Bytes};
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_layer::Layer;
use tower_service::Service;

use crate::{ProbeError, panics};

/// Does to chosen calls of any HTTP service what networks do: by a script, where `bartizan_resilience::chaos` does it by chance.
///
/// ```
/// use bartizan_core::{Body, BoxError};
/// use bartizan_testing::{Answer, Fault, FaultLayer, MockTransport, ProbeError, Route};
/// use http::Request;
/// use http_body_util::BodyExt;
/// use tower_layer::Layer;
/// use tower_service::Service;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
/// let (transport, mock) = MockTransport::new();
/// mock.on(Route::any("*")).expect(2).reply(Answer::new(200, "hello"));
/// let faults = FaultLayer::new();
/// let mut service = faults.layer(transport);
/// faults.push(Fault::before(ProbeError::new("refused")));
/// faults.push(Fault::cut_body(3));
///
/// let request = || Request::new(Body::empty());
/// assert_eq!(service.call(request()).await.unwrap_err().to_string(), "refused");
/// let cut = service.call(request()).await?;
/// assert!(cut.into_body().collect().await.is_err());
/// let whole = service.call(request()).await?;
/// assert_eq!(whole.into_body().collect().await?.to_bytes(), "hello");
/// # Ok(()) }
/// ```
///
/// An answer that is lost although the server did its work, and one that never comes:
///
/// ```
/// use bartizan_core::{Body, BoxError};
/// use bartizan_testing::{Answer, Fault, FaultLayer, MockTransport, ProbeError, Route};
/// use http::Request;
/// use std::time::Duration;
/// use tokio::time::timeout;
/// use tower_layer::Layer;
/// use tower_service::Service;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let (transport, mock) = MockTransport::new();
/// mock.on(Route::any("*")).expect(1).reply(Answer::status(200));
/// let faults = FaultLayer::new();
/// faults.push(Fault::after(ProbeError::new("reset")).delay(Duration::from_secs(1)));
/// faults.push(Fault::hang());
///
/// let mut service = faults.layer(transport);
/// assert!(service.call(Request::new(Body::empty())).await.is_err());
/// let hung = service.call(Request::new(Body::empty()));
/// assert!(timeout(Duration::from_secs(60), hung).await.is_err());
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct FaultLayer {
    script: Arc<Mutex<VecDeque<Fault>>>,
}

/// What happens to one call of a [`FaultLayer`].
#[derive(Debug, Default)]
pub struct Fault {
    delay: Duration,
    kind: Kind,
}

#[derive(Debug, Default)]
enum Kind {
    #[default]
    None,
    Before(BoxError),
    After(BoxError),
    Cut(u64),
    Hang,
}

impl Fault {
    /// Nothing: the call is as the inner service has it. To be [delayed](Self::delay), or to leave one call out.
    pub fn none() -> Self {
        Self::default()
    }

    /// The call fails, and is not made.
    pub fn before(error: impl Into<BoxError>) -> Self {
        Self::of(Kind::Before(error.into()))
    }

    /// The call is made, and its response, or its own error, is lost: the caller gets `error`. What tells whether a retry does things
    /// twice.
    pub fn after(error: impl Into<BoxError>) -> Self {
        Self::of(Kind::After(error.into()))
    }

    /// The body of the response breaks off after so many bytes, with a [`ProbeError`]. One that is no longer, and has no trailers, is
    /// left whole.
    pub fn cut_body(bytes: u64) -> Self {
        Self::of(Kind::Cut(bytes))
    }

    /// The call is not made, and there is no answer, ever. What tells whether there is a timeout.
    pub fn hang() -> Self {
        Self::of(Kind::Hang)
    }

    fn of(kind: Kind) -> Self {
        Self {
            delay: Duration::ZERO,
            kind,
        }
    }

    /// Whatever happens, it happens this much of tokio's time later.
    #[must_use]
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

impl FaultLayer {
    /// A layer that does nothing until it is told to.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a line to the script. Each call takes one.
    pub fn push(&self, fault: Fault) {
        panics::lock(&self.script).push_back(fault);
    }

    /// How much of the script is left: 0 when everything has happened that should.
    pub fn left(&self) -> usize {
        panics::lock(&self.script).len()
    }
}

impl<S> Layer<S> for FaultLayer {
    type Service = Faults<S>;

    fn layer(&self, inner: S) -> Faults<S> {
        Faults {
            inner,
            script: self.script.clone(),
        }
    }
}

/// Does to chosen calls what networks do. See [`FaultLayer`].
#[derive(Clone, Debug)]
pub struct Faults<S> {
    inner: S,
    script: Arc<Mutex<VecDeque<Fault>>>,
}

impl<S, Req, B> Service<Req> for Faults<S>
where
    S: Service<Req, Response = Response<B>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<FaultBody<B>>;
    type Error = BoxError;
    type Future = FaultFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let fault = panics::lock(&self.script).pop_front().unwrap_or_default();
        let made = match fault.kind {
            Kind::Before(_) | Kind::Hang => None,
            Kind::None | Kind::After(_) | Kind::Cut(_) => Some(self.inner.call(request)),
        };
        FaultFuture {
            response: made,
            delay: (!fault.delay.is_zero()).then(|| Box::pin(sleep(fault.delay))),
            kind: fault.kind,
        }
    }
}

pin_project! {
    /// The response future of [`Faults`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct FaultFuture<F> {
        #[pin]
        response: Option<F>,
        delay: Option<Pin<Box<Sleep>>>,
        kind: Kind,
    }
}

impl<F, B, E> Future for FaultFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<FaultBody<B>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(delay) = this.delay {
            ready!(delay.as_mut().poll(cx));
            *this.delay = None;
        }
        let answered = match this.response.as_pin_mut() {
            Some(response) => Some(ready!(response.poll(cx))),
            None => None,
        };
        Poll::Ready(match (std::mem::take(this.kind), answered) {
            (Kind::Before(error) | Kind::After(error), _) => Err(error),
            (kind, Some(answered)) => answered.map_err(Into::into).map(|response| {
                let left = match kind {
                    Kind::Cut(bytes) => Some(bytes),
                    _ => None,
                };
                response.map(|body| FaultBody {
                    body,
                    left,
                    broken: false,
                })
            }),
            (kind, None) => {
                *this.kind = kind;
                return Poll::Pending;
            }
        })
    }
}

pin_project! {
    /// A response's body that may break off. Its size hint is what it would have been: a peer that is cut off had promised more, too.
    #[derive(Debug)]
    pub struct FaultBody<B> {
        #[pin]
        body: B,
        // How many bytes there are until it breaks off, if it does.
        left: Option<u64>,
        // Whether it has to break off now: there was more than is allowed.
        broken: bool,
    }
}

impl<B> Body for FaultBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if !*this.broken {
            let Some(frame) = ready!(this.body.poll_frame(cx)) else {
                return Poll::Ready(None);
            };
            let frame = match frame {
                Ok(frame) => frame.map_data(|mut data| data.copy_to_bytes(data.remaining())),
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            };
            let Some(left) = this.left else {
                return Poll::Ready(Some(Ok(frame)));
            };
            let allowed = usize::try_from(*left).unwrap_or(usize::MAX);
            // Trailers are more than is allowed, however much that is.
            if let Ok(mut data) = frame.into_data() {
                *this.broken = data.len() > allowed;
                data.truncate(allowed);
                *left -= data.len() as u64;
                if !(data.is_empty() && *this.broken) {
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
            }
            *this.broken = true;
        }
        let cut = ProbeError::new("the body was cut off by a scripted fault");
        Poll::Ready(Some(Err(cut.into())))
    }

    fn is_end_stream(&self) -> bool {
        // The last frame may have been more than is allowed.
        !self.broken && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
