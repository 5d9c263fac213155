//! Retries of HTTP calls.

use std::{any::Any, error::Error, fmt, sync::Arc, time::Duration};

use bartizan_core::{
    Body, BoxError, Classify, Clock, ConfigError, HttpClassify, Rejection, RejectionKind,
    StatusSet, find,
};
use http::{Request, Response, StatusCode, request::Parts};
use tokio::time::Instant;

use super::{
    Attempt, Attempts, GaveUp, Judgement, Policy, Resend, RetryLayer, RetryLayerBuilder,
    drain::Drain,
    tee::{self, BodyCopy},
};
use crate::deadline::Deadline;

/// What a call says about its own retries, in the extensions of its request. It goes before what the layer is set to.
///
/// ```
/// use bartizan_core::Body;
/// use bartizan_resilience::retry::RetryOptions;
/// use http::Request;
///
/// let report = Request::post("/reports/query")
///     // A `POST` that changes nothing.
///     .extension(RetryOptions::new().repeatable(true).attempts(5))
///     .body(Body::empty());
/// let payment = Request::post("/payments").extension(RetryOptions::never()).body(Body::empty());
/// # let _ = (report, payment);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryOptions {
    attempts: Option<u32>,
    repeatable: Option<bool>,
}

impl RetryOptions {
    /// Says nothing yet.
    pub const fn new() -> Self {
        Self {
            attempts: None,
            repeatable: None,
        }
    }

    /// One attempt and no other, whatever becomes of it. Nothing is kept of the request.
    pub const fn never() -> Self {
        Self::new().attempts(1)
    }

    /// Sets how many attempts this call may make. Less than one is one.
    #[must_use]
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// Sets whether the peer may act on this call twice. Default: what the method says, and whether there is an `Idempotency-Key`.
    #[must_use]
    pub const fn repeatable(mut self, repeatable: bool) -> Self {
        self.repeatable = Some(repeatable);
        self
    }
}

/// The [`Policy`] for HTTP. See the [module](super) for what it does, and [`RetryLayer::builder`] for how it is set.
///
/// It takes a request with any body and sends one with a [`Body`], which is where it keeps what a stream has sent. A `Body` that is
/// empty or whole costs nothing.
#[derive(Clone)]
pub struct HttpPolicy<C = HttpClassify> {
    classify: C,
    any_method: bool,
    body_limit: usize,
    drain_limit: u64,
    modify: Option<Modify>,
    errors: Errors,
}

type Modify = Arc<dyn Fn(&mut Request<Body>, u32) + Send + Sync>;

impl HttpPolicy {
    /// The statuses 408, 429, 502, 503 and 504, and errors.
    fn new() -> Self {
        // Throttled, all of them: it is the one outcome that comes with `Retry-After`, which a 503 has as well.
        let statuses = StatusSet::range(502, 504)
            .with(StatusCode::REQUEST_TIMEOUT)
            .with(StatusCode::TOO_MANY_REQUESTS);
        Self {
            classify: HttpClassify::new()
                .failures(StatusSet::EMPTY)
                .throttled(statuses),
            any_method: false,
            body_limit: 64 * 1024,
            drain_limit: 64 * 1024,
            modify: None,
            errors: Errors::default(),
        }
    }
}

impl<C> fmt::Debug for HttpPolicy<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpPolicy")
            .field("any_method", &self.any_method)
            .field("body_limit", &self.body_limit)
            .field("drain_limit", &self.drain_limit)
            .finish_non_exhaustive()
    }
}

impl RetryLayer<HttpPolicy> {
    /// Starts with the defaults of [`with_policy`](Self::with_policy), the statuses 408, 429, 502, 503 and 504, idempotent requests,
    /// and 64 KiB of a streaming body.
    pub fn builder() -> RetryLayerBuilder<HttpPolicy> {
        Self::with_policy(HttpPolicy::new())
    }
}

/// What [`RetryLayer::builder`] starts with.
impl Default for RetryLayer<HttpPolicy> {
    fn default() -> Self {
        Self::builder().build().expect("the defaults are valid")
    }
}

impl RetryLayerBuilder<HttpPolicy> {
    /// Sets which statuses are tried again, as a [`StatusSet`] or what becomes one: `[502, 503]`. Default: 408, 429, 502, 503 and 504,
    /// by which a server or a gateway says that another time may do. 500 is not among them: it usually is the request that a server
    /// cannot digest.
    ///
    /// `Retry-After` is read with any of them. Errors are tried again whatever is set here.
    pub fn statuses<T>(mut self, statuses: T) -> Self
    where
        T: TryInto<StatusSet>,
        T::Error: Into<ConfigError>,
    {
        let statuses = statuses.try_into().map_err(Into::into);
        match statuses.and_then(StatusSet::non_empty) {
            Ok(statuses) => self.map_policy(|policy| HttpPolicy {
                classify: policy.classify.throttled(statuses),
                ..policy
            }),
            Err(error) => {
                self.error.get_or_insert(error);
                self
            }
        }
    }

