//! Lets through so many calls in such a time, all together or per client, and tells the others when to come back.
//!
//! A [`Quota`] is a number of calls per period. Those of one period may come at once; from then on one more is let through whenever
//! the time for one has passed. This is the generic cell rate algorithm: the state of a quota is one number, decided on by one
//! exchange of one atomic word, and there is no window at whose border two bursts could meet. Nothing runs in the background.
//!
//! A call over the quota is refused, with the exact delay after which it would not be. With
//! [`wait`](RateLimitBuilder::wait) it waits for its turn instead, if that comes soon enough.
//!
//! # Placement
//!
//! Of a server: outermost, before anything that costs, but below what finds out who the client is. Of a client that keeps to the
//! quota of its peer: below retries, so that each attempt counts, and above the transport.
//!
//! # State
//!
//! A quota belongs to the layer: all services that one layer makes, and all their clones, share it.
//! [`RateLimitLayer::handle`] reads it. It is one word, which every call moves on: threads that share a quota take turns at it.
//!
//! Per key, the quotas are in a map in shards, each behind a lock of its own. A key whose quota is full is like one that never
//! called, so it is forgotten as new keys come. There are never more than [`max_keys`](RateLimitBuilder::max_keys). When as many are
//! in use, none of them is pushed out: all new ones share one more quota until there is room. So a client that makes up
//! keys by the thousand gets what one client gets, and takes nothing from those that are known. A key that is made up of something
//! that the client chooses at will, such as a header, is still no key: take its address, or who it proved to be.
//!
//! With [`build_stored`](RateLimitBuilder::build_stored) the states are in a [`Store`] of yours, for several processes. With
//! the feature `redis`, `RedisStore` is one that keeps them in a Redis server.
//!
//! # Readiness and cancellation
//!
//! Readiness is the inner service's. A call that waits, or whose store is being asked, holds nothing of the inner service: what it
//! had reserved is given back at once, and the service is made ready anew when the turn has come. A call that is dropped while it
//! waits gives its turn back if it was the last in line; otherwise its turn passes unused, since those behind it have been told
//! their times. A call over a quota with time to spare costs no allocation, no lock, and one look at the clock.
//!
//! # Errors
//!
//! A [`Rejection`](bartizan_core::Rejection) of kind [`Limited`](bartizan_core::RejectionKind::Limited), with a retry delay. The call
//! was not sent. If a store failed, and calls are refused then, it has no delay, and the store's error as its source.
//!
//! # Differences from …
//!
//! `tower::limit::RateLimit` counts per instance, so it is no limit over clones, and begins a new window all at once.
//! tower-resilience's rate limiter allocates per call and waits with the inner service reserved. governor has the same algorithm, and
//! is no layer; its keyed stores grow until somebody sweeps them. resilience4j counts in fixed cycles, two bursts of which can meet.
//! Of Polly's limiters (those of .NET) the token bucket comes closest, which a timer refills and sweeps.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::{BoxError, Rejection, find};
//! use bartizan_resilience::rate_limit::{Quota, RateLimitLayer};
//! use std::time::Duration;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let limit = RateLimitLayer::new(Quota::try_per_second(10)?.try_burst(2)?);
//! let left = limit.handle();
//! let mut service = ServiceBuilder::new()
//!     .layer(limit)
//!     .service_fn(|n: u32| async move { Ok::<_, BoxError>(n + 1) });
//!
//! assert_eq!(service.ready().await?.call(1).await?, 2);
//! assert_eq!(service.ready().await?.call(2).await?, 3);
//! let error = service.ready().await?.call(3).await.unwrap_err();
//! let rejection = find::<Rejection>(&*error).expect("over the quota");
//! assert_eq!(rejection.retry_after(), Some(Duration::from_millis(100)));
//!
//! tokio::time::advance(Duration::from_millis(100)).await;
//! assert_eq!(left.snapshot().remaining, 1);
//! assert_eq!(service.ready().await?.call(3).await?, 4);
//! # Ok(())
//! # }
//! ```
//!
//! Per client, over HTTP, with the header fields that tell it where it stands:
//!
//! ```
//! use bartizan_core::{Body, BoxError, Rejection};
//! use bartizan_resilience::rate_limit::{Quota, RateLimitLayer};
//! use http::{Request, Response};
//! use std::{convert::Infallible, net::IpAddr, time::Duration};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let per_client = RateLimitLayer::builder(Quota::try_new(60, Duration::from_secs(60))?.try_burst(1)?)
//!     .build_per_key(|request: &Request<Body>| request.extensions().get::<IpAddr>().copied())?
//!     .headers()
//!     .reject_with(Rejection::into_response);
//! let mut service = ServiceBuilder::new()
//!     .layer(per_client)
//!     .service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::empty())) });
//!
//! let from = |client: [u8; 4]| Request::builder().extension(IpAddr::from(client)).body(Body::empty());
//! let first = service.ready().await?.call(from([10, 0, 0, 1])?).await?;
//! assert_eq!(first.headers()["ratelimit-policy"], r#""default";q=60;w=60"#);
//! assert_eq!(first.headers()["ratelimit"], r#""default";r=0;t=1"#);
//!
//! let second = service.ready().await?.call(from([10, 0, 0, 1])?).await?;
//! assert_eq!(second.status(), 429);
//! assert_eq!(second.headers()["retry-after"], "1");
//!
//! let of_another = service.ready().await?.call(from([10, 0, 0, 2])?).await?;
//! assert_eq!(of_another.status(), 200);
//! # Ok(())
//! # }
//! ```

mod annotate;
mod layer;
mod limit;
mod quota;
#[cfg(feature = "redis")]
mod redis;
mod service;

#[cfg(feature = "http")]
pub use self::annotate::RateLimitHeaders;
#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
pub use self::{
    annotate::{Annotate, Plain},
    layer::{
        KeyedRateLimitHandle, RateLimitBuilder, RateLimitHandle, RateLimitLayer, RateLimitSnapshot,
    },
    limit::{Limit, PerKey, Shared, Store, Stored},
    quota::{Decision, Quota},
    service::{RateLimit, ResponseFuture},
};
