//! TLS for a client: a layer over any connector.
//!
//! The connector below makes a connection, the layer makes TLS of it, if the target asks for that. What a target is stands in
//! [`Target`], which `http::Uri` is one of; what a connection is, in tokio's `AsyncRead` and `AsyncWrite`. The
//! [response](crate::MaybeTls) tells the agreed protocol, for whoever speaks HTTP on it next, and
//! [what the handshake came to](crate::TlsInfo).
//!
//! Certificates are verified by rustls's webpki, with a few rules on top: a leaf whose key usage does not let it sign is refused, and
//! so is an intermediate whose does not let it sign certificates (RFC 5280 sections 4.2.1.3 and 6.1.4). Names are matched as RFC 9525
//! says, and the common name is not one of them. The chain of a resumed session is verified again: that it was valid when the session
//! began does not make it so now.
//!
//! # Placement
//!
//! Directly above what makes connections: the TCP connector, or the tunnel through a proxy. Below the pool, so that connections are
//! made once; and so below whatever retries. An HTTPS proxy takes two of these, one for the way to it and one for the way through it.
//!
//! # State
//!
//! Settings and sessions belong to the layer. All services it makes, and their clones, share them; a second layer shares nothing with
//! it. A [handle](crate::ConnectorHandle) replaces the settings, and with them the sessions, while they are in use: connections that
//! are asked for after it follow the new ones, and resume no session that was begun under the old.
//!
//! # Readiness and cancellation
//!
//! Ready when the connector below is. The time for the handshake begins when there is a connection, and what is asked about revocation
//! after it counts. Dropping the future closes the connection. Nothing is spawned.
//!
//! # Errors
//!
//! A boxed error: that of the connector as it is, or an [`Error`](crate::Error), which [`find`](bartizan_core::find) finds. Nothing of a
//! request was sent in either case. A name that no certificate can be for is refused before anything is connected.
//!
//! # Differences from hyper-rustls
//!
//! - It takes any connector and any target, and not only hyper-util's over URIs. It has no opinion on whether plain connections are
//!   allowed: whoever calls it has.
//! - The handshake has a time limit.
//! - Settings are replaced while they are in use. There, a new connector is made, and whoever holds the old one keeps its settings.
//! - Key usages are checked, certificates of resumed sessions too, and revocation if an engine is set.
//! - What the peer is stands in [`TlsInfo`](crate::TlsInfo), without types of rustls.
//! - Errors say for whom, at which stage, and whether another try may help.
//!
//! # Examples
//!
//! A client that trusts the roots of its platform:
//!
//! ```
//! # #[cfg(all(feature = "aws-lc", feature = "platform-roots"))]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let root = rcgen::generate_simple_self_signed(["root.test".to_owned()]).unwrap().cert.pem();
//! use bartizan_tls::{ClientTls, Provider, TlsConnectorLayer, TrustAnchors};
//! use http::Uri;
//! use tokio::net::TcpStream;
//! use tower::{ServiceBuilder, service_fn};
//!
//! // A container without CA certificates has none. Then it is better to say whom to trust than to trust nobody.
//! let anchors = TrustAnchors::platform().or_else(|_| TrustAnchors::from_pem(root.as_bytes()))?;
//! let connector = ServiceBuilder::new()
//!     .layer(TlsConnectorLayer::try_new(ClientTls::new(Provider::aws_lc(), anchors))?)
//!     .service(service_fn(|uri: Uri| async move {
//!         let host = uri.host().unwrap_or_default().to_owned();
//!         TcpStream::connect((host, uri.port_u16().unwrap_or(443))).await
//!     }));
//! # let _ = connector;
//!
//! // What cannot work is refused here, and not by the first call.
//! # let anchors = TrustAnchors::from_pem(root.as_bytes())?;
//! let settings = ClientTls::new(Provider::aws_lc(), anchors).suites(["TLS_RSA_WITH_3DES_EDE_CBC_SHA"]);
//! assert_eq!(TlsConnectorLayer::try_new(settings).unwrap_err().field(), "suites");
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "aws-lc", feature = "platform-roots")))]
//! # fn main() {}
//! ```
//!
//! Mutual TLS with a company's own root, and an identity that is renewed while the client runs:
//!
//! ```
//! # #[cfg(feature = "aws-lc")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), bartizan_core::BoxError> {
//! # use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
//! # let (ca_key, mut ca) = (KeyPair::generate()?, CertificateParams::default());
//! # ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
//! # let root_pem = ca.self_signed(&ca_key)?.pem();
//! # let ca = Issuer::new(ca, ca_key);
//! # let make = |name: &str| {
//! #     let key = KeyPair::generate().unwrap();
//! #     let cert = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
//! #     bartizan_tls::Identity::from_pem(&bartizan_tls::Provider::aws_lc(), cert.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
//! # };
//! # let (server, this_year, next_year) = (make("shop.test"), make("this-year.test"), make("next-year.test"));
//! use bartizan_tls::{
//!     ClientAuth, ClientTls, ListenerTls, PeerName, Provider, TlsAcceptor, TlsConnectorLayer, TrustAnchors,
//! };
//! use http::Uri;
//! use tower::{Layer, Service, ServiceExt, service_fn};
//!
//! let (provider, anchors) = (Provider::aws_lc(), TrustAnchors::from_pem(root_pem.as_bytes())?);
//! let layer = TlsConnectorLayer::try_new(
//!     ClientTls::new(provider.clone(), anchors.clone()).identity(this_year),
//! )?;
//! let handle = layer.handle();
//!
//! // The server, in memory.
//! let acceptor = TlsAcceptor::try_new(
//!     ListenerTls::new(provider).identity(server).client_auth(ClientAuth::Required(anchors)),
//! )?;
//! let peer = async || {
//!     let (near, far) = tokio::io::duplex(1 << 14);
//!     let mut near = Some(near);
//!     let connector = layer.layer(service_fn(move |_: Uri| {
//!         std::future::ready(near.take().ok_or("only one connection"))
//!     }));
//!     let mut acceptor = acceptor.clone();
//!     let target: Uri = "https://shop.test/".parse()?;
//!     let (client, listener) = tokio::join!(connector.oneshot(target), acceptor.call(far));
//!     assert_eq!(client?.alpn(), Some(&b"h2"[..]));
//!     Ok::<_, bartizan_core::BoxError>(listener?.tls_info().peer_names().to_vec())
//! };
//! assert_eq!(peer().await?, [PeerName::Dns("this-year.test".into())]);
//!
//! handle.update(|settings| settings.identity(next_year.clone()))?;
//! assert_eq!(peer().await?, [PeerName::Dns("next-year.test".into())]);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "aws-lc"))]
//! # fn main() {}
//! ```

mod handle;
mod service;
mod settings;
mod target;

pub use self::{
    handle::ConnectorHandle,
    service::{ConnectFuture, TlsConnector, TlsConnectorLayer},
    settings::ClientTls,
    target::Target,
};