    /// Sets the clock that turns a date in `Retry-After` into a delay. Default: the machine's.
    pub fn clock(self, clock: impl Clock + 'static) -> Self {
        self.map_policy(|policy| HttpPolicy {
            classify: policy.classify.clock(clock),
            ..policy
        })
    }

    /// Judges calls by another [`Classify`]: a failure is tried again, and so is what was throttled, after the delay it comes with. It
    /// sees the head of the response; what becomes of the body, the caller has to see to.
    ///
    /// It takes the place of [`statuses`](Self::statuses) and [`clock`](Self::clock).
    pub fn classify<C>(self, classify: C) -> RetryLayerBuilder<HttpPolicy<C>> {
        self.map_policy(|policy| HttpPolicy {
            classify,
            any_method: policy.any_method,
            body_limit: policy.body_limit,
            drain_limit: policy.drain_limit,
            modify: policy.modify,
            errors: policy.errors,
        })
    }
}

impl<C> RetryLayerBuilder<HttpPolicy<C>> {
    /// Repeats requests of every method, for an origin where that is sound. Default: those that are idempotent by their method (RFC
    /// 9110 section 9.2.2), or by an `Idempotency-Key`.
    pub fn any_method(mut self) -> Self {
        self.policy.any_method = true;
        self
    }

    /// Tells which errors mean that the request never left, so that it is tried again whatever its method. The errors of transports
    /// have to be asked; a [`Rejection`] says so by itself.
    ///
    /// `E` is the error of the inner service, or one in the chain of its sources where that is a [`BoxError`]. Rejections are looked
    /// for in a `BoxError` and in every `E` that was named here. Can be called several times.
    ///
    /// ```
    /// use bartizan_resilience::retry::RetryLayer;
    /// use std::io::{Error, ErrorKind};
    ///
    /// // With bartizan-client:
    /// // `.unsent_if(|error: &client::Error| error.is_unsent() && !error.is_builder())`, as a request that could not be built never can.
    /// // With hyper-util: `.unsent_if(hyper_util::client::legacy::Error::is_connect)`.
    /// let layer = RetryLayer::builder()
    ///     .unsent_if(|error: &Error| error.kind() == ErrorKind::ConnectionRefused)
    ///     .build()?;
    /// # let _ = layer;
    /// # Ok::<(), bartizan_core::ConfigError>(())
    /// ```
    pub fn unsent_if<E: Error + 'static>(
        mut self,
        is_unsent: impl Fn(&E) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.policy.errors.see.push(see::<E>);
        self.policy
            .errors
            .unsent
            .push(Arc::new(move |error| find(error).is_some_and(&is_unsent)));
        self
    }

    /// Changes each request that is sent again, right before it is. The number is that of the attempt: 2 for the first retry. For a
    /// header that tells the peer, or another host.
    pub fn modify(
        mut self,
        modify: impl Fn(&mut Request<Body>, u32) + Send + Sync + 'static,
    ) -> Self {
        self.policy.modify = Some(Arc::new(modify));
        self
    }

    /// Sets how many bytes of a streaming request body are kept while they are sent. A longer one is passed through, and can be sent
    /// once. Default: 64 KiB: every call under way may hold as much. A body that is whole is not copied, and has no limit.
    pub const fn body_limit(mut self, bytes: usize) -> Self {
        self.policy.body_limit = bytes;
        self
    }

    /// Sets how many bytes of a failed response are read, so that its connection can be used again. It takes no time of its own: it is
    /// done during the backoff, and what is left after that is dropped. Default: 64 KiB, as much as an error page has; beyond that a
    /// new connection is cheaper.
    pub const fn drain_limit(mut self, bytes: u64) -> Self {
        self.policy.drain_limit = bytes;
        self
    }
}

/// What stays behind of a request: a copy of its head, and what there is of its body.
#[derive(Debug)]
pub struct KeptRequest {
    /// `None` if there will be no other attempt.
    head: Option<Parts>,
    body: BodyCopy,
    options: RetryOptions,
    is_repeatable: bool,
}

