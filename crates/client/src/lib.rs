//! An HTTP client as tower services: a transport over hyper, and a fluent way to call any service.
//!
//! A client is a stack: a [`Transport`] at the bottom, layers over it, and [`RequestExt`] to call the whole. Each of the three works
//! without the others: the verbs on any service, the layers over any transport, the transport under any stack. Where the type of a
//! stack has to be written down, a [`Client`] boxes it.
//!
//! ```
//! use bartizan_client::{BaseUrlLayer, RequestExt, ResponseExt, Transport};
//! use bartizan_core::Body;
//! use bartizan_testing::Loopback;
//! use http::{Request, Response};
//! use tower::ServiceBuilder;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Loopback::start(|request: Request<Body>| async move {
//!     Response::new(Body::from(format!("you asked for {}", request.uri())))
//! }).await;
//!
//! let api = ServiceBuilder::new()
//!     .layer(BaseUrlLayer::try_new(&server.uri("/v2"))?)
//!     .service(Transport::new());
//!
//! let response = api.get("/users").query([("page", "2")]).send().await?.error_for_status()?;
//! assert_eq!(response.text().await?, "you asked for /v2/users?page=2");
//! # Ok(())
//! # }
//! ```
//!
//! # Placement
//!
//! From the caller down: what holds for a whole call (a deadline, a cache, retries), then what holds for one attempt (a circuit
//! breaker, a timeout), then [`BaseUrlLayer`], then the transport. Layers that choose among hosts stand above a base URL of their own.
//!
//! # Errors
//!
//! [`Error`] is the one error of the crate, and it is made from a [`Rejection`](bartizan_core::Rejection), so the layers of the other
//! crates stack over a transport without boxing.
//!
//! # What is in it
//!
//! | what | where |
//! |---|---|
//! | a client of one type, and one with everything in it | [`Client`], `stack` |
//! | writing requests and reading responses, over any service | [`RequestExt`], [`ResponseExt`], [`HeadersExt`] |
//! | connections: limits, waiting, sharing, retirement, figures | [`pool`], [`Transport`] |
//! | reaching the peer: sockets, happy eyeballs, names, proxies | [`connect`], [`dns`], `proxy` |
//! | time limits, for each phase and for the whole | [`Timeouts`], [`call_timeout`] |
//! | redirects, cookies, decompression and compression | `redirect`, `cookies`, `compression` |
//! | what every request has: a base URL, headers, where it came from | [`BaseUrlLayer`], [`DefaultsLayer`], [`forwarded`] |
//! | how large a response may be; how far a body has got | [`ResponseLimits`], [`ProgressBody`] |
//! | multipart bodies, server-sent events, logging | `multipart`, `sse`, `logging` |
//!
//! # Differences from reqwest
//!
//! - What reqwest configures in one builder is a layer here, and each works over any service. A transport alone follows no redirect, keeps
//!   no cookie, decompresses nothing: `stack::full` does.
//! - Connections have limits, and calls wait for them in order; a connection that is busy is never used.
//! - What comes from a peer is bounded: heads, bodies, what they expand to, what is read into memory.
//! - Secrets in headers stay behind when a redirect leads to another origin, whatever the headers are called.
//! - Retries are the business of `bartizan-resilience`, but for a connection that was stale.
//! - `header` replaces the value there was.
//!
//! # Features
//!
//! - `json` (default), `xml`, `form`, `multipart`, `charset`, `fs`: bodies, and where they come from and go to.
//! - `redirect`, `cookies`, `compression`, `logging`: the layers of those names.
//! - `proxy`, `hickory`: proxies, and DNS within the process.
//! - `sse`: server-sent events.
//! - `full`: all of them but `hickory`.

mod base_url;
mod call;
pub mod call_timeout;
mod client;
#[cfg(feature = "compression")]
pub mod compression;
pub mod connect;
#[cfg(feature = "cookies")]
pub mod cookies;
pub mod defaults;
pub mod dns;
mod error;
pub mod forwarded;
#[doc(hidden)]
pub mod fuzzing;
mod kept_headers;
mod limits;
#[cfg(feature = "logging")]
pub mod logging;
#[cfg(feature = "multipart")]
pub mod multipart;
pub mod pool;
mod progress;
#[cfg(feature = "proxy")]
pub mod proxy;
#[cfg(feature = "redirect")]
pub mod redirect;
mod request;
mod response;
#[cfg(feature = "sse")]
pub mod sse;
#[cfg(all(feature = "compression", feature = "cookies", feature = "redirect"))]
pub mod stack;
mod timeouts;
mod transport;

#[cfg(feature = "cookies")]
pub use self::cookies::{
    Cookie, CookieError, CookieFuture, CookieLayer, CookieRequest, CookieService, CookieStore, Jar,
    JarBuilder, NoCookies, SameSite, SiteForCookies, ThirdParty,
};
#[cfg(feature = "redirect")]
pub use self::redirect::{
    Ending, FinalUri, HttpsOnly, Redirect, RedirectDecision, RedirectError, RedirectFuture,
    RedirectHistory, RedirectHop, RedirectLayer, RedirectPolicy, RedirectService, Redirects,
    SameOrigin,
};
#[cfg(feature = "json")]
pub use self::response::JsonResult;
pub use self::{
    base_url::{BaseUrlFuture, BaseUrlLayer, BaseUrlService},
    call_timeout::{
        CallTimeout, CallTimeoutBody, CallTimeoutFuture, CallTimeoutLayer, CallTimeoutService,
    },
    client::{Client, ClientFuture},
    defaults::{Defaults, DefaultsLayer},
    error::{Error, Phase},
    forwarded::{
        Forwarded, ForwardedElement, ForwardedError, ForwardedHeaders, ForwardedLayer,
        ForwardedMode, ForwardedNode,
    },
    limits::{
        LimitedBody, ResponseLimits, ResponseLimitsFuture, ResponseLimitsLayer,
        ResponseLimitsService,
    },
    pool::{ConnectionInfo, Pool, RecordTimings, ResponseBody, Timings},
    progress::{Progress, ProgressBody},
    request::{CallOptions, IntoUri, RequestBuilder, RequestExt},
    response::{BodyLimit, DataStream, HeadersExt, Lines, ResponseExt, Times},
    timeouts::Timeouts,
    transport::{Protocol, Transport, TransportBuilder, TransportFuture},
};
