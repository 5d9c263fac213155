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
mod body;
mod call;
mod call_timeout;
mod client;
pub mod connect;
mod error;
mod legacy_connect;
#[cfg(feature = "multipart")]
pub mod multipart;
mod pool;
mod request;
mod resolve;
mod response;
#[cfg(feature = "sse")]
pub mod sse;
mod timeouts;
mod transport;

pub use self::{
    base_url::{BaseUrlFuture, BaseUrlLayer, BaseUrlService},
    body::ResponseBody,
    call_timeout::CallTimeout,
    client::{Client, ClientFuture},
    error::{Error, Phase},
    request::{CallOptions, IntoUri, RequestBuilder, RequestExt},
    response::{BodyLimit, DataStream, HeadersExt, Lines, ResponseExt, Times},
    timeouts::Timeouts,
    transport::{Protocol, Transport, TransportBuilder, TransportFuture},
};

#[cfg(feature = "json")]
pub use self::response::JsonResult;

/// What reads bytes of a peer, for fuzzing. Not part of the API.
#[doc(hidden)]
pub mod fuzzing {
    #[cfg(feature = "sse")]
    pub use crate::sse::parser::Parser as SseParser;

    /// The first parameter of that name in a `Content-Type`.
    pub fn content_type_parameter(content_type: &str, name: &str) -> Option<String> {
        crate::response::parameter(content_type, name).map(Into::into)
    }
}