impl<C, B> Resend<Request<B>> for HttpPolicy<C>
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Sent = Request<Body>;
    type Kept = KeptRequest;

    fn keep(&self, request: Request<B>) -> (Request<Body>, KeptRequest) {
        let (head, body) = request.into_parts();
        let body = Body::new(body);
        let options: RetryOptions = head.extensions.get().copied().unwrap_or_default();
        let is_repeatable = options
            .repeatable
            .unwrap_or_else(|| self.any_method || is_idempotent(&head));
        let (body, copy, copied_head) = if options.attempts.is_some_and(|attempts| attempts <= 1) {
            (body, BodyCopy::None, None)
        } else {
            let (body, copy) = tee::split(body, self.body_limit);
            (body, copy, Some(head.clone()))
        };
        let kept = KeptRequest {
            head: copied_head,
            body: copy,
            options,
            is_repeatable,
        };
        (Request::from_parts(head, body), kept)
    }

    fn again(&self, kept: &mut KeptRequest) -> Option<Request<Body>> {
        let head = kept.head.as_ref()?;
        let body = kept.body.again()?;
        Some(Request::from_parts(head.clone(), body))
    }

    fn prepare(&self, request: &mut Request<Body>, attempt: u32) {
        request.extensions_mut().insert(Attempt::new(attempt));
        if let Some(modify) = &self.modify {
            modify(request, attempt);
        }
    }

    fn max_attempts(&self, kept: &KeptRequest) -> Option<u32> {
        kept.options.attempts
    }

    fn deadline(&self, kept: &KeptRequest) -> Option<Instant> {
        let extensions = &kept.head.as_ref()?.extensions;
        extensions.get::<Deadline>().map(|deadline| deadline.at())
    }
}

impl<C, B, RB, E> Policy<Request<B>, Response<RB>, E> for HttpPolicy<C>
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError>,
    RB: http_body::Body,
    E: 'static,
    C: Classify<Request<Body>, Response<RB>, E>,
{
    type Seen = C::Seen;
    type Drain = Drain<RB>;

    fn request(&self, request: &Request<Body>) -> C::Seen {
        self.classify.request(request)
    }

    fn judge(
        &self,
        kept: &KeptRequest,
        seen: C::Seen,
        result: Result<&Response<RB>, &E>,
    ) -> Judgement {
        let judgement = Judgement::from(self.classify.head(seen, result).so_far());
        match result {
            Err(error) => match self.errors.whereabouts(error) {
                Whereabouts::Unsendable => Judgement::Done,
                Whereabouts::Unsent { after } => Judgement::Retry { after },
                Whereabouts::Unknown => kept.unless_unsound(judgement),
            },
            // A body that is still being sent belongs to an exchange that is not over.
            Ok(_) => match kept.unless_unsound(judgement) {
                Judgement::Retry { .. } if !kept.body.is_finished() => {
                    Judgement::GiveUp(GaveUp::Unrepeatable)
                }
                judgement => judgement,
            },
        }
    }

    fn drain(&self, response: Response<RB>) -> Option<Drain<RB>> {
        Drain::new(response.into_body(), self.drain_limit)
    }

    fn annotate(&self, response: &mut Response<RB>, attempts: Attempts) {
        response.extensions_mut().insert(attempts);
    }
}

impl KeptRequest {
    /// The judgement, of a call that the peer may have acted on.
    const fn unless_unsound(&self, judgement: Judgement) -> Judgement {
        match judgement {
            Judgement::Retry { .. } if !self.is_repeatable => {
                Judgement::GiveUp(GaveUp::NotIdempotent)
            }
            judgement => judgement,
        }
    }
}

fn is_idempotent(head: &Parts) -> bool {
    head.method.is_idempotent() || head.headers.contains_key("idempotency-key")
}

/// Looks into errors, whatever their type.
#[derive(Clone)]
struct Errors {
    see: Vec<See>,
    unsent: Vec<IsUnsent>,
}

type IsUnsent = Arc<dyn Fn(&(dyn Error + 'static)) -> bool + Send + Sync>;

/// Sees the error in a value of the type that it knows. `BoxError` is no `Error` itself, and so no trait bound covers both.
type See = fn(&dyn Any) -> Option<&(dyn Error + 'static)>;

fn see<E: Error + 'static>(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
    error.downcast_ref::<E>().map(|error| error as _)
}

fn see_boxed(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
    error.downcast_ref::<BoxError>().map(|error| &**error as _)
}

impl Default for Errors {
    fn default() -> Self {
        Self {
            see: vec![see_boxed, see::<Rejection>],
            unsent: Vec::new(),
        }
    }
}

/// How far a request that failed has come.
enum Whereabouts {
    /// Nowhere, and it never will.
    Unsendable,
    /// Nowhere, this time.
    Unsent { after: Option<Duration> },
    /// The peer may have acted on it.
    Unknown,
}

impl Errors {
    fn whereabouts(&self, error: &dyn Any) -> Whereabouts {
        let Some(error) = self.see.iter().find_map(|see| see(error)) else {
            return Whereabouts::Unknown;
        };
        // A rejection has the last word: what is behind it may be the error of one attempt among several.
        match find::<Rejection>(error) {
            Some(rejection) if rejection.kind() == RejectionKind::Unsendable => {
                Whereabouts::Unsendable
            }
            Some(rejection) if rejection.is_unsent() => Whereabouts::Unsent {
                after: rejection.retry_after(),
            },
            Some(_) => Whereabouts::Unknown,
            None if self.unsent.iter().any(|is_unsent| is_unsent(error)) => {
                Whereabouts::Unsent { after: None }
            }
            None => Whereabouts::Unknown,
        }
    }
}
