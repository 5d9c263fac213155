//! Revocation, by lists, staples and responders.

mod answers;
mod engine;
#[cfg(feature = "fetch")]
mod fetcher;
mod hostile;
mod lists;
pub(crate) mod matrix;
pub(crate) mod openssl;
mod pki;
mod sockets;
mod stapling;
