//! The tests of both ends, over real sockets.

mod contract;
mod errors;
mod listener;
mod mutual;
mod openssl;
mod reload;
mod resumption;
mod revocation;
mod secrets;
mod server_certificates;
mod support;
