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
//! # Differences from reqwest
//!
//! - What reqwest configures in one builder is a layer here, or is left out: redirects, cookies, decompression, retries. A transport
//!   alone follows no redirect.
//! - No default timeout for the whole call; only connecting has one.
//! - A body is read into memory only up to a [`BodyLimit`].
//! - `text` fails where the body is no text in its charset; `text_lossy` does not.
//! - `header` replaces the value there was.
//! - No TLS yet, and no proxies.
//!
//! # Features
//!
//! - `json` (default): `.json(…)` on requests and responses.
//! - `xml`: the same for `.xml(…)`.
//! - `form`: `.form_of(…)` and `.query_of(…)`, from any `Serialize`.
//! - `charset`: text in any charset of the WHATWG's.
//! - `multipart`: bodies of several parts.
//! - `fs`: bodies from files, and into them.
//! - `sse`: server-sent events.

mod base_url;
mod call;
mod call_timeout;
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
    pool::{ConnectionInfo, Pool, ResponseBody},
    progress::{Progress, ProgressBody},
    request::{CallOptions, IntoUri, RequestBuilder, RequestExt},
    response::{BodyLimit, DataStream, HeadersExt, Lines, ResponseExt, Times},
    timeouts::Timeouts,
    transport::{Protocol, Transport, TransportBuilder, TransportFuture},
};
