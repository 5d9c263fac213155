//! Spreads calls over endpoints that can all answer them.
//!
//! A picker chooses the endpoint of each call: by default [`PeakEwma`], which takes the better of two random ones, by how long
//! they take and how much they have to do. A slow endpoint gets fewer calls, and a failing one hardly any, with nothing else in the
//! stack. The others take turns ([`RoundRobin`], [`WeightedRoundRobin`]), chance ([`RandomPick`]), the shorter of two queues
//! ([`LeastRequest`]) or the key of the request ([`Maglev`], [`HashRing`]); and any [`Picker`] of yours will do.
//!
//! | setting | default | why |
//! |---|---|---|
//! | picker | [`PeakEwma`]: decay 10 s, unmeasured 30 ms, penalty 5 s | see [`Measure::default`] |
//! | panic threshold | 50 % | below it the fit ones would bear more than twice their load |
//! | zone | none | |
//! | slow start | off | |
//!
//! Endpoints come from a fixed list, or from one that changes ([`Endpoints`]): by hand, or by any stream, such as [`Refresh`], which
//! resolves a name or watches a file. An endpoint that is unfit is not picked, whoever found it so: outlier ejection, a health check, or
//! somebody by hand. If fewer than half are fit, fitness counts no more.
//!
//! # Placement
//!
//! Below retries, so that every attempt can go to another endpoint, and above whatever is there per endpoint: breaker, attempt
//! timeout, concurrency limit, transport. A breaker below it should be one that is not ready while it is open, because then another
//! endpoint is picked; one that rejects counts as a failing endpoint, and [`PeakEwma`] leaves it alone after the first rejection.
//!
//! # State
//!
//! The list of endpoints and what is measured of them belong to [`Endpoints`], and a layer owns one: all services made by one
//! layer, all their clones, and all balancers built over one list share it. A clone costs no allocation, so there is no buffer and no
//! task between a balancer and its callers.
//!
//! Each call looks whether the list has changed, which is one atomic load. A clone that makes no calls keeps what it last saw: the
//! services of endpoints that were removed since are dropped at its next call. How many calls are under way is counted per endpoint,
//! for all threads, because that is what pickers go by: threads meet where they pick the same endpoint.
//!
//! An endpoint's service is cloned for each call. So it has to be `Sync`, and if its clones allocate, as boxed services do, so does
//! a call.
//!
//! # Readiness and cancellation
//!
//! An instance is ready when an endpoint is: it picks one, and if that is busy, others, until one is ready or all are known to
//! be busy. Then it waits for all of them, and for new ones. Fitness is looked at when it picks, and an endpoint that becomes fit while
//! all others are busy is seen when one of those wakes it. What it has made ready it holds until the call; dropping it, or cloning
//! it, reserves nothing.
//!
//! An endpoint that is removed between is not called: its call finds another, within the response future. A picker that reads the
//! request cannot pick without one: then the balancer is always ready, and waits in the response future as well.
//!
//! An endpoint whose readiness fails is passed over for this call. Dropping the response future drops the call; what it took until
//! then counts, if it is longer than what was known.
//!
//! # Errors
//!
//! `poll_ready` never fails. Where no endpoint can be asked, the call fails with a [`Rejection`](bartizan_core::Rejection) of kind
//! [`Full`](bartizan_core::RejectionKind::Full), whose source is [`NoEndpoint`]: there is none, none is fit and the panic threshold is 0, or
//! the readiness of all failed. An error of an endpoint is passed on: trying another is what retries are for.
//!
//! # Differences from `tower::balance`
//!
//! It is `Clone`. It sees failures: in `tower`'s peak EWMA, an endpoint that fails in a millisecond is the fastest. It has weights,
//! zones, slow start, fitness and other pickers. It makes one endpoint ready per call, and not all of them, so that instances do not
//! hoard permits. An endpoint that was removed after `poll_ready` is not called. An endpoint whose readiness failed is asked again
//! by later calls.
//!
//! # Examples
//!
//! Over one client, between URLs:
//!
//! ```
//! # #[cfg(feature = "http")] {
//! use bartizan_core::{Body, BoxError};
//! use bartizan_resilience::{balance::BalanceLayer, endpoint::Endpoint};
//! use http::{Request, Response};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! // Stands for any HTTP client, in front of a host that is broken and one that is not.
//! let client = tower::service_fn(|request: Request<Body>| async move {
//!     let status = if request.uri().host() == Some("broken.example") { 500 } else { 200 };
//!     Ok::<_, BoxError>(Response::builder().status(status).body(Body::empty())?)
//! });
//!
//! let balance = BalanceLayer::builder()
//!     .url("http://broken.example")
//!     .endpoint(Endpoint::new("good").weight(2), "http://good.example/v1")
//!     .build()?;
//! let endpoints = balance.endpoints();
//! let mut service = ServiceBuilder::new().layer(balance).service(client);
//!
//! let mut failures = 0;
//! for _ in 0..100 {
//!     let response = service.ready().await?.call(Request::get("/fo").body(Body::empty())?).await?;
//!     failures += usize::from(response.status() == 500);
//! }
//! assert!(failures <= 1, "the first failure is the last");
//! assert_eq!(endpoints.snapshot()[1].in_flight(), 0);
//! # Ok(())
//! # }
//! # main().unwrap() }
//! ```
//!
//! Over services that differ, of any protocol, in turn:
//!
//! ```
//! use bartizan_core::BoxError;
//! use bartizan_resilience::{
//!     balance::{Balance, WeightedRoundRobin},
//!     endpoint::{Endpoint, Unfit},
//! };
//! use tower::{ServiceExt, util::BoxCloneSyncService};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let big = tower::service_fn(|(): ()| async { Ok::<_, BoxError>("big") });
//! let small = tower::service_fn(|(): ()| async { Ok::<_, BoxError>("small") });
//! let small_one = Endpoint::new("small");
//!
//! let service = Balance::builder()
//!     .picker(WeightedRoundRobin::new())
//!     .endpoint(Endpoint::new("big").weight(2), BoxCloneSyncService::new(big))
//!     .endpoint(small_one.clone(), BoxCloneSyncService::new(small))
//!     .build()?;
//! let mut answers = Vec::new();
//! for _ in 0..3 {
//!     answers.push(service.clone().oneshot(()).await?);
//! }
//! assert_eq!(answers, ["big", "small", "big"]);
//!
//! // As a health check would.
//! small_one.set_unfit(Unfit::Unhealthy, true);
//! assert_eq!(service.clone().oneshot(()).await?, "big");
//! assert_eq!(service.clone().oneshot(()).await?, "big");
//! # Ok(())
//! # }
//! ```

mod builder;
mod endpoints;
mod error;
mod future;
#[cfg(feature = "http")]
mod http;
mod judge;
mod node;
mod picker;
mod refresh;
mod search;
mod service;
mod set;

pub use self::{
    builder::BalanceBuilder,
    endpoints::{Change, EndpointSnapshot, Endpoints},
    error::NoEndpoint,
    future::ResponseFuture,
    judge::{Judge, ToHead},
    node::Ticket,
    picker::{
        Candidates, HashRing, LeastRequest, Maglev, Measure, PeakEwma, Picker, Prepare, RandomPick,
        RoundRobin, WeightedRoundRobin, stable_hash,
    },
    refresh::Refresh,
    service::Balance,
};
#[cfg(feature = "http")]
pub use self::{
    http::{BalanceLayer, BalanceLayerBuilder, Based, BasedFuture},
    judge::ToBodyEnd,
};
pub use crate::classify::OnError;
