//! Certificates from a CA that issues them by itself, and their renewal (ACME, RFC 8555).
//!
//! [`Acme`] orders a certificate for the names that it is given, shows the CA that they are ours, and hands the certificate to a listener; and
//! the next one when two thirds of the time of the last are over, give or take 3 %, so that a fleet does not come all at once. If the CA
//! suggests another time (RFC 9773), that counts: it is how one says that it will revoke.
//!
//! The protocol is [instant-acme](https://docs.rs/instant-acme)'s; challenges, schedule, files and the way to the listener are here.
//!
//! # Placement
//!
//! Beside a listener, with which it shares [`Challenges`]. With [`Challenge::TlsAlpn01`] they go into its
//! [settings](crate::ListenerTls::acme): it answers the CA itself, and may have no certificate until there is one. With
//! [`Challenge::Http01`] an [`Http01Layer`] answers, in whatever listens on port 80.
//!
//! # State
//!
//! The account and the certificate with its key are files in a folder, one pair for each directory: each replaced as a whole, readable by
//! its owner alone. The certificate is looked at when it is loaded as it is when it is new: it has to have its key, all the names, and time
//! left. [`AcmeHandle`] tells how it fares.
//!
//! Keys are ECDSA P-256, of aws-lc-rs whatever the provider of the listener is, and new for each certificate.
//!
//! # Readiness and cancellation
//!
//! Nothing is spawned but reading and writing of files. [`run`](Acme::run) is yours to spawn, and is stopped by dropping it: the certificate
//! stays, challenges are answered no more. One order is under way at a time, and gets 5 minutes for each of its two waits.
//!
//! # Errors
//!
//! An order that fails is tried again after 5 minutes, then 10, and so on up to 6 hours, or when the CA allows it: Let's Encrypt takes five
//! failed validations of a name in an hour. What is installed stays. The last error is the [handle's](AcmeHandle::last_error), and an event at
//! `WARN`.
//!
//! # Differences from rustls-acme
//!
//! - The listener is the one with all its other settings; the certificate is one of them, and replaced as any other.
//! - HTTP-01 beside TLS-ALPN-01, renewal information, accounts bound to others.
//! - One that validates a challenge does not reach the application, nor does its session.
//! - There is no store but files, and no DNS-01: no wildcards.
//!
//! # Examples
//!
//! What can be wrong is found when it is built:
//!
//! ```
//! # #[cfg(feature = "aws-lc")] {
//! use bartizan_tls::{Provider, acme::Acme};
//!
//! let provider = Provider::aws_lc();
//! let error = Acme::builder(&provider, "https://ca.test/directory", "/var/lib/shop")
//!     .name("*.shop.test")
//!     .build()
//!     .unwrap_err();
//! assert_eq!(error.to_string(), "invalid name `*.shop.test`: expected a host name, without a wildcard");
//! # }
//! ```
//!
//! A listener that gets its certificate by itself:
//!
//! ```no_run
//! # #[cfg(all(feature = "aws-lc", feature = "platform-roots"))]
//! # async fn serve() -> Result<(), bartizan_core::BoxError> {
//! use bartizan_tls::{
//!     ClientTls, ListenerTls, Provider, TlsAcceptor, TrustAnchors,
//!     acme::{Acme, HttpsClient},
//! };
//!
//! let provider = Provider::aws_lc();
//! let client = HttpsClient::try_new(ClientTls::new(provider.clone(), TrustAnchors::platform()?))?;
//! let acme = Acme::builder(&provider, "https://acme-v02.api.letsencrypt.org/directory", "/var/lib/shop")
//!     .name("shop.test")
//!     .contact("mailto:ops@shop.test")
//!     .agree_to_terms()
//!     .client(client)
//!     .build()?;
//! // It can start without a certificate, because it answers challenges.
//! let acceptor = TlsAcceptor::try_new(ListenerTls::new(provider).acme(acme.challenges()))?;
//! let (listener, mut status) = (acceptor.handle(), acme.handle());
//! let renewing = tokio::spawn(acme.run(move |identity| {
//!     listener.update(|settings| settings.no_identities().identity(identity.clone()))
//! }));
//! // … accept connections with `acceptor` …
//! status.installed().await?;
//! # renewing.abort();
//! # Ok(())
//! # }
//! ```

mod builder;
mod challenge;
mod driver;
mod handle;
mod http;
mod http01;
mod order;
mod schedule;

pub(crate) use self::challenge::is_challenge;
pub use self::{
    builder::{AcmeBuilder, Challenge},
    challenge::Challenges,
    driver::Acme,
    handle::{AcmeError, AcmeHandle},
    http::HttpsClient,
    http01::{Http01, Http01Future, Http01Layer},
};
