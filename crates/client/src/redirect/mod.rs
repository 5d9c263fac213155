//! Follows redirects, and leaves secrets behind where they lead to strangers.
//!
//! What is sent next depends on status and method (RFC 9110 section 15.4, and the Fetch standard where the two differ):
//!
//! | Status | `GET` | `HEAD` | `POST` | any other method |
//! |---|---|---|---|---|
//! | 301, 302 | the same | the same | `GET` without body | the same, with its body |
//! | 303 | the same | the same | `GET` without body | `GET` without body |
//! | 307, 308 | the same | the same | the same, with its body | the same, with its body |
//!
//! Every other response is the caller's, and so is one of these without `Location`, and any to a `CONNECT`:
//!
//! - 300 offers a choice, and making it for the user is not what a layer can do.
//! - 304 is no redirect. It belongs to a cache.
//! - 305 would let any server on the path name a proxy for the next request; RFC 9110 deprecates it for that. 306 is unused.
//!
//! A request that becomes a `GET` loses its body and the headers that describe one. Any body that is sent again has to be a copy
//! ([`Replay`](bartizan_core::Replay)): one that is empty or whole. A stream cannot be, and a redirect that needs it fails, and says so.
//!
//! # What is not followed
//!
//! | | By default | By choice |
//! |---|---|---|
//! | more redirects than the [limit](Redirects::limited), 10 | the last response is returned | [an error](Redirects::at_limit) |
//! | a loop | an error | [the last response](Redirects::at_loop) |
//! | a body that cannot be sent again | an error | [the last response](Redirects::unreplayable) |
//! | from `https` to `http` | an error | [followed](Redirects::allow_downgrade) |
//! | what a [policy](RedirectPolicy) refuses | what the policy says | |
//! | a `Location` that is no `http` or `https` URL, names a user, is longer than 32 KiB, or is there twice | an error | |
//! | out of a [Unix socket](crate::connect::ConnectOptions::unix_socket), to another origin | an error | |
//!
//! A loop is the same method and URI again when nothing has changed since: no response on the way set a cookie, and no header was
//! left behind. So the round by way of a page that sets a cookie works, and two servers that point at each other are found out by the
//! second visit.
//!
//! # What stays behind
//!
//! To another origin (scheme, host and port, RFC 6454) go neither `Authorization`, `Cookie`, `Proxy-Authorization`, `Host` and
//! `Referer`, nor a value that [is sensitive](http::HeaderValue::is_sensitive), nor a header whose name says that it is a secret, such
//! as `x-api-key` and `x-csrf-token`, nor one of [yours](Redirects::strip). They do not come back if a later redirect returns. `Host`
//! stays behind on every redirect: it was right for one URI.
//!
//! Request extensions go along, as they are options of the call: [`ConnectOptions`](crate::connect::ConnectOptions) too, with a TLS
//! profile and its client certificate. The body goes along wherever the table says so.
//!
//! # Placement
//!
//! Above the cookie layer, as each response on the way may set cookies and each request needs its own; and above whatever else is
//! meant for one request: retries, a circuit breaker, a base URL for each host. Below what is meant for the call: a deadline, and
//! the [defaults](crate::DefaultsLayer), which would add again what was left behind.
//!
//! A relative URI is resolved as if it were absolute, and stays relative if the redirect is; what has a host is another origin then.
//!
//! # State
//!
//! None is shared. Each call keeps a copy of its request until the response is there; with [`Redirects::none`] it does not.
//!
//! # Readiness and cancellation
//!
//! Ready when the inner service is; for each redirect the call makes that service ready again. The body of a response on the way is
//! read, as its connection is free after that, up to 64 KiB and 100 ms, and dropped then. Dropping the future drops all.
//!
//! # Errors
//!
//! [`Error::is_redirect`](crate::Error::is_redirect), with a [`RedirectError`] as its source that says why. Errors of the inner
//! service as [`Error`](crate::Error), with the URI of the request that failed.
//!
//! # Differences from tower-http and reqwest
//!
//! - tower-http drops headers only if a policy does, follows from `https` to `http`, and returns the redirect itself if there is a
//!   loop or a body that is spent. Its policies rewrite requests; these decide, and the rewriting is done.
//! - reqwest leaves `x-api-key` and headers marked as sensitive in place, and follows from `https` to `http` unless told otherwise.
//!   It has no `RedirectHistory`.
//! - Ballerina follows 300 and 305, and does not say what happened on the way.
//!
//! # Examples
//!
//! ```
//! use bartizan_client::{FinalUri, RedirectLayer, RequestExt};
//! use bartizan_core::{Body, BoxError};
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let moved = service_fn(|request: Request<Body>| async move {
//!     let response = match request.uri().path() {
//!         "/old" => Response::builder().status(301).header("location", "new?page=1#top").body(Body::empty()),
//!         _ => Response::builder().body(Body::from("here")),
//!     };
//!     response.map_err(BoxError::from)
//! });
//! let client = ServiceBuilder::new().layer(RedirectLayer::new()).service(moved);
//!
//! let response = client.get("http://a.example/old").send().await?;
//! assert_eq!(response.status(), 200);
//! let end = response.extensions().get::<FinalUri>().unwrap();
//! assert_eq!(end.uri(), "http://a.example/new?page=1");
//! assert_eq!(end.fragment(), Some("top"));
//! # Ok(())
//! # }
//! ```
//!
//! Other rules for all requests, and for one:
//!
//! ```
//! use bartizan_client::{Ending, HttpsOnly, RedirectLayer, Redirects, RequestExt};
//! use bartizan_core::{Body, BoxError};
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let endless = service_fn(|request: Request<Body>| async move {
//!     let next = format!("{}/more", request.uri().path());
//!     Response::builder().status(302).header("location", next).body(Body::empty()).map_err(BoxError::from)
//! });
//! let strict = Redirects::limited(3).at_limit(Ending::Error).policy(HttpsOnly);
//! let client = ServiceBuilder::new().layer(RedirectLayer::with(strict)).service(endless);
//!
//! let error = client.get("https://a.example/").send().await.unwrap_err();
//! assert!(error.is_redirect());
//!
//! let response = client.get("https://a.example/").extension(Redirects::none()).send().await?;
//! assert_eq!(response.status(), 302);
//! # Ok(())
//! # }
//! ```

mod error;
mod history;
pub(crate) mod location;
mod policy;
mod rules;
mod service;
mod settings;
mod trail;

pub use self::{
    error::RedirectError,
    history::{FinalUri, RedirectHistory, RedirectHop},
    policy::{HttpsOnly, Redirect, RedirectDecision, RedirectPolicy, SameOrigin},
    service::{RedirectFuture, RedirectLayer, RedirectService},
    settings::{Ending, Redirects},
};
