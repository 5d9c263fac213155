//! TLS for both ends as tower services, on rustls: identities, trust, revocation, reload.
//!
//! - [`connect`] is the client's end: [`TlsConnectorLayer`] puts TLS on what any connector makes.
//! - [`accept`] is the listener's: [`TlsAcceptor`] makes TLS connections of accepted ones.
//! - [`revocation`] is one engine for both: lists, staples and responders.
//! - [`Identity`] is who one end is, [`TrustAnchors`] whom it trusts, and [`Provider`] the cryptography it does that with.
//! - [`TicketKeys`] let several processes resume each other's sessions.
//! - [`TlsInfo`] is what a handshake came to, for the extensions of requests and responses.
//! - [`dangerous`] is what makes TLS less than it seems.
//!
//! # What there is no way round
//!
//! - The provider is passed in. rustls's process-wide default is neither read nor set.
//! - Certificates are verified, on resumed sessions too, by one clock that a test can set.
//! - No session outlives the policy it was made by.
//! - Every handshake has a time limit, and it covers what is asked about revocation.
//! - There is no TLS 1.1, no early data, no renegotiation, no compression and no key exchange without forward secrecy.
//! - Nothing shows a private key: not `Debug`, not an error.
//!
//! # Types of rustls
//!
//! None stands in a signature here, but in those that are called `unstable_…`. They are a way out for what is not offered, and change when
//! rustls does.
//!
//! # Features
//!
//! | feature | | |
//! |---|---|---|
//! | `aws-lc` | on | [`Provider::aws_lc`]: builds with a C compiler alone |
//! | `ring` | | `Provider::ring` |
//! | `platform-roots` | on | [`TrustAnchors::platform`] |
//! | `webpki-roots` | | `TrustAnchors::mozilla` |
//! | `fetch` | | `revocation::HttpFetcher` |
//! | `acme` | | `acme`: certificates from a CA; with `fetch`, and aws-lc-rs |
//!
//! The roots of the platform are read as certificates, and verified by the same code everywhere. The operating system's own verifier is
//! not asked: it hands out no path to ask about revocation, and knows another time than ours.

pub mod accept;
#[cfg(feature = "acme")]
pub mod acme;
mod chain;
pub mod connect;
pub mod dangerous;
mod error;
mod file;
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod info;
mod options;
mod provider;
mod reload;
pub mod revocation;
mod settle;
mod stream;
mod tickets;
mod trust;
mod verify;
mod x509;

pub use self::{
    accept::{AcceptFuture, AcceptorHandle, ClientAuth, ListenerTls, TlsAcceptor},
    chain::{Chain, Link},
    connect::{ClientTls, ConnectFuture, ConnectorHandle, Target, TlsConnector, TlsConnectorLayer},
    error::{Error, Stage},
    identity::Identity,
    info::{TlsInfo, Verification},
    options::TlsVersion,
    provider::Provider,
    stream::{MaybeTls, TlsStream},
    tickets::TicketKeys,
    trust::TrustAnchors,
    x509::PeerName,
};
