//! Keeps a staple at hand for a certificate of one's own.
//!
//! A listener that staples spares its clients the question to the responder, and with it the wait and the trace (RFC 6066 section 8). The
//! staple has to be fetched before it is needed, and again before it is out of date, whether the responder is up or not.
//!
//! - **Before serving**, [`prime`](Stapler::prime) loads the one that was kept, if it still counts, and else fetches one, for as long as
//!   you let it.
//! - **While serving**, [`run`](Stapler::run) fetches the next one at half of the time for which a staple counts, give or take 10 %, so that
//!   a fleet does not ask all at once. If it fails it tries again after 1 minute, then 2, and so on, up to 1 hour.
//! - **Before it is out of date**, a staple is taken away: clients refuse old ones, and do without.
//!
//! Only an answer is stapled that says "good" and that clients will believe: it is verified as if it came from a peer, when it is fetched
//! and when it is loaded.
//!
//! # State
//!
//! A stapler is for one [`Identity`](crate::Identity), whose clones show the staple at once. After a reload with another identity, make
//! another stapler. [`StaplingHandle`] tells what is stapled now.
//!
//! # Readiness and cancellation
//!
//! Nothing is spawned but the reading and writing of the file. `run` is yours to spawn, and is stopped by dropping it; the staple stays.
//! One fetch is under way at a time.
//!
//! # Errors
//!
//! [`prime`](Stapler::prime) says why there is no staple, and to serve without is the user's to decide: a certificate that promises one
//! (RFC 7633) is not shown until there is. Later failures are events: at `WARN`, or at `ERROR` if the responder says that the certificate
//! is revoked.
//!
//! # Examples
//!
//! ```
//! # #[cfg(feature = "aws-lc")] {
//! # let made = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).unwrap();
//! # let (chain_pem, key_pem) = (made.cert.pem(), made.signing_key.serialize_pem());
//! use bartizan_tls::{Identity, Provider, revocation::{FetchRequest, Stapler}};
//! use bytes::Bytes;
//! use std::io;
//!
//! let provider = Provider::aws_lc();
//! let identity = Identity::from_pem(&provider, chain_pem.as_bytes(), key_pem.as_bytes()).unwrap();
//! let fetcher = tower::service_fn(|_: FetchRequest| async { Err::<Bytes, _>(io::Error::other("no network")) });
//!
//! // This one is self-signed: there is nobody who could answer for it.
//! let error = Stapler::builder(&provider, &identity).fetcher(fetcher).build().unwrap_err();
//! assert_eq!(error.field(), "identity");
//! # }
//! ```
//!
//! With a responder, a file, and five seconds at the start:
//!
//! ```no_run
//! # #[cfg(feature = "fetch")]
//! # async fn serve(
//! #     provider: bartizan_tls::Provider,
//! #     identity: bartizan_tls::Identity,
//! # ) -> Result<(), bartizan_core::ConfigError> {
//! use bartizan_tls::revocation::{HttpFetcher, Stapler};
//! use std::time::Duration;
//!
//! let mut stapler = Stapler::builder(&provider, &identity)
//!     .fetcher(HttpFetcher::new())
//!     .file("/var/lib/shop/staple.der")
//!     .build()?;
//! if let Err(error) = stapler.prime(Duration::from_secs(5)).await {
//!     eprintln!("serving without a staple: {error}");
//! }
//! let refreshing = tokio::spawn(stapler.run());
//! // … serve with a listener that has `identity` …
//! # refreshing.abort();
//! # Ok(())
//! # }
//! ```

mod schedule;
mod stapler;

pub use self::stapler::{Stapler, StaplerBuilder, StaplingError, StaplingHandle};
