//! The layer that chooses what to answer with.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bartizan_core::{ConfigError, problem};
use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{ACCEPT, VARY},
};
use tower_layer::Layer;
use tower_service::Service;

use super::{MediaType, ResponseFuture, consumes::list, negotiate};

/// Answers 406 where nothing that is offered is acceptable, and tells the handler what to send. See the [module](super).
#[derive(Clone, Debug)]
pub struct ProducesLayer {
    offered: Arc<Offered>,
}

#[derive(Debug)]
struct Offered {
    types: Vec<MediaType>,
    detail: String,
}

/// The media type that was agreed upon: in the extensions of every request that passes a [`ProducesLayer`].
///
/// The handler sends it, and says so in `Content-Type`: the layer cannot know whether it did.
#[derive(Clone, Debug)]
pub struct Negotiated(MediaType);

impl Negotiated {
    /// The media type.
    pub const fn media_type(&self) -> &MediaType {
        &self.0
    }
}

impl ProducesLayer {
    /// Offers these media types, the preferred one first.
    ///
    /// # Errors
    ///
    /// If one is no media type, or there is none.
    pub fn try_new<I>(offers: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator,
        I::Item: TryInto<MediaType, Error: Into<ConfigError>>,
    {
        let types = offers.into_iter().enumerate().map(|(i, offer)| {
            let checked = offer.try_into().map_err(Into::into);
            checked.map_err(|error: ConfigError| error.in_field(format!("produces[{i}]")))
        });
        let types: Vec<MediaType> = types.collect::<Result<_, _>>()?;
        let listed = list(types.iter().map(MediaType::as_str), "produces")?;
        let listed = listed.to_str().unwrap_or_default();
        let detail = format!("there is nothing here but: {listed}");
        Ok(Self {
            offered: Arc::new(Offered { types, detail }),
        })
    }
}

impl<S> Layer<S> for ProducesLayer {
    type Service = Produces<S>;

    fn layer(&self, inner: S) -> Produces<S> {
        Produces {
            inner,
            offered: Arc::clone(&self.offered),
        }
    }
}

/// Answers 406 where nothing that is offered is acceptable. See the [module](super).
#[derive(Clone, Debug)]
pub struct Produces<S> {
    inner: S,
    offered: Arc<Offered>,
}

inner_accessors!(Produces<S>);

impl<S, B, RB> Service<Request<B>> for Produces<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    RB: From<Bytes>,
{
    type Response = Response<RB>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let accept = request.headers().get_all(ACCEPT).iter();
        let chosen = negotiate(
            accept.filter_map(|value| value.to_str().ok()),
            &self.offered.types,
        );
        let answer = match chosen {
            Some(chosen) => {
                let negotiated = Negotiated(chosen.clone());
                request.extensions_mut().insert(negotiated);
                ResponseFuture::inner(self.inner.call(request))
            }
            None => {
                let status = StatusCode::NOT_ACCEPTABLE;
                ResponseFuture::answered(problem(status, &self.offered.detail))
            }
        };
        answer.with_header(VARY, HeaderValue::from_static("accept"))
    }
}
