//! Remembers the cookies that responses set, and sends them along.
//!
//! A [`Jar`] follows RFC 6265, with what browsers have added since and its successor (RFC 6265bis) writes down:
//!
//! - Cookies for a public suffix are refused, by the list that browsers use, and by the rule that a name without a dot is one.
//! - `Secure` cookies are neither set nor sent nor hidden by `http`, except to this very machine (`localhost`, `127.0.0.0/8`, `[::1]`).
//! - Names that begin with `__Host-` and `__Secure-` keep what they promise, in any case.
//! - `SameSite` counts where a request is made for another site's page, which [`SiteForCookies`] tells; third-party cookies are neither
//!   sent nor taken then, [unless allowed](JarBuilder::third_party). A program that acts for no page is always the first party.
//! - A value of an attribute with more than 1,024 bytes is left out of account.
//! - A full jar [drops the least recently used](JarBuilder::per_site).
//!
//! A cookie that the caller sets as a `Cookie` header is sent as it is, before those of the store; of the store's, those with a name that
//! the caller has set stay at home. The header is marked as sensitive.
//!
//! # Placement
//!
//! Below the redirect layer, which makes several requests of one: each needs its own cookies, and each response may set some. Above
//! retries and all that is about one attempt. Below a base URL: cookies need a host, and a relative URI has none, so it is sent without.
//!
//! # State
//!
//! The store is shared by all clones of the layer and its services, and a clone of a [`Jar`] is a handle to the same cookies. Its lock
//! is held for the cookies of one site; nothing of yours is called under it.
//!
//! # Readiness and cancellation
//!
//! Ready when the inner service is. Dropping the future before the response is there loses the cookies that it would have set, and
//! nothing else.
//!
//! # Errors
//!
//! Those of the inner service. A cookie that is refused is no error of the call; [`Jar::add`] says why with a [`CookieError`].
//!
//! # Differences from `cookie_store`, reqwest and Ballerina
//!
//! - `cookie_store`, which reqwest uses, reads the machine's clock, knows neither `SameSite` nor name prefixes nor limits, sends cookies
//!   in no order, and reads few of the dates that RFC 6265 section 5.1.1 does. What it has is the part that is short, so this is not built
//!   on it.
//! - Ballerina has no `SameSite` and no public suffixes, and an error where a store is full. Its third-party rule is that of domains.
//!
//! # What is left out
//!
//! - Cookies without a name, which RFC 6265 has dropped and its successor takes back: they can pass for one with a prefix.
//! - Cookies that are not UTF-8.
//! - The limit of 400 days to a cookie's life, which is for people who forget; and `Partitioned`, which is for pages within pages.
//! - What `SameSite=None` without `Secure` asks for: it counts as unset, where browsers refuse the cookie.
//!
//! # Examples
//!
//! ```
//! use bartizan_client::{CookieLayer, Jar, RequestExt};
//! use bartizan_core::{Body, BoxError};
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let shop = service_fn(|request: Request<Body>| async move {
//!     let cookie = request.headers().get("cookie").map(|cookie| cookie.as_bytes().to_vec());
//!     Response::builder().header("set-cookie", "cart=7; HttpOnly").body(cookie).map_err(BoxError::from)
//! });
//! let jar = Jar::new();
//! let client = ServiceBuilder::new().layer(CookieLayer::new(jar.clone())).service(shop);
//!
//! assert_eq!(client.get("https://shop.example/").send().await?.body(), &None);
//! assert_eq!(jar.by_name("cart")[0].value(), "7");
//! assert_eq!(client.get("https://shop.example/").send().await?.into_body().unwrap(), b"cart=7");
//! assert_eq!(client.get("https://other.example/").send().await?.body(), &None);
//! # Ok(())
//! # }
//! ```
//!
//! A request without, and one with a cookie of its own:
//!
//! ```
//! use bartizan_client::{CookieLayer, Jar, NoCookies, RequestExt};
//! use bartizan_core::{Body, BoxError};
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let jar = Jar::new();
//! let uri = "https://shop.example/".parse()?;
//! jar.add(&uri, "cart=7")?;
//! jar.add(&uri, "lang=en")?;
//! let echo = service_fn(|request: Request<Body>| async move {
//!     Ok::<_, BoxError>(Response::new(request.headers().get("cookie").cloned()))
//! });
//! let client = ServiceBuilder::new().layer(CookieLayer::new(jar)).service(echo);
//!
//! let response = client.get(&uri).extension(NoCookies).send().await?;
//! assert_eq!(response.into_body(), None);
//! let response = client.get(&uri).header("cookie", "cart=8").send().await?;
//! assert_eq!(response.into_body().unwrap(), "cart=8; lang=en");
//! # Ok(())
//! # }
//! ```

mod cookie;
mod date;
mod domain;
mod error;
mod file;
mod jar;
mod layer;
mod set_cookie;
mod state;
mod store;

pub use self::{
    cookie::{Cookie, SameSite},
    error::CookieError,
    jar::{Jar, JarBuilder, ThirdParty},
    layer::{CookieFuture, CookieLayer, CookieService},
    store::{CookieRequest, CookieStore, NoCookies, SiteForCookies},
};
