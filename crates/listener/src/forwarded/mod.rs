//! Who the client is, behind proxies: believed of those that are trusted, and of nobody else.
//!
//! [`ForwardedLayer`] reads what proxies wrote about the client, in `Forwarded` (RFC 7239) or in the `X-Forwarded-*` fields, and puts a
//! [`ClientIp`] in the extensions of every request whose peer is known. Fields that an untrusted peer wrote are taken away, so that
//! nothing further in believes them.
//!
//! # The algorithm
//!
//! Each proxy adds the address of *its* peer at the right. So the list is read from the right, beginning with the peer of this
//! connection: as long as an address belongs to a trusted network, the one to the left of it was written by a trusted proxy, and counts.
//! The first that does not is the client: whatever stands further left, the client may have written itself. The leftmost address,
//! which many servers take, is the one anybody can forge.
//!
//! An address that is not one (`unknown`, an obfuscated name) ends the walk: the client is then the last proxy that is known.
//!
//! Which kind of field is read has to be chosen, because a proxy that writes the one passes on the other as the client sent it. The fields
//! of the other kind are taken away too, and so is `X-Real-IP`. `X-Forwarded-Port` and `-Prefix` of a trusted peer stay, for
//! whoever knows that the proxy sets them. A `Forwarded` from a trusted peer that does not parse is answered with 400: an unbalanced
//! quote by the client swallows what the proxy wrote after it.
//!
//! # Placement
//!
//! As far out as it goes: above the access log, rate limits by client, redirects that ask for the scheme. It needs the peer's address:
//! under a [`Listener`](crate::Listener) it is there; elsewhere [`peer_from`](ForwardedLayer::peer_from) says where to find it.
//!
//! # State
//!
//! The list of networks, which clones share.
//!
//! # Readiness and cancellation
//!
//! Readiness is the inner service's. Dropping the future drops the inner call.
//!
//! # Errors
//!
//! The inner service's. A field that cannot be read is answered with 400 and problem details.
//!
//! # Differences from `axum-client-ip` and nginx
//!
//! `axum-client-ip` leaves it to the deployment that the field is safe. nginx's `real_ip_recursive` walks in the same way, off by
//! default, and keeps the fields of untrusted peers.
//!
//! # Examples
//!
//! ```
//! use bartizan_core::Body;
//! use bartizan_listener::forwarded::{ClientIp, ForwardedLayer, TrustedNetworks};
//! use http::{Request, Response};
//! use std::{convert::Infallible, net::IpAddr};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let trusted = TrustedNetworks::try_new(["10.0.0.0/8", "fd00::/8"])?;
//! let service = ServiceBuilder::new()
//!     // Here there is no listener, so the peer is given.
//!     .layer(ForwardedLayer::x_forwarded(trusted).peer_from(|_| Some(IpAddr::from([10, 0, 0, 1]))))
//!     .service_fn(|request: Request<Body>| async move {
//!         let client = request.extensions().get::<ClientIp>().unwrap();
//!         Ok::<_, Infallible>(Response::new(Body::from(client.ip().to_string())))
//!     });
//!
//! // The client claimed to be 1.2.3.4; the proxy added where it really came from.
//! let request = Request::get("/").header("x-forwarded-for", "1.2.3.4, 203.0.113.9").body(Body::empty())?;
//! let response = service.oneshot(request).await?;
//! assert_eq!(response.body().whole().unwrap(), "203.0.113.9");
//! # Ok(())
//! # }
//! ```
//!
//! An untrusted peer's fields are not even seen:
//!
//! ```
//! use axum::{Extension, Router, http::HeaderMap, routing::get};
//! use bartizan_listener::forwarded::{ClientIp, ForwardedLayer, TrustedNetworks};
//! use std::net::IpAddr;
//! use tower::ServiceExt;
//!
//! async fn who(headers: HeaderMap, Extension(client): Extension<ClientIp>) -> String {
//!     assert!(headers.get("x-forwarded-for").is_none());
//!     client.ip().to_string()
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let layer = ForwardedLayer::x_forwarded(TrustedNetworks::none()).peer_from(|_| Some(IpAddr::from([198, 51, 100, 7])));
//! let router: Router = Router::new().route("/", get(who)).layer(layer);
//!
//! let request = http::Request::get("/").header("x-forwarded-for", "127.0.0.1").body(axum::body::Body::empty())?;
//! let body = axum::body::to_bytes(router.oneshot(request).await?.into_body(), 100).await?;
//! assert_eq!(body, "198.51.100.7");
//! # Ok(())
//! # }
//! ```

mod layer;
mod parser;
mod trusted;
mod walk;

pub use self::{
    layer::{Forwarded, ForwardedLayer},
    trusted::TrustedNetworks,
    walk::ClientIp,
};
pub use crate::reply::ResponseFuture;

pub(crate) use self::parser::{node_ip, parse};
