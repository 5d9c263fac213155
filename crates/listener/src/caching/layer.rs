//! The layer that answers 304.

use std::{
    future::Future,
    hash::{DefaultHasher, Hasher},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_core::{BoxError, problem};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
        LAST_MODIFIED, TRAILER, TRANSFER_ENCODING,
    },
    response::Parts,
};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{EntityTag, Precondition, Preconditions};
use crate::hex;

/// Answers 304 where the client has the response already. See the [module](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct ConditionalLayer {
    hashed: usize,
}

impl ConditionalLayer {
    /// Goes by the validators that the service sets.
    pub const fn new() -> Self {
        Self { hashed: 0 }
    }

    /// Makes a weak validator of the content, for responses to `GET` without one that are up to `bytes` long, and say so. Default: 0,
    /// none.
    ///
    /// The whole body is held in memory before it is sent. Its trailers are lost, if it has any that no `Trailer` announces. The hash is
    /// one of 128 bits that keeps no secret: whoever writes the content can make two that collide. It may differ
    /// between versions of the Rust standard library, which costs a cache one answer.
    #[must_use]
    pub const fn hash_up_to(mut self, bytes: usize) -> Self {
        self.hashed = bytes;
        self
    }
}

impl<S> Layer<S> for ConditionalLayer {
    type Service = Conditional<S>;

    fn layer(&self, inner: S) -> Conditional<S> {
        Conditional {
            inner,
            layer: *self,
        }
    }
}

/// Answers 304 where the client has the response already. See the [module](super).
#[derive(Clone, Copy, Debug)]
pub struct Conditional<S> {
    inner: S,
    layer: ConditionalLayer,
}

inner_accessors!(Conditional<S>);

impl<S, B, RB> Service<Request<B>> for Conditional<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    RB: Body + From<Bytes>,
    RB::Error: Into<BoxError>,
{
    type Response = Response<RB>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let is_conditional = !Preconditions::of(request.headers()).is_none();
        let asked = (is_read && is_conditional).then(|| conditions(request.headers()));
        let hashed = if request.method() == Method::GET {
            self.layer.hashed
        } else {
            // Nobody knows the content behind a HEAD.
            0
        };
        ResponseFuture {
            state: State::Calling {
                future: self.inner.call(request),
            },
            asked,
            hashed,
        }
    }
}

/// The fields that say the conditions.
fn conditions(headers: &HeaderMap) -> HeaderMap {
    let names = [
        http::header::IF_MATCH,
        http::header::IF_NONE_MATCH,
        http::header::IF_MODIFIED_SINCE,
        http::header::IF_UNMODIFIED_SINCE,
    ];
    let mut conditions = HeaderMap::new();
    for name in names {
        for value in headers.get_all(&name) {
            conditions.append(&name, value.clone());
        }
    }
    conditions
}

pin_project! {
    /// The response, or the 304 or 412 that the conditions come to.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, RB> {
        #[pin]
        state: State<F, RB>,
        asked: Option<HeaderMap>,
        hashed: usize,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProj]
    enum State<F, RB> {
        Calling { #[pin] future: F },
        Reading { #[pin] body: RB, head: Option<Box<Parts>>, content: Content },
    }
}

/// What was read of a body. Most bodies that are hashed come in one piece.
#[derive(Debug, Default)]
enum Content {
    #[default]
    Empty,
    One(Bytes),
    Several(BytesMut),
}

impl Content {
    fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(bytes) => bytes.len(),
            Self::Several(bytes) => bytes.len(),
        }
    }

    /// For `Bytes`, which nearly every body yields, the first piece is shared and not copied.
    fn add(&mut self, mut data: impl Buf) {
        let mut several = match self {
            Self::Empty => {
                *self = Self::One(data.copy_to_bytes(data.remaining()));
                return;
            }
            Self::One(first) => {
                let mut several = BytesMut::with_capacity(first.len() + data.remaining());
                several.put_slice(first);
                several
            }
            Self::Several(bytes) => mem::take(bytes),
        };
        several.put(data);
        *self = Self::Several(several);
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Empty => Bytes::new(),
            Self::One(bytes) => bytes,
            Self::Several(bytes) => bytes.freeze(),
        }
    }
}

