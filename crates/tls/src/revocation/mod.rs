//! Whether a certificate that verifies has been taken back.
//!
//! A certificate is valid until the date in it, whatever happens to its key. Its issuer says in two ways that it no longer is: in a signed
//! *list* of serial numbers (CRL, RFC 5280), and by a *responder* that signs an answer about one of them (OCSP, RFC 6960). A server may
//! send such an answer along, as a *staple*. [`Revocation`] asks them all, at either end.
//!
//! It works in two stages:
//!
//! - **In the handshake**, without waiting: a staple is verified, lists that were given and answers that were fetched are looked up. Who
//!   is known to be revoked fails the handshake, and so does a server whose certificate promises a staple and that sends none (RFC 7633).
//! - **After the handshake**, before any byte reaches the application, on every connection, resumed ones too: what is not known is
//!   fetched, by the methods in their order, until one of them says something.
//!
//! *Revoked* is final, whoever says so, and is never let in. Only *not known* falls back to the next method, and in the end to the policy:
//! [`OnUnavailable::Reject`] or [`OnUnavailable::Allow`].
//!
//! # What counts
//!
//! | said by | counts if |
//! |---|---|
//! | a list | the certificate's issuer signed it, whose certificate lets it sign lists; it is of now; it is about such certificates; of several, the one with the highest number |
//! | a staple | as an answer; and it says until when it counts |
//! | an answer | the issuer signed it, or somebody with a certificate for that (`OCSPSigning`) which the issuer signed itself and which is valid now; it names this certificate, by serial number, issuer name and issuer key; it is of now; it has our nonce or none |
//!
//! Clocks may be 300 s apart. An answer that does not say until when it counts does for an hour, and for less in the cache. What is out of
//! date never says that a certificate is good; but a revocation that is not a hold is for good, and counts even then.
//!
//! Whether the responder's own certificate was revoked is not asked: that way lies recursion, and they are short-lived or marked
//! `ocsp-nocheck`. Delta lists, indirect lists, and lists for some reasons only are refused, each alone, by an error that says so.
//!
//! # State
//!
//! Lists that you supply are in a [`CrlIndex`], which you keep to add newer ones. They are verified when they are added: a handshake costs
//! the same with a list of 200,000 entries as with none. What is fetched is in caches of the engine, shared by its clones: 50 lists and 50
//! answers, for 15 minutes; failures for one minute. Each thing is fetched once at a time, however many connections wait for it.
//!
//! # Readiness and cancellation
//!
//! Nothing is spawned but the parsing and verifying of large lists, which goes to the runtime's threads for blocking work. Whoever waits
//! may go away: if it was the one that fetches, the next one does.
//!
//! # Errors
//!
//! [`Refusal`] says which certificate of whom is refused and why; its source is what was tried first. [`CrlError`] says why a list is not
//! used.
//!
//! # Differences
//!
//! From rustls with webpki's own lists: those are verified anew in each handshake, in time proportional to their size; of several, the
//! first one that fits wins, however old; one that is not supported makes the verifier impossible to build, and one that somebody forged
//! makes each handshake fail; by default, what is expired or from the future counts; and nothing is checked on a resumed connection.
//! There is no OCSP at all. From Ballerina: lists and responders both can be used, in any order, and a staple only if the peer can
//! send one.
//!
//! # Examples
//!
//! A listener that checks its clients against a file:
//!
//! ```
//! # #[cfg(feature = "aws-lc")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use bartizan_tls::{Provider, revocation::{CrlIndex, Method, Revocation}};
//!
//! let provider = Provider::aws_lc();
//! // Without anything to ask, there is nothing to build.
//! assert!(Revocation::of_clients(&provider).build().is_err());
//!
//! let index = CrlIndex::new(&provider);
//! let engine = Revocation::of_clients(&provider).crls(index.clone()).build()?;
//!
//! // Later, as often as there is a newer one. What is wrong with one list is no reason to refuse the others.
//! for added in index.add(&b"no list"[..]) {
//!     assert!(added.unwrap_err().is_malformed());
//! }
//! # let _ = engine;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "aws-lc"))]
//! # fn main() {}
//! ```
//!
//! A client that asks responders through a service of its own, and goes on if none answers:
//!
//! ```
//! # #[cfg(feature = "aws-lc")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use bartizan_tls::{Provider, revocation::{FetchRequest, Method, OnUnavailable, Revocation}};
//! use bytes::Bytes;
//! use std::{io, time::Duration};
//! use tower::ServiceBuilder;
//!
//! let responder = ServiceBuilder::new().service_fn(|request: FetchRequest| async move {
//!     // Any HTTP client, with whatever layers: `request.to_http()` is what to send.
//!     let http = request.to_http::<Bytes>();
//!     assert_eq!(http.uri().scheme_str(), Some("http"));
//!     Err::<Bytes, _>(io::Error::other("no network here"))
//! });
//! let engine = Revocation::of_servers(&Provider::aws_lc())
//!     .methods([Method::Staple, Method::Ocsp])
//!     .on_unavailable(OnUnavailable::Allow)
//!     .cache(500, Duration::from_secs(5 * 60))
//!     .fetcher(responder)
//!     .build()?;
//! assert!(format!("{engine:?}").contains("Allow"));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "aws-lc"))]
//! # fn main() {}
//! ```

mod ask;
mod builder;
mod cache;
mod crl;
mod engine;
mod evidence;
mod fetch;
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "fetch")]
mod http;
mod ocsp;
mod place;
mod seam;
pub mod stapling;
mod subject;

#[cfg(feature = "fetch")]
pub use self::http::HttpFetcher;
#[cfg(feature = "acme")]
pub(crate) use self::http::{collect, drive};
pub(crate) use self::subject::Subject;
pub use self::{
    builder::{OnUnavailable, RevocationBuilder, Scope},
    crl::{CrlError, CrlIndex, CrlInfo, CrlPlace},
    engine::Revocation,
    evidence::{Evidence, Method},
    fetch::FetchRequest,
    ocsp::CertIdHash,
    seam::{Engine, Refusal, Verdict},
    stapling::{Stapler, StaplerBuilder, StaplingError, StaplingHandle},
};
