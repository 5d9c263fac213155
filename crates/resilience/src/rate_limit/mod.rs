//! Stub.
mod annotate;
mod layer;
mod limit;
mod quota;
mod service;
#[cfg(feature = "http")]
pub use self::annotate::RateLimitHeaders;
pub use self::{
    annotate::{Annotate, Plain},
    layer::{KeyedRateLimitHandle, RateLimitBuilder, RateLimitHandle, RateLimitLayer, RateLimitSnapshot},
    limit::{Limit, PerKey, Shared, Store, Stored},
    quota::{Decision, Quota},
    service::{RateLimit, ResponseFuture},
};
