//! Revocation, by lists, staples and responders.

mod answers;
mod engine;
#[cfg(feature = "fetch")]
mod fetcher;
mod hostile;
mod lists;
mod matrix;
mod openssl;
mod pki;
mod sockets;
mod stapling;
