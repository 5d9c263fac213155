//! The layer that refuses content of other types.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bartizan_core::{ConfigError, problem};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{MediaRange, ResponseFuture, media_type::parts};

const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");

/// Answers 415 to content of a type that is not listed. See the [module](super).
///
/// A request without content passes, whatever its `Content-Type`. Content without a `Content-Type`, with one that does not parse, or
/// with several, is refused: whoever guesses a type can be made to guess wrong.
#[derive(Clone, Debug)]
pub struct ConsumesLayer {
    consumed: Arc<Consumed>,
}

#[derive(Debug)]
struct Consumed {
    ranges: Vec<MediaRange>,
    listed: HeaderValue,
}

impl ConsumesLayer {
    /// Lets through content of these types, or ranges of types, and no other.
    ///
    /// # Errors
    ///
    /// If one is no media range, or there is none.
    pub fn try_new<I>(ranges: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator,
        I::Item: TryInto<MediaRange, Error: Into<ConfigError>>,
    {
        let ranges = ranges.into_iter().enumerate().map(|(i, range)| {
            let checked = range.try_into().map_err(Into::into);
            checked.map_err(|error: ConfigError| error.in_field(format!("consumes[{i}]")))
        });
        let ranges: Vec<MediaRange> = ranges.collect::<Result<_, _>>()?;
        let listed = list(ranges.iter().map(MediaRange::as_str), "consumes")?;
        Ok(Self {
            consumed: Arc::new(Consumed { ranges, listed }),
        })
    }
}

/// A list as a field value.
pub(super) fn list(
    items: impl Iterator<Item: AsRef<str>>,
    field: &str,
) -> Result<HeaderValue, ConfigError> {
    let text = crate::reply::joined(items);
    let value = HeaderValue::try_from(&text).ok();
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| ConfigError::new(field, text, "one or more media types"))
}

impl<S> Layer<S> for ConsumesLayer {
    type Service = Consumes<S>;

    fn layer(&self, inner: S) -> Consumes<S> {
        Consumes {
            inner,
            consumed: Arc::clone(&self.consumed),
        }
    }
}

/// Answers 415 to content of a type that is not listed. See the [module](super).
#[derive(Clone, Debug)]
pub struct Consumes<S> {
    inner: S,
    consumed: Arc<Consumed>,
}

inner_accessors!(Consumes<S>);

impl Consumed {
    fn takes(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(CONTENT_TYPE).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return false;
        };
        let found = value.to_str().ok().and_then(parts);
        found.is_some_and(|found| {
            found.is_type() && self.ranges.iter().any(|range| range.matches_parts(&found))
        })
    }

    fn refuse<RB: From<Bytes>>(&self, method: &Method) -> Response<RB> {
        let detail = "the content is of a type that is not read here: see Accept";
        let mut response = problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail);
        let headers = response.headers_mut();
        headers.insert(ACCEPT, self.listed.clone());
        match *method {
            Method::POST => headers.insert(ACCEPT_POST, self.listed.clone()),
            Method::PATCH => headers.insert(ACCEPT_PATCH, self.listed.clone()),
            _ => None,
        };
        response
    }
}

impl<S, B, RB> Service<Request<B>> for Consumes<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    B: Body,
    RB: From<Bytes>,
{
    type Response = Response<RB>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if request.body().is_end_stream() || self.consumed.takes(request.headers()) {
            ResponseFuture::inner(self.inner.call(request))
        } else {
            ResponseFuture::answered(self.consumed.refuse(request.method()))
        }
    }
}
