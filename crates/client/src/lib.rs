//! An HTTP client as tower services: a transport over hyper, and a fluent way to call any service.
//!
//! A client is a stack: a [`Transport`] at the bottom, layers over it, and [`RequestExt`] to call the whole. Each of the three works
//! without the others: the verbs on any service, the layers over any transport, the transport under any stack.
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
//! # Differences from reqwest
//!
//! - What reqwest configures in one builder is a layer here, or is left out: redirects, cookies, decompression, retries. A transport
//!   alone follows no redirect.
//! - No default timeout for the whole call; only connecting has one.
//! - A body is read into memory only up to a [`BodyLimit`].
//! - `text` decodes UTF-8 and nothing else, instead of guessing.
//! - `header` replaces the value there was.
//! - No TLS yet, and no proxies.
//!
//! # Features
//!
//! - `json` (default): `.json(…)` on requests and responses.

mod base_url;
mod body;
#[cfg(feature = "compression")]
pub mod compression;
pub mod connect;
#[cfg(feature = "cookies")]
mod cookies;
pub mod dns;
pub mod cookies;
pub mod defaults;
mod error;
pub mod forwarded;
#[doc(hidden)]
pub mod fuzzing;
mod legacy_connect;
mod limits;
#[cfg(feature = "logging")]
pub mod logging;
mod pool;
mod progress;
#[cfg(feature = "proxy")]
pub mod proxy;
#[cfg(feature = "redirect")]
pub mod redirect;
pub mod pool;
mod request;
mod resolve;
mod response;
mod timeouts;
mod total_timeout;
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
pub use self::{
    base_url::{BaseUrlFuture, BaseUrlLayer, BaseUrlService},
    body::ResponseBody,
    defaults::{Defaults, DefaultsLayer},
    error::{Error, Phase},
    limits::{
        LimitedBody, ResponseLimits, ResponseLimitsFuture, ResponseLimitsLayer,
        ResponseLimitsService,
    },
    progress::{Progress, ProgressBody},
    forwarded::{
        Forwarded, ForwardedElement, ForwardedError, ForwardedHeaders, ForwardedLayer,
        ForwardedMode, ForwardedNode,
    },
    error::{Error, Phase},
    pool::{ConnectionInfo, Pool, ResponseBody},
    request::{IntoUri, RequestBuilder, RequestExt},
    response::{BodyLimit, DataStream, ResponseExt},
    timeouts::Timeouts,
    total_timeout::{
        TotalTimeout, TotalTimeoutBody, TotalTimeoutFuture, TotalTimeoutLayer, TotalTimeoutService,
    },
    transport::{Protocol, Transport, TransportBuilder, TransportFuture},
};
