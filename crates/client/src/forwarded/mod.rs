//! Says on whose behalf a request is made: `Forwarded` (RFC 7239), and the `X-Forwarded-*` headers before it.
//!
//! For a gateway that calls a service for somebody else. It says so with a [`ForwardedElement`]: in the request's extensions, or one for
//! all requests.
//!
//! | [`ForwardedMode`] | Headers there are | The element |
//! |---|---|---|
//! | `Disable` | kept | not sent |
//! | `Enable`, the default | kept | added at the end |
//! | `Transition` | `X-Forwarded-*` becomes `Forwarded` | added at the end |
//! | `Remove` | removed | not sent |
//!
//! What a transition makes of several headers: each address of `X-Forwarded-For` is an element, the first one with the host and
//! protocol, which are those of the first request. What is no address becomes `unknown` (RFC 7239 section 7.4). Of a request that has
//! `Forwarded` already, that stays and the others go, as nobody knows which hops they share.
//!
//! Whoever sends a request can write these headers: they prove nothing to the server, unless it knows that each hop on the way is its
//! own. `Remove` is for calls that leave your network: an address of a person is not a stranger's business (RFC 7239 section 8.3).
//!
//! # Placement
//!
//! Anywhere above the transport; above the redirect layer if redirects are to say the same.
//!
//! # State
//!
//! None but its settings.
//!
//! # Readiness and cancellation
//!
//! Those of the inner service, whose future it returns.
//!
//! # Errors
//!
//! Those of the inner service. Headers that cannot be read are no error: they are kept by `Enable`, and are the server's to judge.
//!
//! # Differences from Ballerina
//!
//! Ballerina's default is `disable`; who adds this layer wants it enabled. It makes one `Forwarded` of several addresses; here each hop
//! has its own, as RFC 7239 section 4 has it. `Remove`, identifiers that hide an address, and the old headers are added.
//!
//! # Examples
//!
//! ```
//! use bartizan_client::{ForwardedElement, ForwardedLayer, RequestExt};
//! use bartizan_core::{Body, BoxError};
//! use http::{Request, Response};
//! use std::net::SocketAddr;
//! use tower::{ServiceBuilder, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let echo = service_fn(|request: Request<Body>| async move {
//!     Ok::<_, BoxError>(Response::new(request.headers()["forwarded"].clone()))
//! });
//! let client = ServiceBuilder::new().layer(ForwardedLayer::new()).service(echo);
//!
//! let peer: SocketAddr = "[2001:db8::1]:4711".parse()?;
//! let on_behalf = ForwardedElement::new().on_behalf_of(peer).try_host("shop.example")?.try_proto("https")?;
//! let response = client.get("/").header("forwarded", "for=192.0.2.1").extension(on_behalf).send().await?;
//! assert_eq!(
//!     response.into_body(),
//!     r#"for=192.0.2.1, for="[2001:db8::1]:4711";host=shop.example;proto=https"#
//! );
//! # Ok(())
//! # }
//! ```
//!
//! From the old headers to the new one, with a name for this gateway:
//!
//! ```
//! use bartizan_client::{ForwardedElement, ForwardedLayer, ForwardedMode, ForwardedNode, RequestExt};
//! use bartizan_core::{Body, BoxError};
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let echo = service_fn(|request: Request<Body>| async move {
//!     assert!(!request.headers().contains_key("x-forwarded-for"));
//!     Ok::<_, BoxError>(Response::new(request.headers()["forwarded"].clone()))
//! });
//! let gateway = ForwardedElement::new().received_by(ForwardedNode::try_obfuscated("_gateway")?);
//! let layer = ForwardedLayer::new().mode(ForwardedMode::Transition).element(gateway);
//! let client = ServiceBuilder::new().layer(layer).service(echo);
//!
//! let request = client.get("/").header("x-forwarded-for", "192.0.2.1, 2001:db8::2").header("x-forwarded-proto", "https");
//! assert_eq!(
//!     request.send().await?.into_body(),
//!     r#"for=192.0.2.1;proto=https, for="[2001:db8::2]", by=_gateway"#
//! );
//! # Ok(())
//! # }
//! ```

mod element;
mod layer;
mod node;
pub(crate) mod parse;

pub use self::{
    element::ForwardedElement,
    layer::{Forwarded, ForwardedHeaders, ForwardedLayer, ForwardedMode},
    node::ForwardedNode,
    parse::ForwardedError,
};
pub(crate) use self::{
    element::{is_host, is_token},
    layer::append,
};
