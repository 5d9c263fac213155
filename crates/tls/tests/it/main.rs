//! The tests of both ends, over real sockets.

#![expect(
    clippy::unwrap_used,
    reason = "clippy knows tests, and not what they are set up by"
)]

#[cfg(feature = "acme")]
mod acme;
mod broken;
mod contract;
mod deadlines;
mod errors;
mod listener;
mod mutual;
mod openssl;
mod proofs;
mod reload;
mod resumption;
mod revocation;
mod secrets;
mod server_certificates;
mod sslyze;
mod support;