impl<F, RB, E> Future for ResponseFuture<F, RB>
where
    F: Future<Output = Result<Response<RB>, E>>,
    RB: Body + From<Bytes>,
    RB::Error: Into<BoxError>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                // ## Calling => (Reading | Done)
                StateProj::Calling { future } => {
                    let response = ready!(future.poll(cx))?;
                    if !is_to_be_hashed(&response, *this.hashed) {
                        return Poll::Ready(Ok(judge(response, this.asked.as_ref())));
                    }
                    let (head, body) = response.into_parts();
                    this.state.set(State::Reading {
                        body,
                        head: Some(Box::new(head)),
                        content: Content::Empty,
                    });
                }
                // ## Reading => Done
                StateProj::Reading {
                    mut body,
                    head,
                    content,
                } => {
                    match ready!(body.as_mut().poll_frame(cx)) {
                        Some(Ok(frame)) => {
                            if let Ok(data) = frame.into_data() {
                                if data.remaining() > this.hashed.saturating_sub(content.len()) {
                                    let error = "the body is longer than it said";
                                    return Poll::Ready(Ok(broken_off(&BoxError::from(error))));
                                }
                                content.add(data);
                            }
                            if !body.is_end_stream() {
                                continue;
                            }
                        }
                        Some(Err(error)) => return Poll::Ready(Ok(broken_off(&error.into()))),
                        None => {}
                    }
                    let head = head.take().expect("polled after it had answered");
                    let whole = mem::take(content).into_bytes();
                    let tag = hash(&whole);
                    let mut response = Response::from_parts(*head, RB::from(whole));
                    response.headers_mut().insert(ETAG, tag);
                    return Poll::Ready(Ok(judge(response, this.asked.as_ref())));
                }
            }
        }
    }
}

fn is_to_be_hashed<RB: Body>(response: &Response<RB>, limit: usize) -> bool {
    let headers = response.headers();
    let is_possible = limit > 0 && response.status() == StatusCode::OK;
    is_possible
        && !headers
            .keys()
            .any(|name| *name == ETAG || *name == LAST_MODIFIED || *name == TRAILER)
        && response
            .body()
            .size_hint()
            .exact()
            .is_some_and(|length| length <= limit as u64)
}

/// A weak tag of 128 bits from one pass of `SipHash` with fixed keys, so that every process makes the same. The first half is the hash of
/// the content, and the second what comes of going on from there.
fn hash(content: &[u8]) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    hasher.write(content);
    let first = hasher.finish();
    hasher.write_u64(first);
    let tag = u128::from(first) << 64 | u128::from(hasher.finish());
    let mut text = *b"W/\"................................\"";
    text[3..35].copy_from_slice(&hex::digits(tag));
    HeaderValue::from_bytes(&text).expect("visible ASCII")
}

fn broken_off<RB: From<Bytes>>(error: &BoxError) -> Response<RB> {
    let error = &**error as &(dyn std::error::Error + 'static);
    tracing::error!(error, "a response body failed before it was sent");
    problem(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the response could not be made",
    )
}

fn judge<RB: From<Bytes>>(response: Response<RB>, asked: Option<&HeaderMap>) -> Response<RB> {
    // Conditions are about a representation that would be sent (RFC 9110 section 13.2.1).
    let Some(asked) = asked.filter(|_| response.status() == StatusCode::OK) else {
        return response;
    };
    let text = |name: &HeaderName| response.headers().get(name)?.to_str().ok();
    let tag = text(&ETAG).and_then(EntityTag::parse);
    let modified = text(&LAST_MODIFIED).and_then(|date| httpdate::parse_http_date(date).ok());
    if tag.is_none() && modified.is_none() {
        return response;
    }
    let method = &Method::GET;
    match Preconditions::of(asked).check(method, tag.as_ref(), modified) {
        Precondition::Holds => response,
        Precondition::NotModified => not_modified(response),
        Precondition::Failed => problem(
            StatusCode::PRECONDITION_FAILED,
            "the representation is not the one that was asked for",
        ),
    }
}

/// The head that a 200 would have had, without what is about its content (RFC 9110 section 15.4.5).
fn not_modified<RB: From<Bytes>>(response: Response<RB>) -> Response<RB> {
    let (mut head, _) = response.into_parts();
    head.status = StatusCode::NOT_MODIFIED;
    for name in [
        CONTENT_ENCODING,
        CONTENT_LANGUAGE,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        CONTENT_TYPE,
        TRANSFER_ENCODING,
        TRAILER,
    ] {
        head.headers.remove(name);
    }
    Response::from_parts(head, RB::from(Bytes::new()))
}
